"""One call of `fit` or `partial_fit` of a stack: its samples, its units, its first weights."""

from numbers import Real

import numpy as np
import scipy.sparse

from sk_dbn._architecture import check_deviation, first_weights
from sk_dbn._automatic import warn_of_batch_size
from sk_dbn._categories import count_units, find_categories, known_categories
from sk_dbn._checkpoint import random_of, training_files
from sk_dbn._samples import are_counts, check_sample_weight, number_held_out
from sk_dbn._stack_parameters import (
    check_algorithm,
    check_categories_stay,
    check_combinations,
    check_stack_continues,
    check_stack_fits,
    kinds_of,
    per_layer,
    settings_of,
    stopping_rule_of,
    warn_of_categories,
    warn_of_range,
)
from sk_dbn.models.data import Data
from sk_dbn.models.initialisers import initial_weights, streams
from sk_dbn.models.orders import Orders, canonical_order, drawn
from sk_dbn.models.rbm import Stack
from sk_dbn.models.rbm_training import RBMRecorder, probe_of
from sk_dbn.models.scales import Scales
from sk_dbn.models.stack_training import StackTraining
from sk_dbn.models.visible import VisibleUnits, check_range

DRAWN_EACH = 4  # how often a held-out row of the mean weight is looked at


class StackFit:
    """What a call of `fit` or `partial_fit` trains, and on which samples.

    Parameters
    ----------
    estimator : BernoulliRBMStack
        With validated parameters. It stays as it is.
    plain : Data
        A validated matrix, in the precision of the stack.
    order : int64 ndarray, default=None
        The rows to train on; a row is listed as often as it counts. By default all rows that have
        a weight: with `shuffle` in an order that depends only on their content, else as stored.
    partial : bool, default=False
        Whether to continue from the present state, for one epoch.
    sample_weight : array-like of shape (n_samples,), default=None
    whole : Moments, default=None
        Those of all samples, if a new stack is trained on a part of them.

    Attributes
    ----------
    is_partial : bool
    continues : bool
        Whether a fitted stack is trained further.
    random : RandomState
    scales : Scales or None
        Those of the features; None if a fitted stack has them already.

    Raises
    ------
    ValueError
        If the parameters cannot be combined, or do not suit the matrix.
    """

    def __init__(self, estimator, plain, order=None, partial=False, sample_weight=None, whole=None):
        self._estimator, self._order, self.is_partial = estimator, order, partial
        self.continues = hasattr(estimator, "_stack") and (partial or estimator.warm_start)
        self.scales, self._weight, self._whole = None, None, None if self.continues else whole
        if sample_weight is not None:
            self._weight = check_sample_weight(sample_weight, plain.shape[0])
            if not self._weight.any():
                raise ValueError("Sample weights must contain at least one non-zero number.")
            self._counts = are_counts(self._weight)
        sizes, self._rates, self._max_iters = per_layer(estimator)
        check_combinations(estimator)
        self._plain, self._categories = self._known(plain)
        self._units = [count_units(self._categories, plain.shape[1]), *sizes]
        n_samples = plain.shape[0] if order is None else len(order)
        check_stack_fits(estimator, self._units, n_samples)
        check_algorithm(estimator, self._plain, self._categories)
        if self.continues:
            check_stack_continues(estimator, self._units)
        random = estimator.random_state_ if partial and self.continues else None
        self.random = random or random_of(estimator)

    def _known(self, plain):
        """The data without unknown categories, and the categories of each feature or None."""
        estimator = self._estimator
        labels, X = estimator._category_labels, plain.X
        self._kinds = kinds_of(estimator, plain.shape[1])
        asks = not isinstance(estimator.categories, str)
        if self.continues and not asks:
            categories = estimator._visible.categories
        else:
            if self._order is not None:  # a sample that does not count has no categories
                X = X[np.unique(self._order)]
            elif self._weight is not None:
                X = X[self._weight > 0.0]
            asked = self._kinds, X, plain.unstored, estimator.categories, labels
            categories = find_categories(*asked)
            warn_of_categories(estimator, categories)
        if self.continues:
            check_categories_stay(estimator, categories)
        X = known_categories(plain.X, categories, plain.unstored, estimator.handle_unknown)
        if X is not plain.X:
            plain = Data(X, plain.dtype, unstored=plain.unstored)
        return plain, categories

    def files(self):
        """The file of the parameter `checkpoint`, in a list; to be called before `training`."""
        estimator, plain = self._estimator, self._plain
        if self.is_partial or estimator.checkpoint is None:
            return []
        content = {
            "X": plain.digest(np.arange(plain.shape[0])),
            "sample_weight": self._weight,
            "first weights": estimator._stack.theta if self.continues else None,
        }
        return training_files(estimator, self.random, **content)

    def training(self, run):
        """Prepare the training: the samples, the stack, its units and its recorders.

        Parameters
        ----------
        run : callable, from `threads`

        Returns
        -------
        StackTraining
        """
        estimator, plain, partial = self._estimator, self._plain, self.is_partial
        rows, held_out = self._split(self._all_rows(run))
        orders = self._orders(rows)
        order = orders.listed
        if not partial:  # partial_fit takes any number of samples
            warn_of_batch_size(estimator.batch_size, len(orders.rows))
        moments, n_layers = self._moments(orders), len(self._rates)
        stack, visible = self._stack_for(moments)
        warn_of_range(estimator, visible, moments)
        fits = visible.can_take(moments)
        clip = not fits or held_out is not None  # moments leave out held-out rows
        means, counts = self._means(visible, visible.data(plain, clip=clip), fits, moments, order)
        if not self.continues:
            visible.refer_to(means if estimator.centered else np.zeros_like(means))
            stack.reference[:] = visible.reference
        data = visible.data(plain, clip=clip)
        return StackTraining(
            run=run,
            stack=stack,
            visible=visible,
            plain=plain,
            clip=clip,
            data=data,
            orders=orders,
            held_out=self._weighted(held_out),
            means=means,
            counts=counts,
            background=stack.means_up(run, data.unfilled, 0, probe_of(order)),
            settings=settings_of(estimator, len(orders.rows)),
            stopping=stopping_rule_of(estimator, held_out, partial),
            rates=self._rates,
            max_iters=[1] * n_layers if partial else self._max_iters,
            recorders=self._recorders(n_layers),
            n_before=getattr(estimator, "n_iter_", [0] * n_layers) if partial else None,
        )

    def _all_rows(self, run):
        """The rows to train on and to hold out; one is listed as often as it counts."""
        if self._order is not None:
            return self._order
        is_free = self._estimator.shuffle and not self._plain.together
        n_samples = self._plain.shape[0]
        rows = canonical_order(run, self._plain) if is_free else np.arange(n_samples)
        if self._weight is None:
            return rows
        if self._counts:
            return np.repeat(rows, self._weight[rows].astype(np.int64))
        return rows[self._weight[rows] > 0.0]

    def _orders(self, rows):
        """The orders of rows, in which they are drawn by weights that are no counts."""
        has_weight = self._weight is not None and not self._counts
        weight = self._weight[rows] if has_weight else None
        return Orders(self.random, rows, self._estimator.shuffle, self._plain.together, weight)

    def _weighted(self, held_out):
        """Held-out rows in proportion to their weights."""
        orders = None if held_out is None else self._orders(held_out)
        if orders is None or orders.weight is None:
            return held_out
        return drawn(held_out, orders.weight, DRAWN_EACH * len(held_out), 0.5)

    def _moments(self, orders):
        """Weighted means and variances, and the range of all rows; or of all shards."""
        if self._whole is not None:
            return self._whole.of_values
        moments = self._plain.moments(orders.listed)
        if orders.weight is None:
            return moments
        return *moments[:2], *self._plain.moments(orders.rows)[2:]

    def _split(self, order):
        """The rows to train on, and those held out for early stopping, or None."""
        estimator, n = self._estimator, len(order)
        if self.is_partial or not estimator.early_stopping:
            return order, None
        n_held_out = number_held_out(estimator.validation_fraction, n)
        held_out = np.zeros(n, dtype=bool)
        held_out[self.random.permutation(n)[:n_held_out]] = True
        return order[~held_out], order[held_out]

    def _means(self, visible, data, fits, moments, order):
        """Means of the units, and of how many values each if some are missing or categories.

        If all values fit, none is clipped, and the means follow from the moments.
        """
        if self._whole is not None and visible.categories is None:
            return visible.means(moments), self._whole.count if data.has_missing else None
        if data.has_missing or visible.categories is not None:
            counts, means = data.observed_moments(order)[:2]
            return means, counts
        return visible.means(moments) if fits else data.moments(order)[0], None

    def _stack_for(self, moments):
        """The stack to train and its visible units, new ones unless training continues."""
        estimator, plain = self._estimator, self._plain
        if self.continues:
            estimator._visible.check_reach(moments, plain.dtype)
            return estimator._stack, estimator._visible
        categories = self._categories, plain.unstored
        check_range(moments, plain.dtype)
        visible = VisibleUnits.suited_to(self._kinds, moments, *categories)
        self.scales = Scales.seen_by(visible, moments, scipy.sparse.issparse(plain.X))
        return self._new_stack(visible, moments), visible

    def _new_stack(self, visible, moments):
        """A stack with its first weights. Those of a layer do not depend on the layers above."""
        estimator, units = self._estimator, self._units
        randoms = streams(self.random, len(units) - 1)
        seeds = [own.randint(0, 2**32, dtype=np.uint32) for own in randoms]
        stack = Stack(units, visible.codes, estimator.activation, seeds, estimator.dtype)
        stack.memories[0].sees_means = visible.are_means(moments)
        inits = self._initial_weights(stack)
        for layer, (init, own) in enumerate(zip(inits, randoms, strict=True)):
            shape = stack.coefs[layer].shape
            W, c = initial_weights(init, own, *shape, estimator.activation)
            stack.coefs[layer][:], stack.intercepts_hidden[layer][:] = W, c
        return stack

    def _initial_weights(self, stack):
        """The initialisation of each layer, checked."""
        init = self._estimator.init
        if isinstance(init, Real):
            check_deviation(init, self._estimator.dtype)
        if isinstance(init, str | Real):
            return ["normal" if init == "auto" else init] * stack.n_layers
        return first_weights(init, stack.units.tolist(), self._estimator.dtype)

    def _recorders(self, n_layers):
        """One recorder per layer; those of the previous calls if training continues."""
        estimator = self._estimator
        if estimator.trace is None:
            return None
        each_batch = estimator.trace == "batch"
        kept = getattr(estimator, "_recorders", None)
        if self.is_partial and kept is not None and kept[0].each_batch == each_batch:
            return kept
        return [RBMRecorder(each_batch) for _ in range(n_layers)]
