"""Training on shards: parts of the samples, on which copies of an estimator are trained apart.

Each copy is trained by its own `partial_fit`. Here is what the first call has to know of the
samples of all shards, and how the copies become one estimator again.
"""

import copy
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.utils import check_random_state

from sk_dbn._autoencoder import DBNAutoencoder
from sk_dbn._labels import classes_without, warn_of_classes
from sk_dbn._network_estimator import BaseDeepNetwork
from sk_dbn._network_parameters import AUTO_SCHEDULE
from sk_dbn._pretraining import WRAPPERS, unstored_in
from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn._scaling import warn_of_features
from sk_dbn._stack_parameters import kinds_of, per_layer, stopping_rule_of, unstored_value
from sk_dbn._warm_start import WarmStart
from sk_dbn.models.averaging import average_networks, average_stacks, mean_of
from sk_dbn.models.data import Data
from sk_dbn.models.moments import Moments
from sk_dbn.models.schedules import Annealing

SEEDS = np.iinfo(np.int32).max


def check_trainable(estimator):
    """Check that an estimator can be trained on shards.

    Parameters
    ----------
    estimator : object

    Raises
    ------
    TypeError
        If it is none of this package that has `partial_fit`.
    ValueError
        If a parameter is invalid, or the solver needs all samples at once.
    """
    if not isinstance(estimator, BernoulliRBMStack | BaseDeepNetwork):
        raise TypeError(
            "estimator must be a BernoulliRBMStack, DBNClassifier, DeepMLPRegressor or "
            f"DBNAutoencoder, got {estimator!r}. Of a pipeline, compute the other steps before: "
            "to standardise a Dask array, (X - X.mean(axis=0)) / X.std(axis=0)."
        )
    estimator._validate_params()
    if not hasattr(estimator, "partial_fit"):
        raise ValueError(
            f"solver={estimator.solver!r} needs all samples at once; use a solver that works on "
            "minibatches, such as 'adam'."
        )


# ---------------------------------------------------------------------------
# What is known of all samples
# ---------------------------------------------------------------------------


@dataclass
class Summary:
    """What is known of some samples before training.

    Parameters
    ----------
    reader : estimator
        Not fitted, but it has read the samples: their number of features, names and categories.
    n_samples, n_labelled : int
    classes : ndarray or None
        Sorted labels of a classifier.
    whole : Moments
        Of the features.
    unstored : float
        Value of what a sparse matrix does not store.
    """

    reader: object
    n_samples: int
    n_labelled: int
    classes: np.ndarray | None
    whole: Moments
    unstored: float

    @property
    def has_missing(self):
        """Whether values are missing."""
        return bool((self.whole.count < self.n_samples).any())

    @property
    def labelled_share(self):
        """Share of the samples that have a label."""
        return self.n_labelled / self.n_samples

    @property
    def moments(self):
        """Moments of the features, as ``Data.moments`` returns them."""
        return self.whole.of_values


def summarise(estimator, X, y=None):
    """Summarise a shard.

    Parameters
    ----------
    estimator : BernoulliRBMStack or BaseDeepNetwork
    X, y : as for `partial_fit`

    Returns
    -------
    Summary or None
        None if there are no samples.
    """
    if X.shape[0] == 0:
        return None
    reader = clone(estimator)
    if isinstance(reader, BernoulliRBMStack):
        X, y = reader._read(X, reset=True), None
        _check_categories(reader)
        unstored = unstored_value(reader)
    else:
        X, y = reader._validate_input(X, y, reset=True)
        unstored = unstored_in(reader.pretrainer)
    labelled = np.ones(X.shape[0], dtype=bool) if y is None else reader._labelled(y)
    classes = None
    if is_classifier(reader):
        classes = np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y[labelled])
    whole = Moments.of(Data(X, reader.dtype, unstored=unstored))
    return Summary(reader, X.shape[0], int(labelled.sum()), classes, whole, unstored)


def merge(summaries, classes=None):
    """Merge the summaries of all shards.

    Parameters
    ----------
    summaries : list of Summary or None
    classes : array-like of shape (n_classes,), default=None
        Those that the shards have, and perhaps more.

    Returns
    -------
    Summary

    Raises
    ------
    ValueError
        If there are no samples, no labels, or categories differ between shards.
    """
    parts = [part for part in summaries if part is not None]
    if not parts:
        raise ValueError("X has no samples: all its partitions are empty.")
    known = [_known_categories(part.reader) for part in parts]
    if any(each != known[0] for each in known):
        raise ValueError(
            "the categories of a column differ between partitions; call X.categorize() before."
        )
    n_samples, n_labelled = (sum(x) for x in zip(*((s.n_samples, s.n_labelled) for s in parts)))
    first = parts[0]
    if n_labelled == 0:
        raise ValueError(f"every label in y equals unlabeled={first.reader.unlabeled!r}.")
    if first.classes is None:
        classes = None
    elif classes is not None:
        classes = classes_without(first.reader.unlabeled, classes)
    else:
        classes = np.unique(np.concatenate([part.classes for part in parts]))
        warn_of_classes(classes, first.reader.unlabeled, n_labelled)
    whole = Moments.merged([part.whole for part in parts])
    counts = {"n_samples": n_samples, "n_labelled": n_labelled}
    return replace(first, classes=classes, whole=whole, **counts)


def _check_categories(stack):
    """Check that the categories of each feature are given, since a shard need not have them all."""
    kinds = np.array(np.broadcast_to(kinds_of(stack, stack.n_features_in_), stack.n_features_in_))
    kinds[list(stack._category_labels)] = "auto"
    if (kinds == "categorical").any() and isinstance(stack.categories, str):
        raise ValueError(
            "categories must be given, because a partition need not have all of them; or let the "
            "columns of a data frame have pandas' dtype for categories."
        )


def _known_categories(estimator):
    labels = estimator._category_labels
    return {i: list(each.dtype.categories) for i, each in labels.items()}


# ---------------------------------------------------------------------------
# Before the first round
# ---------------------------------------------------------------------------


def beginner(estimator, n_rounds):
    """An unfitted copy for training in rounds: each is an epoch, and their number is known.

    Parameters
    ----------
    estimator : BernoulliRBMStack or BaseDeepNetwork
    n_rounds : int or None
        None: the estimator's `max_iter`.

    Returns
    -------
    model : estimator
    n_rounds : int
    """
    model = clone(estimator)
    if not isinstance(model.random_state, Integral):
        model.set_params(random_state=check_random_state(model.random_state).randint(SEEDS))
    model.set_params(verbose=False)
    if n_rounds is None:
        n_rounds = int(np.max(estimator.max_iter))
    if isinstance(model, BaseDeepNetwork):
        model.set_params(max_iter=n_rounds)
        if model.learning_rate == "auto":
            model.set_params(learning_rate=AUTO_SCHEDULE)
    return model, n_rounds


def pretraining_stack(model, summary):
    """The stack that is to be trained before a network.

    Parameters
    ----------
    model : estimator
    summary : Summary
        Of all samples.

    Returns
    -------
    BernoulliRBMStack or None
        Not fitted. None if there is nothing to pre-train.
    """
    if isinstance(model, BernoulliRBMStack) or isinstance(model.pretrainer, WRAPPERS):
        return None
    reader = summary.reader
    stack = reader._make_stack(*reader._pretrained_layers(), summary)
    if stack is not None and stack.random_state is None:
        stack.set_params(random_state=check_random_state(model.random_state).randint(SEEDS))
    return stack


def set_pretrained(model, stack):
    """Have a network start from a fitted stack, or from none.

    Parameters
    ----------
    model : BaseDeepNetwork
    stack : BernoulliRBMStack or None
    """
    if not isinstance(model.pretrainer, WRAPPERS):
        model.set_params(pretrainer=None if stack is None else WarmStart(stack))


# ---------------------------------------------------------------------------
# Rounds
# ---------------------------------------------------------------------------


def train(model, X, y=None, summary=None):
    """Train a model on a shard for one epoch, by its `partial_fit`.

    Parameters
    ----------
    model : BernoulliRBMStack or BaseDeepNetwork
    X, y : as for `partial_fit`
    summary : Summary, default=None
        Of all samples, for the first call.

    Returns
    -------
    n_samples : int
        Number of samples that it was trained on. If 0, the model stays as it was.
    """
    n_samples = X.shape[0]
    if is_classifier(model) and n_samples > 0:
        n_samples = int(model._labelled(np.asarray(y)).sum())
    if n_samples == 0:
        return 0
    if summary is not None and isinstance(model, BernoulliRBMStack | DBNAutoencoder):
        model._partial_fit(X, whole=summary.whole)
    elif is_classifier(model):
        model.partial_fit(X, y, classes=None if summary is None else summary.classes)
    else:
        model.partial_fit(X, y)
    return n_samples


def n_epochs(model):
    """The number of complete epochs of a fitted model; of a stack, the fewest of a layer.

    Parameters
    ----------
    model : BernoulliRBMStack or BaseDeepNetwork

    Returns
    -------
    int
        0 if it is not fitted.
    """
    if not hasattr(model, "coefs_"):
        return 0
    return min(model.n_iter_) if isinstance(model, BernoulliRBMStack) else len(model.loss_curve_)


def prepare_round(model, estimator, i, n_rounds, seed):
    """Give a copy of the model random numbers of its own, and the learning rate of a round.

    Parameters
    ----------
    model : BernoulliRBMStack or BaseDeepNetwork
        If it is not fitted, its initial weights must be those of the other copies, and so its
        random numbers.
    estimator : as `model`
        With the parameters that the user set.
    i, n_rounds : int
        Which round of how many.
    seed : int
    """
    if isinstance(model, BernoulliRBMStack):
        schedule = Annealing(n_rounds, stopping_rule_of(estimator, None, False).annealing)
        schedule.n_epochs = i
        model.learning_rate = [schedule.factor * rate for rate in per_layer(estimator)[1]]
    if not hasattr(model, "coefs_"):
        return
    random = np.random.RandomState(seed)
    if isinstance(model, BernoulliRBMStack):
        model.random_state_ = random
        for memory in model._stack.memories:
            memory.seed = int(random.randint(0, 2**32, dtype=np.uint32))
    else:
        model._random_state, model._optimiser.seed = random, None  # drawn when needed


def average(models, weights):
    """The average of models that were trained for an epoch from the same parameters.

    Parameters
    ----------
    models : list of BernoulliRBMStack or BaseDeepNetwork
    weights : list of int
        Numbers of samples.

    Returns
    -------
    estimator
        Its trace and its random numbers are those of the first model.
    """
    result = copy.deepcopy(models[0])
    models = [result, *models[1:]]
    if isinstance(result, BernoulliRBMStack):
        average_stacks([model._stack for model in models], weights)
        result._means = mean_of([model._means for model in models], weights)
        references = [model._visible.reference for model in models]
        result._visible.reference = mean_of(references, weights)
        return result
    average_networks(*zip(*((m._network, m._optimiser) for m in models), strict=True), weights)
    curves = [np.array(model.loss_curve_) for model in models]
    result.loss_curve_ = mean_of(curves, weights).tolist()
    result.loss_, result.best_loss_ = result.loss_curve_[-1], min(result.loss_curve_)
    result.t_ += sum(weights[1:])
    return result


def end_rounds(model, estimator):
    """Set what calls of `fit` leave behind, and those of `partial_fit` do not.

    Parameters
    ----------
    model : BernoulliRBMStack or BaseDeepNetwork
    estimator : as `model`
        With the parameters that the user set.
    """
    if isinstance(model, BaseDeepNetwork):
        model.n_iter_ = n_epochs(model)
        model._fixed = {name: getattr(estimator, name) for name in model._fixed}


def adopt(estimator, model, summary=None):
    """Make an estimator fitted as the model is; its parameters stay as they are.

    Parameters
    ----------
    estimator, model : BernoulliRBMStack or BaseDeepNetwork
    summary : Summary, default=None
        Of all samples, after a first call.

    Returns
    -------
    estimator
    """
    if summary is not None and isinstance(model, BaseDeepNetwork) and model._visible is None:
        mean, variance, low, high = summary.moments
        known = {"mean": mean, "std": np.sqrt(variance), "low": low, "high": high}
        model._input_scales = replace(model._input_scales, **known)
    estimator.__dict__ = vars(model) | estimator.get_params(deep=False)
    if summary is not None and not isinstance(getattr(estimator, "pretrainer", None), WRAPPERS):
        warn_of_features(estimator)
    return estimator
