"""The parameters that networks share: documentation, constraints and resolved values."""

import os
import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import Interval, Options, StrOptions

from sk_dbn._architecture import (
    PRECISIONS,
    check_deviation,
    first_weights,
    layer_sizes,
    real_array,
)
from sk_dbn._automatic import automatic_batch_size, automatic_learning_rate, warn_of_batch_size
from sk_dbn._names import Names, did_you_mean
from sk_dbn._pretraining import check_pretrainer
from sk_dbn._unused import NETWORK, STOPPING, warn_of_unused
from sk_dbn.models import memory
from sk_dbn.models.initialisers import NAMES as INITIALISERS
from sk_dbn.models.network import ACTIVATIONS
from sk_dbn.models.network_training import SOLVERS, OptimiserState
from sk_dbn.models.schedules import PLANNED, SCHEDULES, Schedule

# The share of a classifier's hidden units that dropout='auto' drops.
AUTO_DROPOUT = 0.2
# Hidden layers through which learning survives it; shortcuts carry it through any number.
MAX_DROPPED = 5
AUTO_SCHEDULE = "one_cycle"  # of learning_rate='auto', if the last epoch is known

# Parameters that 'lbfgs' does not support: the value that turns each off, and the reason.
NOT_FOR_LBFGS = {
    "pretrained_learning_rate": (1.0, "which has no learning rate"),
    "warmup_epochs": (0, "which has no learning rate"),
    "l1_ratio": (0.0, "whose line search needs a loss that has a derivative everywhere"),
    "max_norm": (None, "whose steps must not be changed"),
    "dropout": (0.0, "whose line search needs a loss without randomness"),
    "clip_norm": (None, "whose line search needs the unchanged gradient"),
    "clip_value": (None, "whose line search needs the unchanged gradient"),
}


class NetworkParameters:
    """The parameters of the estimators that train a network, and their resolved values.

    `_docstrings.completed` copies the entries below to the docstrings of these classes.

    Parameters
    ----------
    hidden_layer_sizes : array-like of shape (n_hidden,) or int, default=(256, 128)
        Number of units of each hidden layer. (): a linear model without pre-training.

    activation : str or list of str, default='logistic'
        Activation of the hidden layers, one for all or one for each:

        - 'identity', f(z) = z;
        - 'logistic', f(z) = 1 / (1 + exp(-z));
        - 'tanh';
        - 'softsign', f(z) = z / (1 + abs(z));
        - 'relu', f(z) = max(0, z);
        - 'leaky_relu', 'relu' with slope 0.01 below zero;
        - 'elu', f(z) = exp(z) - 1 below zero;
        - 'selu', the scaled 'elu' that keeps mean 0 and variance 1 [7]_;
        - 'gelu', z times the normal distribution's P(N(0, 1) < z);
        - 'swish', z times logistic(z);
        - 'softplus', f(z) = log(1 + exp(z));
        - 'step', as in the perceptron, for prediction only: `fit` raises an error, since its
          derivative is zero.

    solver : {'sgd', 'adam', 'adamw', 'nadam', 'rmsprop', 'adagrad', 'lbfgs'}, \
            default='adam'
        How weights are optimised. 'sgd' has momentum (Nesterov's or classical), 'adam' is [4]_
        as in scikit-learn, 'adamw' decouples the weight decay from the gradient [5]_, 'nadam' is
        Adam with Nesterov's momentum [6]_, 'rmsprop' divides by a running root mean square,
        'adagrad' by the root of the sum of squares. 'lbfgs' works on all samples at once and
        suits small data; it computes in double precision whatever the `dtype`, because its line
        search compares losses that differ by little.

    alpha : float, default=0.0001
        Strength of the penalty of the weights, L2 unless `l1_ratio` is set. It is divided by the
        total sample weight of the minibatch when added to the loss. With ``solver='adamw'`` it is
        the decoupled weight decay: each update moves the weights against the gradient of the
        undivided penalty, times the learning rate.

    batch_size : int, default='auto'
        Number of samples in a minibatch. 'auto': a fortieth of all samples, at least 32 and at
        most 200; see `batch_size_`. Not used by 'lbfgs'.

    learning_rate : {'auto', 'constant', 'invscaling', 'adaptive', 'cosine', 'one_cycle'}, \
            default='auto'
        Schedule of the learning rate. 'auto': 'one_cycle' in `fit`; 'constant' in
        `partial_fit`, which does not know which call is the last. Only for ``solver='sgd'``:
        'invscaling' divides `learning_rate_init` by ``t ** power_t``, where t is the number of
        samples seen; 'adaptive' divides the rate by 5 whenever training stalls. For every solver
        but 'lbfgs', changing with each update: 'cosine' falls along half a cosine, to zero after
        `max_iter` epochs [12]_; 'one_cycle' rises from 1/25 of `learning_rate_init` to all of it
        over three tenths of these epochs, then falls to 1/250000 of it [13]_, as in torch but
        with constant momentum.

        Each call of `fit` starts a new schedule, with `warm_start` as well. All calls of
        `partial_fit` share one schedule of `max_iter` epochs, each call being one epoch. After
        its end the last rate stays, and there is a warning.

    learning_rate_init : 'auto' or float, default='auto'
        Initial learning rate; the highest one of 'one_cycle'. 'auto': 0.01 (0.1 with 'sgd' and
        'adagrad'), times 3 if all hidden units are logistic; times 2 / L with L > 2 hidden layers
        and no `shortcut`; times 200 / n if the widest of them has n > 200 units; times 1 / 3 if
        the schedule does not end near zero, and once more if the layers were pre-trained. See
        `learning_rate_init_`. Not used by 'lbfgs'.

    power_t : float, default=0.5
        Exponent of 'invscaling'.

    max_iter : int, default=200
        Maximum number of epochs, or of iterations of 'lbfgs'.

    shuffle : bool, default=True
        Whether every epoch visits the samples in a new random order. The model then
        depends on the samples as a set, not on the order in which they are stored.

    random_state : int, RandomState instance, default=None
        Determines initial weights, pre-training, the validation split and the order of
        samples. The same int gives the same bits for every `n_jobs`.

    tol : float, default=1e-4
        Training stops when the loss (with `early_stopping` the validation score) has not
        improved by tol for `n_iter_no_change` epochs. For 'lbfgs': tolerance of the largest
        component of the projected gradient. Without `early_stopping`, 'cosine' and 'one_cycle'
        run to `max_iter` whatever the loss, and training does not stop before `warmup_epochs`.

    verbose : bool, default=False
        Whether to print a line for each epoch, of pre-training as well: its number, its loss, the
        validation score, the elapsed time and the maximum remaining time.

    warm_start : bool, default=False
        Whether `fit` continues from the weights of the previous call.

    momentum : float, default=0.9
        Momentum of 'sgd', in [0, 1].

    nesterovs_momentum : bool, default=True
        Whether 'sgd' uses Nesterov's momentum.

    early_stopping : {'refit'} or bool, default='refit'
        How to choose the number of epochs:

        - 'refit': a copy of the network is first trained for `max_iter` epochs without some
          held-out samples: `X_val`, or a tenth of the samples, but at least 50 and at most a
          third, whose targets are distributed as in the rest. Then the network is trained on all
          samples for `max_iter_` epochs, with a schedule of this length. `max_iter_` is
          `max_iter` if the held-out loss was still falling at the end. Otherwise the sum of the
          learning rates becomes 1.5 times (with `X_val` once) the sum at the loss's minimum.
          There is no first pass with fewer than 100 samples, when training continues without
          `X_val`, and in `partial_fit`;
        - True: as in scikit-learn, training stops when the score of held-out samples no longer
          improves, and the weights with the best score are kept. The held-out samples are
          `X_val`, or a `validation_fraction` of the samples, which takes no part in training. A
          classifier stratifies them by class; with multi-label targets, or if a class is too rare
          for that, they are drawn at random, except that one sample of each class stays in the
          training set. A regressor uses their loss in place of the score if their targets are
          all equal;
        - False: all epochs, or until `tol`.

        Not used by 'lbfgs'.

    validation_fraction : float, default=0.1
        Share of the training samples held out by ``early_stopping=True``.

    beta_1 : float, default=0.9
        Decay of the running mean of gradients in 'adam', 'adamw' and 'nadam', and of
        the running mean of their squares in 'rmsprop', which keeps only that one.

    beta_2 : float, default=0.999
        Decay of the running mean of squared gradients in 'adam', 'adamw' and 'nadam'.

    epsilon : float, default=1e-8
        Added to the denominator of the adaptive solvers.

    n_iter_no_change : int, default=10
        Number of epochs without improvement before training stops.

    max_fun : int, default=15000
        Maximum number of evaluations of the loss by 'lbfgs'.

    init : str, float or list of arrays, default='auto'
        Initial weights of every layer:

        - 'auto': 'he_normal' for 'relu' and its relatives ('leaky_relu', 'elu', 'gelu',
          'swish', 'softplus'), 'lecun_normal' for 'selu', 'glorot_uniform' otherwise. Weights of
          hidden 'logistic' units are multiplied by 4, and their biases subtract the mean of
          logistic units below, so that they train like tanh units of twice the input;
        - 'glorot_normal', 'glorot_uniform': variance 2 / (fan_in + fan_out) [1]_;
        - 'he_normal', 'he_uniform': variance 2 / fan_in [2]_;
        - 'lecun_normal', 'lecun_uniform': variance 1 / fan_in [3]_;
        - 'orthogonal': orthonormal rows or columns;
        - 'normal': standard deviation 0.01, the practice for RBMs;
        - 'standard_normal': standard deviation 1;
        - 'zeros';
        - 'sklearn': as `sklearn.neural_network` does it, biases included;
        - a float: normal with this standard deviation;
        - a list with one array of shape (fan_in, fan_out) for each layer, the output
          layer included.

        With pre-training, `init` applies to the RBMs (where 'auto' is 'normal') and to the output
        layer, but not to the decoder of an autoencoder, which has the weights of the RBMs.

    pretrainer : {'auto'}, None, BernoulliRBMStack, WarmStart or FrozenEstimator, default='auto'
        How the hidden layers are pre-trained:

        - 'auto': by a :class:`BernoulliRBMStack` with its defaults if a stack can pre-train the
          network, in a classifier only if more than half of the samples have no label (see
          `unlabeled`), values are missing, or columns of a data frame have categories; otherwise
          not at all;
        - None: not at all, the weights start from `init`;
        - a :class:`BernoulliRBMStack`: it is cloned, gets the network's layer sizes, activation
          and dtype, and is trained on all samples. Its other parameters can be searched, as
          ``pretrainer__learning_rate`` for example;
        - a :class:`WarmStart` of a fitted stack: its layers are fine-tuned;
        - a :class:`~sklearn.frozen.FrozenEstimator` of a fitted stack: its layers stay as they
          are and only the output layer is trained, on the features of the top layer, which are
          computed once and kept in memory, (n_samples, n_top_units). Penalties, bounds and
          dropout of hidden units then concern the output layer alone.

        Pre-training needs hidden layers, all with 'logistic', 'tanh' or 'relu' as activation, and
        no `shortcut`; otherwise it is an error to ask for it. `pretrainer_` is the stack that was
        used.

    pretrained_learning_rate : float or array-like of shape (n_hidden,), default=1.0
        Learning rate of the pre-trained layers, all or each, as a share of that of the output
        layer. A smaller one keeps more of what they have learned without labels; 0 leaves a layer
        as it is, whatever `alpha` and `max_norm`. Calls of `partial_fit` may change it. No effect
        without pre-training or with a `FrozenEstimator`. Not for 'lbfgs'.

    output_layer_first : bool or float, default=False
        Whether `fit` trains the output layer alone, on the features of the pre-trained layers as
        they are, before it fine-tunes all layers [16]_. Fine-tuning then starts from a linear
        model on these features, not from a random output layer, whose gradients would change them.
        L-BFGS minimises the loss from zero weights, without dropout and bounds, and with an L2
        penalty. A float is the strength of this penalty; True means 1.0, as in a
        :class:`~sklearn.linear_model.LogisticRegression` or :class:`~sklearn.linear_model.Ridge`
        with its defaults. To these the linear model is equal, apart from `label_smoothing` and with
        sample weights of mean one; a float is the alpha of Ridge or 1 / C. Meanwhile the features
        of the training samples are kept in memory, (n_samples, n_top_units). Held-out samples of
        `early_stopping` take no part. This is done once, when `fit` starts a network, and not in
        `partial_fit`. No effect without pre-training or with a `FrozenEstimator`.

    warmup_epochs : float, default=0
        Number of epochs, which may be fractional, over which the learning rate rises linearly
        from zero to the first rate of its schedule. They are part of `max_iter`, which must be
        larger with 'cosine' and 'one_cycle'. Not for 'lbfgs'.

    l1_ratio : float, default=0.0
        Share of the L1 norm in the penalty, which for the weights W of all layers is
        ``alpha * (l1_ratio * |W|_1 + (1 - l1_ratio) / 2 * |W|_2^2)``. Weights that the loss does
        not need then stay close to zero. Not for 'lbfgs'.

    max_norm : float, default=None
        Maximum L2 norm of the incoming weights of a unit, in hidden layers and in the output:
        after each update, longer ones are scaled down to it [10]_. None: no bound. Not for
        'lbfgs'.

    clip_norm : float, default=None
        Maximum L2 norm of the gradient of all layers together, penalty included: a longer one is
        scaled down to it [11]_, after `clip_value`. Layers with ``pretrained_learning_rate=0``
        count too. Not for 'lbfgs'.

    clip_value : float, default=None
        Maximum absolute value of a component of the gradient: larger ones are set to it. Not for
        'lbfgs'.

    shortcut : bool, default=False
        Whether to use residual connections: each hidden layer but the first adds its input to
        its output [14]_. With L such layers, ``a + f(a W + b) / L`` replaces ``f(a W + b)``, so
        that gradients pass a network of any depth from the start, whatever the activation [15]_.
        Between layers of different widths only the first units have a connection, as many as the
        narrower layer has. A stack cannot pre-train such a network: it needs
        ``pretrainer=None`` or 'auto'.

    checkpoint : str or path-like, default=None
        A file in which `fit` keeps the state of training. If the process is killed, the same call
        of `fit` goes on from there, to the same bits, whatever `n_jobs` is; with
        ``random_state=None`` too. It is an ``.npz`` archive without pickled objects, written as a
        whole and deleted when `fit` is complete. A file of another fit, or a damaged one, is a
        ValueError and stays as it is; in a search, use `memory` of a stack instead. It contains
        pre-training, and all of training but for 'lbfgs', which begins again. Not used in
        `partial_fit`.

    checkpoint_interval : float, default=60.0
        Minimum number of seconds between two writes of the file; 0: after each epoch. It is also
        written between pre-trained layers, and between pre-training and training.

    trace : {'epoch', 'batch'} or None, default='epoch'
        How often a row is added to `gradient_trace_`; None turns it off.

    dtype : {'float32', 'float64', np.float32, np.float64} or np.dtype, default='float32'
        Precision of parameters and output. X may have any numeric dtype.

    n_jobs : int, default=None
        Number of threads. None: as many as joblib, OpenMP and numba allow this process; -1: all
        cores. The result does not depend on it.

    Attributes
    ----------
    intercepts_ : list of shape (n_layers - 1,)
        Biases of each layer, (fan_out,). Weights and biases can be assigned, all or by layer.

    gradient_trace_ : GradientTrace or None
        Gradients, weights and activations of every layer, epoch by epoch.

    pretrainer_ : BernoulliRBMStack or None
        The stack that pre-trained the hidden layers. If there is one, `coefs_[0]` acts on
        ``(X - pretrainer_.visible_mean_) / pretrainer_.visible_scale_``, clipped to [0, 1]
        for features that ``pretrainer_.visible_`` calls 'bernoulli'; of a categorical feature it
        has one row for each category.

    loss_ : float
        Loss of the last epoch, penalty included.

    best_loss_ : float or None
        Smallest loss of an epoch; None with `early_stopping`.

    loss_curve_ : list of float
        Loss of each epoch.

    validation_loss_curve_ : list of float or None
        Loss of the validation samples after each epoch, without penalty.

    best_validation_score_ : float or None
        The best of `validation_scores_`.

    n_iter_ : int
        Epochs (or iterations of 'lbfgs') of the last call of `fit`.

    t_ : int
        Number of samples seen in training.

    batch_size_, learning_rate_, learning_rate_init_, dropout_ : int, str, float, pair of floats
        The values of these parameters in the last call, with 'auto' resolved.

    max_iter_ : int
        Maximum number of epochs of the last call, see `early_stopping`.

    held_out_loss_curve_ : list of float or None
        Loss of the held-out samples after each epoch of the first pass of
        ``early_stopping='refit'``.

    n_layers_ : int
        Number of layers, input and output included.

    n_outputs_ : int
        Number of outputs of the network.

    out_activation_ : str
        Activation of the output layer.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`, if X had string names.

    References
    ----------
    .. [1] Glorot, X. & Bengio, Y. (2010). Understanding the difficulty of training deep
       feedforward neural networks. AISTATS. Equations 12 and 16.

    .. [2] He, K., Zhang, X., Ren, S. & Sun, J. (2015). Delving deep into rectifiers. ICCV.
       Equation 10.

    .. [3] LeCun, Y., Bottou, L., Orr, G. & Müller, K.-R. (1998). Efficient BackProp.
       Equation 16.

    .. [4] Kingma, D. & Ba, J. (2015). Adam: a method for stochastic optimization. ICLR.
       Algorithm 1, in the form of section 2's last paragraph.

    .. [5] Loshchilov, I. & Hutter, F. (2019). Decoupled weight decay regularization. ICLR.
       Algorithm 2.

    .. [6] Dozat, T. (2016). Incorporating Nesterov momentum into Adam. ICLR workshop.

    .. [7] Klambauer, G., Unterthiner, T., Mayr, A. & Hochreiter, S. (2017).
       Self-normalizing neural networks. NeurIPS. Equation 2.

    .. [10] Srivastava, N., Hinton, G., Krizhevsky, A., Sutskever, I. & Salakhutdinov, R.
       (2014). Dropout: a simple way to prevent neural networks from overfitting. JMLR 15.

    .. [11] Pascanu, R., Mikolov, T. & Bengio, Y. (2013). On the difficulty of training
       recurrent neural networks. ICML. Algorithm 1.

    .. [12] Loshchilov, I. & Hutter, F. (2017). SGDR: stochastic gradient descent with warm
       restarts. ICLR. Equation 5, without restarts.

    .. [13] Smith, L. N. & Topin, N. (2019). Super-convergence: very fast training of neural
       networks using large learning rates. SPIE 11006.

    .. [14] He, K., Zhang, X., Ren, S. & Sun, J. (2016). Deep residual learning for image
       recognition. CVPR. Section 3; option A if widths differ.

    .. [15] Marion, P., Fermanian, A., Biau, G. & Vert, J.-P. (2025). Scaling ResNets in the
       large-depth regime. JMLR 26.

    .. [16] Kumar, A., Raghunathan, A., Jones, R., Ma, T. & Liang, P. (2022). Fine-tuning can
       distort pretrained features and underperform out-of-distribution. ICLR. Section 3.4.
    """

    _parameter_constraints: dict = {
        "hidden_layer_sizes": "no_validation",  # by layer_sizes
        "activation": [Names(set(ACTIVATIONS)), list, tuple],
        "init": [
            Names(set(INITIALISERS)),
            Interval(Real, 0, None, closed="left"),
            list,
            tuple,
        ],
        "pretrainer": "no_validation",  # by check_pretrainer
        "pretrained_learning_rate": [Interval(Real, 0, None, closed="left"), "array-like"],
        "output_layer_first": ["boolean", Interval(Real, 0, None, closed="neither")],
        "solver": [Names({*SOLVERS, "lbfgs"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Names({"auto", *SCHEDULES})],
        "learning_rate_init": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "warmup_epochs": [Interval(Real, 0, None, closed="left")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean", Names({"refit"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "max_norm": [Interval(Real, 0, None, closed="neither"), None],
        "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
        "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "clip_value": [Interval(Real, 0, None, closed="neither"), None],
        "shortcut": ["boolean"],
        "checkpoint": [str, os.PathLike, None],
        "checkpoint_interval": [Interval(Real, 0, None, closed="left")],
        "trace": [Names({"epoch", "batch"}), None],
        "dtype": PRECISIONS,
        "n_jobs": [Integral, None],
    }

    def set_params(self, **params):
        """Set parameters of the network, and with the prefix ``pretrainer__`` those of its stack.

        Parameters
        ----------
        **params : dict
            Names and values.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If a parameter does not exist, or if there is no stack to set it in.
        """
        pretrainer = params.get("pretrainer", self.pretrainer)
        of_stack = sorted(name for name in params if name.startswith("pretrainer__"))
        is_object = hasattr(pretrainer, "set_params") and not isinstance(pretrainer, type)
        if of_stack and not is_object:
            raise ValueError(
                f"{of_stack[0]} is a parameter of a stack, but pretrainer={pretrainer!r} is not a "
                "stack; set pretrainer=BernoulliRBMStack() first."
            )
        return super().set_params(**params)

    def _validate_params(self):
        super()._validate_params()
        check_pretrainer(self.pretrainer)

    def _check_solver(self):
        """Check that the solver supports the parameters."""
        self._dropout_rates()
        self._check_pretrained_learning_rate()
        for name, (off, reason) in NOT_FOR_LBFGS.items() if self.solver == "lbfgs" else ():
            value = getattr(self, name)
            if not (isinstance(value, str) or np.all(np.asarray(value) == off)):
                raise ValueError(
                    f"{name} must be {off!r} for solver='lbfgs', {reason}, got {value!r}; use a "
                    "solver that works on minibatches, such as 'adam'."
                )

    def _check_pretrained_learning_rate(self):
        """Check that there is one rate, or one for each hidden layer."""
        shares = self.pretrained_learning_rate
        if not isinstance(shares, Real):
            shape = (len(layer_sizes(self.hidden_layer_sizes)),)
            parts = "pretrained_learning_rate", shares, shape, np.float64
            if (real_array(*parts, "(n_hidden,) = ") < 0).any():
                raise ValueError(f"pretrained_learning_rate must be at least 0, got {shares!r}.")

    def _warn_of_unused(self, incremental):
        """Warn of parameters that have no effect."""
        warn_of_unused(self, NETWORK if incremental else NETWORK | STOPPING)
        if self._is_frozen and self._dropout_rates()[0] > 0:
            warnings.warn(
                f"dropout={self.dropout!r}: dropout of the input has no effect with frozen layers, "
                "because their features are computed once, from the whole input.",
                UserWarning,
            )

    def _warn_of_no_pretraining(self):
        """Warn of parameters for pre-trained layers if pretrainer='auto' trained none."""
        asks = self.output_layer_first or np.any(np.asarray(self.pretrained_learning_rate) != 1.0)
        is_auto = isinstance(self.pretrainer, str)
        if asks and is_auto and self.pretrainer_ is None:
            warnings.warn(
                "pretrained_learning_rate and output_layer_first have no effect, because "
                "pretrainer='auto' did not pre-train this network; see the documentation of "
                "pretrainer.",
                UserWarning,
            )

    @property
    def _training_dtype(self):
        """The precision that training works in.

        The line search of L-BFGS compares losses that differ by little. In single precision,
        rounding ends it long before the minimum, especially if targets are large.
        """
        return np.dtype(np.float64 if self.solver == "lbfgs" else self.dtype)

    def _activations(self, n_hidden):
        """The name of each hidden layer's activation."""
        names = self.activation
        names = [names] * n_hidden if isinstance(names, str) else list(names)
        if len(names) != n_hidden:
            raise ValueError(
                f"activation must be one name or one for each of the {n_hidden} hidden "
                f"layers, got {len(names)}: {names}."
            )
        for name in names:
            if not isinstance(name, str) or name not in ACTIVATIONS:
                raise ValueError(
                    f"activation must be one of {sorted(ACTIVATIONS)}, got {name!r}."
                    + did_you_mean(name, ACTIVATIONS)
                )
        if "step" in names:
            raise ValueError(
                "activation='step' cannot be trained, because its derivative is zero. Use "
                "'logistic' or 'tanh', which are smooth steps."
            )
        return names

    def _hidden_layers(self):
        """Sizes and activations of the hidden layers, from the input to the output."""
        sizes = layer_sizes(self.hidden_layer_sizes)
        return sizes, self._activations(len(sizes))

    def _pretrained_layers(self):
        """Sizes and activations of the hidden layers that a stack can pre-train."""
        return self._hidden_layers()

    def _inits(self, units):
        """The initialisation of each layer."""
        if isinstance(self.init, (list, tuple)):
            return first_weights(self.init, units, self.dtype)
        if isinstance(self.init, Real):
            check_deviation(self.init, self.dtype)
        return [self.init] * (len(units) - 1)

    @property
    def _is_frozen(self):
        """Whether the hidden layers stay as they are and only the output layer is trained."""
        return isinstance(self.pretrainer, FrozenEstimator)

    @property
    def _is_fine_tuned(self):
        """Whether there are pre-trained layers that training changes."""
        return self.pretrainer_ is not None and not self._is_frozen

    @property
    def _stops_early(self):
        """Whether the score of held-out samples ends training."""
        return self.early_stopping != "refit" and bool(self.early_stopping)

    def _resolve_automatic(self, n_samples, incremental):
        """Resolve the parameters that are 'auto', and set the fitted attributes."""
        self.batch_size_, self.dropout_ = self._batch_size(n_samples), self._dropout_rates()
        solver, self.learning_rate_ = self.solver, self.learning_rate
        if incremental and self._optimiser is not None:
            solver = self._fixed["solver"]  # which continues
        if self.learning_rate == "auto":  # partial_fit does not know which call is the last
            self.learning_rate_ = "constant" if incremental else AUTO_SCHEDULE
        elif solver != "sgd" and self.learning_rate not in PLANNED:
            self.learning_rate_ = "constant"  # the other schedules are for 'sgd' alone
        self.learning_rate_init_ = self.learning_rate_init
        if self.learning_rate_init == "auto":
            is_annealed = self.learning_rate_ in PLANNED
            self.learning_rate_init_ = automatic_learning_rate(
                solver, *self._layers_for_rate(), is_annealed, self.shortcut
            )

    def _layers_for_rate(self):
        """Sizes and activations of the trained hidden layers, and whether they are pre-trained."""
        if self._is_frozen:
            return [], [], False
        return *self._hidden_layers(), self.pretrainer_ is not None

    def _batch_size(self, n_samples):
        """Number of samples in a minibatch."""
        if self.batch_size == "auto" or self.solver == "lbfgs":
            batch_size = automatic_batch_size(n_samples)
        else:
            warn_of_batch_size(self.batch_size, n_samples)
            batch_size = min(self.batch_size, n_samples)
        # Activations and the loss's derivatives with respect to them.
        per_row = 2 * int(self._network.units.sum()) * self._network.theta.itemsize
        value = f"{batch_size} in a network of {self._network.units.sum()} units"
        memory.require(batch_size * per_row, "batch_size", value, "use a smaller one")
        return batch_size

    def _dropout_rates(self):
        """The shares of the input's and of the hidden units that are dropped."""
        if isinstance(self.dropout, str):  # 'auto'
            is_still = self.solver == "lbfgs" or self._is_frozen
            is_deep = len(self._hidden_layers()[0]) > MAX_DROPPED and not self.shortcut
            return 0.0, 0.0 if is_still or is_deep else AUTO_DROPOUT
        if isinstance(self.dropout, Real):
            return 0.0, float(self.dropout)
        rates = tuple(self.dropout)
        if len(rates) != 2 or not all(isinstance(p, Real) and 0.0 <= p < 1.0 for p in rates):
            raise ValueError(
                "dropout must be a float in [0, 1), or a pair of them, for the input and for the "
                f"hidden layers, got {self.dropout!r}."
            )
        return float(rates[0]), float(rates[1])

    def _rate_factors(self, n_layers):
        """The learning rate of each trained layer as a share of that of the output layer."""
        factors = np.ones(n_layers)
        if self._is_fine_tuned:
            factors[:-1] = self.pretrained_learning_rate
        return factors

    def _new_optimiser(self, network):
        """A new optimiser."""
        return OptimiserState(
            self.solver,
            network,
            momentum=self.momentum,
            nesterov=self.nesterovs_momentum and self.momentum > 0,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )

    def _new_schedule(self, share=1.0):
        """A new schedule; if it is planned, over this share of `max_iter`."""
        name, max_iter = self.learning_rate_, round(share * self.max_iter)
        warmup = self.warmup_epochs * (share if name in PLANNED else 1.0)
        return Schedule(name, self.learning_rate_init_, self.power_t, max_iter, warmup)

    def _check_warmup(self, schedule):
        """Check that the warm-up ends before a planned schedule does."""
        if schedule.is_planned and self.warmup_epochs >= self.max_iter:
            raise ValueError(
                f"warmup_epochs must be less than max_iter={self.max_iter} with "
                f"learning_rate={schedule.name!r}, got {self.warmup_epochs}: no epoch would "
                "be left for the schedule."
            )
