"""Samples from a stack as a generative model."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sk_dbn.models import generation, memory
from sk_dbn.models.fitted_stack import CHUNK_ROWS
from sk_dbn.models.threads import threads


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
        row_size = self.n_features_in_ * self._stack.theta.itemsize
        memory.require(
            int(n_samples) * row_size, "n_samples", n_samples, "generate fewer at a time"
        )
        _check_count("n_steps", n_steps, at_least=0)
        stack, random = self._stack, self._generator(random_state)
        X = np.empty((n_samples, self.n_features_in_), stack.theta.dtype)
        with threads(1):
            for start in range(0, n_samples, CHUNK_ROWS):
                piece = X[start : start + CHUNK_ROWS]
                piece[:] = generation.generate(stack, len(piece), n_steps, random, return_means)
        return self._visible.to_data(X)

    def complete(self, X, *, n_steps=500, n_burn_in=100, sample_posterior=False, random_state=None):
        """Fill in missing values, given those observed, by Gibbs steps of the first RBM.

        Observed values stay as they are while the hidden units and the missing visible units are
        drawn in turn. In the long run the missing values are samples of their distribution given
        the observed ones under the first RBM, as in `gibbs`, `free_energy` and `score_samples`.
        The layers above are not used, because the first hidden layer cannot be drawn in one step
        given the layers below and above it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples; NaN (or None, or pandas' NA) marks missing values. All values of a sample
            may be missing: it gets the unconditional mean. Bernoulli units clip values outside
            their range, as in `transform`.
        n_steps : int, default=500
            Number of Gibbs steps that are averaged.
        n_burn_in : int, default=100
            Number of Gibbs steps before these. Chains start from independent values with the
            means of the training data.
        sample_posterior : bool, default=False
            Whether to fill in the sample of the last step instead of the mean, for multiple
            imputation.
        random_state : int, RandomState instance or None, default=None
            Determines the samples. None: continues `random_state_`.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            X, in its own dtype if that is floating-point, else float64. Missing values are
            replaced by the average over the steps of their mean given the hidden units, which
            has less noise than the average of samples. Observed values are returned unchanged.
            With ``set_output(transform="pandas")`` it is a data frame, as with scikit-learn's
            imputers.

        See Also
        --------
        gibbs : Steps in which every feature is drawn.
        sklearn.impute.IterativeImputer : Imputation by regression on the other features.

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
        _check_count("n_steps", n_steps, at_least=1)
        _check_count("n_burn_in", n_burn_in, at_least=0)
        X_given, X = X, self._read(X, reset=False, allow_nan=True)
        stack, random = self._stack, self._generator(random_state)
        X_new = X.copy()
        incomplete = np.flatnonzero(np.isnan(X).any(axis=1))
        settings = n_steps, n_burn_in, random, sample_posterior
        with threads(1):
            for start in range(0, len(incomplete), CHUNK_ROWS):
                rows = incomplete[start : start + CHUNK_ROWS]
                missing = np.isnan(X[rows])
                v = self.model_.means_up(np.where(missing, 0, X[rows]), n_layers=0)
                v = self._visible.to_data(generation.complete(stack, v, missing, *settings))
                X_new[rows] = np.where(missing, v, X_new[rows])
        return self._in_container(X_new, X_given)

    def _in_container(self, X_new, X):
        """X_new as a data frame like X, if `set_output` asks for one."""
        like_input = _LikeInput()
        vars(like_input).update(vars(self))  # the choice of `set_output` and the features' names
        return like_input.transform(X, X_new)

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
