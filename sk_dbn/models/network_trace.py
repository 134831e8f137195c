"""The gradient trace of a network: one row after the other."""

import numpy as np

from sk_dbn.kernels.statistics import probe_layers
from sk_dbn.models.network_training import OptimiserState, Training
from sk_dbn.models.traces import Recorder


class NetworkRecorder(Recorder):
    """Collects the rows of a network's gradient trace.

    Attributes
    ----------
    below : dict of str to ndarray of shape (n_layers - 1,)
        Measures of hidden layers that are frozen, with which each row begins; empty where all
        layers are trained.
    """

    below = {}

    def look_below(self, network, data, probe):
        """Measure frozen layers, once: there are no gradients and no steps of theirs, so NaN."""
        seen = {name: values[:-1] for name, values in _health(network, data, probe).items()}
        unseen = ("weight_grad_norm", "bias_grad_norm", "update_ratio")
        nothing = np.full(network.n_layers - 1, np.nan)
        self.below = {**dict.fromkeys(unseen, nothing), **seen}

    def record_start(self, run, network, training_set, batch_size):
        """Row 0: the state before the first update, its gradient over the probe."""
        probe, no_steps = training_set.probe, OptimiserState(None, network)
        training = Training(network, training_set, no_steps, min(batch_size, len(probe)))
        training.epoch(run, probe, 0.0)
        n_batches = -(-len(probe) // training.buffers.batch)
        w_norm, b_norm, update_ratio = training.norms.T / n_batches
        self._append(0.0, network, training_set, w_norm, b_norm, update_ratio)

    def record_gradient(self, network, training_set, gradient, update_ratio):
        """One row for an iteration over all rows, from its gradient."""
        self.n_epochs += 1
        w, b = zip(*network.parts_of(gradient), strict=True)
        norms = [np.array([np.linalg.norm(x) for x in part]) for part in (w, b)]
        self._append(self.n_epochs, network, training_set, *norms, update_ratio)

    def record(self, training, progress, n_batches):
        """One row from what the last n_batches minibatches left in `training.norms`."""
        means = training.norms.T / n_batches
        training.norms[:] = 0.0
        epoch = self.advance(progress)
        self._append(epoch, training.network, training.training_set, *means)

    def _append(self, epoch, network, training_set, w_norm, b_norm, update_ratio):
        row = {
            "weight_grad_norm": w_norm,
            "bias_grad_norm": b_norm,
            "update_ratio": update_ratio,
            **_health(network, training_set.data, training_set.probe),
        }
        if self.below:
            row = {name: np.concatenate([self.below[name], row[name]]) for name in row}
        self.add(epoch, row)


def _health(network, data, probe):
    """What a network's weights and activations are, one value a layer."""
    health = np.zeros((network.n_layers, 4))
    probe_layers(data.source, probe, network.layers, health)
    mean, std, saturated, dead = health.T.copy()
    return {
        "weight_norm": np.array([np.linalg.norm(W) for W in network.coefs], float),
        "activation_mean": mean,
        "activation_std": std,
        "saturated_fraction": saturated,
        "dead_fraction": dead,
    }
