"""The length of compiled calls and whether they use threads, both chosen by measurement."""

import math
import time

from sk_dbn.models.threads import run_parallel, run_serial

LONGEST_CALL = 0.1  # seconds in compiled code, so that Ctrl-C works
TRIAL_CALL = 5e-3  # seconds of a call in a trial; in shorter ones, data still move between caches
N_TRIAL_CALLS = 3  # of each kind, alternating; the shortest time counts
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 4.0  # seconds between two trials
LONG_UNIT = 2e-3  # seconds; such a unit is worth sharing on any processor
MAX_UNITS = 2**20  # of a call; more would take long if the processor became slow
SHORTEST = 1e-7  # seconds; a coarse clock may measure none
CLEARLY_LESS = 0.95  # share of the other kind's time; change only if the time is shorter


class Pace:
    """Adapts the number of minibatches, or other units of work, in a compiled call.

    Parameters
    ----------
    first : int, default=1
        Number of units in the first call, small enough for a short call.
    """

    def __init__(self, first=1):
        self._per_call = max(1, first)

    def calls(self, n_units, each=False):
        """Divide units of work into calls, and measure the time of each call.

        Parameters
        ----------
        n_units : int
        each : bool, default=False
            Whether each unit is a separate call.

        Yields
        ------
        first, end : int
            The units of one call.
        """
        first = 0
        while first < n_units:
            end = min(first + (1 if each else self._per_call), n_units)
            start = time.perf_counter()
            yield first, end
            if not each:
                self._adapt(time.perf_counter() - start)
            first = end

    def _adapt(self, elapsed):
        if elapsed < LONGEST_CALL / 2:
            more = 2 if elapsed > LONGEST_CALL / 16 else 8
            self._per_call = min(more * self._per_call, MAX_UNITS)
        elif elapsed > LONGEST_CALL:
            self._per_call = max(1, self._per_call // 2)


class TeamPace(Pace):
    """Adapts the calls, and also chooses between serial and parallel ones.

    Whether two cores are faster than one for a tenth of a millisecond depends on whether they
    share a cache. A virtual machine cannot know that, and its host may change it at any time. So
    trials compare short calls of both kinds, at the beginning and from time to time. The results
    are the same to the bit.
    """

    def __init__(self):
        super().__init__()
        self._way, self._tried = run_parallel, {}
        self._left = []  # kinds of the remaining calls of a trial
        self._unit = math.inf  # seconds, the shortest time of a unit so far
        self._due, self._pause = 0.0, FIRST_PAUSE

    def team_calls(self, run, n_units, each=False):
        """Divide units of work into calls, and choose the kind of each call.

        Parameters
        ----------
        run : callable, from `threads`
        n_units : int
        each : bool, default=False
            Whether each unit is a separate call.

        Yields
        ------
        run : callable
            The argument, or `run_serial` if that is faster.
        first, end : int
            The units of one call.
        """
        if each or run is not run_parallel:
            yield from ((run, *part) for part in self.calls(n_units, each))
            return
        first = 0
        while first < n_units:
            way, count = self._next_call()
            end = min(first + count, n_units)
            start = time.perf_counter()
            yield way, first, end
            self._note(way, end - first, time.perf_counter() - start)
            first = end

    def _next_call(self):
        if not self._left and self._due <= time.perf_counter() and self._unit <= LONG_UNIT:
            self._left, self._tried = [run_serial, run_parallel] * N_TRIAL_CALLS, {}
        if self._left:
            return self._left[0], max(1, int(TRIAL_CALL / self._unit))
        return self._way, self._per_call

    def _note(self, way, count, elapsed):
        self._unit = min(self._unit, max(elapsed, SHORTEST) / count)
        if not self._left:
            self._adapt(elapsed)
            return
        del self._left[0]
        self._tried[way] = min(self._tried.get(way, math.inf), elapsed / count)
        if not self._left:
            self._choose()

    def _choose(self):
        other = run_serial if self._way is run_parallel else run_parallel
        if self._tried[other] < CLEARLY_LESS * self._tried[self._way]:
            self._way, self._pause = other, FIRST_PAUSE
        else:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._due = time.perf_counter() + self._pause
