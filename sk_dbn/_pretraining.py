"""Checks of whether a stack can pre-train a network."""

import warnings

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted

from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn._stack_parameters import unstored_value
from sk_dbn._warm_start import WarmStart
from sk_dbn.models.units import HIDDEN_KINDS

# Wrappers of a fitted stack: its layers are frozen or fine-tuned.
WRAPPERS = (FrozenEstimator, WarmStart)

STACK_ACTIVATIONS = tuple(HIDDEN_KINDS)  # of the hidden units of a BernoulliRBMStack


def check_pretrainer(pretrainer):
    """Check the type of `pretrainer`.

    Parameters
    ----------
    pretrainer : object

    Raises
    ------
    InvalidParameterError
        A ValueError and TypeError, if it is not None, 'auto', a stack or a wrapped fitted stack.
    """
    is_auto = isinstance(pretrainer, str) and pretrainer == "auto"
    if pretrainer is None or is_auto or isinstance(pretrainer, (BernoulliRBMStack, *WRAPPERS)):
        return
    is_class = isinstance(pretrainer, type)
    given = f"the class {pretrainer.__name__}" if is_class else repr(pretrainer)
    raise InvalidParameterError(
        "pretrainer must be 'auto', None, a BernoulliRBMStack of sk_dbn, or WarmStart(stack) or "
        f"FrozenEstimator(stack) with a fitted stack, got {given}. For pre-training set "
        "pretrainer=BernoulliRBMStack(), with parentheses; otherwise set pretrainer=None."
    )


def is_pretrainable(hidden, activations):
    """Whether a stack of RBMs can have these layers.

    Parameters
    ----------
    hidden : list of int
        Sizes of the hidden layers.
    activations : list of str
        Their activations.

    Returns
    -------
    bool
    """
    return len(set(activations)) == 1 and activations[0] in STACK_ACTIVATIONS


def check_pretrainable(hidden, activations):
    """Check that a stack of RBMs can have these layers.

    Parameters
    ----------
    hidden : list of int
        Sizes of the hidden layers.
    activations : list of str
        Their activations.

    Raises
    ------
    ValueError
        If there is no hidden layer, or if a stack cannot have these activations.
    """
    if not hidden:
        raise ValueError(
            "hidden_layer_sizes must be positive integers, one for each layer to pre-train, got "
            "none; give at least one, or set pretrainer=None or 'auto'."
        )
    if not is_pretrainable(hidden, activations):
        raise ValueError(
            "pre-training needs the same activation in all hidden layers, one of "
            f"{list(STACK_ACTIVATIONS)}, got {activations}; set pretrainer=None to train without "
            "it, or 'auto' to use it only if it is possible."
        )


# Parameters that a stack gets from its network, and how to compare and print their values.
FROM_NETWORK = {
    "hidden_layer_sizes": lambda sizes: tuple(np.ravel(sizes).tolist()),
    "activation": lambda name: name,
    "dtype": lambda dtype: np.dtype(dtype).name,
    "init": lambda init: init if np.isscalar(init) else "arrays",
    "visible": lambda kind: kind if np.isscalar(kind) or isinstance(kind, dict) else tuple(kind),
}


def warn_of_ignored(pretrainer, stack):
    """Warn of parameters of a pretrainer that those of the network replace.

    Parameters
    ----------
    pretrainer : BernoulliRBMStack
        As the caller gave it. There is no warning of default values.
    stack : BernoulliRBMStack
        Its clone, with the parameters of the network.
    """
    default = BernoulliRBMStack()
    for name, form in FROM_NETWORK.items():
        given, taken, unset = (form(getattr(x, name)) for x in (pretrainer, stack, default))
        if given not in (taken, unset):
            warnings.warn(
                f"{name}={given!r} of the pretrainer has no effect; the network's {name}={taken!r} "
                f"is used. Set {name} of the network, and leave it out of the pretrainer.",
                UserWarning,
            )


def check_no_checkpoint(pretrainer):
    """Check that a stack leaves the checkpoint to its network.

    Parameters
    ----------
    pretrainer : BernoulliRBMStack

    Raises
    ------
    ValueError
        If it has one of its own.
    """
    if pretrainer.checkpoint is not None:
        raise ValueError(
            "checkpoint of the pretrainer must be None, because that of the network contains its "
            f"pre-training too, got {pretrainer.checkpoint!r}; set checkpoint of the network."
        )


def warn_of_retraining(pretrainer):
    """Warn if a stack is fitted, because a clone is trained from scratch.

    Parameters
    ----------
    pretrainer : BernoulliRBMStack
        As the caller gave it.
    """
    if hasattr(pretrainer, "coefs_"):
        warnings.warn(
            "pretrainer is a fitted BernoulliRBMStack, but a clone of it is trained from scratch: "
            "what it has learned is not used. Pass FrozenEstimator(stack) to keep its layers as "
            "they are, WarmStart(stack) to fine-tune them, or clone(stack) to train from scratch.",
            UserWarning,
        )


def unwrapped_stack(pretrainer, hidden, activation, n_features):
    """Get the fitted stack in a wrapper, and check that it fits the network.

    Parameters
    ----------
    pretrainer : FrozenEstimator or WarmStart
    hidden : list of int
        Sizes of the network's hidden layers.
    activation : str
        Their activation.
    n_features : int
        Number of features of the network's input.

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


def unstored_in(pretrainer):
    """The value of what a sparse matrix does not store, for a network with this pretrainer."""
    stack = pretrainer.estimator if isinstance(pretrainer, WRAPPERS) else pretrainer
    return unstored_value(stack) if isinstance(stack, BernoulliRBMStack) else 0.0


def reads_missing(network):
    """Whether a network has a stack that reads missing values, by its parameters.

    Parameters
    ----------
    network : BaseDeepNetwork

    Returns
    -------
    bool
    """
    pretrainer = network.pretrainer
    if isinstance(pretrainer, str) and pretrainer == "auto":
        try:
            return not network.shortcut and is_pretrainable(*network._pretrained_layers())
        except (TypeError, ValueError):  # parameters that `fit` will complain of
            return False
    if isinstance(pretrainer, BernoulliRBMStack):
        return pretrainer._allows_nan
    return isinstance(pretrainer, WRAPPERS)
