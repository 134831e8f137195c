"""All or nothing: what a failing block did to an estimator is undone."""

from types import SimpleNamespace

import numpy as np
import pytest

from sk_dbn.models.transaction import Checkpoint, transaction


def model():
    """An object with each kind of attribute that training changes in place."""
    array, random = np.arange(3.0), np.random.RandomState(0)
    return SimpleNamespace(array=array, random=random, memory=SimpleNamespace(step=0, rows=[1, 2]))


def train(x):
    """Change all of it, in place where it can be."""
    x.array[:] = 7
    x.random.uniform()
    x.memory.step += 1
    x.memory.rows.append(3)
    x.new = "new"


def watch(checkpoint, x):
    checkpoint.watch(x.array, x.random, x.memory, None)


def assert_untouched(x, array, memory):
    """As `model` made it, in the very objects that it had."""
    assert x.array is array and x.memory is memory
    np.testing.assert_array_equal(array, [0, 1, 2])
    assert (memory.step, memory.rows) == (0, [1, 2])
    assert x.random.uniform() == np.random.RandomState(0).uniform()
    assert not hasattr(x, "new")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_block_might_not_have_been(error):
    """Attributes, and what stands behind them, are what they were; the error is passed on."""
    x = model()
    array, memory = x.array, x.memory
    with pytest.raises(error), transaction(x) as checkpoint:
        watch(checkpoint, x)
        train(x)
        x.array, x.memory = np.zeros(1), None
        raise error
    assert_untouched(x, array, memory)


def test_a_block_that_ends_well_is_kept():
    """Nothing is undone, although it was watched."""
    x = model()
    with transaction(x) as checkpoint:
        watch(checkpoint, x)
        train(x)
    assert x.array[0] == 7 and x.memory.rows == [1, 2, 3] and x.new == "new"


def test_keep_moves_the_state_to_return_to():
    """After an epoch, say: an error costs what came later and no more."""
    x, expected = model(), model()
    train(expected)
    with pytest.raises(KeyboardInterrupt), transaction(x) as checkpoint:
        watch(checkpoint, x)
        train(x)
        checkpoint.keep()
        train(x)
        x.new = "newer"
        raise KeyboardInterrupt
    np.testing.assert_array_equal(x.array, expected.array)
    assert vars(x.memory) == vars(expected.memory)
    assert x.random.uniform() == expected.random.uniform()
    assert x.new == "new"


def test_an_error_undoes_what_was_kept_as_well():
    """Nobody asked for a model that is half trained, as who pressed Ctrl-C has."""
    x = model()
    array, memory = x.array, x.memory
    with pytest.raises(ValueError), transaction(x) as checkpoint:
        watch(checkpoint, x)
        train(x)
        checkpoint.keep()
        train(x)
        raise ValueError
    assert_untouched(x, array, memory)


def test_restoring_spares_what_it_is_told_to():
    """So that a trace shows what went wrong when the weights return."""
    x = model()
    checkpoint = Checkpoint(x)
    watch(checkpoint, x)
    train(x)
    checkpoint.restore(x.memory)
    np.testing.assert_array_equal(x.array, [0, 1, 2])
    assert x.memory.rows == [1, 2, 3]
    assert x.new == "new"  # attributes are left to `restore_all`


def test_unwatched_contents_are_not_copied():
    """Large data behind an attribute cost nothing; only what is watched is remembered."""
    x = model()
    with pytest.raises(ValueError), transaction(x):
        train(x)
        raise ValueError
    assert x.array[0] == 7 and not hasattr(x, "new")
