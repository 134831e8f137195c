"""Divergence of training whose loss is still finite."""

import numpy as np

# If training ends with a loss larger than this factor times the reference loss, it has diverged.
# During training a larger loss can recover.
MUCH_WORSE = 100.0


class DivergenceCheck:
    """Compares losses with a reference loss, and remembers the last good parameters.

    The reference loss is the larger of two losses on a few training rows: that of a network whose
    parameters are all zero, and that at the start of training. If targets or inputs are not
    scaled, one of them is large, and so is the loss at first.

    Parameters
    ----------
    run : callable, from `threads`
    network : Network
    training_set : TrainingSet
    at_least : float, default=0.0
        Reference loss of previous calls of `partial_fit`.

    Attributes
    ----------
    reference_loss : float
    good : ndarray of shape (n_parameters,)
        The last good parameters.
    is_first : bool
        Whether these are the initial parameters.
    """

    def __init__(self, run, network, training_set, at_least=0.0):
        self._run, self._network, self._training_set = run, network, training_set
        self.good, self.is_first = network.theta.copy(), True
        losses = [at_least, self.loss_of(np.zeros_like(self.good))]
        if at_least == 0.0:
            losses.append(self.loss_of(self.good))
        self.reference_loss = max(loss for loss in losses if np.isfinite(loss))

    def loss_of(self, theta):
        """The loss of these parameters, without penalty."""
        network = self._network.with_parameters(theta)
        return self._training_set.probe_loss(self._run, network)

    def is_unrecoverable(self, loss):
        """Whether training cannot recover from an epoch with this loss.

        If errors have grown by a factor of 1 / eps, so have the weights: what they had learned is
        lost in rounding.
        """
        eps = float(np.finfo(self.good.dtype).eps)
        return not self._is_within(loss, 1.0 / eps**2)

    def is_too_large(self, loss):
        """Whether training has diverged if it ends with this loss."""
        return not self._is_within(loss, MUCH_WORSE)

    def _is_within(self, loss, factor):
        """False for NaN; if the reference loss is 0, True for any finite loss."""
        reference = self.reference_loss
        return loss <= factor * reference if reference > 0.0 else np.isfinite(loss)

    def end_epoch(self, loss, before):
        """Remember the parameters before an epoch if its loss was not too large."""
        if not self.is_too_large(loss):
            self.is_first = self.is_first and np.array_equal(before, self.good)
            self.good = before
