"""A stack of restricted Boltzmann machines as an imputer."""

import warnings
from numbers import Integral

import numpy as np
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.impute import MissingIndicator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sk_dbn._callbacks import CallbackSupportMixin, FitCallbacks
from sk_dbn._names import Names, SuggestsNames
from sk_dbn._persistence import Stored
from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn._sampling import STRATEGIES, check_completion

SEEDS = np.iinfo(np.int32).max


class RBMImputer(
    OneToOneFeatureMixin,
    TransformerMixin,
    SuggestsNames,
    Stored,
    CallbackSupportMixin,
    BaseEstimator,
):
    """Imputation of missing values by a restricted Boltzmann machine (RBM).

    An RBM learns the joint distribution of all features from samples whose missing values are
    left out: each sample has an RBM of its own, with the units that were observed in it, and all
    share their weights [1]_. `transform` replaces missing values by what the RBM expects, given
    the observed values of the same sample. That suits many features that depend on each other
    weakly, such as pixels or ratings. Where features depend on each other almost linearly,
    :class:`~sklearn.impute.IterativeImputer` is more exact.

    Parameters
    ----------
    estimator : BernoulliRBMStack, default=None
        The stack to train, a clone of it. Only its first RBM imputes, so one hidden layer is
        enough. None: ``BernoulliRBMStack((128,), annealing=0.5, max_iter=200)``. Give one to set
        the kinds of the features: with ``visible='auto'`` features in [0, 1] get Bernoulli units;
        numbers that spread little around their mean are imputed better with
        ``visible='gaussian'``, and codes of categories need ``visible='categorical'`` or a dict.
    n_steps : int or 'auto', default='auto'
        Number of Gibbs steps whose mean is imputed. 0: one step of the mean-field approximation
        ([1]_, equations 8 to 10), which reads only observed values, as training does. It is fast
        and draws no random numbers. Gibbs steps also draw the missing values, in an RBM of all
        features. That is often more exact while few values are missing; where half of them are,
        no training sample had such an RBM, and errors may exceed those of the feature's mean.
        With ``activation='relu'`` Gibbs steps may grow without bound. 'auto': 0 if samples had
        missing values in `fit`, otherwise 500, and so with ``sample_posterior=True``.
    n_burn_in : int, default=100
        Number of Gibbs steps before these. Only used with Gibbs steps.
    strategy : {'mean', 'most_frequent'}, default='mean'
        What is imputed in a categorical feature: the mean of its categories, weighted by their
        probabilities, which suits ratings, or the most probable category, which columns with
        pandas' dtype for categories always get. Other features get their mean.
    sample_posterior : bool, default=False
        Whether to impute the sample of the last step instead of the mean. Each call of
        `transform` draws another one, for multiple imputation.
    add_indicator : bool, default=False
        Whether to append a column of 0 and 1 for each feature with missing values in `fit`:
        where it was missing.
    keep_empty_features : bool, default=False
        Whether to keep features that were never observed in `fit`, with 0 where they are
        missing; otherwise `transform` drops them, and `fit` warns of it.
    random_state : int, RandomState instance or None, default=None
        Determines training, unless `estimator` has a `random_state` of its own, and the Gibbs
        steps.

    Attributes
    ----------
    estimator_ : BernoulliRBMStack
        The fitted stack. It offers more than the imputer, such as `predict_feature_proba`.
    indicator_ : sklearn.impute.MissingIndicator or None
        What appends the columns of `add_indicator`; None without.
    random_state_ : RandomState instance
        Where samples of ``sample_posterior=True`` take their next random numbers from.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`. Defined only when `X` has feature names that are
        all strings.

    See Also
    --------
    BernoulliRBMStack.complete : The method that imputes.
    sklearn.impute.SimpleImputer : Imputes the mean or the most frequent value.
    sklearn.impute.KNNImputer : Imputes the mean of similar samples.
    sklearn.impute.IterativeImputer : Imputes by regression on the other features.

    References
    ----------
    .. [1] Salakhutdinov, R., Mnih, A. & Hinton, G. (2007). Restricted Boltzmann machines for
       collaborative filtering. ICML, sections 2 and 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sk_dbn import RBMImputer
    >>> X = load_breast_cancer().data
    >>> is_missing = np.random.RandomState(0).rand(*X.shape) < 0.1
    >>> X_new = RBMImputer(random_state=0).fit_transform(np.where(is_missing, np.nan, X))
    >>> error = ((X_new - X) / X.std(axis=0))[is_missing]  # of the mean: 1.0
    >>> bool(np.sqrt((error**2).mean()) < 0.7)
    True
    """

    _parameter_constraints: dict = {
        "estimator": [BernoulliRBMStack, None],
        "n_steps": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "n_burn_in": [Interval(Integral, 0, None, closed="left")],
        "strategy": [Names(STRATEGIES)],
        "sample_posterior": ["boolean"],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        n_steps="auto",
        n_burn_in=100,
        strategy="mean",
        sample_posterior=False,
        add_indicator=False,
        keep_empty_features=False,
        random_state=None,
    ):
        self.estimator = estimator
        self.n_steps = n_steps
        self.n_burn_in = n_burn_in
        self.strategy = strategy
        self.sample_posterior = sample_posterior
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Train the RBM on samples with missing values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples; NaN (or None, or pandas' NA) marks missing values. What a sparse matrix does
            not store is 0 or missing, by `not_stored` of the stack.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : RBMImputer
            Fitted.

        Raises
        ------
        ValueError
            If a categorical feature was never observed and the stack has no `categories`.
        """
        check_completion(**self._settings)
        random = check_random_state(self.random_state)
        stack = self.estimator
        if stack is None:
            stack = BernoulliRBMStack((128,), annealing=0.5, max_iter=200)
        stack = clone(stack).set_output(transform="default")
        if stack.random_state is None:
            stack.random_state = random.randint(SEEDS)
        callbacks = FitCallbacks(self, X, y, n_tasks=1)
        with callbacks.other_fit("training", stack):
            self.estimator_ = stack.fit(X)
        self.n_features_in_ = stack.n_features_in_
        vars(self).pop("feature_names_in_", None)  # of an earlier fit
        if hasattr(stack, "feature_names_in_"):
            self.feature_names_in_ = stack.feature_names_in_
        with_nan = self._with_nan(X)
        self._is_empty = np.isnan(with_nan).all(axis=0)
        self._warn_of_dropped()
        self.indicator_ = None
        if self.add_indicator:
            self.indicator_ = MissingIndicator(sparse=False, error_on_new=False).fit(with_nan)
        self._seed, self.random_state_ = random.randint(SEEDS), random
        callbacks.fit_ended()
        return self

    def transform(self, X):
        """Impute the missing values of samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features_out)
            X, in its own dtype if that is floating-point, else float64, with missing values
            replaced. Columns with pandas' dtype for categories hold the categories if these are
            numbers, otherwise their positions in the dtype. The same X gives the same values at
            each call, unless ``sample_posterior=True``. With ``n_steps=0`` a sample's values do
            not depend on the other samples; otherwise random draws do, and so means differ a
            little.
        """
        check_is_fitted(self)
        with_nan = self._with_nan(X)
        random = self.random_state_ if self.sample_posterior else self._seed
        X_new = self.estimator_.complete(X, **self._settings, random_state=random)
        if self.keep_empty_features:
            X_new[np.isnan(with_nan) & self._is_empty] = 0.0
        X_new = X_new[:, self._is_kept]
        if self.indicator_ is None:
            return X_new
        indicated = np.asarray(self.indicator_.transform(with_nan), X_new.dtype)
        return np.hstack([X_new, indicated])

    def get_feature_names_out(self, input_features=None):
        """Get the names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features, if X had none. By default x0, x1 and so on.

        Returns
        -------
        feature_names_out : ndarray of str
            The features' own names, and those of the columns of `add_indicator`.
        """
        check_is_fitted(self)
        names = super().get_feature_names_out(input_features)
        if self.indicator_ is None:
            return names[self._is_kept]
        of_indicator = self.indicator_.get_feature_names_out(names)
        return np.concatenate([names[self._is_kept], of_indicator])

    @property
    def _settings(self):
        """How `complete` imputes."""
        names = "n_steps", "n_burn_in", "strategy", "sample_posterior"
        return {name: getattr(self, name) for name in names}

    @property
    def _is_kept(self):
        """Which features are in the output, (n_features,)."""
        return ~self._is_empty | self.keep_empty_features

    def _with_nan(self, X):
        """Samples as the stack reads them: an array with NaN where a value is missing."""
        return self.estimator_._dense(self.estimator_._read(X, reset=False, allow_nan=True))

    def _warn_of_dropped(self):
        """Warn of features that will not be in the output."""
        dropped = np.flatnonzero(~self._is_kept)
        if len(dropped):
            names = getattr(self, "feature_names_in_", np.arange(self.n_features_in_))
            warnings.warn(
                f"X has no observed values in the features {names[dropped].tolist()}, which "
                "transform drops. Set keep_empty_features=True to keep them.",
                UserWarning,
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
