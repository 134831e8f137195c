"""Warnings of data that are not scaled, and the words for the diagnosis."""

import warnings

import numpy as np
from sklearn.base import is_regressor

from sk_dbn.models.scales import EXPONENTIAL, largest_size, off_scale_targets

MAX_NAMED = 3  # features


def off_scale_features(estimator):
    """The features whose scale keeps a fitted estimator from learning.

    Parameters
    ----------
    estimator : BernoulliRBMStack or BaseDeepNetwork

    Returns
    -------
    columns : list of int
        The worst first; empty if the scales are good.
    what : str
        What is wrong with them.
    """
    scales = getattr(estimator, "_input_scales", None)
    if scales is None:
        return [], ""
    solver = getattr(estimator, "solver", "")
    return scales.off_scale(largest_size(solver, is_regressor(estimator)))


def off_scale_outputs(estimator):
    """The targets whose scale keeps a fitted estimator from learning.

    Parameters
    ----------
    estimator : BernoulliRBMStack or BaseDeepNetwork

    Returns
    -------
    list of int
    """
    scales = getattr(estimator, "_target_scales", None)
    if scales is None:
        return []
    return off_scale_targets(scales, estimator.solver, estimator.loss)


def feature_words(estimator, columns):
    """The first few features by name or index, with their means and standard deviations.

    Parameters
    ----------
    estimator : BernoulliRBMStack or BaseDeepNetwork
    columns : list of int

    Returns
    -------
    str
    """
    scales, names = estimator._input_scales, getattr(estimator, "feature_names_in_", None)
    words = [
        f"{column if names is None else repr(str(names[column]))} "
        f"({scales.mean[column]:.3g} ± {scales.std[column]:.2g})"
        for column in columns[:MAX_NAMED]
    ]
    n_more = len(columns) - len(words)
    more = f" and {n_more} more" if n_more else ""
    return ("feature " if len(columns) == 1 else "features ") + ", ".join(words) + more


def target_words(estimator, columns):
    """The first few targets by index, with their means and standard deviations.

    Parameters
    ----------
    estimator : DeepMLPRegressor
    columns : list of int

    Returns
    -------
    str
    """
    scales = estimator._target_scales
    words = [f"{scales.mean[j]:.3g} ± {scales.std[j]:.2g}" for j in columns[:MAX_NAMED]]
    if len(scales.mean) == 1:
        return f"y ({words[0]})"
    words = [f"{j} ({word})" for j, word in zip(columns, words, strict=False)]
    n_more = len(columns) - len(words)
    return "outputs of y " + ", ".join(words) + (f" and {n_more} more" if n_more else "")


def feature_remedy(estimator):
    """Code that scales X, and also y if its scale is bad too.

    Parameters
    ----------
    estimator : BernoulliRBMStack or BaseDeepNetwork

    Returns
    -------
    str
    """
    stack = getattr(estimator, "pretrainer_", estimator)
    scaler = "StandardScaler()"
    if np.all(np.equal(getattr(stack, "visible_", ""), "bernoulli")):
        scaler = "MinMaxScaler()"
    if estimator._input_scales.is_sparse:  # zeros should stay zeros
        scaler = "MaxAbsScaler()"
    pipeline = f"make_pipeline({scaler}, {type(estimator).__name__}(...))"
    return _around(pipeline) if _are_both_off_scale(estimator) else pipeline


def target_remedy(estimator):
    """Code or words that scale y.

    Parameters
    ----------
    estimator : DeepMLPRegressor

    Returns
    -------
    str
    """
    if estimator.loss in EXPONENTIAL:
        return "divide y by its mean, and multiply predictions by it"
    if _are_both_off_scale(estimator):
        return feature_remedy(estimator)
    return _around(f"{type(estimator).__name__}(...)")


def _around(regressor):
    return f"TransformedTargetRegressor({regressor}, transformer=StandardScaler())"


def _are_both_off_scale(estimator):
    """Whether both X and y of a regressor need a scaler."""
    if not off_scale_outputs(estimator) or estimator.loss in EXPONENTIAL:
        return False
    return bool(off_scale_features(estimator)[0]) and not estimator._input_scales.is_constant


def warn_of_features(estimator):
    """Warn of features whose scale keeps an estimator from learning.

    Parameters
    ----------
    estimator : BernoulliRBMStack or BaseDeepNetwork
    """
    columns, what = off_scale_features(estimator)
    if columns:
        warnings.warn(
            f"X is not scaled: {feature_words(estimator, columns)}, mean ± standard deviation, "
            f"{'is' if len(columns) == 1 else 'are'} {what}, and {type(estimator).__name__} often "
            f"learns badly from such data. {_in_use(feature_remedy(estimator))}.",
            UserWarning,
        )


def warn_of_targets(estimator):
    """Warn of targets whose scale keeps a regressor from learning.

    Parameters
    ----------
    estimator : DeepMLPRegressor
    """
    columns = off_scale_outputs(estimator)
    if columns:
        warnings.warn(
            f"y is not scaled: {target_words(estimator, columns)}, mean ± standard deviation, is "
            f"not of order 1, and {type(estimator).__name__} often learns badly from such data. "
            f"{_in_use(target_remedy(estimator))}.",
            UserWarning,
        )


def _in_use(remedy):
    """A remedy as a sentence, with the modules to import from."""
    modules = {
        "TransformedTargetRegressor": "sklearn.compose",
        "make_pipeline": "sklearn.pipeline",
        "Scaler": "sklearn.preprocessing",
    }
    needed = [module for part, module in modules.items() if part in remedy]
    if not needed:
        return remedy.capitalize()
    return f"Use {remedy}, from {', '.join(needed[:-1])} and {needed[-1]}"
