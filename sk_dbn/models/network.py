"""The feed-forward network: its parameters in one vector, and its outputs."""

import numpy as np

from sk_dbn.kernels.activations import ACTIVATIONS, OUTPUT_ACTIVATIONS
from sk_dbn.kernels.feed_forward import Layers
from sk_dbn.models.data import arrays_for_kernels, parameters_for_kernels
from sk_dbn.models.forward import are_sizes, forward

TABLES = ACTIVATIONS, OUTPUT_ACTIVATIONS


def branch_factor(n_hidden):
    """The factor of a layer's own activations if it has a shortcut, see `Network`.

    Parameters
    ----------
    n_hidden : int
        Number of hidden layers.

    Returns
    -------
    float
        One over the number of shortcuts; 0 if there are none.
    """
    return 1.0 / (n_hidden - 1) if n_hidden > 1 else 0.0


class Network:
    """Layers whose weights and biases are views of one flat vector.

    Parameters
    ----------
    units : sequence of int
        Units of the input, of every hidden layer and of the output.
    activations : sequence of str
        One for every hidden layer.
    out_activation : {'identity', 'logistic', 'exp', 'softmax'}
    dtype : dtype
    shortcut : bool, default=False
        Whether the output of each hidden layer is added to the activations of the next one.

    Attributes
    ----------
    branch : float
        Factor of these activations: one over the number of shortcuts, or 0 if there are none.
        1 / L keeps a sum of L terms bounded even if their mean is not zero, as with rectified
        units; 1 / sqrt(L) needs independent terms of mean zero (Marion, Fermanian, Biau & Vert,
        2025).
    theta : ndarray of shape (n_parameters,)
    coefs, intercepts : lists of views, (fan_in, fan_out) and (fan_out,)
    """

    def __init__(self, units, activations, out_activation, dtype, shortcut=False):
        self.shortcut = bool(shortcut)
        self.units = np.array(units, dtype=np.int64)
        codes = [ACTIVATIONS[name] for name in activations]
        self.codes = np.array([*codes, OUTPUT_ACTIVATIONS[out_activation]])
        self._adopt(parameters_for_kernels(np.zeros(self._lay_out(), dtype)))

    def _lay_out(self):
        """Find where each layer's parameters begin; return their number."""
        self.branch = branch_factor(len(self.codes) - 1) if self.shortcut else 0.0
        fan_in, fan_out = self.units[:-1], self.units[1:]
        ends = np.cumsum(np.column_stack([fan_in * fan_out, fan_out]).ravel())
        starts = np.r_[0, ends[:-1]]
        self._weights_at, self._biases_at = starts[::2].copy(), starts[1::2].copy()
        return ends[-1]

    def _adopt(self, theta):
        """Make theta the parameters; coefs and intercepts become views of it."""
        self.theta = theta
        self.coefs, self.intercepts = [], []
        for p, q, w, b in zip(
            self.units, self.units[1:], self._weights_at, self._biases_at, strict=False
        ):
            self.coefs.append(theta[w : w + p * q].reshape(p, q))
            self.intercepts.append(theta[b : b + q])

    def __getstate__(self):
        return {name: getattr(self, name) for name in ("units", "codes", "shortcut", "theta")}

    def __setstate__(self, state):
        self.__dict__.update(arrays_for_kernels(state))
        hidden, out = (list(table.values()) for table in TABLES)
        if not (
            are_sizes(self.units)
            and self.codes.shape == (len(self.units) - 1,)
            and np.isin(self.codes[:-1], hidden).all()
            and self.codes[-1] in out
            and self.theta.shape == (self._lay_out(),)
            and self.theta.dtype in (np.float32, np.float64)
        ):
            raise ValueError("the stored parameters and layers of a network do not fit together.")
        self._adopt(parameters_for_kernels(self.theta))

    @property
    def activations(self):
        """The name of each layer's activation, output layer last."""
        hidden, out = ({code: name for name, code in table.items()} for table in TABLES)
        return [*(hidden[code] for code in self.codes[:-1]), out[self.codes[-1]]]

    @property
    def n_layers(self):
        """Number of layers with parameters."""
        return len(self.codes)

    def replaced(self, name, arrays):
        """A copy with other weights (`coefs`) or biases (`intercepts`)."""
        copy = self.copy()
        for mine, given in zip(getattr(copy, name), arrays, strict=True):
            mine[:] = given
        return copy

    def output_layer(self):
        """The output layer as a network whose input is the top hidden layer.

        Returns
        -------
        Network
            Its theta is a view of this network's theta, so training it trains the output layer.
        """
        return self.layers_above(self.n_layers - 1)

    def layers_above(self, n_below):
        """The upper layers as a network whose input is the layer below them, without shortcuts.

        Parameters
        ----------
        n_below : int
            Number of layers to leave out.

        Returns
        -------
        Network
            Its theta is a view of this network's theta.
        """
        top = object.__new__(Network)
        top.shortcut, top.units, top.codes = False, self.units[n_below:], self.codes[n_below:]
        top._lay_out()
        top._adopt(self.theta[self._weights_at[n_below] :])
        return top

    @property
    def layers(self):
        """The kernels' view of the network."""
        at = self._weights_at, self._biases_at
        return Layers(self.theta, self.units, *at, self.codes, self.branch)

    def astype(self, dtype):
        """The network in another precision; itself if the precision is the same."""
        if self.theta.dtype == dtype:
            return self
        return self.with_parameters(parameters_for_kernels(self.theta, dtype))

    def copy(self):
        """A network with the same layers and a copy of the parameters."""
        return self.with_parameters(parameters_for_kernels(self.theta))

    def with_parameters(self, theta):
        """A network with the same layers and other parameters, which are not copied."""
        twin = object.__new__(Network)
        vars(twin).update(vars(self))
        twin._adopt(theta)
        return twin

    def outputs(self, run, data, n_layers=None, rows=None):
        """The activations of a layer for every row.

        Parameters
        ----------
        run : callable, from `threads`
        data : Data
        n_layers : int, default=None
            Number of layers to apply; all by default.
        rows : int64 ndarray of shape (n_rows,), default=None
            Which rows; all by default.

        Returns
        -------
        ndarray of shape (n_rows, units[n_layers])
        """
        n_layers = self.n_layers if n_layers is None else n_layers
        return forward(run, data, self.layers, n_layers, rows)

    def parts_of(self, vector):
        """The parts of a vector that has the layout of `theta`.

        Parameters
        ----------
        vector : ndarray of shape (n_parameters,)

        Yields
        ------
        weights, biases : ndarrays of shape (fan_in * fan_out,) and (fan_out,), views
            One pair for each layer.
        """
        at = zip(self.coefs, self._weights_at, self._biases_at, strict=True)
        for W, w, b in at:
            yield vector[w : w + W.size], vector[b : b + W.shape[1]]
