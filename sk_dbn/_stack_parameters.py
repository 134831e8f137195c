"""Checks of a stack's parameters, and their values for each layer."""

import os
import warnings
from itertools import pairwise

import numpy as np
from sklearn.utils.validation import check_memory

from sk_dbn._architecture import check_layers_fit, layer_sizes
from sk_dbn._categories import asked_kinds
from sk_dbn._unused import STACK, warn_of_unused
from sk_dbn._version import __version__
from sk_dbn.models import memory
from sk_dbn.models.layer_cache import LayerCache, warn_of_unusable
from sk_dbn.models.rbm_training import Settings
from sk_dbn.models.stack_training import StoppingRule


def check_combinations(stack):
    """Check that parameters can be combined, and warn of those without effect.

    Parameters
    ----------
    stack : BernoulliRBMStack

    Raises
    ------
    ValueError
        If some cannot be combined.
    """
    warn_of_unused(stack, STACK)
    if stack.sparsity_target is not None and stack.sparsity_target >= 1:
        if stack.activation != "relu":
            raise ValueError(
                "sparsity_target must be below 1 for binary hidden units, got "
                f"{stack.sparsity_target!r} with activation={stack.activation!r}."
            )
    if stack.algorithm == "pt" and (stack.activation == "relu" or stack.dropout > 0):
        raise ValueError(
            "algorithm='pt' needs activation='logistic' or 'tanh' and dropout=0, because it "
            "exchanges states by their energy, got "
            f"activation={stack.activation!r}, dropout={stack.dropout!r}."
        )


def check_stack_fits(stack, units, n_samples):
    """Check that layers, chains and minibatches fit into memory.

    Parameters
    ----------
    stack : BernoulliRBMStack
    units : list of int
        Number of visible units and of the units of each hidden layer.
    n_samples : int
        Number of samples to train on.

    Raises
    ------
    ValueError
        If they do not fit.
    """
    size = np.dtype(stack.dtype).itemsize
    check_layers_fit(stack.hidden_layer_sizes, units, 3 * size)  # weight, velocity, gradient
    widest = max(p + q for p, q in pairwise(units))
    batch_size = min(int(stack.batch_size), n_samples)
    value = f"{batch_size} in layers of up to {widest} units"
    # Values of the positive and of the negative phase.
    memory.require(2 * batch_size * widest * size, "batch_size", value, "use a smaller one")
    if stack.algorithm != "cd":
        names, values, n_states = "n_chains", f"{stack.n_chains}", int(stack.n_chains)
        if stack.algorithm == "pt":
            names, values = f"{names} x n_temperatures", f"{values} x {stack.n_temperatures}"
            n_states *= int(stack.n_temperatures)
        memory.require(n_states * widest * size, names, values, "use fewer")


def warn_of_unseeded_memory():
    """Warn of layers that are kept but will not be found again."""
    warnings.warn(
        "memory keeps layers that no other fit will use, because random_state=None gives other "
        "random numbers in each fit. Set random_state to an int.",
        UserWarning,
    )


def layer_cache_of(stack, continues):
    """Where the trained layers of a stack are kept.

    Parameters
    ----------
    stack : BernoulliRBMStack
    continues : bool
        Whether training may continue from a fitted stack. Then layers are not kept.

    Returns
    -------
    LayerCache or None
    """
    location = stack.memory
    if location is None:
        return None
    if continues:
        warnings.warn(
            "memory has no effect in partial_fit, and in fit with warm_start=True if the stack is "
            "fitted: training continues, so no layer is read from memory or kept there.",
            UserWarning,
        )
        return None
    if stack.random_state is None:
        warn_of_unseeded_memory()
    try:
        is_path = isinstance(location, os.PathLike)
        return LayerCache(check_memory(os.fspath(location) if is_path else location), __version__)
    except OSError as error:
        warn_of_unusable(error)
        return None


def per_layer(stack):
    """Sizes, learning rates and maximum numbers of epochs of the layers.

    Parameters
    ----------
    stack : BernoulliRBMStack

    Returns
    -------
    sizes, rates, max_iters : lists of int, float and int

    Raises
    ------
    ValueError
        If a value is out of range, or the number of values is wrong.
    """
    sizes = layer_sizes(stack.hidden_layer_sizes, at_least=1)
    rates = _spread("learning_rate", stack.learning_rate, len(sizes))
    if not all(np.isfinite(rate) and rate > 0 for rate in rates):
        raise ValueError(
            f"learning_rate must be positive in every layer, got {stack.learning_rate!r}."
        )
    max_iters = _spread("max_iter", stack.max_iter, len(sizes))
    if not all(n == int(n) and n >= 1 for n in max_iters):
        raise ValueError(
            f"max_iter must be an integer of at least 1 in every layer, got {stack.max_iter!r}."
        )
    return sizes, rates, [int(n) for n in max_iters]


def check_stack_continues(stack, units):
    """Check that training can continue in the fitted stack.

    Parameters
    ----------
    stack : BernoulliRBMStack
        Fitted. Its parameters may have been set since.
    units : list of int
        Number of visible units and of the units of each hidden layer, by these parameters.

    Raises
    ------
    ValueError
        If the fitted stack has another shape, precision or kind of units.
    """
    fitted = stack._stack
    if fitted.units.tolist() != units or fitted.theta.dtype != stack.dtype:
        raise ValueError(
            f"training cannot continue: the fitted stack has units {fitted.units.tolist()} and "
            f"dtype {fitted.theta.dtype}, got {units} and {np.dtype(stack.dtype)}. Call fit with "
            "warm_start=False to start again."
        )
    if not (
        fitted.has_kinds(stack._visible.codes, stack.activation)
        and stack._visible.are(kinds_of(stack, stack.n_features_in_))
    ):
        raise ValueError(
            "training cannot continue: visible and activation must stay as they were, got "
            f"visible={stack.visible!r}, activation={stack.activation!r}. Call fit with "
            "warm_start=False to start again."
        )
    if not np.array_equal(unstored_value(stack), stack._visible.unstored, equal_nan=True):
        raise ValueError(
            f"training cannot continue: not_stored must stay as it was, got {stack.not_stored!r}. "
            "Call fit with warm_start=False to start again."
        )


def check_categories_stay(stack, categories):
    """Check that a fitted stack has these categories.

    Parameters
    ----------
    stack : BernoulliRBMStack
    categories : tuple or None, as `find_categories` returns it

    Raises
    ------
    ValueError
        If it has others.
    """
    fitted = stack._visible.categories
    is_same = (fitted is None) == (categories is None)
    if not is_same or not all(map(np.array_equal, fitted or (), categories or ())):
        raise ValueError(
            "training cannot continue: categories must stay as they were, got "
            f"{stack.categories!r}. Call fit with warm_start=False to start again."
        )


def kinds_of(stack, n_features):
    """The kinds of a stack's visible units by its parameter `visible`, see `asked_kinds`."""
    names = getattr(stack, "feature_names_in_", None)
    return asked_kinds(stack.visible, n_features, names, stack._category_labels)


def warn_of_categories(stack, categories):
    """Warn of `categories` if no feature is categorical.

    Parameters
    ----------
    stack : BernoulliRBMStack
    categories : tuple or None, as `find_categories` returns it
    """
    if categories is None and not isinstance(stack.categories, str):
        warnings.warn(
            "categories has no effect: no feature is categorical. Set visible='categorical', or a "
            "list or dict of kinds.",
            UserWarning,
        )


def unstored_value(stack):
    """The value of what a sparse matrix does not store, by the parameter `not_stored`."""
    return 0.0 if stack.not_stored == "zero" else np.nan


def check_algorithm(stack, data, categories):
    """Check that a stack can learn from missing values and categories, if there are any.

    Parameters
    ----------
    stack : BernoulliRBMStack
    data : Data
    categories : tuple or None
        As `find_categories` returns it.

    Raises
    ------
    ValueError
        If its algorithm cannot.
    """
    if stack.algorithm == "cd" or (categories is None and not data.has_missing):
        return
    what = "missing values" if categories is None else "categories"
    raise ValueError(
        f"algorithm must be 'cd' if X has {what}, got {stack.algorithm!r}: only chains that start "
        "at a sample have its observed features."
    )


def _spread(name, value, n_layers):
    """A parameter as a list with one number for each layer."""
    values = np.ravel(value)
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be a number or one per layer, got {value!r}.")
    if np.ndim(value) == 0:
        return values.tolist() * n_layers
    if len(values) != n_layers:
        raise ValueError(
            f"{name} must be a number or one per layer: {n_layers}, got {len(values)}."
        )
    return values.tolist()


def warn_of_range(stack, visible, moments):
    """Warn of values that the visible units cannot take.

    Parameters
    ----------
    stack : BernoulliRBMStack
    visible : VisibleUnits
    moments : tuple
        Moments of the features, as ``Data.moments`` returns them.
    """
    outside = visible.outside(moments)
    if outside.any():
        low, high = moments[2][outside].min(), moments[3][outside].max()
        seen = f"[{visible.seen[0]:.4g}, {visible.seen[1]:.4g}]"
        scaled = "They are clipped"
        if visible.is_rescaled:
            scaled = f"They are mapped to [0, 1] from {seen}, the first range seen, and clipped"
        warnings.warn(
            f"X has values in [{low:.4g}, {high:.4g}] in {_named(stack, outside)}, but Bernoulli "
            f"visible units take values in [0, 1]. {scaled}. Use "
            "sklearn.preprocessing.MinMaxScaler before, or visible='gaussian', for all "
            "features or for some.",
            UserWarning,
        )


def _named(stack, chosen):
    """Some features by their names, or by their indices if they have no names."""
    if chosen.all():
        return f"all {len(chosen)} features"
    names = getattr(stack, "feature_names_in_", np.arange(len(chosen)))[chosen]
    shown = ", ".join(repr(name) for name in names[:5].tolist())
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{'feature' if len(names) == 1 else 'features'} {shown}{more}"


def settings_of(stack, n_samples):
    """The settings of the training of each RBM, except its learning rate.

    Parameters
    ----------
    stack : BernoulliRBMStack
    n_samples : int
        Number of samples to train on.

    Returns
    -------
    Settings
    """
    return Settings(
        algorithm=stack.algorithm,
        n_gibbs_steps=stack.n_gibbs_steps,
        n_chains=stack.n_chains,
        n_temperatures=stack.n_temperatures,
        centered=stack.centered,
        momentum=stack.momentum,
        l2=stack.alpha * (1.0 - stack.l1_ratio),
        l1=stack.alpha * stack.l1_ratio,
        batch_size=min(stack.batch_size, n_samples),
        sparsity_target=stack.sparsity_target,
        sparsity_cost=stack.sparsity_cost,
        dropout=stack.dropout,
        max_norm=stack.max_norm,
        learn_variance=stack.learn_variance,
    )


def stopping_rule_of(stack, held_out, partial):
    """The rule that ends the training of each RBM.

    Parameters
    ----------
    stack : BernoulliRBMStack
    held_out : int64 ndarray or None
        Validation samples.
    partial : bool
        Whether this is a call of `partial_fit`.

    Returns
    -------
    StoppingRule
    """
    annealing = stack.annealing
    if annealing == "auto":
        annealing = 0.0 if stack.algorithm == "cd" else 0.5
    return StoppingRule(
        tol=stack.tol,
        n_iter_no_change=stack.n_iter_no_change,
        annealing=0.0 if partial else annealing,
        keeps_best=stack.early_stopping in (True, "reconstruction"),
        watches_gap=stack.early_stopping == "free_energy" and held_out is not None,
    )
