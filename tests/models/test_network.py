"""The network: its parameters in one vector, its outputs, its training and trace."""

import copy
import itertools
import pickle

import numpy as np
import pytest

from sk_dbn.kernels.activations import ACTIVATIONS
from sk_dbn.models.data import Data
from sk_dbn.models.forward import shared_work
from sk_dbn.models.lbfgs import LbfgsObjective
from sk_dbn.models.network import Network
from sk_dbn.models.network_trace import NetworkRecorder
from sk_dbn.models.network_training import NetworkBuffers, OptimiserState, Training, TrainingSet
from sk_dbn.models.threads import run_parallel, run_serial, threads
from tests import reference

DTYPES = [np.float32, np.float64]
UNITS, HIDDEN = [5, 7, 4, 3], ["tanh", "relu"]


def network(dtype=np.float64, out="identity", seed=0):
    net = Network(UNITS, HIDDEN, out, dtype)
    net.theta[:] = np.random.RandomState(seed).normal(size=net.theta.size)
    return net


def training_set(dtype=np.float64, n_samples=37, weighted=True, loss="squared_error", seed=0):
    random = np.random.RandomState(seed)
    X = random.normal(size=(n_samples, 5))
    targets = random.normal(size=(n_samples, 3)).astype(dtype)
    weight = random.uniform(0.5, 2, n_samples if weighted else 0).astype(dtype)
    order = random.permutation(n_samples)
    return TrainingSet(Data(X, dtype), targets, weight, loss, order)


def optimiser(net, solver="sgd"):
    settings = {"momentum": 0.9, "nesterov": True, "beta_1": 0.9, "beta_2": 0.999}
    return OptimiserState(solver, net, **settings, epsilon=1e-8, alpha=0.1)


def forward(net, X):
    parts = [[p.astype(float) for p in kind] for kind in (net.coefs, net.intercepts)]
    names = {code: name for name, code in ACTIVATIONS.items()}
    return reference.forward(X, *parts, [names[code] for code in net.codes])[1]


def assert_views(net):
    """Weights and biases tile the vector: nothing overlaps, nothing is left over."""
    marks = np.arange(net.theta.size)
    net.theta[:] = marks
    parts = [part.ravel() for pair in zip(net.coefs, net.intercepts) for part in pair]
    assert np.array_equal(np.concatenate(parts), marks)
    assert [W.shape for W in net.coefs] == list(itertools.pairwise(UNITS))
    assert all(np.shares_memory(part, net.theta) for part in parts)
    net.coefs[1][2, 3] = -1
    assert (net.theta == -1).sum() == 1


# ---------------------------------------------------------------------------
# Parameters
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters_are_views_of_one_vector(dtype):
    """Writing a weight writes the vector, and the other way round."""
    net = network(dtype)
    assert net.theta.dtype == dtype and net.n_layers == 3
    assert_views(net)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_copies_are_whole(duplicate):
    """A copy has the same parameters, in a vector of its own with views of its own."""
    net = network()
    again = duplicate(net)
    assert np.array_equal(again.theta, net.theta)
    assert not np.shares_memory(again.theta, net.theta)
    data = Data(np.random.RandomState(1).normal(size=(6, 5)), np.float64)
    assert np.array_equal(again.outputs(run_serial, data), net.outputs(run_serial, data))
    assert_views(again)


@pytest.mark.parametrize("n_hidden", [0, 1, 2, 5])
def test_shortcuts_are_counted(n_hidden):
    """Between successive hidden layers, one fewer than there are; copies have them too."""
    units, names = [3, *[4] * n_hidden, 2], ["tanh"] * n_hidden
    branch = {0: 0.0, 1: 0.0, 2: 1.0, 5: 0.25}[n_hidden]
    net = Network(units, names, "identity", np.float64, shortcut=True)
    for twin in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net.astype(np.float32)):
        assert twin.layers.branch == branch and twin.shortcut
    plain = Network(units, names, "identity", np.float64)
    assert plain.layers.branch == 0.0 and not plain.shortcut


def test_pickle_holds_the_parameters_once():
    """The views are rebuilt, so a pickle is no larger than the vector and a little more."""
    net = Network([100, 200, 10], ["relu"], "softmax", np.float32)
    assert len(pickle.dumps(net)) < net.theta.nbytes + 2000


@pytest.mark.parametrize("dtype", DTYPES)
def test_astype(dtype):
    """Another precision is another network; the present one is the network itself."""
    net = network(dtype)
    assert net.astype(dtype) is net
    other = net.astype(np.float32 if dtype == np.float64 else np.float64)
    assert other.theta.dtype != dtype
    np.testing.assert_allclose(other.theta, net.theta, rtol=1e-7)
    before = net.theta.copy()
    assert_views(other)
    assert np.array_equal(net.theta, before)


# ---------------------------------------------------------------------------
# Outputs
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_rows", [1, 5, 32, 33, 300, 1700])
def test_outputs(n_rows, dtype):
    """Every layer's activations for every row, in the network's precision."""
    net = network(dtype)
    X = np.random.RandomState(0).normal(size=(n_rows, 5))
    values = forward(net, X)
    for n_layers, expected in zip((0, 1, 2, 3, None), (*values, values[-1]), strict=True):
        out = net.outputs(run_serial, Data(X, dtype), n_layers)
        assert out.dtype == dtype
        tolerance = 1e-3 if dtype == np.float32 else 1e-11
        np.testing.assert_allclose(out, expected, tolerance, tolerance)


@pytest.mark.parametrize("n_rows", [64, 200, 1000])
def test_blocks_of_rows_are_the_same_for_all_threads(n_rows):
    """Serial and parallel predictions are equal to the bit, and so few rows are shared."""
    net, X = Network([400, 500, 3], ["tanh"], "identity", np.float64), np.zeros((n_rows, 400))
    for values in (net.theta, X):
        values[:] = np.random.RandomState(0).normal(size=values.shape)
    assert shared_work(net.layers, n_rows) > 0
    assert shared_work(net.layers, 32) == 0
    with threads(2) as run:
        shared = net.outputs(run, Data(X, np.float64))
    assert np.array_equal(shared, net.outputs(run_serial, Data(X, np.float64)))


def test_outputs_of_chosen_rows():
    """Rows in the order asked for, as often as asked for."""
    net, X = network(), np.random.RandomState(0).normal(size=(30, 5))
    rows = np.array([7, 7, 0, 29])
    out = net.outputs(run_serial, Data(X, np.float64), rows=rows)
    np.testing.assert_allclose(out, forward(net, X[rows])[-1], rtol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_alone_agrees_with_its_batch(dtype):
    """A row's result does not depend on the rows beside it, but for rounding."""
    net, X = network(dtype), np.random.RandomState(0).normal(size=(400, 5))
    whole = net.outputs(run_serial, Data(X, dtype))
    alone = [net.outputs(run_serial, Data(X[i : i + 1], dtype)) for i in range(0, 400, 57)]
    tolerance = 200 * np.finfo(dtype).eps
    np.testing.assert_allclose(np.vstack(alone), whole[::57], tolerance, tolerance)


def test_outputs_on_threads_are_equal():
    """Many rows go to threads; the bits are those of the serial twin."""
    net = Network([60, 80, 3], ["tanh"], "softmax", np.float32)
    net.theta[:] = np.random.RandomState(0).normal(size=net.theta.size)
    data = Data(np.random.RandomState(1).normal(size=(3000, 60)), np.float32)
    assert np.array_equal(net.outputs(run_serial, data), net.outputs(run_parallel, data))


# ---------------------------------------------------------------------------
# Training sets, loss, objective
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_of_outputs(weighted, loss):
    """The reported loss: a weighted mean over rows and, for squared errors only, over outputs."""
    part = training_set(weighted=weighted, loss=loss)
    part.targets[:] = np.abs(part.targets)
    part.order = part.order[:20]
    weight = part.sample_weight[part.order] if weighted else np.ones(20)
    outputs = np.random.RandomState(5).uniform(0.5, 2, size=(20, 3))
    expected = reference.mean_loss(loss, outputs, part.targets[part.order], weight)
    factor = 1 / 3 if loss == "squared_error" else 1
    assert part.loss_of(outputs) == pytest.approx(factor * expected)
    assert part.total_weight == pytest.approx(weight.sum())


def test_loss_of_rows_that_do_not_count_is_zero():
    """A mean over nothing is reported as nothing rather than raised as a division by zero."""
    part = training_set()
    part.sample_weight[:] = 0
    assert part.loss_of(np.ones((37, 3))) == 0


@pytest.mark.parametrize("n_samples", [1, 31, 33, 1000, 20_000])
def test_probe(n_samples):
    """A few rows of those trained on, from all over the order, always the same ones."""
    part = training_set(n_samples=n_samples)
    part.order = np.random.RandomState(0).permutation(n_samples)
    probe = part.probe
    assert min(n_samples, 32) <= len(probe) <= 256
    assert len(np.unique(probe)) == len(probe)
    assert probe[0] == part.order[0] and probe[-1] == part.order[-1]
    assert np.array_equal(probe, part.probe)


@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_lbfgs_objective_is_consistent(alpha):
    """Its gradient, penalty included, is the central difference of its value."""
    net, part = network(seed=2), training_set()
    objective = LbfgsObjective(run_serial, net, part, alpha, None)
    theta, h = net.theta.copy(), 1e-6
    value, gradient = objective(theta)
    gradient = gradient.copy()
    numerical = np.empty_like(theta)
    for k in range(theta.size):
        step = np.zeros_like(theta)
        step[k] = h
        numerical[k] = (objective(theta + step)[0] - objective(theta - step)[0]) / (2 * h)
    np.testing.assert_allclose(gradient, numerical, rtol=1e-6, atol=1e-7)
    X, w = part.data.X[part.order], part.sample_weight[part.order]
    net.theta[:] = theta
    data_loss = reference.mean_loss(
        "squared_error", forward(net, X)[-1], part.targets[part.order], w
    )
    penalty = 0.5 * alpha / w.sum() * sum((W**2).sum() for W in net.coefs)
    assert value == pytest.approx(data_loss + penalty)
    assert objective.reported(theta) == pytest.approx(data_loss / 3 + penalty)


# ---------------------------------------------------------------------------
# Training and its trace
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "adam", "nadam"])
def test_compiled_calls_of_any_length_train_alike(solver):
    """How many minibatches a call takes follows the clock; the result must not."""
    results = []
    for per_call in (1, 3, 1000):
        net, part = network(), training_set()
        training = Training(net, part, optimiser(net, solver), 4)
        losses = []
        for _ in range(3):
            training._pace._per_call = per_call
            losses.append(training.epoch(run_serial, part.order, 0.01))
        results.append((net.theta, losses))
    for theta, losses in results[1:]:
        assert np.array_equal(theta, results[0][0])
        np.testing.assert_allclose(losses, results[0][1], rtol=1e-13)


@pytest.mark.parametrize("each_batch", [False, True])
def test_trace(each_batch):
    """Norms of an epoch are means over its minibatches; weights and health are at its end."""
    net, part = network(), training_set()
    training, recorder = Training(net, part, optimiser(net), 10), NetworkRecorder(each_batch)
    weights = [[np.linalg.norm(W) for W in net.coefs]]
    recorder.record_start(run_serial, net, part, 10)
    for _ in range(3):
        training.epoch(run_serial, part.order, 0.01, recorder)
        weights.append([np.linalg.norm(W) for W in net.coefs])
    trace = recorder.trace()
    n_batches = 4 if each_batch else 1
    expected = np.arange(3 * n_batches + 1) / n_batches
    assert np.array_equal(trace.epoch, expected)
    np.testing.assert_allclose(trace.weight_norm[::n_batches], weights, rtol=1e-12)
    assert not trace.update_ratio[0].any() and trace.update_ratio[1:].all()
    activations = forward(net, part.data.X[part.probe])[1:]
    np.testing.assert_allclose(trace.activation_mean[-1], [a.mean() for a in activations])
    np.testing.assert_allclose(trace.activation_std[-1], [a.std() for a in activations])


def test_tracing_does_not_change_training():
    """Traced by epoch, by minibatch or not at all, from the first row on: the same weights."""
    thetas = []
    for each_batch in (None, False, True):
        net, part = network(), training_set()
        training = Training(net, part, optimiser(net, "adam"), 10)
        recorder = None if each_batch is None else NetworkRecorder(each_batch)
        if recorder is not None:
            recorder.record_start(run_serial, net, part, 10)
        for _ in range(3):
            training.epoch(run_serial, part.order, 0.01, recorder)
        thetas.append(net.theta)
    assert np.array_equal(thetas[0], thetas[1]) and np.array_equal(thetas[0], thetas[2])


def test_epoch_norms_are_the_mean_of_minibatch_norms():
    """Both traces see the same minibatches."""
    traces = []
    for each_batch in (False, True):
        net, part = network(), training_set()
        training, recorder = Training(net, part, optimiser(net), 10), NetworkRecorder(each_batch)
        for _ in range(2):
            training.epoch(run_serial, part.order, 0.01, recorder)
        traces.append(recorder.trace())
    by_epoch, by_batch = traces
    for name in ("weight_grad_norm", "bias_grad_norm", "update_ratio"):
        means = getattr(by_batch, name).reshape(2, 4, 3).mean(axis=1)
        np.testing.assert_allclose(getattr(by_epoch, name), means, rtol=1e-12)


def test_first_row_of_the_trace_is_the_gradient_at_the_start():
    """Row 0 is measured on the probe, before any update: norms of the data's gradient."""
    net, part = network(), training_set(n_samples=20)
    theta = net.theta.copy()
    recorder = NetworkRecorder(False)
    recorder.record_start(run_serial, net, part, 20)
    assert np.array_equal(net.theta, theta)
    rows = part.probe
    samples = part.data.X[rows], part.targets[rows], part.sample_weight[rows]
    gradients = reference.backward(*samples, net.coefs, net.intercepts, HIDDEN, "squared_error")
    trace = recorder.trace()
    for measured, parts in zip((trace.weight_grad_norm, trace.bias_grad_norm), gradients):
        np.testing.assert_allclose(measured[0], [np.linalg.norm(g) for g in parts], rtol=1e-10)


def test_work_is_cut_by_shape():
    """Small work in one piece, larger work in pieces that depend on units and rows alone."""
    small, large = Network([5, 3], [], "identity", np.float32), network(np.float32)
    assert NetworkBuffers(small, 10).is_small and NetworkBuffers(large, 10).is_small
    wide = Network([784, 500, 10], ["relu"], "softmax", np.float32)
    bench = NetworkBuffers(wide, 200)
    assert not bench.is_small
    assert 1 < len(bench.work.row_sums) <= 16 and 1 < len(bench.work.layer_sums) <= 16
