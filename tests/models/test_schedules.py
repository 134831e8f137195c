"""Learning-rate schedules do what scikit-learn's and torch's do."""

import warnings

import numpy as np
import pytest
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from sk_dbn.models.schedules import PLANNED, SCHEDULES, Schedule

OF_SCIKIT_LEARN = [name for name in SCHEDULES if name not in PLANNED]


def theirs(name, rate, power_t=0.5):
    return SGDOptimizer([], learning_rate_init=rate, lr_schedule=name, power_t=power_t)


@pytest.mark.parametrize("name", OF_SCIKIT_LEARN)
@pytest.mark.parametrize("power_t", [0.25, 0.5, 1.0])
def test_rates_equal_scikit_learn(name, power_t):
    """After each epoch the rate is a function of the samples seen from the start."""
    ours, sgd = Schedule(name, 0.3, power_t), theirs(name, 0.3, power_t)
    assert ours.rate == sgd.learning_rate == 0.3
    for n_samples_seen in (10, 100, 117, 100_000):
        ours.end_epoch(n_samples_seen)
        sgd.iteration_ends(n_samples_seen)
        assert ours.rate == pytest.approx(sgd.learning_rate, rel=1e-15)
        assert np.array_equal(ours.rates(3), np.full(3, ours.rate))


@pytest.mark.parametrize("name", OF_SCIKIT_LEARN)
def test_plateaus_equal_scikit_learn(name):
    """'adaptive' divides by five until the rate is tiny; the others stop at once."""
    ours, sgd = Schedule(name, 0.01), theirs(name, 0.01)
    for _ in range(12):
        stop = ours.on_plateau()
        assert stop == sgd.trigger_stopping("", False)
        assert ours.rate == pytest.approx(sgd.learning_rate, rel=1e-15)
    assert stop
    assert (ours.rate < 0.01) == (name == "adaptive")


def all_rates(schedule, *n_updates):
    """The rates of some epochs, one after the other."""
    rates = []
    for n in n_updates:
        rates.append(schedule.rates(n))
        schedule.end_epoch(0)
    return np.concatenate(rates)


def torch_rates(n_steps, make_scheduler):
    """What torch's scheduler makes of a rate of 0.3, step by step."""
    import torch

    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3, momentum=0.9)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = make_scheduler(torch.optim.lr_scheduler, optimiser)
        for step in range(n_steps):
            rates.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            if step + 1 < n_steps:
                scheduler.step()
    return rates


@pytest.mark.parametrize(("n_updates", "max_iter"), [(1, 1), (1, 7), (3, 1), (3, 4), (13, 10)])
@pytest.mark.parametrize("name", PLANNED)
def test_planned_rates_equal_torch(name, n_updates, max_iter):
    """Update by update, for any number of them."""
    pytest.importorskip("torch")
    n = n_updates * max_iter
    make_scheduler = {
        "cosine": lambda s, optimiser: s.CosineAnnealingLR(optimiser, n),
        "one_cycle": lambda s, optimiser: s.OneCycleLR(optimiser, 0.3, n),
    }[name]
    ours = all_rates(Schedule(name, 0.3, max_iter=max_iter), *[n_updates] * max_iter)
    np.testing.assert_allclose(ours, torch_rates(n, make_scheduler), rtol=1e-9)


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_warmup_equals_torch(name):
    """A rise to the whole rate, then the schedule over what is left of the updates."""
    pytest.importorskip("torch")
    n, n_warmup = 40, 15

    def make_scheduler(s, optimiser):
        rise = s.LinearLR(optimiser, 1 / n_warmup, total_iters=n_warmup - 1)
        then = s.CosineAnnealingLR(optimiser, n - n_warmup)
        if name == "constant":
            then = s.ConstantLR(optimiser, 1.0)
        return s.SequentialLR(optimiser, [rise, then], [n_warmup])

    ours = all_rates(Schedule(name, 0.3, max_iter=4, warmup_epochs=1.5), *[10] * 4)
    np.testing.assert_allclose(ours, torch_rates(n, make_scheduler), rtol=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_warmup_is_a_line_through_zero(name):
    """Before the first update the rate would be zero; at the end it is the schedule's first."""
    warm = Schedule(name, 0.3, max_iter=5, warmup_epochs=2.5)
    cold = Schedule(name, 0.3, max_iter=5)
    n_warmup = 25
    rates = np.concatenate([warm.rates(10) for warm.n_epochs in range(3)])
    first = cold.rates(10)[0]
    np.testing.assert_allclose(rates[:n_warmup], first * np.arange(1, 26) / n_warmup)


@pytest.mark.parametrize("warmup_epochs", [7, 10, 1e6])
def test_a_warmup_may_be_all_there_is(warmup_epochs):
    """One that is longer than the training never comes to its end."""
    for name in SCHEDULES:
        schedule = Schedule(name, 0.3, max_iter=7, warmup_epochs=warmup_epochs)
        rates = all_rates(schedule, *[4] * 7)
        assert (np.diff(rates) > 0).all() and rates[-1] <= 0.3


def test_epochs_of_different_lengths():
    """The rate follows the share of the epochs that is over, however many updates they have."""
    even, odd = Schedule("cosine", 0.3, max_iter=4), Schedule("cosine", 0.3, max_iter=4)
    a, b = all_rates(even, 6, 6, 6, 6), all_rates(odd, 6, 2, 3, 1)
    np.testing.assert_allclose(b, a[[0, 1, 2, 3, 4, 5, 6, 9, 12, 14, 16, 18]])


@pytest.mark.parametrize("name", PLANNED)
def test_the_last_rate_stays(name):
    """A planned schedule that goes on has come to its end, until the end is put off."""
    schedule = Schedule(name, 0.3, max_iter=3)
    rates = all_rates(schedule, 5, 5, 5)
    assert schedule.is_over
    assert np.array_equal(schedule.rates(5), np.full(5, rates[-1]))
    schedule.max_iter = 6
    assert not schedule.is_over
    assert schedule.rates(5)[0] > 10 * rates[-1]
    assert not Schedule("constant", 0.3, max_iter=0).is_over
