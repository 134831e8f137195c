"""Learning-rate schedules do what scikit-learn's do."""

import pytest
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from sk_dbn.models.schedules import SCHEDULES, Schedule


def theirs(name, rate, power_t=0.5):
    return SGDOptimizer([], learning_rate_init=rate, lr_schedule=name, power_t=power_t)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("power_t", [0.25, 0.5, 1.0])
def test_rates_equal_scikit_learn(name, power_t):
    """After each epoch the rate is a function of the samples seen from the start."""
    ours, sgd = Schedule(name, 0.3, power_t), theirs(name, 0.3, power_t)
    assert ours.rate == sgd.learning_rate == 0.3
    for n_samples_seen in (10, 100, 117, 100_000):
        ours.end_epoch(n_samples_seen)
        sgd.iteration_ends(n_samples_seen)
        assert ours.rate == pytest.approx(sgd.learning_rate, rel=1e-15)


@pytest.mark.parametrize("name", SCHEDULES)
def test_plateaus_equal_scikit_learn(name):
    """'adaptive' divides by five until the rate is tiny; the others stop at once."""
    ours, sgd = Schedule(name, 0.01), theirs(name, 0.01)
    for _ in range(12):
        stop = ours.on_plateau()
        assert stop == sgd.trigger_stopping("", False)
        assert ours.rate == pytest.approx(sgd.learning_rate, rel=1e-15)
    assert stop
    assert (ours.rate < 0.01) == (name == "adaptive")
