"""How long to train is read off samples that were held out."""

import os
import signal
import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sk_dbn import DBNClassifier, DeepMLPRegressor
from sk_dbn._duration import enough_epochs, split_by_target
from sk_dbn.models.data import Data
from sk_dbn.models.network_training import TrainingSet

# ---------------------------------------------------------------------------
# Which samples are held out
# ---------------------------------------------------------------------------


def parts(targets, seed=0, order=None):
    """The orders of the two parts, of a training set with these targets."""
    targets = np.asarray(targets, dtype=float).reshape(len(targets), -1)
    order = np.arange(len(targets)) if order is None else order
    whole = TrainingSet(None, targets, np.empty(0), "squared_error", order)
    return [part.order for part in split_by_target(whole, np.random.RandomState(seed))]


@pytest.mark.parametrize("n", [100, 101, 149, 150, 151, 499, 500, 501, 777, 5000])
def test_parts_are_disjoint_and_cover_all(n):
    """A tenth, but at least 50 and at most a third, or one more or less for rounding."""
    for seed in range(5):
        train, held_out = parts(np.random.RandomState(seed).normal(size=n), seed)
        np.testing.assert_array_equal(np.sort(np.r_[train, held_out]), np.arange(n))
        assert abs(len(held_out) - min(max(0.1 * n, 50), n / 3)) <= 1


def test_parts_keep_the_order():
    """Without shuffling, samples are visited as they were given, repeats beside each other."""
    order = np.repeat(np.random.RandomState(0).permutation(200), 2)
    train, held_out = parts(np.arange(200.0), order=order)
    at = np.argsort(order[::2])  # where each sample stands
    for part in (train, held_out):
        assert (np.diff(at[part]) >= 0).all()
    np.testing.assert_array_equal(np.sort(np.r_[train, held_out]), np.sort(order))


def test_targets_are_spread_alike():
    """Between two held-out samples, by target, there are always as many of the others, or one more.

    So their distribution functions are nowhere further apart than one such step.
    """
    y = np.random.RandomState(0).standard_cauchy(1000)
    for seed in range(5):
        _, held_out = parts(y, seed)
        ranks = np.argsort(np.argsort(y))[held_out]
        assert set(np.diff(np.sort(ranks))) <= {10}


def test_classes_are_spread_alike():
    """Each has its share, but for one sample; a class of one sample is no error."""
    y = np.repeat([0, 1, 2, 3], [1, 40, 300, 659])
    for seed in range(20):
        train, held_out = parts(y, seed)
        counts = np.bincount(y[held_out].astype(int), minlength=4)
        assert (abs(counts - np.bincount(y) / 10) <= 1).all()


def test_equal_targets_are_drawn_at_random():
    """Of a constant, any sample may be held out; the same seed holds out the same ones."""
    drawn = [frozenset(parts(np.zeros(300), seed)[1].tolist()) for seed in range(50)]
    assert len(set(drawn)) == 50 and frozenset.union(*drawn) == frozenset(range(300))
    assert frozenset(parts(np.zeros(300), 7)[1].tolist()) == drawn[7]


def test_every_sample_may_be_held_out():
    """Also where no targets are equal: which ones depends on where the counting starts."""
    drawn = [parts(np.arange(100.0), seed)[1] for seed in range(60)]
    assert set(np.concatenate(drawn)) == set(range(100))


# ---------------------------------------------------------------------------
# How many epochs are enough
# ---------------------------------------------------------------------------

FALLING = np.exp(-np.arange(100) / 30)
U_SHAPED = (np.arange(100) - 40.0) ** 2  # its moving average is smallest at the same epoch


@pytest.mark.parametrize("losses", [FALLING, FALLING - 5, np.ones(100), [3.0], [2.0, 1.0]])
def test_all_epochs_where_the_loss_does_not_rise(losses):
    """Also where it is negative, or where there is one epoch."""
    for is_planned in (True, False):
        assert enough_epochs(losses, np.ones(len(losses)), is_planned=is_planned) == len(losses)


def test_a_rise_that_is_small_is_none():
    """A hundredth of the range, that of noise."""
    epochs = np.arange(100)
    for risen, n_epochs in ((0.005, 100), (0.02, np.ceil(1.5 * 43))):
        losses = np.maximum(40 - epochs, 0) / 40 + risen * (epochs > 60)
        assert enough_epochs(losses, np.ones(100)) == n_epochs


@pytest.mark.parametrize("shift", [0.0, -1e4, 1e4])
def test_one_and_a_half_times_the_rates_up_to_the_best_epoch(shift):
    """Epoch 41 of 100: of equal rates the sum is 41, of rates 1, 2, 3, ... it is 861 of 5050."""
    losses = U_SHAPED + shift
    assert enough_epochs(losses, np.full(100, 0.01)) == np.ceil(1.5 * 41)
    assert enough_epochs(losses, np.arange(1.0, 101)) == np.ceil(1.5 * 861 / 5050 * 100)


def test_schedules_without_an_end_are_not_shortened():
    """After n epochs they have had the first n rates: as many as sum up to 1.5 times 861."""
    rates = np.arange(1.0, 101)
    n = enough_epochs(U_SHAPED, rates, is_planned=False)
    assert rates[: n - 1].sum() < 1.5 * 861 <= rates[:n].sum()
    assert enough_epochs(U_SHAPED, np.ones(100), is_planned=False) == 62


def test_bounds():
    """At least ten epochs, or all where there are fewer; never more than all."""
    rising, late = np.arange(100.0), np.r_[np.arange(100.0, 5, -1), 20.0, 40.0, 60.0, 80.0, 99.0]
    for is_planned in (True, False):
        assert enough_epochs(rising, np.ones(100), is_planned=is_planned) == 10
        assert enough_epochs(rising[:7], np.ones(7), is_planned=is_planned) == 7
        assert enough_epochs(late, np.ones(100), is_planned=is_planned) == 100


def test_a_single_lucky_epoch_is_not_the_best():
    """The mean of five neighbours decides."""
    losses = U_SHAPED.copy()
    losses[5] = -100.0
    assert enough_epochs(losses, np.ones(100)) == enough_epochs(U_SHAPED, np.ones(100))


# ---------------------------------------------------------------------------
# early_stopping='refit'
# ---------------------------------------------------------------------------

both = pytest.mark.parametrize("kind", [DBNClassifier, DeepMLPRegressor])


def data(kind, n=200, seed=0):
    """Eight features, of which two matter."""
    X = np.random.default_rng(seed).normal(size=(n, 8))
    z = X[:, 0] - X[:, 1]
    return X, np.digitize(z, [-0.8, 0.8]) if kind is DBNClassifier else z


def make(kind, **params):
    """A network with the defaults, but small."""
    return kind(**({"hidden_layer_sizes": (20,), "max_iter": 30, "random_state": 0} | params))


def parameters(network):
    return np.concatenate([p.ravel() for p in [*network.coefs_, *network.intercepts_]])


@both
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_trained_on_for_long(kind, seed):
    """Where X tells nothing of y there is nothing but to overfit."""
    X, y = data(kind)
    y = np.random.RandomState(seed).permutation(y)
    network = make(kind, max_iter=100, random_state=seed).fit(X, y)
    assert network.n_iter_ == network.max_iter_ == len(network.loss_curve_) < 60
    assert len(network.held_out_loss_curve_) == 100


@both
@pytest.mark.parametrize("seed", range(3))
def test_clean_targets_are_trained_on_to_the_end(kind, seed):
    """A linear rule without noise cannot be overfitted by much."""
    X, y = data(kind, seed=seed)
    network = make(kind, dropout=0.0, random_state=seed).fit(X, y)
    assert network.n_iter_ == network.max_iter_ == 30


@both
@pytest.mark.parametrize("params", [{}, {"dropout": 0.0}, {"shuffle": False}], ids=str)
def test_refitting_is_a_fit_of_so_many_epochs(kind, params, monkeypatch):
    """Bit by bit that without a first pass, from the same random numbers.

    The first pass trains a copy, so all that it leaves behind is max_iter_ and a random state that
    has drawn more; a fit whose first pass draws as much and is not looked at is the same.
    """
    X, y = data(kind)
    X, y = X[:150], np.random.RandomState(0).permutation(y[:150])
    refitted = make(kind, max_iter=60, **params).fit(X, y)
    assert refitted.max_iter_ < 60
    states = []
    first_pass = kind._first_pass

    def listen(self, *args):
        found = first_pass(self, *args)
        states.append(self._random_state.get_state())
        return found

    monkeypatch.setattr(kind, "_first_pass", listen)
    make(kind, max_iter=60, **params).fit(X, y)
    monkeypatch.setattr(
        kind,
        "_choose_max_iter",
        lambda self, *args: (
            self._random_state.set_state(states[0]),
            setattr(self, "max_iter_", self.max_iter),
        ),
    )
    plain = make(kind, max_iter=refitted.max_iter_, early_stopping=False, **params).fit(X, y)
    np.testing.assert_array_equal(parameters(plain), parameters(refitted))
    assert plain.loss_curve_ == refitted.loss_curve_


@both
def test_given_validation_samples_are_those_held_out(kind):
    """All others are trained on in both passes; the curve is then that of their loss."""
    X, y = data(kind)
    network = make(kind).fit(X[:120], y[:120], X_val=X[120:], y_val=y[120:])
    assert len(network.held_out_loss_curve_) == 30
    assert len(network.validation_loss_curve_) == network.n_iter_
    few = make(kind).fit(X[:50], y[:50], X_val=X[120:], y_val=y[120:])
    assert few.held_out_loss_curve_ is not None


@both
def test_of_few_samples_none_are_held_out(kind):
    """Of 99 all are trained on for all epochs, counted by their weights."""
    X, y = data(kind)
    assert make(kind).fit(X[:99], y[:99]).held_out_loss_curve_ is None
    assert make(kind).fit(X[:100], y[:100]).held_out_loss_curve_ is not None
    w = np.arange(120) < 99
    assert make(kind).fit(X[:120], y[:120], sample_weight=w).held_out_loss_curve_ is None


@both
def test_weights_are_repeats_in_the_first_pass_too(kind):
    """A weight of two is the same as listing a sample twice, zero the same as leaving it out."""
    X, y = data(kind, 150)
    w = np.random.RandomState(0).randint(4, size=150)
    weighted = make(kind, max_iter=5).fit(X, y, sample_weight=w)
    listed = make(kind, max_iter=5).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    np.testing.assert_array_equal(parameters(weighted), parameters(listed))
    assert weighted.held_out_loss_curve_ == listed.held_out_loss_curve_


@both
def test_weights_that_are_no_counts_weigh_the_held_out_loss(kind, monkeypatch):
    """It is the mean that they weigh; in other units than theirs nothing changes."""
    X, y = data(kind)
    w = np.random.RandomState(0).uniform(0.1, 2, size=200)
    seen, loss_by = [], TrainingSet.loss_by

    def listen(self, run, network):
        alone = [replace(self, order=self.order[[i]]) for i in range(len(self.order))]
        losses = [loss_by(one, run, network) for one in alone]
        seen.append(np.average(losses, weights=w[self.order]))
        return loss_by(self, run, network)

    monkeypatch.setattr(TrainingSet, "loss_by", listen)
    params = {"max_iter": 3, "alpha": 0.0}
    curve = make(kind, **params).fit(X, y, sample_weight=w).held_out_loss_curve_
    np.testing.assert_allclose(curve, seen, rtol=1e-5)
    again = make(kind, **params).fit(X, y, sample_weight=1024 * w).held_out_loss_curve_
    np.testing.assert_allclose(again, curve, rtol=1e-5)


@both
@pytest.mark.parametrize("trace", ["epoch", "batch", None])
def test_the_first_pass_leaves_no_trace(kind, trace):
    """Losses, trace, counts and what training goes on with are those of the second."""
    X, y = data(kind)
    network = make(kind, trace=trace, max_iter=12).fit(X, y)
    n = network.max_iter_
    assert len(network.loss_curve_) == network.n_iter_ == n and network.t_ == 200 * n
    if trace is not None:
        per_epoch = 7 if trace == "batch" else 1  # batches of 32 of 200 samples
        assert len(network.gradient_trace_.epoch) == 1 + n * per_epoch


@both
def test_threads_do_not_change_a_bit(kind):
    """Of either pass."""
    X, y = data(kind)
    one, two = (make(kind, n_jobs=n, hidden_layer_sizes=(130, 90)) for n in (1, 2))
    one.set_params(max_iter=3).fit(X, y), two.set_params(max_iter=3).fit(X, y)
    np.testing.assert_array_equal(parameters(one), parameters(two))
    assert one.held_out_loss_curve_ == two.held_out_loss_curve_


@both
@pytest.mark.parametrize("params", [{"max_iter": 1}, {"shuffle": False}, {"warm_start": True}])
def test_edges(kind, params):
    """One epoch, no shuffling; training that goes on holds out no samples it has seen before."""
    X, y = data(kind)
    network = make(kind, **params).fit(X, y)
    assert np.isfinite(network.held_out_loss_curve_).all()
    assert network.fit(X, y).n_iter_ == network.max_iter_ <= network.max_iter
    if network.warm_start:
        assert network.held_out_loss_curve_ is None and network.n_iter_ == network.max_iter


def test_targets_of_every_form():
    """Constant, several outputs, several labels, a class of one sample, and samples without one."""
    X, z = data(DeepMLPRegressor)
    rare = np.r_[2, (z[1:] > 0).astype(int)]
    few = np.where(np.arange(200) < 120, (z > 0).astype(int), -1)
    for kind, y, params in [
        (DeepMLPRegressor, np.ones(200), {}),
        (DeepMLPRegressor, np.column_stack([z, X[:, 2]]), {}),
        (DBNClassifier, np.column_stack([z > 0, X[:, 2] > 0]).astype(int), {}),
        (DBNClassifier, rare, {}),
        (DBNClassifier, few, {"unlabeled": -1}),
    ]:
        for seed in range(4):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                network = make(kind, max_iter=5, random_state=seed, **params).fit(X, y)
            assert np.isfinite(network.held_out_loss_curve_).all()


@both
@pytest.mark.parametrize("name", ["cosine", "one_cycle", "constant", "adaptive"])
def test_max_iter_that_was_chosen_is_no_failure_to_converge(kind, name):
    """No warning that max_iter was reached, since it was not: held-out samples said so."""
    X, y = data(kind)
    y = np.random.RandomState(0).permutation(y)
    network = make(kind, learning_rate=name, max_iter=100, n_iter_no_change=np.inf)
    network.set_params(learning_rate_init=0.03, dropout=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        network.fit(X, y)
    assert network.n_iter_ == network.max_iter_ < 100


@both
def test_warm_up_shrinks_with_the_schedule(kind):
    """Both are in time relative to the whole; a schedule that it leaves no epoch is an error."""
    X, y = data(kind)
    y = np.random.RandomState(0).permutation(y)
    network = make(kind, max_iter=100, warmup_epochs=50).fit(X, y)
    assert network.max_iter_ < 100
    assert network._schedule.warmup_epochs == pytest.approx(network.max_iter_ / 2)
    assert network._schedule.rates(10).max() < 1e-3 * network.learning_rate_init_  # after its end
    with pytest.raises(ValueError, match="warmup_epochs must be less than max_iter=30 .*one_cycle"):
        make(kind, warmup_epochs=30).fit(X, y)


@both
def test_divergence_in_the_first_pass(kind):
    """Ends it; then training itself diverges, says so, and keeps the weights it began with."""
    X, y = data(kind)
    network = make(kind, activation="relu", solver="sgd", learning_rate_init=1e30, dropout=0.0)
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 1"):
        network.fit(X, y)
    assert len(network.held_out_loss_curve_) < 30 and network.max_iter_ == 30
    assert np.isfinite(parameters(network)).all()


@both
@pytest.mark.parametrize("is_fitted", [False, True])
def test_an_interrupt_in_the_first_pass_changes_nothing(kind, is_fitted, monkeypatch):
    """The estimator is as it was before fit: fitted or not, with all its attributes."""
    X, y = data(kind)
    network = make(kind, warm_start=True, max_iter=4)
    if is_fitted:
        network.fit(X, y)
    before, theta = vars(network).copy(), parameters(network).copy() if is_fitted else None
    calls = []

    def interrupt(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return np.zeros(1)

    monkeypatch.setattr(TrainingSet, "loss_of", lambda self, *_: float(interrupt()[0]))
    with pytest.raises(KeyboardInterrupt):
        network.fit(X, y, X_val=X[:20], y_val=y[:20])  # which has a first pass also when it goes on
    assert vars(network).keys() == before.keys()
    assert all(vars(network)[name] is value for name, value in before.items())
    if is_fitted:
        np.testing.assert_array_equal(parameters(network), theta)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_a_signal_in_the_first_pass_changes_nothing():
    """A real Ctrl-C, while a compiled epoch runs."""
    X, y = data(DeepMLPRegressor, 3000)
    network = make(DeepMLPRegressor, hidden_layer_sizes=(200, 200), max_iter=10**5)
    before = vars(network).copy()
    make(DeepMLPRegressor, hidden_layer_sizes=(200, 200), max_iter=1).fit(X, y)  # compile
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    # A process in the background may ignore it.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            network.fit(X, y)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, handler)
    assert vars(network) == before


@both
def test_verbose_tells_of_both_passes(kind, capsys):
    """Which one an epoch is of can be seen."""
    X, y = data(kind)
    make(kind, max_iter=2, verbose=True).fit(X, y)
    told = capsys.readouterr().out.splitlines()
    is_first = ["Held-out samples, epoch" in line for line in told]
    assert is_first == [True, True, False, False] and all("of 2, loss = " in line for line in told)


def test_data_of_a_kind_is_read_where_it_lies():
    """The first pass trains on the rows of one data object, and copies none of them."""
    X = np.random.RandomState(0).normal(size=(200, 3))
    whole = TrainingSet(Data(X, np.float32), X[:, :1], np.empty(0), "squared_error", np.arange(200))
    for part in split_by_target(whole, np.random.RandomState(0)):
        assert part.data is whole.data and part.targets is whole.targets
