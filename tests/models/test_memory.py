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
def test_where_nobody_says_what_there_is(monkeypatch, tmp_path, sysconf):
    """Windows has no sysconf, and elsewhere it may not know: then all that can be addressed."""
    if sysconf is None:
        monkeypatch.delattr(os, "sysconf", raising=False)
    else:
        monkeypatch.setattr(os, "sysconf", sysconf)
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "none")
    assert memory.of_this_computer() == memory.ADDRESSABLE


GIB = 2**30
CONTROL_GROUPS = {
    "version 2": ("0::/\n", {"memory.max": f"{GIB}\n"}, GIB),
    "no limit": ("0::/\n", {"memory.max": "max\n"}, None),
    "no limit, version 1": (
        "4:memory:/\n",
        {"memory/memory.limit_in_bytes": f"{2**63 - 4096}"},
        None,
    ),
    "version 1": ("5:cpu:/\n4:memory:/a\n", {"memory/a/memory.limit_in_bytes": f"{GIB}\n"}, GIB),
    "version 1, several": ("4:cpu,memory:/\n", {"memory/memory.limit_in_bytes": f"{GIB}"}, GIB),
    "of a job": ("0::/jobs/7\n", {"jobs/7/memory.max": "max", "jobs/memory.max": f"{GIB}"}, GIB),
    "the least": ("0::/a\n", {"a/memory.max": f"{GIB}", "memory.max": f"{2 * GIB}"}, GIB),
    "seen from outside": ("0::/docker/7f\n", {"memory.max": f"{GIB}"}, GIB),
    "nothing to read": ("0::/a\n1:name=systemd:/a:b\n", {}, None),
}


@pytest.mark.parametrize("case", CONTROL_GROUPS)
def test_limit_of_a_container(monkeypatch, tmp_path, case):
    """A container or a job may take less than the computer has, by any group that it is in."""
    membership, files, limit = CONTROL_GROUPS[case]
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "self")
    whole = memory.of_this_computer()
    assert whole > GIB or limit is None
    (tmp_path / "self").write_text(membership)
    for name, text in files.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert memory.of_this_computer() == (whole if limit is None else limit)
