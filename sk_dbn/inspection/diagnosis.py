"""What keeps a network or a stack from learning, and what to do about it."""

import warnings

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sk_dbn._dbn import DBNClassifier
from sk_dbn._deep_mlp import DeepMLPRegressor
from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn.inspection import symptoms
from sk_dbn.inspection.findings import KINDS, SCALES, Diagnosis
from sk_dbn.inspection.fitted import hint_at_inner
from sk_dbn.inspection.history import History, resolved

# The likely cause before what follows from it.
SYMPTOMS = (
    symptoms.scale_of_X,
    symptoms.scale_of_y,
    symptoms.equal_units,
    symptoms.exploding,
    symptoms.vanishing,
    symptoms.saturated,
    symptoms.unstable,
    symptoms.diverged,
    symptoms.dead,
    symptoms.stalled,
    symptoms.overfitting,
    symptoms.no_better,
)
# What is no finding of its own where its cause was found.
CONSEQUENCES = {
    "equal units": {"vanishing", "exploding", "saturated units", "dead units", "stalled layer"},
    "vanishing": {"dead units", "stalled layer"},
    "exploding": {"vanishing", "unstable step size"},
    "diverged": {"saturated units", "dead units"},
}
CONSEQUENCES |= {kind: {*KINDS} - SCALES for kind in SCALES}
for _kind in {*KINDS} - SCALES - {"no better than a constant"}:
    CONSEQUENCES[_kind] = CONSEQUENCES.get(_kind, set()) | {"no better than a constant"}
LEAST_RATE = float(np.finfo(float).tiny)  # moves no weight of either precision
SCALE_WARNING = ".* is not scaled"
STILL = {"max_iter": 1, "trace": "epoch", "early_stopping": False, "verbose": 0}
STILL_NETWORK = {"solver": "sgd", "learning_rate": "constant", "learning_rate_init": LEAST_RATE}


def diagnose(estimator, X=None, y=None):
    """Tell what keeps a network or a stack from learning, which layers, and what to do.

    Of a fitted estimator its gradient trace and its losses are read. One that is not fitted
    is looked at before the first update, with gradients of one pass over X; it is left as
    it is. A network that is to be pre-trained cannot be known before: of such a one the stack
    is looked at.

    The scales of X and y are looked at first. Where they are bad, nothing else is told: other
    symptoms may come from them, and their remedies then do harm.

    What is found rests on thresholds that were set by a study of some hundred networks, healthy
    and sick ones; they are named in the evidence of a finding and in the documentation.

    Parameters
    ----------
    estimator : BernoulliRBMStack, DBNClassifier or DeepMLPRegressor
        Fitted with ``trace='epoch'`` or ``'batch'``; or not fitted, with X and y.
    X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        Training data. With it the estimator is looked at before training, fitted or not.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Targets, of a network.

    Returns
    -------
    diagnosis : Diagnosis
        A sequence of :class:`Finding`, empty where nothing was found.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted and X not given.
    ValueError
        If a fitted estimator has no trace.
    TypeError
        If it is none of the three, such as a pipeline around one.

    See Also
    --------
    GradientTraceDisplay : The trace as a picture.

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
        seen:   derivative over the largest layer's ...
        remedy: activation='selu', init='auto'; or ...
    """
    history = _after(estimator) if X is None else _before(estimator, X, y)
    subject = type(history.estimator).__name__ + ("" if X is None else " before training")
    with np.errstate(over="ignore", invalid="ignore"):  # traces of what diverged
        found = [finding for symptom in SYMPTOMS if (finding := symptom(history)) is not None]
        notes = _notes(history, {finding.kind for finding in found})
    explained = set().union(*(CONSEQUENCES.get(finding.kind, ()) for finding in found))
    found = [finding for finding in found if finding.kind not in explained]
    return Diagnosis(found, subject, notes)


def _notes(history, kinds):
    """What has to be known besides the findings."""
    notes = []
    if kinds & SCALES:
        notes.append("other symptoms may come from that; scale, fit again, then diagnose again")
    lost = symptoms.without_gradient(history)
    if len(lost) and not kinds & SCALES:
        notes.append(
            f"training stopped in epoch {history.estimator.n_iter_} because the loss no longer "
            f"fell: no gradient arrives in {history.in_words(lost)}"
        )
    if history.is_network and history.is_trained and len(history.validation_losses) == 0:
        notes.append(
            "overfitting was not looked for, as there were no validation rows: give fit X_val and "
            "y_val"
        )
    return notes


def _after(estimator):
    """What training left behind, or an error that says what to give."""
    if isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise NotFittedError(
            f"This {type(estimator).__name__} instance is not fitted yet. Call 'fit', or give X "
            "and y to look at it before training."
        ) from error
    return History(estimator)


def _before(estimator, X, y):
    """The state before the first update: that of a twin whose steps move no weight."""
    if not isinstance(estimator, (BernoulliRBMStack, DBNClassifier, DeepMLPRegressor)):
        hint = hint_at_inner(estimator)
        raise TypeError(
            "diagnose needs a BernoulliRBMStack, DBNClassifier or DeepMLPRegressor to look at "
            f"before training, got {type(estimator).__name__}{hint}"
            f"{', and X as it gets there' if hint else ''}."
        )
    parameters = estimator.get_params(deep=False)
    if isinstance(estimator, BernoulliRBMStack):
        twin = clone(estimator).set_params(**STILL, learning_rate=LEAST_RATE)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", SCALE_WARNING)  # it is found
            twin.fit(X)
        return History(twin, False, parameters)
    twin = clone(estimator).set_params(**STILL, **STILL_NETWORK)
    stack = parameters["pretrainer"]
    is_auto = isinstance(stack, str)
    stack = BernoulliRBMStack() if is_auto else stack
    if isinstance(stack, BernoulliRBMStack):
        still = clone(stack).set_params(**STILL, learning_rate=LEAST_RATE)
        if is_auto:
            twin._auto_stack = lambda: still  # whether there is one, its fit decides
        else:
            twin.set_params(pretrainer=still)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is not to converge
        warnings.filterwarnings("ignore", "Parameters that have no effect")  # with its solver
        warnings.filterwarnings("ignore", SCALE_WARNING)  # it is found
        twin.fit(X, y)
    if twin.pretrainer_ is None or not isinstance(stack, BernoulliRBMStack):
        twin.set_params(**{name: parameters[name] for name in ("early_stopping", *STILL_NETWORK)})
        twin._resolve_automatic(twin.t_, incremental=False)
        return History(twin, False, parameters | resolved(twin))
    rate = stack.get_params()["learning_rate"]
    return History(twin.pretrainer_, False, twin.pretrainer_.get_params() | {"learning_rate": rate})
