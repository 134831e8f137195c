"""The order in which an epoch visits the samples of a file that does not fit into memory."""

import numpy as np
import pytest
import scipy.sparse

from sk_dbn.models import memory, orders
from sk_dbn.models.orders import BLOCKS_MIXED, rows_together, shuffled


@pytest.fixture
def mapped(tmp_path):
    """A file of 1000 rows of 64 bytes."""
    return np.memmap(tmp_path / "X", np.float32, "w+", shape=(1000, 16))


def test_memory_decides(monkeypatch, mapped):
    """Rows are read together if the file is larger than half of what there is."""
    assert rows_together(mapped) == 0
    monkeypatch.setattr(memory, "of_this_computer", lambda: 2 * mapped.nbytes)
    assert rows_together(mapped) == 0
    monkeypatch.setattr(memory, "of_this_computer", lambda: 2 * mapped.nbytes - 2)
    assert rows_together(mapped) == orders.BLOCK_BYTES // 64
    monkeypatch.setattr(orders, "BLOCK_BYTES", 640)
    assert rows_together(mapped) == 10
    monkeypatch.setattr(orders, "BLOCK_BYTES", 1)
    assert rows_together(mapped) == 1


def test_what_is_a_file(monkeypatch, mapped):
    """Views of it are, and a sparse matrix whose entries lie in one; copies are not."""
    monkeypatch.setattr(orders, "LARGE_FILE", 0.0)
    for view in (mapped, np.asarray(mapped), mapped[:, 3:], mapped.T, np.asarray(mapped)[::2]):
        assert rows_together(view) > 0
    matrix = scipy.sparse.csr_array((mapped[0], np.arange(16), [0, 16]), shape=(1, 16))
    matrix.data = np.asarray(mapped)[0]
    assert rows_together(matrix) > 0
    for array in (np.array(mapped), mapped + 1.0, np.empty((0, 3))):
        assert rows_together(array) == 0


@pytest.mark.parametrize("n_rows", [1, 9, 10, 999, 1000, 1001])
@pytest.mark.parametrize("together", [0, 1, 10, 5000])
def test_an_epoch_visits_each_sample_as_often_as_it_is_listed(n_rows, together):
    """And the next one does so in another order, which the generator alone decides."""
    order = np.sort(np.random.RandomState(0).randint(0, 2 * n_rows, n_rows))
    random = np.random.RandomState(1)
    first, second = (shuffled(random, order, together) for _ in range(2))
    for visits in (first, second):
        np.testing.assert_array_equal(np.sort(visits), order)
    assert n_rows < 9 or (first != second).any()
    np.testing.assert_array_equal(shuffled(np.random.RandomState(1), order, together), first)


@pytest.mark.parametrize("seed", range(3))
def test_blocks_are_read_once_and_mixed(seed):
    """At any time the visits keep to a few blocks, and no longer to one of them.

    Of two that follow each other in a mix of B blocks of r rows, those from one block are
    (r - 1) / (B r - 1) on average, of n pairs within sqrt(n) / n or so.
    """
    together, n_rows = 10, 10_000
    random = np.random.RandomState(seed)
    blocks = shuffled(random, np.arange(n_rows), together) // together
    group = BLOCKS_MIXED * together
    groups = [set(blocks[first : first + group]) for first in range(0, n_rows, group)]
    assert all(len(blocks) <= BLOCKS_MIXED for blocks in groups)
    assert sum(map(len, groups)) == n_rows // together  # so none is in two of them
    neighbours = (blocks[1:] == blocks[:-1]).mean()
    assert abs(neighbours - (together - 1) / (group - 1)) < 0.01
    assert np.ptp(blocks[:group]) > n_rows / together / 2  # from everywhere in the file
