"""How work is cut: into blocks that threads share, and into compiled calls that are short."""

import time

SMALL_WORK = 2e6  # floating-point operations not worth waking another thread for
LONGEST_CALL = 0.1  # seconds in compiled code, so that Ctrl-C is heard
MOST_BLOCKS = 16


def row_blocks(n_rows):
    """In how many blocks some rows go through the layers."""
    return min(MOST_BLOCKS, max(min(n_rows // 16, 2), n_rows // 64, 1))


def weight_blocks(fan_in):
    """In how many blocks the rows of a weight matrix are updated."""
    return min(MOST_BLOCKS, max(min(fan_in // 32, 2), fan_in // 128, 1))


class Pace:
    """Learns how many minibatches a compiled call can take without being long."""

    def __init__(self):
        self._per_call = 1  # the first call of a large shape is not to take long either

    def calls(self, n_batches, each=False):
        """Cut some minibatches into calls; the time between two of them is measured.

        Parameters
        ----------
        n_batches : int
        each : bool, default=False
            Whether every minibatch is to be a call of its own.

        Yields
        ------
        first, end : int
            The minibatches of one call.
        """
        first = 0
        while first < n_batches:
            end = min(first + (1 if each else self._per_call), n_batches)
            start = time.perf_counter()
            yield first, end
            elapsed = time.perf_counter() - start
            first = end
            if elapsed < LONGEST_CALL / 4:
                self._per_call *= 2
            elif elapsed > LONGEST_CALL:
                self._per_call = max(1, self._per_call // 2)
