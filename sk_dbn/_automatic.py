"""The batch size and learning rate of a network that 'auto' resolves to.

The numbers were chosen on one half of the data sets of ``examples/benchmarks/defaults.py``.
"""

import warnings

import numpy as np

# The highest learning rate of a schedule with two hidden layers; 0.01 for other solvers.
RATES = {"sgd": 0.1, "adagrad": 0.1}
WIDTH = 200  # units; in wider layers the rate is proportional to 1 / width


def automatic_batch_size(n_samples):
    """Number of samples in a minibatch: a fortieth of all, at least 32 and at most 200.

    Parameters
    ----------
    n_samples : int

    Returns
    -------
    int
    """
    return min(n_samples, int(np.clip(n_samples // 40, 32, 200)))


def automatic_learning_rate(
    solver, sizes, activations, is_pretrained, is_annealed, has_shortcuts=False
):
    """Initial learning rate.

    Parameters
    ----------
    solver : str
    sizes : sequence of int
        Numbers of units of the hidden layers.
    activations : list of str
        Activations of the hidden layers.
    is_pretrained : bool
        Whether the layers are pre-trained. A high rate would undo that.
    is_annealed : bool
        Whether the learning rate ends near zero. If not, it must be lower.
    has_shortcuts : bool, default=False
        Whether the network has shortcuts. Then its layers are scaled by depth, not the rate.

    Returns
    -------
    float
        Lower for deep networks, where each layer changes the input of the next one, and for wide
        layers, where many terms of a sum change at once (Yang et al., 2021, Tensor programs V,
        arXiv 2203.03466, table 3). Higher for logistic units, whose weights are larger by a factor
        of 4 (see `initialisers.auto`).
    """
    rate = RATES.get(solver, 0.01)
    if not has_shortcuts:
        rate *= 2.0 / max(2, len(activations))
    rate *= min(1.0, WIDTH / max(sizes, default=1))
    if activations and set(activations) == {"logistic"}:
        rate *= 3.0
    if not is_annealed:
        rate /= 3.0
    return rate / 3.0 if is_pretrained else rate


def warn_of_batch_size(batch_size, n_samples):
    """Warn of a minibatch that is larger than the training set.

    Parameters
    ----------
    batch_size, n_samples : int
    """
    if batch_size > n_samples:
        warnings.warn(
            f"Got `batch_size` larger than sample size: {batch_size} > {n_samples}. "
            "It is going to be clipped.",
        )
