"""Entries that classes share are written out in the docstring of each."""

import subprocess
import sys

import pytest

from sk_dbn import DBNClassifier, DeepMLPRegressor
from sk_dbn._docstrings import completed
from sk_dbn._network_parameters import NetworkParameters


class Base:
    """First line.

    Parameters
    ----------
    alpha : float, default=0.1
        Strength [1]_.

        In two paragraphs.

    beta, gamma : int
        Both of them.

    References
    ----------
    .. [1] A reference
       of two lines.

    .. [2] Another one.
    """


@completed
class Derived(Base):
    """Second line.

    Parameters
    ----------
    beta, alpha : as in Base

    delta : str, as in Base's friends
        Its own.

    References
    ----------
    .. [1]-[2] as in Base
    """


@completed
class Other(Base):
    """Third line.

    Parameters
    ----------
    alpha : default='auto', as in Base
    """


def test_entries_and_references_are_those_of_the_base():
    """In the order that they are asked for, whole, and nothing else is changed."""
    expected = """Second line.

    Parameters
    ----------
    beta, gamma : int
        Both of them.

    alpha : float, default=0.1
        Strength [1]_.

        In two paragraphs.

    delta : str, as in Base's friends
        Its own.

    References
    ----------
    .. [1] A reference
       of two lines.

    .. [2] Another one.
    """
    assert Derived.__doc__ == expected


def test_a_default_may_differ():
    """Only that of the entry changes."""
    assert "alpha : float, default='auto'\n        Strength [1]_.\n" in Other.__doc__


def test_an_entry_that_the_base_does_not_have_is_an_error():
    """At import, so that nobody reads a docstring with a hole."""
    with pytest.raises(KeyError, match="zeta"):
        completed(type("Wrong", (Base,), {"__doc__": "\n    zeta : as in Base\n"}))


@pytest.mark.parametrize("network", [DBNClassifier, DeepMLPRegressor])
def test_networks_leave_nothing_out(network):
    """`help` shows a whole entry for each parameter and each shared attribute."""
    assert "as in NetworkParameters" not in network.__doc__
    for name in network._get_param_names():
        assert f"\n    {name} : " in network.__doc__
    assert NetworkParameters.__doc__.count(" : ") > 40


def test_docstrings_may_be_stripped():
    """As `python -OO` does."""
    subprocess.run([sys.executable, "-OO", "-c", "import sk_dbn"], check=True)
