"""How a stack scores samples: free energies and pseudo-likelihoods in its first RBM."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sk_dbn._chunks import chunk_rows
from sk_dbn.models.threads import threads


class EnergyMixin:
    """The methods of a stack that score samples."""

    def free_energy(self, X):
        """Compute the free energy of samples in the first RBM, -log sum_h exp(-E(v, h)).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        free_energy : ndarray of shape (n_samples,)
            In nats, up to the RBM's log partition function; for Gaussian units
            a density in the standardised units. Of a sample with missing values, in the RBM of
            what was observed, which has a partition function of its own.
        """
        stack, pieces = self._in_double_precision(X)
        return np.concatenate([stack.free_energy(v) for v in pieces])

    def score_samples(self, X):
        """Compute the pseudo-log-likelihood of samples under the first RBM.

        It is the sum over the observed features of log P(v_i | all others), exact for up to 64
        features. With more features, it is estimated from 64 of them, one from each of 64 equal
        strata. A hash of the sample's content chooses them, so the same sample always gets the
        same score.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        pseudo_likelihood : ndarray of shape (n_samples,)
            In nats; for Gaussian units a density in the standardised units. It is -inf if
            rectified linear units leave a Gaussian unit without a proper density, or if it is
            beyond the range of floating-point numbers. Only the highest peak of a unit's density
            counts if its peaks are hundreds of standard deviations apart, which may happen far
            outside the data.
        """
        stack, pieces = self._in_double_precision(X)
        with threads(self.n_jobs) as run:
            return np.concatenate([stack.pseudo_log_likelihood(run, v) for v in pieces])

    def score(self, X, y=None):
        """Compute the mean pseudo-log-likelihood of samples under the first RBM.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            See `score_samples`.
        """
        return float(self.score_samples(X).mean())

    def _in_double_precision(self, X):
        """The stack, and the values of its visible units, some samples at a time."""
        check_is_fitted(self)
        X = self._read(X, reset=False)
        model = self.model_.astype(np.float64)
        return model.stack, model.visible_values(X, chunk_rows(self._n_numbers(X)))
