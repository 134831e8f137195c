"""Warnings about the end of a network's training."""

import warnings

from sklearn.base import is_regressor
from sklearn.exceptions import ConvergenceWarning

from sk_dbn.models.lbfgs import is_steep


def warn_of_divergence(network, epoch, loss, kept):
    """Warn that training diverged.

    Parameters
    ----------
    network : BaseDeepNetwork
    epoch : int
        Or iteration of L-BFGS.
    loss : float
    kept : str
        Which weights were kept.
    """
    unit, advice = "epoch", "Lower learning_rate_init, which was "
    advice += f"{network.learning_rate_init_:.3g}, or scale {_to_scale(network)}"
    if network.solver == "lbfgs":
        unit, advice = "iteration", f"Scale {_to_scale(network)}"
    warnings.warn(
        f"Training diverged in {unit} {epoch}: the loss is {loss:.3g}. The weights "
        f"{kept} were kept. {advice}, for example with StandardScaler.",
        ConvergenceWarning,
    )


def warn_of_too_few_epochs(network):
    """Warn if `max_iter` ended training, unless the schedule or 'refit' planned that.

    Parameters
    ----------
    network : BaseDeepNetwork
    """
    if not (network._schedule.is_planned or network.max_iter_ < network.max_iter):
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({network.max_iter}) "
            "reached and the optimization hasn't converged yet.",
            ConvergenceWarning,
        )


def warn_of_lbfgs(network, task):
    """Warn as scikit-learn does if L-BFGS did not converge, and if it only seems so.

    Parameters
    ----------
    network : BaseDeepNetwork
    task : LbfgsTask
    """
    result = task.result
    if result.status != 0 and not task.is_stopped:
        more_iterations = (
            "\nIncrease the number of iterations to improve the convergence "
            f"(max_iter={network.max_iter})."
        )
        warnings.warn(
            f"lbfgs failed to converge after {result.nit} iteration(s) (status={result.status}):\n"
            f"{result.message}\n{more_iterations if result.nit == network.max_iter else ''}\n"
            "You might also want to scale the data as shown in:\n"
            "    https://scikit-learn.org/stable/modules/preprocessing.html",
            ConvergenceWarning,
        )
    if result.success and is_steep(result, network.tol):
        warnings.warn(
            f"lbfgs stopped after {network.n_iter_} iterations because the loss hardly "
            "changed, but the gradient is large: it has not converged. Scale "
            f"{_to_scale(network)}, with StandardScaler"
            + (" and TransformedTargetRegressor." if is_regressor(network) else "."),
            ConvergenceWarning,
        )


def _to_scale(network):
    """What a user can scale."""
    return "X and y" if is_regressor(network) else "X"
