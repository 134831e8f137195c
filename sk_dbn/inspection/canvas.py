"""The axes and colours of displays."""

import numpy as np

# The palette of Okabe & Ito (2008), "Color universal design", whose colours people with colour
# blindness can distinguish; without its yellow, which is hard to see on white.
OKABE_ITO = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
MAX_LAYER_NAMES = 16  # layers; of more, no names are drawn


def axes_for(display, ax):
    """The axes to draw on, which the display stores.

    Parameters
    ----------
    display : object
        Its attributes `ax_` and `figure_` are set.
    ax : matplotlib Axes or None
        None: the axes of a new figure.

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
    """Label the horizontal axis as epochs, with ticks at whole numbers.

    Parameters
    ----------
    ax : matplotlib Axes
    """
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def colors_for(n):
    """n colours: different ones if n is small, otherwise a scale from dark to light.

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
