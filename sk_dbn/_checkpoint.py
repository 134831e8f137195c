"""The parameter `checkpoint`: the file from which a fit goes on after its process was killed."""

from numbers import Integral

import joblib
import numpy as np
from sklearn.utils import check_random_state

from sk_dbn._version import __version__
from sk_dbn.models.training_file import TrainingFile

SEEDS = np.iinfo(np.int32).max
# Parameters on which the result does not depend, or whose effect is seen in other digests.
WITHOUT_EFFECT = {"checkpoint", "checkpoint_interval", "n_jobs", "verbose", "memory", "warm_start"}


def random_of(estimator):
    """The random generator of a fit.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    RandomState
        With a checkpoint one of its own if `random_state` is None, since it may be set back.
    """
    random = check_random_state(estimator.random_state)
    if estimator.checkpoint is not None and estimator.random_state is None:
        return np.random.RandomState(random.randint(SEEDS))
    return random


def training_files(estimator, random, **content):
    """The file of a fit that the parameter `checkpoint` names.

    Parameters
    ----------
    estimator : estimator
    random : RandomState
        Of the fit. If the file exists, it gets the state that it had when that fit began.
    **content
        What the result depends on besides parameters: arrays, or digests of them.

    Returns
    -------
    list of TrainingFile
        With one item.

    Raises
    ------
    ValueError
        If the file exists and is none of this fit.
    """
    parameters = {
        f"parameter {name}": joblib.hash(_content(value))
        for name, value in estimator.get_params().items()
        if name.split("__")[-1] not in WITHOUT_EFFECT
    }
    given = {name: joblib.hash(value) for name, value in content.items()}
    kind = {"class": type(estimator).__name__, "version of sk_dbn": __version__}
    parts = estimator.checkpoint, estimator.checkpoint_interval, kind | parameters | given
    return [TrainingFile(*parts, random)]


def _content(value):
    """What the result depends on in a parameter's value."""
    if isinstance(value, np.random.RandomState):
        return value.get_state(legacy=False)
    if hasattr(value, "coefs_"):
        return [np.asarray(W) for W in (*value.coefs_, *value.intercepts_hidden_)]
    if hasattr(value, "get_params"):  # its parameters are listed too
        return type(value).__name__
    return int(value) if isinstance(value, Integral) else value
