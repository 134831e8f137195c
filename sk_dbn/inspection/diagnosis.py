"""The function that finds out what keeps a network or a stack from learning."""

import warnings

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sk_dbn._autoencoder import DBNAutoencoder
from sk_dbn._dbn import DBNClassifier
from sk_dbn._deep_mlp import DeepMLPRegressor
from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn.inspection.findings import SCALES, Diagnosis
from sk_dbn.inspection.fitted import hint_at_inner
from sk_dbn.inspection.history import History, resolved
from sk_dbn.inspection.problems import find_problems, without_gradient

MIN_RATE = float(np.finfo(float).tiny)  # changes no weight in float32 or float64
SCALE_WARNING = ".* is not scaled"
STILL = {"max_iter": 1, "trace": "epoch", "early_stopping": False, "verbose": 0}
KNOWN = BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor
STILL_NETWORK = {"solver": "sgd", "learning_rate": "constant", "learning_rate_init": MIN_RATE}


def diagnose(estimator, X=None, y=None):
    """Find out what keeps a network or a stack from learning, in which layers, and what helps.

    For a fitted estimator, `diagnose` reads its gradient trace and its losses. With X and y, it
    examines the state before the first update, with the gradients of one pass over X; the
    estimator itself does not change. A network that will be pre-trained cannot be examined before
    training; then its stack is examined instead.

    The scales of X and y are checked first. If a scale is bad, no other problem is reported,
    because the others may result from it, and their remedies would then do harm.

    The findings depend on thresholds. They were set in a study of healthy networks and networks
    with known problems, which the documentation describes under "Diagnosis".

    Parameters
    ----------
    estimator : BernoulliRBMStack, DBNAutoencoder, DBNClassifier or DeepMLPRegressor
        Fitted with ``trace='epoch'`` or ``'batch'``; or not fitted, with X and y.
    X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        Training data. If given, the state before training is examined, whether or not the
        estimator is fitted.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Targets, for a network.

    Returns
    -------
    diagnosis : Diagnosis
        A sequence of :class:`Finding`, empty if no problem was found.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted and X is not given.
    ValueError
        If a fitted estimator has no trace.
    TypeError
        If the estimator is none of these, for example a pipeline that contains one.

    See Also
    --------
    GradientTraceDisplay : Plots the trace.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_dbn import DBNClassifier
    >>> from sk_dbn.inspection import diagnose
    >>> X, y = load_digits(return_X_y=True)
    >>> network = DBNClassifier((30,) * 10, init="glorot_uniform", random_state=0)
    >>> diagnose(network, X / 16, y)
    DBNClassifier before training: 1 finding
      vanishing: hidden 1-..., from epoch 0 on
        seen:   derivative relative to the largest layer ...
        remedy: activation='selu', init='auto'; or ...
    """
    history = _after(estimator) if X is None else _before(estimator, X, y)
    subject = type(history.estimator).__name__ + ("" if X is None else " before training")
    with np.errstate(over="ignore", invalid="ignore"):  # traces of what diverged
        findings = find_problems(history)
        notes = _notes(history, {finding.kind for finding in findings})
    return Diagnosis(findings, subject, notes)


def _notes(history, kinds):
    """What the user should know besides the findings."""
    notes, layers = [], without_gradient(history)
    if kinds & SCALES:
        notes.append("other problems may result from this; scale, fit again, then diagnose again")
    elif len(layers):
        notes.append(
            f"training stopped in epoch {history.estimator.n_iter_} because the loss no longer "
            f"fell: almost no gradient reaches {history.in_words(layers)}"
        )
    if history.is_network and history.is_trained and len(history.validation_losses) == 0:
        names = "X_val" if isinstance(history.estimator, DBNAutoencoder) else "X_val and y_val"
        notes.append(
            f"overfitting was not checked, because there were no validation samples: pass {names} "
            "to fit"
        )
    return notes


def _after(estimator):
    """The history of a fitted estimator."""
    if isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise NotFittedError(
            f"This {type(estimator).__name__} instance is not fitted yet. Call 'fit', or pass X "
            "and y to examine it before training."
        ) from error
    return History(estimator)


def _before(estimator, X, y):
    """The state before the first update: that of a copy, trained with a rate of almost zero."""
    if not isinstance(estimator, KNOWN):
        hint = hint_at_inner(estimator)
        *names, last = [cls.__name__ for cls in KNOWN]
        raise TypeError(
            f"diagnose needs a {', '.join(names)} or {last} to examine before training, got "
            f"{type(estimator).__name__}{hint}"
            f"{', and X as that estimator receives it' if hint else ''}."
        )
    parameters = estimator.get_params(deep=False)
    if isinstance(estimator, BernoulliRBMStack):
        copy = clone(estimator).set_params(**STILL, learning_rate=MIN_RATE)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", SCALE_WARNING)  # it is a finding
            copy.fit(X)
        return History(copy, False, parameters)
    copy = clone(estimator).set_params(**STILL, **STILL_NETWORK)
    stack = parameters["pretrainer"]
    is_auto = isinstance(stack, str)
    stack = BernoulliRBMStack() if is_auto else stack
    if isinstance(stack, BernoulliRBMStack):
        still = clone(stack).set_params(**STILL, learning_rate=MIN_RATE)
        if is_auto:
            copy._auto_stack = lambda: still  # `fit` decides whether to use it
        else:
            copy.set_params(pretrainer=still)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it should not converge
        warnings.filterwarnings("ignore", "Parameters that have no effect")  # with solver='sgd'
        warnings.filterwarnings("ignore", SCALE_WARNING)  # it is a finding
        copy.fit(X, y)
    if copy.pretrainer_ is None or not isinstance(stack, BernoulliRBMStack):
        copy.set_params(**{name: parameters[name] for name in ("early_stopping", *STILL_NETWORK)})
        copy._resolve_automatic(copy.t_, incremental=False)
        return History(copy, False, parameters | resolved(copy))
    rate = stack.get_params()["learning_rate"]
    return History(copy.pretrainer_, False, copy.pretrainer_.get_params() | {"learning_rate": rate})
