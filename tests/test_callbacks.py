"""scikit-learn's callbacks: who is told of what, when, and what their answers do."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sk_dbn import (
    BernoulliRBMStack,
    DBNAutoencoder,
    DBNClassifier,
    DeepMLPRegressor,
    RBMImputer,
    WarmStart,
)

callback = pytest.importorskip("sklearn.callback", reason="callbacks need scikit-learn 1.9")

random = np.random.RandomState(0)
X = random.uniform(size=(120, 5))
y = X @ np.arange(5.0)
COMMON = {"batch_size": 20, "random_state": 0}
PLAIN = {"learning_rate": "constant", "early_stopping": False, "max_iter": 3, "tol": 0.0}


class Recorder:
    """Writes down each event: its task's path, and what was handed over."""

    def __init__(self):
        self.events, self.fitted, self.is_set_up = [], {}, False

    def setup(self, estimator, context):
        assert not self.is_set_up
        self.is_set_up = True

    def teardown(self, estimator, context):
        assert self.is_set_up
        self.is_set_up = False

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.events.append(("begin", *path(context)))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.events.append(("end", *path(context)))
        self.fitted[path(context)] = fitted_estimator
        return self.stops(context)

    def stops(self, context):
        """Whether to end the level of tasks."""

    @property
    def paths(self):
        """The tasks, in the order in which they began."""
        return [path for event, *path in self.events if event == "begin"]


class Propagated(Recorder):
    """The same for all estimators inside."""

    max_propagation_depth = None


def path(context):
    """Names of a task and of those above it, with their numbers below the root."""
    if context.parent is None:
        return (context.task_name,)
    return *path(context.parent), f"{context.task_name} {context.task_id}"


def stack(*sizes, **params):
    return BernoulliRBMStack(sizes, **({"max_iter": 2, "tol": 0.0} | COMMON | params))


def epochs(n, *above, unit="epoch"):
    """Paths of the epochs of a task, and before them its own."""
    return [list(above), *([*above, f"{unit} {i}"] for i in range(n))]


def test_a_stack_has_layers_and_epochs():
    """Every task that begins ends, the last one first."""
    recorder = Recorder()
    stack(4, 3).set_callbacks(recorder).fit(X)
    layers = [epochs(2, "fit", f"layer {layer}") for layer in range(2)]
    assert recorder.paths == [["fit"], *layers[0], *layers[1]]
    under_way = []
    for event, *of in recorder.events:
        if event == "begin":
            under_way.append(of)
        else:
            assert under_way.pop() == of
    assert under_way == [] and not recorder.is_set_up


def test_a_network_has_stages():
    """Held-out samples, the output layer and training each are a task, and pre-training a fit."""
    recorder = Propagated()
    params = {"max_iter": 3, "output_layer_first": True, **COMMON}
    network = DBNClassifier((4,), pretrainer=stack(4, random_state=None), **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        network.set_callbacks(recorder).fit(X, y > 4)
    stages = [of[1] for of in recorder.paths if len(of) == 2]
    names = "fit", "output layer", "held-out samples", "output layer", "training"
    assert stages == [f"{name} {number}" for number, name in enumerate(names)]
    assert ["fit", "fit 0", "layer 0", "epoch 1"] in recorder.paths
    assert epochs(3, "fit", "held-out samples 2")[-1] in recorder.paths
    assert recorder.paths[-1] == ["fit", "training 4", f"epoch {network.n_iter_ - 1}"]


def test_lbfgs_has_iterations():
    """As many as it counts, and perhaps one more that found nothing better."""
    recorder = Recorder()
    network = DeepMLPRegressor((4,), solver="lbfgs", max_iter=5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.set_callbacks(recorder).fit(X, y)
    assert network.n_iter_ == 5
    assert recorder.paths == [["fit"], *epochs(5, "fit", "training 0", unit="iteration")]


@pytest.mark.parametrize(
    "estimator, method",
    [
        (stack(4, 3), "transform"),
        (DeepMLPRegressor((4,), **PLAIN, **COMMON), "predict"),
        (DBNClassifier((4,), **PLAIN, **COMMON), "predict_proba"),
        (DBNAutoencoder((4, 2), pretrainer=None, **PLAIN, **COMMON), "reconstruct"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_fitted_estimator_is_that_of_the_epoch(estimator, method):
    """It predicts as a fit of so many epochs does, whatever training changes later."""
    recorder = Recorder()
    targets = (y > 4) if method == "predict_proba" else y
    estimator.set_callbacks(recorder).fit(X, targets)
    task = "layer 0" if method == "transform" else "training 0"
    early = recorder.fitted["fit", task, "epoch 0"]
    max_iter = [1, 0] if method == "transform" else 1
    if method == "transform":  # the second layer is as it was before training
        assert early.n_iter_ == max_iter
        recorder.stops = lambda context: context.task_id == 0
    estimator.set_callbacks(recorder).set_params(max_iter=2 if method == "transform" else 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, targets)
    if method == "transform":
        np.testing.assert_array_equal(early.coefs_[0], estimator.coefs_[0])
    else:
        np.testing.assert_array_equal(getattr(early, method)(X), getattr(estimator, method)(X))
    last = recorder.fitted["fit",]
    np.testing.assert_array_equal(getattr(last, method)(X), getattr(estimator, method)(X))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_callback_may_end_training_and_nothing_is_warned_of(solver):
    """Who asked for the end need not be told that it came early."""
    recorder = Recorder()
    recorder.stops = lambda context: context.task_id == 1
    network = DeepMLPRegressor((4,), solver=solver, **(PLAIN | {"max_iter": 50}), **COMMON)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        network.set_callbacks(recorder).fit(X, y)
    assert network.n_iter_ == 2


def test_a_callback_may_end_a_layer_or_all():
    """The end of an epoch ends its layer; that of a layer leaves out those above."""
    recorder = Recorder()
    recorder.stops = lambda context: context.task_name == "epoch"
    assert stack(4, 3).set_callbacks(recorder).fit(X).n_iter_ == [1, 1]
    recorder.stops = lambda context: context.task_name == "layer"
    assert stack(4, 3).set_callbacks(recorder).fit(X).n_iter_ == [2, 0]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_after_an_error_nothing_is_left_of_the_callbacks(error):
    """They are torn down, and the estimator fits again; after Ctrl-C with its last epoch."""

    class Failing(Recorder):
        def stops(self, context):
            if path(context)[-1] == "epoch 1":
                raise error

    for estimator in stack(4), DeepMLPRegressor((4,), **PLAIN, **COMMON):
        recorder = Failing()
        estimator.set_callbacks(recorder)
        with pytest.raises(error):
            estimator.fit(X, y)
        assert not recorder.is_set_up
        assert hasattr(estimator, "coefs_") == (error is KeyboardInterrupt)
        left = [name for name in vars(estimator) if "callback" in name]
        assert left == ["_skl_callbacks"]
        estimator.set_callbacks()
        estimator.fit(X, y)


class Using(Propagated):
    """Uses the copies that it is given."""

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        if isinstance(fitted_estimator, BernoulliRBMStack):
            fitted_estimator.sample(3)
        elif fitted_estimator is not None and context.parent is not None:
            fitted_estimator.set_callbacks().partial_fit(X, y)


def test_results_do_not_depend_on_callbacks():
    """The same bits with and without, whatever is done with the copies."""
    for make in (
        lambda: stack(4, 3, algorithm="pcd"),
        lambda: DBNClassifier((4,), pretrainer=stack(4, random_state=None), **PLAIN, **COMMON),
        lambda: DBNClassifier((4,), pretrainer=WarmStart(stack(4).fit(X)), **PLAIN, **COMMON),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain = make().fit(X, y > 4)
            told = make().set_callbacks(Using()).fit(X, y > 4)
        for W, V in zip(plain.coefs_, told.coefs_, strict=True):
            np.testing.assert_array_equal(W, V)


def test_an_imputer_and_partial_fit_have_tasks():
    """The imputer's stack is a fit inside; a call of partial_fit is a fit of one epoch."""
    recorder = Propagated()
    RBMImputer(stack(4), random_state=0).set_callbacks(recorder).fit(X)
    of_layer = epochs(2, "fit", "fit 0", "layer 0")
    assert recorder.paths == [["fit"], ["fit", "fit 0"], *of_layer]
    recorder = Recorder()
    stack(4).set_callbacks(recorder).partial_fit(X)
    assert recorder.paths == [["fit"], *epochs(1, "fit", "layer 0")]


def test_scores_are_monitored_in_a_search_of_pipelines():
    """Each epoch of each candidate has a score, in processes of their own."""
    monitor = callback.ScoringMonitor(scoring="r2")
    network = DeepMLPRegressor((4,), **PLAIN, **COMMON).set_callbacks(monitor)
    search = GridSearchCV(
        make_pipeline(MinMaxScaler(), network),
        {"deepmlpregressor__alpha": [0.0, 1.0]},
        cv=2,
        n_jobs=2,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, y)
    rows = monitor.get_logs().data
    scores = [row["r2"] for row in rows if row["task_name"] == "epoch"]
    assert len(scores) == 5 * PLAIN["max_iter"] and np.isfinite(scores).all()


def test_a_progress_bar_shows_layers_and_stages(capsys):
    """Each task with parts has a bar."""
    pytest.importorskip("rich")
    network = DBNClassifier((4,), pretrainer=stack(4, random_state=None), **PLAIN, **COMMON)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.set_callbacks(callback.ProgressBar()).fit(X, y > 4)
    shown = capsys.readouterr().out
    for task in "DBNClassifier - fit", "BernoulliRBMStack - layer #0", "DBNClassifier - training":
        assert task in shown
