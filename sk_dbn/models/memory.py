"""Checks that parameters and results do not need more memory than the computer has."""

import math
import os
from pathlib import Path

import numpy as np

# Bytes that a process can address, used if the computer's memory is unknown.
ADDRESSABLE = 2**47

GROUPS = Path("/sys/fs/cgroup")  # Linux limits the memory of containers and jobs here
MEMBERSHIP = Path("/proc/self/cgroup")  # the control groups of this process


class TooLarge(MemoryError, ValueError):
    """More memory is needed than the computer has: known before it is allocated.

    It is a ValueError too, as that of a parameter.
    """


def of_this_computer():
    """Bytes of memory of the computer, or the limit of its container or job if that is less."""
    try:
        n_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        n_bytes = ADDRESSABLE
    return min(n_bytes if n_bytes > 0 else ADDRESSABLE, *_limits(), ADDRESSABLE)


def _limits():
    """The memory limits of this process's control groups, in bytes."""
    try:
        lines = MEMBERSHIP.read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            folder, name = GROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        inside = Path(path.strip("/"))  # perhaps the path outside of the container
        for group in (inside, *inside.parents):  # parents limit their children
            try:
                yield int((folder / group / name).read_text())
            except (OSError, ValueError):  # no such file, or "max"
                continue


def require(n_bytes, name, value, remedy):
    """Check that the computer has enough memory for the value of a parameter.

    Parameters
    ----------
    n_bytes : int
        The memory that it needs at least, as a Python int, which cannot overflow.
    name, value : str
        Name and value of the parameter, for the message.
    remedy : str
        What to do, for the message.

    Raises
    ------
    TooLarge
        If it needs more than the computer has.
    """
    there_is = of_this_computer()
    if n_bytes > there_is:
        raise TooLarge(
            f"{name} must fit into this computer's {in_words(there_is)} of memory, got {value}, "
            f"which needs {in_words(n_bytes)} or more; {remedy}."
        )


def empty(shape, dtype):
    """An array for results, whose size is checked before it is allocated.

    Parameters
    ----------
    shape : tuple of int
        The first one is the number of samples.
    dtype : dtype

    Returns
    -------
    ndarray
        Its values are undefined.

    Raises
    ------
    TooLarge
        If it needs more memory than the computer has.
    """
    n_bytes, there_is = math.prod(map(int, shape)) * np.dtype(dtype).itemsize, of_this_computer()
    if n_bytes > there_is:
        raise TooLarge(
            f"results of shape {tuple(shape)} need {in_words(n_bytes)}, more than this computer's "
            f"{in_words(there_is)} of memory; pass fewer samples at a time."
        )
    return np.empty(shape, dtype)


def in_words(n_bytes):
    """A number of bytes with a unit.

    Parameters
    ----------
    n_bytes : int

    Returns
    -------
    str
    """
    units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while n_bytes >= 1024 and len(units) > 1:
        n_bytes, units = n_bytes / 1024, units[1:]
    return f"{float(f'{n_bytes:.3g}'):,.16g} {units[0]}"
