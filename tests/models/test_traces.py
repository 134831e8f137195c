"""The gradient trace as a plain object: building, joining, its table."""

import builtins
import pickle
from dataclasses import fields

import numpy as np
import pytest

from sk_dbn.models.traces import MEASURES, GradientTrace, build_trace, join_layers

OPTIONAL = {"reconstruction_kl", "reconstruction_mse", "free_energy_gap"}


def recorded(n_rows, n_layers, names, seed=0):
    """Rows as a recorder collects them."""
    random = np.random.RandomState(seed)
    return [{name: random.normal(size=n_layers) for name in names} for _ in range(n_rows)]


def trace_of(n_rows, n_layers=1, optional=False, seed=0):
    names = [name for name in MEASURES if optional or name not in OPTIONAL]
    return build_trace(list(range(n_rows)), recorded(n_rows, n_layers, names, seed))


def test_rows_become_arrays():
    """One row of the trace for each recorded row, one column a layer, epochs as floats."""
    names = [name for name in MEASURES if name not in OPTIONAL]
    rows = recorded(4, 3, names)
    trace = build_trace([0, 1, 2, 3], rows)
    assert trace.n_layers == 3
    assert trace.epoch.dtype == float and np.array_equal(trace.epoch, range(4))
    for name in names:
        expected = np.array([row[name] for row in rows])
        assert np.array_equal(getattr(trace, name), expected)
    assert all(getattr(trace, name) is None for name in OPTIONAL)


@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize("n_rows", [2, 1000])
def test_repr_says_what_there_is(n_rows, optional):
    """Sizes, the epoch reached and the fields that exist, in a line or two however long it is."""
    trace = trace_of(n_rows, 3, optional)
    text = repr(trace)
    assert text.startswith(f"GradientTrace(n_rows={n_rows}, n_layers=3, last_epoch={n_rows - 1}, ")
    assert len(text) < 300
    for name in MEASURES:
        assert (name in text) is (getattr(trace, name) is not None)


def test_repr_tells_fractions_of_epochs():
    """A trace of minibatches may end inside an epoch; one without rows has none."""
    trace = trace_of(2)
    trace.epoch[-1] = 1.25
    assert "last_epoch=1.25," in repr(trace)
    nothing = {field.name: np.empty((0, 2)) for field in fields(trace)}
    assert "n_rows=0, n_layers=2, last_epoch=None" in repr(GradientTrace(**nothing))


@pytest.mark.parametrize("optional", [False, True])
def test_to_frame(optional):
    """One line a row and layer, rows in their order, layers counted as the columns are."""
    pytest.importorskip("pandas")
    trace = trace_of(3, 2, optional)
    frame = trace.to_frame()
    names = [name for name in MEASURES if optional or name not in OPTIONAL]
    assert list(frame.columns) == ["epoch", "layer", *names]
    assert list(frame["epoch"]) == [0, 0, 1, 1, 2, 2]
    assert list(frame["layer"]) == [0, 1] * 3
    for name in names:
        table = frame.pivot(index="epoch", columns="layer", values=name)
        assert np.array_equal(table.to_numpy(), getattr(trace, name))


def test_to_frame_without_pandas(monkeypatch):
    """pandas is optional: its absence is an error that says what to do, here and not before."""

    def import_nothing_of_pandas(name, *args, _import=builtins.__import__, **kwargs):
        if name.split(".")[0] == "pandas":
            raise ImportError("No module named 'pandas'")
        return _import(name, *args, **kwargs)

    trace = trace_of(2)
    monkeypatch.setattr(builtins, "__import__", import_nothing_of_pandas)
    with pytest.raises(ImportError, match="pip install pandas"):
        trace.to_frame()


@pytest.mark.parametrize("optional", [False, True])
def test_layers_are_joined_and_padded(optional):
    """Each layer keeps its column; where it stopped before the longest, NaN follows."""
    parts = [trace_of(n_rows, 1, optional, seed) for seed, n_rows in enumerate((3, 5, 2))]
    joined = join_layers(parts)
    assert joined.n_layers == 3
    assert np.array_equal(joined.epoch, parts[1].epoch)
    for name in MEASURES:
        columns = getattr(joined, name)
        if name in OPTIONAL and not optional:
            assert columns is None
            continue
        assert columns.shape == (5, 3)
        for layer, part in enumerate(parts):
            n_rows = len(part.epoch)
            assert np.array_equal(columns[:n_rows, layer], getattr(part, name)[:, 0])
            assert np.isnan(columns[n_rows:, layer]).all()


def test_joining_copies():
    """The joined trace shares nothing with its parts, which may go on growing."""
    part = trace_of(3)
    joined = join_layers([part])
    joined.epoch[:] = -1
    joined.weight_norm[:] = -1
    assert part.epoch[0] == 0 and not np.any(part.weight_norm == -1)


def test_trace_is_plain_data():
    """Arrays and None only, so it pickles and is compared with what it was."""
    trace = trace_of(3, 2)
    again = pickle.loads(pickle.dumps(trace))
    assert type(again) is GradientTrace
    for field in fields(trace):
        before, after = getattr(trace, field.name), getattr(again, field.name)
        assert before is after is None or np.array_equal(before, after)
