"""The recorder of a network's gradient trace."""

import numpy as np

from sk_dbn.kernels.statistics import probe_layers
from sk_dbn.models.network_training import OptimiserState, Training
from sk_dbn.models.traces import Recorder


class NetworkRecorder(Recorder):
    """Collects the rows of a network's gradient trace.

    Attributes
    ----------
    frozen : dict of str to ndarray of shape (n_layers - 1,)
        Measures of frozen hidden layers, the same in each row; empty if all layers are trained.
    """

    frozen = {}

    def measure_frozen(self, network, data, probe):
        """Measure the frozen layers once; their gradients and steps are NaN."""
        measured = {name: x[:-1] for name, x in _layer_statistics(network, data, probe).items()}
        undefined = ("weight_grad_norm", "bias_grad_norm", "update_ratio")
        nan = np.full(network.n_layers - 1, np.nan)
        self.frozen = {**dict.fromkeys(undefined, nan), **measured}

    def record_start(self, run, network, training_set, batch_size):
        """Add row 0: the state before the first update, with the gradient over the probe."""
        probe, no_steps = training_set.probe, OptimiserState(None, network)
        training = Training(network, training_set, no_steps, min(batch_size, len(probe)))
        training.epoch(run, probe, 0.0)
        n_batches = -(-len(probe) // training.buffers.batch)
        w_norm, b_norm, update_ratio = training.norms.T / n_batches
        self._append(0.0, network, training_set, w_norm, b_norm, update_ratio)

    def record_gradient(self, network, training_set, gradient, update_ratio):
        """Add a row for an iteration over all samples, from its gradient."""
        self.n_epochs += 1
        w, b = zip(*network.parts_of(gradient), strict=True)
        norms = [np.array([np.linalg.norm(x) for x in part]) for part in (w, b)]
        self._append(self.n_epochs, network, training_set, *norms, update_ratio)

    def record(self, training, progress, n_batches):
        """Add a row from the sums over n_batches minibatches in `training.norms`."""
        means = training.norms.T / n_batches
        training.norms[:] = 0.0
        epoch = self.advance(progress)
        self._append(epoch, training.network, training.training_set, *means)

    def _append(self, epoch, network, training_set, w_norm, b_norm, update_ratio):
        row = {
            "weight_grad_norm": w_norm,
            "bias_grad_norm": b_norm,
            "update_ratio": update_ratio,
            **_layer_statistics(network, training_set.data, training_set.probe),
        }
        if self.frozen:
            row = {name: np.concatenate([self.frozen[name], row[name]]) for name in row}
        self.add(epoch, row)


def _layer_statistics(network, data, probe):
    """Statistics of the weights and activations, one value per layer."""
    statistics = np.zeros((network.n_layers, 4))
    probe_layers(data.source, probe, network.layers, statistics)
    mean, std, saturated, dead = statistics.T.copy()
    return {
        "weight_norm": np.array([np.linalg.norm(W) for W in network.coefs], float),
        "activation_mean": mean,
        "activation_std": std,
        "saturated_fraction": saturated,
        "dead_fraction": dead,
    }
