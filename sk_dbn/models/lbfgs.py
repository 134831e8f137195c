"""L-BFGS: minimisation of the loss over all samples by SciPy."""

import numpy as np
import scipy.optimize

from sk_dbn.models.loop import tell
from sk_dbn.models.network_tasks import INITIAL, LAST_GOOD
from sk_dbn.models.network_training import NetworkBuffers, loss_and_gradient
from sk_dbn.models.pace import TeamPace
from sk_dbn.models.transaction import Snapshot

GRADIENT_ROWS = 512  # rows whose gradient is computed together
# Vectors of all parameters in double precision that are held at a time: SciPy's of the last ten
# steps and gradients and five more, and here parameters, gradients and the previous parameters.
N_VECTORS = 2 * 10 + 5 + 5
# Of the output layer alone: maximum number of iterations, and of evaluations; tolerance.
OUTPUT_LAYER_LIMITS = 1000, 2000, 1e-4
LARGE_GAIN = 0.1  # share of the loss; a larger expected gain at the end is no convergence


class LbfgsObjective:
    """The loss over all samples and its gradient as a function of one float64 vector.

    Parameters
    ----------
    run : callable, from `threads`
    network : Network
        Each evaluation overwrites its parameters.
    training_set : TrainingSet
    alpha : float
        Strength of the L2 penalty, which is divided by the total sample weight.
    recorder : NetworkRecorder or None
    """

    def __init__(self, run, network, training_set, alpha, recorder):
        self.run, self.network, self.training_set = run, network, training_set
        self.alpha, self.recorder = alpha, recorder
        self.buffers = NetworkBuffers(network, min(GRADIENT_ROWS, len(training_set.order)))
        self._pace = TeamPace()
        self._previous = network.theta.astype(np.float64)
        self.loss = np.inf

    def __call__(self, theta):
        """The loss, summed over outputs, and its gradient at theta."""
        network = self.network
        network.theta[:] = theta
        train = self.training_set
        loss, gradient = loss_and_gradient(
            self.run, network, train, train.order, self.buffers, self._pace
        )
        gradient = gradient.astype(np.float64)
        decay = self.alpha / self.training_set.total_weight
        penalty = 0.0
        for (g, _), W in zip(network.parts_of(gradient), network.coefs, strict=True):
            w = W.ravel().astype(np.float64)
            penalty += 0.5 * decay * (w @ w)
            g += decay * w
        self.loss = float(self.training_set.loss_factor * loss + penalty)
        return loss + penalty, gradient

    def reported(self, theta):
        """The reported loss, a mean over outputs."""
        self(theta)
        return self.loss

    def end_iteration(self, theta):
        """Add a row to the trace for an iteration that ended at theta."""
        network = self.network
        network.theta[:] = theta
        if self.recorder is not None:
            steps = network.parts_of(theta - self._previous)
            ratios = [
                np.linalg.norm(step) / (np.linalg.norm(W) or 1.0)
                for (step, _), W in zip(steps, network.coefs, strict=True)
            ]
            self.recorder.record_gradient(
                network, self.training_set, self.buffers.work.gradient, np.array(ratios)
            )
        self._previous = theta.copy()


class LbfgsTask:
    """Training by L-BFGS-B (Byrd, Lu, Nocedal & Zhu, 1995), as implemented in SciPy.

    Parameters
    ----------
    objective : LbfgsObjective
    network : Network
        The network to train, in its own precision.
    max_iter, max_fun : int
        Maximum number of iterations, and of evaluations of the loss.
    tol : float
        Maximum absolute value of the gradient's components at the end.
    validation : Validation or None
    checkpoint : Checkpoint
        Keeps the last complete iteration.
    n_seen : int
        Number of samples that minibatches have seen in previous calls.

    Attributes
    ----------
    losses, scores, validation_losses : list of float
        Of all complete iterations; the last two are empty without validation samples.
    loss : float
        Of the final parameters.
    divergence : see `FineTuning`
    result : scipy.optimize.OptimizeResult
    """

    stage, unit, name = "training", "iteration", "iteration"
    is_preparation, n_before, message, is_reset = False, 0, None, False

    def __init__(self, objective, network, max_iter, max_fun, tol, validation, checkpoint, n_seen):
        self.objective, self.network, self.theta = objective, network, network.theta
        self.n_epochs, self.max_fun, self.tol = max_iter, max_fun, tol
        self.validation, self.checkpoint = validation, checkpoint
        self.n_iter, self.measures, self.t = 0, {}, n_seen
        self.losses, self.scores, self.validation_losses = [], [], []
        self.divergence = self.result = None

    def train(self, listeners):
        """Minimise the loss; for listeners, iterations are epochs.

        Parameters
        ----------
        listeners : sequence of Listener
        """
        self.is_stopped = self.is_complete = False
        tell(listeners, "task_began", self)
        tell(listeners, "epoch_began", self)

        def end_iteration(x):
            if self._end_iteration(x):
                self.is_stopped = tell(listeners, "epoch_ended", self)
                if self.is_stopped:
                    raise StopIteration
                if self.n_iter < self.n_epochs:
                    tell(listeners, "epoch_began", self)

        self.result = scipy.optimize.minimize(
            self.objective,
            self.theta.astype(np.float64),
            method="L-BFGS-B",
            jac=True,
            callback=end_iteration,
            options={"maxfun": self.max_fun, "maxiter": self.n_epochs, "gtol": self.tol},
        )
        self._finish()
        tell(listeners, "task_ended", self)

    def _end_iteration(self, x):
        """Store the parameters and measures; return whether parameters and loss are finite."""
        self.objective.end_iteration(x)
        self.theta[:] = x
        if not (np.isfinite(self.objective.loss) and np.isfinite(self.theta).all()):
            return False
        self.n_iter += 1
        self.losses.append(self.objective.loss)
        self.measures = {"loss": self.objective.loss}
        if self.validation is not None:
            score, loss = self.validation.measure(self.objective.run, self.network)
            self.scores.append(score)
            self.validation_losses.append(loss)
            self.measures["validation score"] = score
        return True

    def _finish(self):
        """Store the final parameters, or those of the last good iteration if they diverged."""
        self.loss = float(self.objective.reported(self.result.x))
        self.theta[:] = self.result.x
        if not (np.isfinite(self.loss) and np.isfinite(self.theta).all()):
            self.checkpoint.restore(self.objective.recorder)
            self.divergence = self.n_iter + 1, self.loss, LAST_GOOD if self.n_iter else INITIAL


def train_output_layer(run, network, training_set, alpha, listeners):
    """Train the output layer alone, from zero weights, while the layers below stay as they are.

    If the loss is convex in the weights, this finds its minimum. If training diverges, the weights
    stay as they were.

    Parameters
    ----------
    run : callable, from `threads`
    network : Network
    training_set : TrainingSet
    alpha : float
        See `LbfgsObjective`.
    listeners : sequence of Listener

    Returns
    -------
    LbfgsTask
    """
    layer = network.output_layer()
    before = Snapshot(layer.theta)
    layer.theta[:] = 0
    samples = training_set.of_output_layer(run, network)
    trained = layer.astype(samples.data.dtype)
    objective = LbfgsObjective(run, trained, samples, alpha, None)
    task = LbfgsTask(objective, layer, *OUTPUT_LAYER_LIMITS, None, before, 0)
    task.stage, task.is_preparation = "output layer", True
    task.name = f"{task.stage}, {task.unit}"
    task.train(listeners)
    return task


def is_steep(result, tol):
    """Whether L-BFGS-B stopped although the gradient is still large.

    The gradient is large if the next step would reduce the loss by more than a share of it,
    estimated from the gradient. This does not depend on the units of X and y.

    Parameters
    ----------
    result : scipy.optimize.OptimizeResult
    tol : float
        A gradient with no component larger than this is never large.

    Returns
    -------
    bool
    """
    gradient = result.jac
    gain = gradient @ result.hess_inv.matvec(gradient)
    return np.abs(gradient).max() > tol and gain > LARGE_GAIN * abs(result.fun)
