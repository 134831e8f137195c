"""What DBNClassifier and DeepMLPRegressor share: the network under scikit-learn's contract."""

import math
import warnings
from abc import ABCMeta, abstractmethod
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import scipy.optimize
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sk_dbn._architecture import PRECISIONS, check_layers_fit, first_weights, layer_sizes
from sk_dbn._assignment import assignable
from sk_dbn._automatic import automatic_batch_size, automatic_learning_rate
from sk_dbn._baseline import compare
from sk_dbn._duration import LEAST_SAMPLES, SPARE, enough_epochs, split_by_target
from sk_dbn._input import read_input_again
from sk_dbn._names import Names, SuggestsNames, did_you_mean
from sk_dbn._pretraining import (
    WRAPPERS,
    check_pretrainable,
    check_pretrainer,
    fitted_stack,
    is_pretrainable,
    warn_of_overruled,
    warn_of_training_anew,
)
from sk_dbn._progress import Progress
from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn._scaling import warn_of_features, warn_of_targets
from sk_dbn._transaction import all_or_nothing
from sk_dbn._unused import NETWORK, STOPPING, warn_of_unused
from sk_dbn.models import memory
from sk_dbn.models.compilation import telling
from sk_dbn.models.data import Data, canonical_order
from sk_dbn.models.divergence import Yardstick
from sk_dbn.models.forward import shared_work
from sk_dbn.models.initialisers import NAMES as INITIALISERS
from sk_dbn.models.initialisers import initial_weights
from sk_dbn.models.network import (
    ACTIVATIONS,
    OUTPUT_ACTIVATIONS,
    SOLVERS,
    LbfgsObjective,
    Network,
    NetworkRecorder,
    OptimiserState,
    Training,
    TrainingSet,
)
from sk_dbn.models.orders import rows_together, shuffled
from sk_dbn.models.scales import Scales
from sk_dbn.models.schedules import PLANNED, SCHEDULES, Schedule
from sk_dbn.models.threads import threads

# The share of a classifier's hidden units that dropout='auto' drops.
AUTO_DROPOUT = 0.2

# Integer weights up to this mean stand for repeated rows, beyond it they multiply losses.
MOST_REPEATS = 10

# What an optimiser begins with and keeps through further calls of partial_fit.
OF_SCHEDULE = ("learning_rate", "learning_rate_init", "power_t", "warmup_epochs")
KEPT = (
    *("solver", "momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon"),
    *OF_SCHEDULE,
)

# The share of the loss that L-BFGS may leave undone, going by the slope at its end.
LARGE_GAIN = 0.1

# What 'lbfgs' cannot do, the value that stands for not asking it to, and why it cannot.
NOT_FOR_LBFGS = {
    "warmup_epochs": (0, "which has no learning rate"),
    "l1_ratio": (0.0, "whose line search needs a loss that has a derivative everywhere"),
    "max_norm": (None, "whose steps nothing may change afterwards"),
    "dropout": (0.0, "whose line search needs a loss that is always the same"),
    "clip_norm": (None, "whose line search needs the gradient as it is"),
    "clip_value": (None, "whose line search needs the gradient as it is"),
}


@dataclass
class Samples:
    """What a call of fit was given, validated and encoded.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
    targets : ndarray of shape (n_samples, n_outputs) or (n_samples, 1)
        y as the network's loss reads it.
    labelled : bool ndarray of shape (n_samples,)
    repeats : int ndarray of shape (n_samples,)
        How often a sample counts.
    weight : ndarray of shape (n_samples,) or (0,)
        What its loss is multiplied by besides.
    order : int64 ndarray
        The samples that count, once each.
    """

    X: object
    y: np.ndarray
    targets: np.ndarray
    labelled: np.ndarray
    repeats: np.ndarray
    weight: np.ndarray
    order: np.ndarray

    def repeated(self, rows):
        """These rows, each as often as it counts."""
        is_plain = self.repeats.min() == self.repeats.max() == 1
        return rows if is_plain else np.repeat(rows, self.repeats[rows])


@dataclass
class Validation:
    """Rows that are scored after every epoch.

    Parameters
    ----------
    rows : TrainingSet
    y : ndarray
        What the score compares with, for the rows in their order.
    """

    rows: TrainingSet
    y: np.ndarray

    @property
    def is_constant(self):
        """Whether all targets are equal, so that there is no variance to explain."""
        return bool((self.y == self.y[0]).all())


class BaseDeepNetwork(SuggestsNames, BaseEstimator, metaclass=ABCMeta):
    """Base of the estimators that train a network by backpropagation."""

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
        "trace": [Names({"epoch", "batch"}), None],
        "dtype": PRECISIONS,
        "n_jobs": [Integral, None],
    }

    coefs_ = assignable("coefs_", "_network", "coefs", "Weights of each layer, (fan_in, fan_out).")
    intercepts_ = assignable("intercepts_", "_network", "intercepts", "Biases, (fan_out,).")

    def set_params(self, **params):
        """Set parameters of the network, and behind ``pretrainer__`` those of its stack.

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
            If there is no such parameter; if one of a stack is set where `pretrainer` is none.
        """
        pretrainer = params.get("pretrainer", self.pretrainer)
        of_stack = sorted(name for name in params if name.startswith("pretrainer__"))
        is_object = hasattr(pretrainer, "set_params") and not isinstance(pretrainer, type)
        if of_stack and not is_object:
            raise ValueError(
                f"{of_stack[0]} is a parameter of a stack, and there is none in "
                f"pretrainer={pretrainer!r}; set pretrainer=BernoulliRBMStack() first."
            )
        return super().set_params(**params)

    def _validate_params(self):
        super()._validate_params()
        check_pretrainer(self.pretrainer)

    # Subclasses: how y becomes targets, and how outputs are scored.

    @abstractmethod
    def _validate_input(self, X, y, reset):
        """X and y checked by scikit-learn's rules."""

    @abstractmethod
    def _encode_targets(self, y, labelled, first, incremental, classes):
        """y as the loss reads it; sets ``_loss``, ``_loss_option``, ``out_activation_``, ..."""

    @abstractmethod
    def _encode_validation(self, y, name):
        """The same for validation rows, with what is known from training; errors say `name`."""

    @abstractmethod
    def _score_outputs(self, outputs, y, sample_weight):
        """The estimator's score of the network's outputs."""

    # Fitting, in call order.

    def _fit(
        self, X, y, sample_weight=None, X_val=None, y_val=None, incremental=False, classes=None
    ):
        """Fit on validated parameters; a table of contents of what happens."""
        if incremental:
            self._validate_params()  # which the decorator leaves out once the network is fitted
        if incremental and self._stops_early:
            raise ValueError("partial_fit does not support early_stopping=True")
        self._check_solver()
        # What leaves the range of numbers is met by a check of the loss and the weights.
        in_range = np.errstate(over="ignore", invalid="ignore")
        told = telling(Progress(self.verbose, self, "epoch").say)
        with told, all_or_nothing(self) as checkpoint, threads(self.n_jobs) as run, in_range:
            first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
            if first or not incremental:
                self._warn_of_unused(incremental)
            samples = self._read_samples(run, X, y, sample_weight, first, incremental, classes)
            if first or not incremental:
                self._random_state = check_random_state(self.random_state)
            self._watch_old(checkpoint, first, incremental)
            if first:
                self._initialise(samples)
            self._check_architecture()
            train, validation = self._training_sets(run, samples, X_val, y_val)
            if first:
                self._note_scales(samples, train)
            self._resolve_automatic(len(train.order), incremental)
            self._choose_max_iter(run, train, validation, first, incremental)
            self._start_trace(run, train, self.batch_size_, first, samples.X)
            self._start_validation(validation)
            self._baseline = None  # until training is over
            if self.solver == "lbfgs":
                self._fit_lbfgs(run, train, validation, checkpoint)
            else:
                self._fit_minibatches(run, train, validation, checkpoint, incremental)
            self._baseline = compare(self, run, train, samples.y, validation, incremental)
        return self

    def _check_solver(self):
        """Nothing may be asked of a solver that it cannot do."""
        self._dropout_rates()
        for name, (off, reason) in NOT_FOR_LBFGS.items() if self.solver == "lbfgs" else ():
            value = getattr(self, name)
            if np.any(value) and value != "auto":
                raise ValueError(
                    f"{name} must be {off!r} for solver='lbfgs', {reason}, got {value!r}; take a "
                    "solver that works on minibatches, such as 'adam'."
                )

    def _warn_of_unused(self, incremental):
        """What was asked for and has no effect. A call of partial_fit ends after one epoch."""
        warn_of_unused(self, NETWORK if incremental else NETWORK | STOPPING)
        if self._is_frozen and self._dropout_rates()[0] > 0:
            warnings.warn(
                f"dropout={self.dropout!r}: that of the input has no effect where the layers above "
                "it are frozen; their features are computed once, from all of it.",
                UserWarning,
            )

    @property
    def _training_dtype(self):
        """The precision that training works in.

        The line search of L-BFGS compares losses that differ by little: in single precision
        their rounding, of large targets above all, ends it long before the minimum.
        """
        return np.dtype(np.float64 if self.solver == "lbfgs" else self.dtype)

    def _read_samples(self, run, X, y, sample_weight, first, incremental, classes):
        """Validate, encode and weigh what was given."""
        X, y = self._validate_input(X, y, reset=first)
        labelled = self._labelled(y)
        if not labelled.any():
            raise ValueError(
                f"every label in y equals unlabeled={self.unlabeled!r}; give labels for "
                "some rows, or fit a BernoulliRBMStack, which needs none."
            )
        targets = self._encode_targets(y, labelled, first, incremental, classes)
        repeats, weight = self._weigh(X, y, labelled, sample_weight)
        if self.shuffle and not rows_together(X):
            order = canonical_order(run, Data(X, self.dtype), Data(targets, self.dtype))
        else:
            order = np.arange(X.shape[0])
        if repeats.min() == 0:
            order = order[repeats[order] > 0]
        return Samples(X, y, targets, labelled, repeats, weight, order)

    def _labelled(self, y):
        """Which rows have a label."""
        return np.ones(len(y), dtype=bool)

    def _class_weights(self, y, labelled, repeats):
        """A factor per sample from class_weight, or None."""
        return None

    def _weigh(self, X, y, labelled, sample_weight):
        """Sample weights as counts where they are whole numbers, and as factors.

        A weight of 2 then is exactly the same as listing the sample twice.
        """
        n_samples = X.shape[0]
        repeats, factors = np.ones(n_samples, dtype=np.int64), None
        if sample_weight is not None:
            w = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            if not w[labelled].any():
                raise ValueError("Sample weights must contain at least one non-zero number.")
            if np.all(w == np.floor(w)) and w.sum() <= MOST_REPEATS * n_samples:
                repeats = w.astype(np.int64)
            else:
                repeats, factors = (w > 0).astype(np.int64), w
        class_factors = self._class_weights(y, labelled, repeats)
        if class_factors is not None:
            factors = class_factors if factors is None else product(factors, class_factors)
        weight = np.empty(0)
        if factors is not None:
            weight = of_mean_one(factors, np.where(labelled, repeats, 0))
        return repeats, weight.astype(self._training_dtype)

    def _initialise(self, samples):
        """A network with first weights, pre-trained where that was asked for."""
        hidden = layer_sizes(self.hidden_layer_sizes)
        activations = self._activations(len(hidden))
        stack = self._make_stack(hidden, activations, samples)
        units = [samples.X.shape[1], *hidden, self._n_output_units]
        check_layers_fit(self.hidden_layer_sizes, units, 4 * np.dtype(self.dtype).itemsize)
        network = Network(units, activations, self.out_activation_, self.dtype, self.shortcut)
        init = self._inits(units)
        if stack is not None and not isinstance(self.pretrainer, WRAPPERS):
            self._pretrain(stack, samples)
        self._set_weights(network, stack, init, activations)
        self.pretrainer_ = stack
        # Kept apart: a frozen stack is its owner's, who may fit it again.
        self._visible = None if stack is None else stack._inputs
        self._network, self._optimiser, self._begun_loss = network, None, self._loss
        self._no_improvement_count = 0
        self.n_layers_ = network.n_layers + 1
        self.n_iter_, self.t_ = 0, 0
        self._usual_loss = 0.0
        self._judges_by_loss, self._best_value = False, -np.inf
        self.loss_ = np.nan  # until the first epoch is complete
        self.loss_curve_, self.validation_loss_curve_ = [], None
        self.validation_scores_ = None
        self.best_loss_ = None if self._stops_early else np.inf
        self.best_validation_score_ = None

    def _activations(self, n_hidden):
        """One activation name for every hidden layer."""
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
                "activation='step' cannot be trained through: its derivative is zero "
                "wherever it exists. Use 'logistic' or 'tanh', which are smooth steps."
            )
        return names

    def _inits(self, units):
        """What initialises each layer."""
        if isinstance(self.init, (list, tuple)):
            return first_weights(self.init, units, self.dtype)
        return [self.init] * (len(units) - 1)

    # What makes the stack that pretrainer='auto' stands for.
    _auto_stack = BernoulliRBMStack

    def _pretraining_pays(self, samples):
        """Whether pretrainer='auto' pre-trains a network that a stack can start."""
        return True

    def _chosen_pretrainer(self, hidden, activations, samples):
        """What `pretrainer` says, with the decision that 'auto' leaves open."""
        if self.pretrainer != "auto":
            return self.pretrainer
        is_possible = not self.shortcut and is_pretrainable(hidden, activations)
        pays = is_possible and self._pretraining_pays(samples)
        return self._auto_stack() if pays else None

    def _make_stack(self, hidden, activations, samples):
        """The stack whose layers the network starts from, or None."""
        pretrainer = self._chosen_pretrainer(hidden, activations, samples)
        if pretrainer is None:
            return None
        if self.shortcut:
            raise ValueError(
                "shortcut=True needs pretrainer=None or 'auto': the layers of a stack are trained "
                f"without shortcuts, which change what they compute; got {self.pretrainer!r}."
            )
        check_pretrainable(hidden, activations)
        if isinstance(pretrainer, WRAPPERS):
            return fitted_stack(pretrainer, hidden, activations[0], self.n_features_in_)
        warn_of_training_anew(pretrainer)
        stack = clone(pretrainer)
        stack.set_params(
            hidden_layer_sizes=tuple(hidden), activation=activations[0], dtype=self.dtype
        )
        if isinstance(self.init, (list, tuple)):
            stack.set_params(init=list(self.init[:-1]))
        elif self.init != "auto":
            stack.set_params(init=self.init)
        warn_of_overruled(pretrainer, stack)
        if stack.n_jobs is None:
            stack.set_params(n_jobs=self.n_jobs)
        if self.verbose and not stack.verbose:
            stack.set_params(verbose=self.verbose)
        return stack

    def _pretrain(self, stack, samples):
        """Train the stack on every row, labelled or not."""
        if stack.random_state is None:
            seed = self._random_state.randint(np.iinfo(np.int32).max)
            stack.set_params(random_state=seed)
        stack._validate_params()
        if hasattr(self, "feature_names_in_"):
            stack.feature_names_in_ = self.feature_names_in_  # for what it warns of
        stack._fit_rows(samples.X, samples.repeated(samples.order))

    def _set_weights(self, network, stack, init, activations):
        """First weights: the stack's where there is one, else drawn."""
        n_pretrained = 0 if stack is None else len(stack.coefs_)
        for layer, (W, b) in enumerate(zip(network.coefs, network.intercepts, strict=True)):
            if layer < n_pretrained:
                W[:], b[:] = stack.coefs_[layer], stack.intercepts_hidden_[layer]
                continue
            name = activations[min(layer, len(activations) - 1)] if activations else "identity"
            if layer == network.n_layers - 1 and not self._follows_sklearn():
                name = "identity"  # as the output is before its own function
            below = activations[layer - 1] if layer > 0 else None
            W[:], b[:] = initial_weights(init[layer], self._random_state, *W.shape, name, below)

    def _follows_sklearn(self):
        """Whether the output layer is initialised as scikit-learn does, by `activation`."""
        return isinstance(self.init, str) and self.init == "sklearn"

    def _check_architecture(self):
        """Training goes on only in the network that was begun."""
        sizes = [W.shape[1] for W in self.coefs_[:-1]]
        if sizes != layer_sizes(self.hidden_layer_sizes):
            raise ValueError(
                f"hidden_layer_sizes must stay {tuple(sizes)} while training goes on, got "
                f"{self.hidden_layer_sizes}; set warm_start=False to start a new network."
            )
        if self._loss != self._begun_loss:
            raise ValueError(
                f"loss must stay {self._begun_loss!r} while training goes on, got "
                f"{self._loss!r}; set warm_start=False to start a new network."
            )
        activations = [*self._activations(len(sizes)), self.out_activation_]
        codes = [ACTIVATIONS.get(name, OUTPUT_ACTIVATIONS.get(name)) for name in activations]
        if codes != self._network.codes.tolist():
            raise ValueError(
                "activation and loss must stay what they were while training goes on, got "
                f"activation={self.activation!r} and an {self.out_activation_!r} output; set "
                "warm_start=False to start a new network."
            )
        if self._network.shortcut != self.shortcut:
            raise ValueError(
                f"shortcut must stay {self._network.shortcut} while training goes on, got "
                f"{self.shortcut}; set warm_start=False to start a new network."
            )
        if self._is_frozen and self.pretrainer_ is not self.pretrainer.estimator:
            raise ValueError(
                "pretrainer must hold the stack that the network started from while training goes "
                "on and its layers stay as they are, got a FrozenEstimator of another one; set "
                "warm_start=False to start a new network."
            )
        if self._network.theta.dtype != self.dtype:
            raise ValueError(
                f"dtype must stay {self._network.theta.dtype.name!r} while training goes on, "
                f"got {np.dtype(self.dtype).name!r}; set warm_start=False to start a new network."
            )

    @property
    def _is_frozen(self):
        """Whether the hidden layers stay as they are and only the output layer is trained."""
        return isinstance(self.pretrainer, FrozenEstimator)

    @property
    def _trained(self):
        """The part of the network that is trained, on the same parameters."""
        return self._network.output_layer() if self._is_frozen else self._network

    def _training_input(self, run, X, rows=None):
        """X as the trained part reads it: where layers are frozen, what they make of these rows.

        Their features are computed once, (n_samples, n_top_units); of other rows they are zero.
        """
        dtype = self._training_dtype
        data = self._open(X, dtype)
        if not self._is_frozen:
            return data
        rows = np.arange(X.shape[0]) if rows is None else rows
        n_frozen = self._network.n_layers - 1
        network = self._network.astype(dtype)
        features = network.outputs(run, data, n_frozen, np.sort(rows))
        if len(rows) < X.shape[0]:
            all_rows = np.zeros((X.shape[0], features.shape[1]), features.dtype)
            all_rows[np.sort(rows)] = features
            features = all_rows
        return Data(features, dtype)

    def _open(self, X, dtype=None):
        """X as the first layer reads it: standardised where the pre-training did so."""
        dtype = self._network.theta.dtype if dtype is None else dtype
        return Data(X, dtype) if self._visible is None else self._visible.data(X, dtype)

    def _training_sets(self, run, samples, X_val, y_val):
        """The rows to train on, and those to validate on or None."""
        rows = samples.order[samples.labelled[samples.order]]
        if samples.weight.size:
            rows = rows[samples.weight[rows] > 0]
        if len(rows) == 0:
            raise ValueError("sample_weight and class_weight leave no row with a label.")
        held_out, data = None, self._training_input(run, samples.X, rows)
        if self._stops_early and X_val is None and self.solver != "lbfgs":
            rows, held_out = self._split(rows, samples)
            if rows_together(data.X):  # visited block by block, which are of rows that ascend
                rows, held_out = np.sort(rows), np.sort(held_out)
        parts = data, samples.targets, samples.weight, self._loss
        train = TrainingSet(*parts, samples.repeated(rows), self._loss_option)
        if X_val is not None or y_val is not None:
            return train, self._given_validation(run, X_val, y_val)
        if held_out is None:
            return train, None
        held_out = samples.repeated(held_out)
        rows = TrainingSet(*parts, held_out, self._loss_option)
        return train, Validation(rows, samples.y[held_out])

    def _split(self, rows, samples):
        """Set a validation_fraction of the rows aside."""
        fraction, n = self.validation_fraction, len(rows)
        n_held_out = math.ceil(fraction * n)
        if n_held_out < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' "
                "or the size of your dataset."
            )
        if n_held_out >= n:
            raise ValueError(
                f"validation_fraction={fraction} of {n} samples leaves none to train on. Use more "
                "samples, a smaller validation_fraction or early_stopping=False."
            )
        labels = None
        if is_classifier(self) and samples.targets.shape[1] == 1:  # not multi-label
            labels = samples.targets[rows, 0]
        rows, held_out = split(rows, labels, fraction, n_held_out, self._random_state)
        if len(held_out) < 2:
            raise ValueError(
                f"early_stopping=True holds rows out, but most of the {len(np.unique(labels))} "
                f"classes in y have a single one of the {n} labels, which is needed to train on. "
                "Use more samples, give X_val and y_val, or set early_stopping=False."
            )
        return rows, held_out

    def _given_validation(self, run, X_val, y_val):
        """Validation rows that were passed to fit."""
        if y_val is None or X_val is None:
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{missing} must be given together with {given}, got None.")
        X_val, y_val = self._validate_input(X_val, y_val, reset=False)
        labelled = self._labelled(y_val)
        if not labelled.any():
            raise ValueError(
                f"every label in y_val equals unlabeled={self.unlabeled!r}; give labels for some "
                "rows, or leave X_val and y_val out."
            )
        if not labelled.all():
            X_val, y_val = X_val[labelled], y_val[labelled]
        targets = self._encode_validation(y_val, "y_val")
        if (y_val.ndim == 2 and y_val.shape[1] != self.n_outputs_) or (
            y_val.ndim == 1 and is_regressor(self) and self.n_outputs_ > 1
        ):
            raise ValueError(
                f"y_val must have the {self.n_outputs_} outputs of y, got shape {y_val.shape}."
            )
        no_weight = np.empty(0, self._training_dtype)
        order = np.arange(X_val.shape[0])
        data = self._training_input(run, X_val)
        parts = data, targets, no_weight, self._loss, order, self._loss_option
        return Validation(TrainingSet(*parts), y_val)

    def _note_scales(self, samples, train):
        """Keep on which scale inputs and targets are, and warn where that is a bad one."""
        stack = self.pretrainer_
        if stack is None:
            self._input_scales = Scales.of(samples.X, train.order)
        else:
            self._input_scales = stack._input_scales
        self._target_scales = Scales.of(train.targets, train.order) if is_regressor(self) else None
        if not isinstance(self.pretrainer, WRAPPERS):  # of whose data their owner was warned
            warn_of_features(self)
        if is_regressor(self):
            warn_of_targets(self)

    def _start_trace(self, run, train, batch_size, first, X):
        """A recorder, going on with the trace of a network that is trained further."""
        if self.trace is None:
            self._recorder = None
            return
        each_batch = self.trace == "batch"
        recorder = None if first else getattr(self, "_recorder", None)
        if recorder is None or recorder.each_batch != each_batch:
            recorder = NetworkRecorder(each_batch)
        recorder.below = {}
        if self._is_frozen:
            recorder.look_below(self._network, self._open(X), train.probe)
        if recorder.is_empty:
            recorder.record_start(run, self._trained.astype(train.data.dtype), train, batch_size)
        self._recorder = recorder

    @property
    def gradient_trace_(self):
        """What every layer's gradients, weights and activations did, row by row."""
        check_is_fitted(self)
        return None if self._recorder is None else self._recorder.trace()

    def _start_validation(self, validation):
        """What was best so far, beginning anew where another thing is watched now."""
        if self._stops_early != (self.best_loss_ is None):
            self.best_loss_ = None if self._stops_early else np.inf
            self.best_validation_score_ = None
            self._no_improvement_count = 0
        # R^2 of targets that are all equal is zero, whatever is predicted.
        by_loss = validation is not None and is_regressor(self) and validation.is_constant
        if by_loss != self._judges_by_loss:
            self._judges_by_loss, self._best_value = by_loss, -np.inf
        if validation is not None and self.validation_scores_ is None:
            self.validation_scores_, self.validation_loss_curve_ = [], []
        if validation is not None and self.best_validation_score_ is None:
            self.best_validation_score_ = self._best_value = -np.inf

    @property
    def _stops_early(self):
        """Whether the score of held-out samples ends training."""
        return self.early_stopping != "refit" and bool(self.early_stopping)

    def _resolve_automatic(self, n_samples, incremental):
        """What the parameters stand for that say 'auto', as fitted attributes."""
        self.batch_size_, self.dropout_ = self._batch_size(n_samples), self._dropout_rates()
        self.learning_rate_ = self.learning_rate
        if self.learning_rate == "auto":  # a call of partial_fit does not know which is the last
            self.learning_rate_ = "constant" if incremental else "one_cycle"
        elif self.solver != "sgd" and self.learning_rate not in PLANNED:
            self.learning_rate_ = "constant"  # the others are for 'sgd' alone
        self.learning_rate_init_ = self.learning_rate_init
        if self.learning_rate_init == "auto":
            sizes = [] if self._is_frozen else layer_sizes(self.hidden_layer_sizes)
            hidden = self._activations(len(sizes)) if sizes else []
            is_annealed = self.learning_rate_ in PLANNED
            is_pretrained = self.pretrainer_ is not None and not self._is_frozen
            self.learning_rate_init_ = automatic_learning_rate(
                self.solver, hidden, sizes, is_annealed, is_pretrained, self.shortcut
            )

    def _choose_max_iter(self, run, train, validation, first, incremental):
        """How many epochs to train for; 'refit' trains a copy on a part of the samples first."""
        self.max_iter_, self.held_out_loss_curve_ = self.max_iter, None
        if self.early_stopping != "refit" or incremental or self.solver == "lbfgs":
            return
        spare = 1.0  # both passes see the same samples
        if validation is not None:
            held_out = validation.rows
        elif first and len(train.order) >= LEAST_SAMPLES:
            train, held_out = split_by_target(train, self._random_state)
            spare = SPARE
        else:  # too few, or samples that the network has been trained on
            return
        losses, rates = self._rehearse(run, train, held_out)
        if np.isfinite(losses).all():  # otherwise training will diverge, and say so
            is_planned = self.learning_rate_ in PLANNED
            self.max_iter_ = enough_epochs(losses, rates, spare, is_planned)
        self.held_out_loss_curve_ = losses

    def _rehearse(self, run, train, held_out):
        """Train a copy of the network; the held-out loss and the mean rate of every epoch."""
        network, order = self._trained.with_parameters(self._trained.theta.copy()), train.order
        optimiser, schedule = self._new_optimiser(network), self._new_schedule()
        self._check_warmup(schedule)
        training = self._new_training(network, train, optimiser)
        losses, mean_rates, together = [], [], rows_together(train.data.X)
        progress = Progress(self.verbose, self, "held-out samples, epoch", self.max_iter)
        while len(losses) < self.max_iter and np.isfinite(losses).all():
            if self.shuffle:
                order = shuffled(self._random_state, train.order, together)
            rates = schedule.rates(training.n_updates(order))
            training.epoch(run, order, rates)
            outputs = network.outputs(run, held_out.data, rows=held_out.order)
            losses.append(float(held_out.loss_of(outputs)))
            mean_rates.append(float(rates.mean()))
            progress.end_epoch({"loss": losses[-1]})
            schedule.end_epoch(len(losses) * len(order))
        return losses, mean_rates

    def _batch_size(self, n_samples):
        """Rows of a minibatch."""
        if self.batch_size == "auto" or self.solver == "lbfgs":
            return automatic_batch_size(n_samples)
        if self.batch_size > n_samples:
            warnings.warn(
                f"Got `batch_size` larger than sample size: {self.batch_size} > {n_samples}. "
                "It is going to be clipped.",
            )
        batch_size = min(self.batch_size, n_samples)
        # Activations, and the loss's derivatives with respect to them.
        per_row = 2 * int(self._network.units.sum()) * self._network.theta.itemsize
        value = f"{batch_size} in a network of {self._network.units.sum()} units"
        memory.require(batch_size * per_row, "batch_size", value, "take a smaller one")
        return batch_size

    def _dropout_rates(self):
        """Which share of the input's and of the hidden units is dropped."""
        if isinstance(self.dropout, str):  # 'auto'
            is_still = self.solver == "lbfgs" or self._is_frozen
            return 0.0, 0.0 if is_still else AUTO_DROPOUT
        if isinstance(self.dropout, Real):
            return 0.0, float(self.dropout)
        rates = tuple(self.dropout)
        if len(rates) != 2 or not all(isinstance(p, Real) and 0.0 <= p < 1.0 for p in rates):
            raise ValueError(
                "dropout must be a float in [0, 1) or a pair of them, for the input and for the "
                f"hidden layers, got {self.dropout!r}."
            )
        return float(rates[0]), float(rates[1])

    def _new_optimiser(self, network):
        """An optimiser that has made no update."""
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
        """A schedule at its beginning; a planned one in this share of its time."""
        name, max_iter = self.learning_rate_, round(share * self.max_iter)
        warmup = self.warmup_epochs * (share if name in PLANNED else 1.0)
        return Schedule(name, self.learning_rate_init_, self.power_t, max_iter, warmup)

    def _check_warmup(self, schedule):
        """The rate may not still be rising when a planned schedule ends."""
        if schedule.is_planned and self.warmup_epochs >= self.max_iter:
            raise ValueError(
                f"warmup_epochs must be less than max_iter={self.max_iter} with "
                f"learning_rate={schedule.name!r}, got {self.warmup_epochs}: no epoch would "
                "be left for the schedule."
            )

    def _start_optimiser(self, incremental):
        """The optimiser of the previous partial_fit, or a new one."""
        trained = self._trained
        goes_on = incremental and self._optimiser is not None
        if not goes_on or self._optimiser.n_parameters != trained.theta.size:
            self._optimiser = self._new_optimiser(trained)
            self._schedule = self._new_schedule(self.max_iter_ / self.max_iter)
            self._begun_with = {name: getattr(self, name) for name in KEPT}
        elif self.learning_rate == "auto" and self._schedule.is_planned:
            self._schedule = self._new_schedule()  # that of fit has ended
            self._begun_with |= {name: getattr(self, name) for name in OF_SCHEDULE}
        self._warn_of_kept()
        self._schedule.max_iter = self.max_iter_
        self.learning_rate_, self.learning_rate_init_ = self._schedule.name, self._schedule.initial
        self._check_warmup(self._schedule)
        if self._schedule.is_over:
            warnings.warn(
                f"learning_rate={self._schedule.name!r} came to its end after max_iter="
                f"{self.max_iter} epochs; its last rate stays, which is next to nothing. "
                "Raise max_iter, or set warm_start=True and call fit to begin a new schedule.",
                ConvergenceWarning,
            )

    def _warn_of_kept(self):
        """What was set since training began, and has no effect on training that goes on."""
        begun = self._begun_with
        changed = [name for name in KEPT if getattr(self, name) != begun[name]]
        if changed:
            kept = ", ".join(f"{name}={begun[name]!r}" for name in changed)
            given = ", ".join(f"{name}={getattr(self, name)!r}" for name in changed)
            warnings.warn(
                f"partial_fit goes on with {kept}, as it began; {given} has no effect. To change "
                "what training goes on with, set warm_start=True and call fit.",
                UserWarning,
            )

    def _new_training(self, network, train, optimiser):
        """The updates as the parameters of this call want them."""
        optimiser.set_bounds(
            self.alpha, self.l1_ratio, self.clip_value, self.clip_norm, self.max_norm
        )
        dropout = self.dropout_
        if any(dropout) and optimiser.seed is None:
            optimiser.seed = int(self._random_state.randint(np.iinfo(np.int32).max))
        if self._is_frozen:  # what enters the output layer are hidden units
            dropout = dropout[1], 0.0
        return Training(network, train, optimiser, self.batch_size_, dropout)

    def _fit_minibatches(self, run, train, validation, checkpoint, incremental):
        """Epoch after epoch until the loss or the score no longer improves."""
        self._start_optimiser(incremental)
        training = self._new_training(self._trained, train, self._optimiser)
        n_samples = len(train.order)
        self._watch(checkpoint, "_network", "_optimiser", "_schedule", "_random_state", "_recorder")
        yardstick = self._yardstick(run, train, incremental)
        best, progress = self._best_so_far(), self._progress("epoch", incremental)
        self.n_iter_ = 0
        order, theta = train.order, self._trained.theta
        together, stopping, diverged = rows_together(train.data.X), False, False
        max_iter = 1 if incremental else self.max_iter_
        while self.n_iter_ < max_iter and not stopping:
            before = theta.copy()
            if self.shuffle:
                order = shuffled(self._random_state, train.order, together)
            rates = self._schedule.rates(training.n_updates(order))
            loss = training.epoch(run, order, rates, self._recorder)
            diverged = self._is_lost(yardstick, loss, incremental)
            if diverged:
                self._retreat(checkpoint, yardstick, loss)
                break
            yardstick.end_epoch(loss, before)
            self._end_epoch(loss, n_samples)
            if self._check_improvement(run, validation) and self._stops_early:
                best = theta.copy()
            progress.end_epoch(self._measures(validation))
            self._schedule.end_epoch(self.t_)
            stopping = self._is_stopping(progress)
            checkpoint.keep()
        if best is not None and not yardstick.is_worse(yardstick.loss_of(best)):
            theta[:] = best
        if not (incremental or diverged):
            self._judge(yardstick, stopping)

    def _watch(self, checkpoint, *names):
        """Remember what training changes in place, in case it is interrupted."""
        checkpoint.watch(*(getattr(self, name, None) for name in names))

    def _watch_old(self, checkpoint, first, incremental):
        """The same of what this call of fit goes on with."""
        self._watch(checkpoint, "_random_state")
        if not first:
            self._watch(checkpoint, "_network", "_recorder")
        if not first and incremental:
            self._watch(checkpoint, "_optimiser", "_schedule")

    def _best_so_far(self):
        """The weights that scored best in the previous fit, if this one goes on with it."""
        if self._stops_early and np.isfinite(self._best_value):
            return self._trained.theta.copy()
        return None

    def _yardstick(self, run, train, incremental):
        """What losses are held against; that of the first partial_fit, where it goes on."""
        at_least = self._usual_loss if incremental else 0.0
        yardstick = Yardstick(run, self._trained, train, at_least)
        self._usual_loss = yardstick.size
        return yardstick

    def _is_lost(self, yardstick, loss, incremental):
        """Whether an epoch ruined the weights. Of many, a later one shows what the last did."""
        theta = self._trained.theta
        if not np.isfinite(theta).all() or yardstick.is_hopeless(loss):
            return True
        return incremental and yardstick.is_hopeless(yardstick.loss_of(theta))

    def _retreat(self, checkpoint, yardstick, loss):
        """Return to the weights of the last good epoch; the trace shows what happened."""
        checkpoint.restore(self._recorder)
        is_first = self.n_iter_ == 0
        if not is_first and yardstick.is_worse(yardstick.loss_of(self._trained.theta)):
            # That epoch's loss was measured before its last updates, which were bad.
            is_first = self._return_to(yardstick)
        self._warn_of_divergence(self.n_iter_ + 1, loss, is_first)

    def _judge(self, yardstick, stopping):
        """Look at what all epochs have made of the weights, and tell if they are no good."""
        loss = yardstick.loss_of(self._trained.theta)
        if yardstick.is_worse(loss):
            self._warn_of_divergence(self.n_iter_, loss, self._return_to(yardstick))
        elif not (stopping or self._schedule.is_planned or self.max_iter_ < self.max_iter):
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) "
                "reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
            )

    def _return_to(self, yardstick):
        """Take the last good weights, and no momentum; whether training began with them."""
        self._trained.theta[:], self._optimiser = yardstick.good, None
        return yardstick.is_first

    def _warn_of_divergence(self, epoch, loss, is_first):
        kept = "that it began with" if is_first else "of the last good epoch"
        warnings.warn(
            f"Training diverged in epoch {epoch}: the loss is {loss:.3g}. The weights "
            f"{kept} were kept. Lower learning_rate_init, which was "
            f"{self.learning_rate_init_:.3g}, or scale X and y, with StandardScaler for one.",
            ConvergenceWarning,
        )

    def _end_epoch(self, loss, n_samples):
        self.n_iter_ += 1
        self.t_ += n_samples
        self.loss_ = float(loss)
        self.loss_curve_ = [*self.loss_curve_, self.loss_]

    def _progress(self, unit, incremental=False):
        """What is told of this call: of one of partial_fit, that it counts on."""
        if incremental:
            return Progress(self.verbose, self, unit, n_before=len(self.loss_curve_))
        return Progress(self.verbose, self, unit, self.max_iter_)

    def _measures(self, validation):
        """What an epoch came to."""
        measures = {"loss": self.loss_}
        if validation is not None:
            measures["validation score"] = self.validation_scores_[-1]
        return measures

    def _check_improvement(self, run, validation):
        """Update what was best so far; whether this epoch's score is."""
        improved = False
        if validation is not None:
            improved = self._validate_epoch(run, validation)
        if not self._stops_early:
            stuck = self.loss_ > self.best_loss_ - self.tol
            self.best_loss_ = min(self.best_loss_, self.loss_)
            self._no_improvement_count = self._no_improvement_count + 1 if stuck else 0
        return improved

    def _validate_epoch(self, run, validation):
        """Score the validation rows."""
        rows = validation.rows
        outputs = rows.outputs(run, self._trained, rows.order)
        weight = None if rows.sample_weight.size == 0 else rows.sample_weight[rows.order]
        score = np.nan  # a regressor may have left the range of numbers
        if np.isfinite(outputs).all() and (len(outputs) > 1 or not self._judges_by_loss):
            score = self._score_outputs(outputs, validation.y, weight)
        self.validation_scores_ = [*self.validation_scores_, score]
        loss = float(rows.loss_of(outputs))
        self.validation_loss_curve_ = [*self.validation_loss_curve_, loss]
        value = -loss if self._judges_by_loss else score
        if self._stops_early:
            stuck = not value >= self._best_value + self.tol  # NaN is stuck
            self._no_improvement_count = self._no_improvement_count + 1 if stuck else 0
        improved = value > self._best_value
        self._best_value = float(np.fmax(value, self._best_value))
        self.best_validation_score_ = float(np.fmax(score, self.best_validation_score_))
        return improved

    def _is_stopping(self, progress):
        """Whether training should stop, having told why if verbose."""
        if self._no_improvement_count <= self.n_iter_no_change:
            return False
        if self._schedule.is_under_way and not self._stops_early:
            return False
        stopping = self._schedule.on_plateau()
        what = "Validation score" if self._stops_early else "Training loss"
        then = "Stopping." if stopping else f"Setting learning rate to {self._schedule.rate:f}"
        progress.say(
            f"{what} did not improve more than tol={self.tol:f} for "
            f"{self.n_iter_no_change} consecutive epochs. {then}"
        )
        if not stopping:
            self._no_improvement_count = 0
        return stopping

    def _fit_lbfgs(self, run, train, validation, checkpoint):
        """Minimise the loss over all rows by L-BFGS-B."""
        theta = self._trained.theta
        network = self._trained.astype(train.data.dtype)
        objective = LbfgsObjective(run, network, train, self.alpha, self._recorder)
        self._watch(checkpoint, "_network", "_random_state", "_recorder")
        self.n_iter_, progress = 0, self._progress("iteration")

        def end_iteration(x):
            objective.end_iteration(x)
            theta[:] = x
            if np.isfinite(objective.loss) and np.isfinite(theta).all():
                self._end_epoch(objective.loss, 0)
                if validation is not None:
                    self._validate_epoch(run, validation)
                progress.end_epoch(self._measures(validation))
                checkpoint.keep()

        result = scipy.optimize.minimize(
            objective,
            theta.astype(np.float64),
            method="L-BFGS-B",
            jac=True,
            callback=end_iteration,
            options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol},
        )
        loss = objective.reported(result.x)
        theta[:] = result.x
        if not (np.isfinite(loss) and np.isfinite(theta).all()):
            checkpoint.restore(self._recorder)
            self._warn_of_divergence(self.n_iter_ + 1, loss, self.n_iter_ == 0)
            return
        self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        if result.success and is_steep(result, self.tol):
            warnings.warn(
                f"lbfgs stopped after {self.n_iter_} iterations because a step lowered the loss by "
                "next to nothing, but the gradient is large: it has not converged. Scale X and y, "
                "with StandardScaler and TransformedTargetRegressor.",
                ConvergenceWarning,
            )
        self.loss_ = self.best_loss_ = float(loss)

    # Prediction.

    def _outputs(self, X, n_above=0):
        """The activations of the layer with so many others above it, for X as the caller gave it.

        In the precision that `fit` read float64 in: what it could take, this can.
        """
        X = read_input_again(self, X)
        dtype = self._network.theta.dtype
        if X.dtype == np.float64:
            dtype = np.result_type(dtype, self._training_dtype)
        network = self._network.astype(dtype)
        with threads(self.n_jobs, shared_work(network.layers, X.shape[0])) as run:
            return network.outputs(run, self._open(X, dtype), network.n_layers - n_above)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def is_steep(result, tol):
    """Whether L-BFGS-B ended on a slope, by taking the last step's poor gain for the end of all.

    A gradient is large or small beside the loss: by that much the step that was to come next
    would have lowered it, by its slope. This does not depend on the units of X and y.

    Parameters
    ----------
    result : scipy.optimize.OptimizeResult
    tol : float
        The largest component that a gradient may have at the end in any case.

    Returns
    -------
    bool
    """
    gradient = result.jac
    gain = gradient @ result.hess_inv.matvec(gradient)
    return np.abs(gradient).max() > tol and gain > LARGE_GAIN * abs(result.fun)


def product(*factors):
    """The elementwise product of some weights, up to a common factor that keeps it in range."""
    return np.prod([w / (w.max() or 1.0) for w in factors], axis=0)


def of_mean_one(weight, repeats):
    """Weights divided by their mean over those that count.

    Parameters
    ----------
    weight : float64 ndarray of shape (n_samples,)
    repeats : int ndarray of shape (n_samples,)
        How often each sample counts.

    Returns
    -------
    float64 ndarray of shape (n_samples,)
        Zero for samples that do not count; all zero where none does.
    """
    weight = np.where(repeats > 0, weight, 0.0)
    weight = weight / (weight.max() or 1.0)  # whose sum then is a number
    counted = np.repeat(weight, repeats)
    # An exact sum: the same whatever the order, and whether samples are repeated or listed.
    mean = math.fsum(counted) / max(np.count_nonzero(counted), 1)
    return weight / (mean or 1.0)


def split(rows, labels, fraction, n_held_out, random):
    """Rows to train on and rows to hold out, with the same share of each class where it can be.

    Classes too rare to be shared out stay among the rows to train on.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,)
    labels : ndarray of shape (n_rows,), or None to split at random
    fraction : float
        Share of the rows to hold out.
    n_held_out : int
        That share of them, rounded up.
    random : RandomState

    Returns
    -------
    rows, held_out : ndarrays
    """
    if labels is not None:
        classes, counts = np.unique(labels, return_counts=True)
        if counts.min() < 2 or len(classes) > min(n_held_out, len(rows) - n_held_out):
            order = random.permutation(len(rows))
            first = np.zeros(len(rows), dtype=bool)
            first[order[np.unique(labels[order], return_index=True)[1]]] = True
            held_out = order[~first[order]][:n_held_out]
            return np.delete(rows, held_out), rows[held_out]
    return train_test_split(rows, random_state=random, test_size=fraction, stratify=labels)


def is_stochastic(estimator):
    """Whether an estimator can be trained minibatch by minibatch.

    Parameters
    ----------
    estimator : BaseDeepNetwork

    Returns
    -------
    bool
        Always True.

    Raises
    ------
    AttributeError
        If its solver works on all rows at once.
    """
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. "
            f"{estimator.solver} is not stochastic."
        )
    return True
