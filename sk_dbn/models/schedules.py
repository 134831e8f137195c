"""Learning-rate schedules of networks and stacks, and what a plateau does to them."""

from dataclasses import dataclass

import numpy as np

PLANNED = ("cosine", "one_cycle")  # these know from the start when they will end
SCHEDULES = ("constant", "invscaling", "adaptive", *PLANNED)
SMALLEST_RATE = 1e-6  # 'adaptive' gives up below it
PLATEAU_FACTOR = 5.0

# Smith & Topin (2019), with the numbers that torch's OneCycleLR has.
RISING_SHARE, FIRST_SHARE, LAST_SHARE = 0.3, 1 / 25, 1 / 25e4


def cosine(step, n_steps):
    """Loshchilov & Hutter (2017), equation 5, without restarts: from 1 to 0."""
    return 0.5 * (1.0 + np.cos(np.pi * step / n_steps))


def one_cycle(step, n_steps):
    """From 1/25 up to 1 over three tenths of the steps, then down to 1/250000, by cosines."""
    top, last = RISING_SHARE * n_steps - 1, n_steps - 1
    rising = FIRST_SHARE + (1 - FIRST_SHARE) * (1.0 - cosine(step, top))
    falling = LAST_SHARE + (1 - LAST_SHARE) * cosine(step - top, last - top)
    return np.where(step <= top, rising, falling)


@dataclass
class Schedule:
    """The learning rate of a run and how it changes.

    Parameters
    ----------
    name : {'constant', 'invscaling', 'adaptive', 'cosine', 'one_cycle'}
    initial : float
        The first rate; the highest of those that are planned.
    power_t : float
        Exponent of 'invscaling'.
    max_iter : int
        Epochs at whose end a planned schedule has come to its own.
    warmup_epochs : float
        Epochs over which the rate rises linearly from zero to the schedule's first one.
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
        """Whether a planned end has been reached; the last rate then stays."""
        return self.is_planned and self.n_epochs >= self.max_iter

    @property
    def is_under_way(self):
        """Whether the rate is still to change as planned; a loss that stalls then says little."""
        return self.n_epochs < self.warmup_epochs or (self.is_planned and not self.is_over)

    def rates(self, n_updates):
        """The rates of the next epoch's updates.

        Time is counted in epochs, so epochs may have different numbers of updates.

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
        """Update the rate after an epoch; n_samples_seen counts from the start."""
        self.n_epochs += 1
        if self.name == "invscaling":
            self.rate = self.initial / (n_samples_seen + 1) ** self.power_t

    def on_plateau(self):
        """React to a loss that no longer falls; True when training should stop."""
        if self.name != "adaptive" or self.rate <= SMALLEST_RATE:
            return True
        self.rate /= PLATEAU_FACTOR
        return False


class Annealing:
    """The learning rate of an RBM, epoch by epoch: constant, then falling linearly to zero.

    It begins to fall so that it ends after `max_iter` epochs, or as soon as it has come to a
    plateau.

    Parameters
    ----------
    max_iter : int
        Maximum number of epochs.
    share : float
        Share of them over which the rate falls; 0: it is constant to the end.
    """

    def __init__(self, max_iter, share):
        self.n_falling = round(share * max_iter)
        self.fall = max_iter - self.n_falling  # epochs before the rate begins to fall
        self.n_epochs = 0

    @property
    def max_iter(self):
        """Epochs there are at most, as far as is known by now."""
        return self.fall + self.n_falling

    @property
    def factor(self):
        """What the learning rate of the next epoch is multiplied by."""
        if self.n_epochs < self.fall:
            return 1.0
        return 1.0 - (self.n_epochs - self.fall + 0.5) / self.n_falling

    @property
    def is_over(self):
        """Whether there is no epoch to follow."""
        return self.n_epochs >= self.max_iter

    def end_epoch(self):
        """Count an epoch."""
        self.n_epochs += 1

    def on_plateau(self):
        """Begin to fall, unless it has begun."""
        self.fall = min(self.fall, self.n_epochs)
