"""The number of epochs with early_stopping='refit', from the loss of held-out samples."""

from dataclasses import replace

import numpy as np

MIN_SAMPLES = 100  # with fewer, the held-out loss is too uncertain
HELD_OUT, MIN_HELD_OUT, MAX_HELD_OUT = 0.1, 50, 1 / 3  # share, number, share
SMOOTHED = 5  # epochs in a moving average of the held-out loss
EXTRA = 1.5  # all samples allow more training than a part of them
MIN_EPOCHS = 10
FLAT = 0.01  # a smaller share of the loss's range is not a rise


def split_by_target(training_set, random):
    """Split a training set into two parts with similar distributions of the targets.

    Samples are sorted by their first target, in random order if targets are equal, or if they are
    the input. Every k-th sample is held out, beginning with a random one. Classes may have any
    number of samples.

    Parameters
    ----------
    training_set : TrainingSet
    random : RandomState

    Returns
    -------
    part, held_out : TrainingSet
        They share the data.
    """
    order = training_set.order
    n = len(order)
    share = np.clip(MIN_HELD_OUT / n, HELD_OUT, MAX_HELD_OUT)
    by_target = random.permutation(n)
    if training_set.targets is not None:
        targets = training_set.targets[order[by_target], 0]
        by_target = by_target[np.argsort(targets, kind="stable")]
    is_held_out = np.zeros(n, dtype=bool)
    is_held_out[by_target[np.arange(random.uniform(0, 1 / share), n, 1 / share).astype(int)]] = True
    parts = order[~is_held_out], order[is_held_out]
    return tuple(replace(training_set, order=part) for part in parts)


def enough_epochs(losses, rates, extra=EXTRA, is_planned=True):
    """The number of epochs whose learning rates sum to `extra` times those of the best epoch.

    The best epoch has the smallest held-out loss; its sum is over all epochs up to it. A planned
    schedule over fewer epochs goes through the same rates faster, so the number of epochs is
    reduced in proportion to the sum. Other schedules do not depend on the number of epochs, so
    training ends at the epoch that reaches the sum.

    Parameters
    ----------
    losses : sequence of float
        Loss of the held-out samples after each epoch.
    rates : sequence of float
        Mean learning rate of each epoch.
    extra : float
        Factor of the sum.
    is_planned : bool, default=True
        Whether the schedule depends on the number of epochs.

    Returns
    -------
    int
        All epochs if the loss is still close to its minimum at the end.
    """
    n_epochs, half = len(losses), SMOOTHED // 2
    padded = np.pad(np.asarray(losses, float), half, mode="edge")
    smooth = np.convolve(padded, np.full(SMOOTHED, 1 / SMOOTHED), "valid")
    best = smooth.argmin()
    if smooth[-1] - smooth[best] <= FLAT * (smooth.max() - smooth[best]):
        return n_epochs
    learned = np.cumsum(rates)
    wanted = extra * learned[best]
    n_wanted = (
        wanted / learned[-1] * n_epochs if is_planned else np.searchsorted(learned, wanted) + 1
    )
    return int(np.clip(np.ceil(n_wanted), min(MIN_EPOCHS, n_epochs), n_epochs))
