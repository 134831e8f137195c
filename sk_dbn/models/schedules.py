"""Learning-rate schedules: what the rate is at the end of an epoch and on a plateau."""

from dataclasses import dataclass

SCHEDULES = ("constant", "invscaling", "adaptive")
SMALLEST_RATE = 1e-6  # 'adaptive' gives up below it
PLATEAU_FACTOR = 5.0


@dataclass
class Schedule:
    """The learning rate of a run and how it changes.

    Parameters
    ----------
    name : {'constant', 'invscaling', 'adaptive'}
    initial : float
    power_t : float
        Exponent of 'invscaling'.
    """

    name: str
    initial: float
    power_t: float = 0.5

    def __post_init__(self):
        self.rate = self.initial

    def end_epoch(self, n_samples_seen):
        """Update the rate after an epoch; n_samples_seen counts from the start."""
        if self.name == "invscaling":
            self.rate = self.initial / (n_samples_seen + 1) ** self.power_t

    def on_plateau(self):
        """React to a loss that no longer falls; True when training should stop."""
        if self.name != "adaptive" or self.rate <= SMALLEST_RATE:
            return True
        self.rate /= PLATEAU_FACTOR
        return False
