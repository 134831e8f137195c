"""What is said of a network's layers: many spellings of the same, and errors for the rest."""

import numpy as np
import pytest

from sk_dbn import BernoulliRBMStack, DBNClassifier
from sk_dbn._architecture import check_deviation, first_weights, layer_sizes

SPELLINGS = [
    (10, 5),
    [10, 5],
    np.array([10, 5], dtype=np.uint8),
    (np.int64(10), np.int32(5)),
    range(10, 0, -5),
]
NOT_SIZES = [
    True,
    1.5,
    "abc",
    "",
    None,
    0,
    (10, 0),
    (10, -2),
    (10, 2.5),
    (10, 5.0),
    (10, True),
    ("10", "5"),
    [[10], [5]],
    (10, (5, 3)),
    {10, 5},
    np.array([10.0, 5.0]),
    np.array([True]),
]


@pytest.mark.parametrize("sizes", SPELLINGS, ids=repr)
def test_sizes_are_plain_ints(sizes):
    """Whatever sequence of whole numbers they came in."""
    assert layer_sizes(sizes) == [10, 5]
    assert all(type(n) is int for n in layer_sizes(sizes))


def test_one_size_is_one_layer():
    """A number, NumPy's or an array without dimensions too."""
    for size in (7, np.int8(7), np.array(7), (7,)):
        assert layer_sizes(size) == [7]


@pytest.mark.parametrize("sizes", NOT_SIZES, ids=repr)
def test_everything_else_is_refused_by_name(sizes):
    """The error says which parameter, which rule and which value."""
    with pytest.raises(ValueError) as error:
        layer_sizes(sizes)
    assert "hidden_layer_sizes must be positive integers" in str(error.value)
    assert repr(sizes) in str(error.value)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((10.0,), "entry 0 is 10.0 of type float, which is not an integer"),
        ((10, True), "entry 1 is True of type bool, which is not an integer"),
        ((10, -2), "entry 1 is -2, which is not positive"),
        (np.array([10.0, 5.0]), "entry 0 is 10.0 of type float, which is not an integer"),
    ],
    ids=repr,
)
def test_the_entry_that_is_wrong_is_named(sizes, said):
    """10.0 looks like a positive integer to whoever wrote it."""
    with pytest.raises(ValueError, match=said):
        layer_sizes(sizes)


def test_whether_there_may_be_none():
    """A network without hidden layers is linear; a stack without machines is nothing."""
    assert layer_sizes(()) == layer_sizes(np.array([], dtype=int)) == []
    with pytest.raises(ValueError, match=r"positive integers, .* got \(\)"):
        layer_sizes((), at_least=1)


def test_first_weights_are_arrays():
    """One for each pair of neighbouring layers, from anything that makes a matrix."""
    first, second = first_weights(([[1, 2], [3, 4], [5, 6]], np.ones((2, 1))), [3, 2, 1], "float32")
    np.testing.assert_array_equal(first, [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(second, [[1], [1]])


@pytest.mark.parametrize(
    ("init", "rule"),
    [
        ([np.ones((3, 2))], "one array for each of the 2 layers .* 3-2-1 units, got 1"),
        ([np.ones((3, 2))] * 3, "for each of the 2 layers .* got 3"),
        ([np.ones((3, 2)), np.ones((1, 2))], r"init\[1\] .* shape .* \(2, 1\), got \(1, 2\)"),
        ([np.ones((3, 2)), 0.1], r"one float for all .* got 0.1 as init\[1\]\. Set init=0.1"),
        (["he_normal"] * 2, r"one name .* each of the 2, got 'he_normal' .* Set init='he_normal'"),
        (["he_normal"] * 3, r"one name or .* got 'he_normal' as init\[0\]"),
        ([np.ones((3, 2)), [0.1]], r"init\[1\] .* shape .* \(2, 1\), got \(1,\)"),
        ([np.full((3, 2), np.nan), np.ones((2, 1))], r"init\[0\] must be finite as float32"),
        ([np.full((3, 2), 1e300), np.ones((2, 1))], r"init\[0\] must be finite as float32"),
        ([np.full((3, 2), "a"), np.ones((2, 1))], r"init\[0\] must be an array of real numbers"),
        ([np.ones((3, 2)), 1j * np.ones((2, 1))], r"init\[1\] must be an array of real numbers"),
    ],
)
def test_first_weights_must_fit(init, rule):
    """Number, shape, kind and range: each has its own error, which names the layer."""
    with pytest.raises(ValueError, match=rule):
        first_weights(init, [3, 2, 1], np.float32)
    first_weights([np.full((3, 2), 1e300), np.ones((2, 1))], [3, 2, 1], np.float64)


@pytest.mark.parametrize(
    "make", [lambda **p: DBNClassifier((2,), **p), lambda **p: BernoulliRBMStack((2,), **p)]
)
def test_a_float_init_must_fit(make):
    """Weights that are infinite from the start are no first weights, in either precision."""
    X, y = np.eye(4), [0, 1, 0, 1]
    with pytest.raises(ValueError, match="^init must be at most .* of float32 weights, got 1e.300"):
        make(init=1e300).fit(X, y)
    with pytest.raises(ValueError, match="^init must be at most .* of float64 weights"):
        make(init=1e307, dtype="float64").fit(X, y)
    check_deviation(1e30, np.float32)
    check_deviation(1e300, np.float64)
