"""A stack of restricted Boltzmann machines as a scikit-learn transformer."""

import warnings
from itertools import pairwise
from numbers import Integral, Real

import numpy as np
import scipy.sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted

from sk_dbn._architecture import (
    PRECISIONS,
    check_layers_fit,
    first_weights,
    layer_sizes,
    real_array,
)
from sk_dbn._assignment import assignable, derived
from sk_dbn._input import read_input, read_input_again
from sk_dbn._names import Names, SuggestsNames
from sk_dbn._progress import Progress
from sk_dbn._scaling import warn_of_features
from sk_dbn._unused import STACK, warn_of_unused
from sk_dbn.models import generation, memory
from sk_dbn.models.compilation import telling
from sk_dbn.models.data import Data, canonical_order
from sk_dbn.models.forward import shared_work
from sk_dbn.models.initialisers import NAMES, initial_weights
from sk_dbn.models.loop import Listener
from sk_dbn.models.orders import Orders
from sk_dbn.models.rbm import Stack
from sk_dbn.models.rbm_training import RBMRecorder, Settings, probe_of
from sk_dbn.models.scales import Scales
from sk_dbn.models.stack_training import StackTraining, StoppingRule
from sk_dbn.models.threads import threads
from sk_dbn.models.traces import join_layers
from sk_dbn.models.transaction import transaction
from sk_dbn.models.visible import VisibleUnits
from sk_dbn.models.work import row_pieces

PIECE = 1024  # rows whose visible units are held in float64 at a time
FLOATS = np.float64, np.float32, np.float16
OWN_SCALING = "scale X before, with scikit-learn's StandardScaler for one, and fit again"


class BernoulliRBMStack(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, SuggestsNames, BaseEstimator
):
    """A stack of restricted Boltzmann machines, each trained on the layer below it.

    Greedy layer-wise training [1]_: the first machine models the data, the next one the
    means of the first one's hidden units, and so on. Each is trained by contrastive
    divergence [2]_ or with persistent chains [3]_, with the centered gradient [4]_ and the
    recipes of Hinton's guide [5]_. Upper layers read the data through the layers below
    minibatch by minibatch, so no layer's features are ever stored.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of shape (n_layers,), default=(256, 128)
        The number of hidden units of each machine.
    visible : {'auto', 'bernoulli', 'gaussian'}, or array-like of str of shape (n_features,), \
            default='auto'
        Units that model the features: one kind for all, or 'bernoulli' or 'gaussian' for each
        [14]_. Bernoulli units take values in [0, 1]; values between the ends are read as means,
        values outside are clipped. Gaussian units model features standardised by the training
        set's mean and standard deviation. 'auto': Bernoulli where all values of the training
        set lie in [0, 1]; else Gaussian, but for features whose values are 0 and 1, which stay
        Bernoulli. A feature with one value goes with the others.
    learn_variance : bool, default=True
        Whether each Gaussian unit learns its variance given the hidden units [8]_; otherwise
        it is that of the standardised feature, 1. Its logarithm has a tenth of the weights'
        learning rate, with ``algorithm='cd'`` a hundredth. The smaller the variances, the
        worse chains mix: `complete` and `sample` may want False.
    activation : {'logistic', 'tanh', 'relu'}, default='logistic'
        Hidden units: 0 and 1, whose means are logistic, -1 and 1, whose means are tanh, or
        noisy rectified linear [9]_, whose noise is part of training and not of `transform`.
    init : str, float or list of ndarrays, default='auto'
        First weights. 'auto' and 'normal': normal with standard deviation 0.01. A float:
        normal with this standard deviation. Otherwise one of 'glorot_normal',
        'glorot_uniform', 'he_normal', 'he_uniform', 'lecun_normal', 'lecun_uniform',
        'orthogonal', 'standard_normal', 'zeros', 'sklearn', or one array per layer. Visible
        biases start from the log-odds of the data.
    learning_rate : float or array-like of shape (n_layers,), default=0.1
        Step size, one for all layers or one for each. A machine takes a tenth of it for each
        of its sides whose units are Gaussian or rectified linear; with rectified linear hidden
        units less where the input varies more, so that steps do not overshoot. A step of a
        machine with such a side is at most a tenth of its weights in length [13]_.
    annealing : 'auto' or float, default='auto'
        Share of `max_iter` over which the learning rate at last falls linearly to zero. The
        steps of a constant rate leave noise in the weights [7]_, of which each layer adds its
        own, so deep stacks gain most; persistent chains cannot do without. 'auto': 0.5 with
        persistent chains, 0.0 with ``algorithm='cd'``. `partial_fit` keeps the rate constant.
    momentum : float, default=0.9
        What the momentum rises to, from 0.5, over the first 1000 updates [6]_.
    algorithm : {'cd', 'pcd', 'fpcd', 'pt'}, default='cd'
        'cd': contrastive divergence, whose chains start at each minibatch; where the input
        consists of means, the visible units are reconstructed by their means. 'pcd':
        persistent contrastive divergence, whose chains start from noise and go on from one
        update to the next. 'fpcd': the same with fast weights, which drive chains away from
        where they have been [10]_; their learning rate is `learning_rate` and stays constant
        while that of the machine falls. 'pt': persistent chains at several temperatures that
        exchange their states [11]_; not with ``activation='relu'``.
    n_gibbs_steps : int, default=1
        Gibbs steps of each chain in an update.
    n_chains : int, default=100
        Number of persistent chains. Not used with ``algorithm='cd'``.
    n_temperatures : int, default=10
        Number of temperatures of each chain, from that of the machine to one at which its
        units are independent. Only used with ``algorithm='pt'``.
    centered : bool, default=True
        Whether to use the centered gradient, which does not depend on whether the data or
        their complement are shown.
    alpha : float, default=0.0001
        Strength of the decay of the weights; biases do not decay.
    l1_ratio : float, default=0.0
        Share of the L1 norm in it: the penalty is
        ``alpha * (l1_ratio * |W|_1 + (1 - l1_ratio) / 2 * |W|_2^2)``.
    max_norm : float, default=None
        The most that the norm of a hidden unit's weights may be.
    sparsity_target : float, default=None
        Mean activity that hidden units are drawn to: the share of 1 of binary ones, the mean of
        rectified linear ones. None: any.
    sparsity_cost : float, default=0.1
        How strongly. Only used with `sparsity_target`.
    dropout : float, default=0.0
        Share of the hidden units that are left out for each row and each chain in training,
        where the others count for as much more [12]_. Not with ``algorithm='pt'``.
    batch_size : int, default=10
        Rows of a minibatch, at most those there are.
    max_iter : int or array-like of shape (n_layers,), default=50
        Most epochs, for all layers or for each.
    tol : float, default=0.001
        The least improvement that counts, in nats of the reconstruction's Kullback-Leibler
        divergence a row (of Gaussian units minus their log density, which may be negative).
        Persistent chains do not minimise that, so with them it is used with
        ``early_stopping=True`` only. It plays no part with ``early_stopping='free_energy'``,
        whose margin is a standard error.
    n_iter_no_change : int, default=10
        Epochs without such an improvement after which a layer's training stops, or, with
        `annealing`, its learning rate begins to fall.
    early_stopping : bool or {'reconstruction', 'free_energy'}, default=False
        Whether to judge improvement on held-out rows. True and 'reconstruction': by the
        divergence of their reconstruction, and to return to the best epoch. 'free_energy': by
        how much higher their free energy is than that of rows trained on, which grows when a
        machine begins to learn its training set by heart ([5]_, section 6); an epoch is as
        good as the best before it while the gap is within a standard error. That is early: the
        likelihood of new rows may still rise for a while. It needs no partition function, so
        it serves rectified linear units too.
    validation_fraction : float, default=0.1
        Share of the rows held out. Only used with `early_stopping`.
    shuffle : bool, default=True
        Whether to visit the rows in a new order in each epoch. It follows from the rows'
        content and `random_state`, not from how they are stored.
    warm_start : bool, default=False
        Whether `fit` goes on from the present parameters.
    trace : {'epoch', 'batch'} or None, default='epoch'
        How often a row of `gradient_trace_` is recorded.
    dtype : {'float32', 'float64', np.float32, np.float64} or np.dtype, default='float32'
        Precision of parameters and output.
    n_jobs : int, default=None
        Number of threads; None: as many as the process may use. It changes no result. `gibbs`,
        `sample` and `complete` draw in one thread, whatever it is.
    verbose : int, default=0
        Whether to print of each epoch which one of how many it is, how far reconstructions are
        from their input, and the time that passed and that is left at most.
    random_state : int, RandomState instance or None, default=None
        Determines first weights, the order of rows and all samples of units.

    Attributes
    ----------
    coefs_ : list of ndarrays of shape (n_visible, n_hidden)
        Weights of each machine.
    intercepts_hidden_ : list of ndarrays of shape (n_hidden,)
        Biases of each machine's hidden units.
    intercepts_visible_ : list of ndarrays of shape (n_visible,)
        Biases of each machine's visible units.
    components_ : ndarray of shape (hidden_layer_sizes[0], n_features)
        Weights of the first machine, transposed. As weights and biases it may be assigned.
    feature_importances_ : ndarray of shape (n_features,)
        What the reconstruction loses when a feature is hidden from the stack, on up to 256
        rows of the last call of `fit` or `partial_fit`. These rows are kept in the fitted
        stack and in its pickles.
    gradient_trace_ : GradientTrace or None
        Gradients, weights and activations of every layer, epoch by epoch.
    n_iter_ : list of int
        Epochs that each machine was trained for.
    n_layers_ : int
        Number of machines.
    visible_ : {'bernoulli', 'gaussian'}, or ndarray of str of shape (n_features,)
        Kind of the visible units: a string where they are all of one kind, else an array.
    visible_variance_ : ndarray of shape (n_features,) or None
        Variance of each Gaussian unit given the hidden units; 1 is that of its feature. NaN for
        Bernoulli units beside Gaussian ones, None where all are Bernoulli.
    visible_mean_, visible_scale_ : ndarrays of shape (n_features,)
        `coefs_[0]` acts on ``v = (X - visible_mean_) / visible_scale_``, which Bernoulli
        units then clip to [0, 1]. For Gaussian units mean and standard deviation of the rows
        trained on (1 where a feature is constant), the latter times `visible_variance_`; for
        Bernoulli units zeros and ones, or if those rows left [0, 1] the least value of all
        such units and the width of their range. Rows are those of the first call, also while
        training goes on. These three cannot be assigned to.
    random_state_ : RandomState instance
        What `gibbs`, `sample`, `complete` and `partial_fit` go on drawing from.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`. Defined only when `X` has feature names that are
        all strings.

    See Also
    --------
    DBNClassifier : A classifier whose layers start from such a stack.
    sklearn.neural_network.BernoulliRBM : A single machine.

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
        "visible": [Names({"auto", "bernoulli", "gaussian"}), "array-like"],
        "learn_variance": ["boolean"],
        "activation": [Names({"logistic", "tanh", "relu"})],
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
        "warm_start": ["boolean"],
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
        warm_start=False,
        trace="epoch",
        dtype="float32",
        n_jobs=None,
        verbose=0,
        random_state=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.visible = visible
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
        self.warm_start = warm_start
        self.trace = trace
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    coefs_ = assignable("coefs_", "_stack", "coefs", "Weights of each machine.")
    intercepts_hidden_ = assignable(
        "intercepts_hidden_", "_stack", "intercepts_hidden", "Biases of the hidden units."
    )
    intercepts_visible_ = assignable(
        "intercepts_visible_", "_stack", "intercepts_visible", "Biases of the visible units."
    )

    @derived(OWN_SCALING)
    def visible_mean_(self):
        """Where on the caller's scale `coefs_[0]` acts on 0, of each feature."""
        return self._inputs.origin_and_unit(self.n_features_in_)[0]

    @derived(OWN_SCALING)
    def visible_scale_(self):
        """What on the caller's scale `coefs_[0]` takes for 1, of each feature."""
        return self._inputs.origin_and_unit(self.n_features_in_)[1]

    @derived(OWN_SCALING)
    def visible_variance_(self):
        """Variance of each Gaussian unit, NaN of the others; None where there are none."""
        variance = self._stack.variance.copy()
        if len(variance) == 0:
            return None
        variance[~self._visible.gaussian] = np.nan
        return variance

    @property
    def components_(self):
        """Weights of the first machine, transposed."""
        return self.coefs_[0].T

    @components_.setter
    def components_(self, components):
        W = self.coefs_[0]
        self.coefs_[0] = real_array("components_", components, W.T.shape, W.dtype).T

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Train every machine, from the first layer up.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. Read as it lies, in any numeric dtype, and never copied whole.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : BernoulliRBMStack
            The fitted stack.
        """
        with transaction(self) as checkpoint:
            self._fit_rows(self._read(X, reset=True), checkpoint=checkpoint)
        warn_of_features(self)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Train every machine once through X, in minibatches of `batch_size`.

        Velocities, persistent chains and random numbers go on from the previous call. The
        scale of the visible units and their first biases come from the first call. Stopping
        and `early_stopping` have no part in it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : BernoulliRBMStack
            The fitted stack.
        """
        self._validate_params()  # which the decorator leaves out once the stack is fitted
        with transaction(self) as checkpoint:
            X = self._read(X, reset=not hasattr(self, "coefs_"))
            self._fit_rows(X, partial=True, checkpoint=checkpoint)
        return self

    def transform(self, X):
        """Compute the means of the last layer's hidden units, each given the means below.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        H : ndarray of shape (n_samples, hidden_layer_sizes[-1])
            Of the dtype `dtype`.
        """
        return self._means_up(self._read(X, reset=False))

    def inverse_transform(self, X):
        """Compute the means of the visible units given those of the last hidden layer.

        Parameters
        ----------
        X : array-like of shape (n_samples, hidden_layer_sizes[-1])
            Activities of the last hidden layer, as `transform` returns them.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            In the units of the training data. An array whatever `set_output` says, as
            scikit-learn's inverse transformations.
        """
        check_is_fitted(self)
        H = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        if H.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {H.shape[1]} features, but inverse_transform expects "
                f"{self._n_features_out}: one for each unit of the last hidden layer."
            )
        return self._means_down(H)

    def reconstruct(self, X):
        """Show samples as the stack sees them: means up through all layers and down again.

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
        return self._means_down(self._means_up(self._read(X, reset=False)))

    def gibbs(self, X, n_steps=1, *, random_state=None):
        """Sample the visible units by Gibbs steps of the first machine.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Values of the visible units to start from.
        n_steps : int, default=1
            Number of steps, each a sample of the hidden units followed by one of the
            visible units.
        random_state : int, RandomState instance or None, default=None
            Determines the samples. None: goes on drawing from `random_state_`.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            Values of the visible units after the last step.

        See Also
        --------
        sample : Samples of the whole stack, from nothing.
        complete : Steps in which what was observed stays as it is.
        """
        check_is_fitted(self)
        _check_count("n_steps", n_steps, at_least=1)
        v = self._means_up(self._read(X, reset=False), n_layers=0)
        stack, random = self._stack.astype(v.dtype), self._generator(random_state)
        with threads(1):
            v = generation.gibbs(stack, v, n_steps, random)
        return self._visible.to_data(v).astype(self._stack.theta.dtype, copy=False)

    def sample(self, n_samples=1, *, n_steps=1000, return_means=False, random_state=None):
        """Generate samples from the stack as a deep belief network.

        As many independent chains make Gibbs steps in the last machine; then each layer
        below is drawn once, given the one above [1]_.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples to generate.
        n_steps : int, default=1000
            Gibbs steps of each chain. The chains start where ``algorithm='pcd'`` left its
            own, each of these taken in turn. Elsewhere they start from units that are
            independent of one another and have the means of the last machine's input,
            and need steps to become samples of the machine: the more, the larger its
            weights.
        return_means : bool, default=False
            Whether to return the means of the visible units, given the layer above, in
            place of samples of them. Their expectation is the same and they have less noise:
            for images to look at.
        random_state : int, RandomState instance or None, default=None
            Determines the samples. None: goes on drawing from `random_state_`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            In the units of the training data.

        See Also
        --------
        gibbs : Samples of the first machine alone, from given ones.
        complete : Missing values given those observed.

        References
        ----------
        .. [1] Hinton, G. E., Osindero, S. & Teh, Y.-W. (2006). A fast learning algorithm for
           deep belief nets. Neural Computation 18, section 6.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from sk_dbn import BernoulliRBMStack
        >>> X = load_digits().data / 16
        >>> stack = BernoulliRBMStack((64, 16), max_iter=5, random_state=0).fit(X)
        >>> stack.sample(10, return_means=True).shape
        (10, 64)
        """
        check_is_fitted(self)
        _check_count("n_samples", n_samples, at_least=1)
        row_size = self.n_features_in_ * self._stack.theta.itemsize
        memory.require(int(n_samples) * row_size, "n_samples", n_samples, "take fewer at a time")
        _check_count("n_steps", n_steps, at_least=0)
        stack, random = self._stack, self._generator(random_state)
        X = np.empty((n_samples, self.n_features_in_), stack.theta.dtype)
        with threads(1):
            for start in range(0, n_samples, PIECE):
                piece = X[start : start + PIECE]
                piece[:] = generation.generate(stack, len(piece), n_steps, random, return_means)
        return self._visible.to_data(X)

    def complete(self, X, *, n_steps=500, n_burn_in=100, sample_posterior=False, random_state=None):
        """Fill in missing values, given those observed, by Gibbs steps of the first machine.

        What was observed stays as it is while the hidden units and the missing visible ones
        are drawn in turn. In the long run the missing values are samples of their
        distribution given the observed ones in the first machine by itself, to which
        `gibbs`, `free_energy` and `score_samples` refer too. In a stack of several machines
        the layers above take no part: the first hidden layer given what is below and above
        it at once is not to be drawn in a step.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, in which NaN (or None, or pandas' NA) stands for what was not observed. A
            row may have nothing else: it gets what the machine expects knowing nothing.
            Bernoulli units read values beyond their range clipped, as in `transform`.
        n_steps : int, default=500
            Gibbs steps whose mean is taken.
        n_burn_in : int, default=100
            Gibbs steps before these, from missing values that are independent and have the
            means of the training data.
        sample_posterior : bool, default=False
            Whether to fill in a sample, that of the last step, in place of the mean: for
            multiple imputation.
        random_state : int, RandomState instance or None, default=None
            Determines the samples. None: goes on drawing from `random_state_`.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            X, in its own floating-point dtype (float64 for others), with missing values
            replaced: by the mean over the steps of their mean given the hidden units, which
            has less noise than the mean of the samples. What was observed is returned as it
            was given. After ``set_output(transform="pandas")`` a data frame with the names of
            the features, as the imputers of scikit-learn return it.

        See Also
        --------
        gibbs : Steps in which every feature is drawn.
        sklearn.impute.IterativeImputer : Completes by regression on the other features.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_digits
        >>> from sk_dbn import BernoulliRBMStack
        >>> X = load_digits().data / 16
        >>> stack = BernoulliRBMStack((64,), max_iter=5, random_state=0).fit(X)
        >>> X_missing = X[:10].copy()
        >>> X_missing[:, :32] = np.nan
        >>> X_new = stack.complete(X_missing)
        >>> bool(np.isfinite(X_new).all() and (X_new[:, 32:] == X[:10, 32:]).all())
        True
        """
        check_is_fitted(self)
        _check_count("n_steps", n_steps, at_least=1)
        _check_count("n_burn_in", n_burn_in, at_least=0)
        X_given, X = X, self._read(X, reset=False, allow_nan=True)
        stack, random = self._stack, self._generator(random_state)
        X_new = X.copy()
        incomplete = np.flatnonzero(np.isnan(X).any(axis=1))
        settings = n_steps, n_burn_in, random, sample_posterior
        with threads(1):
            for start in range(0, len(incomplete), PIECE):
                rows = incomplete[start : start + PIECE]
                missing = np.isnan(X[rows])
                (v,) = self._pieces(np.where(missing, 0, X[rows]), stack)
                v = self._visible.to_data(generation.complete(stack, v, missing, *settings))
                X_new[rows] = np.where(missing, v, X_new[rows])
        return self._in_container(X_new, X_given)

    def free_energy(self, X):
        """Compute the free energy of samples in the first machine, -log sum_h exp(-E(v, h)).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        free_energy : ndarray of shape (n_samples,)
            In nats, up to the machine's log partition function; for Gaussian units a
            density in the standardised units.
        """
        check_is_fitted(self)
        X = self._read(X, reset=False)
        stack = self._stack.astype(np.float64)
        return np.concatenate([stack.free_energy(v) for v in self._pieces(X, stack)])

    def score_samples(self, X):
        """Compute the pseudo-log-likelihood of samples under the first machine.

        The sum over visible units of log P(v_i | all other units): exact for up to 64
        features. Beyond, the sum is estimated from 64 units, one from each of as many equal
        strata, chosen by a hash of the sample's content, so that the same sample always
        gets the same score.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        pseudo_likelihood : ndarray of shape (n_samples,)
            In nats; for Gaussian units a density in the standardised units, -inf where
            rectified linear units push one so hard that it has none, and where it is beyond the
            range of numbers. Where a row lies so far out that the density of one of its units,
            given the others, has peaks hundreds of standard deviations apart, the highest counts.
        """
        check_is_fitted(self)
        X = self._read(X, reset=False)
        stack = self._stack.astype(np.float64)
        with threads(self.n_jobs) as run:
            pieces = [stack.pseudo_log_likelihood(run, v) for v in self._pieces(X, stack)]
        return np.concatenate(pieces)

    def score(self, X, y=None):
        """Compute the mean pseudo-log-likelihood of samples under the first machine.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            See `score_samples`.
        """
        return float(self.score_samples(X).mean())

    @property
    def feature_importances_(self):
        """What the reconstruction loses when a feature is hidden from the stack.

        The increase of the reconstruction's divergence, in nats a sample, when the feature
        is replaced by its training mean; ndarray of shape (n_features,). Measured on up to
        256 training samples when it is first asked for; they are kept in the fitted stack
        and in its pickles. After `partial_fit`, mean and samples are those of the last call.
        """
        if not hasattr(self, "_background"):
            raise AttributeError(
                f"feature_importances_ is available after fit; this {type(self).__name__} "
                "instance is not fitted yet."
            )
        of_stack, importances = self._importances
        if of_stack is not self._stack:  # not asked for yet, or of parameters replaced since
            importances = self._stack.importances(self._background, self._means)
            self._importances = self._stack, importances
        return importances

    # How a fit proceeds, in call order.

    def _read(self, X, reset, allow_nan=False):
        """X as scikit-learn accepts it, in the caller's dtype where kernels can read that."""
        if allow_nan:  # which other numbers than floating-point ones do not have
            storage = {"ensure_all_finite": "allow-nan", "dtype": FLOATS}
            X = read_input(self, X, reset=reset, **storage)
        elif reset:
            X = read_input(self, X, accept_sparse="csr", dtype="numeric")
        else:
            X = read_input_again(self, X)
        if X.dtype.kind not in "biuf":
            raise ValueError(f"X must hold real numbers, got dtype {X.dtype}.")
        return X

    def _fit_rows(self, X, order=None, *, partial=False, checkpoint=None):
        """Train on the rows of a validated X, with validated parameters.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
        order : int64 ndarray, default=None
            The rows to train on, a repeated one as often as it counts. By default all, in
            an order that depends on their content only (with `shuffle`), or as they lie.
        partial : bool, default=False
            Whether to go on from the present state, for one epoch.
        checkpoint : Checkpoint, default=None
            Of the caller, told to keep what was reached when Ctrl-C comes after an epoch. None:
            the stack is given up then.
        """
        sizes, rates, max_iters = self._per_layer()
        self._check_combinations()
        self._check_memory([X.shape[1], *sizes])
        continued = hasattr(self, "_stack") and (partial or self.warm_start)
        if continued:
            self._check_continues(X, sizes)
        random = self.random_state_ if partial and continued else None
        random = random or check_random_state(self.random_state)
        if checkpoint is not None:
            checkpoint.watch(random, getattr(self, "random_state_", None))
        progress = Progress(self.verbose, self)
        with telling(progress.say), threads(self.n_jobs) as run:
            training = self._new_training(run, X, order, sizes, random, continued, partial)
            training.rates = rates
            training.max_iters = [1] * len(sizes) if partial else max_iters
            if checkpoint is not None:
                checkpoint.watch(*training.changing)
            training.train([_StackListener(self, training, partial, checkpoint), progress])
            self._publish(training, partial)

    def _new_training(self, run, X, order, sizes, random, continued, partial):
        """What is trained on what: the samples, the stack, its units and its recorders."""
        plain = Data(X, self.dtype)
        if order is None:
            is_free = self.shuffle and not plain.together
            order = canonical_order(run, plain) if is_free else np.arange(X.shape[0])
        order, held_out = self._split(order, random, partial)
        self._warn_of_batch_size(len(order), partial)
        moments = plain.moments(order)
        if continued:
            stack, visible = self._stack, self._visible
        else:
            visible = VisibleUnits.suited_to(self._asked_kinds(X.shape[1]), moments)
            stack = self._new_stack(X.shape[1], sizes, visible, moments, random)
            self._input_scales = Scales.seen_by(visible, moments, scipy.sparse.issparse(X))
        self._warn_of_range(visible, moments)
        fits = visible.can_take(moments)
        clip = not fits or held_out is not None  # rows that are held out were not looked at
        data = visible.data(X, self.dtype, clip)
        return StackTraining(
            run=run,
            stack=stack,
            visible=visible,
            X=X,
            clip=clip,
            data=data,
            orders=Orders(random, order, self.shuffle, plain.together),
            held_out=held_out,
            means=visible.means(moments) if fits else data.moments(order)[0],
            background=stack.means_up(run, data, 0, probe_of(order)),
            settings=self._settings(len(order)),
            stopping=self._stopping_rule(held_out, partial),
            recorders=self._recorders_for(partial, len(sizes)),
            n_before=getattr(self, "n_iter_", [0] * len(sizes)) if partial else None,
        )

    def _settings(self, n_samples):
        """How each RBM is trained, but for its learning rate."""
        return Settings(
            algorithm=self.algorithm,
            n_gibbs_steps=self.n_gibbs_steps,
            n_chains=self.n_chains,
            n_temperatures=self.n_temperatures,
            centered=self.centered,
            momentum=self.momentum,
            l2=self.alpha * (1.0 - self.l1_ratio),
            l1=self.alpha * self.l1_ratio,
            batch_size=min(self.batch_size, n_samples),
            sparsity_target=self.sparsity_target,
            sparsity_cost=self.sparsity_cost,
            dropout=self.dropout,
            max_norm=self.max_norm,
            learn_variance=self.learn_variance,
        )

    def _stopping_rule(self, held_out, partial):
        """When the training of each RBM ends. A call of partial_fit may not be the last."""
        annealing = self.annealing
        if annealing == "auto":
            annealing = 0.0 if self.algorithm == "cd" else 0.5
        return StoppingRule(
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            annealing=0.0 if partial else annealing,
            keeps_best=self.early_stopping in (True, "reconstruction"),
            watches_gap=self.early_stopping == "free_energy" and held_out is not None,
        )

    def _recorders_for(self, partial, n_layers):
        """One recorder per layer; those of the previous calls where training goes on."""
        if self.trace is None:
            return None
        each_batch = self.trace == "batch"
        kept = getattr(self, "_recorders", None)
        if partial and kept is not None and kept[0].each_batch == each_batch:
            return kept
        return [RBMRecorder(each_batch) for _ in range(n_layers)]

    def _publish(self, training, partial):
        """Set the fitted attributes."""
        stack, n_iter = training.stack, training.n_iter
        self.n_features_in_ = int(stack.units[0])
        self.random_state_ = training.orders.random
        self._stack, self._visible, self._means = stack, training.visible, training.means
        self._background, self._importances = training.background, (None, None)
        self._recorders = training.recorders
        self._n_features_out = int(stack.units[-1])
        self.visible_ = training.visible.kind
        self.n_layers_ = stack.n_layers
        if partial and hasattr(self, "n_iter_"):
            n_iter = [before + now for before, now in zip(self.n_iter_, n_iter, strict=True)]
        self.n_iter_ = EpochCounts(n_iter)

    def _warn_of_batch_size(self, n_samples, partial):
        """Warn of a minibatch that is larger than the training set."""
        if self.batch_size > n_samples and not partial:  # a chunk may be of any size
            warnings.warn(
                f"Got `batch_size` larger than sample size: {self.batch_size} > {n_samples}. "
                "It is going to be clipped.",
            )

    def _check_combinations(self):
        """Parameters that are right, or of any use, by themselves only."""
        warn_of_unused(self, STACK)
        if self.sparsity_target is not None and self.sparsity_target >= 1:
            if self.activation != "relu":
                raise ValueError(
                    "sparsity_target must be below 1, the share of 1 of binary hidden units, got "
                    f"{self.sparsity_target!r} with activation={self.activation!r}."
                )
        if self.algorithm == "pt" and (self.activation == "relu" or self.dropout > 0):
            raise ValueError(
                "algorithm='pt' exchanges states by their energy, which needs activation "
                "'logistic' or 'tanh' and dropout=0, got "
                f"activation={self.activation!r}, dropout={self.dropout!r}."
            )

    def _check_memory(self, units):
        """Layers and chains must fit into memory."""
        size = np.dtype(self.dtype).itemsize
        # Weights, their velocity and their gradient.
        check_layers_fit(self.hidden_layer_sizes, units, 3 * size)
        if self.algorithm != "cd":
            names, values, n_states = "n_chains", f"{self.n_chains}", int(self.n_chains)
            if self.algorithm == "pt":
                names, values = f"{names} x n_temperatures", f"{values} x {self.n_temperatures}"
                n_states *= int(self.n_temperatures)
            widest = max(p + q for p, q in pairwise(units))
            memory.require(n_states * widest * size, names, values, "take fewer")

    def _per_layer(self):
        """Sizes, learning rates and epochs of every layer, checked."""
        sizes = layer_sizes(self.hidden_layer_sizes, at_least=1)
        rates = _spread("learning_rate", self.learning_rate, len(sizes))
        if not all(np.isfinite(rate) and rate > 0 for rate in rates):
            raise ValueError(
                f"learning_rate must be positive in every layer, got {self.learning_rate!r}."
            )
        max_iters = _spread("max_iter", self.max_iter, len(sizes))
        if not all(n == int(n) and n >= 1 for n in max_iters):
            raise ValueError(
                f"max_iter must be an integer of at least 1 in every layer, got {self.max_iter!r}."
            )
        return sizes, rates, [int(n) for n in max_iters]

    def _check_continues(self, X, sizes):
        """Training can only go on in a stack of the same shape and kind."""
        stack = self._stack
        if stack.units.tolist() != [X.shape[1], *sizes] or stack.theta.dtype != self.dtype:
            raise ValueError(
                f"training cannot go on: the fitted stack has units {stack.units.tolist()} of "
                f"{stack.theta.dtype}, asked for are {[X.shape[1], *sizes]} of "
                f"{np.dtype(self.dtype)}. Call fit with warm_start=False to begin anew."
            )
        if not (
            stack.has_kinds(self._visible.kind, self.activation)
            and self._visible.are(self._asked_kinds(X.shape[1]))
        ):
            raise ValueError(
                "training cannot go on: visible and activation must stay "
                f"as they were, got visible={self.visible!r}, activation={self.activation!r}. "
                "Call fit with warm_start=False to begin anew."
            )

    def _asked_kinds(self, n_features):
        """What `visible` says: a name, or an ndarray of one for each feature; checked."""
        if isinstance(self.visible, str):
            return self.visible
        rule = (
            "visible must be 'auto', 'bernoulli' or 'gaussian', or a sequence of the latter two, "
            f"one for each of the {n_features} features"
        )
        kinds = list(self.visible)
        if len(kinds) != n_features:
            raise ValueError(f"{rule}, got a sequence of {len(kinds)}.")
        for kind in kinds:
            if not isinstance(kind, str) or kind not in ("bernoulli", "gaussian"):
                raise ValueError(f"{rule}, got {kind!r} in it.")
        return np.array(kinds)

    def _new_stack(self, n_features, sizes, visible, moments, random):
        """A stack with its first weights."""
        seeds = random.randint(0, 2**32, size=len(sizes), dtype=np.uint32)
        stack = Stack([n_features, *sizes], visible.kind, self.activation, seeds, self.dtype)
        stack.memories[0].sees_means = visible.are_means(moments)
        inits = self._initial_weights(stack)
        for layer, init in enumerate(inits):
            shape = stack.coefs[layer].shape
            W, c = initial_weights(init, random, *shape, self.activation)
            stack.coefs[layer][:], stack.intercepts_hidden[layer][:] = W, c
        return stack

    def _initial_weights(self, stack):
        """What `init` says of each layer, checked."""
        if isinstance(self.init, str | Real):
            init = "normal" if self.init == "auto" else self.init
            return [init] * stack.n_layers
        return first_weights(self.init, stack.units.tolist(), self.dtype)

    def _warn_of_range(self, visible, moments):
        """Warn of values that the visible units cannot take."""
        outside = visible.outside(moments)
        if outside.any():
            low, high = moments[2][outside].min(), moments[3][outside].max()
            seen = f"[{visible.seen[0]:.4g}, {visible.seen[1]:.4g}]"
            scaled = "They are clipped"
            if visible.is_rescaled:
                scaled = f"They are mapped to [0, 1] by the range seen first, {seen}, and clipped"
            warnings.warn(
                f"X has values in [{low:.4g}, {high:.4g}] in {self._named(outside)}, but Bernoulli "
                f"visible units take values in [0, 1]. {scaled}. Use "
                "sklearn.preprocessing.MinMaxScaler before, or visible='gaussian', for all "
                "features or for each.",
                UserWarning,
            )

    def _named(self, chosen):
        """Some features by their names, or their numbers where they have none."""
        if chosen.all():
            return f"all {len(chosen)} features"
        names = getattr(self, "feature_names_in_", np.arange(len(chosen)))[chosen]
        shown = ", ".join(repr(name) for name in names[:5].tolist())
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return f"{'feature' if len(names) == 1 else 'features'} {shown}{more}"

    def _split(self, order, random, partial):
        """The rows to train on, and those held out for early stopping or None."""
        if partial or not self.early_stopping:
            return order, None
        n = len(order)
        n_held_out = int(np.ceil(self.validation_fraction * n))
        if n_held_out >= n:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of {n} samples leaves none to "
                "train on. Use more samples, a smaller validation_fraction or "
                "early_stopping=False."
            )
        held_out = np.zeros(n, dtype=bool)
        held_out[random.permutation(n)[:n_held_out]] = True
        return order[~held_out], order[held_out]

    @property
    def gradient_trace_(self):
        """Gradients, weights and activations of every layer, epoch by epoch."""
        check_is_fitted(self)
        if self._recorders is None:
            return None
        filled = [recorder.trace() for recorder in self._recorders if not recorder.is_empty]
        return join_layers(filled)

    # What the public methods share.

    @property
    def _inputs(self):
        """How the first layer's weights see the features."""
        return self._visible.over(self._stack.variance)

    def _means_up(self, X, n_layers=None):
        """Means of a layer, in the stack's precision."""
        stack = self._stack
        with threads(self.n_jobs, shared_work(stack.layers, X.shape[0])) as run:
            units = self._visible if n_layers == 0 else self._inputs
            return stack.means_up(run, units.data(X, stack.theta.dtype), n_layers)

    def _means_down(self, H):
        """Means of the visible units in the units of the training data."""
        v = self._stack.astype(H.dtype).means_down(H)
        return self._visible.to_data(v).astype(self._stack.theta.dtype, copy=False)

    def _in_container(self, X_new, X):
        """X_new as a data frame like X, where `set_output` asks for one."""
        like_input = _LikeInput()
        vars(like_input).update(vars(self))  # what `set_output` chose, and the features' names
        return like_input.transform(X, X_new)

    def _generator(self, random_state):
        """What samples are drawn from: given by the caller, or going on from training."""
        if random_state is None:
            return generation.generator(self.random_state_)
        return generation.generator(check_random_state(random_state))

    def _pieces(self, X, stack):
        """The visible units' values in the stack's precision, some rows at a time."""
        for part in row_pieces(X.shape[0], stack.row_work, PIECE):
            data = self._visible.data(X[part], stack.theta.dtype)
            with threads(self.n_jobs, data.shape[0] * data.shape[1]) as run:
                v = stack.means_up(run, data, 0)
            yield v

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags


class _LikeInput(TransformerMixin, BaseEstimator):
    """Has scikit-learn put values of the features into the container that `set_output` names."""

    def transform(self, X, X_new):
        """X_new, in that container with the index of X."""
        return X_new

    def get_feature_names_out(self):
        """The names of the features."""
        return getattr(self, "feature_names_in_", [f"x{i}" for i in range(self.n_features_in_)])


class EpochCounts(list):
    """Epochs of each layer, as a list that compares with a number as the least of them.

    So "were there at least as many epochs as this?" has one answer, which is what
    scikit-learn asks of ``n_iter_``.
    """

    def __ge__(self, number):
        return min(self) >= number if np.isscalar(number) else super().__ge__(number)


class _StackListener(Listener):
    """Publishes each complete epoch of `fit`, and warns of layers that diverged.

    Calls of partial_fit are an epoch of all layers together, so they are published at their end.
    """

    def __init__(self, estimator, training, partial, checkpoint):
        self._estimator, self._training = estimator, training
        self._partial, self._checkpoint = partial, checkpoint

    def epoch_ended(self, task):
        """Make the present state the one that Ctrl-C leaves."""
        if not self._partial:
            self._estimator._publish(self._training, partial=False)
            if self._checkpoint is not None:
                self._checkpoint.keep()

    def task_ended(self, task):
        """Publish, as early stopping may have returned to another epoch."""
        if any(self._training.n_iter) and not self._partial:
            self._estimator._publish(self._training, partial=False)
        if task.has_diverged:
            warnings.warn(
                f"Training of layer {task.layer + 1} of {self._training.stack.n_layers} diverged "
                f"in epoch {task.n_iter + task.is_lost}; the parameters are those of the last good "
                "epoch. Lower learning_rate or momentum, or scale the data.",
                ConvergenceWarning,
            )


def _check_count(name, value, at_least):
    """A number of steps or samples must be an integer and large enough."""
    if not isinstance(value, Integral) or value < at_least:
        raise ValueError(f"{name} must be an integer of at least {at_least}, got {value!r}.")


def _spread(name, value, n_layers):
    """A parameter that is one number, or one per layer, as a list of one per layer."""
    values = np.ravel(value)
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be a number or one per layer, got {value!r}.")
    if np.ndim(value) == 0:
        return values.tolist() * n_layers
    if len(values) != n_layers:
        raise ValueError(
            f"{name} must be a number or one per layer: {n_layers}, got {len(values)}."
        )
    return values.tolist()
