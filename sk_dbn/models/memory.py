"""How much memory is asked for, told before the asking fails somewhere within."""

import os
from pathlib import Path

# What a process can address on the processors of today, where nobody says what there is.
ADDRESSABLE = 2**47

GROUPS = Path("/sys/fs/cgroup")  # in which Linux limits what containers and jobs may take
MEMBERSHIP = Path("/proc/self/cgroup")  # which of them this process belongs to


def of_this_computer():
    """Bytes of memory that there are, or that the container or job may take of them."""
    try:
        n_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        n_bytes = ADDRESSABLE
    return min(n_bytes if n_bytes > 0 else ADDRESSABLE, *_limits(), ADDRESSABLE)


def _limits():
    """What each control group that this process is in may take, in bytes."""
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
        inside = Path(path.strip("/"))  # as it is called outside of a container, maybe
        for group in (inside, *inside.parents):  # each of which limits those in it
            try:
                yield int((folder / group / name).read_text())
            except (OSError, ValueError):  # there is none, or it says "max"
                continue


def require(n_bytes, name, value, remedy):
    """Check that there is enough memory for what a parameter asks for.

    A ValueError, not a MemoryError: it is the parameter that is wrong, on a computer that is
    not short of memory, and nothing was allocated.

    Parameters
    ----------
    n_bytes : int
        The least that it needs; a Python int, which no size overflows.
    name, value : str
        Of the parameter; with the value, what else decides.
    remedy : str
        What to do.

    Raises
    ------
    ValueError
        If it needs more than the computer has.
    """
    there_is = of_this_computer()
    if n_bytes > there_is:
        raise ValueError(
            f"{name} must fit into this computer's {in_words(there_is)} of memory, got {value}, "
            f"which needs {in_words(n_bytes)} or more; {remedy}."
        )


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
