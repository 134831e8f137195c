"""The loop over epochs: who is told of what, in which order, and when it ends."""

import numpy as np
import pytest

from sk_dbn.models.loop import Listener, Patience, train
from sk_dbn.models.schedules import Annealing


class Task:
    """A task of some epochs, of which one may go wrong, that tells what is asked of it."""

    def __init__(self, n_epochs, wrong=None):
        self.n_epochs, self.wrong, self.n_iter, self.events = n_epochs, wrong, 0, []

    @property
    def is_over(self):
        return self.n_iter >= self.n_epochs

    def run_epoch(self):
        self.events.append("epoch")
        if self.n_iter + 1 == self.wrong:
            return False
        self.n_iter += 1
        return True

    def finish(self):
        self.events.append("finish")


class Told(Listener):
    """Notes what it is told, and says stop after an epoch."""

    def __init__(self, last=None):
        self.last = last

    def task_began(self, task):
        task.events.append("began")

    def epoch_began(self, task):
        task.events.append("epoch begins")

    def epoch_ended(self, task):
        task.events.append("ended")
        return task.n_iter == self.last

    def task_ended(self, task):
        task.events.append("over")


@pytest.mark.parametrize(
    "task, last, n_epochs, n_ended",
    [(Task(3), None, 3, 3), (Task(9), 2, 2, 2), (Task(9, wrong=2), None, 2, 1), (Task(0), 1, 0, 0)],
)
def test_listeners_are_told_in_order(task, last, n_epochs, n_ended):
    """Of each complete epoch, of no other, and of the end when the parameters are final."""
    train(task, [Told(last)])
    whole = ["epoch begins", "epoch", "ended"] * n_ended
    whole += ["epoch begins", "epoch"] * (n_epochs - n_ended)
    assert task.events == ["began", *whole, "finish", "over"]


def test_all_are_told_although_one_says_stop():
    """The answer of the first does not keep the second from hearing."""
    task = Task(5)
    train(task, [Told(1), Told()])
    epoch = ["epoch begins"] * 2 + ["epoch"] + ["ended"] * 2
    assert task.events == ["began"] * 2 + epoch + ["finish"] + ["over"] * 2
    assert task.is_stopped


def test_a_listener_hears_what_it_wants():
    """Methods that it does not have do nothing; without listeners the task is done as well."""
    for listeners in ([], [Listener()]):
        task = Task(2)
        train(task, listeners)
        assert task.events == ["epoch", "epoch", "finish"]


def test_an_error_ends_the_task():
    """It is passed on, and nothing is asked of the task after it."""

    class Fails(Listener):
        def epoch_ended(self, task):
            raise RuntimeError

    task = Task(3)
    with pytest.raises(RuntimeError):
        train(task, [Fails()])
    assert task.events == ["epoch"]


def rbm_training(values, n_iter_no_change, margin, max_iter=100, annealing=0.0):
    """How an RBM is judged: which epochs are kept, and its patience and schedule at the end."""
    patience, schedule, kept, factors = (
        Patience(n_iter_no_change - 1),
        Annealing(max_iter, annealing),
        [],
        [],
    )
    for value in values:
        if schedule.is_over:
            break
        factors.append(schedule.factor)
        kept.append(patience.improved(value, margin))
        schedule.end_epoch()
        if patience.is_exhausted:
            schedule.on_plateau()
    return kept, factors, patience, schedule


def test_a_constant_rate_ends_where_nothing_improves():
    """An improvement by less than tol does not count, but the best is the best."""
    kept, _, patience, schedule = rbm_training((5.0, 4.0, 3.95, 3.96, 3.94, 0.0), 3, 0.1)
    assert kept == [True, True, True, False, True]
    assert schedule.is_over and schedule.n_epochs == 5 and patience.best == 3.94
    assert not Annealing(1, 0.0).is_over


def test_a_gap_may_rise_within_its_error():
    """A gap near its least is kept; one that has grown for long enough ends the training."""
    values = 0.5, 0.0, 0.9, 1.1, 0.8, 2.0, 2.1
    kept, _, patience, schedule = rbm_training(values, 2, -1.0)
    assert kept == [True, True, True, False, True, False, False]
    assert schedule.is_over and patience.best == 0.0


@pytest.mark.parametrize("n_better, n_constant", [(100, 6), (1, 3)])
def test_the_rate_falls_to_zero_at_last(n_better, n_constant):
    """Constant while there is improvement, then linear over its share of the epochs."""
    values = [-float(min(epoch, n_better)) for epoch in range(1, 100)]
    _, factors, _, schedule = rbm_training(values, 2, 0.1, max_iter=10, annealing=0.4)
    assert factors == [1.0] * n_constant + [0.875, 0.625, 0.375, 0.125]
    assert schedule.is_over


def test_nothing_improves_on_nothing():
    """NaN counts as an epoch without improvement, and is never the best."""
    patience = Patience(1)
    assert [patience.improved(x, 0.0) for x in (np.nan, 1.0, np.nan, np.nan)] == [
        False, True, False, False,
    ]  # fmt: skip
    assert patience.best == 1.0 and patience.is_exhausted


@pytest.mark.parametrize("n_iter_no_change", [0, 2, np.inf])
def test_patience_ends_after_more_epochs_than_it_has(n_iter_no_change):
    """As scikit-learn counts them."""
    patience, n_epochs = Patience(n_iter_no_change), 0
    patience.improved(1.0, 0.0)
    while not patience.is_exhausted and n_epochs < 50:
        patience.improved(2.0, 0.0)
        n_epochs += 1
    assert n_epochs == min(n_iter_no_change + 1, 50)
