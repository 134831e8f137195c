"""What displays draw on, and with which colours."""

import numpy as np

# The palette of Okabe & Ito (2008), "Color universal design", which people who are colour-blind
# tell apart; but for its yellow, which is hard to see on white.
OKABE_ITO = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
MOST_NAMED = 16  # layers that get a tick of their own


def axes_for(display, ax):
    """The axes to draw on, which the display remembers.

    Parameters
    ----------
    display : object
        Its `ax_` and `figure_` are set.
    ax : matplotlib Axes or None
        None: a new figure with one.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{type(display).__name__}.plot requires matplotlib. You can install matplotlib with "
            "`pip install matplotlib`"
        ) from error
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def count_epochs(ax):
    """Make the horizontal axis one of epochs, with whole numbers.

    Parameters
    ----------
    ax : matplotlib Axes
    """
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def colors_for(n):
    """As many colours that can be told apart; where there are many, a scale from dark to light.

    Parameters
    ----------
    n : int

    Returns
    -------
    list
    """
    import matplotlib.pyplot as plt

    if n <= len(OKABE_ITO):
        return list(OKABE_ITO[:n])
    return list(plt.colormaps["viridis"](np.linspace(0.0, 0.9, n)))
