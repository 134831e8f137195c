"""Docstrings of estimators that share parameters: each entry is written once."""

import re

ENTRY = r"^    (?P<name>\w+)[\w, ]* : .*\n(?:(?:     .*)?\n)*"
REFERENCE = r"^    \.\. \[(?P<name>\d+)\] .*\n(?:       .*\n)*"
SHARED_ENTRIES = re.compile(
    r"^    (?P<names>\w+(?:, \w+)*) : (?:default=(?P<default>.+), )?as in (?P<base>\w+)$", re.M
)
SHARED_REFERENCES = re.compile(r"^    \.\. \[(\d+)\]-\[(\d+)\] as in (?P<base>\w+)$", re.M)


def completed(cls):
    """Class decorator: copy the docstring entries marked "as in" a base from that base.

    A line such as ``alpha, batch_size : as in NetworkParameters`` is replaced by the entries of
    these parameters or attributes. ``init : default='zeros', as in NetworkParameters`` changes the
    default. ``.. [1]-[3] as in NetworkParameters`` is replaced by these references.

    Parameters
    ----------
    cls : type

    Returns
    -------
    type
        The same class.
    """
    if cls.__doc__ is None:  # python -OO
        return cls
    bases = {base.__name__: base.__doc__ for base in cls.__mro__[1:]}

    def entries(match):
        found = _found(ENTRY, bases[match["base"]])
        text = "\n\n".join(found[name] for name in match["names"].split(", "))
        if match["default"] is None:
            return text
        return re.sub("default=.+", lambda _: f"default={match['default']}", text, count=1)

    def references(match):
        found = _found(REFERENCE, bases[match["base"]])
        first, last = int(match[1]), int(match[2])
        return "\n\n".join(found[str(number)] for number in range(first, last + 1))

    text = SHARED_ENTRIES.sub(entries, cls.__doc__)
    cls.__doc__ = SHARED_REFERENCES.sub(references, text)
    return cls


def _found(pattern, docstring):
    """All entries of a docstring by their first name."""
    return {match["name"]: match[0].rstrip() for match in re.finditer(pattern, docstring, re.M)}
