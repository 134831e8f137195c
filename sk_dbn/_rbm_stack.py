"""A stack of restricted Boltzmann machines as a scikit-learn transformer."""

import os
from numbers import Integral, Real

import joblib
import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sk_dbn._architecture import PRECISIONS, real_array
from sk_dbn._assignment import assignable, derived
from sk_dbn._callbacks import CallbackSupportMixin, FitCallbacks, with_callbacks
from sk_dbn._categories import KINDS, known_categories
from sk_dbn._chunks import TEMPORARIES, in_chunks
from sk_dbn._energies import EnergyMixin
from sk_dbn._frames import coded, labels_of, with_labels
from sk_dbn._input import check_real, numeric_dtype, read_codes, read_input, read_input_again
from sk_dbn._names import Names, SuggestsNames
from sk_dbn._persistence import Stored
from sk_dbn._progress import Progress
from sk_dbn._publishing import EpochCounts, StackListener
from sk_dbn._sampling import SamplingMixin
from sk_dbn._scaling import warn_of_features
from sk_dbn._stack_fit import StackFit
from sk_dbn._stack_parameters import layer_cache_of, unstored_value
from sk_dbn.models.compilation import announce_compilation
from sk_dbn.models.data import Data
from sk_dbn.models.fitted_stack import FittedStack
from sk_dbn.models.initialisers import NAMES
from sk_dbn.models.threads import threads
from sk_dbn.models.traces import join_layers
from sk_dbn.models.transaction import transaction
from sk_dbn.models.units import HIDDEN_KINDS

OWN_SCALING = "scale X before, for example with StandardScaler, and fit again"


class BernoulliRBMStack(
    EnergyMixin,
    SamplingMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    SuggestsNames,
    Stored,
    CallbackSupportMixin,
    BaseEstimator,
):
    """A stack of restricted Boltzmann machines (RBMs), each trained on the layer below it.

    Greedy layer-wise training [1]_: the first RBM models the data, the second one models the
    means of the first one's hidden units, and so on. Each is trained by contrastive divergence
    [2]_ or with persistent chains [3]_, with the centered gradient [4]_ and the recipes of
    Hinton's guide [5]_. Upper layers read the data through the layers below, one minibatch at a
    time, so the features of a layer are never stored.

    Values may be missing (NaN). Each sample then is an RBM of its own, with the visible units that
    were observed in it and weights that all samples share [15]_. In the layers above nothing is
    missing. This needs ``algorithm='cd'``, and so do categorical features.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of shape (n_layers,), default=(256, 128)
        The number of hidden units of each RBM.
    visible : {'auto', 'bernoulli', 'gaussian', 'categorical'}, array-like of str of shape \
            (n_features,), or dict, default='auto'
        Units that model the features: one kind for all features, one for each [14]_, or a dict
        with the kinds of some features, by name or index, where the others are 'auto'. Bernoulli
        units take values in [0, 1]; values between 0 and 1 are read as means, values outside are
        clipped. Gaussian units model features that are standardised by the training set's mean and
        standard deviation. 'auto' takes Bernoulli units if all values of the training set lie in
        [0, 1], and Gaussian units otherwise, except that features whose values are 0 and 1 stay
        Bernoulli. Constant features get the kind of the others. A categorical feature has one
        unit for each category, of which one is 1 [15]_. Columns of a data frame that have pandas'
        dtype for categories are categorical.
    categories : 'auto', array-like of numbers, or list of array-like, default='auto'
        The categories of categorical features, but for columns of data frames, whose dtype has
        them: one array for all of these features, or a list with one for each. 'auto': the values
        that a feature has in the training set, at most 255.
    handle_unknown : {'error', 'ignore'}, default='error'
        What to do with a value that is none of the categories: raise an error, or read it as
        missing.
    not_stored : {'zero', 'missing'}, default='zero'
        What it means that a sparse matrix does not store a value. With 'missing', time and memory
        of training follow from the number of stored values. Then a matrix that lists entries twice
        or out of order is copied.
    learn_variance : bool, default=True
        Whether each Gaussian unit learns its variance given the hidden units [8]_; otherwise
        it is that of the standardised feature, 1. The learning rate of its logarithm is a tenth
        of that of the weights, or a hundredth with ``algorithm='cd'``. The smaller the variances,
        the worse chains mix: False may suit `complete` and `sample` better.
    activation : {'logistic', 'tanh', 'relu'}, default='logistic'
        Hidden units: 0 and 1 with logistic means, -1 and 1 with tanh means, or noisy rectified
        linear units [9]_, whose noise is part of training and not of `transform`.
    init : str, float or list of ndarrays, default='auto'
        Initial weights. 'auto' and 'normal': normal with standard deviation 0.01. A float:
        normal with this standard deviation. Otherwise one of 'glorot_normal',
        'glorot_uniform', 'he_normal', 'he_uniform', 'lecun_normal', 'lecun_uniform',
        'orthogonal', 'standard_normal', 'zeros', 'sklearn', or one array per layer. Visible
        biases start from the log-odds of the data.
    learning_rate : float or array-like of shape (n_layers,), default=0.1
        Step size, one for all layers or one for each. For each side of an RBM (visible, hidden)
        that has Gaussian or rectified linear units, it is divided by 10; if there are none, but
        categorical features, by 5. With rectified linear hidden units it is smaller still where
        the input varies much, so that steps do not overshoot. The step of an RBM with Gaussian or
        rectified linear units is at most a tenth as long as its weights [13]_.
    annealing : 'auto' or float, default='auto'
        Share of `max_iter` at the end of training over which the learning rate falls linearly to
        zero. The steps of a constant rate leave noise in the weights [7]_, and each layer adds
        its own, so deep stacks gain most; persistent chains need annealing. 'auto': 0.5 with
        persistent chains, 0.0 with ``algorithm='cd'``. `partial_fit` keeps the rate constant.
    momentum : float, default=0.9
        Final momentum; it rises from 0.5 over the first 1000 updates [6]_.
    algorithm : {'cd', 'pcd', 'fpcd', 'pt'}, default='cd'
        'cd': contrastive divergence; chains start at each minibatch. Where the input consists of
        means, the visible units are reconstructed by their means. 'pcd': persistent contrastive
        divergence; chains start from noise and continue from one update to the next. 'fpcd': the
        same with fast weights, which drive chains away from where they have been [10]_; their
        learning rate is `learning_rate` and stays constant while that of the RBM falls. 'pt':
        parallel tempering: persistent chains at several temperatures that exchange their states
        [11]_; not with ``activation='relu'``.
    n_gibbs_steps : int, default=1
        Gibbs steps of each chain in an update.
    n_chains : int, default=100
        Number of persistent chains. Not used with ``algorithm='cd'``.
    n_temperatures : int, default=10
        Number of temperatures of each chain, from that of the RBM to one at which its units are
        independent. Only used with ``algorithm='pt'``.
    centered : bool, default=True
        Whether to use the centered gradient, which is the same for the data and their
        complement.
    alpha : float, default=0.0001
        Strength of the weight decay; biases do not decay.
    l1_ratio : float, default=0.0
        Share of the L1 norm in it: the penalty is
        ``alpha * (l1_ratio * |W|_1 + (1 - l1_ratio) / 2 * |W|_2^2)``.
    max_norm : float, default=None
        Maximum L2 norm of the weights of a hidden unit.
    sparsity_target : float, default=None
        Target of the hidden units' mean activity: the share of 1 of binary units, the mean of
        rectified linear units. None: no target.
    sparsity_cost : float, default=0.1
        Strength of the pull towards it. Only used with `sparsity_target`.
    dropout : float, default=0.0
        Share of the hidden units that are left out in training, chosen anew for each sample and
        each chain; the others are scaled up [12]_. Not with ``algorithm='pt'``.
    batch_size : int, default=10
        Number of samples in a minibatch, at most all training samples.
    max_iter : int or array-like of shape (n_layers,), default=50
        Maximum number of epochs, for all layers or for each.
    tol : float, default=0.001
        The smallest improvement that counts, in nats of the Kullback-Leibler divergence of the
        reconstruction per sample (for Gaussian units minus their log density, which may be
        negative). Persistent chains do not minimise that, so with them it is used only if
        ``early_stopping=True``. It is not used with ``early_stopping='free_energy'``, where the
        margin is a standard error.
    n_iter_no_change : int, default=10
        Number of epochs without such an improvement after which the training of a layer stops,
        or, with `annealing`, its learning rate begins to fall.
    early_stopping : bool or {'reconstruction', 'free_energy'}, default=False
        Whether to judge improvement on held-out samples. True and 'reconstruction': by the
        divergence of their reconstruction; training returns to the best epoch. 'free_energy': by
        the gap between their mean free energy and that of training samples, which grows when an
        RBM begins to overfit ([5]_, section 6); an epoch counts as an improvement while its gap
        is within a standard error of the smallest one. That stops early: the likelihood of new
        samples may still rise for a while. It needs no partition function, so it also works with
        rectified linear units.
    validation_fraction : float, default=0.1
        Share of the samples to hold out. Only used with `early_stopping`.
    shuffle : bool, default=True
        Whether to visit the samples in a new order in each epoch. The order depends on the
        content of the samples and on `random_state`, not on how they are stored.
    memory : str, path-like or joblib.Memory, default=None
        Where to keep trained layers: a directory, or a joblib.Memory. A later fit reads a layer
        from there if everything that its training depends on is the same: the samples, the
        parameters of this layer and of those below, the random numbers, the version of this
        package and the kind of processor. So in a search over depth, with an int as
        `random_state`, each layer is trained once. Results are the same bits as with None, where
        nothing is kept. Not used if training continues: in `partial_fit`, and in `fit` of a
        fitted stack with ``warm_start=True``.
    warm_start : bool, default=False
        Whether `fit` continues from the present parameters.
    checkpoint : str or path-like, default=None
        A file in which `fit` keeps the state of training. If the process is killed, the same call
        of `fit` goes on from there, to the same bits, whatever `n_jobs` is; with
        ``random_state=None`` too. It is an ``.npz`` archive without pickled objects, written as a
        whole and deleted when `fit` is complete. A file of another fit, or a damaged one, is a
        ValueError and stays as it is; in a search, use `memory` instead. Not used in
        `partial_fit`, nor as a pretrainer, whose layers are in the checkpoint of the network.
    checkpoint_interval : float, default=60.0
        Minimum number of seconds between two writes of the file; 0: after each epoch. It is also
        written at the end of each layer.
    trace : {'epoch', 'batch'} or None, default='epoch'
        How often a row is added to `gradient_trace_`.
    dtype : {'float32', 'float64', np.float32, np.float64} or np.dtype, default='float32'
        Precision of parameters and output.
    n_jobs : int, default=None
        Number of threads; None: as many as the process may use. It changes no result. `gibbs`,
        `sample` and `complete` use one thread.
    verbose : int, default=0
        Whether to print a line for each epoch: its number, the divergence of the reconstruction,
        the elapsed time and the maximum remaining time.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, the order of samples and all random draws of units.

    Attributes
    ----------
    coefs_ : list of ndarrays of shape (n_visible, n_hidden)
        Weights of each RBM.
    intercepts_hidden_ : list of ndarrays of shape (n_hidden,)
        Biases of each RBM's hidden units.
    intercepts_visible_ : list of ndarrays of shape (n_visible,)
        Biases of each RBM's visible units.
    components_ : ndarray of shape (hidden_layer_sizes[0], n_visible)
        Weights of the first RBM, transposed. It has a visible unit for each feature, and for each
        category of a categorical one. Like weights and biases, it may be assigned.
    feature_importances_ : ndarray of shape (n_features,)
        How much worse the reconstruction becomes when a feature is hidden from the stack, on up
        to 256 samples of the last call of `fit` or `partial_fit`. These samples are kept in the
        fitted stack and in its pickles.
    gradient_trace_ : GradientTrace or None
        Gradients, weights and activations of every layer, epoch by epoch.
    n_iter_ : list of int
        Number of epochs that each RBM was trained for.
    n_layers_ : int
        Number of RBMs.
    visible_ : {'bernoulli', 'gaussian', 'categorical'}, or ndarray of str of shape (n_features,)
        Kind of the visible units: a string if they are all of one kind, else an array.
    categories_ : tuple of ndarrays, or None
        The categories of each feature, sorted, or in the order of a data frame's dtype; None for
        a feature without categories. None if no feature is categorical.
    visible_variance_ : ndarray of shape (n_features,) or None
        Variance of each Gaussian unit given the hidden units, in units of its feature's variance.
        NaN for other features; None if no unit is Gaussian.
    visible_mean_, visible_scale_ : ndarrays of shape (n_visible,)
        `coefs_[0]` acts on ``v = (X - visible_mean_) / visible_scale_``, which Bernoulli
        units then clip to [0, 1]. For Gaussian units: the mean, and the standard deviation (1 for
        constant features) times `visible_variance_`. For Bernoulli units: zeros and ones, or, if
        values lay outside [0, 1], the smallest value of all such units and the width of their
        range. For units of categories: zeros and ones; such a unit reads whether the feature has
        its category. All are those of the samples of the first call, also when training continues.
        These three cannot be assigned.
    model_ : FittedStack
        The RBMs as ``sk_dbn.models`` has them. For code of this package only; it may change
        in any release.
    random_state_ : RandomState instance
        Where `gibbs`, `sample`, `complete` and `partial_fit` take their next random numbers from.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`. Defined only when `X` has feature names that are
        all strings.

    See Also
    --------
    DBNClassifier : A classifier whose layers start from such a stack.
    sklearn.neural_network.BernoulliRBM : A single RBM.

    References
    ----------
    .. [1] Hinton, G. E., Osindero, S. & Teh, Y.-W. (2006). A fast learning algorithm for deep
       belief nets. Neural Computation 18, section 4.
    .. [2] Hinton, G. E. (2002). Training products of experts by minimizing contrastive
       divergence. Neural Computation 14.
    .. [3] Tieleman, T. (2008). Training restricted Boltzmann machines using approximations
       to the likelihood gradient. ICML.
    .. [4] Melchior, J., Fischer, A. & Wiskott, L. (2016). How to center deep Boltzmann
       machines. Journal of Machine Learning Research 17.
    .. [5] Hinton, G. E. (2012). A practical guide to training restricted Boltzmann machines.
       Neural Networks: Tricks of the Trade.
    .. [6] Sutskever, I., Martens, J., Dahl, G. & Hinton, G. (2013). On the importance of
       initialization and momentum in deep learning. ICML, equation 5.
    .. [7] Swersky, K., Chen, B., Marlin, B. & de Freitas, N. (2010). A tutorial on stochastic
       approximation algorithms for training restricted Boltzmann machines and deep belief
       nets. Information Theory and Applications Workshop.
    .. [8] Cho, K., Ilin, A. & Raiko, T. (2011). Improved learning of Gaussian-Bernoulli
       restricted Boltzmann machines. ICANN, section 3.
    .. [9] Nair, V. & Hinton, G. E. (2010). Rectified linear units improve restricted Boltzmann
       machines. ICML, section 2.
    .. [10] Tieleman, T. & Hinton, G. (2009). Using fast weights to improve persistent
       contrastive divergence. ICML, section 3.
    .. [11] Desjardins, G., Courville, A., Bengio, Y., Vincent, P. & Delalleau, O. (2010).
       Tempered Markov chain Monte Carlo for training of restricted Boltzmann machines.
       AISTATS.
    .. [12] Srivastava, N., Hinton, G., Krizhevsky, A., Sutskever, I. & Salakhutdinov, R.
       (2014). Dropout: a simple way to prevent neural networks from overfitting. Journal of
       Machine Learning Research 15, section 8.
    .. [13] Pascanu, R., Mikolov, T. & Bengio, Y. (2013). On the difficulty of training
       recurrent neural networks. ICML, section 3.2.
    .. [14] Welling, M., Rosen-Zvi, M. & Hinton, G. (2005). Exponential family harmoniums with an
       application to information retrieval. NIPS 17, section 2.
    .. [15] Salakhutdinov, R., Mnih, A. & Hinton, G. (2007). Restricted Boltzmann machines for
       collaborative filtering. ICML, section 2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_dbn import BernoulliRBMStack
    >>> X = load_digits().data / 16
    >>> stack = BernoulliRBMStack((64, 16), max_iter=5, random_state=0).fit(X)
    >>> stack.transform(X).shape
    (1797, 16)
    >>> stack.gradient_trace_.reconstruction_kl.shape
    (6, 2)
    """

    _parameter_constraints: dict = {
        "hidden_layer_sizes": "no_validation",  # by layer_sizes
        "visible": [Names({"auto", *KINDS}), "array-like", dict],
        "categories": [Names({"auto"}), "array-like", list],
        "handle_unknown": [Names({"error", "ignore"})],
        "not_stored": [Names({"zero", "missing"})],
        "learn_variance": ["boolean"],
        "activation": [Names(set(HIDDEN_KINDS))],
        "init": [Names(set(NAMES)), Interval(Real, 0, None, closed="left"), list, tuple],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), "array-like"],
        "annealing": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "algorithm": [Names({"cd", "pcd", "fpcd", "pt"})],
        "n_gibbs_steps": [Interval(Integral, 1, None, closed="left")],
        "n_chains": [Interval(Integral, 1, None, closed="left")],
        "n_temperatures": [Interval(Integral, 2, None, closed="left")],
        "centered": ["boolean"],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "max_norm": [Interval(Real, 0, None, closed="neither"), None],
        "sparsity_target": [Interval(Real, 0, None, closed="neither"), None],
        "sparsity_cost": [Interval(Real, 0, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean", Names({"reconstruction", "free_energy"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "shuffle": ["boolean"],
        "memory": [str, os.PathLike, joblib.Memory, None],
        "warm_start": ["boolean"],
        "checkpoint": [str, os.PathLike, None],
        "checkpoint_interval": [Interval(Real, 0, None, closed="left")],
        "trace": [Names({"epoch", "batch"}), None],
        "dtype": PRECISIONS,
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        hidden_layer_sizes=(256, 128),
        *,
        visible="auto",
        categories="auto",
        handle_unknown="error",
        not_stored="zero",
        learn_variance=True,
        activation="logistic",
        init="auto",
        learning_rate=0.1,
        annealing="auto",
        momentum=0.9,
        algorithm="cd",
        n_gibbs_steps=1,
        n_chains=100,
        n_temperatures=10,
        centered=True,
        alpha=0.0001,
        l1_ratio=0.0,
        max_norm=None,
        sparsity_target=None,
        sparsity_cost=0.1,
        dropout=0.0,
        batch_size=10,
        max_iter=50,
        tol=1e-3,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        shuffle=True,
        memory=None,
        warm_start=False,
        checkpoint=None,
        checkpoint_interval=60.0,
        trace="epoch",
        dtype="float32",
        n_jobs=None,
        verbose=0,
        random_state=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.visible = visible
        self.categories = categories
        self.handle_unknown = handle_unknown
        self.not_stored = not_stored
        self.learn_variance = learn_variance
        self.activation = activation
        self.init = init
        self.learning_rate = learning_rate
        self.annealing = annealing
        self.momentum = momentum
        self.algorithm = algorithm
        self.n_gibbs_steps = n_gibbs_steps
        self.n_chains = n_chains
        self.n_temperatures = n_temperatures
        self.centered = centered
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.max_norm = max_norm
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        self.dropout = dropout
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.shuffle = shuffle
        self.memory = memory
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.checkpoint_interval = checkpoint_interval
        self.trace = trace
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    coefs_ = assignable("coefs_", "_stack", "coefs", "Weights of each RBM.")
    intercepts_hidden_ = assignable(
        "intercepts_hidden_", "_stack", "intercepts_hidden", "Biases of the hidden units."
    )
    intercepts_visible_ = assignable(
        "intercepts_visible_", "_stack", "intercepts_visible", "Biases of the visible units."
    )

    @derived(OWN_SCALING)
    def visible_mean_(self):
        """The value of each feature that is 0 for `coefs_[0]`, in the units of X."""
        return self.model_.inputs.origin_and_unit()[0]

    @derived(OWN_SCALING)
    def visible_scale_(self):
        """The distance of each feature that is 1 for `coefs_[0]`, in the units of X."""
        return self.model_.inputs.origin_and_unit()[1]

    @derived(OWN_SCALING)
    def visible_variance_(self):
        """Variance of each Gaussian unit, NaN for other features; None if none is Gaussian."""
        variance = self._stack.variance.copy()
        if len(variance) == 0:
            return None
        variance[~self._visible.gaussian] = np.nan
        return variance[self._visible.first_unit[:-1]]

    @property
    def components_(self):
        """Weights of the first RBM, transposed."""
        return self.coefs_[0].T

    @components_.setter
    def components_(self, components):
        W = self.coefs_[0]
        self.coefs_[0] = real_array("components_", components, W.T.shape, W.dtype).T

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Train every RBM, from the first layer up.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data, of any numeric dtype; NaN is a missing value. It is never copied as a
            whole.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample. Whole numbers are how often a sample counts, if their mean is
            at most 10. With others, each epoch visits as many samples as there are, and each of
            them in proportion to its weight, on average: a part of the samples is drawn anew for
            each epoch.

        Returns
        -------
        self : BernoulliRBMStack
            The fitted stack.
        """
        self._fit(X, y, sample_weight, partial=False)
        warn_of_features(self)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Train every RBM for one epoch on X, in minibatches of `batch_size`.

        Velocities, persistent chains and random numbers continue from the previous call. The
        scale of the visible units and their initial biases come from the first call. `tol`,
        `n_iter_no_change`, `early_stopping` and `memory` are not used.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample, as in `fit`.

        Returns
        -------
        self : BernoulliRBMStack
            The fitted stack.
        """
        return self._partial_fit(X, y, sample_weight)

    def _partial_fit(self, X, y=None, sample_weight=None, whole=None):
        """`partial_fit`; a first call may be given the moments of all samples, see `Moments`."""
        self._validate_params()  # the decorator does so only before the first fit
        self._fit(X, y, sample_weight, partial=True, whole=whole)
        return self

    def transform(self, X):
        """Compute the means of the last layer's hidden units, each given the means below.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. Missing values (NaN) contribute nothing.

        Returns
        -------
        H : ndarray of shape (n_samples, hidden_layer_sizes[-1])
            Means, in the precision of `dtype`.
        """
        X = self._read(X, reset=False)
        return in_chunks(self.model_.means_up, X, self._n_numbers(X))

    def inverse_transform(self, X):
        """Compute the means of the visible units given those of the last hidden layer.

        Parameters
        ----------
        X : array-like of shape (n_samples, hidden_layer_sizes[-1])
            Means of the last hidden layer, as `transform` returns them.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            In the units of the training data. Always an array, whatever `set_output` says, as
            in scikit-learn.
        """
        H = read_codes(self, X, "last hidden layer")
        return in_chunks(self._down_from(H.dtype), H, self._n_numbers(H))

    def reconstruct(self, X):
        """Reconstruct samples: means up through all layers and down again.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        X_mean : ndarray of shape (n_samples, n_features)
            In the units of the training data.
        """
        check_is_fitted(self)
        X, up = self._read(X, reset=False), self.model_.means_up
        down = self._down_from(self._stack.theta.dtype)
        return in_chunks(lambda rows: down(up(rows)), X, self._n_numbers(X))

    @property
    def feature_importances_(self):
        """How much worse the reconstruction becomes when a feature is hidden from the stack.

        The increase of the reconstruction's divergence, in nats per sample, when the feature
        is replaced by its training mean, or missing if it is categorical; ndarray of shape
        (n_features,). It is computed on first access from up to 256 training samples, which are
        kept in the fitted stack and in its pickles. After `partial_fit`, mean and samples are those
        of the last call.
        """
        if not hasattr(self, "_background"):
            raise AttributeError(
                f"feature_importances_ is available after fit; this {type(self).__name__} "
                "instance is not fitted yet."
            )
        of_stack, importances = self._importances
        if of_stack is not self._stack:  # not computed yet, or parameters were assigned since
            visible = self._visible
            hidden = np.where(np.isnan(visible.category), self._means, visible.reference)
            starts = visible.first_unit[:-1]
            importances = self._stack.importances(self._background, hidden, starts)
            self._importances = self._stack, importances
        return importances

    # Fitting, in call order.

    @property
    def _allows_nan(self):
        """Whether values may be missing: chains start at a sample and share its missing values."""
        return self.algorithm == "cd"

    _changed_in_place = "_stack", "random_state_"
    _category_labels = {}  # of columns of data frames with categories, by their index
    _has_seen_gaps = False
    _nan_remedy = (
        "algorithm must be 'cd' to read missing values; `complete` fills them with any algorithm."
    )

    def _read(self, X, reset, allow_nan=False):
        """Check X by scikit-learn's rules; keep its dtype if kernels can read that."""
        if reset and not (self.warm_start and hasattr(self, "_stack")):
            self._category_labels = labels_of(X)
        X = coded(X, self._category_labels, self.handle_unknown)
        allow_nan = allow_nan or self._allows_nan
        rules = {"ensure_all_finite": "allow-nan" if allow_nan else True, "dtype": numeric_dtype(X)}
        if reset:
            return check_real(read_input(self, X, accept_sparse="csr", **rules))
        X = check_real(read_input_again(self, X, **rules))
        visible = self._visible
        return known_categories(X, visible.categories, visible.unstored, self.handle_unknown)

    def _data(self, X):
        """Validated X for a model of the stack's precision."""
        return Data(X, self.dtype, unstored=unstored_value(self))

    def _fit(self, X, y, sample_weight, partial, whole=None):
        """Fit with validated parameters; `whole` as in `StackFit`."""
        n_tasks = np.size(self.hidden_layer_sizes)
        callbacks = FitCallbacks(self, X, y, sample_weight, n_tasks)
        with transaction(self) as checkpoint:
            data = self._data(self._read(X, reset=not (partial and hasattr(self, "coefs_"))))
            call = StackFit(self, data, partial=partial, sample_weight=sample_weight, whole=whole)
            self._train(call, callbacks, checkpoint)

    @with_callbacks
    def _pretrain(self, plain, order, files):
        """Fit as a part of a network, which has validated the data and the parameters.

        Parameters
        ----------
        plain : Data
            In the precision of the stack.
        order : int64 ndarray
            The rows to train on; a row is listed as often as it counts.
        files : sequence of TrainingFile
            Where the network's fit keeps its tasks, of which these layers are some.
        """
        callbacks = FitCallbacks(self, plain.X, n_tasks=np.size(self.hidden_layer_sizes))
        self._train(StackFit(self, plain, order), callbacks, None, files)

    def _train(self, call, callbacks, checkpoint, files=()):
        """Train the layers.

        Parameters
        ----------
        call : StackFit
        callbacks : FitCallbacks
        checkpoint : Checkpoint or None
            Keeps each complete epoch for Ctrl-C. None: Ctrl-C discards the stack.
        files : sequence of TrainingFile, default=()
        """
        cache = layer_cache_of(self, call.continues or call.is_partial)
        if checkpoint is not None:
            checkpoint.watch(call.random, getattr(self, "random_state_", None))
        own_files = call.files()
        progress = Progress(self.verbose, self)
        with announce_compilation(progress.say), threads(self.n_jobs) as run:
            training = call.training(run)
            if call.scales is not None:
                self._input_scales = call.scales
            if checkpoint is not None:
                checkpoint.watch(*training.changing)
            listener = StackListener(self, training, checkpoint)
            listeners = [*files, *own_files, listener, progress, *callbacks.listeners]
            training.train(listeners, cache)
            self._publish(training)
        callbacks.fit_ended()
        for file in own_files:
            file.remove()

    def _publish(self, training):
        """Set the fitted attributes."""
        stack = training.stack
        has_seen_gaps = self._has_seen_gaps and self._stack is stack
        self._has_seen_gaps = has_seen_gaps or training.plain.has_missing
        self.n_features_in_ = training.plain.shape[1]
        self.random_state_ = training.orders.random
        self._stack, self._visible, self._means = stack, training.visible, training.means
        self._background, self._importances = training.background, (None, None)
        self._recorders = training.recorders
        self._n_features_out = int(stack.units[-1])
        self.visible_ = training.visible.kind
        self.categories_ = with_labels(training.visible.categories, self._category_labels)
        self.n_layers_ = stack.n_layers
        before = training.n_before or [0] * stack.n_layers
        self.n_iter_ = EpochCounts(map(sum, zip(before, training.n_iter, strict=True)))

    @property
    def gradient_trace_(self):
        """Gradients, weights and activations of every layer, epoch by epoch."""
        check_is_fitted(self)
        if self._recorders is None:
            return None
        filled = [recorder.trace() for recorder in self._recorders if not recorder.is_empty]
        return join_layers(filled)

    # Used by the public methods.

    @property
    def model_(self):
        """The RBMs as `sk_dbn.models` has them, for code of this package only."""
        check_is_fitted(self)
        return FittedStack(self._stack, self._visible, self.n_jobs)

    def _down_from(self, dtype):
        """What maps features of some precision to visible units, in the units of the data."""
        stack, own_dtype = self._stack.astype(dtype), self._stack.theta.dtype
        to_data = self._visible.to_data
        return lambda H: to_data(stack.means_down(H)).astype(own_dtype, copy=False)

    def _n_numbers(self, X):
        """Maximum number of numbers that are held for each sample of X, see `in_chunks`."""
        return X.shape[1] + TEMPORARIES * int(self._stack.units.sum())

    def __getstate__(self):
        state = super().__getstate__()
        if "_importances" in state:
            state["_importances"] = None, None  # computed again when needed
        return state

    def _check_stored(self):
        stack = vars(self).get("_stack")
        if stack is None:
            return
        visible, n_units = self._visible, stack.units[0]
        if not (
            visible.n_units == n_units == len(self._means) == self._background.shape[1]
            and np.array_equal(np.broadcast_to(stack.kinds[0], n_units), visible.codes)
            and len(visible.first_unit) - 1 == self.n_features_in_
        ):
            raise ValueError("the stored parts of this BernoulliRBMStack do not fit together.")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self._allows_nan
        tags.transformer_tags.preserves_dtype = []
        return tags
