"""A warning of parameters that have no effect because of other parameters."""

import inspect
import warnings

import numpy as np
from sklearn.frozen import FrozenEstimator

from sk_dbn.models.network_training import SOLVERS
from sk_dbn.models.schedules import PLANNED, SCHEDULES

SET = "a value"  # anything but None
FINE_TUNED = "a stack that is not frozen"  # 'auto' too
ADAPTIVE = tuple(name for name in SOLVERS if name != "sgd")
HELD_OUT = (True, "reconstruction", "free_energy")
UNPLANNED = tuple(name for name in SCHEDULES if name not in PLANNED)

# For each parameter, or for one of its values: the values of other parameters that it needs.
# A tuple lists alternatives.
NETWORK = {
    "batch_size": {"solver": (*SOLVERS,)},
    "learning_rate": {"solver": (*SOLVERS,)},
    ("learning_rate", "invscaling"): {"solver": ("sgd",)},
    ("learning_rate", "adaptive"): {"solver": ("sgd",)},
    "learning_rate_init": {"solver": (*SOLVERS,)},
    "power_t": {"solver": ("sgd",), "learning_rate": ("invscaling",)},
    "momentum": {"solver": ("sgd",)},
    "nesterovs_momentum": {"solver": ("sgd",)},
    "beta_1": {"solver": ("adam", "adamw", "nadam", "rmsprop")},
    "beta_2": {"solver": ("adam", "adamw", "nadam")},
    "epsilon": {"solver": ADAPTIVE},
    ("early_stopping", True): {"solver": (*SOLVERS,)},
    "validation_fraction": {"solver": (*SOLVERS,), "early_stopping": (True,)},
    "max_fun": {"solver": ("lbfgs",)},
    "delta": {"loss": ("huber",)},
    "pretrained_learning_rate": {"pretrainer": FINE_TUNED},
    "output_layer_first": {"pretrainer": FINE_TUNED},
}
# The same for parameters of stopping. Planned schedules run to their end without early stopping.
STOPPING = {
    "tol": (
        {"learning_rate": UNPLANNED},
        {"early_stopping": (True,)},
        {"solver": ("lbfgs",)},
    ),
    "n_iter_no_change": (
        {"learning_rate": UNPLANNED, "solver": (*SOLVERS,)},
        {"early_stopping": (True,), "solver": (*SOLVERS,)},
    ),
}
STACK = {
    "n_chains": {"algorithm": ("pcd", "fpcd", "pt")},
    "n_temperatures": {"algorithm": ("pt",)},
    "sparsity_cost": {"sparsity_target": SET},
    "validation_fraction": {"early_stopping": HELD_OUT},
}
# What happens instead if a value has no effect.
INSTEAD = {("learning_rate", name): "the rate is constant" for name in ("invscaling", "adaptive")}


def warn_of_unused(estimator, table):
    """Warn of parameters that were set but have no effect.

    Parameters
    ----------
    estimator : object
        There is no warning of its default values.
    table : dict
        ``NETWORK``, ``NETWORK | STOPPING`` or ``STACK``.
    """
    params = estimator.get_params(deep=False)
    defaults = inspect.signature(type(estimator)).parameters
    found = {}
    for key, needs in table.items():
        name, value = (key, params.get(key)) if isinstance(key, str) else key
        is_set = name in params and (key is name or params[name] == value)
        if not is_set or np.all(value == defaults[name].default):
            continue
        lacking = [
            _lacking(params, each) for each in (needs if isinstance(needs, tuple) else (needs,))
        ]
        if all(lacking):
            instead = f" ({INSTEAD[key]})" if key in INSTEAD else ""
            found.setdefault(f"{name}={value!r}", f"{', or '.join(lacking)}{instead}")
    if found:
        unused = "; ".join(f"{what} needs {lacking}" for what, lacking in found.items())
        warnings.warn(f"Parameters that have no effect: {unused}.", UserWarning)


def _lacking(params, needs):
    """The needs that the parameters do not meet, in words; empty if they meet all."""
    return " and ".join(
        f"{other}={values if isinstance(values, str) else ' or '.join(map(repr, values))}, "
        f"not {params[other]!r}"
        for other, values in needs.items()
        if not _meets(params[other], values)
    )


def _meets(value, values):
    """Whether a parameter has one of the values that are needed."""
    if values is FINE_TUNED and isinstance(value, FrozenEstimator):
        return False
    return value is not None if isinstance(values, str) else value in values
