"""A fitted stack as a start: what says that its layers are to be trained further."""

from sklearn.base import BaseEstimator


class WarmStart(BaseEstimator):
    """A fitted stack from whose layers a network starts, all of which are then trained.

    For the `pretrainer` of :class:`DBNClassifier` and :class:`DeepMLPRegressor`. The stack is not
    changed: the network trains a copy of its layers [1]_. Unlike a stack by itself it is not
    trained anew, and unlike one in a :class:`~sklearn.frozen.FrozenEstimator` its layers do not
    stay as they are.

    Parameters
    ----------
    estimator : BernoulliRBMStack
        Fitted. Clones of this object, as searches make them, hold the same stack.

    See Also
    --------
    sklearn.frozen.FrozenEstimator : For hidden layers that stay as they are.

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
        """Get the stack; its own parameters are not to be set any more.

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
            Only ``estimator``: parameters of a stack that is fitted have no effect any more.

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
                "fitted stack have no effect, set those of a stack that is still to be trained."
            )
        return super().set_params(**params)
