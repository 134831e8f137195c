"""The thread policy: limits kept and restored, and nobody waits or aborts."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import joblib
import numba
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info

from sk_dbn import DeepMLPRegressor
from sk_dbn.models.threads import effective_n_threads, run_parallel, run_serial, threads
from sk_dbn.models.work import SMALL_WORK

ROOT = Path(__file__).resolve().parents[2]

several = pytest.mark.skipif(
    numba.config.NUMBA_NUM_THREADS < 2, reason="this process may use one thread only"
)

# Work for processes of their own: a prediction large enough to be shared, and its digest.
PRELUDE = """
import hashlib, os, sys, threading
import numba, numpy as np
from threadpoolctl import threadpool_info
from sk_dbn.models.data import Data
from sk_dbn.models.network import Network
from sk_dbn.models.threads import run_parallel, run_serial, threads

random = np.random.RandomState(0)
network = Network([40, 50, 30], ["tanh"], "identity", np.float32)
network.theta[:] = 0.1 * random.normal(size=network.theta.size)
data = Data(random.normal(size=(2000, 40)), np.float32)

def digest(run):
    return hashlib.sha256(network.outputs(run, data).tobytes()).hexdigest()

def blas_limits():
    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}

expected = digest(run_serial)
"""


def run_script(script, **environment):
    """Run a script on four threads, whatever the number of cores, and return what it prints."""
    defaults = {"NUMBA_NUM_THREADS": "4", "PYTHONPATH": str(ROOT)}
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "NUMBA_T"))}
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + script],
        env={**inherited, **defaults, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


def blas_limits():
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]


# ---------------------------------------------------------------------------
# How many
# ---------------------------------------------------------------------------


def test_n_jobs_counts_as_in_joblib():
    """-1 is every core, -2 all but one, never less than one thread and never more than numba's."""
    most, cores = numba.config.NUMBA_NUM_THREADS, joblib.cpu_count()
    assert effective_n_threads(1) == 1
    assert effective_n_threads(2) == min(2, most)
    assert effective_n_threads(10_000) == most
    assert effective_n_threads(-1) == min(cores, most)
    assert effective_n_threads(-cores) == 1
    assert effective_n_threads(-10_000) == 1


def test_n_jobs_zero_is_an_error():
    """No threads at all can do no work, so it is a mistake, and said to be one."""
    with pytest.raises(ValueError, match="n_jobs must not be 0"):
        effective_n_threads(0)
    with pytest.raises(ValueError, match="n_jobs must not be 0"), threads(0):
        pass


@pytest.mark.parametrize(
    "value, limit", [("1", 1), ("3", 3), ("0", 1), ("", None), ("4,2", None), ("many", None)]
)
def test_openmp_limit_holds_where_nothing_is_asked_for(monkeypatch, value, limit):
    """OMP_NUM_THREADS speaks for n_jobs=None only, and a value that is no number says nothing."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    free = effective_n_threads(None)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert effective_n_threads(None) == (free if limit is None else min(free, limit))
    assert effective_n_threads(2) == min(2, numba.config.NUMBA_NUM_THREADS)


def test_joblib_limit_holds_where_nothing_is_asked_for(monkeypatch):
    """LOKY_MAX_CPU_COUNT, a container's quota or an affinity mask are joblib's to find."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert effective_n_threads(None) == effective_n_threads(-1) == 1


def test_workers_of_joblib_share_the_cores():
    """loky tells its workers their share by environment variables, which None follows."""
    call = joblib.delayed(effective_n_threads)
    counts = joblib.Parallel(n_jobs=2)(call() for _ in range(4))
    assert max(counts) <= max(1, joblib.cpu_count() // 2)
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        assert joblib.Parallel(n_jobs=2)(call() for _ in range(2)) == [1, 1]


def test_workers_of_a_search_share_the_cores():
    """As those of joblib, whatever asks for them: each fit takes a share, unless told otherwise."""
    X = np.random.RandomState(0).uniform(size=(40, 3))
    grid = {"n_jobs": [None, 1]}

    def n_threads(estimator, X, y):
        return effective_n_threads(estimator.n_jobs)

    estimator = DeepMLPRegressor((2,), max_iter=1, batch_size=5)
    search = GridSearchCV(estimator, grid, scoring=n_threads, cv=2, n_jobs=2, refit=False)
    free, one = search.fit(X, X[:, 0]).cv_results_["mean_test_score"]
    assert free == max(1, joblib.cpu_count() // 2) and one == 1


# ---------------------------------------------------------------------------
# Limits are restored
# ---------------------------------------------------------------------------


def test_limits_are_restored_after_an_error():
    """What a caller had set is set again, however the block is left."""
    before, blas = numba.get_num_threads(), blas_limits()
    for n_jobs in (1, 2, -1, None):
        with pytest.raises(ZeroDivisionError), threads(n_jobs) as run:
            assert set(blas_limits()) == {1}
            assert run is run_serial or numba.get_num_threads() == effective_n_threads(n_jobs)
            raise ZeroDivisionError
        assert (numba.get_num_threads(), blas_limits()) == (before, blas)


@several
def test_little_work_claims_nothing():
    """Setting a limit takes longer than such work, which calls no BLAS and wakes no thread."""
    before, blas = numba.get_num_threads(), blas_limits()
    with threads(2, work=SMALL_WORK) as run:
        assert run is run_serial
        assert (numba.get_num_threads(), blas_limits()) == (before, blas)
        with threads(2, work=2 * SMALL_WORK) as other:
            assert other is run_parallel
    with threads(2), threads(2, work=SMALL_WORK) as run:
        assert run is run_serial
    with pytest.raises(ValueError, match="n_jobs must not be 0"), threads(0, work=1.0):
        pass


@several
def test_region_is_free_after_an_error(monkeypatch):
    """An error, inside the block or on the way in, must not leave later calls serial."""
    with pytest.raises(ZeroDivisionError), threads(2):
        raise ZeroDivisionError

    def no_threading_layer():
        raise ValueError("No threading layer could be loaded.")

    blas = blas_limits()
    with monkeypatch.context() as patch:
        patch.setattr(numba, "get_num_threads", no_threading_layer)
        with pytest.raises(ValueError, match="threading layer"), threads(2):
            pass
    assert blas_limits() == blas
    with threads(2) as run:
        assert run is run_parallel


@several
def test_nested_calls_use_the_outer_threads():
    """An estimator inside an estimator runs on the threads that the outer one was given."""
    before = numba.get_num_threads()
    with threads(2) as outer:
        for n_jobs in (1, 2, None):
            with threads(n_jobs) as inner:
                assert inner is outer
            assert numba.get_num_threads() == 2 and set(blas_limits()) == {1}
    assert numba.get_num_threads() == before


@several
def test_another_python_thread_runs_serially_meanwhile():
    """One region at a time: the second thread neither waits for it nor enters it."""
    seen = []

    def use():
        with threads(2) as run:
            seen.append(run)

    with threads(2) as outer:
        other = threading.Thread(target=use)
        other.start()
        other.join(timeout=30)
    use()
    assert (outer, *seen) == (run_parallel, run_serial, run_parallel)


@several
def test_python_threads_share_the_cores():
    """Where nothing is asked for, who comes second leaves a thread to who is at work already."""
    inside, leave = threading.Event(), threading.Event()

    def use():
        with threads(1):
            inside.set()
            leave.wait(timeout=30)

    other = threading.Thread(target=use)
    other.start()
    inside.wait(timeout=30)
    n_threads = max(1, effective_n_threads(None) - 1)
    with threads(None) as run:
        assert run is (run_serial if n_threads == 1 else run_parallel)
        assert run is run_serial or numba.get_num_threads() == n_threads
    with threads(2) as run:  # asked for
        assert run is run_parallel and numba.get_num_threads() == 2
    leave.set()
    other.join(timeout=30)


OVERLAPPING = """
from threadpoolctl import threadpool_limits
threadpool_limits(3, "blas")
assert blas_limits() == {3}, blas_limits()
first_in, first_out, checked = (threading.Event() for _ in range(3))
seen = []

def other():
    first_in.wait()
    with threads(2):
        checked.set()
        first_out.wait()
        seen.append(blas_limits())
    seen.append(blas_limits())

thread = threading.Thread(target=other)
thread.start()
with threads(2):
    first_in.set()
    checked.wait()
seen.append(blas_limits())
first_out.set()
thread.join()
assert seen == [{1}, {1}, {3}], seen
"""


OTHER_THREAD = """
from threadpoolctl import threadpool_limits
seen = []

done, leave = threading.Event(), threading.Event()

def other(stay):
    with threads(2):
        seen.append(blas_limits())
    seen.append(blas_limits())
    if stay:
        done.set()
        leave.wait()

with threads(2):
    pass
threadpool_limits(3, "blas")
thread = threading.Thread(target=other, args=[False])
thread.start()
thread.join()
assert seen == [{1}, {3}], seen
thread = threading.Thread(target=other, args=[True])
thread.start()
done.wait()
threadpool_limits(2, "blas")  # the other thread is alive, and does not own the limit
assert blas_limits() == {2}, blas_limits()
leave.set()
thread.join()
"""


def test_blas_limit_belongs_to_no_thread():
    """Whichever Python thread enters, its BLAS has one thread; afterwards any may set the limit."""
    run_script(OTHER_THREAD)


def test_blas_limit_survives_overlapping_use():
    """The limit is the process's: first in sets it, last out restores it, whoever that is."""
    run_script(OVERLAPPING)


# ---------------------------------------------------------------------------
# Threads and processes at once
# ---------------------------------------------------------------------------

TWO_AT_ONCE = """
seen, barrier = [], threading.Barrier(4)

def work():
    barrier.wait()
    for _ in range(25):
        with threads(4) as run:
            seen.append((run, digest(run)))

workers = [threading.Thread(target=work) for _ in range(4)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
assert {d for _, d in seen} == {expected}
assert len(seen) == 100 and run_parallel in {run for run, _ in seen}
"""


@pytest.mark.parametrize("layer", ["workqueue", "default"])
def test_python_threads_at_once(layer):
    """Four Python threads in parallel kernels: on numba's workqueue that aborts a process unless
    one at a time enters; all find the bits of the serial twin.
    """
    run_script(TWO_AT_ONCE, NUMBA_THREADING_LAYER=layer)


FORK = """
with threads(4) as run:
    assert run is run_parallel and digest(run) == expected
    inside = os.fork()
    if inside == 0:  # a fork in the middle of a block: its run is the parent's
        with threads(4) as own:
            os._exit(0 if own is run_serial and digest(own) == expected else 1)
child = os.fork()
if child == 0:
    try:
        with threads(4) as run:
            first = run is run_serial and digest(run) == expected and blas_limits() == {1}
        grandchild = os.fork()
        if grandchild == 0:
            with threads(2) as run:
                os._exit(0 if run is run_serial and digest(run) == expected else 1)
        _, status = os.waitpid(grandchild, 0)
        os._exit(0 if first and status == 0 else 1)
    finally:
        os._exit(2)
statuses = [os.waitpid(pid, 0)[1] for pid in (inside, child)]
assert statuses == [0, 0], statuses
with threads(4) as run:
    assert run is run_parallel and digest(run) == expected
"""

FORK_BEFORE_ANY_THREADS = """
child = os.fork()
if child == 0:
    with threads(4) as run:
        os._exit(0 if run is run_parallel and digest(run) == expected else 1)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("script", [FORK, FORK_BEFORE_ANY_THREADS], ids=["after", "before"])
def test_fork(script):
    """OpenMP aborts a forked child that enters it again, so such a child, and its children, run
    serially and find the same bits; a child of a process that ran nothing parallel is free.
    """
    run_script(script)


def test_threads_of_joblib():
    """joblib's threading backend is Python threads; the result is the serial one."""
    script = """
import joblib
def work(_):
    with threads(2) as run:
        return digest(run)
results = joblib.Parallel(n_jobs=4, prefer="threads")(map(joblib.delayed(work), range(40)))
assert set(results) == {expected}
"""
    run_script(script)
