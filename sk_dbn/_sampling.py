"""Samples from a stack as a generative model."""

from numbers import Integral

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sk_dbn._categories import feature_index
from sk_dbn._frames import relabelled
from sk_dbn._input import to_dense
from sk_dbn.models import generation, memory
from sk_dbn.models.fitted_stack import CHUNK_ROWS
from sk_dbn.models.threads import threads

GIBBS_STEPS = 500  # of `complete`, where it takes any
STRATEGIES = {"mean", "most_frequent"}


class SamplingMixin:
    """The methods of a stack that generate values: `gibbs`, `sample` and `complete`."""

    def gibbs(self, X, n_steps=1, *, random_state=None):
        """Sample the visible units by Gibbs steps of the first RBM.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Values of the visible units to start from.
        n_steps : int, default=1
            Number of steps, each a sample of the hidden units followed by one of the
            visible units.
        random_state : int, RandomState instance or None, default=None
            Determines the samples. None: continues `random_state_`.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            Values of the visible units after the last step.

        See Also
        --------
        sample : Samples of the whole stack.
        complete : Steps in which observed values stay as they are.
        """
        check_is_fitted(self)
        _check_count("n_steps", n_steps, at_least=1)
        v = self.model_.means_up(self._read(X, reset=False), n_layers=0)
        random = self._generator(random_state)
        with threads(1):
            v = generation.gibbs(self._stack, v, n_steps, random)
        return self._visible.to_data(v)

    def sample(self, n_samples=1, *, n_steps=1000, return_means=False, random_state=None):
        """Generate samples from the stack as a deep belief network.

        Independent chains, one per sample, make Gibbs steps in the last RBM; then each layer
        below is drawn once, given the layer above [1]_.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples to generate.
        n_steps : int, default=1000
            Gibbs steps of each chain. With ``algorithm='pcd'`` chains start at the persistent
            chains of training, each used equally often. Otherwise they start from independent
            units with the means of the last RBM's input, and need steps to become samples of the
            RBM. The larger its weights, the more steps they need.
        return_means : bool, default=False
            Whether to return the means of the visible units given the layer above instead of
            samples. They have the same expectation and less noise, so images look better.
        random_state : int, RandomState instance or None, default=None
            Determines the samples. None: continues `random_state_`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            In the units of the training data.

        See Also
        --------
        gibbs : Samples of the first RBM, from given samples.
        complete : Missing values given the observed ones.

        References
        ----------
        .. [1] Hinton, G. E., Osindero, S. & Teh, Y.-W. (2006). A fast learning algorithm for
           deep belief nets. Neural Computation 18, section 6.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from sk_dbn import BernoulliRBMStack
        >>> X = load_digits().data / 16
        >>> stack = BernoulliRBMStack((64, 16), max_iter=5, random_state=0).fit(X)
        >>> stack.sample(10, return_means=True).shape
        (10, 64)
        """
        check_is_fitted(self)
        _check_count("n_samples", n_samples, at_least=1)
        row_size = int(self._stack.units[0]) * self._stack.theta.itemsize
        memory.require(
            int(n_samples) * row_size, "n_samples", n_samples, "generate fewer at a time"
        )
        _check_count("n_steps", n_steps, at_least=0)
        stack, random = self._stack, self._generator(random_state)
        v = np.empty((n_samples, int(stack.units[0])), stack.theta.dtype)
        with threads(1):
            for start in range(0, n_samples, CHUNK_ROWS):
                piece = v[start : start + CHUNK_ROWS]
                piece[:] = generation.generate(stack, len(piece), n_steps, random, return_means)
        return self._visible.to_data(v)

    def complete(
        self,
        X,
        *,
        n_steps="auto",
        n_burn_in=100,
        strategy="mean",
        sample_posterior=False,
        random_state=None,
    ):
        """Fill in missing values, given those observed, by the first RBM.

        Gibbs steps draw the hidden units and the missing visible units in turn, while observed
        values stay as they are. In the long run the missing values are samples of their
        distribution given the observed ones in the RBM of all features. Or, without sampling, a
        mean-field step gives each missing value its mean given the means of the hidden units,
        which the observed values determine ([1]_, equations 8 to 10). The layers above are not
        used, because the first hidden layer cannot be drawn in one step given the layers below
        and above it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples; NaN (or None, or pandas' NA) marks missing values. In a sparse matrix, values
            that are not stored are missing if ``not_stored='missing'``. All values of a sample
            may be missing: it gets the unconditional mean. Bernoulli units clip values outside
            their range, as in `transform`.
        n_steps : int or 'auto', default='auto'
            Number of Gibbs steps that are averaged; 0 for the mean-field step. 'auto': 500 if the
            training samples were complete. If they had missing values, no sample was trained as
            an RBM of all features, whose Gibbs steps lead far away if many values are missing:
            then it is 0, unless samples are asked for.
        n_burn_in : int, default=100
            Number of Gibbs steps before these. Chains start from independent values with the
            means of the training data.
        strategy : {'mean', 'most_frequent'}, default='mean'
            What a categorical feature gets: the mean of its categories, weighted by their
            probabilities, or the most probable one, which columns with pandas' dtype for
            categories always get. It changes nothing for other features.
        sample_posterior : bool, default=False
            Whether to fill in the sample of the last step instead of the mean, for multiple
            imputation.
        random_state : int, RandomState instance or None, default=None
            Determines the samples. None: continues `random_state_`.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            X, in its own dtype if that is floating-point, else float64. Missing values are
            replaced by their mean given the hidden units, averaged over the steps, which has less
            noise than the average of samples. Observed values are returned unchanged.
            With ``set_output(transform="pandas")`` it is a data frame, as with scikit-learn's
            imputers. Columns with pandas' dtype for categories keep it there. In an array they
            hold the categories if these are numbers, otherwise their positions in the dtype.

        See Also
        --------
        gibbs : Steps in which every feature is drawn.
        predict_feature_proba : The distribution of one feature.
        sklearn.impute.IterativeImputer : Imputation by regression on the other features.

        References
        ----------
        .. [1] Salakhutdinov, R., Mnih, A. & Hinton, G. (2007). Restricted Boltzmann machines for
           collaborative filtering. ICML.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_digits
        >>> from sk_dbn import BernoulliRBMStack
        >>> X = load_digits().data / 16
        >>> stack = BernoulliRBMStack((64,), max_iter=5, random_state=0).fit(X)
        >>> X_missing = X[:10].copy()
        >>> X_missing[:, :32] = np.nan
        >>> X_new = stack.complete(X_missing)
        >>> print(np.isnan(X_missing).sum(), np.isnan(X_new).sum())
        320 0
        """
        check_is_fitted(self)
        check_completion(n_steps, n_burn_in, strategy, sample_posterior)
        if n_steps == "auto":
            n_steps = 0 if self._has_seen_gaps and not sample_posterior else GIBBS_STEPS
        X_given, X = X, self._read(X, reset=False, allow_nan=True)
        X_new = self._dense(X)
        random, missing = n_steps and self._generator(random_state), np.isnan(X_new)
        incomplete = np.flatnonzero(missing.any(axis=1))
        expected = strategy == "mean" and not sample_posterior
        labelled = list(self._category_labels)
        with threads(1):
            for start in range(0, len(incomplete), CHUNK_ROWS):
                rows = incomplete[start : start + CHUNK_ROWS]
                v = np.concatenate(list(self.model_.visible_values(X[rows])))
                if n_steps == 0:
                    v = generation.expectations(self._stack, v)
                else:
                    settings = n_steps, n_burn_in, random, sample_posterior
                    v = generation.complete(self._stack, v, *settings)
                filled = self._visible.to_data(v.copy(), expected)
                if labelled:
                    filled[:, labelled] = self._visible.to_data(v)[:, labelled]
                X_new[rows] = np.where(missing[rows], filled, X_new[rows])
        return self._in_container(X_new, X_given)

    def _dense(self, X):
        """A copy of validated X, of floating-point numbers, with NaN where a value is missing."""
        if scipy.sparse.issparse(X):
            return to_dense(X, self._visible.unstored)
        return np.array(X, dtype=X.dtype if X.dtype.kind == "f" else np.float64)

    def predict_feature_proba(self, X, feature):
        """Compute the distribution of one feature given the others, in the first RBM.

        Exact for that RBM, by equation 7 of [1]_: the hidden units are summed out. What X has for
        the feature itself is not used, and missing values of the others are no part of the sample's
        RBM. How good the predictions are depends on how well the RBM was trained: more epochs and
        `annealing` may help much.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        feature : int or str
            Index or name of a categorical or Bernoulli feature.

        Returns
        -------
        P : ndarray of shape (n_samples, n_categories)
            Probabilities of the categories, in the order of ``categories_[feature]``; of a
            Bernoulli feature those of 0 and 1, or of the ends of the range mapped to them.

        Raises
        ------
        ValueError
            If there is no such feature, or if it is Gaussian.

        References
        ----------
        .. [1] Salakhutdinov, R., Mnih, A. & Hinton, G. (2007). Restricted Boltzmann machines for
           collaborative filtering. ICML.
        """
        check_is_fitted(self)
        visible, names = self._visible, getattr(self, "feature_names_in_", None)
        rule = "feature must be the index or the name of a feature"
        i = feature_index(feature, self.n_features_in_, names, rule)
        X = self._read(_without(X, i), reset=False, allow_nan=True)
        first, end = visible.first_unit[i : i + 2]
        if visible.gaussian[first]:
            raise ValueError(
                f"feature must be categorical or Bernoulli, got {feature!r}, which is Gaussian; "
                "complete gives its mean."
            )
        model = self.model_.astype(np.float64)
        pieces = model.visible_values(X)
        return np.concatenate([model.stack.conditional(v, slice(first, end)) for v in pieces])

    def _in_container(self, X_new, X):
        """X_new as a data frame like X, if `set_output` asks for one."""
        like_input = _LikeInput()
        vars(like_input).update(vars(self))  # the choice of `set_output` and the features' names
        return relabelled(like_input.transform(X, X_new), self._category_labels)

    def _generator(self, random_state):
        """The random generator of the caller, or the one that continues from training."""
        if random_state is None:
            return generation.generator(self.random_state_)
        return generation.generator(check_random_state(random_state))


class _LikeInput(TransformerMixin, BaseEstimator):
    """Has scikit-learn put values of the features into the container that `set_output` names."""

    def transform(self, X, X_new):
        """X_new, in that container with the index of X."""
        return X_new

    def get_feature_names_out(self):
        """The names of the features."""
        return getattr(self, "feature_names_in_", [f"x{i}" for i in range(self.n_features_in_)])


def _check_count(name, value, at_least):
    """Check that a number of steps or samples is an integer and large enough."""
    if not isinstance(value, Integral) or value < at_least:
        raise ValueError(f"{name} must be an integer of at least {at_least}, got {value!r}.")


def _without(X, i):
    """X without the values of a feature, where it is a data frame or an array of numbers."""
    if hasattr(X, "isetitem") and i < X.shape[1]:
        X = X.copy(deep=False)
        X.isetitem(i, np.nan)
    elif isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "iuf" and i < X.shape[1]:
        X = np.array(X, dtype=X.dtype if X.dtype.kind == "f" else np.float64)
        X[:, i] = np.nan
    return X


def check_completion(n_steps, n_burn_in, strategy, sample_posterior):
    """Check the arguments of `complete`."""
    if n_steps != "auto":
        _check_count("n_steps", n_steps, at_least=0)
    _check_count("n_burn_in", n_burn_in, at_least=0)
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be 'mean' or 'most_frequent', got {strategy!r}.")
    if n_steps == 0 and sample_posterior:
        raise ValueError("sample_posterior=True needs n_steps of at least 1, got 0.")
