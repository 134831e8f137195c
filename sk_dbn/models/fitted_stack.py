"""A trained stack together with the visible units that read its input."""

from dataclasses import dataclass, replace

from sk_dbn.models.data import Data
from sk_dbn.models.forward import shared_work
from sk_dbn.models.rbm import Stack
from sk_dbn.models.threads import threads
from sk_dbn.models.visible import VisibleUnits
from sk_dbn.models.work import row_pieces

CHUNK_ROWS = 1024  # samples whose visible units are held in float64 at a time


@dataclass(frozen=True)
class FittedStack:
    """RBMs and how they read samples in the units of the training data.

    Parameters
    ----------
    stack : Stack
    visible : VisibleUnits
    n_jobs : int or None
        Number of threads.
    """

    stack: Stack
    visible: VisibleUnits
    n_jobs: int | None = None

    def astype(self, dtype):
        """The same in another precision."""
        return replace(self, stack=self.stack.astype(dtype))

    @property
    def inputs(self):
        """How the first layer's weights see the features."""
        return self.visible.over(self.stack.variance)

    def means_up(self, X, n_layers=None):
        """Means of a layer's units, each layer given the means below.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
        n_layers : int, default=None
            How many layers the samples pass; all by default, 0 gives the visible units.

        Returns
        -------
        ndarray of shape (n_samples, units[n_layers])
            In the stack's precision.
        """
        stack, units = self.stack, self.visible if n_layers == 0 else self.inputs
        with threads(self.n_jobs, shared_work(stack.layers, X.shape[0])) as run:
            return stack.means_up(run, units.data(Data(X, stack.theta.dtype)), n_layers)

    def visible_values(self, X, max_rows=CHUNK_ROWS):
        """The values of the visible units, some samples at a time.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
        max_rows : int, default=1024
            Maximum number of samples at a time; there are never more than by default.

        Yields
        ------
        ndarray of shape (n_rows, n_units)
            In the stack's precision; NaN where a value is missing.
        """
        stack = self.stack
        for part in row_pieces(X.shape[0], stack.row_work, min(max_rows, CHUNK_ROWS)):
            data = self.visible.data(Data(X[part], stack.theta.dtype)).unfilled
            with threads(self.n_jobs, data.shape[0] * data.shape[1]) as run:
                v = stack.means_up(run, data, 0)
            yield v
