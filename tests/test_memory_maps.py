"""What lies in memory in another way compiles nothing again; what lies in a file is not copied."""

import copy
import gc
import itertools
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import scipy.sparse
from numba.core.dispatcher import Dispatcher

from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor
from sk_dbn.inspection import diagnose
from sk_dbn.likelihood import annealed_importance_sampling, exact_log_partition, log_likelihood
from sk_dbn.models import orders
from sk_dbn.models.network_training import Training
from sk_dbn.models.rbm_training import RBMTraining

pytestmark = pytest.mark.filterwarnings("ignore")


def machine_codes():
    """Every signature that this process has machine code of, compiled or from the cache."""
    found = (d for d in gc.get_objects() if issubclass(type(d), Dispatcher))  # no dead reference
    return {(d.py_func.__qualname__, str(args)) for d in found for args in d.overloads}


@pytest.fixture(scope="module")
def data():
    X = np.random.RandomState(0).uniform(size=(60, 6)).astype(np.float32)
    return X, (X[:, 0] > 0.5).astype(int)


@pytest.fixture(scope="module")
def estimators(data):
    X, y = data
    stack = BernoulliRBMStack((5, 4), max_iter=2, random_state=0)
    return (
        stack.fit(X),
        DBNClassifier((5, 4), pretrainer=stack, max_iter=2, dropout=0.1, random_state=0).fit(X, y),
        DeepMLPRegressor((5, 4), max_iter=2, random_state=0).fit(X, y),
        DBNAutoencoder((5, 4), pretrainer=stack, max_iter=2, random_state=0).fit(X),
    )


def outputs(X, stack, classifier, regressor, autoencoder):
    """What each estimator computes of samples."""
    predicted = [network.predict(X) for network in (classifier, regressor)]
    return [stack.transform(X), *predicted, autoencoder.reconstruct(X)]


def use(X, y, stack, classifier, regressor, autoencoder):
    """Call whatever hands arrays to kernels."""
    autoencoder.score_samples(X)
    autoencoder.inverse_transform(autoencoder.transform(X))
    autoencoder.partial_fit(X)
    autoencoder.fit(X)
    diagnose(autoencoder)
    for network in (classifier, regressor):
        network.predict(X)
        network.partial_fit(X, y)
        network.fit(X, y)
        diagnose(network)
    classifier.transform(X)
    stack.inverse_transform(stack.transform(X))
    stack.score_samples(X)
    stack.sample(2, n_steps=2)
    stack.gibbs(X)
    assert len(stack.feature_importances_) == X.shape[1]
    if not scipy.sparse.issparse(X):
        stack.complete(np.where(X == X[0, 0], np.nan, X), n_steps=2, n_burn_in=1)
    exact_log_partition(stack)
    annealed_importance_sampling(stack, n_chains=4, betas=10)
    log_likelihood(stack, X, log_partition=0.0)
    stack.partial_fit(X)
    stack.fit(X)


def test_memory_mapped_estimators_compile_nothing(data, estimators, tmp_path):
    """``joblib.load(mmap_mode="r")`` gives read-only arrays, which numba types differently."""
    X, y = data
    joblib.dump((X, y, *estimators), tmp_path / "all")
    use(X, y, *estimators)
    before = machine_codes()
    mapped = joblib.load(tmp_path / "all", mmap_mode="r")
    assert isinstance(mapped[0], np.memmap) and not mapped[0].flags.writeable
    use(*mapped)
    assert machine_codes() == before


def unaligned(X):
    """X one byte off."""
    buffer = np.zeros(X.nbytes + 1, np.uint8)
    shifted = buffer[1:].view(X.dtype).reshape(X.shape)
    shifted[:] = X
    return shifted


def read_only(X):
    X = X.copy()
    for array in (X.data, X.indices, X.indptr) if scipy.sparse.issparse(X) else (X,):
        array.flags.writeable = False
    return X


VIEWS = {
    "read-only": read_only,
    "Fortran": np.asfortranarray,
    "big-endian": lambda X: X.astype(X.dtype.newbyteorder(">")),
    "unaligned": unaligned,
    "strided": lambda X: np.repeat(X, 2, axis=-1)[..., ::2],
    "reversed": lambda X: X[::-1][::-1],
}
LAYOUTS = {
    **VIEWS,
    "float16": lambda X: X.astype(np.float16),
    "int8": lambda X: (X > 0.5).astype(np.int8),
    "bool": lambda X: X > 0.5,
    "CSR": scipy.sparse.csr_array,
    "read-only CSR": lambda X: read_only(scipy.sparse.csr_array(X)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_layouts_of_data_compile_nothing(data, estimators, layout):
    """Data are described to kernels by an address and codes, whatever numba would call them."""
    X, y = data
    use(X, y, *estimators)
    before = machine_codes()
    use(LAYOUTS[layout](X), y, *estimators)
    assert machine_codes() == before


def laid_out(x, layout):
    """The arrays of an object, and of the objects in it, laid out otherwise."""
    if isinstance(x, np.ndarray):
        return VIEWS[layout](x)
    if isinstance(x, dict):
        return {name: laid_out(part, layout) for name, part in x.items()}
    return x


@pytest.mark.parametrize("layout", VIEWS)
def test_pickled_arrays_are_brought_into_one_layout(data, estimators, layout):
    """So that a model from another processor, or from a file that is mapped, is trained on and
    predicts as it was, and nothing is written to what it came from.
    """
    X, y = data
    use(X, y, *estimators)
    expected = outputs(X, *estimators)
    before = machine_codes()
    stack, *networks = twins = copy.deepcopy(estimators)
    parts = [stack._stack, *stack._stack.memories, *(network._network for network in networks)]
    for part in [*parts, *(network._optimiser for network in networks)]:
        part.__setstate__(laid_out(part.__getstate__(), layout))
    np.testing.assert_equal(outputs(X, *twins), expected)
    for estimator, args in zip(twins, [(X,), (X, y), (X, y), (X,)], strict=True):
        estimator.partial_fit(*args)
    assert machine_codes() == before


# ---------------------------------------------------------------------------
# Bigger than memory
# ---------------------------------------------------------------------------

# A process that may take 32 MB more than it has after its imports and a first, small fit. The limit
# is on private memory: mapped files do not count, which the system can drop and read again.
LIMITED = """
import resource, sys, warnings
from pathlib import Path
import numpy as np
from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor
from sk_dbn.models import orders

warnings.simplefilter("ignore")
orders.LARGE_FILE = 0.0  # of memory
X = np.load(sys.argv[1], mmap_mode="r")
y = X[:, 0].astype(int)
settings = {"max_iter": 1, "batch_size": 200, "random_state": 0}
estimators = (
    BernoulliRBMStack((8,), **settings),
    DBNClassifier((8,), pretrainer=None, dropout=0.0, **settings),
    DeepMLPRegressor((8,), dropout=0.0, **settings),
    DBNAutoencoder((8,), pretrainer=None, **settings),
)
for estimator in estimators:
    estimator.fit(np.array(X[:300]), y[:300])
status = Path("/proc/self/status").read_text()
now = 1024 * int(status.split("VmData:")[1].split()[0])
resource.setrlimit(resource.RLIMIT_DATA, (now + 2**25,) * 2)
try:
    np.array(X[::2])
except MemoryError:
    print("limited")
for estimator in estimators:
    estimator.fit(X, y)
    print(np.isfinite(np.ravel(estimator.coefs_[0])).all())
print(estimators[1].score(X, y) > 0.9)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_DATA and /proc")
def test_a_file_larger_than_memory_is_trained_on(tmp_path):
    """No array grows with X but by a few numbers for each row."""
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.uint8, (40_000, 2000))
    X[:] = np.frombuffer(np.random.default_rng(0).bytes(X.size), np.uint8).reshape(X.shape) % 2
    X[:, :100] = X[:, :1]  # what is to be learnt
    X.flush()
    root = Path(__file__).parents[1]
    call = [sys.executable, "-c", LIMITED, str(tmp_path / "X.npy")]
    done = subprocess.run(call, cwd=root, capture_output=True, text=True, timeout=300)
    (tmp_path / "X.npy").unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["limited"] + ["True"] * 5


@pytest.fixture
def in_blocks(monkeypatch):
    """Every file counts as larger than memory, and 64 bytes as a block."""
    monkeypatch.setattr(orders, "LARGE_FILE", 0.0)
    monkeypatch.setattr(orders, "BLOCK_BYTES", 64)
    monkeypatch.setattr(orders, "BLOCKS_MIXED", 3)


NETWORKS = {
    "classifier": lambda **settings: DBNClassifier((5,), **settings),
    "pretrained": lambda **settings: DBNClassifier((5,), pretrainer=STACK, **settings),
    "regressor": lambda **settings: DeepMLPRegressor((5,), **settings),
    "autoencoder": lambda **settings: DBNAutoencoder((5,), pretrainer=STACK, **settings),
}
STACK = BernoulliRBMStack((5,), max_iter=3, random_state=0)


@pytest.mark.parametrize("early_stopping", [False, True, "refit"])
@pytest.mark.parametrize("kind", [*NETWORKS, "stack"])
def test_samples_of_a_large_file_are_visited_in_blocks(
    in_blocks, monkeypatch, tmp_path, kind, early_stopping
):
    """Each once an epoch, in another order every time: whole blocks of rows, some at a time."""
    X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(200, 6))
    X[:] = np.random.RandomState(0).uniform(size=X.shape)
    y = (X[:, 0] > 0.5).astype(int)
    epochs = {}

    def recorded(epoch):
        def call(training, run, order, *args):
            if not (args and np.isscalar(args[0])):  # a rate of 0, to measure what dropout does
                epochs.setdefault(training, []).append(order)
            return epoch(training, run, order, *args)

        return call

    for training in (Training, RBMTraining):
        monkeypatch.setattr(training, "epoch", recorded(training.epoch))
    settings = {"max_iter": 4, "early_stopping": early_stopping, "random_state": 0}
    if kind == "stack":
        if early_stopping == "refit":
            pytest.skip("a stack has no such choice")
        BernoulliRBMStack((5, 4), **settings).fit(X)
    else:
        NETWORKS[kind](**settings).fit(X, y)
    epochs = [orders for orders in epochs.values() if len(orders) > 1]  # not the trace's first row
    assert epochs
    for visits in epochs:
        rows = np.sort(visits[0])
        for order in visits:
            np.testing.assert_array_equal(np.sort(order), rows)
            places = np.argsort(order)[: len(rows) // 2 * 2].reshape(-1, 2)  # blocks of two rows
            assert (abs(places[:, 0] - places[:, 1]) < 6).all()  # of which three are mixed
            assert (abs(places[:, 0] - places[:, 1]) > 1).any()
        assert all((first != second).any() for first, second in itertools.pairwise(visits))


@pytest.mark.parametrize("kind", NETWORKS)
def test_blocks_are_the_same_for_any_number_of_threads(in_blocks, tmp_path, kind):
    """The order is drawn before the work is shared."""
    X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(600, 70))
    X[:] = np.random.RandomState(0).uniform(size=X.shape)
    y = (X[:, 0] > 0.5).astype(int)
    settings = {"max_iter": 2, "batch_size": 200, "random_state": 0}
    one, two = (NETWORKS[kind](n_jobs=n, **settings).fit(X, y) for n in (1, 2))
    np.testing.assert_equal(one.coefs_, two.coefs_)
