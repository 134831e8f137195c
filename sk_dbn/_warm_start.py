"""A wrapper of a fitted stack whose layers a network fine-tunes."""

from sklearn.base import BaseEstimator


class WarmStart(BaseEstimator):
    """A fitted stack whose layers a network starts from and then fine-tunes.

    It is a value of `pretrainer` of :class:`DBNClassifier`, :class:`DeepMLPRegressor` and
    :class:`DBNAutoencoder`. The network trains a copy of the stack's layers [1]_; the stack does
    not change. In contrast, a :class:`BernoulliRBMStack` as `pretrainer` is trained from scratch,
    and with a :class:`~sklearn.frozen.FrozenEstimator` the layers stay as they are.

    Parameters
    ----------
    estimator : BernoulliRBMStack
        A fitted stack. Clones of this object, as in searches, hold the same stack.

    See Also
    --------
    sklearn.frozen.FrozenEstimator : Keeps the hidden layers as they are.

    References
    ----------
    .. [1] Hinton, G. E. & Salakhutdinov, R. R. (2006). Reducing the dimensionality of data with
       neural networks. Science 313. Figure 1, the last step.

    Examples
    --------
    >>> from sk_dbn import BernoulliRBMStack, DBNClassifier, WarmStart
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> stack = BernoulliRBMStack((64,), max_iter=5, random_state=0).fit(X / 16)
    >>> dbn = DBNClassifier((64,), pretrainer=WarmStart(stack), max_iter=20, random_state=0)
    >>> dbn = dbn.fit(X / 16, y)
    >>> dbn.pretrainer_ is stack, bool((dbn.coefs_[0] == stack.coefs_[0]).all())
    (True, False)
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def __sklearn_clone__(self):
        return type(self)(self.estimator)

    def get_params(self, deep=True):
        """Get the stack, but not its parameters, which have no effect after fitting.

        Parameters
        ----------
        deep : bool, default=True
            Ignored.

        Returns
        -------
        params : dict
            The stack under the name ``estimator``.
        """
        return {"estimator": self.estimator}

    def set_params(self, **params):
        """Set the stack.

        Parameters
        ----------
        **params : dict
            Only ``estimator``; parameters of a fitted stack have no effect.

        Returns
        -------
        self : WarmStart
            This object.

        Raises
        ------
        ValueError
            If another name is given.
        """
        others = sorted(params.keys() - {"estimator"})
        if others:
            raise ValueError(
                f"a WarmStart has the parameter estimator only, got {others}; parameters of a "
                "fitted stack have no effect, set them before the stack is fitted."
            )
        return super().set_params(**params)
