"""Docstrings of estimators that share parameters: each entry stands in one place of the source."""

import re

# What is indented further belongs to an entry.
ENTRY = r"^    (?P<name>\w+)[\w, ]* : .*\n(?:(?:     .*)?\n)*"
REFERENCE = r"^    \.\. \[(?P<name>\d+)\] .*\n(?:       .*\n)*"
SHARED_ENTRIES = re.compile(
    r"^    (?P<names>\w+(?:, \w+)*) : (?:default=(?P<default>.+), )?as in (?P<base>\w+)$", re.M
)
SHARED_REFERENCES = re.compile(r"^    \.\. \[(\d+)\]-\[(\d+)\] as in (?P<base>\w+)$", re.M)


def completed(cls):
    """Write out what a class's docstring says is "as in" one of its bases.

    A line such as ``alpha, batch_size : as in NetworkParameters`` becomes the entries of these
    parameters or attributes there, ``init : default='zeros', as in NetworkParameters`` the entry
    with another default, and ``.. [1]-[3] as in NetworkParameters`` those references, so that
    `help` shows all of it. A decorator of classes.

    Parameters
    ----------
    cls : type

    Returns
    -------
    type
        The same.
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
    """Everything in a docstring that has the form of an entry, by its first name."""
    return {match["name"]: match[0].rstrip() for match in re.finditer(pattern, docstring, re.M)}
