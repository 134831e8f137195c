"""Deep autoencoders: a stack of RBMs unrolled into an encoder and a decoder."""

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sk_dbn._architecture import layer_sizes
from sk_dbn._categories import asked_kinds
from sk_dbn._chunks import chunk_rows, in_chunks
from sk_dbn._docstrings import completed
from sk_dbn._input import check_real, numeric_dtype, of_validation, read_codes, read_input
from sk_dbn._names import Names
from sk_dbn._network_estimator import BaseDeepNetwork, is_stochastic
from sk_dbn._network_parameters import NetworkParameters
from sk_dbn._pretraining import WRAPPERS
from sk_dbn._stack_parameters import warn_of_range
from sk_dbn.models.data import Data
from sk_dbn.models.forward import inputs, shared_work
from sk_dbn.models.network import ACTIVATIONS
from sk_dbn.models.network_tasks import ReconstructionValidation
from sk_dbn.models.network_training import TrainingSet, rows_in_memory, squared_distances
from sk_dbn.models.scales import Scales
from sk_dbn.models.threads import threads
from sk_dbn.models.traces import evenly_spaced
from sk_dbn.models.unrolling import decoder_of, unroll
from sk_dbn.models.visible import VisibleUnits, check_range
from sk_dbn.models.work import row_pieces

# The loss and the output activation by the parameter `loss`, for visible units of the two kinds.
BERNOULLI_LOSSES = {
    "auto": ("binary_log_loss", "logistic"),
    "log_loss": ("binary_log_loss", "logistic"),
    "squared_error": ("logistic_squared_error", "logistic"),
}
GAUSSIAN_LOSSES = {
    "auto": ("squared_error", "identity"),
    "squared_error": ("squared_error", "identity"),
}


@completed
class DBNAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseDeepNetwork):
    """Deep autoencoder: codes of few numbers from which samples can be reconstructed.

    An encoder computes the code of a sample, and a decoder reconstructs the sample from its code.
    The decoder's layers are those of the encoder in reverse order. A :class:`BernoulliRBMStack`
    is trained first and unrolled: encoder and decoder start with its weights. Then all layers are
    trained by backpropagation to reconstruct X [8]_.

    Parameters
    ----------
    hidden_layer_sizes : array-like of shape (n_hidden,) or int, default=(256, 32)
        Number of units of each layer of the encoder. The last one is the code. The decoder has
        the same layers in reverse order.

    activation : str or list of str, default='logistic'
        Activation of the encoder's layers below the code, one for all or one for each, and of
        the same layers of the decoder. See :class:`DBNClassifier` for the names.

    code_activation : str, default='identity'
        Activation of the code: 'identity' for unbounded numbers, 'logistic' for numbers between 0
        and 1, or any other activation.

    solver, alpha, batch_size, learning_rate : as in NetworkParameters

    learning_rate_init, power_t, max_iter, shuffle, random_state, tol : as in NetworkParameters

    verbose, warm_start, momentum, nesterovs_momentum : as in NetworkParameters

    early_stopping : {'refit'} or bool, default='refit'
        How to choose the number of epochs:

        - 'refit': a copy of the network is first trained for `max_iter` epochs without some
          held-out samples: `X_val`, or a tenth of the samples, but at least 50 and at most a
          third. Then the network is trained on all samples for `max_iter_` epochs, with a
          schedule of this length. `max_iter_` is `max_iter` if the held-out loss was still
          falling at the end. Otherwise the sum of the learning rates becomes 1.5 times (with
          `X_val` once) the sum at the loss's minimum. There is no first pass with fewer than 100
          samples, when training continues without `X_val`, and in `partial_fit`;
        - True: training stops when the loss of held-out samples no longer improves, and the
          weights with the smallest loss are kept. The held-out samples are `X_val`, or a
          `validation_fraction` of the samples, which takes no part in training;
        - False: all epochs, or until `tol`.

        Not used by 'lbfgs'.

    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change : as in NetworkParameters

    max_fun, init : as in NetworkParameters

    pretrainer : {'auto'}, None, BernoulliRBMStack or WarmStart, default='auto'
        How the layers are pre-trained:

        - 'auto': by a :class:`BernoulliRBMStack` with its defaults, if a stack can have these
          layers;
        - None: not at all, the weights start from `init`;
        - a :class:`BernoulliRBMStack`: it is cloned, gets the encoder's layer sizes, activation
          and dtype, and `visible`, and is trained on all samples. Its other parameters can be
          searched, as ``pretrainer__learning_rate`` for example;
        - a :class:`WarmStart` of a fitted stack: its layers are unrolled as they are.

        Pre-training needs 'logistic', 'tanh' or 'relu' as activation of all layers, and no
        `shortcut`; otherwise it is an error to ask for it. The code may also be 'identity': the
        units of the top RBM, 'logistic' if it is the only one, are replaced by the linear units
        that are closest to them on the training data. `pretrainer_` is the stack that was used.

    warmup_epochs, l1_ratio, max_norm : as in NetworkParameters

    dropout : float or pair of floats, default=0.0
        Share of the hidden units that are left out of an update, chosen anew for each sample; or
        a pair, the shares of the input and of the hidden units [10]_. The remaining units are
        scaled up, so that codes need no correction; 'selu' units keep their mean and variance
        [7]_. With dropout of the input the network learns to reconstruct whole samples from parts
        of them. Not for 'lbfgs'.

    clip_norm, clip_value, shortcut : as in NetworkParameters

    visible : {'auto', 'bernoulli', 'gaussian'}, array-like of str or dict, default='auto'
        How the network reads features, for all or for each, as in :class:`BernoulliRBMStack`:
        'bernoulli' takes values in [0, 1], 'gaussian' standardises the feature. 'auto':
        'bernoulli' for all features if all values lie in [0, 1]; otherwise 'gaussian', except for
        binary features.

    loss : {'auto', 'squared_error', 'log_loss'}, default='auto'
        Loss of the reconstruction, a mean over samples:

        - 'squared_error': half the squared error of features as the network reads them, a mean
          over features in `loss_`. Outputs are logistic if all features are 'bernoulli',
          otherwise linear;
        - 'log_loss': cross entropy, a sum over features, with logistic outputs. Only if all
          features are 'bernoulli';
        - 'auto': 'log_loss' if all features are 'bernoulli', otherwise 'squared_error'.

    checkpoint, checkpoint_interval, trace : as in NetworkParameters

    dtype, n_jobs : as in NetworkParameters

    Attributes
    ----------
    coefs_ : list of shape (n_layers - 1,)
        Weights of each layer, (fan_in, fan_out), those of the encoder first. `coefs_[0]` acts on
        the features as the network reads them, see `visible`.

    intercepts_, gradient_trace_, pretrainer_, loss_, best_loss_ : as in NetworkParameters

    loss_curve_ : as in NetworkParameters

    validation_scores_ : list of float or None
        `score` of the validation samples after each epoch; None if there are none.

    visible_ : str or ndarray of str of shape (n_features,)
        The kind of all features, or of each.

    validation_loss_curve_, best_validation_score_, n_iter_, t_ : as in NetworkParameters

    batch_size_, max_iter_, held_out_loss_curve_, n_layers_, n_outputs_ : as in NetworkParameters

    out_activation_, n_features_in_, feature_names_in_ : as in NetworkParameters

    See Also
    --------
    BernoulliRBMStack : The stack of RBMs, whose `reconstruct` is not fine-tuned.
    sklearn.decomposition.PCA : The best linear autoencoder.

    Notes
    -----
    X is read some samples at a time, as input and as target, so memory does not grow with it.

    References
    ----------
    .. [1]-[7] as in NetworkParameters

    .. [8] Hinton, G. E. & Salakhutdinov, R. R. (2006). Reducing the dimensionality of data with
       neural networks. Science 313.

    .. [10]-[15] as in NetworkParameters

    Examples
    --------
    >>> from sk_dbn import DBNAutoencoder
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data / 16
    >>> autoencoder = DBNAutoencoder((64, 10), random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (1797, 10)
    >>> autoencoder.reconstruct(X).shape
    (1797, 64)
    """

    _parameter_constraints: dict = {
        **{
            name: rule
            for name, rule in NetworkParameters._parameter_constraints.items()
            if name not in ("pretrained_learning_rate", "output_layer_first")
        },
        "code_activation": [Names(set(ACTIVATIONS) - {"step"})],
        "visible": [Names({"auto", "bernoulli", "gaussian"}), "array-like", dict],
        "loss": [StrOptions({"auto", "squared_error", "log_loss"})],
    }

    _perfect_score = 0.0
    # Its output layer is pre-trained like the others, so it has no parameters for a new one.
    pretrained_learning_rate, output_layer_first = 1.0, False

    def __init__(
        self,
        hidden_layer_sizes=(256, 32),
        activation="logistic",
        *,
        code_activation="identity",
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
        pretrainer="auto",
        warmup_epochs=0,
        l1_ratio=0.0,
        max_norm=None,
        dropout=0.0,
        clip_norm=None,
        clip_value=None,
        shortcut=False,
        visible="auto",
        loss="auto",
        checkpoint=None,
        checkpoint_interval=60.0,
        trace="epoch",
        dtype="float32",
        n_jobs=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.code_activation = code_activation
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
        self.warmup_epochs = warmup_epochs
        self.l1_ratio = l1_ratio
        self.max_norm = max_norm
        self.dropout = dropout
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.shortcut = shortcut
        self.visible = visible
        self.loss = loss
        self.checkpoint = checkpoint
        self.checkpoint_interval = checkpoint_interval
        self.trace = trace
        self.dtype = dtype
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None, X_val=None):
        """Fit the autoencoder to X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples, of any numeric dtype, read in place; CSR if sparse.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample. Whole numbers count as repetitions: a weight of 2 is the
            same as listing the sample twice, 0 as leaving it out. Other weights, and whole
            numbers with a mean above 10, are divided by their mean and multiply the sample's
            loss; pre-training does not use them.

        X_val : {array-like, sparse matrix} of shape (n_val_samples, n_features), default=None
            Validation samples, reconstructed after every epoch. `early_stopping` then uses them
            instead of a part of X.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or a parameter is invalid. The estimator stays as it was.
        """
        return self._fit(X, None, sample_weight, X_val)

    @available_if(is_stochastic)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Train for one epoch on the given samples, from the present weights.

        The first call pre-trains on its samples, if `pretrainer` asks for that, and determines
        how features are read. Solver, momenta, `learning_rate_init` and schedule are those of the
        last `fit`, or of the first call of `partial_fit` if `fit` was not called. A warning names
        those that were set since. After a `fit` with ``learning_rate='auto'``, whose schedule has
        ended, the first call starts a schedule with the present parameters.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample, as in `fit`.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit(X, None, sample_weight, incremental=True)

    def _partial_fit(self, X, whole):
        """The first `partial_fit`, given the moments of all samples, see `Moments`."""
        return self._fit(X, None, incremental=True, whole=whole)

    def transform(self, X):
        """Compute the codes of samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        H : ndarray of shape (n_samples, hidden_layer_sizes[-1])
            Codes, in the precision of `dtype`.
        """
        check_is_fitted(self)
        return self._outputs(X, self._to_own_dtype, self._network.n_layers // 2)

    def inverse_transform(self, X):
        """Reconstruct samples from their codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, hidden_layer_sizes[-1])
            Codes, as `transform` returns them.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            In the units of the training data. Always an array, whatever `set_output` says, as
            in scikit-learn.
        """
        H = read_codes(self, X, "code")
        decoder = decoder_of(self._network.astype(H.dtype))
        with threads(self.n_jobs, shared_work(decoder.layers, len(H))) as run:

            def compute(codes):
                return self._to_data(decoder.outputs(run, Data(codes, H.dtype)))

            return in_chunks(compute, H, self._n_numbers(H))

    def reconstruct(self, X):
        """Reconstruct samples: encode and decode them.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        X_mean : ndarray of shape (n_samples, n_features)
            In the units of the training data.
        """
        return self._outputs(X, self._to_data)

    def score_samples(self, X):
        """Compute how well each sample is reconstructed; anomalies have low scores.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        scores : float64 ndarray of shape (n_samples,)
            Minus the squared error, summed over features as the network reads them: as they are
            if 'bernoulli' features lie in [0, 1] in the training data, otherwise scaled as
            `visible` says. The larger, the better, as everywhere in scikit-learn.
        """
        X = self._read_again(X)
        network = self._network_for(X)
        plain = Data(X, network.theta.dtype)
        data, unclipped = self._visible.data(plain), self._visible.unclipped(plain)
        scores = np.empty(X.shape[0])
        n_rows = min(rows_in_memory(X.shape[1]), chunk_rows(self._n_numbers(X)))
        with threads(self.n_jobs, shared_work(network.layers, len(scores))) as run:
            for part in row_pieces(len(scores), 2.0 * network.theta.size, n_rows):
                rows = np.arange(part.start, part.stop)
                outputs = network.outputs(run, data, rows=rows)
                scores[part] = -squared_distances(outputs, inputs(unclipped, rows))
        return scores

    def score(self, X, y=None, sample_weight=None):
        """Compute the mean of `score_samples`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample.

        Returns
        -------
        score : float
            Minus the mean squared error, at most zero.
        """
        return float(np.average(self.score_samples(X), weights=sample_weight))

    @property
    def _n_features_out(self):
        return int(self._network.units[self._network.n_layers // 2])

    def _to_data(self, outputs):
        """Outputs in the units of the training data."""
        dtype = self._network.theta.dtype
        return self._visible.to_data(outputs).astype(dtype, copy=False)

    # Layers.

    def _hidden_layers(self):
        sizes = layer_sizes(self.hidden_layer_sizes, at_least=1)
        names = [*self._activations(len(sizes) - 1), self.code_activation]
        return [*sizes, *sizes[-2::-1]], [*names, *names[-2::-1]]

    def _pretrained_layers(self):
        sizes, names = self._hidden_layers()
        n_encoder = len(sizes) // 2 + 1
        sizes, names = sizes[:n_encoder], names[:n_encoder]
        if names[-1] == "identity":  # a linear code
            names[-1] = names[0] if n_encoder > 1 else "logistic"
        return sizes, names

    def _layers_for_rate(self):
        # A code between logistic layers does not make them others. High rates do not undo
        # pre-training here: it has the same aim.
        sizes, names = self._hidden_layers()
        names[len(sizes) // 2] = names[0]
        return sizes, names, False

    def _validate_params(self):
        super()._validate_params()
        if isinstance(self.pretrainer, FrozenEstimator):
            raise ValueError(
                "pretrainer must not be a FrozenEstimator, because an autoencoder trains all "
                "layers; use WarmStart(stack), or the stack's own transform and reconstruct."
            )

    def _stack_parameters(self, hidden, activation, samples):
        kinds = self._suited_units(samples).kind
        kinds = kinds if isinstance(kinds, str) else kinds.tolist()
        return super()._stack_parameters(hidden, activation, samples) | {"visible": kinds}

    def _initialise(self, samples, callbacks, files):
        super()._initialise(samples, callbacks, files)
        if self.pretrainer_ is not None:
            n_rows = rows_in_memory(self.n_features_in_)
            rows = evenly_spaced(samples.repeated(samples.order), n_rows)
            v = inputs(self._open(samples.data, samples.data.dtype), rows)
            with threads(self.n_jobs):  # one thread of BLAS, whose number would change bits
                unroll(self.pretrainer_.model_.stack, self._network, v)

    # Input and output.

    _reads_missing = True
    _takes_categories = False

    def _validate_input(self, X, y, reset):
        rules = {"ensure_all_finite": self._finite(reset), "dtype": numeric_dtype(X)}
        return check_real(read_input(self, X, accept_sparse="csr", reset=reset, **rules)), None

    def _encode_targets(self, y, labelled, first, incremental, classes):
        self._loss_option = 0.0
        self._n_output_units = self.n_outputs_ = self.n_features_in_
        if not first:
            self._check_visible(self._visible, "that of the fitted autoencoder")
            self._loss, self.out_activation_ = self._find_loss(self._visible)

    def _asked_kinds(self):
        """The kinds of the features by the parameter `visible`, none of them categorical."""
        names = getattr(self, "feature_names_in_", None)
        kinds = asked_kinds(self.visible, self.n_features_in_, names)
        stack = self.pretrainer.estimator if isinstance(self.pretrainer, WRAPPERS) else None
        if np.any(np.equal(kinds, "categorical")) or getattr(stack, "categories_", None):
            raise ValueError(
                "an autoencoder has no categorical features, since its outputs are numbers. Encode "
                "categories before, with sklearn.preprocessing.OneHotEncoder."
            )
        return kinds

    def _suited_units(self, samples):
        """The visible units for the samples."""
        moments, kinds = samples.moments, self._asked_kinds()
        check_range(moments, np.dtype(self.dtype))
        visible = VisibleUnits.suited_to(kinds, moments, unstored=samples.unstored)
        visible.refer_to(visible.means(moments))
        return visible

    def _choose_output(self, stack, samples):
        if isinstance(self.pretrainer, WRAPPERS):
            self._visible = stack.model_.visible
            self._check_visible(self._visible, "that of the fitted pretrainer")
        else:
            self._visible = self._suited_units(samples)
        if stack is None:
            warn_of_range(self, self._visible, samples.moments)
        self._loss, self.out_activation_ = self._find_loss(self._visible)

    def _check_visible(self, units, which):
        """Check that `visible` asks for these units."""
        if not units.are(self._asked_kinds()):
            raise ValueError(f"visible must be {which}, {units.kind!r}, got {self.visible!r}.")

    def _input_units(self, stack, samples):
        return self._visible if stack is None else stack.model_.visible

    def _find_loss(self, units):
        """The loss and the output activation."""
        losses = GAUSSIAN_LOSSES if units.gaussian.any() else BERNOULLI_LOSSES
        if self.loss not in losses:
            raise ValueError(
                f"loss={self.loss!r} needs 'bernoulli' features only, with values in [0, 1], got "
                f"visible={self.visible!r} and Gaussian features; use 'squared_error'."
            )
        return losses[self.loss]

    @property
    def visible_(self):
        """The kind of all features, or of each."""
        check_is_fitted(self)
        return self._visible.kind

    def _scales_of_input(self, samples, train):
        return Scales.seen_by(self._visible, samples.moments, issparse(samples.data.X))

    # Validation.

    def _encode_validation(self, y, name):
        return None

    def _given_validation(self, run, X_val, y_val):
        with of_validation():
            X_val, _ = self._validate_input(X_val, None, reset=False)
        plain, rows, no_weight = Data(X_val, self.dtype), np.arange(X_val.shape[0]), np.empty(0)
        self._warn_of_clipping(plain, rows)
        data = self._open(plain, self._training_dtype)
        return self._validation(TrainingSet(data, None, no_weight, self._loss, rows), None)

    def _validation(self, rows, y):
        plain = Data(rows.data.X, rows.data.dtype)
        return ReconstructionValidation(rows, self._visible.unclipped(plain))

    def _score_outputs(self, outputs, y, sample_weight):
        return -float(np.average(squared_distances(outputs, y), weights=sample_weight))

    def _constant_score(self, y, weight):
        y = y.astype(np.float64)
        mean = np.ma.average(np.ma.masked_invalid(y), axis=0, weights=weight).filled(0.0)
        return -float(np.average(squared_distances(mean, y), weights=weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = [self.dtype]
        return tags
