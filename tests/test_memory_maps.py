"""What lies in memory in another way compiles nothing again."""

import copy
import gc

import joblib
import numpy as np
import pytest
import scipy.sparse
from numba.core.dispatcher import Dispatcher

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor
from sk_dbn.inspection import diagnose
from sk_dbn.likelihood import annealed_importance_sampling, exact_log_partition, log_likelihood

pytestmark = pytest.mark.filterwarnings("ignore")


def machine_codes():
    """Every signature that this process has machine code of, compiled or from the cache."""
    found = (d for d in gc.get_objects() if isinstance(d, Dispatcher))
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
    )


def use(X, y, stack, classifier, regressor):
    """Call whatever hands arrays to kernels."""
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
    if hasattr(x, "_asdict"):
        return type(x)(*(laid_out(part, layout) for part in x))
    return x


@pytest.mark.parametrize("layout", VIEWS)
def test_pickled_arrays_are_brought_into_one_layout(data, estimators, layout):
    """So that a model from another processor, or from a file that is mapped, is trained on and
    predicts as it was, and nothing is written to what it came from.
    """
    X, y = data
    use(X, y, *estimators)
    expected = [estimators[0].transform(X), *(e.predict(X) for e in estimators[1:])]
    before = machine_codes()
    stack, classifier, regressor = twins = copy.deepcopy(estimators)
    parts = [stack._stack, *stack._stack.memories, classifier._network, regressor._network]
    for part in [*parts, classifier._optimiser, regressor._optimiser]:
        state = part.__getstate__() if part in parts else vars(part)
        part.__setstate__({name: laid_out(x, layout) for name, x in state.items()})
    outputs = [stack.transform(X), *(e.predict(X) for e in twins[1:])]
    np.testing.assert_equal(outputs, expected)
    for estimator, args in zip(twins, [(X,), (X, y), (X, y)]):
        estimator.partial_fit(*args)
    assert machine_codes() == before
