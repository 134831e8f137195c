"""Estimators in many threads and processes at once: no crash, no hang, and the same bits.

Every child process has a time limit, so what hangs fails.
"""

import contextlib
import hashlib
import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest

from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 300  # seconds of a child process, which may have to compile
N_THREADS = 8

random = np.random.RandomState(0)
X = random.uniform(size=(600, 120)).astype(np.float32)
y = random.randint(0, 3, 600)

# Enough work for threads to share it.
SETTINGS = {"batch_size": 200, "max_iter": 2, "random_state": 0, "n_jobs": 2}
MAKE = {
    "stack": lambda **p: BernoulliRBMStack((90, 60), **{**SETTINGS, **p}),
    "persistent": lambda **p: BernoulliRBMStack((90,), algorithm="pcd", **{**SETTINGS, **p}),
    "classifier": lambda **p: DBNClassifier((90, 60), **{**SETTINGS, **p}),
    "pretrained": lambda **p: DBNClassifier(
        (90, 60), **{**SETTINGS, "pretrainer": BernoulliRBMStack(max_iter=1, batch_size=200), **p}
    ),
    "regressor": lambda **p: DeepMLPRegressor((90, 60), **{**SETTINGS, **p}),
    "L-BFGS": lambda **p: DeepMLPRegressor((90,), **{**SETTINGS, "solver": "lbfgs", **p}),
    "autoencoder": lambda **p: DBNAutoencoder((90, 20), pretrainer=None, **{**SETTINGS, **p}),
    "double": lambda **p: DeepMLPRegressor((90, 60), **{**SETTINGS, "dtype": "float64", **p}),
}
assert len(MAKE) == N_THREADS


def output(estimator):
    """A hash of what an estimator makes of X."""
    names = ("predict_proba", "predict", "transform")
    method = next(getattr(estimator, name) for name in names if hasattr(estimator, name))
    return hashlib.sha256(np.ascontiguousarray(method(X))).hexdigest()


def fitted(name, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MAKE[name](**params).fit(X, y)


def fit_and_predict(name):
    return output(fitted(name))


def predict(estimator, _=None):
    return output(estimator)


def in_threads(call, arguments):
    """The results of calls in as many Python threads, which begin at the same time."""
    results, barrier = {}, threading.Barrier(len(arguments))

    def work(i, argument):
        barrier.wait()
        results[i] = call(argument)

    workers = [threading.Thread(target=work, args=each) for each in enumerate(arguments)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [results[i] for i in range(len(arguments))]


def in_fork(call, *args):
    """The result of a call in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.write(writing, call(*args).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        result = file.read()
    assert os.waitpid(child, 0)[1] == 0
    return result


def use_threads():
    """Different estimators, then one, in threads; and in a fork after all that."""
    expected = [output(fitted(name, n_jobs=1)) for name in MAKE]
    assert in_threads(fit_and_predict, list(MAKE)) == expected
    one = fitted("pretrained")
    assert set(in_threads(predict, [one] * N_THREADS)) == {output(one)}
    if hasattr(os, "fork"):
        for name, result in zip(MAKE, expected):
            if name in ("persistent", "pretrained"):
                assert in_fork(fit_and_predict, name) == result
        assert in_fork(predict, one) == output(one)


def use_processes():
    """The backends of joblib, and processes that are spawned, after parallel work in this one."""
    names = ["stack", "classifier"]
    expected = [fit_and_predict(name) for name in names]
    for backend in ("loky", "threading", "multiprocessing"):
        parallel = joblib.Parallel(n_jobs=2, backend=backend)
        assert parallel(joblib.delayed(fit_and_predict)(name) for name in names) == expected
    one = fitted("pretrained")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(predict, [one]) == [output(one)]
        assert pool.map(fit_and_predict, names[:1]) == expected[:1]


def run_child(function, **environment):
    """Run one of these functions in a process of its own, with two threads at least."""
    script = f"from tests import test_concurrency as t; t.{function.__name__}(); print('done')"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "NUMBA_T"))}
    settings = {"NUMBA_NUM_THREADS": "4", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**inherited, **settings, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        cwd=ROOT,
    )
    if "No threading layer could be loaded" in done.stderr:
        pytest.skip(f"this computer has no {environment['NUMBA_THREADING_LAYER']}")
    assert done.returncode == 0 and done.stdout == "done\n", done.stdout + done.stderr


@pytest.mark.parametrize("layer", ["omp", "tbb", "workqueue"])
def test_python_threads(layer):
    """Only one at a time is in a parallel kernel, which the workqueue would not survive."""
    run_child(use_threads, NUMBA_THREADING_LAYER=layer)


def test_processes():
    """Wherever an estimator is fitted or sent to, it is the same."""
    run_child(use_processes)
