"""Results for many samples need little memory beyond themselves."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from sklearn import config_context
from sklearn.frozen import FrozenEstimator

from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor
from sk_dbn._chunks import chunk_rows, in_chunks
from sk_dbn.models import memory

pytestmark = pytest.mark.filterwarnings("ignore:Labels of -1", "ignore:Got `batch_size`")

MIB = 2**20
X = np.random.RandomState(0).uniform(size=(20_000, 20)).astype(np.float32)
few = X[:300]
targets = few @ np.random.RandomState(1).normal(size=(20, 10))
SETTINGS = {"max_iter": 1, "random_state": 0, "n_jobs": 1}


@pytest.fixture(scope="module")
def estimators():
    """One of each kind whose hidden layers are wide."""
    return {
        "stack": BernoulliRBMStack((40, 60), **SETTINGS).fit(few),
        "gaussian": BernoulliRBMStack((40,), visible="gaussian", **SETTINGS).fit(few),
        "classifier": DBNClassifier((40, 60), **SETTINGS).fit(few, np.arange(300) % 50),
        "regressor": DeepMLPRegressor((40, 60), **SETTINGS).fit(few, targets),
        "double": DeepMLPRegressor((40,), dtype="float64", **SETTINGS).fit(few, targets),
        "autoencoder": DBNAutoencoder((40, 60), **SETTINGS).fit(few),
    }


METHODS = {
    "stack": "transform inverse_transform reconstruct free_energy score_samples",
    "gaussian": "transform inverse_transform reconstruct free_energy score_samples",
    "classifier": "transform predict predict_proba predict_log_proba",
    "regressor": "predict",
    "double": "predict",
    "autoencoder": "transform inverse_transform reconstruct score_samples",
}
CASES = [(kind, name) for kind, names in METHODS.items() for name in names.split()]


def argument(estimator, name):
    """Samples, fewer for a slow method, or codes for `inverse_transform`."""
    given = X[:1500] if name == "score_samples" else X
    return estimator.transform(given) if name == "inverse_transform" else given


@pytest.mark.parametrize("kind, name", CASES)
def test_working_memory_bounds_what_is_held(estimators, kind, name):
    """Of a result of some MiB nothing but the result itself is held at once."""
    estimator = estimators[kind]
    given, method = argument(estimator, name), getattr(estimator, name)
    whole = method(given)
    with config_context(working_memory=1):
        method(given[:100])  # what is imported or made once
        tracemalloc.start()
        try:
            chunked = method(given)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak - chunked.nbytes < MIB
    if kind in ("stack", "gaussian") and name != "transform":  # NumPy's products round otherwise
        np.testing.assert_allclose(chunked, whole, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(chunked, whole)


@pytest.mark.parametrize("kind, name", [case for case in CASES if case[1] != "inverse_transform"])
def test_one_sample_at_a_time(estimators, kind, name):
    """However little memory there may be, a sample at a time is computed, sparse ones too."""
    method = getattr(estimators[kind], name)
    whole = method(few)
    with config_context(working_memory=0):
        np.testing.assert_allclose(method(few), whole, rtol=1e-5, atol=1e-6)
        sparse = method(scipy.sparse.csr_matrix(few))
    np.testing.assert_allclose(sparse, whole, rtol=1e-5, atol=1e-6)


def test_size_of_chunks():
    """As many rows as fit, one at least, and blocks of rows are cut as they are without chunks."""
    with config_context(working_memory=1):
        assert chunk_rows(2**17) == 1 and chunk_rows(2**40) == 1
        assert chunk_rows(2**7) == 2**10
        assert chunk_rows(2**4) % 1536 == 0 and 2**12 < chunk_rows(2**4) <= 2**13
    with config_context(working_memory=0):
        assert chunk_rows(1) == 1
        assert in_chunks(lambda rows: 2 * rows, few, 20).tolist() == (2 * few).tolist()


# A process that may take 64 MiB more than it has after a small prediction.
LIMITED = """
import resource, warnings
from pathlib import Path
import numpy as np
from sklearn import set_config
from sk_dbn import BernoulliRBMStack, DBNClassifier

warnings.simplefilter("ignore")
set_config(working_memory=16)
X = np.random.RandomState(0).uniform(size=(100_000, 30)).astype(np.float32)
settings = {"max_iter": 1, "random_state": 0, "n_jobs": 1}
stack = BernoulliRBMStack((300,), **settings).fit(X[:300])
network = DBNClassifier((20,), pretrainer=None, **settings).fit(X[:300], np.arange(300) % 60)
calls = stack.reconstruct, network.predict
for call in calls:
    call(X[:20_000])
status = Path("/proc/self/status").read_text()
now = 1024 * int(status.split("VmData:")[1].split()[0])
resource.setrlimit(resource.RLIMIT_DATA, (now + 2**26,) * 2)
try:
    np.ones(2**24)
except MemoryError:
    print("limited")
for call in calls:
    print(len(call(X)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_DATA and /proc")
def test_a_process_with_little_memory():
    """Reconstructions of 12 MB by features of 120 MB, labels by probabilities of 48 MB twice."""
    root = Path(__file__).parents[1]
    call = [sys.executable, "-c", LIMITED]
    done = subprocess.run(call, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["limited"] + ["100000"] * 2


# ---------------------------------------------------------------------------
# What cannot fit is said before it is allocated
# ---------------------------------------------------------------------------


@pytest.fixture
def small_computer(monkeypatch):
    """A computer of 1 MiB."""
    monkeypatch.setattr(memory, "of_this_computer", lambda: MIB)


def test_results_that_do_not_fit(small_computer, estimators):
    """Before anything is computed for more than the first samples."""
    with config_context(working_memory=0.5):
        match = r"results of shape \(20000, 60\) need 4.58 MiB, more than .* 1 MiB of memory"
        with pytest.raises(MemoryError, match=match):
            estimators["stack"].transform(X)


WIDE = np.ones((40, 2), np.float32)
LABELS = np.arange(40) % 2
TOO_LARGE = {
    "solver": lambda: DeepMLPRegressor((2000,), solver="lbfgs", **SETTINGS).fit(WIDE, LABELS),
    "batch_size": lambda: DBNClassifier((5000,), **SETTINGS).fit(WIDE, LABELS),
    "batch_size of a stack": lambda: BernoulliRBMStack((6000,), batch_size=40, **SETTINGS).fit(
        WIDE
    ),
    "n_chains": lambda: BernoulliRBMStack((9,), algorithm="pcd", n_chains=10**12).fit(WIDE),
    "hidden_layer_sizes": lambda: DBNClassifier((10**9,)).fit(WIDE, LABELS),
    "X": lambda: DBNClassifier(
        (4000,), pretrainer=FrozenEstimator(BernoulliRBMStack((4000,), max_iter=1).fit(WIDE))
    ).fit(np.ones((400, 2)), np.arange(400) % 2),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", TOO_LARGE)
def test_parameters_that_do_not_fit(small_computer, name):
    """The error names the parameter and what it needs, and is an error of memory and of values."""
    named = name.split()[0]
    with pytest.raises(MemoryError, match=f"^{named} must fit into .* needs .*iB") as caught:
        TOO_LARGE[name]()
    assert isinstance(caught.value, ValueError)


def test_sparse_samples_that_do_not_fit_as_an_array(small_computer):
    """`complete` returns an array, of a matrix that may have room for few of its values."""
    stack = BernoulliRBMStack((3,), not_stored="missing", max_iter=1)
    X = scipy.sparse.random(50, 40, 0.2, "csr", random_state=0, dtype=np.float32)
    stack.fit(X)
    wide = scipy.sparse.csr_matrix((5000, 40), dtype=np.float32)
    with pytest.raises(MemoryError, match=r"results of shape \(5000, 40\) need 1.53 MiB"):
        stack.complete(wide)
