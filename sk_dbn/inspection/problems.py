"""The problems that keep a network or a stack from learning.

For each there is a function that looks for it in a History. It returns None, or what a Finding
consists of apart from its kind. `PROBLEMS` lists them all.
"""

import numpy as np
from sklearn.base import is_regressor

from sk_dbn._scaling import (
    feature_remedy,
    feature_words,
    off_scale_features,
    off_scale_outputs,
    target_remedy,
    target_words,
)
from sk_dbn.inspection.findings import SCALES, Finding
from sk_dbn.inspection.history import finite, latest, ratio, typical
from sk_dbn.models.initialisers import FACTS
from sk_dbn.models.loop import Patience
from sk_dbn.models.schedules import RISING_SHARE, Schedule

# Thresholds between the healthy and the sick networks of examples/diagnosis_study.py. The numbers
# behind them are in docs/diagnosis_study.rst.
VANISHING = 1e-3  # derivative at a layer over the largest of all layers
RECOVERED = 1e-2  # the same, above which it no longer counts as vanishing
LEARNED = 0.1  # last loss over the first, below which a network has learned in spite of a problem
EXPLODING = 10.0  # growth of activations or derivatives over all hidden layers
LARGE, SMALL = 2.0, 0.5  # norm of initial weights over that of init='auto'
SATURATED = 0.75  # share of activations at the ends of their range
DEAD = 0.65  # share of units with the same output for every sample
STALLED = 2e-5  # norm of a step over the norm of the weights, which is usually 1e-3
UNSTABLE = 0.2  # the same, in the first epoch of a network
UNSTABLE_OUTPUT = 0.5  # the same, in the first step of the output, which is long at first
UNSTABLE_RBM = 0.05  # the same, mean over training, of an RBM of 0/1 units; twice that for others
RISEN = 0.25  # rise of a reconstruction's divergence above its minimum, over its fall before
FEW_NATS = 0.1  # a negligible divergence
EQUAL = 1e-3  # difference of units over their weights; 1e-7 by rounding, about 1 if random
WORSE = 1.0  # rise of the loss over its first value
OVERFITTED = 0.1  # rise of the validation loss over its minimum
LOST = 0.05  # fall of the validation score below its maximum, as a share of the scores' range
NO_GAIN = 0.01  # share of the possible gain over a constant prediction
HALF_GAIN = 0.5  # the same on training samples, below which dropout may be the reason
SMALL_GAIN = 0.2  # the same, below which the penalty may be
TRAINED = 0.3  # sum of the norms of all steps over that of the weights
SIGNAL = 0.25  # share of the outputs' variance under dropout that is between samples
MISLED = 0.05  # score that is lost without dropout, as a share of the possible gain
UNUSED = 0.2  # the same of the score that a linear model reaches from the first hidden layer
KEPT = 0.4  # norm of last weights over that of the first, in the layer that shrank least
HELD = 1.5  # norm of the penalty's gradient over that of the loss

# For the remedies.
USUAL_STEP = 0.005  # norm of a first step over the norm of the weights
STACK_RATE = 0.1  # default learning rate of a stack
SHRUNK = 0.1  # norm of the last weights over that of the first
RANKS = 0.95  # loss over that of a constant prediction
DEFAULT_ALPHA, LARGE_ALPHA = 0.0001, 100.0
LARGE_DROPOUT = 0.5
UPDATES = 100  # of an epoch, to average its learning rates
SCALE = "scale X with StandardScaler or MinMaxScaler, in a pipeline before it"


def scale_of_X(history):
    """Features that are large, far from zero or small, compared with what `init` expects."""
    estimator = history.estimator
    scales = getattr(estimator, "_input_scales", None)
    if scales is None:
        return None
    if scales.is_constant:
        evidence = {"largest standard deviation": scales.std.max()}
        remedy = "none: X has the same values in every sample", {}
        return _found(history, (), 0.0, evidence, remedy, where="all features")
    columns, what = off_scale_features(estimator)
    if not columns:
        return None
    evidence = {
        "large": {"root mean square of X": scales.size},
        "far from zero": {"mean over standard deviation": scales.distance},
        "small": {"root mean square of X": scales.size},
    }.get(what, {"smallest standard deviation": scales.std[columns[0]]})
    where, remedy = feature_words(estimator, columns), (feature_remedy(estimator), {})
    return _found(history, (), 0.0, evidence, remedy, where)


def scale_of_y(history):
    """Targets that are large, far from zero or small."""
    estimator = history.estimator
    columns = off_scale_outputs(estimator)
    if not columns:
        return None
    scales, worst = estimator._target_scales, columns[0]
    evidence = {"mean": scales.mean[worst], "standard deviation": scales.std[worst]}
    where, remedy = target_words(estimator, columns), (target_remedy(estimator), {})
    return _found(history, (), 0.0, evidence, remedy, where)


def equal_units(history):
    """Hidden layers whose units are equal at first, get equal gradients and so remain equal."""
    if not history.is_trained and np.ravel(history.parameters["dropout"])[-1] > 0:
        return None  # dropout makes units different
    hidden = slice(history.n_hidden)
    has_weights = history.trace.weight_norm[-1, hidden] > 0
    has_weights |= not history.is_network  # zero weights of a network are a stalled layer
    has_many = np.array([fan_out for _, fan_out in history.shapes[hidden]]) > 1
    differences = unit_differences(history)
    layers = np.flatnonzero((differences < EQUAL) & has_weights & has_many)
    if len(layers) == 0:
        return None
    evidence = {"difference of units relative to their weights": differences[layers].max()}
    return _found(history, layers, 0.0, evidence, _usual_weights(history))


def unit_differences(history):
    """How much the units of each hidden layer differ, 0 if they are all the same: (n_hidden,).

    The distance of incoming weights, biases or outgoing weights from their mean over the units,
    divided by their norm; the largest of the three.
    """

    def difference(units):
        size = np.linalg.norm(units)
        return np.linalg.norm(units - units.mean(axis=0)) / size if size else 0.0

    of_hidden = "intercepts_" if history.is_network else "intercepts_hidden_"
    coefs, biases = history.estimator.coefs_, getattr(history.estimator, of_hidden)
    return np.array(
        [
            max(map(difference, (coefs[i].T, biases[i], *coefs[i + 1 : i + 2])))
            for i in range(history.n_hidden)
        ]
    )


def exploding(history):
    """Activations that grow from layer to layer, or derivatives that grow on the way back."""
    if not history.is_network or history.n_hidden < 2:
        return None
    growth = growth_over_layers(history)
    lasting = np.fmin(growth[0], typical(growth))
    is_held = history.parameters["clip_norm"] is not None and _has_learned(history)
    if is_held or not (lasting > EXPLODING).any():
        return None
    layers = np.flatnonzero(history.gain[: history.n_hidden] > LARGE)
    layers = layers if len(layers) else np.flatnonzero(lasting > EXPLODING)
    gain, clip = history.gain[layers].max(), _clip(history)
    evidence = {
        "growth over the layers": np.nanmax(growth[0]),
        "initial weights relative to init='auto'": gain,
    }
    remedy = _advice(history, _smaller_rate(history), clip, _shortcut(history))
    if gain > LARGE:
        remedy = _usual_weights(history, clip)
    return _found(history, layers, 0.0, evidence, remedy)


def growth_over_layers(history):
    """Growth from one end of the hidden layers to each of them, by row.

    The growth of activations (root mean square) from the first layer forward, or of derivatives
    from the last layer back, whichever is larger.
    """
    rms, sizes = (x[:, : history.n_hidden] for x in (history.rms, history.derivatives))
    rms = finite(rms)
    return np.fmax(ratio(rms, rms[:, :1]), ratio(sizes, sizes[:, -1:]))


def vanishing(history):
    """Derivatives that almost vanish on the way back through the layers."""
    if not history.is_network or history.n_hidden < 2 or history.has_zero_layer:
        return None
    relative = relative_derivatives(history)
    at_first = relative[0]
    if unstable(history) is None:
        # If targets are balanced, derivatives cancel over all samples, but not in a minibatch.
        at_first = np.fmin(at_first, relative[min(1, len(relative) - 1)])
    is_small = at_first < VANISHING
    silent = np.flatnonzero(history.rms[0, : history.n_hidden] == 0)
    is_small[: silent.max(initial=-1) + 1] = False  # no gradient passes units that are all zero
    layers = np.flatnonzero(is_small)
    if len(layers) == 0 or (_has_learned(history) and (latest(relative) > RECOVERED).all()):
        return None
    evidence = {"derivative relative to the largest layer": at_first[layers].min()}
    return _found(history, layers, 0.0, evidence, _remedy_of_vanishing(history))


def _remedy_of_vanishing(history):
    """Usual initial weights, or an activation that passes derivatives on."""
    others = _shortcut(history), "fewer hidden_layer_sizes"
    is_small = history.gain[: history.n_hidden].min() < SMALL
    if is_small and "logistic" not in history.activations:
        return _advice(history, {"init": "auto"}, *others)
    if set(history.activations) == {"selu"}:
        return _advice(history, {}, *others)
    pretrained = None
    if set(history.activations) <= {"logistic", "tanh"} and not history.is_pretrained:
        pretrained = "pretrainer=BernoulliRBMStack()"
    change = {"activation": "selu", "init": "auto"}
    return _advice(history, change, others[0], pretrained, others[1], afresh=True)


def relative_derivatives(history):
    """Derivative at each hidden layer, divided by the largest of all layers, by row."""
    sizes = history.derivatives
    return ratio(sizes, sizes.max(axis=1, keepdims=True))[:, : history.n_hidden]


def without_gradient(history):
    """Hidden layers without a gradient, if training stopped early and learned nothing.

    Parameters
    ----------
    history : History

    Returns
    -------
    int ndarray
    """
    if not _has_stopped(history) or no_better(history) is None:
        return np.empty(0, dtype=int)
    return np.flatnonzero(latest(relative_derivatives(history)) < VANISHING)


def _has_stopped(history):
    """Whether training stopped before its last epoch because the loss no longer fell.

    False if it stopped for another reason, or was continued by `partial_fit`.
    """
    losses, parameters = history.losses, history.parameters
    if not history.is_network or not history.has_steps or history.keeps_best:
        return False
    patience = Patience(parameters["n_iter_no_change"])
    for loss in losses:
        patience.improved(loss, parameters["tol"])
    is_one_fit = history.estimator.n_iter_ == len(losses)
    return patience.is_exhausted and is_one_fit and len(losses) < parameters["max_iter"]


def saturated(history):
    """Activations at the ends of their range, from the start or later."""
    shares = history.trace.saturated_fraction[:, : history.n_hidden]
    at_first = np.fmin(shares[0], typical(shares)) > SATURATED
    later = latest(shares) > SATURATED
    # Units of a trained RBM, or of a network that has learned, may be close to 0 or 1.
    at_first &= not history.is_pretrained
    if not history.is_network or not history.is_trained or _has_learned(history):
        later[:] = False
    later &= ~history.is_frozen[: history.n_hidden]
    layers = np.flatnonzero(at_first | later)
    if len(layers) == 0:
        return None
    seen = shares[:, layers]
    evidence = {"saturated fraction": np.fmax(seen[0], latest(seen)).max()}
    if not at_first.any():
        remedy = _advice(history, _smaller_rate(history), "activation='relu'")
    elif history.gain[layers].max() > LARGE:
        remedy = _usual_weights(history)
    else:
        remedy = SCALE, {}
    return _found(history, layers, _first_epoch(history, seen[:, 0] > SATURATED), evidence, remedy)


def unstable(history):
    """Steps that are too large for the weights, or for an RBM to keep what it has learned."""
    if not history.is_network:
        return _unstable_stack(history)
    if not history.has_steps:
        return None
    steps = history.first_steps * first_share(history)
    bounds = np.where(np.arange(len(steps)) < history.n_hidden, UNSTABLE, UNSTABLE_OUTPUT)
    is_large = steps > bounds
    if history.is_trained:
        early = _early_steps(history)
        is_large |= early > UNSTABLE
        steps = np.fmax(steps, early)
    layers = np.flatnonzero(is_large)
    if len(layers) == 0:
        return None
    evidence = {"step relative to weights in the first epoch": steps[layers].max()}
    return _found(history, layers, 0.0, evidence, _remedy_of_unstable(history))


def _unstable_stack(history):
    """The same for a stack."""
    if not history.is_trained:
        return None
    divergence, steps = history.trace.reconstruction_kl, history.mean_steps
    least = np.nanmin(divergence, axis=0)
    risen = latest(divergence, np.min) - least
    share = risen / (divergence[0] - least + FEW_NATS)
    # Units of -1 and 1 have twice the range of 0/1 units, so their steps are twice as large.
    ranges = np.array([1.0 if name == "logistic" else 2.0 for name in history.activations])
    layers = np.flatnonzero((share > RISEN) | (steps > UNSTABLE_RBM * ranges))
    if len(layers) == 0:
        return None
    epoch = history.trace.epoch[np.nanargmin(divergence[:, layers[0]])]
    evidence = {
        "step relative to weights": np.nanmax(steps[layers]),
        "nats above the minimum divergence": risen[layers].max(),
    }
    return _found(history, layers, epoch, evidence, _remedy_of_unstable(history))


def _remedy_of_unstable(history):
    """Smaller steps, at least in the first epochs."""
    has_warmup = history.parameters.get("warmup_epochs")
    warmup = None if has_warmup else _if_there(history, "warmup_epochs", "warmup_epochs=5")
    return _advice(history, _smaller_rate(history), warmup, "larger batch_size")


def first_share(history):
    """Mean learning rate of a network's first epoch, over `learning_rate_init`."""
    names = ("learning_rate", "max_iter", "warmup_epochs")
    name, max_iter, warmup = (history.parameters[x] for x in names)
    schedule = Schedule(name, 1.0, max_iter=max_iter, warmup_epochs=warmup)
    return schedule.rates(UPDATES).mean()


def _early_steps(history):
    """Largest update ratio of each layer over the epochs until the learning rate is highest.

    This is the first epoch if the rate is constant. Each epoch counts with its mean. As in
    `first_steps`, weights smaller than usual count as usual ones.
    """
    rising = 1.0
    if history.parameters["learning_rate"] == "one_cycle":
        rising += RISING_SHARE * history.parameters["max_iter"]
    epochs, ratios = np.ceil(history.trace.epoch[1:]), finite(history.trace.update_ratio[1:])
    early = np.unique(epochs[epochs <= rising])
    means = [typical(ratios[epochs == epoch], np.nanmean) for epoch in early]
    largest = np.fmax.reduce([np.full(len(history.shapes), np.nan), *means])
    return largest * np.minimum(1.0, history.gain)


def diverged(history):
    """Numbers that overflow, or a loss that ends far above its first value."""
    if not history.is_trained:
        return None
    trace, losses, epoch = history.trace, history.losses, 1.0
    if not history.is_network:
        layers = np.flatnonzero(np.array(history.estimator.n_iter_) == 0)
        if len(layers) == 0:
            return None
        evidence = {"epochs completed": 0}
    else:
        risen = (losses[-1] - losses[0]) / abs(losses[0]) if len(losses) else np.inf
        epoch = np.ceil(trace.epoch[-1])
        if epoch <= len(losses) and not risen > WORSE:
            return None
        is_finite = np.isfinite(np.hypot(trace.weight_norm, trace.weight_grad_norm)[-1])
        layers = np.flatnonzero(~is_finite & ~history.is_frozen)
        evidence = {"epochs completed": len(losses)}
        if len(losses):
            evidence["rise of the loss"] = risen
    clip, scale = _clip(history), SCALE
    if is_regressor(history.estimator):
        scale = "scale X and y, with StandardScaler and TransformedTargetRegressor"
    remedy = _advice(history, _smaller_rate(history), clip, scale)
    if history.gain.max() > LARGE and not history.is_pretrained:
        remedy = _usual_weights(history, clip, scale)
    return _found(history, layers, epoch, evidence, remedy)


def dead(history):
    """Units with the same output for every sample; in a network, only of ReLU and its relatives."""
    if history.has_zero_layer or not (history.is_network or history.is_trained):
        return None  # units are silent because of zero weights, or the small ones of a new RBM
    shares = history.trace.dead_fraction[:, : history.n_hidden]
    can_die = [FACTS[name].can_die or not history.is_network for name in history.activations]
    matters = history.branches[: history.n_hidden] == 1  # else a residual connection passes them
    matters &= ~history.is_frozen[: history.n_hidden]
    layers = np.flatnonzero(np.array(can_die, dtype=bool) & matters & (latest(shares) > DEAD))
    if len(layers) == 0:
        return None
    seen = shares[:, layers]
    epoch = _first_epoch(history, seen[:, 0] > DEAD)
    leaky = "activation='leaky_relu'" if history.is_network else None
    init = history.parameters["init"]
    if epoch > 0 or not history.is_network:
        remedy = _advice(history, _smaller_rate(history), leaky)
    elif isinstance(init, str) and init == "auto":
        remedy = _advice(history, {"activation": "leaky_relu"}, SCALE)
    else:
        remedy = _usual_weights(history, leaky)
    return _found(history, layers, epoch, {"dead fraction": latest(seen).max()}, remedy)


def stalled(history):
    """Layers whose weights hardly change, in a network that has not learned without them."""
    is_seen = history.is_trained or history.is_network
    if not is_seen or not history.has_steps or _has_learned(history):
        return None
    steps = history.mean_steps if history.is_trained else history.first_steps
    # Weights of zero have no update ratio; without a gradient they stay zero.
    is_stuck = (history.trace.weight_norm == 0).all(axis=0)
    is_stuck &= (history.trace.weight_grad_norm == 0).all(axis=0)
    # Layers with a lower learning rate are slow because they should be.
    is_slow = (is_stuck | (steps < STALLED * history.rate_factors)) & ~history.is_frozen
    is_passed = history.branches < 1  # by a residual connection: these may rest if others learn
    is_slow[is_passed] &= is_slow[~is_passed].any()
    layers = np.flatnonzero(is_slow)
    if len(layers) == 0:
        return None
    evidence = {"step relative to weights": np.where(is_stuck, 0.0, steps)[layers].min()}
    remedy = _faster(history)
    if history.has_zero_layer:
        remedy = _usual_weights(history)
    return _found(history, layers, 0.0, evidence, remedy)


def overfitting(history):
    """A validation loss that rises again while the validation score falls."""
    losses, scores = history.validation_losses, history.validation_scores
    if len(losses) == 0 or history.keeps_best:
        return None
    risen = (losses[-1] - losses.min()) / abs(losses.min())
    lost = (np.nanmax(scores) - scores[-1]) / history.score_range
    if risen <= OVERFITTED or not lost > LOST:
        return None
    evidence = {"rise of the validation loss": risen, "score lost": lost}
    alpha = max(10 * history.parameters["alpha"], 0.001)
    smaller = "smaller hidden_layer_sizes"
    if history.has_steps:
        dropout = _if_there(history, "dropout", "dropout=0.5")
        remedy = _advice(history, {"early_stopping": True}, f"alpha={alpha:g}", dropout, smaller)
    else:  # 'lbfgs' has neither early stopping nor dropout
        remedy = _advice(history, {"alpha": alpha}, smaller)
    return _found(history, (), int(losses.argmin()) + 1, evidence, remedy)


def too_much_dropout(history):
    """Training samples predicted badly because of dropout.

    Draws of dropout change the outputs more than samples do; or the outputs are better with dropout
    than without it; or a linear model of the first hidden layer predicts better than they do.
    """
    baseline = getattr(history.estimator, "_baseline", None)
    if baseline is None or not history.is_trained or not baseline.gain() < HALF_GAIN:
        return None
    if not path_of_training(history) > TRAINED or _starts_badly(history) or _is_held(history):
        return None  # no better without dropout
    evidence = _marks_of_dropout(baseline)
    if not evidence:
        return None
    evidence = _score_of_training(baseline) | evidence
    remedy = _advice(history, {"dropout": 0.0}, "a smaller dropout", "fewer hidden_layer_sizes")
    return _found(history, (), history.trace.epoch[-1], evidence, remedy, "training samples")


def _starts_badly(history):
    """Whether a layer is zero, dead or saturated from the start; later, dropout may be why."""
    seen = [facts for facts in (dead(history), saturated(history)) if facts is not None]
    return history.has_zero_layer or any(epoch == 0 for _, _, epoch, *_ in seen)


def _is_held(history):
    """Whether `max_norm` or a penalty has shrunk all layers that are trained.

    A penalty also shrinks weights that dropout or a vanishing gradient has made useless, but its
    gradient is then not much larger than that of the loss. A penalty without a gradient gets the
    blame.
    """
    kept = np.fmax.reduce(shrunk_weights(history)[~history.is_frozen], initial=0.0)
    pull = pull_of_penalty(history)
    is_bounded = history.parameters["max_norm"] is not None
    return kept < KEPT and (is_bounded or pull > HELD or pull == 0)


def path_of_training(history):
    """Sum of the norms of all steps over that of the weights, for the layer that moved most."""
    n_updates = history.estimator.t_ / history.parameters["batch_size"]
    return n_updates * np.fmax.reduce(history.mean_steps, initial=0.0)


def _marks_of_dropout(baseline):
    """The measurements that show that dropout is the reason for a low score."""
    score, evidence = baseline.gain(), {}
    if baseline.signal < SIGNAL:
        evidence["share of the outputs' variance not from dropout"] = max(baseline.signal, 0.0)
    if baseline.gain(baseline.score_with_dropout) > score + MISLED:
        evidence["with dropout"] = baseline.score_with_dropout
    if baseline.gain(baseline.first_layer_score) > score + UNUSED:
        evidence["of a linear model of the first hidden layer"] = baseline.first_layer_score
    return evidence


def too_strong_penalty(history):
    """Training samples predicted badly because a penalty has shrunk the weights."""
    baseline = getattr(history.estimator, "_baseline", None)
    if baseline is None or not history.is_trained or not baseline.gain() < SMALL_GAIN:
        return None
    shrinkage = shrunk_weights(history)
    layers = np.flatnonzero(shrinkage < SHRUNK)
    if len(layers) == 0 or not pull_of_penalty(history) > HELD:
        return None
    evidence = _score_of_training(baseline)
    evidence["weights relative to initial ones"] = shrinkage[layers].min()
    alpha = _round(history.parameters["alpha"] / 100)
    other = f"alpha={alpha:g}" if alpha > DEFAULT_ALPHA else None
    remedy = _advice(history, {"alpha": DEFAULT_ALPHA}, other)
    return _found(history, layers, history.trace.epoch[-1], evidence, remedy)


def shrunk_weights(history):
    """Norm of each layer's last weights over that of its first ones: (n_layers,)."""
    return ratio(history.trace.weight_norm[-1], history.trace.weight_norm[0])


def pull_of_penalty(history):
    """Norm of the L2 penalty's gradient over that of the loss, in all layers together.

    At the beginning or at the end, whichever is larger: weights that have shrunk to zero have
    little of a penalty left. A layer that no gradient of the loss reaches shrinks by any penalty,
    so layers alone would say nothing. Zero for 'adamw', whose decay is no gradient, and for
    'lbfgs', which has no minibatches.
    """
    parameters, trace = history.parameters, history.trace
    if parameters["solver"] in ("adamw", "lbfgs"):
        return 0.0
    alpha = parameters["alpha"] * (1.0 - parameters["l1_ratio"]) / parameters["batch_size"]
    gradients = np.hstack([trace.weight_grad_norm, trace.bias_grad_norm])
    norms = (np.sqrt(np.nansum(finite(x) ** 2, axis=1)) for x in (trace.weight_norm, gradients))
    return alpha * np.fmax.reduce(ratio(*norms)[[0, -1]], initial=0.0)


def _score_of_training(baseline):
    """The evidence that a network predicts training samples badly."""
    return {"score of training samples": baseline.score, "of a constant": baseline.constant_score}


def no_better(history):
    """Predictions that are no better than the mean, or than the most frequent class."""
    baseline = getattr(history.estimator, "_baseline", None)
    if baseline is None or not history.is_trained:
        return None
    pairs = {"training samples": (baseline.score, baseline.constant_score)}
    scores = history.validation_scores
    if len(scores):
        score = np.nanmax(scores, initial=-np.inf) if history.keeps_best else scores[-1]
        pairs["validation samples"] = score, baseline.constant_validation_score
    for samples, (score, constant) in pairs.items():
        if not baseline.gain(score, constant) > NO_GAIN:
            evidence = {f"score of {samples}": score, "of a constant": constant}
            remedy = _remedy_of_no_better(history, baseline, samples == "training samples")
            return _found(history, (), history.trace.epoch[-1], evidence, remedy, where=samples)
    return None


def _remedy_of_no_better(history, baseline, in_training):
    """Less regularisation or larger steps; none if there is nothing to learn."""
    estimator, parameters, losses = history.estimator, history.parameters, history.losses
    targets, classes = estimator._target_scales, getattr(estimator, "classes_", None)
    if (len(classes) == 1) if classes is not None else targets and targets.is_constant:
        return "none: y has one value only", {}
    if baseline.constant_score == baseline.perfect_score:
        return "none: all samples are equal", {}
    if not in_training:
        return "none in the parameters: what was learned does not hold for other samples", {}
    if classes is not None and len(losses) and losses[-1] < RANKS * baseline.constant_loss:
        words = "none for this score, but the loss is lower than that of a constant: predict_proba "
        return words + "separates the classes, as roc_auc or average_precision can show", {}
    least = np.fmin.reduce(shrunk_weights(history), initial=np.inf)
    if least < SHRUNK or parameters["alpha"] > LARGE_ALPHA:
        return _advice(history, {"alpha": DEFAULT_ALPHA})
    if np.max(parameters["dropout"]) > LARGE_DROPOUT:
        return _advice(history, {"dropout": 0.0})
    return _faster(history)


NO_BETTER = "no better than a constant"  # which any other problem explains
DROPOUT, PENALTY = "too much dropout", "too strong a penalty"
# Likely causes before their consequences. Each kind has the function that looks for it, and the
# kinds that are left out of a diagnosis in which it is found.
PROBLEMS = {
    "scale of X": (scale_of_X, ()),
    "scale of y": (scale_of_y, ()),
    "equal units": (
        equal_units,
        {"vanishing", "exploding", "saturated units", "dead units", "stalled layer", DROPOUT},
    ),
    "exploding": (exploding, {"vanishing", "unstable step size", DROPOUT}),
    PENALTY: (
        too_strong_penalty,
        {"vanishing", "saturated units", "unstable step size", "dead units"},
    ),
    "vanishing": (vanishing, {"dead units", "stalled layer", DROPOUT}),
    DROPOUT: (too_much_dropout, {"dead units"}),
    "saturated units": (saturated, ()),
    "unstable step size": (unstable, {DROPOUT}),
    "diverged": (diverged, {"saturated units", "dead units", DROPOUT}),
    "dead units": (dead, ()),
    "stalled layer": (stalled, {DROPOUT}),
    "overfitting": (overfitting, ()),
    NO_BETTER: (no_better, ()),
}


def find_problems(history):
    """Look for every problem.

    Parameters
    ----------
    history : History

    Returns
    -------
    list of Finding
        Without those that another one explains.
    """
    found = {kind: find(history) for kind, (find, _) in PROBLEMS.items()}
    found = {kind: facts for kind, facts in found.items() if facts is not None}
    explained = set().union(*(PROBLEMS[kind][1] for kind in found))
    if SCALES & {*found}:
        explained = {*PROBLEMS} - SCALES
    elif {*found} != {NO_BETTER}:
        explained.add(NO_BETTER)
    return [Finding(kind, *facts) for kind, facts in found.items() if kind not in explained]


def _found(history, layers, epoch, evidence, remedy, where=None):
    """The fields of a Finding after its kind, with plain numbers."""
    layers = tuple(int(layer) for layer in layers)
    numbers = {name: float(value) for name, value in evidence.items()}
    return layers, where or history.in_words(layers), float(epoch), numbers, *remedy


def _has_learned(history):
    """Whether the loss has fallen to a small part of its first value."""
    losses = history.losses
    return len(losses) > 0 and losses[-1] < LEARNED * losses[0]  # which is positive


def _first_epoch(history, is_seen):
    """The epoch of the first row in which something is seen."""
    rows = np.flatnonzero(is_seen)
    return history.trace.epoch[rows[0]] if len(rows) else 0.0


def _advice(history, change, *others, afresh=False):
    """A remedy in words and as parameters.

    With `afresh`, the parameters have no effect on weights that come from a stack, so the network
    gets no stack.
    """
    if afresh and change and history.is_pretrained:
        change = change | {"pretrainer": None}
    first = ", ".join(f"{name}={value!r}" for name, value in change.items())
    return "; or ".join(filter(None, [first, *others])), change


def _usual_weights(history, *others):
    """The initial weights of init='auto'."""
    return _advice(history, {"init": "auto"}, *others, afresh=True)


def _faster(history):
    """More or larger steps: a rate with steps of usual size, and at least three times as large."""
    if history.is_network:
        present = history.parameters["learning_rate_init"]
        change = {"learning_rate_init": _round(max(_usual_rate(history), 3 * present))}
    else:
        change = {"learning_rate": STACK_RATE}
    return _advice(history, change, "larger max_iter", "smaller batch_size")


def _smaller_rate(history):
    """A learning rate with first steps of usual size, and at most a third of the present one.

    For a stack, the default; or a tenth of the present rate if it is not far above the default.
    """
    if not history.is_network:
        rate = np.asarray(history.parameters["learning_rate"], dtype=float)
        return {"learning_rate": np.where(rate > 3 * STACK_RATE, STACK_RATE, rate / 10).tolist()}
    if not history.has_steps:
        return {}
    present = history.parameters["learning_rate_init"]
    return {"learning_rate_init": _round(min(_usual_rate(history), present / 3))}


def _usual_rate(history):
    """The learning rate with which a network's largest first step is USUAL_STEP."""
    largest = np.nanmax(history.first_steps, initial=0.0)
    present = history.parameters["learning_rate_init"]
    return present * USUAL_STEP / largest if largest > 0 else present


def _round(x):
    """x to one digit."""
    return float(f"{x:.0e}")


def _if_there(history, parameter, words):
    """Words that name a parameter, if the estimator has it."""
    return words if parameter in history.parameters else None


def _shortcut(history):
    """Residual connections, if the estimator can have them and has none."""
    words = "shortcut=True"
    if history.is_pretrained:
        words += ", pretrainer=None"
    has_some = history.parameters.get("shortcut")
    return None if has_some else _if_there(history, "shortcut", words)


def _clip(history):
    """A bound on the gradient; a tenth of the present one if there is one."""
    bound = history.parameters.get("clip_norm")
    bound = 1.0 if bound is None else bound / 10
    return _if_there(history, "clip_norm", f"clip_norm={bound:g}")
