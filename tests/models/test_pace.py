"""Calls are short, cover their work once, and are made in the way that takes less time."""

import pytest

from sk_dbn.models import pace
from sk_dbn.models.pace import LONGEST_CALL, Pace, TeamPace
from sk_dbn.models.threads import run_parallel, run_serial


class Clock:
    """Time that passes only while calls are made."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(pace.time, "perf_counter", lambda: self.now)

    def make(self, calls, seconds):
        """Make all calls, of so many seconds a unit in each way; which ways, and how long each."""
        made = []
        for way, first, end in calls:
            elapsed = (end - first) * seconds[way]
            self.now += elapsed
            made.append((way, first, end, elapsed))
        return made


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def share_of(way, made):
    """Units that were called in one way, over all."""
    done = {w: sum(end - first for v, first, end, _ in made if v is w) for w, *_ in made}
    return done.get(way, 0) / sum(done.values())


@pytest.mark.parametrize("serial, parallel", [(1e-4, 2e-4), (2e-4, 1e-4), (1.5e-3, 1.9e-3)])
def test_work_goes_to_the_faster_way(clock, serial, parallel):
    seconds = {run_serial: serial, run_parallel: parallel}
    made = clock.make(TeamPace().team_calls(run_parallel, 100_000), seconds)
    faster = min(seconds, key=seconds.get)
    assert share_of(faster, made) > 0.98


def test_a_change_of_the_processor_is_noticed(clock):
    team = TeamPace()
    for fast, slow in ((run_parallel, run_serial), (run_serial, run_parallel)) * 2:
        made = clock.make(team.team_calls(run_parallel, 100_000), {fast: 1e-4, slow: 1.5e-4})
        assert share_of(fast, made) > 0.5
        assert made[-1][0] is fast


def test_a_disturbed_call_does_not_decide(clock):
    # Another process may take the core for a while: the least of several times counts.
    team, seconds = TeamPace(), {run_serial: 2e-4, run_parallel: 1e-4}
    trials = 0
    for way, first, end in team.team_calls(run_parallel, 10_000):
        is_trial = end - first == round(pace.TRIAL_CALL / 1e-4) and way is run_parallel
        trials += is_trial
        clock.now += (end - first) * seconds[way] + 0.05 * (is_trial and trials % 3 == 0)
    made = clock.make(team.team_calls(run_parallel, 10_000), seconds)
    assert trials >= 3
    assert share_of(run_parallel, made) > 0.95


def test_large_units_are_shared_without_trial(clock):
    made = clock.make(
        TeamPace().team_calls(run_parallel, 100), {run_serial: 1e-2, run_parallel: 2e-2}
    )
    assert share_of(run_parallel, made) == 1.0


@pytest.mark.parametrize("each", [False, True])
def test_one_thread_stays_one_thread(clock, each):
    made = clock.make(TeamPace().team_calls(run_serial, 1000, each), {run_serial: 1e-4})
    assert share_of(run_serial, made) == 1.0


@pytest.mark.parametrize("seconds", [1e-6, 1e-4, 1e-2])
def test_calls_are_short_and_cover_all_units_once(clock, seconds):
    both = {run_serial: seconds, run_parallel: 1.1 * seconds}
    team = TeamPace()
    for n_units in (1, 7, 10_000):
        made = clock.make(team.team_calls(run_parallel, n_units), both)
        firsts, ends = zip(*(call[1:3] for call in made), strict=True)
        assert firsts[0] == 0
        assert ends[-1] == n_units
        assert firsts[1:] == ends[:-1]
        assert max(call[3] for call in made) <= 4 * LONGEST_CALL


def test_the_first_call_may_be_larger(clock):
    assert next(Pace(5).calls(100)) == (0, 5)
    assert next(Pace(0).calls(100)) == (0, 1)


def test_calls_do_not_grow_without_bound(clock):
    """So that they soon are short again if the processor becomes slow."""
    fast = Pace()
    clock.make(((run_serial, *part) for part in fast.calls(10**9)), {run_serial: 1e-12})
    first, end = next(fast.calls(10**9))
    assert end - first <= pace.MAX_UNITS
    single = Pace()
    clock.make(((run_serial, *part) for part in single.calls(50, each=True)), {run_serial: 1e-9})
    assert next(single.calls(100)) == (0, 1)  # units that have to be single say nothing of others


def test_a_clock_may_stand_still(clock):
    """A coarse one measures nothing for a short call."""
    made = clock.make(
        TeamPace().team_calls(run_parallel, 10_000), {run_serial: 0.0, run_parallel: 0.0}
    )
    assert made[-1][2] == 10_000
