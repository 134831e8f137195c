"""The gradient trace: gradients, weights and activations of each layer in training."""

from dataclasses import dataclass, fields

import numpy as np

MAX_PROBED = 256  # rows that a trace is measured on


@dataclass(repr=False)
class GradientTrace:
    """Gradients, weights and activations of every layer while a model was trained.

    Every array has shape (n_rows, n_layers). Row 0 is the state before the first update, followed
    by one row for each epoch (or minibatch). Layers that stopped earlier are padded with NaN.
    Gradients and steps of frozen layers are NaN. Norms are Euclidean.

    Parameters
    ----------
    epoch : ndarray of shape (n_rows,)
        Number of epochs completed, a fraction within an epoch.
    weight_grad_norm, bias_grad_norm : ndarray of shape (n_rows, n_layers)
        Norm of the loss's gradient with respect to a layer's weights and biases, without
        penalties and before clipping, mean over the row's minibatches. They are computed with
        dropout, except in row 0.
    update_ratio : ndarray of shape (n_rows, n_layers)
        Norm of the weights' step divided by the norm of the weights, mean over the row's
        minibatches, before `max_norm` is applied. Where values are missing, both norms are of the
        weights of the features that a minibatch has.
    weight_norm : ndarray of shape (n_rows, n_layers)
        Norm of the weights at the end of the row.
    activation_mean, activation_std : ndarray of shape (n_rows, n_layers)
        Mean and standard deviation over units and a fixed set of training samples, at the end of
        the row. With shortcuts they are those of the layer's output, including its input.
    saturated_fraction : ndarray of shape (n_rows, n_layers)
        Share of activations, without shortcuts, within 1 % of the end of a bounded range.
    dead_fraction : ndarray of shape (n_rows, n_layers)
        Share of the units whose activation is the same for all samples of the set.
    reconstruction_kl, reconstruction_mse : ndarray of shape (n_rows, n_layers) or None
        For an RBM: difference between samples of its input and their mean-field reconstruction,
        as Kullback-Leibler divergence in nats per sample, and as mean squared error per unit.
    free_energy_gap : ndarray of shape (n_rows, n_layers) or None
        For an RBM with validation samples: their mean free energy minus that of training
        samples, in nats; it grows when the RBM overfits.

    References
    ----------
    .. [1] Glorot, X. & Bengio, Y. (2010). Understanding the difficulty of training deep
       feedforward neural networks. AISTATS. Sections 3 and 4.2: gradients and saturation
       by layer.

    .. [2] Hinton, G. E. (2012). A practical guide to training restricted Boltzmann
       machines. Section 7: weights against their updates. Section 6: the free energy gap.

    Examples
    --------
    >>> from sk_dbn import BernoulliRBMStack
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data / 16
    >>> trace = BernoulliRBMStack((30, 20), max_iter=2).fit(X).gradient_trace_
    >>> trace.weight_grad_norm.shape  # before training and 2 epochs, 2 layers
    (3, 2)
    >>> trace
    GradientTrace(n_rows=3, n_layers=2, last_epoch=2, fields=[epoch, weight_grad_norm, ...])
    """

    epoch: np.ndarray
    weight_grad_norm: np.ndarray
    bias_grad_norm: np.ndarray
    update_ratio: np.ndarray
    weight_norm: np.ndarray
    activation_mean: np.ndarray
    activation_std: np.ndarray
    saturated_fraction: np.ndarray
    dead_fraction: np.ndarray
    reconstruction_kl: np.ndarray | None = None
    reconstruction_mse: np.ndarray | None = None
    free_energy_gap: np.ndarray | None = None

    def __repr__(self):
        n_rows, n_layers = self.weight_grad_norm.shape
        last_epoch = f"{self.epoch[-1]:g}" if n_rows else None
        names = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        return (
            f"GradientTrace(n_rows={n_rows}, n_layers={n_layers}, last_epoch={last_epoch}, "
            f"fields=[{', '.join(names)}])"
        )

    @property
    def n_layers(self):
        """Number of layers traced."""
        return self.weight_grad_norm.shape[1]

    def to_frame(self):
        """Convert the trace to a table with one line per row and layer.

        Returns
        -------
        pandas.DataFrame
            Columns ``epoch``, ``layer`` (from 0) and one for each quantity.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "GradientTrace.to_frame needs pandas: pip install pandas. "
                "Without it, read the trace's arrays directly."
            ) from error
        n_rows, n_layers = self.weight_grad_norm.shape
        columns = {
            "epoch": np.repeat(self.epoch, n_layers),
            "layer": np.tile(np.arange(n_layers), n_rows),
        }
        for field in fields(self)[1:]:
            values = getattr(self, field.name)
            if values is not None:
                columns[field.name] = values.ravel()
        return pd.DataFrame(columns)


# The columns of one recorded row, in this order.
MEASURES = [field.name for field in fields(GradientTrace)[1:]]


class Recorder:
    """Collects the rows of the gradient trace of one RBM or one network.

    Parameters
    ----------
    each_batch : bool
        Whether there is one row per minibatch instead of one per epoch.
    """

    def __init__(self, each_batch):
        self.each_batch = each_batch
        self.n_epochs = 0
        self._epochs, self._rows = [], []

    def __getstate__(self):
        state = vars(self).copy()
        rows = state.pop("_rows")
        names = rows[0] if rows else ()
        return state | {"table": {name: np.array([row[name] for row in rows]) for name in names}}

    def __setstate__(self, state):
        state = dict(state)
        table = state.pop("table")
        vars(self).update(state)
        self._rows = [
            dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)
        ]

    @property
    def is_empty(self):
        """Whether there are no rows yet."""
        return not self._rows

    def has(self, name):
        """Whether the rows have this field."""
        return bool(self._rows) and name in self._rows[0]

    def advance(self, progress):
        """The epoch of a new row, given the completed share of the present epoch."""
        epoch = self.n_epochs + progress
        if progress == 1.0:
            self.n_epochs += 1
        return epoch

    def add(self, epoch, row):
        """Add a row: a dict from each field to an array with one value per layer."""
        self._epochs.append(epoch)
        self._rows.append(row)

    def trace(self):
        """The trace of the rows so far."""
        return build_trace(self._epochs, self._rows)


def build_trace(epochs, rows):
    """Make a GradientTrace of recorded rows.

    Parameters
    ----------
    epochs : list of n_rows floats
    rows : list of n_rows dicts
        Measure to array of shape (n_layers,).

    Returns
    -------
    GradientTrace
    """
    names = [name for name in MEASURES if name in rows[0]]
    table = {name: np.array([row[name] for row in rows]) for name in names}
    return GradientTrace(epoch=np.array(epochs, dtype=float), **table)


def join_layers(traces):
    """Join the traces of layers that were trained one after another.

    Parameters
    ----------
    traces : list of GradientTrace, each of one layer

    Returns
    -------
    GradientTrace
        Shorter layers padded with NaN; ``epoch`` is that of the longest.
    """
    n_rows = max(len(trace.epoch) for trace in traces)
    longest = max(traces, key=lambda trace: len(trace.epoch))

    def padded(column):
        return np.pad(column, ((0, n_rows - len(column)), (0, 0)), constant_values=np.nan)

    columns = {}
    for name in MEASURES:
        values = [getattr(trace, name) for trace in traces]
        if values[0] is not None:
            columns[name] = np.hstack([padded(column) for column in values])
    return GradientTrace(epoch=longest.epoch.copy(), **columns)


def evenly_spaced(order, size):
    """Some rows, evenly spaced in an order; all where there are fewer."""
    n = len(order)
    return order[np.linspace(0, n - 1, min(n, size)).astype(np.int64)]
