"""What to change about what was found, in parameters of the estimator.

Each function returns words, what is most likely to help first, and a dict for `set_params`, empty
where no parameter is the remedy.
"""

import numpy as np

from sk_dbn._scaling import feature_remedy, target_remedy

USUAL_STEP = 0.005  # norm of a first step over that of the weights
SMALL, LARGE = 0.5, 2.0  # first weights over those of init='auto'
DEFAULT_RATE = 0.1  # of a stack
SHRUNK = 0.1  # last weights over first
RANKS = 0.95  # loss over that of a constant
DEFAULT_ALPHA, LARGE_ALPHA = 0.0001, 100.0
LARGE_DROPOUT = 0.5
SCALE = "scale X with StandardScaler or MinMaxScaler, in a pipeline before it"


def scale_of_X(history):
    """A scaler before the estimator, whose parameters cannot help."""
    if history.estimator._input_scales.is_constant:
        return "none: X has the same values in every sample", {}
    return feature_remedy(history.estimator), {}


def scale_of_y(history):
    """A scaler around the estimator."""
    return target_remedy(history.estimator), {}


def no_better(history, in_training):
    """What holds the weights, or larger steps; nothing where there is nothing to be learned."""
    targets = history.estimator._target_scales
    if len(getattr(history.estimator, "classes_", "ab")) == 1 or (
        targets is not None and targets.is_constant
    ):
        return "none: y has one value only", {}
    if not in_training:
        return "none in the parameters: what was learned does not hold for other rows", {}
    losses = history.losses
    if (
        history.is_classifier
        and len(losses)
        and losses[-1] < RANKS * history.baseline.constant_loss
    ):
        words = "none by this score, but the loss is better than a constant's: predict_proba tells "
        return words + "samples apart, which roc_auc or average_precision measure", {}
    if history.shrinkage < SHRUNK or history.parameters["alpha"] > LARGE_ALPHA:
        return _advice(history, {"alpha": DEFAULT_ALPHA})
    if np.max(history.parameters["dropout"]) > LARGE_DROPOUT:
        return _advice(history, {"dropout": 0.0})
    return _advice(history, _larger_rate(history), "larger max_iter", "smaller batch_size")


def equal_units(history):
    """Weights that chance makes different."""
    return _advice(history, {"init": "auto"}, afresh=True)


def vanishing(history, layers):
    """Usual weights, or units that pass derivatives on."""
    is_small = history.gain[: history.n_hidden].min() < SMALL
    if is_small and "logistic" not in history.activations:
        return _advice(history, {"init": "auto"}, _shortcut(history), "fewer hidden_layer_sizes")
    if set(history.activations) == {"selu"}:
        return _advice(history, {}, _shortcut(history), "fewer hidden_layer_sizes")
    change = {"activation": "selu", "init": "auto"}
    pretrained = None
    if set(history.activations) <= {"logistic", "tanh"} and not history.is_pretrained:
        pretrained = "pretrainer=BernoulliRBMStack()"
    return _advice(
        history, change, _shortcut(history), pretrained, "fewer hidden_layer_sizes", afresh=True
    )


def exploding(history, layers):
    """Usual weights; else smaller steps."""
    clip = _clip(history)
    if history.gain[layers].max() > LARGE:
        return _advice(history, {"init": "auto"}, clip, afresh=True)
    return _advice(history, smaller_rate(history), clip, _shortcut(history))


def saturated(history, layers, from_the_start):
    """Usual weights, a usual scale of X, or smaller steps."""
    if not from_the_start:
        return _advice(history, smaller_rate(history), "activation='relu'")
    if history.gain[layers].max() > LARGE:
        return _advice(history, {"init": "auto"}, afresh=True)
    return _advice(history, {}, SCALE)


def dead(history, epoch):
    """Usual weights where units were never alive; else smaller steps."""
    leaky = "activation='leaky_relu'" if history.is_network else None
    if epoch > 0 or not history.is_network:
        return _advice(history, smaller_rate(history), leaky)
    if isinstance(history.parameters["init"], str) and history.parameters["init"] == "auto":
        return _advice(history, {"activation": "leaky_relu"}, SCALE)
    return _advice(history, {"init": "auto"}, leaky, afresh=True)


def unstable(history):
    """Smaller steps."""
    warmup = _warmup(history)
    return _advice(history, smaller_rate(history), warmup, "larger batch_size")


def diverged(history):
    """Smaller steps, and numbers of a usual size."""
    clip = _clip(history)
    scale = SCALE
    if history.is_network and not hasattr(history.estimator, "classes_"):
        scale = "scale X and y, with StandardScaler and TransformedTargetRegressor"
    if history.gain.max() > LARGE and not history.is_pretrained:
        return _advice(history, {"init": "auto"}, clip, scale, afresh=True)
    return _advice(history, smaller_rate(history), clip, scale)


def stalled(history):
    """Weights that are not zero, or larger steps."""
    if history.has_zero_layer:
        return _advice(history, {"init": "auto"}, afresh=True)
    return _advice(history, _larger_rate(history), "larger max_iter", "smaller batch_size")


def overfitting(history):
    """To stop in time, or hold weights and units back."""
    alpha = max(10 * history.parameters["alpha"], 0.001)
    smaller = "smaller hidden_layer_sizes"
    if not history.has_steps:  # which neither of the others works with
        return _advice(history, {"alpha": alpha}, smaller)
    dropout = _if_there(history, "dropout", "dropout=0.5")
    return _advice(history, {"early_stopping": True}, f"alpha={alpha:g}", dropout, smaller)


def smaller_rate(history):
    """A learning rate with which first steps are of a usual size, and a third at most.

    For a stack that is the default, or a tenth where the rate is not far above it.

    Parameters
    ----------
    history : History

    Returns
    -------
    dict
    """
    if not history.is_network:
        rate = np.asarray(history.parameters["learning_rate"], dtype=float)
        return {
            "learning_rate": np.where(rate > 3 * DEFAULT_RATE, DEFAULT_RATE, rate / 10).tolist()
        }
    if not history.has_steps:
        return {}
    present = history.parameters["learning_rate_init"]
    return {"learning_rate_init": _round(min(_usual_rate(history), present / 3))}


def _larger_rate(history):
    """A learning rate with which first steps are of a usual size, at least three times as large."""
    if not history.is_network:
        return {"learning_rate": DEFAULT_RATE}
    present = history.parameters["learning_rate_init"]
    return {"learning_rate_init": _round(max(_usual_rate(history), 3 * present))}


def _usual_rate(history):
    """The learning rate of a network whose largest first step is USUAL_STEP."""
    steps = history.first_steps
    largest = np.nanmax(steps, initial=0.0)
    present = history.parameters["learning_rate_init"]
    return present * USUAL_STEP / largest if largest > 0 else present


def _round(x):
    """x to one digit."""
    return float(f"{x:.0e}")


def _if_there(history, parameter, words):
    """Words that name a parameter, if the estimator has it."""
    return words if parameter in history.parameters else None


def _shortcut(history):
    """Connections that pass layers by, where there may be such and are none."""
    words = "shortcut=True"
    if history.is_pretrained:
        words += ", pretrainer=None"
    has_some = history.parameters.get("shortcut")
    return None if has_some else _if_there(history, "shortcut", words)


def _clip(history):
    """A bound on the gradient; where there is one, a tenth of it."""
    bound = history.parameters.get("clip_norm")
    bound = 1.0 if bound is None else bound / 10
    return _if_there(history, "clip_norm", f"clip_norm={bound:g}")


def _warmup(history):
    """Small steps at first, where they are not small yet."""
    has_some = history.parameters.get("warmup_epochs")
    return None if has_some else _if_there(history, "warmup_epochs", "warmup_epochs=5")


def _advice(history, change, *others, afresh=False):
    """Words and parameters; afresh: they have no effect on weights that a stack has made."""
    if afresh and change and history.is_pretrained:
        change = change | {"pretrainer": None}
    first = ", ".join(f"{name}={value!r}" for name, value in change.items())
    return "; or ".join(filter(None, [first, *others])), change
