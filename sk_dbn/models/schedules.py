"""Learning rate schedules of networks and stacks."""

from dataclasses import dataclass

import numpy as np

PLANNED = ("cosine", "one_cycle")  # schedules whose end is known from the start
SCHEDULES = ("constant", "invscaling", "adaptive", *PLANNED)
SMALLEST_RATE = 1e-6  # 'adaptive' stops training below it
PLATEAU_FACTOR = 5.0

# Smith & Topin (2019), with the numbers of torch's OneCycleLR.
RISING_SHARE, FIRST_SHARE, LAST_SHARE = 0.3, 1 / 25, 1 / 25e4


def cosine(step, n_steps):
    """Loshchilov & Hutter (2017), equation 5, without restarts: from 1 to 0."""
    return 0.5 * (1.0 + np.cos(np.pi * step / n_steps))


def one_cycle(step, n_steps):
    """Rise from 1/25 to 1 over 30% of the steps, then fall to 1/250000, along cosines."""
    top, last = RISING_SHARE * n_steps - 1, n_steps - 1
    rising = FIRST_SHARE + (1 - FIRST_SHARE) * (1.0 - cosine(step, top))
    falling = LAST_SHARE + (1 - LAST_SHARE) * cosine(step - top, last - top)
    return np.where(step <= top, rising, falling)


@dataclass
class Schedule:
    """The learning rate of a training run.

    Parameters
    ----------
    name : {'constant', 'invscaling', 'adaptive', 'cosine', 'one_cycle'}
    initial : float
        The first rate; the highest rate of a planned schedule.
    power_t : float
        Exponent of 'invscaling'.
    max_iter : int
        Number of epochs of a planned schedule.
    warmup_epochs : float
        Number of epochs over which the rate rises linearly from zero to its first value.
    """

    name: str
    initial: float
    power_t: float = 0.5
    max_iter: int = 1
    warmup_epochs: float = 0.0

    def __post_init__(self):
        self.rate, self.n_epochs = self.initial, 0

    @property
    def is_planned(self):
        """Whether the end is known from the start."""
        return self.name in PLANNED

    @property
    def is_over(self):
        """Whether a planned schedule has ended; its last rate then stays."""
        return self.is_planned and self.n_epochs >= self.max_iter

    @property
    def is_under_way(self):
        """Whether the rate will still change as planned, so that training should not stop."""
        return self.n_epochs < self.warmup_epochs or (self.is_planned and not self.is_over)

    def rates(self, n_updates):
        """The rates of the next epoch's updates, whose number may differ between epochs.

        Parameters
        ----------
        n_updates : int

        Returns
        -------
        float64 ndarray of shape (n_updates,)
        """
        step = np.arange(n_updates) + self.n_epochs * n_updates
        n_warmup = round(self.warmup_epochs * n_updates)
        rates = self.rate * np.minimum(1.0, (step + 1) / max(n_warmup, 1))
        if not self.is_planned:
            return rates
        n_steps = max(self.max_iter * n_updates - n_warmup, 1)
        step = np.clip(step - n_warmup, 0, n_steps - 1)
        return rates * {"cosine": cosine, "one_cycle": one_cycle}[self.name](step, n_steps)

    def end_epoch(self, n_samples_seen):
        """Update the rate after an epoch; n_samples_seen is the total of all epochs."""
        self.n_epochs += 1
        if self.name == "invscaling":
            self.rate = self.initial / (n_samples_seen + 1) ** self.power_t

    def on_plateau(self):
        """Reduce the rate if the loss no longer falls; return True if training should stop."""
        if self.name != "adaptive" or self.rate <= SMALLEST_RATE:
            return True
        self.rate /= PLATEAU_FACTOR
        return False


class Annealing:
    """The learning rate of an RBM: constant, then falling linearly to zero.

    It reaches zero after `max_iter` epochs, or begins to fall earlier if there is a plateau.

    Parameters
    ----------
    max_iter : int
        Maximum number of epochs.
    share : float
        Share of these epochs over which the rate falls; 0: it is constant.
    """

    def __init__(self, max_iter, share):
        self.n_falling = round(share * max_iter)
        self.fall = max_iter - self.n_falling  # epochs before the rate begins to fall
        self.n_epochs = 0

    @property
    def max_iter(self):
        """Maximum number of epochs, which a plateau reduces."""
        return self.fall + self.n_falling

    @property
    def factor(self):
        """Factor of the learning rate in the next epoch."""
        if self.n_epochs < self.fall:
            return 1.0
        return 1.0 - (self.n_epochs - self.fall + 0.5) / self.n_falling

    @property
    def is_over(self):
        """Whether the last epoch is complete."""
        return self.n_epochs >= self.max_iter

    def end_epoch(self):
        """Count an epoch."""
        self.n_epochs += 1

    def on_plateau(self):
        """Let the rate fall from now on, if it does not fall yet."""
        self.fall = min(self.fall, self.n_epochs)
