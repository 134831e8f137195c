"""What 'auto' stands for follows from the network and its samples, and nothing else."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor, WarmStart
from sk_dbn._automatic import automatic_batch_size, automatic_learning_rate

X = np.random.default_rng(0).uniform(size=(90, 5))
Y = {DBNClassifier: (X[:, 0] > 0.5).astype(int), DeepMLPRegressor: X[:, 0] - X[:, 1]}
both = pytest.mark.parametrize("kind", Y)
SOLVERS = ("sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad")


@pytest.mark.parametrize(
    ("n_samples", "size"),
    [(1, 1), (31, 31), (32, 32), (1319, 32), (1320, 33), (8000, 200), (10**6, 200)],
)
def test_batch_size(n_samples, size):
    """A fortieth within bounds, and never more than there are."""
    assert automatic_batch_size(n_samples) == size


def test_rates_of_the_solvers():
    """Those that normalise the gradient have one rate, the others each their own."""
    rates = {s: automatic_learning_rate(s, [100] * 2, ["relu"] * 2, False, True) for s in SOLVERS}
    assert rates == {
        **dict.fromkeys(("sgd", "adagrad"), 0.1),
        **dict.fromkeys(("adam", "adamw", "nadam", "rmsprop"), 0.01),
    }


@pytest.mark.parametrize("solver", SOLVERS)
def test_rates(solver):
    """Each circumstance is one factor, and they multiply."""

    def rate(activations, is_annealed=True, is_pretrained=False, width=100, **shortcut):
        sizes = [50, *[width] * (len(activations) - 1)] if activations else []
        circumstances = is_pretrained, is_annealed
        return automatic_learning_rate(solver, sizes, activations, *circumstances, **shortcut)

    plain = rate(["relu"] * 2)
    assert rate([]) == rate(["relu"]) == rate(["tanh", "logistic"]) == plain
    for depth in (3, 8):
        assert rate(["relu"] * depth) == pytest.approx(plain * 2 / depth)
    assert rate(["logistic"] * 2) == pytest.approx(3 * plain)
    assert rate(["relu"] * 2, is_annealed=False) == pytest.approx(plain / 3)
    assert rate(["relu"] * 2, is_pretrained=True) == pytest.approx(plain / 3)
    assert rate(["relu"] * 2, width=200) == plain
    assert rate(["relu"] * 2, width=800) == pytest.approx(plain / 4)
    assert rate(["relu"] * 8, has_shortcuts=True) == plain
    together = rate(["logistic"] * 4, is_annealed=False, is_pretrained=True)
    assert together == pytest.approx(plain * 3 / 2 / 9)


@both
def test_auto_is_shown_in_fitted_attributes(kind):
    """And to give what they show is, bit by bit, the same training."""
    params = {"hidden_layer_sizes": (6, 5), "max_iter": 3, "random_state": 0}
    auto = kind(**params).fit(X, Y[kind])
    assert (auto.batch_size_, auto.learning_rate_, auto.max_iter_) == (32, "one_cycle", 3)
    assert auto.learning_rate_init_ == pytest.approx(0.03)
    assert auto.dropout_ == (0.0, 0.2 if kind is DBNClassifier else 0.0)
    names = ("batch_size", "learning_rate", "learning_rate_init", "dropout", "max_iter")
    params |= {name: getattr(auto, f"{name}_") for name in names}
    given = kind(**params).fit(X, Y[kind])
    for a, b in zip(auto.coefs_, given.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_deep_networks_have_no_dropout_unless_shortcuts_carry_the_signal():
    """Each layer adds noise; what is left of the signal after ten of them teaches nothing."""
    for n_hidden, params, expected in [(5, {}, 0.2), (6, {}, 0.0), (6, {"shortcut": True}, 0.2)]:
        network = DBNClassifier((4,) * n_hidden, max_iter=1, random_state=0, **params)
        assert network.fit(X, Y[DBNClassifier]).dropout_ == (0.0, expected)


def test_ten_layers_learn_with_defaults():
    """Who asks for depth gets it: the defaults do not stand in its way."""
    images, digits = load_digits(return_X_y=True)
    network = DBNClassifier((20,) * 10, max_iter=40, early_stopping=False, random_state=0)
    assert network.fit(images[:600] / 16, digits[:600]).score(images[:600] / 16, digits[:600]) > 0.9


def test_a_network_that_learned_before_has_a_lower_rate():
    """One that is pre-trained, or starts warm; not an output layer that is trained alone."""
    from sklearn.frozen import FrozenEstimator

    stack = BernoulliRBMStack((6, 5), max_iter=1, random_state=0).fit(X)
    starts = (None, BernoulliRBMStack(max_iter=1), WarmStart(stack), FrozenEstimator(stack))
    fits = [
        DBNClassifier((6, 5), pretrainer=start, max_iter=1).fit(X, Y[DBNClassifier])
        for start in starts
    ]
    rates = [network.learning_rate_init_ for network in fits]
    assert rates == pytest.approx([0.03, 0.01, 0.01, 0.01])
    assert fits[-1].dropout_ == (0.0, 0.0)


@both
def test_partial_fit_after_fit_goes_on_learning(kind):
    """The schedule of fit has ended near zero; that of partial_fit is constant, and is not."""
    network = kind((6, 5), max_iter=5, random_state=0).fit(X, Y[kind])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            before = np.concatenate([W.ravel() for W in network.coefs_])
            network.partial_fit(X, Y[kind])
            after = np.concatenate([W.ravel() for W in network.coefs_])
            assert np.linalg.norm(after - before) > 1e-3 * np.linalg.norm(before)
    assert network.learning_rate_ == "constant"
    assert network.learning_rate_init_ == pytest.approx(0.01)


@both
def test_what_partial_fit_begins_with_is_what_it_says(kind):
    """A rate set after fit is that of the schedule that begins; one set later has no effect."""
    network = kind((6, 5), max_iter=2, random_state=0).fit(X, Y[kind])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.set_params(learning_rate_init=0.002).partial_fit(X, Y[kind])
    assert network.learning_rate_init_ == 0.002
    with pytest.warns(UserWarning, match="learning_rate_init=0.5 has no effect"):
        network.set_params(learning_rate_init=0.5).partial_fit(X, Y[kind])
    assert network.learning_rate_init_ == 0.002


@both
def test_fit_after_partial_fit_begins_anew(kind):
    """Nothing of partial_fit's schedule or optimiser stays, not even with a warm start."""
    network = kind((6, 5), max_iter=2, random_state=0)
    fresh = kind((6, 5), max_iter=2, random_state=0).fit(X, Y[kind])
    classes = {"classes": [0, 1]} if kind is DBNClassifier else {}
    network.partial_fit(X, Y[kind], **classes).fit(X, Y[kind])
    for a, b in zip(network.coefs_, fresh.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    network.partial_fit(X, Y[kind]).set_params(warm_start=True).fit(X, Y[kind])
    assert (network.learning_rate_, network.n_iter_) == ("one_cycle", 2)


@both
def test_lbfgs_has_no_quarrel_with_the_defaults(kind):
    """Neither an error nor a warning: what it cannot do was not asked for."""
    network = kind((6,), solver="lbfgs", random_state=0, max_iter=2000, max_fun=10**5, alpha=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.fit(X, Y[kind])
        network.set_params(early_stopping=False).fit(X, Y[kind])
    assert network.dropout_ == (0.0, 0.0) and network.held_out_loss_curve_ is None


@both
def test_no_combination_with_the_defaults_fails(kind):
    """Whatever a search sets, the other parameters follow."""
    for solver in (*SOLVERS, "lbfgs"):
        for activation in ("logistic", "tanh", "relu", "selu"):
            for sizes in ((), (4,), (4,) * 3):
                for shortcut in (False, True):
                    network = kind(sizes, activation=activation, solver=solver, max_iter=2)
                    network.set_params(shortcut=shortcut, random_state=0)
                    with warnings.catch_warnings():
                        warnings.simplefilter("error")
                        warnings.simplefilter("ignore", ConvergenceWarning)
                        assert np.isfinite(network.fit(X, Y[kind]).loss_)
