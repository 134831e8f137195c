"""Checks of the parameters that define a network's layers: sizes, first weights, precision."""

from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Options

from sk_dbn._names import Names
from sk_dbn.models import memory

# The values of `dtype` that are allowed.
PRECISIONS = [
    Names({"float32", "float64"}),
    Options(type, {np.float32, np.float64}),
    Options(np.dtype, {np.dtype("float32"), np.dtype("float64")}),
]

MOST_DEVIATIONS = 100.0  # that a random weight may be away from zero, if not more


def layer_sizes(hidden_layer_sizes, at_least=0):
    """`hidden_layer_sizes` as a list, one int for each hidden layer.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of shape (n_layers,)
    at_least : int, default=0
        Minimum number of hidden layers.

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        If they are not positive integers, or too few.
    """
    given = hidden_layer_sizes
    sizes = given.tolist() if hasattr(given, "tolist") else given  # of NumPy and pandas
    is_list = isinstance(sizes, Sequence) and not isinstance(sizes, (str, bytes))
    sizes = list(sizes) if is_list else [sizes]
    whole = [isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in sizes]
    if len(sizes) < at_least or not all(whole):
        wrong = "" if all(whole) else f": {_what_is_wrong(sizes, whole.index(False))}"
        raise ValueError(
            "hidden_layer_sizes must be positive integers, one for each hidden layer, got "
            f"{given!r}{wrong}."
        )
    return [int(n) for n in sizes]


def _what_is_wrong(sizes, layer):
    """Why the size of a layer is invalid."""
    n = sizes[layer]
    where = f"entry {layer} is {n!r}"
    if isinstance(n, Integral) and not isinstance(n, bool):
        return f"{where}, which is not positive"
    return f"{where} of type {type(n).__name__}, which is not an integer"


def check_layers_fit(hidden_layer_sizes, units, bytes_each):
    """Check that layers fit into memory, before it is allocated.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of shape (n_layers,)
        As the caller gave them.
    units : sequence of int
        Units of the input and of each layer.
    bytes_each : int
        Bytes for each weight or bias, including its gradient and optimiser state.

    Raises
    ------
    ValueError
        If they do not fit.
    """
    n_parameters = sum(int(p) * int(q) + int(q) for p, q in pairwise(units))
    value = f"{hidden_layer_sizes!r} with {units[0]} features"
    memory.require(bytes_each * n_parameters, "hidden_layer_sizes", value, "use smaller layers")


def check_deviation(init, dtype):
    """Check a float `init`, the standard deviation of the weights.

    Parameters
    ----------
    init : float
    dtype : dtype
        The precision in which weights must be finite.

    Raises
    ------
    ValueError
        If some of them would not be.
    """
    largest = float(np.finfo(dtype).max) / MOST_DEVIATIONS
    if init > largest:
        raise ValueError(
            f"init must be at most {largest:.3g} as the standard deviation of {np.dtype(dtype)} "
            f"weights, got {init!r}."
        )


def first_weights(init, units, dtype):
    """Check the arrays of a list `init`, one for each layer.

    Parameters
    ----------
    init : sequence of array-likes of shape (fan_in, fan_out)
    units : sequence of int
        Units of the input and of each layer.
    dtype : dtype
        The precision in which the arrays must be finite.

    Returns
    -------
    list of ndarrays of shape (fan_in, fan_out)

    Raises
    ------
    ValueError
        If the number of arrays is wrong, or if one of them is a name or a number, has the wrong
        shape, or has values that are not finite real numbers.
    """
    shapes = list(pairwise(units))
    for layer, W in enumerate(init):
        if isinstance(W, str | Real):
            raise ValueError(
                "init must be one name or one float for all layers, or a list with an array of "
                f"shape (fan_in, fan_out) for each of the {len(shapes)}, got {W!r} as "
                f"init[{layer}]. Set init={W!r}, for all layers."
            )
    if len(init) != len(shapes):
        raise ValueError(
            f"init must have one array for each of the {len(shapes)} layers that connect "
            f"{'-'.join(map(str, units))} units, got {len(init)}."
        )
    return [
        real_array(f"init[{layer}]", W, shape, dtype, "(fan_in, fan_out) = ")
        for layer, (W, shape) in enumerate(zip(init, shapes, strict=True))
    ]


def real_array(name, values, shape, dtype, meaning=""):
    """Check the parameters that the caller gives for a layer.

    Parameters
    ----------
    name : str
        Their name in error messages.
    values : array-like
    shape : tuple of int
        The shape that they must have.
    dtype : dtype
        The precision in which they must be finite.
    meaning : str, default=""
        What the shape means, for the message.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        If they have another shape or are not finite real numbers.
    """
    W = np.asarray(values)
    if W.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be an array of real numbers, got {values!r}.")
    if W.shape != shape:
        raise ValueError(f"{name} must have shape {meaning}{shape}, got {W.shape}.")
    if not (np.abs(W) <= np.finfo(dtype).max).all():
        raise ValueError(f"{name} must be finite as {np.dtype(dtype)}, got NaN, infinity or more.")
    return W


def check_continues(network):
    """Check that training can continue in the fitted network.

    Parameters
    ----------
    network : BaseDeepNetwork
        Fitted. Its parameters may have been set since.

    Raises
    ------
    ValueError
        If a parameter requires a different network.
    """
    fitted, sizes = network._network, [W.shape[1] for W in network.coefs_[:-1]]
    new_sizes, activations = network._hidden_layers()
    for name, was, is_now in (
        ("hidden_layer_sizes", tuple(sizes), tuple(new_sizes)),
        ("loss", network._fitted_loss, network._loss),
        ("activation of each layer", fitted.activations, [*activations, network.out_activation_]),
        ("shortcut", fitted.shortcut, bool(network.shortcut)),
        ("dtype", fitted.theta.dtype.name, np.dtype(network.dtype).name),
    ):
        if was != is_now:
            raise ValueError(
                f"{name} must stay {was!r} when training continues, got {is_now!r}; set "
                "warm_start=False to start a new network."
            )
    if network._is_frozen and network.pretrainer_ is not network.pretrainer.estimator:
        raise ValueError(
            "pretrainer must hold the stack that the network started from when training "
            "continues with frozen layers, got a FrozenEstimator of another stack; set "
            "warm_start=False to start a new network."
        )
