"""Parameters that have no effect because of others, and a warning that says so."""

import inspect
import warnings

from sk_dbn.models.network_training import SOLVERS
from sk_dbn.models.schedules import PLANNED, SCHEDULES

SET = "a value"  # anything but None
ADAPTIVE = tuple(name for name in SOLVERS if name != "sgd")
HELD_OUT = (True, "reconstruction", "free_energy")
UNPLANNED = tuple(name for name in SCHEDULES if name not in PLANNED)

# What a parameter is used with: others, and the values that they have to have; one of several such
# where they are in a tuple. A pair of a name and a value: that value alone.
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
}
# Of what ends training, which a schedule with a plan does not but where scores are watched.
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
# What is done in place of a value that has no effect.
INSTEAD = {("learning_rate", name): "the rate is constant" for name in ("invscaling", "adaptive")}


def warn_of_unused(estimator, table):
    """Warn of parameters that were set, and that others leave without effect.

    Parameters
    ----------
    estimator : object
        What it has by default was not set.
    table : dict
        ``NETWORK``, ``NETWORK | STOPPING`` or ``STACK``.
    """
    params = estimator.get_params(deep=False)
    defaults = inspect.signature(type(estimator)).parameters
    found = {}
    for key, needs in table.items():
        name, value = (key, params.get(key)) if isinstance(key, str) else key
        if name not in params or params[name] != value or value == defaults[name].default:
            continue
        lacking = [
            _lacking(params, each) for each in (needs if isinstance(needs, tuple) else (needs,))
        ]
        if all(lacking):
            instead = f" ({INSTEAD[key]})" if key in INSTEAD else ""
            found.setdefault(f"{name}={value!r}", f"{', or '.join(lacking)}{instead}")
    if found:
        said = "; ".join(f"{what} needs {lacking}" for what, lacking in found.items())
        warnings.warn(f"Parameters that have no effect: {said}.", UserWarning)


def _lacking(params, needs):
    """Which parameters do not have what is needed, in words; empty where all have."""
    return " and ".join(
        f"{other}={SET if values is SET else ' or '.join(map(repr, values))}, not {params[other]!r}"
        for other, values in needs.items()
        if not (params[other] is not None if values is SET else params[other] in values)
    )
