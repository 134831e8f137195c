"""Deep networks for regression."""

from numbers import Real

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import d2_pinball_score, r2_score
from sklearn.utils._param_validation import Interval
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d

from sk_dbn._docstrings import completed
from sk_dbn._input import numeric_dtype, read_input
from sk_dbn._names import Names
from sk_dbn._network_estimator import BaseDeepNetwork, is_stochastic
from sk_dbn._network_parameters import NetworkParameters

OUTPUT_OF_LOSS = {
    "squared_error": "identity",
    "absolute_error": "identity",
    "huber": "identity",
    "quantile": "identity",
    "poisson": "exp",
    "gamma": "exp",
}


@completed
class DeepMLPRegressor(RegressorMixin, BaseDeepNetwork):
    """Deep multilayer perceptron for regression.

    It takes all parameters of :class:`~sklearn.neural_network.MLPRegressor`, with the same
    meaning. More choices of initialisation, activation and solver help deep networks to learn.
    `gradient_trace_` shows the gradients that reach each layer.

    Parameters
    ----------
    hidden_layer_sizes : default=(100, 100, 100), as in NetworkParameters

    activation, solver, alpha, batch_size, learning_rate : as in NetworkParameters

    learning_rate_init, power_t, max_iter, shuffle, random_state, tol : as in NetworkParameters

    verbose, warm_start, momentum, nesterovs_momentum, early_stopping : as in NetworkParameters

    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change : as in NetworkParameters

    max_fun, init : as in NetworkParameters

    pretrainer : default=None, as in NetworkParameters

    pretrained_learning_rate, output_layer_first : as in NetworkParameters

    warmup_epochs, l1_ratio, max_norm : as in NetworkParameters

    dropout : float or pair of floats, default=0.0
        Share of the hidden units that are left out of an update, chosen anew for each sample; or
        a pair, the shares of the input and of the hidden units [10]_. The remaining units are
        scaled up, so that predictions need no correction; 'selu' units keep their mean and
        variance [7]_. `loss_` and `loss_curve_` are computed with dropout; predictions, validation
        and the trace's activations without. Not for 'lbfgs'.

    clip_norm, clip_value, shortcut : as in NetworkParameters

    loss : {'squared_error', 'absolute_error', 'huber', 'quantile', 'poisson', 'gamma'}, \
            default='squared_error'
        Loss to minimise, a mean over samples:

        - 'squared_error': half the squared error; predicts the mean;
        - 'absolute_error': predicts the median;
        - 'huber': half the squared error up to an error of `delta`, linear beyond it, so that
          outliers count less [8]_;
        - 'quantile': the pinball loss; predicts the `quantile` [9]_;
        - 'poisson': half the Poisson deviance with an exponential output, for y >= 0;
        - 'gamma': half the gamma deviance with an exponential output, for y > 0.

        With several outputs the sum of their losses is minimised. As in scikit-learn, `loss_` is
        their mean, except with 'poisson' and 'gamma', where it is the sum.

    quantile : float, default=None
        The quantile to predict, between 0 and 1. Required by ``loss='quantile'``, else None.

    delta : float, default=1.0
        The error at which ``loss='huber'`` changes from quadratic to linear, in units of y.

    checkpoint, checkpoint_interval, trace : as in NetworkParameters

    dtype, n_jobs : as in NetworkParameters

    Attributes
    ----------
    coefs_ : list of shape (n_layers - 1,)
        Weights of each layer, (fan_in, fan_out).

    intercepts_, gradient_trace_, pretrainer_, loss_, best_loss_ : as in NetworkParameters

    loss_curve_ : as in NetworkParameters

    validation_scores_ : list of float or None
        R^2 on the validation samples after each epoch; None if there are none. With
        ``loss='absolute_error'`` or 'quantile' it is D^2, the share of that loss that is
        explained, because R^2 would favour weights that predict the mean.

    validation_loss_curve_, best_validation_score_, n_iter_, t_ : as in NetworkParameters

    batch_size_, max_iter_, held_out_loss_curve_, n_layers_, n_outputs_ : as in NetworkParameters

    out_activation_, n_features_in_, feature_names_in_ : as in NetworkParameters

    See Also
    --------
    DBNClassifier : Deep belief network for classification.
    BernoulliRBMStack : The stack of RBMs that pre-trains layers.
    sklearn.neural_network.MLPRegressor : The same parameters, for shallow networks.

    References
    ----------
    .. [1]-[7] as in NetworkParameters

    .. [8] Huber, P. J. (1964). Robust estimation of a location parameter. Annals of
       Mathematical Statistics 35.

    .. [9] Koenker, R. & Bassett, G. (1978). Regression quantiles. Econometrica 46.

    .. [10]-[16] as in NetworkParameters

    Examples
    --------
    >>> from sk_dbn import DeepMLPRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X, y = StandardScaler().fit_transform(X), (y - y.mean()) / y.std()
    >>> net = DeepMLPRegressor((30, 30), random_state=0).fit(X, y)
    >>> net.n_iter_ == net.max_iter_ <= 200
    True
    >>> net.gradient_trace_.weight_grad_norm.shape == (net.n_iter_ + 1, 3)  # of 3 layers
    True
    >>> net.predict(X).shape
    (442,)
    """

    _parameter_constraints: dict = {
        **NetworkParameters._parameter_constraints,
        "loss": [Names(set(OUTPUT_OF_LOSS))],
        "quantile": [Interval(Real, 0, 1, closed="neither"), None],
        "delta": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        hidden_layer_sizes=(100, 100, 100),
        activation="logistic",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="auto",
        learning_rate_init="auto",
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping="refit",
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        init="auto",
        pretrainer=None,
        pretrained_learning_rate=1.0,
        output_layer_first=False,
        warmup_epochs=0,
        l1_ratio=0.0,
        max_norm=None,
        dropout=0.0,
        clip_norm=None,
        clip_value=None,
        shortcut=False,
        loss="squared_error",
        quantile=None,
        delta=1.0,
        checkpoint=None,
        checkpoint_interval=60.0,
        trace="epoch",
        dtype="float32",
        n_jobs=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.init = init
        self.pretrainer = pretrainer
        self.pretrained_learning_rate = pretrained_learning_rate
        self.output_layer_first = output_layer_first
        self.warmup_epochs = warmup_epochs
        self.l1_ratio = l1_ratio
        self.max_norm = max_norm
        self.dropout = dropout
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.shortcut = shortcut
        self.loss = loss
        self.quantile = quantile
        self.delta = delta
        self.checkpoint = checkpoint
        self.checkpoint_interval = checkpoint_interval
        self.trace = trace
        self.dtype = dtype
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, X_val=None, y_val=None):
        """Fit the network to X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input, of any numeric dtype, read in place; CSR if sparse. With pre-training also
            NaN for missing values, and columns of a data frame with pandas' dtype for categories.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample. Whole numbers count as repetitions: a weight of 2 is the
            same as listing the sample twice, 0 as leaving it out. Other weights, and whole
            numbers with a mean above 10, are divided by their mean and multiply the sample's
            loss. Then only their proportions count, and `alpha` relates to the number of samples.
            Pre-training counts repetitions, but no other weights.

        X_val, y_val : array-like, default=None
            Validation samples, scored after every epoch. `early_stopping` then uses them instead
            of a part of X.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y or a parameter is invalid. The estimator stays as it was.
        """
        return self._fit(X, y, sample_weight, X_val, y_val)

    @available_if(is_stochastic)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch on the given samples, from the present weights.

        Solver, momenta, `learning_rate_init` and schedule are those of the last `fit`, or of the
        first call of `partial_fit` if `fit` was not called. A warning names those that were set
        since. After a `fit` with ``learning_rate='auto'``, whose schedule has ended, the first call
        starts a schedule with the present parameters.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample, as in `fit`.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X):
        """Predict target values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predicted values, in the precision of `dtype`.
        """
        return self._outputs(X, self._to_prediction)

    def _to_prediction(self, outputs):
        y = outputs.astype(self._network.theta.dtype, copy=False)
        return y.ravel() if y.shape[1] == 1 else y

    def _validate_input(self, X, y, reset):
        X, y = read_input(
            self,
            self._coded(X, reset),
            y,
            accept_sparse="csr",
            ensure_all_finite=self._finite(reset),
            multi_output=True,
            y_numeric=True,
            dtype=numeric_dtype(X),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _encode_targets(self, y, labelled, first, incremental, classes):
        targets = self._to_targets(y, "y")
        if not first and targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y must keep its {self.n_outputs_} outputs when training continues, got "
                f"{targets.shape[1]}."
            )
        self._loss, self.out_activation_ = self.loss, OUTPUT_OF_LOSS[self.loss]
        self._loss_option = self._find_loss_option()
        self.n_outputs_ = self._n_output_units = targets.shape[1]
        return targets

    def _find_loss_option(self):
        """The parameter of the loss: the quantile, or `delta` of 'huber'."""
        if self.loss == "quantile" and self.quantile is None:
            raise ValueError(
                "quantile must be a number between 0 and 1 for loss='quantile', got None; 0.5 "
                "is the median."
            )
        if self.loss != "quantile" and self.quantile is not None:
            raise ValueError(
                f"quantile must be None for loss={self.loss!r}, got {self.quantile!r}; set "
                "loss='quantile' to predict a quantile."
            )
        return {"quantile": self.quantile, "huber": self.delta}.get(self.loss, 0.0)

    def _encode_validation(self, y, name):
        return self._to_targets(y, name)

    def _to_targets(self, y, name):
        """Targets of the loss, (n_samples, n_outputs), checked; `name` is for error messages."""
        targets = y.reshape(len(y), -1).astype(self._training_dtype, order="C")
        if not np.isfinite(targets.astype(self.dtype, copy=False)).all():
            raise ValueError(
                f"{name} has values too large for dtype={np.dtype(self.dtype).name!r}."
            )
        if self.loss == "poisson" and (targets < 0).any():
            raise ValueError(
                f"{name} must be non-negative for loss='poisson', got {targets.min()}."
            )
        if self.loss == "gamma" and (targets <= 0).any():
            raise ValueError(
                f"{name} must be positive for loss='gamma', got {targets.min()} as "
                f"{targets.dtype.name}."
            )
        return targets

    def _score_outputs(self, outputs, y, sample_weight):
        """R^2, or D^2 of the pinball loss if the network predicts a quantile."""
        prediction = self._to_prediction(outputs)
        if self.loss in ("absolute_error", "quantile"):
            alpha = self.quantile if self.loss == "quantile" else 0.5
            return d2_pinball_score(y, prediction, sample_weight=sample_weight, alpha=alpha)
        return r2_score(y, prediction, sample_weight=sample_weight)

    def _constant_score(self, y, weight):
        return 0.0

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss in ("poisson", "gamma")
        return tags
