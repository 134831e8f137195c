"""A fit that was killed goes on from its checkpoint, to the bits of one that was not."""

import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state

from sk_dbn import (
    BernoulliRBMStack,
    DBNAutoencoder,
    DBNClassifier,
    DeepMLPRegressor,
    RBMImputer,
    WarmStart,
)
from sk_dbn.models.training_file import TrainingFile, read_archive, write_archive

random = np.random.RandomState(0)
X = random.uniform(size=(120, 6)).astype(np.float32)
gaps = np.where(random.uniform(size=X.shape) < 0.1, np.nan, X)
wide_gaps = np.where(random.uniform(size=(120, 50)) < 0.2, np.nan, random.uniform(size=(120, 50)))
y = (X.sum(axis=1) > 3).astype(int)
COMMON = {"batch_size": 20, "random_state": 0, "checkpoint_interval": 0}


class Killed(BaseException):
    """Stands for the end of the process."""


def stack(**params):
    return BernoulliRBMStack((5, 3), **({"max_iter": 4} | COMMON | params))


def network(**params):
    return DBNClassifier((5,), **({"max_iter": 4} | COMMON | params))


CASES = {
    "stack": (stack(), X),
    "annealed": (stack(annealing=1.0, tol=1.0, n_iter_no_change=1), X),
    "early stopping": (stack(early_stopping=True, n_iter_no_change=1), X),
    "fast weights": (stack(algorithm="fpcd", n_chains=10), X),
    "tempering": (stack(algorithm="pt", n_chains=4, n_temperatures=3), X),
    "sparse": (stack(sparsity_target=0.1, dropout=0.2, trace="batch"), X),
    "gaussian": (stack(visible="gaussian", activation="relu", shuffle=False), X),
    "missing values": (stack(), gaps),
    "missing values, large weights": (stack(init=1.0, max_iter=6), wide_gaps),
    "refit": (network(), X),
    "validation": (network(early_stopping=True, tol=1.0, n_iter_no_change=1), X),
    "adaptive": (network(learning_rate="adaptive", solver="sgd", tol=1.0, n_iter_no_change=1), X),
    "dropout": (network(dropout=0.2, early_stopping=False, trace=None, solver="nadam"), X),
    "pre-trained": (
        network(pretrainer=BernoulliRBMStack(max_iter=2), output_layer_first=True),
        X,
    ),
    "frozen": (network(pretrainer=FrozenEstimator(BernoulliRBMStack((5,), max_iter=1).fit(X))), X),
    "warm": (network(pretrainer=WarmStart(BernoulliRBMStack((5,), max_iter=1).fit(X))), X),
    "unlabelled": (network(unlabeled=1, pretrainer=BernoulliRBMStack(max_iter=2)), X),
    "autoencoder": (DBNAutoencoder((5, 2), max_iter=3, **COMMON), X),
    "regressor": (DeepMLPRegressor((5,), solver="lbfgs", max_iter=5, **COMMON), X),
}


def fit(estimator, data):
    """Fit without warnings about few epochs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(data, y)


def killed_after(n_writes, monkeypatch):
    """Have the process end when the file was written so many times."""
    store, count = TrainingFile._store, iter(range(1, 10_000))

    def store_and_die(self, task, is_complete):
        store(self, task, is_complete)
        if next(count) == n_writes:
            raise Killed

    monkeypatch.setattr(TrainingFile, "_store", store_and_die)


def assert_same(estimator, other):
    """The same parameters, trace, and course of training, and the same further training."""
    for name in ("coefs_", "intercepts_", "intercepts_hidden_", "intercepts_visible_"):
        for mine, its in zip(getattr(estimator, name, ()), getattr(other, name, ()), strict=True):
            np.testing.assert_array_equal(mine, its)
    for name in ("n_iter_", "loss_curve_", "validation_scores_", "best_loss_", "max_iter_", "t_"):
        np.testing.assert_equal(getattr(estimator, name, None), getattr(other, name, None))
    if estimator.gradient_trace_ is not None:
        mine, its = estimator.gradient_trace_.to_frame(), other.gradient_trace_.to_frame()
        np.testing.assert_array_equal(mine.to_numpy(), its.to_numpy())


@pytest.mark.parametrize("name", CASES)
def test_a_fit_goes_on_to_the_same_bits(name, tmp_path, monkeypatch):
    """Wherever it was killed, also when it had gone on once before."""
    estimator, data = CASES[name]
    whole = fit(clone(estimator), data)
    path = tmp_path / "fit.npz"
    for n_writes in (1, 3, 6):
        for count in (n_writes, 2):
            with monkeypatch.context() as patch:
                killed_after(count, patch)
                try:
                    resumed = fit(clone(estimator).set_params(checkpoint=path), data)
                except Killed:
                    assert path.exists()
        resumed = fit(clone(estimator).set_params(checkpoint=path, n_jobs=1), data)
        assert_same(resumed, whole)
        assert list(tmp_path.iterdir()) == []


def test_epochs_that_were_complete_are_not_trained_again(tmp_path, monkeypatch):
    """Otherwise a checkpoint would be of no use."""
    path = tmp_path / "fit.npz"
    with monkeypatch.context() as patch:
        killed_after(7, patch)  # four epochs, the end of the layer, two epochs
        with pytest.raises(Killed):
            fit(stack(checkpoint=path), X)
    trained = []
    epoch = TrainingFile.epoch_ended
    monkeypatch.setattr(
        TrainingFile,
        "epoch_ended",
        lambda self, task: trained.append(task.n_iter) or epoch(self, task),
    )
    fit(stack(checkpoint=path), X)
    assert trained == [3, 4]


def test_validation_samples_and_weights_belong_to_the_fit(tmp_path, monkeypatch):
    """They are taken up again, and others are an error that names them."""
    path, weight = tmp_path / "fit.npz", random.uniform(size=len(X))
    given = {"sample_weight": weight, "X_val": X[:40], "y_val": y[:40]}
    whole = network().fit(X, y, **given)
    with monkeypatch.context() as patch:
        killed_after(6, patch)
        with pytest.raises(Killed):
            network(checkpoint=path).fit(X, y, **given)
    for name, other in {"sample_weight": weight[::-1], "X_val": X[1:41]}.items():
        with pytest.raises(ValueError, match="sample_weight" if name[0] == "s" else "validation"):
            network(checkpoint=path).fit(X, y, **(given | {name: other}))
    assert_same(network(checkpoint=path).fit(X, y, **given), whole)


def test_drawn_weights_of_a_stack_are_drawn_again(tmp_path, monkeypatch):
    """The random numbers of the epochs to come are the same."""
    path, weight = tmp_path / "fit.npz", random.uniform(size=len(X))
    whole = stack().fit(X, sample_weight=weight)
    with monkeypatch.context() as patch:
        killed_after(2, patch)
        with pytest.raises(Killed):
            stack(checkpoint=path).fit(X, sample_weight=weight)
    assert_same(stack(checkpoint=path).fit(X, sample_weight=weight), whole)


def test_a_layer_that_a_callback_ended_is_not_kept_as_complete(tmp_path, monkeypatch):
    """Neither in this fit, which warns of nothing, nor in `memory`, for other fits."""
    callback = pytest.importorskip("sklearn.callback")
    assert callback

    class Ending:
        def setup(self, estimator, context): ...
        def teardown(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context): ...
        def on_fit_task_end(self, estimator, context):
            return context.task_name == "epoch" and context.parent.task_id == 0

    files = {"checkpoint": tmp_path / "fit.npz", "memory": str(tmp_path / "memory")}
    with monkeypatch.context() as patch:
        killed_after(3, patch)
        with pytest.raises(Killed):
            stack(**files).set_callbacks(Ending()).fit(X)
    assert stack(**files).fit(X).n_iter_ == [1, 4]
    assert stack(memory=files["memory"]).fit(X).n_iter_ == [4, 4]


def test_the_global_random_numbers_are_not_set_back(tmp_path, monkeypatch):
    """With random_state=None the checkpoint has a generator of its own."""
    path = tmp_path / "fit.npz"
    with monkeypatch.context() as patch:
        killed_after(2, patch)
        with pytest.raises(Killed):
            fit(stack(checkpoint=path, random_state=None), X)
    state = read_archive(path)["random"]
    common = check_random_state(None)
    common.seed(7)
    stored = fit(stack(checkpoint=path, random_state=None), X)
    after = common.uniform()
    common.seed(7)
    common.randint(np.iinfo(np.int32).max)
    assert after == common.uniform()
    again = np.random.RandomState()
    again.set_state(state)
    assert_same(stored, fit(stack(random_state=again), X))


def test_other_code_is_a_warning(interrupted, monkeypatch):
    """The last digits may be others."""
    monkeypatch.setattr("sk_dbn.models.training_file.code", lambda: ("other",))
    with pytest.warns(UserWarning, match="may differ in the last digits"):
        stack(checkpoint=interrupted).fit(X)


def test_an_imputer_has_the_checkpoint_of_its_stack(tmp_path, monkeypatch):
    """Whatever trains a stack passes its parameters on."""
    path = tmp_path / "fit.npz"
    with monkeypatch.context() as patch:
        killed_after(2, patch)
        with pytest.raises(Killed):
            fit(RBMImputer(stack(checkpoint=path)), gaps)
    resumed = fit(RBMImputer(stack(checkpoint=path)), gaps)
    assert_same(resumed.estimator_, fit(stack(), gaps))


SCRIPT = """
import numpy as np
from sk_dbn import BernoulliRBMStack
X = np.random.RandomState(0).uniform(size=(2000, 30))
stack = BernoulliRBMStack((40, 20), max_iter=60, tol=0, random_state=0, checkpoint={path!r},
                          checkpoint_interval=0)
stack.fit(X)
"""


def test_a_process_that_was_killed(tmp_path):
    """At any moment the file is complete: kill -9 leaves nothing behind that cannot be read."""
    path = tmp_path / "fit.npz"
    script = SCRIPT.format(path=str(path))
    child = subprocess.Popen([sys.executable, "-c", script], env=os.environ)
    while not (path.exists() and read_archive(path)["tasks"]) and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert read_archive(path)["tasks"]
    scope = {}
    exec(script, scope)
    exec(script.replace(f"checkpoint={str(path)!r}", "checkpoint=None"), whole := {})
    assert_same(scope["stack"], whole["stack"])


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """The checkpoint of a fit that was killed."""
    path = tmp_path / "fit.npz"
    with monkeypatch.context() as patch:
        killed_after(2, patch)
        with pytest.raises(Killed):
            fit(stack(checkpoint=path), X)
    return path


@pytest.mark.parametrize(
    "params, data, what",
    [
        ({"learning_rate": 0.05}, X, "parameter learning_rate"),
        ({"random_state": 1, "alpha": 0.0}, X, "parameter alpha, parameter random_state"),
        ({}, 1.0 - X, "X"),
    ],
)
def test_the_checkpoint_of_another_fit_is_an_error(interrupted, params, data, what):
    """It names what differs, and leaves the file as it is."""
    content = interrupted.read_bytes()
    with pytest.raises(ValueError, match=f"belongs to another fit, with other {what}"):
        stack(checkpoint=interrupted, **params).fit(data)
    assert interrupted.read_bytes() == content


def test_a_damaged_or_foreign_file_is_an_error(interrupted, tmp_path):
    """Nothing of the user's is overwritten."""
    content = interrupted.read_bytes()
    for other in (content[: len(content) // 2], content[:-1], b"", b"my thesis"):
        interrupted.write_bytes(other)
        with pytest.raises(ValueError, match="is no checkpoint.*name another path"):
            stack(checkpoint=interrupted).fit(X)
        assert interrupted.read_bytes() == other
    interrupted.write_bytes(content)
    good = read_archive(interrupted)
    task = good["tasks"]["1"]
    W, *biases = task["progress"]["parameters"]
    memory = task["progress"]["memory"]
    too_few = {"parameters": [W[:1], *biases]}, {"memory": memory | {"mu": memory["mu"][:1]}}
    tasks = [task | {"progress": task["progress"] | parts} for parts in too_few]
    for value in (
        {"sk_dbn checkpoint": 99},
        good | {"sk_dbn checkpoint": 99},
        good | {"sk_dbn checkpoint": 1},
        good | {"tasks": {"1": {}}},
        *(good | {"tasks": {"1": task}} for task in tasks),
        [],
    ):
        write_archive(interrupted, value)
        with pytest.raises(ValueError, match="no checkpoint of this version|is damaged"):
            stack(checkpoint=interrupted).fit(X)
    np.savez(interrupted, x=np.arange(3))
    with pytest.raises(ValueError, match="is no checkpoint"):
        stack(checkpoint=interrupted).fit(X)
    with open(interrupted, "wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(ValueError, match="is no checkpoint"):
        stack(checkpoint=interrupted).fit(X)


def test_a_directory_that_cannot_be_written_is_an_error_before_training(tmp_path):
    """Better known now than after an hour."""
    with pytest.raises(OSError, match="absent"):
        stack(checkpoint=tmp_path / "absent" / "fit.npz").fit(X)


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    """The fit matters more than its checkpoint."""
    n_written = iter(range(100))

    def write(path, value):
        if next(n_written) > 1:
            raise OSError("no space left on device")

    monkeypatch.setattr("sk_dbn.models.training_file.write_archive", write)
    with pytest.warns(UserWarning, match="checkpoint could not be written: no space left"):
        resumed = stack(checkpoint=tmp_path / "fit.npz").fit(X)
    assert_same(resumed, fit(stack(), X))


def test_a_pretrainer_has_no_checkpoint_of_its_own(tmp_path):
    """That of the network contains it."""
    pretrainer = BernoulliRBMStack(checkpoint=tmp_path / "fit.npz")
    with pytest.raises(ValueError, match="set checkpoint of the network"):
        network(pretrainer=pretrainer).fit(X, y)


def test_archives_keep_nested_values(tmp_path):
    """Types, digits and infinities, without pickles."""
    value = {
        "numbers": [1, 0.1, -np.inf, True, None],
        "texts": ("a", "é"),
        "array": np.arange(3, dtype=np.float32),
        "nested": {"array": {"array": np.zeros((0, 2))}, "list": [], "dict": {}},
        "scalar": np.float64(0.1),
    }
    write_archive(tmp_path / "a.npz", value)
    read = read_archive(tmp_path / "a.npz")
    np.testing.assert_equal(read, value)
    assert type(read["texts"]) is tuple and read["array"].dtype == np.float32
    with pytest.raises(TypeError, match="array of objects"):
        write_archive(tmp_path / "a.npz", np.array([object()]))
