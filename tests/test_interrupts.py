"""Ctrl-C at any moment: an estimator is as after a complete epoch or as before, threads as before.

An interrupt is raised at every line of the package in turn that a call comes to, the first time
and the last time that it comes there. A signal can be heard at the beginning of a function, after
a call and at the end of a round of a loop, all of which are at the beginning or the end of a line.
"""

import collections
import copy
import functools
import os
import pathlib
import signal
import sys
import time

import numba
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from threadpoolctl import ThreadpoolController

import sk_dbn
from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor, WarmStart
from sk_dbn.likelihood import annealed_importance_sampling, log_likelihood, variational_bound
from sk_dbn.models.threads import _state as thread_state
from sk_dbn.models.threads import run_parallel, threads
from tests.tiny_package import ONE_MORE, Tiny

PACKAGE = str(pathlib.Path(sk_dbn.__file__).parent)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size`"),
    pytest.mark.filterwarnings("ignore:Parameters that have no effect"),
]

random = np.random.RandomState(0)
X = random.uniform(size=(40, 6)).astype(np.float32)
y = random.randint(0, 3, 40)


class Trace:
    """Counts how often each line of the package is come to, and interrupts at one of them.

    Parameters
    ----------
    line : tuple of a file name and a number, or None
    visit : int
        The interrupt comes at so many times.
    """

    def __init__(self, line=None, visit=0):
        self.line, self.visit, self.visits = line, visit, collections.Counter()

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            line = frame.f_code.co_filename, frame.f_lineno
            self.visits[line] += 1
            if line == self.line and self.visits[line] == self.visit:
                raise KeyboardInterrupt
        return self

    def run(self, call, *args):
        """Make the call; whether it was interrupted."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            call(*args)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False


def moments(call, make):
    """Every line that a call comes to, with the first and the last time."""
    call(make())  # compiled, and whatever else happens once
    trace = Trace()
    assert not trace.run(call, make())
    return [(line, k) for line, n in trace.visits.items() for k in sorted({1, n})]


def contents(x):
    """What an object consists of, in a form that can be compared."""
    if isinstance(x, np.ndarray):
        return x.dtype.str, x.shape, x.tobytes()
    if isinstance(x, np.random.RandomState):
        return contents(x.get_state(legacy=False))
    if isinstance(x, list | tuple):
        return [contents(part) for part in x]
    if isinstance(x, dict):
        return {name: contents(part) for name, part in x.items()}
    if type(x).__module__.startswith("sk_dbn"):
        return contents(vars(x))
    return repr(x)


# In CI every third moment of a fit, with SK_DBN_NIGHTLY=1 each: their number is large.
EVERY = 1 if os.environ.get("SK_DBN_NIGHTLY", "0") not in ("", "0") else 3
BLAS = ThreadpoolController().select(user_api="blas").lib_controllers


def thread_settings():
    blas = [library.get_num_threads() for library in BLAS]
    held = thread_state.owner, thread_state.region.locked()
    return numba.get_num_threads(), blas, held


def assert_safe(call, make, allowed, state=contents, every=EVERY):
    """Interrupt a call at every moment: it leaves one of some states, and the threads alone.

    Parameters
    ----------
    call : callable
        Given an estimator.
    make : callable
        Makes the estimator as it is before.
    allowed : list of objects
        What `state` may be afterwards.
    state : callable, default=contents
        What is looked at, given the estimator.
    every : int, default=EVERY
        Only every so many-th moment, where a call comes to very many lines. An odd number, as
        first and last times take turns.
    """
    before, n_interrupted = thread_settings(), 0
    for line, visit in moments(call, make)[::every]:
        estimator = make()
        n_interrupted += Trace(line, visit).run(call, estimator)
        assert state(estimator) in allowed, (line, visit)
        assert thread_settings() == before, (line, visit)
    assert n_interrupted > 20


# ---------------------------------------------------------------------------
# Networks
# ---------------------------------------------------------------------------


# Rates that do not depend on the number of epochs, so that a shorter fit is the beginning of one.
COMMON = {"max_iter": 2, "batch_size": 20, "learning_rate": "constant", "random_state": 0}


def network(**params):
    common = {**COMMON, "hidden_layer_sizes": (4,), "dropout": 0.2, "n_jobs": 1}
    return DeepMLPRegressor(**(common | params))


def pretrained(**params):
    stack = BernoulliRBMStack(max_iter=1, batch_size=20)
    params = {**COMMON, "pretrainer": stack, "activation": "logistic", **params}
    return DBNClassifier((4,), n_jobs=1, **params)


def but_for_the_end(estimator):
    """Its contents but for the comparison with a constant, which is made when training is over."""
    return {name: part for name, part in contents(estimator).items() if name != "_baseline"}


def of_any_length(estimator):
    """The same but for how long training was to be, which is that of the whole call."""
    result = but_for_the_end(estimator)
    result.get("_schedule", {}).pop("max_iter", None)
    result.pop("max_iter_", None)
    return result


def after_epochs(estimator, n_epochs, *args):
    """The states that calls of fit with so many epochs end in, and that before them."""
    states = [of_any_length(estimator)]
    for max_iter in range(1, n_epochs + 1):
        other = copy.deepcopy(estimator).set_params(max_iter=max_iter).fit(X, *args)
        states.append(of_any_length(other.set_params(max_iter=estimator.max_iter)))
    return states


def autoencoder(**params):
    stack = BernoulliRBMStack(max_iter=1, batch_size=20)
    return DBNAutoencoder((4, 2), **{**COMMON, "pretrainer": stack, "n_jobs": 1, **params})


@pytest.mark.parametrize("make, every", [(network, EVERY), (pretrained, 5), (autoencoder, 5)])
def test_fit_of_a_network(make, every):
    """As before or as after whole epochs, wherever it is interrupted, pre-training included."""
    states = after_epochs(make(), 2, y)
    assert_safe(lambda estimator: estimator.fit(X, y), make, states, of_any_length, every)


def going_on():
    """A network that was trained and whose random numbers belong to the caller."""
    seeds = np.random.RandomState(3)
    return network(warm_start=True, random_state=seeds, trace="batch").fit(X, y)


def test_warm_start_of_a_network():
    """What training changes in place is put back too: weights, moments, random numbers, trace."""
    fitted = going_on()
    states = after_epochs(fitted, 2, y)
    assert_safe(
        lambda estimator: estimator.fit(X, y), lambda: copy.deepcopy(fitted), states, of_any_length
    )


def test_partial_fit_of_a_network():
    """It is one epoch, complete or not at all."""
    fitted = going_on().set_params(learning_rate="cosine", max_iter=5).fit(X, y)
    after = copy.deepcopy(fitted).partial_fit(X, y)
    states = [but_for_the_end(estimator) for estimator in (fitted, after)]
    call = lambda estimator: estimator.partial_fit(X, y)  # noqa: E731
    assert_safe(call, lambda: copy.deepcopy(fitted), states, but_for_the_end)


def test_lbfgs():
    """The weights are those of a complete iteration, and what is said of them belongs to them."""
    make = lambda: network(solver="lbfgs", dropout=0.0, max_iter=3)  # noqa: E731

    def state(estimator):
        names = "coefs_", "intercepts_", "n_iter_", "loss_curve_"
        traces = [estimator.gradient_trace_.epoch] if hasattr(estimator, "coefs_") else []
        return contents([*(getattr(estimator, name, None) for name in names), *traces])

    states = [state(make())]
    for max_iter in (1, 2, 3):
        states.append(state(make().set_params(max_iter=max_iter).fit(X, y)))
    assert_safe(lambda estimator: estimator.fit(X, y), make, states, state)


# ---------------------------------------------------------------------------
# Stacks
# ---------------------------------------------------------------------------


def stack(**params):
    common = {"hidden_layer_sizes": (4,), "max_iter": 2, "batch_size": 20, "random_state": 0}
    common |= {"visible": "gaussian", "algorithm": "fpcd", "n_chains": 5, "annealing": 0.0}
    return BernoulliRBMStack(**(common | {"n_jobs": 1} | params))


@pytest.mark.parametrize("continued", [False, True])
def test_fit_of_a_stack(continued):
    """As before or as after whole epochs; chains, fast weights and random numbers go with them."""
    params = {"warm_start": True, "random_state": np.random.RandomState(3)} if continued else {}
    before = stack(**params).fit(X) if continued else stack()
    states = after_epochs(before, 2)
    assert_safe(lambda estimator: estimator.fit(X), lambda: copy.deepcopy(before), states)


def test_fit_of_several_layers():
    """Layers that were complete stay so; the one that was interrupted has whole epochs."""
    make = lambda: stack(hidden_layer_sizes=(4, 3), max_iter=[2, 2])  # noqa: E731
    ends = {n: make().set_params(max_iter=list(n)).fit(X) for n in [(1, 1), (2, 1), (2, 2)]}
    ends |= {(n, 0): ends[n, 1] for n in (1, 2)}

    def holds(estimator):
        """Whether what was reached is what as many epochs reach, trace included."""
        if not hasattr(estimator, "coefs_"):
            return contents(estimator) == contents(make())
        end, trace = ends[tuple(estimator.n_iter_)], estimator.gradient_trace_
        rows = np.isfinite(trace.weight_norm).sum(axis=0)
        norms = [np.linalg.norm(W) for W in estimator.coefs_]
        for layer, n in enumerate(estimator.n_iter_):
            mine, theirs = (contents(e._stack.rbm(layer)) for e in (estimator, end))
            if n > 0 and mine != theirs:
                return False
            if layer < len(rows) and rows[layer] != n + 1:
                return False
        last = [column[np.isfinite(column)][-1] for column in trace.weight_norm.T]
        return np.allclose(norms[: len(last)], last, rtol=1e-6)

    assert_safe(lambda estimator: estimator.fit(X), make, [True], holds, every=3)


def test_partial_fit_of_several_layers():
    """An epoch of partial_fit is one of all layers: complete or not at all."""
    fitted = stack(hidden_layer_sizes=(4, 3), max_iter=1).fit(X)
    states = [contents(fitted), contents(copy.deepcopy(fitted).partial_fit(X))]
    assert_safe(lambda estimator: estimator.partial_fit(X), lambda: copy.deepcopy(fitted), states)


# ---------------------------------------------------------------------------
# What changes nothing, and the threads
# ---------------------------------------------------------------------------

READING = {
    "transform": lambda fitted: fitted.transform(X),
    "reconstruct": lambda fitted: fitted.reconstruct(X),
    "score_samples": lambda fitted: fitted.score_samples(X),
    "sample": lambda fitted: fitted.sample(3, n_steps=2, random_state=0),
    "gibbs": lambda fitted: fitted.gibbs(X, random_state=0),
    "log_likelihood": lambda fitted: log_likelihood(fitted, X > 0.5),
    "bound": lambda fitted: variational_bound(fitted, X > 0.5, n_samples=None),
    "annealing": lambda fitted: annealed_importance_sampling(
        fitted, n_chains=4, betas=5, random_state=0
    ),
}


@pytest.mark.parametrize("name", READING)
def test_reading_changes_nothing(name):
    """Neither the estimator nor what the process may use of threads."""
    fitted = BernoulliRBMStack((4, 3), max_iter=1, batch_size=20, random_state=0).fit(X > 0.5)
    assert_safe(READING[name], lambda: fitted, [contents(fitted)], every=1)


def test_the_threads_of_a_region_are_given_back():
    """Limits and the turn in the parallel region, however the way in or out is interrupted."""
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("this process may use one thread only")

    def use(_):
        with threads(2) as run:
            assert run is run_parallel

    assert_safe(use, lambda: None, ["None"])
    use(None)


# ---------------------------------------------------------------------------
# How soon it is heard
# ---------------------------------------------------------------------------

WAIT = 0.2  # seconds that Ctrl-C may be kept waiting


def longest_wait(call):
    """For how long at most a signal that comes during a call is not heard, in seconds.

    A handler is asked for every few milliseconds, and runs when the interpreter next looks. Time
    is that of the calling thread, which other processes do not lengthen.
    """
    waits, last = [0.0], time.thread_time()

    def heard(*_):
        nonlocal last
        waits.append(time.thread_time() - last)
        last = time.thread_time()

    before = signal.signal(signal.SIGALRM, heard)
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    try:
        last = time.thread_time()
        call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    return max(waits)


def many():
    return np.random.RandomState(1).uniform(size=(30_000, 400)).astype(np.float32)


LONG = {
    "transform": lambda stack, Z: stack.transform(Z),
    "inverse_transform": lambda stack, Z: stack.inverse_transform(Z[:, :200]),
    "gibbs": lambda stack, Z: stack.gibbs(Z[:8000], random_state=0),
    "score_samples": lambda stack, Z: stack.score_samples(Z[:500]),
    "fit": lambda stack, Z: copy.deepcopy(stack).set_params(batch_size=500).fit(Z),
}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signal.setitimer")
@pytest.mark.parametrize("name", LONG)
def test_ctrl_c_is_heard_soon(name):
    """Calls that last for seconds are cut, whatever their number of samples.

    The best of a few tries counts: the caches of a core are shared with other processes.
    """
    Z = many()
    fitted = BernoulliRBMStack((400, 200), max_iter=1, batch_size=50, n_jobs=1).fit(Z[:100])
    LONG[name](fitted, Z[:300])  # compiled
    waits = []
    while len(waits) < 3 and min(waits, default=1.0) > WAIT:
        waits.append(longest_wait(lambda: LONG[name](fitted, Z)))
    assert min(waits) < WAIT


# ---------------------------------------------------------------------------
# At random moments of each phase
# ---------------------------------------------------------------------------

Z = random.uniform(size=(400, 30)).astype(np.float32)
GAPS = np.where(random.uniform(size=Z.shape) < 0.3, np.nan, Z)
classes = random.randint(0, 3, 400)

ENDLESS = {"max_iter": 10**6, "tol": 0.0, "n_iter_no_change": 10**6, "random_state": 0, "n_jobs": 1}


def endless_stack(**params):
    sizes = {"hidden_layer_sizes": (20,), "batch_size": 50}
    return BernoulliRBMStack(**{**ENDLESS, **sizes, **params})


def endless_classifier(**params):
    return DBNClassifier((20,), **{**ENDLESS, "early_stopping": False, **params})


def warm(**params):
    """A classifier whose output layer is trained first."""
    short = endless_stack(max_iter=1).fit(Z)
    return endless_classifier(pretrainer=WarmStart(short), output_layer_first=True, **params)


PHASES = {
    "contrastive divergence": (endless_stack, Z),
    "persistent chains": (lambda: endless_stack(algorithm="pt", n_temperatures=3), Z),
    "missing values": (endless_stack, GAPS),
    "pre-training": (lambda: endless_classifier(pretrainer=endless_stack()), Z),
    "output layer first": (warm, Z),
    "held-out samples": (lambda: endless_classifier(pretrainer=None, early_stopping="refit"), Z),
    "fine-tuning": (lambda: endless_classifier(pretrainer=None), Z),
    "L-BFGS": (lambda: endless_classifier(solver="lbfgs", pretrainer=None, max_fun=10**6), Z),
    "autoencoder": (lambda: DBNAutoencoder((20, 5), pretrainer=None, **ENDLESS), Z),
}


def wait_after_interrupt(call, delay):
    """Processor time from Ctrl-C, which comes after a delay, to KeyboardInterrupt; else None."""
    begin = time.process_time()
    try:
        signal.setitimer(signal.ITIMER_PROF, delay)
        call()
    except KeyboardInterrupt:
        return time.process_time() - begin - delay
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
    return None


@pytest.fixture
def interrupting():
    """The signal of the timer does what Ctrl-C does."""
    before = signal.signal(signal.SIGPROF, signal.default_int_handler)
    yield
    signal.signal(signal.SIGPROF, before)


def shortened(estimator):
    """The same with few epochs, which go on from the present weights."""
    if isinstance(getattr(estimator, "pretrainer", None), BernoulliRBMStack):
        estimator.set_params(pretrainer__max_iter=1)
    return estimator.set_params(max_iter=2, warm_start=True, n_iter_no_change=2)


def assert_usable(estimator, X):
    """It says that it is not fitted, or it predicts; and training goes on."""
    if hasattr(estimator, "coefs_"):
        assert np.isfinite(estimator.transform(X)).all()
    else:
        with pytest.raises(NotFittedError):
            estimator.transform(X)
    shortened(estimator).fit(X, classes)
    assert np.isfinite(estimator.transform(X)).all()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signal.setitimer")
@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_in_each_phase(interrupting, phase):
    """Soon after the signal, wherever that comes; then everything goes on, in the same process."""
    make, X = PHASES[phase]
    shortened(make()).fit(X, classes)  # compiled
    before, delays = thread_settings(), np.random.RandomState(len(phase)).uniform(0.002, 0.12, 3)
    for delay in delays:
        waits = []
        while len(waits) < 3 and min(waits, default=1.0) > WAIT:  # other processes share caches
            estimator = make()
            fit = functools.partial(estimator.fit, X, classes)
            waits.append(wait_after_interrupt(fit, delay))
            assert waits[-1] is not None, "training ended before"
            assert thread_settings() == before
        assert min(waits) < WAIT
        assert_usable(estimator, X)


INTERRUPTED = """
import random, signal, warnings
import numpy as np
from tiny import caller

warnings.simplefilter("ignore", ResourceWarning)  # an import of numba's is left with an open file
signal.signal(signal.SIGPROF, lambda *_: signal.raise_signal(signal.SIGINT))
delays = random.Random({seed})

def interrupted(call):
    for _ in range(8):
        try:
            signal.setitimer(signal.ITIMER_PROF, delays.uniform(0.001, 0.3))
            call()
        except KeyboardInterrupt:
            pass
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)

interrupted(lambda: caller.single(1.0))
interrupted(lambda: caller.many.serial(np.arange(3.0), np.empty(3)))
interrupted(lambda: caller.many.parallel(np.arange(3.0), np.empty(3)))
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signal.setitimer")
def test_ctrl_c_while_compiling(tmp_path):
    """numba compiles again what it had begun, and neither memory nor disk keeps half of it."""
    tiny = Tiny(tmp_path)
    assert tiny.run(INTERRUPTED.format(seed=0))[0] == ONE_MORE
    assert tiny.run()[0] == ONE_MORE
