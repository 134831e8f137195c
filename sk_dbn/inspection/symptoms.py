"""By which numbers it is recognised what keeps a network or a stack from learning.

Each function looks for one thing in a History and returns its Finding, or None.
"""

import numpy as np

from sk_dbn._scaling import (
    feature_words,
    off_scale_features,
    off_scale_outputs,
    target_words,
)
from sk_dbn.inspection import remedies
from sk_dbn.inspection.findings import Finding
from sk_dbn.inspection.history import latest, typical
from sk_dbn.models.initialisers import FACTS

# Where health ends: between what examples/diagnosis_study.py finds in healthy networks and in sick
# ones. The numbers behind each are in docs/diagnosis.rst.
VANISHING = 1e-3  # derivative that comes back to a layer, over the largest
RECOVERED = 1e-2  # the same, from where on it no longer counts as vanishing
LEARNED = 0.1  # last loss over the first, below which a network has learned after all
EXPLODING = 10.0  # growth of activations or derivatives over all hidden layers
SATURATED = 0.75  # share of activations at the ends of their range
DEAD = 0.65  # share of units that say the same for every row
STALLED = 2e-5  # norm of a step over that of the weights, where 1e-3 is usual
UNSTABLE = 0.2  # the same of a network in its first epoch
UNSTABLE_OUTPUT = 0.5  # of the output's very first step, which is long until it knows y's mean
UNSTABLE_MACHINE = 0.05  # the same of a machine of 0/1 units, mean over training; of others twice
RISEN = 0.25  # divergence of a reconstruction above its least, over what it had fallen
FEW_NATS = 0.1  # divergences that make no difference
EQUAL = 1e-3  # difference of units over their weights; rounding makes it 1e-7, chance 1
WORSE = 1.0  # rise of the loss over its first value
OVERFITTED = 0.1  # rise of the loss of validation rows over its least value
LOST = 0.05  # how far their score has fallen from its best

NO_GAIN = 0.01  # share of what could be gained over a constant prediction

LARGE = 2.0  # first weights over those of init='auto'


def scale_of_X(history):
    """Features that are large, far from zero, or small, beside what first weights are made for."""
    scales = getattr(history.estimator, "_input_scales", None)
    if scales is None:
        return None
    if scales.is_constant:
        evidence = {"largest standard deviation": float(scales.std.max())}
        remedy = remedies.scale_of_X(history)
        return Finding("scale of X", (), "all features", 0.0, evidence, *remedy)
    columns, what = off_scale_features(history.estimator)
    if not columns:
        return None
    evidence = {
        "large": {"root mean square of X": scales.size},
        "far from zero": {"mean over standard deviation": scales.distance},
        "small": {"root mean square of X": scales.size},
    }.get(what, {"smallest standard deviation": scales.std[columns[0]]})
    evidence = {name: float(value) for name, value in evidence.items()}
    where = feature_words(history.estimator, columns)
    return Finding("scale of X", (), where, 0.0, evidence, *remedies.scale_of_X(history))


def scale_of_y(history):
    """Targets that are large, far from zero, or small."""
    columns = off_scale_outputs(history.estimator)
    if not columns:
        return None
    scales = history.estimator._target_scales
    evidence = {
        "mean": float(scales.mean[columns[0]]),
        "standard deviation": float(scales.std[columns[0]]),
    }
    where = target_words(history.estimator, columns)
    return Finding("scale of y", (), where, 0.0, evidence, *remedies.scale_of_y(history))


def no_better(history):
    """Predictions that are no better than the mean, or the most frequent class."""
    baseline = history.baseline
    if baseline is None:
        return None
    pairs = {"training rows": (baseline.score, baseline.constant_score)}
    scores = history.validation_scores
    if len(scores):
        is_best = history.parameters["early_stopping"] and history.has_steps
        score = np.nanmax(scores, initial=-np.inf) if is_best else scores[-1]
        pairs["validation rows"] = score, baseline.constant_validation_score
    for rows, (score, constant) in pairs.items():
        if not score - constant > NO_GAIN * (1 - constant):
            evidence = {f"score of {rows}": float(score), "of a constant": float(constant)}
            remedy = remedies.no_better(history, rows == "training rows")
            kind, epoch = "no better than a constant", float(history.trace.epoch[-1])
            return Finding(kind, (), rows, epoch, evidence, *remedy)
    return None


def equal_units(history):
    """Hidden layers whose units begin as one, get equal gradients, and so stay one."""
    if not history.is_trained and np.ravel(history.parameters["dropout"])[-1] > 0:
        return None  # which leaves out one unit and not another, and so makes them different
    hidden = slice(history.n_hidden)
    has_weights = history.trace.weight_norm[-1, hidden] > 0
    has_weights |= not history.is_network  # those of a network stay zero where it stalls
    has_many = np.array([fan_out for _, fan_out in history.shapes[hidden]]) > 1
    differences = history.differences
    layers = np.flatnonzero((differences < EQUAL) & has_weights & has_many)
    if len(layers) == 0:
        return None
    evidence = {"difference of units over their weights": differences[layers].max()}
    remedy = remedies.equal_units(history)
    return _finding(history, "equal units", layers, 0.0, evidence, remedy)


def without_gradient(history):
    """Hidden layers that no gradient arrives in, where training stopped without a gain for it.

    Parameters
    ----------
    history : History

    Returns
    -------
    int ndarray
    """
    if not history.has_stopped or no_better(history) is None:
        return np.empty(0, dtype=int)
    return np.flatnonzero(latest(history.returned) < VANISHING)


def vanishing(history):
    """Derivatives that all but vanish on their way back through the layers."""
    if not history.is_network or history.n_hidden < 2 or history.has_zero_layer:
        return None
    returned = history.returned
    at_first = returned[0]
    if unstable(history) is None:
        # Where targets are balanced, the mean over all rows may cancel, that over a minibatch not.
        at_first = np.fmin(at_first, returned[min(1, len(returned) - 1)])
    is_small = at_first < VANISHING
    silent = np.flatnonzero(_silent(history))
    is_small[: silent.max(initial=-1) + 1] = False  # units that are zero let nothing pass
    layers = np.flatnonzero(is_small)
    if len(layers) == 0 or (_has_learned(history) and (latest(returned) > RECOVERED).all()):
        return None
    evidence = {"derivative over the largest layer's": at_first[layers].min()}
    return _finding(
        history, "vanishing", layers, 0.0, evidence, remedies.vanishing(history, layers)
    )


def exploding(history):
    """Activations that grow from layer to layer, or derivatives on their way back."""
    if not history.is_network or history.n_hidden < 2:
        return None
    growth = history.growth
    lasting = np.fmin(growth[0], typical(growth))
    is_held = history.parameters["clip_norm"] is not None and _has_learned(history)
    if is_held or not (lasting > EXPLODING).any():
        return None
    layers = np.flatnonzero(history.gain[: history.n_hidden] > LARGE)
    layers = layers if len(layers) else np.flatnonzero(lasting > EXPLODING)
    evidence = {
        "growth over the layers": np.nanmax(growth[0]),
        "first weights over those of init='auto'": history.gain[layers].max(),
    }
    return _finding(
        history, "exploding", layers, 0.0, evidence, remedies.exploding(history, layers)
    )


def saturated(history):
    """Activations at the ends of their range, from the start on or since."""
    shares = history.trace.saturated_fraction[:, : history.n_hidden]
    at_first = np.fmin(shares[0], typical(shares)) > SATURATED
    since = latest(shares) > SATURATED
    # Units that a machine has learned may be sure, and those of a network that learned.
    at_first &= not history.is_pretrained
    if not history.is_network or not history.is_trained or _has_learned(history):
        since[:] = False
    since &= ~history.is_frozen[: history.n_hidden]
    layers = np.flatnonzero(at_first | since)
    if len(layers) == 0:
        return None
    seen = shares[:, layers]
    evidence = {"saturated fraction": np.fmax(seen[0], latest(seen)).max()}
    epoch = _first_epoch(history, seen[:, 0] > SATURATED)
    remedy = remedies.saturated(history, layers, bool(at_first.any()))
    return _finding(history, "saturated units", layers, epoch, evidence, remedy)


def dead(history):
    """Units that say the same for every row; of a network, rectified linear ones."""
    if history.has_zero_layer or not (history.is_network or history.is_trained):
        return None  # the units' silence comes from that; a machine's first weights are small
    shares = history.trace.dead_fraction[:, : history.n_hidden]
    can_die = [FACTS[name].can_die or not history.is_network for name in history.activations]
    matters = history.branches[: history.n_hidden] == 1  # beside a shortcut the dead stop nothing
    matters &= ~history.is_frozen[: history.n_hidden]
    layers = np.flatnonzero(np.array(can_die, dtype=bool) & matters & (latest(shares) > DEAD))
    if len(layers) == 0:
        return None
    seen = shares[:, layers]
    evidence = {"dead fraction": latest(seen).max()}
    epoch = _first_epoch(history, seen[:, 0] > DEAD)
    return _finding(history, "dead units", layers, epoch, evidence, remedies.dead(history, epoch))


def unstable(history):
    """Steps that are too large for the weights, or for a machine to keep what it learned."""
    if history.is_network:
        return _unstable_network(history)
    if not history.is_trained:
        return None
    divergence, steps = history.trace.reconstruction_kl, history.mean_steps
    least = np.nanmin(divergence, axis=0)
    risen = latest(divergence, np.min) - least
    share = risen / (divergence[0] - least + FEW_NATS)
    # The statistics of units with twice the range of 0/1, and so their steps, are twice as large.
    ranges = np.array([1.0 if name == "logistic" else 2.0 for name in history.activations])
    layers = np.flatnonzero((share > RISEN) | (steps > UNSTABLE_MACHINE * ranges))
    if len(layers) == 0:
        return None
    epoch = history.trace.epoch[np.nanargmin(divergence[:, layers[0]])]
    evidence = {
        "step over weights": np.nanmax(steps[layers]),
        "nats above the least divergence": risen[layers].max(),
    }
    return _finding(
        history, "unstable step size", layers, epoch, evidence, remedies.unstable(history)
    )


def _unstable_network(history):
    """The same of a network, by its first steps."""
    if not history.has_steps:
        return None
    steps = history.first_steps * history.first_share
    bounds = np.where(np.arange(len(steps)) < history.n_hidden, UNSTABLE, UNSTABLE_OUTPUT)
    is_large = steps > bounds
    if history.is_trained:
        is_large |= history.early_steps > UNSTABLE
        steps = np.fmax(steps, history.early_steps)
    layers = np.flatnonzero(is_large)
    if len(layers) == 0:
        return None
    evidence = {"step over weights in the first epoch": steps[layers].max()}
    return _finding(
        history, "unstable step size", layers, 0.0, evidence, remedies.unstable(history)
    )


def diverged(history):
    """Numbers that left their range, or a loss that ends far above where it began."""
    if not history.is_trained:
        return None
    if not history.is_network:
        layers = np.flatnonzero(np.array(history.estimator.n_iter_) == 0)
        evidence = {"epochs completed": 0}
        remedy = remedies.diverged(history)
        return _finding(history, "diverged", layers, 1.0, evidence, remedy) if len(layers) else None
    trace, losses = history.trace, history.losses
    risen = (losses[-1] - losses[0]) / abs(losses[0]) if len(losses) else np.inf
    if np.ceil(trace.epoch[-1]) <= len(losses) and not risen > WORSE:
        return None
    is_finite = np.isfinite(np.hypot(trace.weight_norm, trace.weight_grad_norm)[-1])
    layers = np.flatnonzero(~is_finite & ~history.is_frozen)
    evidence = {"epochs completed": len(losses)}
    if len(losses):
        evidence["rise of the loss"] = risen
    epoch, remedy = np.ceil(trace.epoch[-1]), remedies.diverged(history)
    return _finding(history, "diverged", layers, epoch, evidence, remedy)


def stalled(history):
    """Layers that do not move, in a network that has not learned without them."""
    if not history.has_steps or _has_learned(history):
        return None
    if history.is_trained:
        steps = history.mean_steps
    elif history.is_network:
        steps = history.first_steps
    else:
        return None
    # Weights of zero have no ratio; without a gradient they stay what they are.
    is_stuck = (history.trace.weight_norm == 0).all(axis=0)
    is_stuck &= (history.trace.weight_grad_norm == 0).all(axis=0)
    is_slow = is_stuck | (steps < STALLED)
    is_passed = history.branches < 1  # by a shortcut: these may rest while the others learn
    is_slow[is_passed] &= is_slow[~is_passed].any()
    layers = np.flatnonzero(is_slow)
    if len(layers) == 0:
        return None
    evidence = {"step over weights": np.where(is_stuck, 0.0, steps)[layers].min()}
    return _finding(history, "stalled layer", layers, 0.0, evidence, remedies.stalled(history))


def overfitting(history):
    """A loss of validation rows that rises again while their score falls."""
    losses, scores = history.validation_losses, history.validation_scores
    returns = history.parameters["early_stopping"] and history.has_steps
    if len(losses) == 0 or returns:  # to the best epoch
        return None
    risen, lost = (losses[-1] - losses.min()) / abs(losses.min()), np.nanmax(scores) - scores[-1]
    if risen <= OVERFITTED or not lost > LOST:
        return None
    epoch = int(losses.argmin()) + 1
    evidence = {"rise of the validation loss": risen, "score lost": lost}
    return _finding(history, "overfitting", [], epoch, evidence, remedies.overfitting(history))


def _finding(history, kind, layers, epoch, evidence, remedy):
    """A Finding in plain numbers."""
    layers = tuple(int(layer) for layer in layers)
    numbers = {name: float(value) for name, value in evidence.items()}
    return Finding(kind, layers, history.in_words(layers), float(epoch), numbers, *remedy)


def _silent(history):
    """Which hidden layers are zero for every row before the first update."""
    trace = history.trace
    return (np.hypot(trace.activation_mean, trace.activation_std)[0] == 0)[: history.n_hidden]


def _has_learned(history):
    """Whether the loss has come down to a small part of what it was."""
    losses = history.losses
    return len(losses) > 0 and losses[-1] < LEARNED * losses[0]  # which is not below zero


def _first_epoch(history, is_seen):
    """The epoch of the first row in which something is seen."""
    rows = np.flatnonzero(is_seen)
    return history.trace.epoch[rows[0]] if len(rows) else 0.0
