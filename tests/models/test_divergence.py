"""The divergence check: losses that cannot recover, losses at the end, and good weights."""

import numpy as np
import pytest

from sk_dbn.models.data import Data
from sk_dbn.models.divergence import MUCH_WORSE, DivergenceCheck
from sk_dbn.models.network import Network
from sk_dbn.models.network_training import TrainingSet
from sk_dbn.models.threads import run_serial


def divergence_check(y, W=2.0, dtype="float64", loss="squared_error", **params):
    """Of a linear network of one weight on three rows of 1."""
    out = {"squared_error": "identity", "poisson": "exp"}[loss]
    network = Network([1, 1], [], out, np.dtype(dtype))
    network.theta[0] = W
    X, targets = np.ones((3, 1)), np.full((3, 1), y, dtype)
    rows = Data(X, dtype), targets, np.empty(0, dtype), loss, np.arange(3)
    return DivergenceCheck(run_serial, network, TrainingSet(*rows), **params)


@pytest.mark.parametrize(
    ("y", "W", "size"),
    [(3.0, 2.0, 4.5), (0.0, 2.0, 2.0), (1e6, 2.0, 0.5e12), (3.0, 1e6, 0.5 * (1e6 - 3.0) ** 2)],
    ids=["the answer zero", "the beginning", "large targets", "large first outputs"],
)
def test_size_is_the_larger_loss(y, W, size):
    """Half the squared error of the answer zero, and of the weights that training begins with."""
    assert divergence_check(y, W).reference_loss == pytest.approx(size)


def test_later_calls_are_held_against_the_first():
    """A call of partial_fit that begins badly makes nothing better of it."""
    assert divergence_check(3.0, 1e6, at_least=7.0).reference_loss == 7.0
    assert divergence_check(3.0, 1e6, at_least=1.0).reference_loss == 4.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_hopeless_and_what_is_no_result(dtype):
    """Errors of 1 / eps times the usual ones; a loss a hundred times as large at the end."""
    of = divergence_check(3.0, dtype=dtype)
    rounding = 1.0 / np.finfo(dtype).eps ** 2
    for loss in (np.nan, np.inf, 4.6 * rounding):
        assert of.is_unrecoverable(loss) and of.is_too_large(loss)
    for loss in (0.0, 4.4 * MUCH_WORSE):
        assert not of.is_unrecoverable(loss) and not of.is_too_large(loss)
    assert of.is_too_large(4.6 * MUCH_WORSE) and not of.is_unrecoverable(4.6 * MUCH_WORSE)


def test_where_there_is_nothing_to_compare_with():
    """Targets of zero and a network that says so: whatever is finite is within bounds."""
    of = divergence_check(0.0, 0.0)
    assert of.reference_loss == 0.0
    assert not of.is_too_large(1.0) and not of.is_unrecoverable(1e300)
    assert of.is_too_large(np.inf) and of.is_too_large(np.nan)


def test_infinite_outputs_have_no_loss():
    """Whatever the formula of the loss makes of them."""
    of = divergence_check(3.0, loss="poisson")
    assert of.loss_of(np.array([1e4, 0.0])) == np.inf
    assert np.isfinite(of.loss_of(np.array([1.0, 0.0])))
    assert divergence_check(3.0, W=1e4, loss="poisson").reference_loss == pytest.approx(
        of.reference_loss, rel=1
    )


def test_the_last_weights_that_were_no_worse_are_kept():
    """Those before an epoch whose loss was: the epoch's own updates come after its losses."""
    of = divergence_check(3.0)
    assert of.is_first and of.good.tolist() == [2.0, 0.0]
    of.end_epoch(4.0, np.array([2.0, 0.0]))
    assert of.is_first
    of.end_epoch(4.0, np.array([2.5, 0.0]))
    assert not of.is_first and of.good.tolist() == [2.5, 0.0]
    for loss in (1e9, np.nan):
        of.end_epoch(loss, np.array([99.0, 0.0]))
    assert of.good.tolist() == [2.5, 0.0]
