"""Training and prediction with Dask, on a cluster of two processes."""

import copy
import doctest
import os
import pickle
import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor, WarmStart
from sk_dbn.models.threads import effective_n_threads

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")

import dask.array as da  # noqa: E402
from dask.distributed import Client, LocalCluster, get_worker  # noqa: E402

from sk_dbn import distributed  # noqa: E402

X, Y = (values[:300] for values in load_digits(return_X_y=True))
X = X / 16
CHUNKS = (120, 100, 80)  # of different sizes
TABLE, TARGET = (values[:200] for values in load_diabetes(return_X_y=True))
TABLE, TARGET = (StandardScaler().fit_transform(x.reshape(200, -1)) for x in (TABLE, TARGET))
TARGET = TARGET.ravel()
PLAIN_SGD = {  # without any state between updates
    **{"solver": "sgd", "momentum": 0.0, "learning_rate": "constant", "learning_rate_init": 0.1},
    **{"alpha": 0.0, "shuffle": False, "dtype": "float64", "random_state": 0},
}


pytestmark = [
    pytest.mark.filterwarnings("ignore:Got `batch_size` larger"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def cluster_of(n_workers):
    """A client of a new cluster, whose workers have a thread each."""
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        cluster = LocalCluster(
            n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=":0"
        )
    return Client(cluster, set_as_default=False)


@pytest.fixture(scope="module")
def clients():
    """Clients of clusters of one and of two worker processes."""
    found = [cluster_of(1), cluster_of(2)]
    yield found
    for client in found:
        client.close()
        client.cluster.close()


@pytest.fixture(scope="module")
def client(clients):
    """The client of two workers."""
    return clients[1]


def in_rows(*arrays, chunks=CHUNKS):
    """Dask arrays with these chunks of rows."""
    return [da.from_array(x, chunks=(chunks, *x.shape[1:])) for x in arrays]


def parts_of(*arrays, chunks=CHUNKS):
    """The same chunks by NumPy."""
    return list(zip(*(np.split(x, np.cumsum(chunks)[:-1]) for x in arrays), strict=True))


def parameters(estimator):
    """All weights and biases, as one array."""
    names = ("coefs_", "intercepts_", "intercepts_hidden_", "intercepts_visible_")
    lists = [getattr(estimator, name) for name in names if hasattr(estimator, name)]
    return np.concatenate([np.ravel(x) for arrays in lists for x in arrays])


# ---------------------------------------------------------------------------
# One partition after the other
# ---------------------------------------------------------------------------


def test_partial_fit_is_a_loop_over_partitions(client):
    """To the bit, in a first call and when training continues."""
    network = DeepMLPRegressor((10,), dropout=0.1, random_state=0)
    by_hand, chunks = clone(network), (100, 60, 40)
    with client.as_current():
        for _ in range(2):
            distributed.partial_fit(network, *in_rows(TABLE, TARGET, chunks=chunks))
            for X_part, y_part in parts_of(TABLE, TARGET, chunks=chunks):
                by_hand.partial_fit(X_part, y_part)
    np.testing.assert_array_equal(parameters(network), parameters(by_hand))
    assert network.loss_curve_ == by_hand.loss_curve_ and network.t_ == by_hand.t_ == 400


def test_classes_are_those_of_all_partitions(client):
    """Though the first one has two of them only; `classes` adds some that occur in none."""
    order = np.argsort(Y, kind="stable")
    data = in_rows(X[order], Y[order], chunks=(50,) * 6)
    network = DBNClassifier((8,), max_iter=2, random_state=0)
    with client.as_current():
        for train in (distributed.fit, distributed.partial_fit):
            np.testing.assert_array_equal(train(clone(network), *data).classes_, range(10))
        more = distributed.partial_fit(clone(network), *data, classes=range(11))
    np.testing.assert_array_equal(more.classes_, range(11))


def test_classes_may_list_unlabeled_and_mean_nothing_to_others(client):
    """As where there is one partition: samples without a label make no class."""
    y, params = np.where(Y < 5, Y, -1), {"max_iter": 1, "random_state": 0}
    network, stack = DBNClassifier((8,), unlabeled=-1, **params), BernoulliRBMStack((8,), **params)
    regressor = DeepMLPRegressor((8,), **params)
    with client.as_current():
        distributed.partial_fit(network, *in_rows(X, y), classes=range(-1, 6))
        distributed.partial_fit(stack, *in_rows(X), classes=[0, 1])
        distributed.partial_fit(regressor, *in_rows(X, Y), classes=[0, 1])
    np.testing.assert_array_equal(network.classes_, range(6))
    assert not hasattr(stack, "classes_") and not hasattr(regressor, "classes_")


@pytest.mark.parametrize("train", [distributed.fit, distributed.partial_fit])
def test_scales_are_those_of_all_partitions(train):
    """Values of the first partition alone would fit into [0, 1]."""
    Z = np.sort(np.random.default_rng(0).uniform(0, 3, size=(300, 4)), axis=0)
    stack = BernoulliRBMStack((5,), learn_variance=False, max_iter=1, random_state=0)
    whole, parts = clone(stack).fit(Z), train(clone(stack), *in_rows(Z))
    assert parts.visible_ == whole.visible_ == "gaussian"
    np.testing.assert_allclose(parts.visible_mean_, whole.visible_mean_)
    np.testing.assert_allclose(parts.visible_scale_, whole.visible_scale_)
    network = DBNAutoencoder((3,), pretrainer=None, max_iter=1, dtype="float64", random_state=0)
    W = [np.ones(shape) for shape in ((4, 3), (3, 4))]
    network, alone = (train(clone(network), *in_rows(Z)), clone(network).fit(Z))
    assert network.visible_ == "gaussian"
    network.coefs_ = alone.coefs_ = W
    network.intercepts_ = alone.intercepts_
    np.testing.assert_allclose(network.reconstruct(Z), alone.reconstruct(Z))


def test_missing_values_are_read_as_the_mean_of_all_partitions():
    """Where a value is missing, its unit contributes as much as the mean, whatever the part."""
    Z = np.sort(np.random.default_rng(0).uniform(size=(300, 4)), axis=0)
    Z[::7, 1] = np.nan
    stack = distributed.fit(BernoulliRBMStack((5,), max_iter=2, random_state=0), *in_rows(Z))
    reference = stack.model_.visible.reference
    np.testing.assert_allclose(reference, np.nanmean(Z, axis=0), rtol=1e-6)
    assert np.isfinite(stack.transform(Z)).all()


# ---------------------------------------------------------------------------
# Averages
# ---------------------------------------------------------------------------


def test_one_step_of_each_partition_is_one_step_of_all():
    """The gradient of the mean loss is the mean of the partitions' gradients, by their sizes."""
    network = DeepMLPRegressor((10,), "tanh", batch_size=200, **PLAIN_SGD)
    chunks = (100, 60, 40)
    parts = distributed.fit(clone(network), *in_rows(TABLE, TARGET, chunks=chunks), n_rounds=1)
    whole = clone(network).partial_fit(TABLE, TARGET)
    np.testing.assert_allclose(parameters(parts), parameters(whole), rtol=1e-10)
    np.testing.assert_allclose(parts.loss_, whole.loss_)


def test_rounds_are_those_of_a_slow_reference(client):
    """Copies of the average, their own `partial_fit`, and NumPy's average, round after round."""
    network = DeepMLPRegressor((10, 5), "tanh", batch_size=20, **PLAIN_SGD)
    chunks = (100, 60, 40)
    with client.as_current():
        data = in_rows(TABLE, TARGET, chunks=chunks)
        fitted = distributed.fit(clone(network), *data, n_rounds=3)
    model, losses = clone(network), []
    for _ in range(3):
        pairs = parts_of(TABLE, TARGET, chunks=chunks)
        models = [copy.deepcopy(model).partial_fit(*pair) for pair in pairs]
        model = models[0]
        for name in ("coefs_", "intercepts_"):
            layers = zip(*(getattr(each, name) for each in models), strict=True)
            setattr(model, name, [np.average(x, axis=0, weights=chunks) for x in layers])
        losses.append(np.average([each.loss_ for each in models], weights=chunks))
    np.testing.assert_allclose(parameters(fitted), parameters(model), rtol=1e-9)
    np.testing.assert_allclose(fitted.loss_curve_, losses)
    assert (fitted.n_iter_, fitted.t_, fitted.loss_) == (3, 600, fitted.loss_curve_[-1])


ESTIMATORS = [
    DBNClassifier((12,), pretrainer=BernoulliRBMStack(max_iter=2), max_iter=3, random_state=0),
    BernoulliRBMStack((12, 6), algorithm="pcd", n_chains=7, max_iter=3, random_state=0),
    DBNAutoencoder((12, 3), pretrainer=BernoulliRBMStack(max_iter=2), max_iter=3, random_state=0),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_the_number_of_workers_changes_no_bit(clients, estimator):
    """What is trained apart are partitions, and averages are added up in their order."""
    fitted = [distributed.fit(clone(estimator), *in_rows(X, Y))]
    for client in clients:
        with client.as_current():
            fitted.append(distributed.fit(clone(estimator), *in_rows(X, Y)))
    for other in fitted[1:]:
        np.testing.assert_array_equal(parameters(other), parameters(fitted[0]))
    assert fitted[0].get_params()["random_state"] == 0
    again = pickle.loads(pickle.dumps(fitted[2]))
    np.testing.assert_array_equal(again.transform(X), fitted[0].transform(X))
    with warnings.catch_warnings(action="error"):
        for model in fitted[::2]:  # also what comes after is the same
            model.partial_fit(*[X, Y] if isinstance(model, DBNClassifier) else [X])
    np.testing.assert_array_equal(parameters(fitted[2]), parameters(fitted[0]))


def test_partitions_have_random_numbers_of_their_own():
    """Copies of one partition would else make the same of it, and the average would be theirs."""
    twice, once = np.concatenate([X[:100], X[:100]]), X[:100]
    stack = BernoulliRBMStack((8,), random_state=0)
    both = distributed.fit(clone(stack), *in_rows(twice, chunks=(100, 100)), n_rounds=2)
    one = distributed.fit(clone(stack), *in_rows(once, chunks=(100,)), n_rounds=2)
    assert np.abs(both.components_ - one.components_).max() > 1e-4


def test_sparse_chunks(capsys):
    """They are read as a dense array is; each round can be printed."""
    stack = BernoulliRBMStack((8,), max_iter=2, verbose=1, random_state=0)
    (dense,) = in_rows(X)
    sparse = dense.map_blocks(scipy.sparse.csr_matrix)
    fitted = [distributed.fit(clone(stack), given) for given in (dense, sparse)]
    np.testing.assert_allclose(*(model.transform(X) for model in fitted), rtol=1e-3)
    H = distributed.transform(fitted[0], sparse).compute()
    np.testing.assert_allclose(H, fitted[0].transform(X), rtol=1e-5)
    printed = "".join(f"[BernoulliRBMStack] Round {i} of 2\n" for i in (1, 2))
    assert capsys.readouterr().out == 2 * printed


def test_it_learns():
    """With partitions of a class each, which by themselves know of one class only, too."""
    order = np.argsort(Y, kind="stable")
    network = DBNClassifier((50,), random_state=0)
    mixed = distributed.fit(clone(network), *in_rows(X, Y), n_rounds=30)
    apart = distributed.fit(clone(network), *in_rows(X[order], Y[order]), n_rounds=30)
    assert mixed.score(X, Y) > 0.95 and apart.score(X, Y) > 0.6


def test_labels_that_most_partitions_lack():
    """All samples pre-train, and a partition without any label takes no part in fine-tuning."""
    few = np.where(np.arange(300) < 100, Y, -1)
    stack = BernoulliRBMStack(max_iter=5, random_state=0)
    network = DBNClassifier((40,), unlabeled=-1, max_iter=20, random_state=0)
    fitted = distributed.fit(clone(network).set_params(pretrainer=stack), *in_rows(X, few))
    by_hand = distributed.fit(clone(stack).set_params(hidden_layer_sizes=(40,)), *in_rows(X))
    few_rows = in_rows(X[:60], few[50:110], chunks=(40, 20))  # more with than without labels
    assert distributed.fit(clone(network), *few_rows, n_rounds=1).pretrainer_ is None
    few_rows = in_rows(X[:30], few[90:120], chunks=(20, 10))
    own = distributed.fit(clone(network), *few_rows, n_rounds=1)  # pretrainer='auto'
    np.testing.assert_array_equal(parameters(fitted.pretrainer_), parameters(by_hand))
    assert own.pretrainer_.n_iter_ == [50] and own.pretrainer == "auto"
    assert fitted.t_ == 100 * 20 and fitted.score(X[:100], Y[:100]) > 0.8
    started = distributed.fit(network.set_params(pretrainer=WarmStart(by_hand)), *in_rows(X, few))
    np.testing.assert_array_equal(parameters(started), parameters(fitted))
    frozen = network.set_params(pretrainer=FrozenEstimator(by_hand))
    distributed.fit(frozen, *in_rows(X, few), n_rounds=2)
    np.testing.assert_array_equal(frozen.coefs_[0], by_hand.coefs_[0])


# ---------------------------------------------------------------------------
# What goes wrong
# ---------------------------------------------------------------------------


def test_an_error_names_the_partition(client):
    """The estimator stays as it was: without a fit, or with that of before."""
    network = DBNClassifier((8,), max_iter=2, random_state=0)
    bad = X.copy()
    bad[130] = np.inf
    with client.as_current():
        for train in (distributed.fit, distributed.partial_fit):
            with pytest.raises(ValueError, match="infinity(.|\n)*partition 1"):
                train(network, *in_rows(bad, Y))
        with pytest.raises(NotFittedError):
            network.predict(X)
        before = parameters(network.fit(X, Y))
        with pytest.raises(ValueError, match="infinity(.|\n)*partition 1"):
            distributed.partial_fit(network, *in_rows(bad, Y))
    np.testing.assert_array_equal(parameters(network), before)


def test_divergence_keeps_the_last_good_round():
    """As in `fit`: a warning, and finite weights."""
    network = DeepMLPRegressor((10,), "relu", **PLAIN_SGD | {"learning_rate_init": 1e5})
    with pytest.warns(ConvergenceWarning, match="diverged in round"):
        fitted = distributed.fit(network, *in_rows(TABLE, TARGET, chunks=(100, 100)), n_rounds=9)
    assert np.isfinite(parameters(fitted)).all()


@pytest.mark.parametrize(
    "estimator, data, error, words",
    [
        (DBNClassifier(), (X, Y), TypeError, "must be a Dask array"),
        (make_pipeline(DBNClassifier()), in_rows(X, Y), TypeError, "compute the other steps"),
        (DBNClassifier(solver="lbfgs"), in_rows(X, Y), ValueError, "all samples at once"),
        (DBNClassifier(solver="amad"), in_rows(X, Y), ValueError, "The 'solver' parameter"),
        (DBNClassifier(), (in_rows(X)[0], Y[1:]), ValueError, "300 samples, but y has 299"),
        (DBNClassifier(unlabeled=0), in_rows(X, 0 * Y), ValueError, "every label"),
        (BernoulliRBMStack(visible="categorical"), in_rows(X), ValueError, "must be given"),
        (DBNClassifier(class_weight="balanced"), in_rows(X, Y), ValueError, "compute_class_weight"),
    ],
)
def test_what_cannot_be_trained(estimator, data, error, words):
    """It is said before any training, and how to do it instead."""
    for train in (distributed.fit, distributed.partial_fit):
        with pytest.raises(error, match=words):
            train(estimator, *data)
    with pytest.raises(ValueError, match="n_rounds must be a positive integer"):
        distributed.fit(BernoulliRBMStack(), *in_rows(X), n_rounds=0)


class Deadly(DBNClassifier):
    """Ends the process that trains it."""

    def partial_fit(self, X, y, sample_weight=None, classes=None):
        get_worker()  # an error in any other process
        os._exit(1)


def test_a_worker_that_dies(clients):
    """The error says what to do, and the estimator is not fitted."""
    network = Deadly((8,), max_iter=2)
    with clients[0].as_current(), pytest.raises(Exception, match="smaller partitions"):
        distributed.fit(network, *in_rows(X, Y))
    assert not hasattr(network, "coefs_")


# ---------------------------------------------------------------------------
# Prediction
# ---------------------------------------------------------------------------


def never():
    """A row of which nobody should ask."""
    raise AssertionError("this was computed")


FITTED = [
    (DBNClassifier((8,), max_iter=2, random_state=0), ["predict", "predict_proba", "transform"]),
    (DBNAutoencoder((8, 2), max_iter=2, random_state=0), ["transform"]),
    (BernoulliRBMStack((8,), max_iter=2, random_state=0), ["transform"]),
    (DeepMLPRegressor((8,), max_iter=2, random_state=0), ["predict"]),
    (make_pipeline(StandardScaler(), DBNClassifier((8,), max_iter=2)), ["predict", "transform"]),
]


@pytest.mark.parametrize("estimator, methods", FITTED, ids=lambda each: type(each).__name__)
def test_prediction_of_arrays(client, estimator, methods):
    """Lazy; then what the estimator itself returns, with the dtype and the shape that were said."""
    estimator = clone(estimator).fit(X, Y)
    delayed = da.from_delayed(dask.delayed(never)(), (7, X.shape[1]), X.dtype)
    for method in methods:
        call, expected = getattr(distributed, method), getattr(estimator, method)(X)
        assert call(estimator, delayed).shape == (7, *expected.shape[1:])
        given = da.from_array(X, chunks=(CHUNKS, 30))
        with client.as_current():
            lazy = call(estimator, given)
            result = lazy.compute()
        assert isinstance(lazy, da.Array) and lazy.chunks[0] == CHUNKS
        assert (lazy.shape, lazy.dtype) == (result.shape, result.dtype)
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
        none = call(estimator, given[given[:, 0] > 2]).compute()
        assert none.shape == (0, *expected.shape[1:]) and none.dtype == expected.dtype


def test_prediction_of_categories():
    """Of features for which 0 is no category."""
    Z = np.random.default_rng(0).integers(1, 4, size=(60, 3))
    stack = BernoulliRBMStack((4,), visible="categorical", categories=[1, 2, 3], max_iter=2)
    given = in_rows(Z, chunks=(30, 30))
    fitted = distributed.fit(stack.set_params(random_state=0), *given)
    np.testing.assert_allclose(
        distributed.transform(fitted, *given), fitted.transform(Z), rtol=1e-5
    )


def test_frames(client):
    """Columns have the estimator's names, rows keep their index, and categories are read."""
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame(X[:, 2:6], columns=list("abcd"), index=np.arange(300) + 1000)
    frame["e"] = pd.Categorical(np.array(["red", "green"])[Y % 2])
    lazy = dd.from_pandas(frame, npartitions=3)
    labels = dd.from_pandas(pd.Series(Y, frame.index), npartitions=3)
    stack = BernoulliRBMStack((4,), max_iter=2, random_state=0)
    network = DBNClassifier((4,), pretrainer=stack, max_iter=2, random_state=0)
    with client.as_current():
        fitted = distributed.fit(network, lazy, labels)
        H, p, y = (
            getattr(distributed, name)(fitted, lazy)
            for name in ("transform", "predict_proba", "predict")
        )
        results = dask.compute(H, p, y)
        assert distributed.transform(fitted, lazy[lazy["a"] > 2]).compute().shape == (0, 4)
    assert list(fitted.feature_names_in_) == list("abcde")
    assert list(H.columns) == list(fitted.get_feature_names_out()) and list(p.columns) == [
        *range(10)
    ]
    expected = fitted.transform(frame), fitted.predict_proba(frame), fitted.predict(frame)
    for said, result, values in zip((H, p, y), results, expected, strict=True):
        np.testing.assert_array_equal(result.index, frame.index)
        np.testing.assert_allclose(result, values, rtol=1e-5, atol=1e-6)
        assert np.all(said.dtypes == result.dtypes)


def test_frames_with_other_categories_in_each_partition():
    """They would be other units in each partition, so it is an error."""
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    parts = [pd.DataFrame({"a": pd.Categorical([label] * 9)}) for label in ("red", "green")]
    frame = dd.from_delayed(
        [dask.delayed(part) for part in parts], meta=parts[0], verify_meta=False
    )
    with pytest.raises(ValueError, match="categorize"):
        distributed.fit(BernoulliRBMStack((2,), max_iter=1), frame)


# ---------------------------------------------------------------------------
# Searches and threads
# ---------------------------------------------------------------------------


def test_a_search_on_the_cluster(client):
    """The same scores and weights as in this process, and a thread for each worker's fit."""

    def n_threads(estimator, X, y):
        return effective_n_threads(estimator.n_jobs)

    grid = {"hidden_layer_sizes": [(8,), (8, 8)], "init": ["he_normal", "zeros"]}
    network = DBNClassifier(max_iter=3, random_state=0)
    settings = {"cv": 2, "scoring": {"accuracy": "accuracy", "threads": n_threads}}
    search = GridSearchCV(network, grid, refit="accuracy", **settings)
    here = clone(search).set_params(n_jobs=1).fit(X, Y)
    with client.as_current(), joblib.parallel_config(backend="dask"):
        there = clone(search).set_params(n_jobs=2).fit(X, Y)
    for name in ("mean_test_accuracy", "std_test_accuracy"):
        np.testing.assert_array_equal(there.cv_results_[name], here.cv_results_[name])
    best = (parameters(each.best_estimator_) for each in (here, there))
    np.testing.assert_array_equal(*best)
    assert {*there.cv_results_["mean_test_threads"]} == {1}


def test_threads_of_workers(client):
    """One for each task, unless the estimator asks for more, since Dask runs tasks in parallel."""
    counts = [client.submit(effective_n_threads, n_jobs) for n_jobs in (None, 2)]
    none, two = client.gather(counts)
    assert none == 1 and two == effective_n_threads(2)


def test_examples_of_docstrings():
    """They are not collected otherwise, as the module needs Dask."""
    assert doctest.testmod(distributed, optionflags=doctest.ELLIPSIS).failed == 0
