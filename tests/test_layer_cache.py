"""A layer that is read from memory is the one that training would have made, to the bit."""

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from sk_dbn import BernoulliRBMStack, DBNClassifier, _stack_parameters
from sk_dbn._progress import Progress
from sk_dbn.models import layer_cache
from sk_dbn.models.rbm_training import RBMTraining
from sk_dbn.models.stack_training import RBMTask

X = np.random.default_rng(0).uniform(size=(60, 5))
y = X @ np.arange(5.0) > 5
COMMON = {"hidden_layer_sizes": (4, 3), "max_iter": 3, "batch_size": 20, "random_state": 0}
KINDS = {
    "cd": {},
    "pcd": {"algorithm": "pcd", "n_chains": 7},
    "fpcd": {"algorithm": "fpcd", "n_chains": 7},
    "pt": {"algorithm": "pt", "n_chains": 3, "n_temperatures": 4},
    "gaussian": {"visible": "gaussian"},
    "mixed": {"visible": ["gaussian", "bernoulli"] * 2 + ["gaussian"], "algorithm": "pcd"},
    "relu": {"activation": "relu", "visible": "gaussian"},
    "dropout": {"dropout": 0.3, "sparsity_target": 0.2},
    "held out": {"early_stopping": True, "n_iter_no_change": 1},
    "gap": {"early_stopping": "free_energy", "n_iter_no_change": 1},
    "double": {"dtype": "float64", "trace": "batch", "init": "glorot_normal"},
    "no trace": {"trace": None, "shuffle": False, "tol": 10.0},
}
NOT_RESULTS = {"memory", "n_jobs", "verbose"}


def stack(**params):
    return BernoulliRBMStack(**(COMMON | params))


def bits(fitted):
    """A hash of all that a fit leaves behind: parameters, chains, velocities, trace, generator."""
    left = {name: value for name, value in vars(fitted).items() if name not in NOT_RESULTS}
    return joblib.hash(pickle.loads(pickle.dumps(left)))  # which forgets strides of empty arrays


@pytest.fixture
def trained(monkeypatch):
    """The sizes of the layers that were trained and not read."""
    sizes, train = [], RBMTask.train

    def count(task, listeners):
        sizes.append(task.whole.stack.units[task.layer + 1])
        return train(task, listeners)

    monkeypatch.setattr(RBMTask, "train", count)
    return sizes


def entries(folder):
    """The files with trained layers."""
    return sorted(Path(folder).rglob("output.pkl"))


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_from_memory_has_the_bits_of_a_trained_one(kind, sparse, trained, tmp_path):
    """After the fit that keeps it, after one that reads it, and in what follows."""
    data = scipy.sparse.csr_matrix(X) if sparse else X
    plain, keeping, reading = (stack(memory=m, **KINDS[kind]) for m in (None, *[tmp_path] * 2))
    plain.fit(data)
    assert bits(keeping.fit(data)) == bits(plain) and len(trained) == 4
    assert bits(reading.fit(data)) == bits(plain) and len(trained) == 4
    for fitted in plain, reading:
        fitted.set_params(memory=None).partial_fit(data)
        fitted.sample(3, n_steps=2)
    assert bits(reading) == bits(plain)


@pytest.mark.parametrize("depths", [(1, 2, 3, 4), (4, 1, 3, 2)])
def test_a_search_over_depth_trains_each_layer_once(depths, trained, tmp_path):
    """Whichever depth comes first: layers do not depend on those above."""
    for depth in depths:
        sizes = (6, 5, 4, 3)[:depth]
        fitted = stack(hidden_layer_sizes=sizes, memory=tmp_path).fit(X)
        assert bits(fitted) == bits(stack(hidden_layer_sizes=sizes).fit(X))
        del trained[-depth:]  # of the second fit
    assert sorted(trained, reverse=True) == [6, 5, 4, 3]


CHANGES = [
    {"learning_rate": 0.05},
    {"max_iter": 4},
    {"momentum": 0.5},
    {"algorithm": "pcd"},
    {"n_gibbs_steps": 2},
    {"batch_size": 10},
    {"init": "zeros"},
    {"dtype": "float64"},
    {"activation": "tanh"},
    {"visible": "gaussian"},
    {"alpha": 0.1},
    {"early_stopping": True},
    {"shuffle": False},
    {"trace": None},
    {"trace": "batch"},
    {"tol": 0.1},
    {"random_state": 1},
    {"hidden_layer_sizes": (5, 3)},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_other_parameters_are_another_layer(change, trained, tmp_path):
    """Whatever may change a bit of the first layer has both trained again."""
    stack(memory=tmp_path).fit(X)
    changed = stack(memory=tmp_path, **change).fit(X)
    assert len(trained) == 4
    assert bits(changed) == bits(stack(**change).fit(X))


@pytest.mark.parametrize("name, values", [("learning_rate", (0.1, 0.2)), ("max_iter", (3, 2))])
def test_only_layers_from_the_changed_one_up_are_trained(name, values, trained, tmp_path):
    """A value for each layer counts for that layer, and for those above through their input."""
    stack(memory=tmp_path, **{name: (values[0],) * 2}).fit(X)
    stack(memory=tmp_path, **{name: values}).fit(X)
    assert trained == [4, 3, 3]
    stack(memory=tmp_path, **{name: values[::-1]}).fit(X)
    assert trained == [4, 3, 3, 4, 3]


@pytest.mark.parametrize("which", ["value", "dtype", "rows", "sparsity"])
def test_other_samples_are_another_layer(which, trained, tmp_path):
    """A single value is enough; the type counts because sums over it may round otherwise."""
    other = X.copy()
    other[7, 3] += 1e-9
    others = {
        "value": other,
        "dtype": X.astype(np.float32),
        "rows": X[:-1],
        "sparsity": scipy.sparse.csr_matrix(X),
    }
    for data in X, others[which]:
        stack(memory=tmp_path).fit(data)
    assert len(trained) == 4


def test_other_code_is_another_layer(trained, tmp_path, monkeypatch):
    """A new version, changed sources, another processor."""
    stack(memory=tmp_path).fit(X)
    monkeypatch.setattr(_stack_parameters, "__version__", "0.0.0")
    stack(memory=tmp_path).fit(X)
    monkeypatch.setattr(layer_cache, "code", lambda: ("other",))
    stack(memory=tmp_path).fit(X)
    assert len(trained) == 6


def test_what_changes_no_bit_is_not_asked_for(trained, tmp_path):
    """Threads, messages, how memory is given, how samples are stored, and in which order."""
    np.save(tmp_path / "X.npy", X)
    stack(memory=tmp_path).fit(X)
    stack(memory=str(tmp_path), n_jobs=1, verbose=1).fit(X)
    stack(memory=joblib.Memory(str(tmp_path), verbose=0)).fit(np.asfortranarray(X))
    stack(memory=tmp_path).fit(X[::-1])
    stack(memory=tmp_path).fit(np.load(tmp_path / "X.npy", mmap_mode="r"))
    assert len(trained) == 2


@pytest.mark.parametrize("options", [{"compress": 3}, {"mmap_mode": "r+"}, {"verbose": 20}])
def test_any_joblib_memory_will_do(options, trained, tmp_path):
    """What is kept stays as it is when training goes on in a stack that was read."""
    memory = joblib.Memory(str(tmp_path), **options)
    plain, once = stack().fit(X), stack(memory=memory).fit(X)
    kept = [path.read_bytes() for path in entries(tmp_path)]
    again = clone(once).fit(X)
    assert bits(plain) == bits(once) == bits(again) and len(trained) == 4
    again.set_params(memory=None).partial_fit(X)
    assert kept == [path.read_bytes() for path in entries(tmp_path)]


@pytest.mark.parametrize("memory", [1, True, ["folder"]])
def test_what_is_no_memory(memory):
    """scikit-learn's error, as in a pipeline."""
    with pytest.raises(ValueError, match="The 'memory' parameter of BernoulliRBMStack must be"):
        stack(memory=memory).fit(X)


def test_continued_training_is_not_kept(trained, tmp_path):
    """It starts from a stack that is not part of any key, and says so."""
    again = "memory has no effect in partial_fit, and in fit with warm_start=True"
    with pytest.warns(UserWarning, match=again):
        fitted = stack(memory=tmp_path).partial_fit(X)
    assert bits(fitted) == bits(stack().partial_fit(X))
    assert not entries(tmp_path)
    fitted = stack(memory=tmp_path, warm_start=True).fit(X)  # which begins anew
    assert len(entries(tmp_path)) == 2
    with pytest.warns(UserWarning, match=again):
        fitted.fit(X)
    assert bits(fitted) == bits(stack(warm_start=True).fit(X).fit(X))
    assert len(entries(tmp_path)) == 2


def cut(path, other):
    path.write_bytes(path.read_bytes()[:-40])


def flip(path, other):
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)


def swap(path, other):
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("damage", [cut, flip, swap])
def test_a_damaged_layer_is_trained_again(damage, trained, tmp_path):
    """With a warning, once: then it is whole again."""
    plain = bits(stack().fit(X))
    stack(memory=tmp_path).fit(X)
    damage(*entries(tmp_path))
    with pytest.warns(UserWarning, match="layer [12] of 2 was trained again"):
        assert bits(stack(memory=tmp_path).fit(X)) == plain
    assert len(trained) == 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bits(stack(memory=tmp_path).fit(X)) == plain
    assert len(trained) == 5


@pytest.mark.parametrize("spoiled", ["folder", "folder/joblib/sk_dbn"])
def test_where_nothing_can_be_kept_layers_are_trained(spoiled, trained, tmp_path):
    """A file in place of a folder stands for whatever keeps one from being written to."""
    path = tmp_path / spoiled
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    with pytest.warns(UserWarning, match="memory is not used, because its directory"):
        fitted = stack(memory=tmp_path / "folder").fit(X)
    assert bits(fitted) == bits(stack().fit(X))


def test_an_error_of_a_listener_is_passed_on(trained, tmp_path, monkeypatch):
    """It is not taken for one of the disk, and what failed is not kept."""

    def fail(self, task):
        raise OSError("no space left")

    monkeypatch.setattr(Progress, "epoch_ended", fail)
    with pytest.raises(OSError, match="no space left"):
        stack(memory=tmp_path).fit(X)
    assert trained == [4] and not entries(tmp_path)


def test_a_layer_that_a_listener_ends_is_not_kept(tmp_path, monkeypatch):
    """When that happens does not follow from the key."""
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "epoch_ended", lambda self, task: task.n_iter == 2)
        assert stack(memory=tmp_path).fit(X).n_iter_ == [2, 2]
    assert not entries(tmp_path)
    assert bits(stack(memory=tmp_path).fit(X)) == bits(stack().fit(X))


def test_divergence_is_warned_of_again(tmp_path):
    """What is read from memory is no better than it was."""
    diverging = {"learning_rate": [1e45, 0.1], "memory": tmp_path}
    found = []
    for _ in range(2):
        with pytest.warns(ConvergenceWarning, match="layer 1 of 2 diverged") as warned:
            found.append(bits(stack(**diverging).fit(X)))
        found.append([str(w.message) for w in warned])
    assert found[:2] == found[2:]


def test_ctrl_c_keeps_complete_layers(trained, tmp_path, monkeypatch):
    """In memory and in the stack, be they trained or read; the layer under way is not kept."""
    epoch, plain = RBMTraining.epoch, stack().fit(X)
    trained.clear()

    def interrupted(self, *args):
        if self.layer == 1 and self.stack.memories[1].n_steps > 0:
            raise KeyboardInterrupt
        return epoch(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(RBMTraining, "epoch", interrupted)
        for sizes in [4, 3], [4, 3, 3]:
            fitted = stack(memory=tmp_path)
            with pytest.raises(KeyboardInterrupt):
                fitted.fit(X)
            assert trained == sizes and len(entries(tmp_path)) == 1
            assert fitted.n_iter_ == [3, 1]
            np.testing.assert_array_equal(fitted.coefs_[0], plain.coefs_[0])
    assert bits(stack(memory=tmp_path).fit(X)) == bits(plain)


def test_verbose_says_what_was_read(tmp_path, capsys):
    """A line for each layer, in place of one for each epoch."""
    for sizes in (4,), (4, 3):
        capsys.readouterr()
        stack(hidden_layer_sizes=sizes, memory=tmp_path, verbose=1).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[BernoulliRBMStack] Layer 1 of 2: read from memory"
    assert len(lines) == 4 and all("Layer 2 of 2, epoch" in line for line in lines[1:])


def test_threads_may_want_the_same_layer(tmp_path):
    """All may train it; each gets it whole."""
    with ThreadPoolExecutor(4) as pool:
        fits = [pool.submit(stack(memory=tmp_path, n_jobs=1).fit, X) for _ in range(8)]
        found = {bits(fit.result()) for fit in fits}
    assert found == {bits(stack().fit(X))}
    assert len(entries(tmp_path)) == 2


SIZES = [(4,), (4, 3), (4, 3, 2)]


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_searches_find_the_same_with_memory(backend, tmp_path):
    """Two workers, over the depth of a stack in a pipeline that keeps its steps as well."""
    estimator = Pipeline([("rbm", stack()), ("linear", RidgeClassifier())])
    grid = {"rbm__hidden_layer_sizes": SIZES}
    plain = GridSearchCV(estimator, grid, cv=2, refit=False, error_score="raise").fit(X, y)
    kept = clone(estimator).set_params(rbm__memory=tmp_path / "layers", memory=str(tmp_path))
    with joblib.parallel_config(backend):
        search = GridSearchCV(kept, grid, cv=2, refit=False, n_jobs=2, error_score="raise")
        search.fit(X, y)
    for name in "split0_test_score", "split1_test_score":
        np.testing.assert_array_equal(search.cv_results_[name], plain.cv_results_[name])
    assert len(entries(tmp_path / "layers")) == 2 * 3


def test_a_search_over_a_network_trains_each_layer_once(trained, tmp_path):
    """The seed that a network draws for its stack does not depend on its depth."""
    network = DBNClassifier(pretrainer=BernoulliRBMStack(max_iter=2), max_iter=3, random_state=0)
    grid = {"hidden_layer_sizes": SIZES}
    plain = GridSearchCV(network, grid, cv=2, refit=False, error_score="raise").fit(X, y)
    trained.clear()
    network.set_params(pretrainer__memory=tmp_path)
    search = GridSearchCV(network, grid, cv=2, refit=False, error_score="raise").fit(X, y)
    assert sorted(trained) == [2, 2, 3, 3, 4, 4]
    for name in "split0_test_score", "split1_test_score":
        np.testing.assert_array_equal(search.cv_results_[name], plain.cv_results_[name])


def test_counted_samples_are_listed_ones(trained, tmp_path):
    """A weight of 2 reads the layers of a sample that is listed twice."""
    network = DBNClassifier(
        (4,), pretrainer=BernoulliRBMStack(max_iter=2, memory=tmp_path), max_iter=1, random_state=0
    )
    weight = np.arange(len(y)) % 3
    network.fit(X, y, sample_weight=weight)
    network.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert trained == [4]


def test_layers_that_nobody_will_find_are_warned_of(tmp_path):
    """Without a seed each fit has other random numbers, alone and in a network."""
    kept = stack(memory=tmp_path, random_state=None)
    with pytest.warns(UserWarning, match="memory keeps layers that no other fit will use"):
        clone(kept).fit(X)
    with pytest.warns(UserWarning, match="memory keeps layers that no other fit will use"):
        DBNClassifier((4, 3), pretrainer=kept, max_iter=1).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        DBNClassifier((4, 3), pretrainer=kept, max_iter=1, random_state=0).fit(X, y)
