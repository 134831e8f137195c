"""Division of work: rows among threads, or where these are few, the weights of each layer."""

import numpy as np
import pytest

from sk_dbn import BernoulliRBMStack, DeepMLPRegressor
from sk_dbn.models.work import MAX_FEW_ROWS, are_few


def test_few_rows_share_large_layers():
    """Enough weights for each row, in layers that make up most of the network."""
    wide, narrow = np.array([784, 2048, 2048, 1]), np.array([784, 500, 500, 1])
    assert are_few(1, wide, np.float32)
    assert are_few(MAX_FEW_ROWS, np.array([4000, 2100]), np.float32)
    assert not are_few(MAX_FEW_ROWS + 1, np.array([40_000, 2100]), np.float32)
    assert not are_few(128, narrow, np.float32)
    assert not are_few(200, np.array([10_000, 256, 128, 10]), np.float32)  # for so many rows
    assert not are_few(32, np.array([512, 512, 10]), np.float32)  # just what a cache holds
    assert not are_few(1, np.array([100_000, 100, 10]), np.float32)  # nothing to share
    assert not are_few(0, wide, np.float32)
    assert not are_few(1, np.array([20, 100, 100]), np.float64)
    assert not are_few(1, np.array([1000, 1000] + [200] * 30), np.float32)


@pytest.mark.parametrize("batch_size", [1, 40])
@pytest.mark.parametrize(
    ("model", "own"),
    [
        (BernoulliRBMStack, {}),
        (BernoulliRBMStack, {"algorithm": "pcd", "n_chains": 30}),
        (DeepMLPRegressor, {"learning_rate_init": 1e-4}),
    ],
)
@pytest.mark.filterwarnings("ignore:Stochastic", "ignore:y is not scaled")
def test_wide_layers_give_the_same_bits_for_every_number_of_threads(model, own, batch_size):
    """Trained and applied, minibatches of a few samples and the last one of fewer."""
    X = np.random.RandomState(0).uniform(size=(2 * batch_size + 1, 600)).astype(np.float32)
    assert are_few(batch_size, np.array([600, 1100, 530]), np.float32)
    settings = {"hidden_layer_sizes": (1100, 530), "batch_size": batch_size, "max_iter": 1}
    settings |= own
    results = []
    for n_jobs in (1, 2):
        fitted = model(**settings, random_state=0, n_jobs=n_jobs).fit(X, X[:, 0])
        output = fitted.transform(X) if model is BernoulliRBMStack else fitted.predict(X)
        results.append([output, *fitted.coefs_])
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
