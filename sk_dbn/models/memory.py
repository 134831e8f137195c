"""How much memory is asked for, told before the asking fails somewhere within."""

import os

# What a process can address on the processors of today, where nobody says what there is.
ADDRESSABLE = 2**47


def of_this_computer():
    """Bytes of memory that there are."""
    try:
        n_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return ADDRESSABLE
    return n_bytes if n_bytes > 0 else ADDRESSABLE


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
