"""The memory that there is, and the words for it."""

import os

import pytest

from sk_dbn.models import memory


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (0, "0 bytes"),
        (1023, "1,020 bytes"),
        (1024, "1 KiB"),
        (3 * 2**29, "1.5 GiB"),
        (2**60, "1 EiB"),
        (2**80, "1,050,000 EiB"),
    ],
)
def test_in_words(n_bytes, words):
    """Three digits and the largest unit of 1024 that leaves 1 or more."""
    assert memory.in_words(n_bytes) == words


def test_what_fits_is_no_error():
    """The bound is what there is."""
    there_is = memory.of_this_computer()
    memory.require(there_is, "n", 1, "take fewer")
    with pytest.raises(
        ValueError, match="^n must fit .* got 1, which needs .* or more; take fewer"
    ):
        memory.require(there_is + 1, "n", 1, "take fewer")


@pytest.mark.parametrize("sysconf", [None, lambda name: -1 if "PHYS" in name else 4096])
def test_where_nobody_says_what_there_is(monkeypatch, sysconf):
    """Windows has no sysconf, and elsewhere it may not know: then all that can be addressed."""
    if sysconf is None:
        monkeypatch.delattr(os, "sysconf", raising=False)
    else:
        monkeypatch.setattr(os, "sysconf", sysconf)
    assert memory.of_this_computer() == memory.ADDRESSABLE
