"""Initial weights have the distribution of the paper that each name stands for."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn.neural_network import MLPRegressor

from sk_dbn.models.initialisers import FACTS, INITIALISERS, NAMES, initial_weights, streams

# Variances as the papers give them: Glorot & Bengio (2010) eq. 12, He et al. (2015) eq. 10,
# LeCun et al. (1998) eq. 16, Hinton (2012) section 8.
VARIANCES = {
    "glorot_normal": lambda p, q: 2 / (p + q),
    "glorot_uniform": lambda p, q: 2 / (p + q),
    "he_normal": lambda p, q: 2 / p,
    "he_uniform": lambda p, q: 2 / p,
    "lecun_normal": lambda p, q: 1 / p,
    "lecun_uniform": lambda p, q: 1 / p,
    "normal": lambda p, q: 1e-4,
    "standard_normal": lambda p, q: 1,
}
SHAPES = [(300, 200), (40, 900), (900, 40)]
SEEDS = range(4)
ALPHA = 1e-4  # family-wise error of each statistical test


def weights(init, shape, seed=0, activation="tanh", below=None):
    return initial_weights(init, np.random.RandomState(seed), *shape, activation, below)


@pytest.mark.parametrize("name", VARIANCES)
def test_mean_and_variance(name):
    """Both lie within the sampling error of n = p q draws: the mean's variance is s^2 / n, the
    sample variance's (kurtosis - 1) s^4 / n, with kurtosis 3 (normal) or 9/5 (uniform).
    """
    scores, kurtosis = [], 1.8 if name.endswith("uniform") else 3.0
    for shape in SHAPES:
        for seed in SEEDS:
            W, _ = weights(name, shape, seed)
            variance = VARIANCES[name](*shape)
            assert W.shape == shape
            scores.append(W.mean() * np.sqrt(W.size / variance))
            error = (W**2).mean() / variance - 1
            scores.append(error * np.sqrt(W.size / (kurtosis - 1)))
    assert np.abs(scores).max() < scipy.stats.norm.isf(ALPHA / 2 / len(scores))


@pytest.mark.parametrize("name", VARIANCES)
def test_shape_of_the_distribution(name):
    """Kolmogorov-Smirnov against the normal or the uniform distribution of that variance."""
    p_values = []
    for seed in SEEDS:
        W, _ = weights(name, (300, 200), seed)
        sd = np.sqrt(VARIANCES[name](300, 200))
        r = np.sqrt(3) * sd
        uniform = scipy.stats.uniform(-r, 2 * r)
        law = uniform if name.endswith("uniform") else scipy.stats.norm(0, sd)
        p_values.append(scipy.stats.kstest(W.ravel(), law.cdf).pvalue)
        assert not name.endswith("uniform") or np.abs(W).max() <= r
    assert min(p_values) > ALPHA / len(p_values)


@pytest.mark.parametrize("shape", [(30, 30), (50, 20), (20, 50), (1, 7), (7, 1)])
def test_orthogonal(shape):
    """Whichever is fewer, rows or columns, they are orthonormal: every singular value is 1."""
    W, _ = weights("orthogonal", shape)
    assert W.shape == shape
    np.testing.assert_allclose(np.linalg.svd(W, compute_uv=False), 1, rtol=1e-12)


def test_orthogonal_is_uniform():
    """Signs that do not follow QR's convention: over many draws each entry has mean zero and
    variance 1 / n, so that no direction is preferred.
    """
    n, n_draws = 3, 4000
    random = np.random.RandomState(0)
    draws = [INITIALISERS["orthogonal"](random, n, n) for _ in range(n_draws)]
    means, squares = np.mean(draws, axis=0), np.mean(np.square(draws), axis=0)
    limit = scipy.stats.norm.isf(ALPHA / 2 / (2 * n * n))
    assert np.abs(means).max() < limit * np.sqrt(1 / n / n_draws)
    # An entry is uniform on [-1, 1] in three dimensions: its square has variance 4 / 45.
    assert np.abs(squares - 1 / n).max() < limit * np.sqrt(4 / 45 / n_draws)


def test_zeros():
    """Nothing is drawn."""
    random = np.random.RandomState(0)
    W, b = initial_weights("zeros", random, 5, 4, "tanh")
    assert not W.any() and W.shape == (5, 4) and not b.any()
    assert random.randint(1000) == np.random.RandomState(0).randint(1000)


@pytest.mark.parametrize(
    "activation, name",
    [
        *[(a, "glorot_uniform") for a in ("identity", "logistic", "tanh", "softsign", "step")],
        *[(a, "he_normal") for a in ("relu", "leaky_relu", "elu", "gelu", "swish", "softplus")],
        ("selu", "lecun_normal"),
    ],
)
def test_auto(activation, name):
    """He for the relu family, LeCun for selu, Glorot otherwise: the same draw by another name.

    That of logistic units is four times as large.
    """
    assert FACTS[activation].init == name
    auto, named = (weights(init, (6, 5), 3, activation)[0] for init in ("auto", name))
    assert np.array_equal(auto, 4 * named if activation == "logistic" else named)


@pytest.mark.parametrize("seed", range(3))
def test_auto_makes_tanh_units_of_logistic_ones(seed):
    """h = (1 + t) / 2 in every layer, t the units of a tanh network with Glorot's weights.

    That is an identity, logistic(z) = (1 + tanh(z / 2)) / 2; the tanh network has twice the input.
    """
    sizes, rng = (7, 9, 4, 8, 5), np.random.default_rng(seed)
    x = rng.normal(size=(20, sizes[0]))
    h, t = x, 2 * x
    randoms = np.random.RandomState(seed), np.random.RandomState(seed)
    for below, *shape in zip((None, *["logistic"] * 3), sizes[:-1], sizes[1:], strict=True):
        W, b = initial_weights("auto", randoms[0], *shape, "logistic", below)
        V, c = initial_weights("auto", randoms[1], *shape, "tanh", below)
        h, t = scipy.special.expit(h @ W + b), np.tanh(t @ V + c)
        np.testing.assert_allclose(h, (1 + t) / 2, rtol=0, atol=1e-14)


@pytest.mark.parametrize("below", [None, "tanh", "relu"])
def test_auto_takes_away_the_mean_of_logistic_units_alone(below):
    """What is not known to be 1/2 in the mean is left as it is, and so is the output."""
    assert not weights("auto", (6, 5), 0, "logistic", below)[1].any()
    assert not weights("auto", (6, 5), 0, "identity", "logistic")[1].any()


@pytest.mark.parametrize("sd", [0, 0.5, np.float32(0.25), 3])
def test_a_number_is_a_standard_deviation(sd):
    """Normal weights, scaled: the same draw as with 1, times the number."""
    W, _ = weights(sd, (6, 5), 1)
    np.testing.assert_allclose(W, weights("standard_normal", (6, 5), 1)[0] * sd, rtol=1e-12)


def test_an_array_is_taken_as_it_is():
    """As it is, and not the caller's own: training must not write into it."""
    given = np.arange(20.0).reshape(5, 4)
    W, b = weights(given, (5, 4))
    assert np.array_equal(W, given) and not np.shares_memory(W, given) and not b.any()


@pytest.mark.parametrize("init", [*(n for n in NAMES if n != "sklearn"), 0.1])
def test_biases_are_zero(init):
    """Only scikit-learn draws biases; 'auto' has some for logistic units on logistic ones."""
    _, b = weights(init, (6, 5))
    assert b.shape == (5,) and not b.any()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu", "identity"])
def test_sklearn_draws_what_scikit_learn_draws(activation, seed):
    """Layer by layer from one random state, the weights and biases that MLPRegressor starts from.

    A learning rate of 1e-300 leaves its first epoch without effect.
    """
    mlp = MLPRegressor(
        hidden_layer_sizes=(7, 5),
        activation=activation,
        solver="sgd",
        learning_rate_init=1e-300,
        max_iter=1,
        n_iter_no_change=2,
        random_state=seed,
        shuffle=False,
    )
    with pytest.warns(UserWarning, match="Maximum iterations"):
        mlp.fit(np.ones((4, 6)), np.arange(4.0))
    random = np.random.RandomState(seed)
    for W, b in zip(mlp.coefs_, mlp.intercepts_, strict=True):
        ours = initial_weights("sklearn", random, *W.shape, activation)
        assert np.array_equal(ours[0], W) and np.array_equal(ours[1], b)


def test_layers_have_streams_that_do_not_depend_on_those_above():
    """The first of many are the only ones of few; no two are the same, and all are drawn alike."""
    many, few = (streams(np.random.RandomState(0), n) for n in (5, 2))
    draws = [own.uniform(size=3).tolist() for own in many]
    assert [own.uniform(size=3).tolist() for own in few] == draws[:2]
    assert len(set(map(tuple, draws))) == 5
    randoms = [np.random.RandomState(0) for _ in range(2)]
    for random, n in zip(randoms, (5, 2), strict=True):
        streams(random, n)
    assert randoms[0].uniform() == randoms[1].uniform()


def test_every_name_is_tested():
    """A new initialiser needs its variance here, or a test of its own."""
    assert set(INITIALISERS) == {*VARIANCES, "orthogonal", "zeros"}
    assert set(NAMES) == {*INITIALISERS, "auto", "sklearn"}
