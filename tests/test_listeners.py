"""What a fit tells its listeners, and what it does with their answers."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor
from sk_dbn._progress import Progress
from sk_dbn.models.loop import Patience
from sk_dbn.models.rbm_training import RBMTraining

random = np.random.RandomState(0)
X = random.uniform(size=(60, 5))
y = X @ np.arange(5.0)
COMMON = {"batch_size": 20, "random_state": 0}


def network(**params):
    """Parameters of a network whose training ends after `max_iter` epochs."""
    constant = {"learning_rate": "constant", "early_stopping": False, "max_iter": 5}
    return DeepMLPRegressor((4,), **(COMMON | constant | params))


@pytest.fixture
def events(monkeypatch):
    """What the listener that prints is told, of which task and with which attributes set."""
    told = []

    def listen(name):
        return lambda self, task: told.append((name, task.name, task.n_iter))

    for name in ("task_began", "epoch_began", "epoch_ended", "task_ended"):
        monkeypatch.setattr(Progress, name, listen(name), raising=False)
    return told


@pytest.mark.parametrize("solver, unit", [("adam", "epoch"), ("lbfgs", "iteration")])
def test_a_network_tells_of_each_epoch(events, solver, unit):
    """An epoch that begins ends, but for the iteration in which L-BFGS finds nothing better."""
    network(solver=solver, max_iter=3).fit(X, y)
    names = [name for name, *_ in events]
    assert names[0] == "task_began" and names[-1] == "task_ended"
    assert names[1:7] == ["epoch_began", "epoch_ended"] * 3
    assert [n for name, _, n in events if name == "epoch_ended"] == [1, 2, 3]
    assert {of for _, of, _ in events} == {unit}


def test_attributes_are_set_before_others_are_told(monkeypatch):
    """Whoever is told of an epoch finds it in the estimator."""
    seen = []
    estimator = network(max_iter=3)
    stack = BernoulliRBMStack((4,), max_iter=3, **COMMON)

    def listen(self, task):
        of = estimator if task.name == "epoch" else stack
        seen.append(of.n_iter_ if task.name == "epoch" else of.n_iter_[0])

    monkeypatch.setattr(Progress, "epoch_ended", listen)
    estimator.fit(X, y)
    stack.fit(X)
    assert seen == [1, 2, 3] * 2


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_listener_may_end_a_network_and_nothing_is_warned_of(monkeypatch, solver):
    """Who asked for the end need not be told that it came early."""
    monkeypatch.setattr(Progress, "epoch_ended", lambda self, task: task.n_iter == 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        estimator = network(solver=solver, max_iter=50).fit(X, y)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 2


def test_a_listener_may_end_a_layer_or_the_whole_stack(monkeypatch):
    """Layers above are trained after the one that is ended, unless it asks for the end of all."""
    stack = BernoulliRBMStack((4, 3), max_iter=5, **COMMON)
    monkeypatch.setattr(Progress, "epoch_ended", lambda self, task: task.n_iter == 2)
    assert stack.fit(X).n_iter_ == [2, 2]
    monkeypatch.setattr(Progress, "task_ended", lambda self, task: True, raising=False)
    assert stack.fit(X).n_iter_ == [2, 0]


def test_an_error_of_a_listener_leaves_what_was_before(monkeypatch):
    """No half-trained network: it is fitted as before, or not at all."""

    def fail(self, task):
        if task.n_iter == 2:
            raise OSError("disk full")

    fitted = network(warm_start=True).fit(X, y)
    before = [W.copy() for W in fitted.coefs_]
    monkeypatch.setattr(Progress, "epoch_ended", fail)
    with pytest.raises(OSError, match="disk full"):
        fitted.fit(X, y)
    np.testing.assert_equal(fitted.coefs_, before)
    with pytest.raises(OSError, match="disk full"):
        network().fit(X, y)
    with pytest.raises(OSError, match="disk full"):
        DBNClassifier((4,), pretrainer=BernoulliRBMStack(max_iter=3), **COMMON).fit(X, y > 4)


def test_ctrl_c_in_a_layer_leaves_the_best_epoch_of_those_below(monkeypatch):
    """Early stopping has returned to it when the next layer begins."""
    params = {"early_stopping": True, "max_iter": [4, 3], **COMMON}
    monkeypatch.setattr(Patience, "improved", lambda self, *_: self.n_waiting == 0 and first(self))

    def first(patience):  # whether it is the first epoch, which then is the best
        patience.n_waiting = 1
        return True

    whole = BernoulliRBMStack((4, 3), **params).fit(X)
    epoch, n_begun = RBMTraining.epoch, iter(range(100))

    def interrupted(self, *args):
        if next(n_begun) == 5:  # the second one of the second layer
            raise KeyboardInterrupt
        return epoch(self, *args)

    monkeypatch.setattr(RBMTraining, "epoch", interrupted)
    stack = BernoulliRBMStack((4, 3), **params)
    with pytest.raises(KeyboardInterrupt):
        stack.fit(X)
    assert stack.n_iter_ == [4, 1]
    np.testing.assert_array_equal(stack.coefs_[0], whole.coefs_[0])
    n_begun = iter([0, 1, 2, 3, 5])  # at the first epoch of the second layer
    stack = BernoulliRBMStack((4, 3), **params)
    with pytest.raises(KeyboardInterrupt):
        stack.fit(X)
    assert stack.n_iter_ == [4, 0]
    np.testing.assert_array_equal(stack.coefs_[0], whole.coefs_[0])


def test_an_optimiser_does_not_outlive_lbfgs():
    """Its running means belong to weights that L-BFGS has replaced."""
    estimator = network(warm_start=True).fit(X, y)
    estimator.set_params(solver="lbfgs").fit(X, y)
    estimator.set_params(solver="adam").partial_fit(X, y)
    assert estimator._optimiser.n_steps == 3  # minibatches of this call


def test_divergence_in_the_first_epoch_does_not_repeat_random_numbers():
    """The caller's generator has been drawn from for first weights, and stays after that."""
    shared = np.random.RandomState(0)
    diverging = {"solver": "sgd", "learning_rate_init": 1e30, "random_state": shared}
    first = []
    for _ in range(2):
        with pytest.warns(ConvergenceWarning, match="epoch 1.*before training"):
            first.append(network(**diverging).fit(1e3 * X, y).coefs_[0].copy())
    assert (first[0] != first[1]).any()
