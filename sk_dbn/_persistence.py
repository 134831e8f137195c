"""What is stored of an estimator: arrays, numbers, strings, lists and dicts of these.

Objects of this package's own inner classes are stored as dicts, so whoever loads an estimator with
skops has to trust the public classes only, and a new version can change inner classes and still
read what older ones stored.
"""

from sk_dbn._baseline import Baseline
from sk_dbn._frames import Labels
from sk_dbn._publishing import EpochCounts
from sk_dbn._version import __version__
from sk_dbn.models.loop import Patience
from sk_dbn.models.network import Network
from sk_dbn.models.network_trace import NetworkRecorder
from sk_dbn.models.network_training import OptimiserState
from sk_dbn.models.rbm import Memory, Stack
from sk_dbn.models.rbm_training import RBMRecorder
from sk_dbn.models.scales import Scales
from sk_dbn.models.schedules import Schedule
from sk_dbn.models.visible import VisibleUnits

FORMAT = 1  # of what is stored; raised when a version stores something else
KIND = "kind of part"
PARTS = {
    part.__name__: part
    for part in (
        *(Baseline, EpochCounts, Labels, Memory, Network, NetworkRecorder, OptimiserState),
        *(Patience, RBMRecorder, Scales, Schedule, Stack, VisibleUnits),
    )
}


class Stored:
    """Base class of the estimators: pickles hold no objects of inner classes."""

    def __getstate__(self):
        state = {name: plain(value) for name, value in super().__getstate__().items()}
        return state | {"_sk_dbn_version": __version__, "_sk_dbn_format": FORMAT}

    def __copy__(self):
        new = object.__new__(type(self))
        vars(new).update(vars(self))
        return new

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_sk_dbn_version", "0.1.0.dev")
        if state.pop("_sk_dbn_format", 0) != FORMAT:
            raise ValueError(
                f"this {type(self).__name__} was stored by sk_dbn {version}, in a format that "
                f"sk_dbn {__version__} cannot read. Load it with that version, or fit again."
            )
        super().__setstate__({name: rebuilt(value) for name, value in state.items()})
        self._check_stored()

    def _check_stored(self):
        """Check that the parts fit together."""


def plain(value):
    """Replace parts by dicts.

    Parameters
    ----------
    value : object
        An attribute of an estimator. Lists, tuples and dicts are searched for parts.

    Returns
    -------
    object
    """
    kind = type(value)
    if PARTS.get(kind.__name__) is kind:
        state = list(value) if kind is EpochCounts else value.__getstate__()
        return {KIND: kind.__name__, "state": plain(state)}
    if kind in (list, tuple):
        return kind(map(plain, value))
    if kind is dict:
        return {name: plain(item) for name, item in value.items()}
    return value


def rebuilt(value):
    """Replace the dicts of `plain` by parts.

    Parameters
    ----------
    value : object

    Returns
    -------
    object

    Raises
    ------
    ValueError
        If a part is unknown, or its arrays do not fit together.
    """
    kind = type(value)
    if kind is dict and KIND in value:
        return _part(value[KIND], rebuilt(value["state"]))
    if kind in (list, tuple):
        return kind(map(rebuilt, value))
    if kind is dict:
        return {name: rebuilt(item) for name, item in value.items()}
    return value


def _part(name, state):
    """The part of this kind and state."""
    if name not in PARTS:
        raise ValueError(f"the stored estimator has a part of an unknown kind, {name!r}.")
    if PARTS[name] is EpochCounts:
        return EpochCounts(state)
    part = object.__new__(PARTS[name])
    try:
        part.__setstate__(state) if hasattr(part, "__setstate__") else vars(part).update(state)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the stored {name} is incomplete or damaged: {error!r}.") from error
    return part
