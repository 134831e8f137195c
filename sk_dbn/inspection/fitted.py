"""What displays and the diagnosis read of a fitted estimator."""

from sklearn.utils.validation import check_is_fitted


def check_has(estimator, attribute, purpose):
    """Check that an estimator is fitted and has what is to be shown.

    Parameters
    ----------
    estimator : object
    attribute : str
        What it has to have.
    purpose : str
        What needs it, for the message.

    Raises
    ------
    TypeError
        If it lacks the attribute for good.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    if not hasattr(estimator, "fit"):
        raise TypeError(f"estimator must be a fitted estimator, got {estimator!r}.")
    check_is_fitted(estimator)
    if not hasattr(estimator, attribute):
        raise TypeError(
            f"{purpose} needs an estimator with {attribute}, which {type(estimator).__name__} "
            f"has not{hint_at_inner(estimator)}."
        )


def hint_at_inner(estimator):
    """Where in a wrapper the estimator lies that is to be given, in words."""
    if hasattr(estimator, "steps"):
        return "; pass its last step, pipeline[-1]"
    for name in ("regressor_", "best_estimator_", "estimator_"):
        if hasattr(estimator, name):
            return f"; pass the fitted one inside, .{name}, of a pipeline its last step"
    return ""


def trace_of(estimator, purpose):
    """The gradient trace of a fitted estimator.

    Parameters
    ----------
    estimator : object
    purpose : str
        What needs it, for the message.

    Returns
    -------
    GradientTrace

    Raises
    ------
    ValueError
        If it was fitted without one.
    """
    check_has(estimator, "gradient_trace_", purpose)
    trace = estimator.gradient_trace_
    if trace is None:
        raise ValueError(
            f"{purpose} needs gradient_trace_, which was not recorded: this "
            f"{type(estimator).__name__} has trace=None. Set trace='epoch' and fit again."
        )
    return trace


def layer_names(estimator, n_layers):
    """What the columns of a trace are called, from the input up.

    Parameters
    ----------
    estimator : object
    n_layers : int

    Returns
    -------
    list of str
        A network's last layer is its output; of a stack all are hidden layers.
    """
    is_network = hasattr(estimator, "out_activation_")
    n_hidden = n_layers - 1 if is_network else n_layers
    names = [f"hidden {layer}" for layer in range(1, n_hidden + 1)]
    return [*names, "output"] if is_network else names
