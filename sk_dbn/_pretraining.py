"""Which networks a stack can start, and which fitted stacks fit a network."""

import warnings

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted

from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn._warm_start import WarmStart
from sk_dbn.models.units import HIDDEN_KINDS

# What a fitted stack can be wrapped in: its layers stay as they are, or are trained further.
WRAPPERS = (FrozenEstimator, WarmStart)

STACK_ACTIVATIONS = tuple(HIDDEN_KINDS)  # that the hidden units of a BernoulliRBMStack have


def check_pretrainer(pretrainer):
    """Check that a network can start from this, or from nothing.

    Parameters
    ----------
    pretrainer : object

    Raises
    ------
    InvalidParameterError
        A ValueError and a TypeError, if it is neither None, 'auto', a stack nor a fitted one.
    """
    is_auto = isinstance(pretrainer, str) and pretrainer == "auto"
    if pretrainer is None or is_auto or isinstance(pretrainer, (BernoulliRBMStack, *WRAPPERS)):
        return
    is_class = isinstance(pretrainer, type)
    given = f"the class {pretrainer.__name__}" if is_class else repr(pretrainer)
    raise InvalidParameterError(
        "pretrainer must be 'auto', None, a BernoulliRBMStack of sk_dbn, or WarmStart(stack) or "
        f"FrozenEstimator(stack) of a fitted one, got {given}. For pre-training set "
        "pretrainer=BernoulliRBMStack(), with parentheses, for none pretrainer=None."
    )


def is_pretrainable(hidden, activations):
    """Whether a stack of RBMs can have these layers.

    Parameters
    ----------
    hidden : list of int
        Sizes of the hidden layers.
    activations : list of str
        One for each.

    Returns
    -------
    bool
    """
    return len(set(activations)) == 1 and activations[0] in STACK_ACTIVATIONS


def check_pretrainable(hidden, activations):
    """Check that a stack of machines can have these layers.

    Parameters
    ----------
    hidden : list of int
        Sizes of the hidden layers.
    activations : list of str
        One for each.

    Raises
    ------
    ValueError
        If there is no hidden layer, or their activations are not one that a stack has.
    """
    if not hidden:
        raise ValueError(
            "hidden_layer_sizes must be positive integers, one for each layer to pre-train, got "
            "none; give one at least, or set pretrainer=None or 'auto'."
        )
    if not is_pretrainable(hidden, activations):
        raise ValueError(
            "pre-training exists for one activation in all hidden layers, one of "
            f"{list(STACK_ACTIVATIONS)}, got {activations}; set pretrainer=None to train without "
            "it, or 'auto' to leave it out where there is none."
        )


# What a stack takes over from its network, each in the form in which two are compared and shown.
TAKEN_OVER = {
    "hidden_layer_sizes": lambda sizes: tuple(np.ravel(sizes).tolist()),
    "activation": lambda name: name,
    "dtype": lambda dtype: np.dtype(dtype).name,
    "init": lambda init: init if np.isscalar(init) else "arrays",
}


def warn_of_overruled(pretrainer, stack):
    """Warn of what was set in a pretrainer and differs from the network's.

    Parameters
    ----------
    pretrainer : BernoulliRBMStack
        As the caller gave it. What it has by default was not set.
    stack : BernoulliRBMStack
        Its clone, which has what the network gave it.
    """
    default = BernoulliRBMStack()
    for name, form in TAKEN_OVER.items():
        given, taken, unset = (form(getattr(x, name)) for x in (pretrainer, stack, default))
        if given not in (taken, unset):
            warnings.warn(
                f"{name}={given!r} of the pretrainer is not used, that of the network is: "
                f"{taken!r}. Set {name} of the network, and leave it out of the pretrainer.",
                UserWarning,
            )


def warn_of_training_anew(pretrainer):
    """Warn of a fitted stack whose training would be thrown away.

    Parameters
    ----------
    pretrainer : BernoulliRBMStack
        As the caller gave it.
    """
    if hasattr(pretrainer, "coefs_"):
        warnings.warn(
            "pretrainer is a fitted BernoulliRBMStack, of which a clone is trained anew: what it "
            "has learned is not used. Pass FrozenEstimator(stack) to keep its layers as they are, "
            "WarmStart(stack) to fine-tune them, or clone(stack) to train them anew.",
            UserWarning,
        )


def fitted_stack(pretrainer, hidden, activation, n_features):
    """The fitted stack inside a wrapper, if a network can take its layers.

    Parameters
    ----------
    pretrainer : FrozenEstimator or WarmStart
    hidden : list of int
        Sizes of the network's hidden layers.
    activation : str
        Their activation.
    n_features : int
        Features of the network's input.

    Returns
    -------
    BernoulliRBMStack

    Raises
    ------
    TypeError
        If it is not a BernoulliRBMStack.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If sizes, activation or number of features differ.
    """
    stack = pretrainer.estimator
    if not isinstance(stack, BernoulliRBMStack):
        raise TypeError(
            f"pretrainer must be a {type(pretrainer).__name__} of a BernoulliRBMStack, got one of "
            f"{type(stack).__name__}."
        )
    check_is_fitted(stack)
    sizes = [W.shape[1] for W in stack.coefs_]
    if sizes != hidden:
        raise ValueError(
            f"hidden_layer_sizes must be those of the fitted pretrainer, {tuple(sizes)}, "
            f"got {tuple(hidden)}."
        )
    if stack.activation != activation:
        raise ValueError(
            f"activation must be that of the fitted pretrainer, {stack.activation!r}, "
            f"got {activation!r}."
        )
    if stack.n_features_in_ != n_features:
        raise ValueError(
            f"X has {n_features} features, but the pretrainer was fitted on {stack.n_features_in_}."
        )
    return stack
