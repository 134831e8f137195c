"""How long to train: until samples that were held out would be predicted worse."""

from dataclasses import replace

import numpy as np

LEAST_SAMPLES = 100  # of fewer, the part that is held out says too little
HELD_OUT, LEAST_HELD_OUT, MOST_HELD_OUT = 0.1, 50, 1 / 3
SMOOTHED = 5  # epochs in a moving average of the held-out loss
SPARE = 1.5  # all samples bear more training than a part of them
LEAST_EPOCHS = 10
FLAT = 0.01  # of the range of the held-out loss, less is no rise


def split_by_target(training_set, random):
    """Two parts of a training set, in both of which the targets are spread alike.

    Every k-th sample by the order of the (first) target is held out, from a random one on; among
    equal targets the order is random. Unlike a stratified split it knows no class too rare.

    Parameters
    ----------
    training_set : TrainingSet
    random : RandomState

    Returns
    -------
    part, held_out : TrainingSet
        On the same data.
    """
    order = training_set.order
    n = len(order)
    share = np.clip(LEAST_HELD_OUT / n, HELD_OUT, MOST_HELD_OUT)
    by_target = random.permutation(n)
    targets = training_set.targets[order[by_target], 0]
    by_target = by_target[np.argsort(targets, kind="stable")]
    is_held_out = np.zeros(n, dtype=bool)
    is_held_out[by_target[np.arange(random.uniform(0, 1 / share), n, 1 / share).astype(int)]] = True
    parts = order[~is_held_out], order[is_held_out]
    return tuple(replace(training_set, order=part) for part in parts)


def enough_epochs(losses, rates, spare=SPARE, is_planned=True):
    """The number of epochs in which as much is learned as up to the smallest held-out loss.

    What the network has learned is taken to grow with the sum of the learning rates. A planned
    schedule over fewer epochs goes through the same rates in less time, so the number is the
    share that this sum had reached at the best epoch, times all epochs. Other schedules
    begin the same whatever the number of epochs, so it is that of the epoch that reaches the sum.

    Parameters
    ----------
    losses : sequence of float
        Of the held-out samples, after each epoch.
    rates : sequence of float
        Mean learning rate of each epoch.
    spare : float
        Times how much as up to that loss.
    is_planned : bool, default=True
        Whether the schedule knows its end.

    Returns
    -------
    int
        All epochs where the loss is still close to its minimum at the end.
    """
    n_epochs, half = len(losses), SMOOTHED // 2
    padded = np.pad(np.asarray(losses, float), half, mode="edge")
    smooth = np.convolve(padded, np.full(SMOOTHED, 1 / SMOOTHED), "valid")
    best = smooth.argmin()
    if smooth[-1] - smooth[best] <= FLAT * (smooth.max() - smooth[best]):
        return n_epochs
    learned = np.cumsum(rates)
    wanted = spare * learned[best]
    n_wanted = (
        wanted / learned[-1] * n_epochs if is_planned else np.searchsorted(learned, wanted) + 1
    )
    return int(np.clip(np.ceil(n_wanted), min(LEAST_EPOCHS, n_epochs), n_epochs))
