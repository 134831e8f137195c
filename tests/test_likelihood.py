"""Likelihoods of fitted stacks: they are probabilities, and estimates are as near as they say."""

import itertools
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import train_test_split

from sk_dbn import BernoulliRBMStack, DBNClassifier
from sk_dbn.likelihood import (
    AnnealingResult,
    annealed_importance_sampling,
    exact_log_partition,
    log_likelihood,
    variational_bound,
)
from tests import reference_annealing as slow
from tests import reference_rbm

BOTH = ("bernoulli", "gaussian", "bernoulli")
NAMES = {"bernoulli": "binary", "gaussian": "gaussian", "logistic": "binary", "tanh": "bipolar"}


def stack_of(sizes, n_features=3, scale=1.0, visible="bernoulli", activation="logistic"):
    """A stack that was fitted in a hurry and then given random parameters."""
    random = np.random.RandomState(0)
    X = random.randint(0, 2, (20, n_features)).astype(float)
    stack = BernoulliRBMStack(
        sizes, visible=visible, activation=activation, max_iter=1, dtype="float64", random_state=0
    ).fit(X)
    stack._stack.theta[:] = scale * random.normal(size=stack._stack.theta.size)
    gaussian = np.broadcast_to(np.equal(visible, "gaussian"), n_features)
    if gaussian.any():
        stack._stack.variance[:] = np.where(gaussian, np.linspace(0.5, 0.9, n_features), 1.0)
    return stack


def machines_of(stack):
    """Weights, visible and hidden biases and variances of every machine."""
    variances = [1.0] * stack.n_layers_
    if stack.visible_variance_ is not None:
        variances[0] = stack._stack.variance
    parts = stack.coefs_, stack.intercepts_visible_, stack.intercepts_hidden_, variances
    return list(zip(*parts, strict=True))


def kinds_of(stack):
    visible = stack.visible_
    visible = NAMES[visible] if isinstance(visible, str) else tuple(map(NAMES.get, visible))
    return [visible] + [NAMES[stack.activation]] * stack.n_layers_


@pytest.fixture(scope="module")
def digits():
    """The middle of some digits, as 0 and 1."""
    images = load_digits().images[:600, 1:7, 1:7].reshape(600, -1)
    return (images > 7).astype(np.float32)


@pytest.fixture(scope="module")
def trained(digits):
    """A machine small enough to be enumerated."""
    return BernoulliRBMStack((14,), max_iter=20, random_state=0).fit(digits)


# ---------------------------------------------------------------------------
# Partition functions
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("activation", ["logistic", "tanh"])
@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", BOTH])
def test_exact_log_partition_equals_brute_force(visible, activation, layer):
    """The sum over all pairs of states, or integral, of both machines."""
    stack = stack_of((2, 4), visible=visible, activation=activation)
    expected = slow.log_partition(*kinds_of(stack)[layer:][:2], *machines_of(stack)[layer])
    assert exact_log_partition(stack, layer) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_annealing_is_within_its_error_bars(trained, digits, direction):
    """Over seeds: within 0.1 nat, five standard errors; z-scores of a mean of 0 and a spread of 1.

    The mean of 30 z-scores exceeds 4.5 / sqrt(30) less often than once in 10^5, if weights
    vary little, which makes them normal.
    """
    exact, n_seeds = exact_log_partition(trained), 30
    z = []
    for seed in range(n_seeds):
        result = annealed_importance_sampling(
            trained, X=digits, n_chains=400, betas=1000, direction=direction, random_state=seed
        )
        assert result.log_weights.shape == (400,)
        assert abs(result.log_partition - exact) < 0.1
        z.append((result.log_partition - exact) / result.standard_error)
    assert abs(np.mean(z)) < 4.5 / np.sqrt(n_seeds)
    assert 0.5 < np.std(z) < 1.6


def test_directions_enclose_the_log_partition(trained):
    """Jensen: the log of an unbiased estimate is too low on average, of Z and of 1 / Z."""
    exact = exact_log_partition(trained)
    means = {}
    for direction in ("forward", "reverse"):
        estimates = [
            annealed_importance_sampling(
                trained, n_chains=2, betas=8, direction=direction, random_state=seed
            ).log_partition
            for seed in range(60)
        ]
        means[direction] = np.mean(estimates), np.std(estimates) / np.sqrt(60)
    (low, low_error), (high, high_error) = means["forward"], means["reverse"]
    assert low + 3 * low_error < exact < high - 3 * high_error


def test_directions_agree_where_nothing_can_be_enumerated():
    """Chains that go down start where others arrived."""
    stack = stack_of((30,), n_features=32, scale=0.3)
    with pytest.raises(ValueError, match="annealed_importance_sampling"):
        exact_log_partition(stack)
    up, down = (
        annealed_importance_sampling(stack, betas=2000, direction=direction, random_state=0)
        for direction in ("forward", "reverse")
    )
    error = np.hypot(up.standard_error, down.standard_error)
    assert error < 0.1
    assert abs(up.log_partition - down.log_partition) < 4.5 * error


def test_result_is_made_of_the_weights(trained):
    """The mean of the weights, or the harmonic mean, and the standard error of its log."""
    for direction, sign in (("forward", 1), ("reverse", -1)):
        result = annealed_importance_sampling(
            trained, n_chains=50, betas=30, direction=direction, random_state=0
        )
        w = np.exp(sign * (result.log_weights - result.log_weights.max()))
        expected = sign * np.log(w.mean()) + result.log_weights.max()
        assert result.log_partition == pytest.approx(expected)
        n_effective = w.sum() ** 2 / (w**2).sum()
        assert result.standard_error == pytest.approx(np.sqrt((50 / n_effective - 1) / 49))
        assert result.direction == direction


def test_ladder_may_be_given(trained):
    """A number is spaced as in Salakhutdinov & Murray (2008), section 5."""
    k = np.arange(29) / 28 * 29  # twenty-ninths of the ladder
    ladder = np.interp(k, [0, 1, 9, 29], [0.0, 0.5, 0.9, 1.0])
    one, two = (
        annealed_importance_sampling(trained, betas=betas, random_state=0)
        for betas in (29, ladder.tolist())
    )
    np.testing.assert_allclose(one.log_weights, two.log_weights)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("activation", ["logistic", "tanh"])
def test_base_rates_from_data(activation, layer):
    """Any base will do for log Z, that of X too; X may be sparse."""
    stack = stack_of((5, 4), n_features=6, scale=0.5, activation=activation)
    X = np.random.RandomState(1).randint(0, 2, (2000, 6)).astype(float)
    given = {"betas": 200, "random_state": 0}
    exact = exact_log_partition(stack, layer)
    dense, sparse = (
        annealed_importance_sampling(stack, layer, X=data, **given) for data in (X, csr_matrix(X))
    )
    assert abs(dense.log_partition - exact) < 0.1
    np.testing.assert_array_equal(dense.log_weights, sparse.log_weights)
    without = annealed_importance_sampling(stack, layer, **given)
    assert abs(without.log_partition - exact) < 0.1
    assert not np.array_equal(without.log_weights, dense.log_weights)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_base_of_gaussian_units_has_the_datas_means(direction):
    """In units of their deviations, as the annealed machine has them: then nothing is to weigh.

    Without weights, the machine whose biases are the data's means is the base itself.
    """
    stack = stack_of((2,), visible="gaussian")
    stack.coefs_[0][:] = 0.0
    stack.intercepts_hidden_[0][:] = 0.0
    X = np.random.RandomState(1).normal(size=(50, 3))
    v = (X - stack._visible.shift) * stack._visible.scale
    stack.intercepts_visible_[0][:] = v.mean(axis=0)
    exact = slow.log_partition("gaussian", "binary", *machines_of(stack)[0])
    given = {"betas": 3, "n_chains": 10, "direction": direction, "random_state": 0}
    result = annealed_importance_sampling(stack, X=X, **given)
    np.testing.assert_allclose(result.log_weights, exact, rtol=1e-12)
    stack._stack.memories[0].mu[:] = v.mean(axis=0)
    result = annealed_importance_sampling(stack, **given)
    np.testing.assert_allclose(result.log_weights, exact, rtol=1e-12)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("activation", ["logistic", "tanh"])
@pytest.mark.parametrize("visible", ["gaussian", BOTH])
def test_annealing_of_gaussian_units(visible, activation, direction):
    """Variances that differ are part of the machine that is annealed; so are binary units."""
    stack = stack_of((3,), scale=0.6, visible=visible, activation=activation)
    exact = slow.log_partition(*kinds_of(stack), *machines_of(stack)[0])
    result = annealed_importance_sampling(
        stack, betas=300, n_chains=400, direction=direction, random_state=0
    )
    assert 0 < result.standard_error < 0.05
    assert abs(result.log_partition - exact) < min(0.1, 4.5 * result.standard_error)


def test_rectified_units_have_no_partition_function():
    """Neither two values nor, of Gaussian visible units, a density for sure."""
    stack = stack_of((3,), activation="relu")
    for function in (exact_log_partition, annealed_importance_sampling):
        with pytest.raises(ValueError, match="two values"):
            function(stack)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", 40 * BOTH])
def test_same_bits_for_every_number_of_threads(visible, direction):
    """Work is cut by its shape."""
    stack = stack_of((90,), n_features=120, scale=0.1, visible=visible)
    one, two = (
        annealed_importance_sampling(
            stack, betas=20, direction=direction, random_state=0, n_jobs=n_jobs
        )
        for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one.log_weights, two.log_weights)


# ---------------------------------------------------------------------------
# Likelihoods
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["logistic", "tanh"])
def test_probabilities_sum_to_one(activation):
    """Over all states of the visible units."""
    V = reference_rbm.states("binary", 4)
    stack = stack_of((3,), n_features=4, activation=activation)
    assert np.exp(log_likelihood(stack, V)).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("activation", ["logistic", "tanh"])
@pytest.mark.parametrize("visible", ["gaussian", BOTH[:2]])
def test_densities_integrate_to_one(visible, activation):
    """Over the standardised values of Gaussian units, whatever their variances given the hidden.

    The grid is finer than they vary. Units of 0 and 1 beside them are summed over.
    """
    stack = stack_of((3,), n_features=2, visible=visible, activation=activation)
    v, log_measure = slow.visible_states(kinds_of(stack)[0], 2)
    X = v / stack._visible.scale + stack._visible.shift
    assert np.exp(log_likelihood(stack, X) + log_measure).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("activation", ["logistic", "tanh"])
def test_grey_levels_have_no_likelihood(activation):
    """A warning says so; what they get bounds the mean over zeros and ones drawn with them."""
    stack = stack_of((3,), n_features=4, activation=activation)
    V, p = reference_rbm.states("binary", 4), np.array([0.1, 0.5, 0.9, 1.0])
    expected = np.prod(np.where(V == 1, p, 1 - p), axis=1) @ log_likelihood(stack, V)
    for function in (log_likelihood, variational_bound):
        with pytest.warns(UserWarning, match="between 0 and 1.*X > 0.5.*rng.random") as caught:
            (grey,) = function(stack, p[None])
        assert len(caught) == 1
        assert grey < expected


def test_grey_levels_beside_gaussian_units_are_warned_of():
    """A Gaussian value between 0 and 1 is a state, a Bernoulli unit's is not."""
    stack = stack_of((3,), visible=BOTH)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log_likelihood(stack, [[0.0, 0.5, 1.0]])
    with pytest.warns(UserWarning, match="between 0 and 1"):
        log_likelihood(stack, [[0.5, 0.5, 1.0]])


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.float32, csr_matrix, "range", "gaussian"])
def test_states_are_met_in_silence(kind):
    """Zeros and ones of any type, also where fit saw another range; and Gaussian values."""
    X = np.random.RandomState(0).randint(0, 2, (20, 3))
    visible = "gaussian" if kind == "gaussian" else "bernoulli"
    if isinstance(kind, str):
        X = 49 * X  # 49 * (1 / 49) is not 1
        kind = np.float64 if visible == "bernoulli" else lambda X: X + 0.3
    stack = BernoulliRBMStack((2,), visible=visible, max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X has values in")
        stack.fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log_likelihood(stack, kind(X))
        variational_bound(stack, kind(X))


def test_log_partition_may_be_given(trained, digits):
    """As a number or as an estimate; it only shifts all samples."""
    exact = log_likelihood(trained, digits)
    np.testing.assert_allclose(
        exact, log_likelihood(trained, digits, log_partition=exact_log_partition(trained))
    )
    result = annealed_importance_sampling(trained, betas=500, random_state=0)
    estimated = log_likelihood(trained, digits, log_partition=result)
    shift = exact_log_partition(trained) - result.log_partition
    np.testing.assert_allclose(estimated - exact, shift)
    assert -36 * np.log(2) < exact.mean() < 0  # better than a fair coin for each pixel


def test_log_partition_is_estimated_where_it_cannot_be_summed():
    """By annealing, from the random state."""
    stack = stack_of((27,), n_features=28, scale=0.2)
    X = np.random.RandomState(1).randint(0, 2, (5, 28))
    result = annealed_importance_sampling(stack, random_state=3)
    np.testing.assert_allclose(
        log_likelihood(stack, X, random_state=3), -stack.free_energy(X) - result.log_partition
    )


# ---------------------------------------------------------------------------
# The bound
# ---------------------------------------------------------------------------

NETWORKS = [
    (visible, activation, sizes)
    for visible in ("bernoulli", "gaussian", BOTH)
    for activation in ("logistic", "tanh")
    for sizes in ((2, 2), (2, 3, 2))
]


@pytest.mark.parametrize("visible, activation, sizes", NETWORKS)
def test_bound_equals_enumeration_and_is_one(visible, activation, sizes):
    """E_Q[log p(v, h) - log Q(h | v)] over all states, and never above log p(v)."""
    stack = stack_of(sizes, visible=visible, activation=activation)
    v = reference_rbm.states("binary", 3)
    X = v if visible == "bernoulli" else v / stack._visible.scale + stack._visible.shift
    network = kinds_of(stack), machines_of(stack)
    bound = variational_bound(stack, X, n_samples=None)
    np.testing.assert_allclose(bound, [slow.bound(row, *network) for row in v])
    log_p = np.array([slow.network_log_likelihood(row, *network) for row in v])
    assert (bound < log_p).all()


@pytest.mark.parametrize("n_layers", [2, 3])
def test_bound_is_tight_where_the_posterior_is_exact(n_layers):
    """A machine on its own mirror image (Hinton, Osindero & Teh, 2006, section 3).

    The second machine then has the first one's distribution of hidden states, so that the
    network is the first machine, and its posterior the upward pass.
    """
    stack = stack_of((2, 3, 2)[:n_layers])
    W, b, c, _ = machines_of(stack)[0]
    for layer in range(1, n_layers):
        up = layer % 2 == 1
        stack.coefs_[layer][:] = W.T if up else W
        stack.intercepts_visible_[layer][:] = c if up else b
        stack.intercepts_hidden_[layer][:] = b if up else c
    V = reference_rbm.states("binary", 3)
    bound = variational_bound(stack, V, n_samples=None)
    np.testing.assert_allclose(bound, log_likelihood(stack, V))
    network = kinds_of(stack), machines_of(stack)
    np.testing.assert_allclose(bound, [slow.network_log_likelihood(v, *network) for v in V])


@pytest.mark.parametrize("visible, activation, sizes", NETWORKS)
def test_sampled_bound_is_unbiased(visible, activation, sizes):
    """The mean of 50 estimates within 4.5 of its deviations of the sum over all states."""
    stack = stack_of(sizes, scale=0.6, visible=visible, activation=activation)
    X = np.repeat(reference_rbm.states("binary", 3)[[1, 6]], 50, axis=0)
    exact = variational_bound(stack, X, n_samples=None)
    gaps = (variational_bound(stack, X, n_samples=20, random_state=0) - exact).reshape(2, 50)
    assert (abs(gaps.mean(axis=1)) < 4.5 * gaps.std(axis=1) / np.sqrt(50)).all()
    assert (gaps.std(axis=1) > 0).all()


def test_bound_of_one_machine_is_its_log_likelihood(trained, digits):
    """Nothing is left to be approximated."""
    for n_samples in (None, 3):
        bound = variational_bound(trained, digits, n_samples=n_samples, random_state=0)
        np.testing.assert_allclose(bound, log_likelihood(trained, digits), rtol=1e-6)


def test_bound_takes_a_given_log_partition():
    """That of the last machine, which shifts all samples."""
    stack, X = stack_of((4, 3)), reference_rbm.states("binary", 3)
    exact = variational_bound(stack, X, n_samples=None)
    log_z = exact_log_partition(stack, 1)
    for given, shift in [(log_z, 0.0), (log_z + 1.0, 1.0)]:
        shifted = variational_bound(stack, X, n_samples=None, log_partition=given)
        np.testing.assert_allclose(exact - shifted, shift, atol=1e-12)


# ---------------------------------------------------------------------------
# Errors
# ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function, args",
    [
        (exact_log_partition, ()),
        (annealed_importance_sampling, ()),
        (log_likelihood, ([[0, 1, 1]],)),
        (variational_bound, ([[0, 1, 1]],)),
    ],
)
def test_stack_must_be_a_fitted_one(function, args):
    """What is not fitted, or no stack, is told so."""
    with pytest.raises(NotFittedError):
        function(BernoulliRBMStack(), *args)
    for other in (DBNClassifier(), None):
        with pytest.raises(ValueError, match="BernoulliRBMStack"):
            function(other, *args)


@pytest.mark.parametrize(
    "function, options, message",
    [
        (exact_log_partition, {"layer": 2}, "number of layers, 2, got 2"),
        (annealed_importance_sampling, {"layer": 2}, "number of layers, 2, got 2"),
        (exact_log_partition, {"layer": -1}, "'layer'"),
        (exact_log_partition, {"layer": 0.5}, "'layer'"),
        (exact_log_partition, {"n_jobs": 0}, "n_jobs"),
        (annealed_importance_sampling, {"n_chains": 1}, "'n_chains'"),
        (annealed_importance_sampling, {"n_chains": 2.5}, "'n_chains'"),
        (annealed_importance_sampling, {"direction": "up"}, "'direction'"),
        (annealed_importance_sampling, {"betas": 1}, "'betas'"),
        (annealed_importance_sampling, {"betas": "many"}, "'betas'"),
        (annealed_importance_sampling, {"betas": [0.0, 0.7, 0.5, 1.0]}, "increasing order"),
        (annealed_importance_sampling, {"betas": [0.1, 1.0]}, "from 0 to 1"),
        (annealed_importance_sampling, {"betas": [0.0, np.nan, 1.0]}, "increasing order"),
        (annealed_importance_sampling, {"betas": [[0.0, 1.0]]}, "from 0 to 1"),
        (annealed_importance_sampling, {"X": [[0, 1]]}, "2 features"),
        (annealed_importance_sampling, {"random_state": "seed"}, "'random_state'"),
    ],
)
def test_bad_parameters_are_named(function, options, message):
    """scikit-learn's message: the parameter, the rule, the value."""
    with pytest.raises(ValueError, match=message):
        function(stack_of((2, 2)), **options)


@pytest.mark.parametrize("function", [log_likelihood, variational_bound])
def test_samples_are_checked_as_the_stack_checks_them(function):
    """And the given log Z is a number or a result."""
    stack = stack_of((2, 2))
    with pytest.raises(ValueError, match="2 features"):
        function(stack, [[0, 1]])
    with pytest.raises(ValueError, match="NaN"):
        function(stack, [[0, 1, np.nan]])
    for given in (np.inf, "exact"):
        with pytest.raises(ValueError, match="'log_partition'"):
            function(stack, [[0, 1, 1]], log_partition=given)


def test_exact_sums_of_large_machines_are_refused():
    """Both messages say what to do instead."""
    stack = stack_of((26, 26), n_features=30, visible="gaussian")
    for layer, kind in ((0, "30 Gaussian visible and 26 hidden"), (1, "26 visible and 26 hidden")):
        with pytest.raises(ValueError, match=kind + r".*annealed_importance_sampling"):
            exact_log_partition(stack, layer)
    both = stack_of((26,), n_features=30, visible=10 * BOTH)
    with pytest.raises(ValueError, match=r"30 visible \(10 of them Gaussian\) and 26 hidden"):
        exact_log_partition(both)
    with pytest.raises(ValueError, match="n_samples=None takes at most 12 units"):
        variational_bound(stack, np.zeros((1, 30)), n_samples=None)


def test_the_smaller_visible_side_is_enumerated():
    """Few visible units are enough, unless they are Gaussian."""
    stack = stack_of((40,), n_features=5)
    W, b, c, _ = machines_of(stack)[0]
    V = np.array(list(itertools.product((0.0, 1.0), repeat=5)))
    expected = slow.log_sum(V @ b + np.logaddexp(0.0, V @ W + c).sum(axis=1))
    assert exact_log_partition(stack) == pytest.approx(expected)


def test_result_is_frozen():
    """An estimate is a record."""
    result = AnnealingResult(1.0, 0.1, np.zeros(2), "forward")
    with pytest.raises(AttributeError):
        result.log_partition = 2.0


@pytest.mark.parametrize(
    "settings",
    [
        {"max_iter": 100, "annealing": 0.5, "n_iter_no_change": 100},
        {"n_gibbs_steps": 10},
        {"algorithm": "pcd"},
    ],
)
def test_learned_variances_know_more_of_new_rows(settings):
    """Than variances of 1, which are one of the values that they can take; means of seeds.

    Of features that the hidden units explain for the most part, so the gain is large.
    """
    X_train, X_test = train_test_split(load_breast_cancer().data, random_state=0)
    means = [
        np.mean(
            [
                log_likelihood(
                    BernoulliRBMStack(
                        (12,), learn_variance=learn_variance, random_state=seed, **settings
                    ).fit(X_train),
                    X_test,
                ).mean()
                for seed in range(3)
            ]
        )
        for learn_variance in (True, False)
    ]
    assert means[0] > means[1] + 0.5
