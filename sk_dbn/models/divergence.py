"""When training has gone wrong although its numbers are still finite."""

import numpy as np

# A model whose training ends with this many times the loss that it could have had for nothing
# has learned nothing; on the way there, a loss may be worse for a while and recover.
MUCH_WORSE = 100.0


class Yardstick:
    """What the loss of a training run is held against.

    The larger of the loss of a network that answers zero (or one class as readily as another)
    and of the loss that training begins with, both on a few training rows: where targets or
    inputs are not scaled, one of them is large, and so is every loss at first.

    Parameters
    ----------
    run : callable, from `threads`
    network : Network
    training_set : TrainingSet
    at_least : float, default=0.0
        The yardstick of the calls before, where training goes on minibatch by minibatch.

    Attributes
    ----------
    size : float
        That loss.
    good : ndarray of shape (n_parameters,)
        The last parameters that are known not to be worse.
    is_first : bool
        Whether these are the ones that training began with.
    """

    def __init__(self, run, network, training_set, at_least=0.0):
        self._run, self._network, self._training_set = run, network, training_set
        self.good, self.is_first = network.theta.copy(), True
        losses = [at_least, self.loss_of(np.zeros_like(self.good))]
        if at_least == 0.0:
            losses.append(self.loss_of(self.good))
        self.size = max(loss for loss in losses if np.isfinite(loss))

    def loss_of(self, theta):
        """The loss of these parameters, without penalty."""
        network = self._network.with_parameters(theta)
        return self._training_set.probe_loss(self._run, network)

    def is_hopeless(self, loss):
        """Whether no later epoch can make good what one with this loss has done.

        Where errors are 1 / eps as large as they were, so are the weights: what they had learned
        before is lost in their rounding.
        """
        eps = float(np.finfo(self.good.dtype).eps)
        return not self._is_within(loss, 1.0 / eps**2)

    def is_worse(self, loss):
        """Whether training may not end with this loss."""
        return not self._is_within(loss, MUCH_WORSE)

    def _is_within(self, loss, factor):
        """NaN is not; where there is no loss to compare with, whatever is finite is."""
        return loss <= factor * self.size if self.size > 0.0 else np.isfinite(loss)

    def end_epoch(self, loss, before):
        """Remember the parameters before an epoch, if its loss says that they were no worse."""
        if not self.is_worse(loss):
            self.is_first = self.is_first and np.array_equal(before, self.good)
            self.good = before
