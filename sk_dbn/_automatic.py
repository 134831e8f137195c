"""Settings that follow from layers and samples: what 'auto' stands for in a network.

The numbers were chosen on one half of the data sets of ``examples/benchmarks/defaults.py``.
"""

import warnings

import numpy as np

# The highest rate of a schedule for two hidden layers; 0.01 for the solvers related to Adam.
RATES = {"sgd": 0.1, "adagrad": 0.1}
WIDTH = 200  # units; beyond, the rate falls as 1 / width


def automatic_batch_size(n_samples):
    """Size of the minibatches: 40 updates an epoch, where they have 32 to 200 samples.

    Parameters
    ----------
    n_samples : int

    Returns
    -------
    int
    """
    return min(n_samples, int(np.clip(n_samples // 40, 32, 200)))


def automatic_learning_rate(
    solver, activations, sizes, is_annealed, is_pretrained, has_shortcuts=False
):
    """Initial learning rate.

    Parameters
    ----------
    solver : str
    activations : list of str
        Of the hidden layers.
    sizes : sequence of int
        Their numbers of units.
    is_annealed : bool
        Whether the schedule ends near zero; a rate that stays has to be lower.
    is_pretrained : bool
        Whether the layers have learned before, which a high rate would undo.
    has_shortcuts : bool, default=False
        Whether a layer's branch is divided by their number, as a lower rate would be.

    Returns
    -------
    float
        Lower for deep networks, in which every layer moves what the next one sees; for wide ones,
        whose sums have as many terms that move at once (Yang et al., 2021, Tensor programs V,
        arXiv 2203.03466, table 3); higher for logistic units, whose weights are larger by a factor
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
