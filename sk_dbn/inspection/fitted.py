"""What displays and the diagnosis read from a fitted estimator."""

from sklearn.utils.validation import check_is_fitted

from sk_dbn._autoencoder import DBNAutoencoder


def check_has(estimator, attribute, purpose):
    """Check that an estimator is fitted and has the attribute that is needed.

    Parameters
    ----------
    estimator : object
    attribute : str
        Name of the attribute.
    purpose : str
        What needs it, for the message.

    Raises
    ------
    TypeError
        If it is no estimator, or is fitted but lacks the attribute.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    if not hasattr(estimator, "fit"):
        raise TypeError(f"estimator must be a fitted estimator, got {estimator!r}.")
    check_is_fitted(estimator)
    if not hasattr(estimator, attribute):
        raise TypeError(
            f"{purpose} needs an estimator with {attribute}, which {type(estimator).__name__} "
            f"does not have{hint_at_inner(estimator)}."
        )


def hint_at_inner(estimator):
    """How to get the estimator inside a wrapper, in words."""
    if hasattr(estimator, "steps"):
        return "; pass its last step, pipeline[-1]"
    for name in ("regressor_", "best_estimator_", "estimator_"):
        if hasattr(estimator, name):
            return f"; pass the fitted one inside, .{name}, or the last step if that is a pipeline"
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
        If it was fitted without a trace.
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
    """Names for the columns of a trace, from the input up.

    Parameters
    ----------
    estimator : object
    n_layers : int

    Returns
    -------
    list of str
        'hidden 1' and so on, and 'output' for the last layer of a network. The hidden layers of
        an autoencoder are 'encoder 1' and so on, 'code', 'decoder 1' and so on.
    """
    if not hasattr(estimator, "out_activation_"):
        return _numbered("hidden", n_layers)
    if not isinstance(estimator, DBNAutoencoder):
        return [*_numbered("hidden", n_layers - 1), "output"]
    n_below = n_layers // 2 - 1  # layers of the encoder below the code
    return [*_numbered("encoder", n_below), "code", *_numbered("decoder", n_below), "output"]


def _numbered(part, n):
    return [f"{part} {number}" for number in range(1, n + 1)]
