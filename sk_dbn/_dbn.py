"""Deep belief networks for classification."""

from numbers import Real

import numpy as np
import scipy.sparse
from sklearn.base import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.metrics import accuracy_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    check_classification_targets,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import (
    check_consistent_length,
    column_or_1d,
)

from sk_dbn._docstrings import completed
from sk_dbn._input import check_sparse, numeric_dtype, read_input
from sk_dbn._labels import (
    check_no_minus_one,
    check_not_missing,
    check_unlabeled,
    classes_without,
    warn_of_classes,
)
from sk_dbn._network_estimator import BaseDeepNetwork, is_stochastic
from sk_dbn._network_parameters import NetworkParameters


@completed
class DBNClassifier(
    ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseDeepNetwork
):
    """Deep belief network: a stack of RBMs, fine-tuned as a classifier.

    The hidden layers are pre-trained one by one, without labels, as a
    :class:`BernoulliRBMStack` [8]_; then an output layer is added and all layers are
    trained by backpropagation. It also takes all parameters of
    :class:`~sklearn.neural_network.MLPClassifier`, with the same meaning.

    Parameters
    ----------
    hidden_layer_sizes : default=(256, 128), as in NetworkParameters

    activation, solver, alpha, batch_size, learning_rate : as in NetworkParameters

    learning_rate_init, power_t, max_iter, shuffle, random_state, tol : as in NetworkParameters

    verbose, warm_start, momentum, nesterovs_momentum, early_stopping : as in NetworkParameters

    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change : as in NetworkParameters

    max_fun, init : as in NetworkParameters

    pretrainer : default='auto', as in NetworkParameters

    pretrained_learning_rate, output_layer_first : as in NetworkParameters

    warmup_epochs, l1_ratio, max_norm : as in NetworkParameters

    dropout : 'auto', float or pair of floats, default='auto'
        Share of the hidden units that are left out of an update, chosen anew for each sample; or
        a pair, the shares of the input and of the hidden units [10]_. The remaining units are
        scaled up, so that predictions need no correction; 'selu' units keep their mean and
        variance [7]_. `loss_` and `loss_curve_` are computed with dropout; predictions, validation
        and the trace's activations without. 'auto': 0.2 of the hidden units; 0 with
        more than five hidden layers, through which little is learned then, unless `shortcut`; 0
        with 'lbfgs', which cannot use dropout, and if only the output layer is trained.

    clip_norm, clip_value, shortcut : as in NetworkParameters

    class_weight : dict, list of dicts or 'balanced', default=None
        Factor of the loss for each class; 'balanced': inversely proportional to the class
        frequencies. Factors are divided by their mean over the samples, so only their proportions
        count.

    label_smoothing : float, default=0.05
        Share of each target that is spread evenly over all classes, in [0, 1) [9]_: with k
        classes the target of the true class is 1 - label_smoothing + label_smoothing / k. In a
        multi-label problem, and with two classes, y becomes y (1 - label_smoothing) +
        label_smoothing / 2. All losses use these targets, also those of validation samples.

    unlabeled : label, default=None
        The label that means "no label", such as -1. It must have the type of the labels and need
        not occur. Samples with this label are used in pre-training only; fine-tuning and `score`
        leave them out. None: every label is a class; there is a warning if y has -1 and two or
        more other labels, all non-negative. NaN and None in y are an error: replace them by such
        a label.

    checkpoint, checkpoint_interval, trace : as in NetworkParameters

    dtype, n_jobs : as in NetworkParameters

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    coefs_ : list of shape (n_layers - 1,)
        Weights of each layer, (fan_in, fan_out).
        `coefs_[0]` acts on the input as scaled by `pretrainer_`, if there is one.

    intercepts_, gradient_trace_, pretrainer_, loss_, best_loss_ : as in NetworkParameters

    loss_curve_ : as in NetworkParameters

    validation_scores_ : list of float or None
        Accuracy on the validation samples after each epoch; None if there are none.

    validation_loss_curve_, best_validation_score_, n_iter_, t_ : as in NetworkParameters

    batch_size_, max_iter_, held_out_loss_curve_, n_layers_, n_outputs_ : as in NetworkParameters

    out_activation_, n_features_in_, feature_names_in_ : as in NetworkParameters

    See Also
    --------
    BernoulliRBMStack : The stack of RBMs that pre-trains layers.
    DeepMLPRegressor : Deep networks for regression.
    sklearn.neural_network.MLPClassifier : The same parameters, for shallow networks.

    References
    ----------
    .. [1]-[7] as in NetworkParameters

    .. [8] Hinton, G. E., Osindero, S. & Teh, Y.-W. (2006). A fast learning algorithm for
       deep belief nets. Neural Computation 18. Section 4.

    .. [9] Szegedy, C., Vanhoucke, V., Ioffe, S., Shlens, J. & Wojna, Z. (2016). Rethinking
       the Inception architecture for computer vision. CVPR. Section 7.

    .. [10]-[16] as in NetworkParameters

    Examples
    --------
    >>> from sk_dbn import DBNClassifier
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    >>> dbn = DBNClassifier(random_state=0).fit(X_train, y_train)
    >>> dbn.score(X_test, y_test)
    0.98
    >>> dbn.transform(X_test).shape
    (450, 128)
    """

    _parameter_constraints: dict = {
        **NetworkParameters._parameter_constraints,
        "dropout": [StrOptions({"auto"}), *NetworkParameters._parameter_constraints["dropout"]],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "unlabeled": [object],
    }

    def __init__(
        self,
        hidden_layer_sizes=(256, 128),
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
        pretrainer="auto",
        pretrained_learning_rate=1.0,
        output_layer_first=False,
        warmup_epochs=0,
        l1_ratio=0.0,
        max_norm=None,
        dropout="auto",
        clip_norm=None,
        clip_value=None,
        shortcut=False,
        class_weight=None,
        label_smoothing=0.05,
        unlabeled=None,
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
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.unlabeled = unlabeled
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

        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or a multi-label indicator matrix.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample. Whole numbers count as repetitions: a weight of 2 is the
            same as listing the sample twice, 0 as leaving it out. Other weights, and whole
            numbers with a mean above 10, are divided by their mean and multiply the sample's
            loss. Then only their proportions count, and `alpha` relates to the number of samples.
            Pre-training counts repetitions, but no other weights.

        X_val, y_val : array-like, default=None
            Validation samples, scored after every epoch. `early_stopping` then uses them instead
            of a part of X. Samples whose label is `unlabeled` are left out.

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
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Fine-tune for one epoch on the given samples, from the present weights.

        The first call pre-trains on its samples, if `pretrainer` asks for that.

        Solver, momenta, `learning_rate_init` and schedule are those of the last `fit`, or of the
        first call of `partial_fit` if `fit` was not called. A warning names those that were set
        since. After a `fit` with ``learning_rate='auto'``, whose schedule has ended, the first call
        starts a schedule with the present parameters.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input.

        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample, as in `fit`.

        classes : array-like of shape (n_classes,), default=None
            All classes that will occur. Required in the first call. `unlabeled` is no class, and
            may be listed.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If y has a label that is not among the classes.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' is not supported by partial_fit, which sees only a "
                "part of the labels; compute the weights with "
                "sklearn.utils.class_weight.compute_class_weight and pass them as a dict."
            )
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)

    def predict_proba(self, X):
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input.

        Returns
        -------
        p : float64 ndarray of shape (n_samples, n_classes)
            One column for each of `classes_`. Rows sum to one, except in a multi-label
            problem, where each column is the probability of that label.
        """
        return self._outputs(X, self._to_proba)

    def predict_log_proba(self, X):
        """Predict the logarithm of the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input.

        Returns
        -------
        log_p : float64 ndarray of shape (n_samples, n_classes)
            One column for each of `classes_`; minus infinity if the probability underflows to
            zero.
        """
        with np.errstate(divide="ignore"):
            p = self.predict_proba(X)
            return np.log(p, out=p)

    def predict(self, X):
        """Predict class labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            Labels in `classes_`, or a multi-label indicator matrix.
        """
        return self._outputs(X, lambda outputs: self._to_labels(self._to_proba(outputs)))

    def transform(self, X):
        """Compute the top hidden layer's activations.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input.

        Returns
        -------
        H : ndarray of shape (n_samples, hidden_layer_sizes[-1])
            Activations, in the precision of `dtype`.
        """
        return self._outputs(X, self._to_own_dtype, n_above=1)

    def score(self, X, y, sample_weight=None):
        """Compute the accuracy on the samples that have a label.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input.

        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            True labels. Samples whose label is `unlabeled` are left out.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample.

        Returns
        -------
        score : float
            Share of the labelled samples that `predict` gets right; in a multi-label problem all
            labels of a sample must be right.

        Raises
        ------
        ValueError
            If no sample has a label.
        """
        if self.unlabeled is None:
            return super().score(X, y, sample_weight)
        y = check_sparse(y, "y").toarray() if scipy.sparse.issparse(y) else np.asarray(y)
        predicted = self.predict(X)
        check_consistent_length(predicted, y, sample_weight)
        labelled = self._labelled(y)
        if not labelled.any():
            raise ValueError(
                f"every label in y equals unlabeled={self.unlabeled!r}, so there is nothing to "
                "score; give samples with labels."
            )
        if sample_weight is not None:
            sample_weight = np.asarray(sample_weight)[labelled]
        return accuracy_score(y[labelled], predicted[labelled], sample_weight=sample_weight)

    @property
    def _n_features_out(self):
        return self.coefs_[-1].shape[0]

    def _to_proba(self, outputs):
        p = outputs.astype(np.float64)
        if self._is_multilabel:
            return p
        if len(self.classes_) == 1:
            return np.ones((len(p), 1))
        if p.shape[1] == 1:
            return np.hstack([1.0 - p, p])
        return p / p.sum(axis=1, keepdims=True)

    def _to_labels(self, p):
        if self._is_multilabel:
            return (p > 0.5).astype(np.int64)
        return self.classes_[p.argmax(axis=1)]

    def _score_outputs(self, outputs, y, sample_weight):
        labels = self._to_labels(self._to_proba(outputs))
        return float(accuracy_score(y, labels, sample_weight=sample_weight))

    def _constant_score(self, y, weight):
        """The share of the most frequent label, or of the most frequent combination of labels."""
        axis = 0 if y.ndim > 1 else None  # along which NumPy 2.0 compares no objects
        _, label = np.unique(y, axis=axis, return_inverse=True)
        counts = np.bincount(label.ravel(), weights=weight)
        return float(counts.max() / counts.sum())

    def _validate_input(self, X, y, reset):
        check_not_missing(y)
        X, y = read_input(
            self,
            self._coded(X, reset),
            y,
            accept_sparse="csr",
            ensure_all_finite=self._finite(reset),
            multi_output=True,
            dtype=numeric_dtype(X),
            reset=reset,
        )
        if scipy.sparse.issparse(y):
            y = y.toarray()
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _pretraining_pays(self, samples):
        """Whether most samples have no label. Otherwise pre-training helps at most on images."""
        return samples.labelled_share < 0.5

    def _labelled(self, y):
        if self.unlabeled is None:
            return super()._labelled(y)
        check_unlabeled(self.unlabeled, y)
        labelled = y != self.unlabeled
        return labelled.any(axis=1) if y.ndim == 2 else np.broadcast_to(labelled, len(y))

    def _class_weights(self, y, labelled, repeats):
        if self.class_weight is None:
            return None
        weights = np.ones(len(y))
        weights[labelled] = self._factors(y[labelled], repeats[labelled])
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError(
                f"class_weight must be finite and at least 0, got {self.class_weight}."
            )
        return weights

    def _factors(self, y, repeats):
        """The weight of each sample's class, or the product over its labels."""
        if isinstance(self.class_weight, str):
            counted = np.repeat(np.arange(len(y)), repeats)
            return compute_sample_weight("balanced", y, indices=counted)
        if self._is_multilabel:
            return compute_sample_weight(self.class_weight, y)
        # classes_, because a call of partial_fit need not see all classes.
        by_class = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
        return by_class[np.searchsorted(self.classes_, y)]

    def _encode_targets(self, y, labelled, first, incremental, classes):
        if classes is not None:
            # Of a multi-label matrix they are the columns, and unlabeled is a value of its cells.
            classes = classes_without(None if y.ndim == 2 else self.unlabeled, classes)
        if first:
            self._define_classes(y[labelled], classes, incremental)
        else:
            if not incremental:
                self._check_same_classes(y[labelled])
            self._check_classes(y[labelled], classes)
        self._loss_option = self.label_smoothing
        targets = np.zeros((len(y), y.shape[1] if y.ndim == 2 else 1), self._training_dtype)
        targets[labelled] = self._encode_labels(y[labelled])
        return targets

    def _define_classes(self, y, classes, incremental):
        """Set `classes_` and what follows from them: number of outputs, loss, output activation."""
        check_classification_targets(y)
        if y.ndim == 2:
            check_no_minus_one(y, "y")
        self._is_multilabel = type_of_target(y).startswith("multilabel")
        if y.ndim == 2 and not self._is_multilabel:
            raise ValueError(
                "y must have one label per sample, or be a multi-label indicator matrix of zeros "
                f"and ones, got shape {y.shape} and target type {type_of_target(y)!r}; use "
                "MultiOutputClassifier for several multi-class outputs."
            )
        if incremental and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if self._is_multilabel:
            self.classes_ = np.arange(y.shape[1])
            self._check_classes(y, None)
        else:
            self.classes_ = unique_labels(y) if classes is None else classes
            self._check_classes(y, None)
            if classes is None:
                warn_of_classes(self.classes_, self.unlabeled, len(y))
        n = len(self.classes_)
        one_output = not self._is_multilabel and n <= 2
        multiclass = not self._is_multilabel and n > 2
        self._n_output_units = self.n_outputs_ = 1 if one_output else n
        self._loss = "log_loss" if multiclass else "binary_log_loss"
        self.out_activation_ = "softmax" if multiclass else "logistic"

    def _check_classes(self, y, classes, name="y"):
        """Check that y has known labels and the right shape, when training continues."""
        if classes is not None and not np.array_equal(self.classes_, classes):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call "
                f"to partial_fit, was: {self.classes_!r}"
            )
        if self._is_multilabel:
            if y.ndim != 2 or y.shape[1] != len(self.classes_):
                raise ValueError(
                    f"{name} must have {len(self.classes_)} columns of zeros and ones, like y of "
                    f"the first call, got shape {y.shape}."
                )
            check_no_minus_one(y, name)
            if not np.isin(y, (0, 1)).all():
                raise ValueError(
                    f"{name} must hold only zeros and ones in a multi-label problem, got "
                    f"{np.unique(y)[:5]}; encode labels with MultiLabelBinarizer."
                )
            return
        if y.ndim != 1:
            raise ValueError(
                f"{name} must have one label per sample, like y of the first call, got shape "
                f"{y.shape}."
            )
        found = unique_labels(y)
        if len(np.setdiff1d(found, self.classes_)):
            raise ValueError(
                f"`{name}` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. '{name}' has {found}."
            )

    def _check_same_classes(self, y):
        """Check that y has the same classes as in the previous fit."""
        if y.ndim != 1 + self._is_multilabel:
            return  # `_check_classes` raises an error
        found = np.arange(y.shape[1]) if self._is_multilabel else unique_labels(y)
        if not np.array_equal(found, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the "
                f"previous call to fit. Previously got {self.classes_}, `y` has {found}"
            )

    def _encode_validation(self, y, name):
        self._check_classes(y, None, name)
        return self._encode_labels(y)

    def _encode_labels(self, y):
        """Targets of the loss: (n_samples, 1) class indices or (n_samples, n_labels)."""
        if self._is_multilabel:
            return y.astype(self._training_dtype, order="C")
        return np.searchsorted(self.classes_, y).reshape(-1, 1).astype(self._training_dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = [self.dtype]
        return tags
