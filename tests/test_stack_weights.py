"""The sample weights of a stack: whole ones are counts, others shares of the epochs."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sk_dbn import BernoulliRBMStack
from sk_dbn._stack_fit import StackFit
from sk_dbn.models.data import Data
from sk_dbn.models.orders import Orders, drawn
from sk_dbn.models.threads import run_serial

random = np.random.RandomState(0)
X = random.uniform(size=(90, 6)).astype(np.float32)
counts = random.randint(0, 4, size=len(X))


def stack(**params):
    return BernoulliRBMStack((5, 3), **({"max_iter": 3, "random_state": 0} | params))


def assert_same(one, other):
    for W, V in zip(one.coefs_, other.coefs_, strict=True):
        np.testing.assert_array_equal(W, V)


@pytest.mark.parametrize("params", [{}, {"visible": "gaussian"}, {"algorithm": "pcd"}])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_whole_weights_are_counts(method, params):
    """A weight of 2 is the sample twice, one of 0 leaves it out: the same bits."""
    weighted = getattr(stack(**params), method)(X, sample_weight=counts)
    repeated = getattr(stack(**params), method)(np.repeat(X, counts, axis=0))
    assert_same(weighted, repeated)
    np.testing.assert_array_equal(weighted.intercepts_visible_[0], repeated.intercepts_visible_[0])


def test_equal_weights_change_nothing_but_random_numbers():
    """Only their ratios count: every epoch visits each sample once."""
    np.testing.assert_array_equal(drawn(np.arange(90), np.full(90, 0.3), 90, 0.7), np.arange(90))
    weighted = stack().fit(X, sample_weight=np.full(len(X), 0.25))
    assert_same(weighted, stack().fit(X, sample_weight=np.full(len(X), 0.125)))


def test_draws_are_as_frequent_as_weights_say():
    """Each time rounded up or down, and right on average: the mean over all starts is exact."""
    weight = random.exponential(size=40)
    expected = 25 * weight / weight.sum()
    starts = (np.arange(2000) + 0.5) / 2000
    times = [np.bincount(drawn(np.arange(40), weight, 25, start), minlength=40) for start in starts]
    assert {row.sum() for row in times} == {25}
    assert (np.abs(times - expected) < 1.0).all()
    np.testing.assert_allclose(np.mean(times, axis=0), expected, atol=1.0 / 2000)


@pytest.mark.parametrize("shuffle", [False, True])
def test_each_epoch_draws_anew(shuffle):
    """As many rows as there are; in the order of storage unless they are shuffled."""
    weight = random.exponential(size=40)
    orders = Orders(np.random.RandomState(0), np.arange(40), shuffle, 0, weight)
    epochs = [orders.next() for _ in range(2000)]
    assert {len(order) for order in epochs} == {40}
    assert (np.diff(epochs, axis=1).min() >= 0) == (not shuffle)
    times = np.mean([np.bincount(order, minlength=40) for order in epochs], axis=0)
    np.testing.assert_allclose(times, 40 * weight / weight.sum(), atol=0.05)


def test_moments_are_weighted():
    """Gaussian units are standardised by weighted means and standard deviations."""
    weight = random.exponential(size=len(X))
    fitted = stack(visible="gaussian").fit(X, sample_weight=weight)
    mean = np.average(X, axis=0, weights=weight)
    std = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight))
    np.testing.assert_allclose(fitted.visible_mean_, mean, atol=2e-3)
    np.testing.assert_allclose(fitted.visible_scale_, std, atol=2e-3)


def test_light_samples_count_in_ranges():
    """Means are of drawn rows; what values there are is known of all."""
    weight = random.exponential(size=20_000)
    x = random.uniform(size=(20_000, 2)).astype(np.float32)
    light = np.setdiff1d(
        np.arange(20_000), Orders(None, np.arange(20_000), False, 0, weight).listed
    )
    x[light[0], 1] = 50.0
    fitted = stack(max_iter=1, batch_size=2000).fit(x, sample_weight=weight)
    assert fitted.visible_ == "gaussian"
    assert np.isfinite(stack().fit(X, sample_weight=np.full(len(X), 1e308)).coefs_[0]).all()


def test_a_weighted_stack_models_the_weighted_samples():
    """Rare patterns with large weights become the probable ones."""
    low, high = np.eye(2)[np.zeros(95, int)], np.eye(2)[np.ones(5, int)]
    patterns = np.vstack([low, high])
    weight = np.r_[np.full(95, 0.1), np.full(5, 9.5 * 1.9)]
    fitted = stack(max_iter=50).fit(patterns, sample_weight=weight)
    scores = fitted.score_samples(np.eye(2))
    assert scores[1] > scores[0]


def test_held_out_samples_are_weighted_too():
    """In proportion to their weights, and none of them is trained on."""
    weight = random.exponential(size=len(X))
    fit = StackFit(stack(early_stopping=True), Data(X, "f4"), sample_weight=weight)
    training = fit.training(run_serial)
    times = np.bincount(training.held_out, minlength=len(X))
    held_out = np.unique(training.held_out)
    assert not set(held_out) & set(training.orders.rows)
    expected = times.sum() * weight[held_out] / weight[held_out].sum()
    assert (np.abs(times[held_out] - expected) < 1.0).all()


def test_weights_reach_a_stack_in_a_pipeline_and_a_cache_tells_them_apart(tmp_path):
    """As with any estimator of scikit-learn."""
    weight = random.exponential(size=len(X))
    pipeline = make_pipeline(MinMaxScaler(), stack())
    pipeline.fit(X, bernoullirbmstack__sample_weight=weight)
    by_hand = stack().fit(MinMaxScaler().fit_transform(X), sample_weight=weight)
    assert_same(pipeline[-1], by_hand)
    memory = {"memory": str(tmp_path)}
    one = stack(**memory).fit(X, sample_weight=weight)
    other = stack(**memory).fit(X, sample_weight=weight[::-1])
    assert not np.array_equal(one.coefs_[0], other.coefs_[0])
    assert_same(stack(**memory).fit(X, sample_weight=weight), one)


@pytest.mark.parametrize(
    "weight, message",
    [
        (np.zeros(90), "at least one non-zero"),
        (-np.ones(90), "Negative values"),
        (np.ones(3), "sample_weight.shape"),
        (np.full(90, np.nan), "contains NaN"),
    ],
)
def test_other_weights_are_an_error(weight, message):
    """scikit-learn's own messages."""
    with pytest.raises(ValueError, match=message):
        stack().fit(X, sample_weight=weight)
