"""Samples in chunks whose intermediate results fit into scikit-learn's working memory."""

from sklearn import get_config

from sk_dbn.models import memory
from sk_dbn.models.forward import MAX_ROWS, N_BLOCKS

NUMBER_BYTES = 8  # of a number in double precision
# Arrays of its units that NumPy holds at a time, while it computes the formulas of a layer.
TEMPORARIES = 8


def chunk_rows(n_numbers):
    """Number of samples whose intermediate results fit into ``working_memory``, at least one.

    Parameters
    ----------
    n_numbers : int
        Numbers that are held for each sample, its output included.

    Returns
    -------
    int
    """
    n_bytes = get_config()["working_memory"] * 2**20
    n_rows = max(1, int(n_bytes // (NUMBER_BYTES * max(n_numbers, 1))))
    together = MAX_ROWS * N_BLOCKS  # so that blocks are cut as without chunks
    return n_rows // together * together if n_rows > together else n_rows


def in_chunks(compute, X, n_numbers):
    """The results for all samples, computed for a chunk of them at a time.

    Parameters
    ----------
    compute : callable
        Given some rows of X, an array with as many rows.
    X : ndarray or CSR matrix of shape (n_samples, n_columns)
    n_numbers : int, see `chunk_rows`

    Returns
    -------
    ndarray of shape (n_samples, ...)

    Raises
    ------
    MemoryError
        If it needs more memory than this computer has.
    """
    n_samples, size = X.shape[0], chunk_rows(n_numbers)
    if n_samples <= size:
        return compute(X)
    results = None
    for start in range(0, n_samples, size):
        result = compute(X[start : start + size])
        if results is None:
            results = memory.empty((n_samples, *result.shape[1:]), result.dtype)
        results[start : start + size] = result
    return results
