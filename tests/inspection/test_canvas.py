"""Axes are those of the caller, and colours can be told apart."""

import sys

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_rgb

from sk_dbn.inspection.canvas import axes_for, colors_for


class Display:
    """Something that draws."""


def test_axes_are_new_or_the_callers():
    """A display draws where it is told to, and remembers where."""
    display, (_, ax) = Display(), plt.subplots()
    assert axes_for(display, ax) is ax
    assert display.ax_ is ax and display.figure_ is ax.figure
    new = axes_for(display, None)
    assert new is not ax and display.ax_ is new


def test_without_matplotlib_the_error_names_who_needs_it(monkeypatch):
    """scikit-learn's message, as for its own displays."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="Display.plot requires matplotlib"):
        axes_for(Display(), None)


@pytest.mark.parametrize("n", [1, 7, 8, 30])
def test_colors_differ(n):
    """As many as asked for, no two alike."""
    assert len({to_rgb(color) for color in colors_for(n)}) == n
