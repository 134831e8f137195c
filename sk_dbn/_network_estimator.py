"""The base class of the estimators that train a network."""

import warnings
from abc import ABCMeta, abstractmethod

import numpy as np
from sklearn.base import BaseEstimator, clone, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from sk_dbn._architecture import check_continues, check_layers_fit
from sk_dbn._assignment import assignable
from sk_dbn._baseline import compare
from sk_dbn._callbacks import CallbackSupportMixin, FitCallbacks
from sk_dbn._categories import known_categories
from sk_dbn._checkpoint import random_of, training_files
from sk_dbn._chunks import TEMPORARIES, in_chunks
from sk_dbn._convergence import warn_of_divergence, warn_of_lbfgs, warn_of_too_few_epochs
from sk_dbn._duration import EXTRA, MIN_SAMPLES, enough_epochs, split_by_target
from sk_dbn._input import of_validation
from sk_dbn._names import SuggestsNames
from sk_dbn._network_input import NetworkInput
from sk_dbn._network_parameters import NetworkParameters
from sk_dbn._persistence import Stored
from sk_dbn._pretraining import (
    WRAPPERS,
    check_no_checkpoint,
    check_pretrainable,
    is_pretrainable,
    unstored_in,
    unwrapped_stack,
    warn_of_ignored,
    warn_of_retraining,
)
from sk_dbn._progress import Progress
from sk_dbn._publishing import NetworkListener
from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn._samples import Samples, hold_out, weigh
from sk_dbn._scaling import warn_of_features, warn_of_targets
from sk_dbn._stack_parameters import warn_of_range, warn_of_unseeded_memory
from sk_dbn.models import loop, memory
from sk_dbn.models.compilation import announce_compilation
from sk_dbn.models.data import Data
from sk_dbn.models.divergence import DivergenceCheck
from sk_dbn.models.forward import shared_work
from sk_dbn.models.initialisers import initial_weights
from sk_dbn.models.lbfgs import (
    N_VECTORS,
    LbfgsObjective,
    LbfgsTask,
    train_output_layer,
)
from sk_dbn.models.loop import Patience
from sk_dbn.models.network import Network
from sk_dbn.models.network_tasks import FineTuning, FirstPass, Validation
from sk_dbn.models.network_trace import NetworkRecorder
from sk_dbn.models.network_training import Training, TrainingSet
from sk_dbn.models.orders import Orders, canonical_order
from sk_dbn.models.scales import Scales
from sk_dbn.models.schedules import PLANNED
from sk_dbn.models.threads import threads
from sk_dbn.models.transaction import transaction

# Parameters that later calls of partial_fit cannot change.
SCHEDULE_PARAMETERS = ("learning_rate", "learning_rate_init", "power_t", "warmup_epochs")
FIXED_PARAMETERS = (
    *("solver", "momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon"),
    *SCHEDULE_PARAMETERS,
)

# Attributes that training changes in place.
CHANGED_BY_TRAINING = (
    *("_network", "_optimiser", "_schedule", "_patience"),
    *("_random_state", "_recorder"),
)


class BaseDeepNetwork(
    NetworkInput,
    NetworkParameters,
    SuggestsNames,
    Stored,
    CallbackSupportMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Base class of the estimators that train a network by backpropagation."""

    _perfect_score = 1.0  # of predictions without any error
    _changed_in_place = "_network", "_optimiser", "_random_state"  # of what a copy uses

    coefs_ = assignable("coefs_", "_network", "coefs", "Weights of each layer, (fan_in, fan_out).")
    intercepts_ = assignable("intercepts_", "_network", "intercepts", "Biases, (fan_out,).")

    # Subclasses encode the targets and score the outputs.

    @abstractmethod
    def _validate_input(self, X, y, reset):
        """Check X and y by scikit-learn's rules."""

    @abstractmethod
    def _encode_targets(self, y, labelled, first, incremental, classes):
        """Targets of the loss; sets ``_loss``, ``_loss_option``, ``out_activation_``, ..."""

    @abstractmethod
    def _encode_validation(self, y, name):
        """Targets of validation samples; `name` is for error messages."""

    @abstractmethod
    def _score_outputs(self, outputs, y, sample_weight):
        """The estimator's score of the network's outputs."""

    @abstractmethod
    def _constant_score(self, y, weight):
        """The best score of a constant prediction."""

    # Fitting, in call order.

    def _fit(
        self,
        X,
        y,
        sample_weight=None,
        X_val=None,
        y_val=None,
        incremental=False,
        classes=None,
        whole=None,
    ):
        """Fit with validated parameters; `whole` as in `Samples`."""
        if incremental:
            self._validate_params()  # the decorator does so only before the first fit
        if incremental and self._stops_early:
            raise ValueError("partial_fit does not support early_stopping=True")
        self._check_solver()
        # No warnings of overflow: training checks whether the loss and the weights are finite.
        no_warnings = np.errstate(over="ignore", invalid="ignore")
        progress, callbacks = Progress(self.verbose, self), FitCallbacks(self, X, y, sample_weight)
        compilation = announce_compilation(progress.say)
        with compilation, transaction(self) as checkpoint, no_warnings:
            first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
            if first or not incremental:
                self._warn_of_unused(incremental)
            with threads(self.n_jobs) as run:
                samples = self._read_samples(run, X, y, sample_weight, first, incremental, classes)
            samples.whole = whole
            if first or not incremental:
                self._random_state = random_of(self)
            self._watch_previous(checkpoint, first, incremental)
            files = self._training_files(samples, X_val, y_val, first, incremental)
            listeners = [*files, NetworkListener(self, checkpoint), progress, *callbacks.listeners]
            if first:
                self._initialise(samples, callbacks, files)  # a stack calls `threads` itself
                self._warn_of_no_pretraining()
            if self._visible is not None and (not first or isinstance(self.pretrainer, WRAPPERS)):
                self._warn_of_clipping(samples.data, samples.order)
            check_continues(self)
            with threads(self.n_jobs) as run:
                self._train(run, samples, X_val, y_val, first, incremental, checkpoint, listeners)
            callbacks.fit_ended()
        for file in files:
            file.remove()
        return self

    def _training_files(self, samples, X_val, y_val, first, incremental):
        """The file of the parameter `checkpoint`, in a list."""
        if incremental or self.checkpoint is None:
            return []
        content = {
            "X": samples.data.digest(samples.repeated(samples.order)),
            "y": (samples.targets, samples.labelled),
            "sample_weight": samples.weight,
            "validation samples": (X_val, y_val),
            "first weights": None if first else self._network.theta,
        }
        return training_files(self, self._random_state, **content)

    def _train(self, run, samples, X_val, y_val, first, incremental, checkpoint, listeners):
        """Train the present network."""
        train, validation = self._training_sets(run, samples, X_val, y_val)
        if first:
            self._note_scales(samples, train)
        self._resolve_automatic(len(train.order), incremental)
        self._choose_max_iter(run, train, validation, first, incremental, listeners)
        if first and not incremental:
            self._train_output_layer(run, self._network, train, listeners)
        self._start_trace(run, train, self.batch_size_, first, samples.data)
        self._start_validation(validation)
        self._baseline = None  # until training is over
        if self.solver == "lbfgs":
            self._fit_lbfgs(run, train, validation, checkpoint, listeners)
        else:
            self._fit_minibatches(run, train, validation, checkpoint, incremental, listeners)
        self._baseline = compare(self, run, train, samples.y, validation, incremental)

    def _read_samples(self, run, X, y, sample_weight, first, incremental, classes):
        """Validate X and y, encode the targets and compute the weights."""
        X, y = self._validate_input(X, y, reset=first)
        labelled = np.ones(X.shape[0], dtype=bool) if y is None else self._labelled(y)
        if not labelled.any():
            raise ValueError(
                f"every label in y equals unlabeled={self.unlabeled!r}; give labels for "
                "some samples, or fit a BernoulliRBMStack, which needs no labels."
            )
        targets = self._encode_targets(y, labelled, first, incremental, classes)
        repeats, weight = weigh(self, X, y, labelled, sample_weight)
        data = Data(X, self.dtype, unstored=unstored_in(self.pretrainer))
        if self.shuffle and not data.together:
            with_targets = [] if targets is None else [Data(targets, self.dtype)]
            order = canonical_order(run, data, *with_targets)
        else:
            order = np.arange(X.shape[0])
        if repeats.min() == 0:
            order = order[repeats[order] > 0]
        return Samples(data, y, targets, labelled, repeats, weight, order)

    def _labelled(self, y):
        """Which samples have a label."""
        return np.ones(len(y), dtype=bool)

    def _class_weights(self, y, labelled, repeats):
        """The factor of each sample's loss by class_weight, or None."""
        return None

    def _initialise(self, samples, callbacks, files):
        """Make a network with first weights, pre-trained if `pretrainer` asks for it."""
        hidden, activations = self._hidden_layers()
        stack = self._make_stack(*self._pretrained_layers(), samples)
        self._choose_output(stack, samples)
        if stack is not None and not isinstance(self.pretrainer, WRAPPERS):
            self._pretrain(stack, samples, callbacks, files)
        n_inputs = samples.data.shape[1] if stack is None else len(stack.coefs_[0])
        units = [n_inputs, *hidden, self._n_output_units]
        check_layers_fit(self.hidden_layer_sizes, units, 4 * np.dtype(self.dtype).itemsize)
        init = self._inits(units)
        network = Network(units, activations, self.out_activation_, self.dtype, self.shortcut)
        self._set_weights(network, stack, init, activations)
        self.pretrainer_ = stack
        # Stored here because the caller may fit a frozen stack again.
        self._visible = self._input_units(stack, samples)
        self._network, self._optimiser, self._fitted_loss = network, None, self._loss
        self._patience = Patience(self.n_iter_no_change)
        self.n_layers_ = network.n_layers + 1
        self.n_iter_, self.t_ = 0, 0
        self._reference_loss = 0.0
        self._judges_by_loss = False
        self.loss_ = np.nan  # until the first epoch is complete
        self.loss_curve_, self.validation_loss_curve_ = [], None
        self.validation_scores_ = None
        self.best_loss_ = None if self._stops_early else np.inf
        self.best_validation_score_ = None

    def _choose_output(self, stack, samples):
        """Choose loss and output activation, if they depend on the input."""

    def _input_units(self, stack, samples):
        """How the first layer reads X: as the stack's weights do; None: as it is."""
        return None if stack is None else stack.model_.inputs

    def _warn_of_clipping(self, data, rows):
        """Warn of values beyond those with which the visible units were fitted."""
        if self._visible.gaussian.all():  # which take any value
            return
        moments = data.moments(rows)
        if not self._visible.can_take(moments):
            warn_of_range(self, self._visible, moments)

    # Makes the stack for pretrainer='auto'.
    _auto_stack = BernoulliRBMStack

    def _pretraining_pays(self, samples):
        """Whether pretrainer='auto' pre-trains the network, if a stack can do so."""
        return True

    def _chosen_pretrainer(self, hidden, activations, samples):
        """`pretrainer`, resolved if it is 'auto'."""
        if self.pretrainer != "auto":
            return self.pretrainer
        is_possible = not self.shortcut and is_pretrainable(hidden, activations)
        needs_stack = samples.has_missing or self._category_labels
        pays = is_possible and (needs_stack or self._pretraining_pays(samples))
        return self._auto_stack() if pays else None

    def _make_stack(self, hidden, activations, samples):
        """The stack whose layers the network starts from, or None."""
        pretrainer = self._chosen_pretrainer(hidden, activations, samples)
        if pretrainer is None:
            return None
        if self.shortcut:
            raise ValueError(
                "pretrainer must be None or 'auto' with shortcut=True, because a stack is trained "
                f"without shortcuts, got {self.pretrainer!r}."
            )
        check_pretrainable(hidden, activations)
        if isinstance(pretrainer, WRAPPERS):
            return unwrapped_stack(pretrainer, hidden, activations[0], self.n_features_in_)
        check_no_checkpoint(pretrainer)
        warn_of_retraining(pretrainer)
        stack = clone(pretrainer)
        stack.set_params(**self._stack_parameters(hidden, activations[0], samples))
        if isinstance(self.init, (list, tuple)):
            stack.set_params(init=list(self.init[: len(hidden)]))
        elif self.init != "auto":
            stack.set_params(init=self.init)
        warn_of_ignored(pretrainer, stack)
        if stack.n_jobs is None:
            stack.set_params(n_jobs=self.n_jobs)
        if self.verbose and not stack.verbose:
            stack.set_params(verbose=self.verbose)
        return stack

    def _stack_parameters(self, hidden, activation, samples):
        """The parameters of a stack that follow from those of the network."""
        sizes = tuple(hidden)
        return {"hidden_layer_sizes": sizes, "activation": activation, "dtype": self.dtype}

    def _pretrain(self, stack, samples, callbacks, files):
        """Train the stack on all samples, labelled or not."""
        if stack.random_state is None:
            if stack.memory is not None and self.random_state is None:
                warn_of_unseeded_memory()
            seed = self._random_state.randint(np.iinfo(np.int32).max)
            stack.set_params(random_state=seed)
        stack._validate_params()
        if hasattr(self, "feature_names_in_"):
            stack.feature_names_in_ = self.feature_names_in_  # for its warnings
        stack._category_labels = self._category_labels
        with callbacks.other_fit("pre-training", stack):
            stack._pretrain(samples.data, samples.repeated(samples.order), files)

    def _set_weights(self, network, stack, init, activations):
        """Set the first weights: those of the stack, or random ones by `init`."""
        n_pretrained = 0 if stack is None else len(stack.coefs_)
        for layer, (W, b) in enumerate(zip(network.coefs, network.intercepts, strict=True)):
            if layer < n_pretrained:
                W[:], b[:] = stack.coefs_[layer], stack.intercepts_hidden_[layer]
                continue
            name = activations[min(layer, len(activations) - 1)] if activations else "identity"
            if layer == network.n_layers - 1 and not self._follows_sklearn():
                name = "identity"  # initialised like a linear layer
            below = activations[layer - 1] if layer > 0 else None
            W[:], b[:] = initial_weights(init[layer], self._random_state, *W.shape, name, below)

    def _follows_sklearn(self):
        """Whether the output layer is initialised by `activation`, as in scikit-learn."""
        return isinstance(self.init, str) and self.init == "sklearn"

    @property
    def _trained(self):
        """The part of the network that is trained. It shares the network's parameters."""
        return self._network.output_layer() if self._is_frozen else self._network

    @property
    def _trained_dropout(self):
        """The dropout of that part's input and of its hidden units."""
        if self._is_frozen:  # the input of the output layer is hidden units
            return self.dropout_[1], 0.0
        return self.dropout_

    def _training_input(self, run, plain, rows=None):
        """The input of the trained part: X, or the features of the frozen layers.

        The features are computed once, (n_samples, n_top_units), for the given rows; others are 0.
        """
        dtype = self._training_dtype
        data = self._open(plain, dtype)
        if not self._is_frozen:
            return data
        n_samples = plain.shape[0]
        self._check_features_fit(n_samples)
        rows = np.arange(n_samples) if rows is None else np.sort(rows)
        n_frozen = self._network.n_layers - 1
        features = self._network.astype(dtype).outputs(run, data, n_frozen, rows)
        if len(rows) < n_samples:
            all_rows = np.zeros((n_samples, features.shape[1]), features.dtype)
            all_rows[rows] = features
            features = all_rows
        return Data(features, dtype)

    def _check_features_fit(self, n_samples):
        """Check that the features of the top hidden layer fit into memory."""
        n_features = int(self._network.units[-2])
        value = f"{n_samples} samples, each with {n_features} features of the top hidden layer"
        n_bytes = n_samples * n_features * self._training_dtype.itemsize
        memory.require(n_bytes, "X", value, "pass fewer samples or use a smaller layer")

    def _open(self, plain, dtype):
        """The input of the first layer: scaled as in pre-training, if there was one."""
        visible, stack, X = self._visible, self.pretrainer_, plain.X
        if stack is not None:
            parts = visible.categories, visible.unstored, stack.handle_unknown
            X = known_categories(X, *parts)
        if plain.dtype != dtype or X is not plain.X:
            plain = Data(X, dtype, unstored=plain.unstored)
        return plain if visible is None else visible.data(plain)

    def _training_sets(self, run, samples, X_val, y_val):
        """The samples to train on, and those to validate on or None."""
        rows = samples.order[samples.labelled[samples.order]]
        if samples.weight.size:
            rows = rows[samples.weight[rows] > 0]
        if len(rows) == 0:
            raise ValueError("sample_weight and class_weight leave no sample with a label.")
        data, held_out = self._training_input(run, samples.data, rows), None
        if self._stops_early and X_val is None and self.solver != "lbfgs":
            rows, held_out = hold_out(self, rows, samples)
            if data.together:  # they have to ascend
                rows, held_out = np.sort(rows), np.sort(held_out)
        parts = data, samples.targets, samples.weight, self._loss
        train = TrainingSet(*parts, samples.repeated(rows), self._loss_option)
        if X_val is not None or y_val is not None:
            return train, self._given_validation(run, X_val, y_val)
        if held_out is None:
            return train, None
        held_out = samples.repeated(held_out)
        rows = TrainingSet(*parts, held_out, self._loss_option)
        y = None if samples.y is None else samples.y[held_out]
        return train, self._validation(rows, y)

    def _validation(self, rows, y):
        """Samples that are scored after every epoch."""
        # R^2 is zero for any prediction if all targets are equal.
        by_loss = is_regressor(self) and bool((y == y[0]).all())
        return Validation(rows, y, self._score_outputs, by_loss)

    def _given_validation(self, run, X_val, y_val):
        """The validation samples that were passed to fit."""
        if y_val is None or X_val is None:
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{missing} must be given together with {given}, got None.")
        with of_validation():
            X_val, y_val = self._validate_input(X_val, y_val, reset=False)
        labelled = self._labelled(y_val)
        if not labelled.any():
            raise ValueError(
                f"every label in y_val equals unlabeled={self.unlabeled!r}; give labels for some "
                "samples, or leave X_val and y_val out."
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
        order, no_weight = np.arange(X_val.shape[0]), np.empty(0, self._training_dtype)
        data = self._training_input(run, Data(X_val, self.dtype))
        parts = data, targets, no_weight, self._loss, order, self._loss_option
        return self._validation(TrainingSet(*parts), y_val)

    def _note_scales(self, samples, train):
        """Store the scales of inputs and targets, and warn if they are bad for learning."""
        stack = self.pretrainer_
        if stack is None:
            self._input_scales = self._scales_of_input(samples, train)
        else:
            self._input_scales = stack._input_scales
        self._target_scales = Scales.of(train.targets, train.order) if is_regressor(self) else None
        if not isinstance(self.pretrainer, WRAPPERS):  # fitting that stack has warned already
            warn_of_features(self)
        if is_regressor(self):
            warn_of_targets(self)

    def _scales_of_input(self, samples, train):
        """The scales of X as a network without pre-training reads it."""
        return Scales.of(samples.data.X, train.order)

    def _start_trace(self, run, train, batch_size, first, plain):
        """Set the recorder; it continues the trace if the training of a network continues."""
        if self.trace is None:
            self._recorder = None
            return
        each_batch = self.trace == "batch"
        recorder = None if first else getattr(self, "_recorder", None)
        if recorder is None or recorder.each_batch != each_batch:
            recorder = NetworkRecorder(each_batch)
        recorder.frozen = {}
        if self._is_frozen:
            data = self._open(plain, self._network.theta.dtype)
            recorder.measure_frozen(self._network, data, train.probe)
        if recorder.is_empty:
            recorder.record_start(run, self._trained.astype(train.data.dtype), train, batch_size)
        self._recorder = recorder

    @property
    def gradient_trace_(self):
        """Gradients, weights and activations of every layer, epoch by epoch."""
        check_is_fitted(self)
        return None if self._recorder is None else self._recorder.trace()

    def _start_validation(self, validation):
        """Prepare early stopping; forget the best value if another quantity is watched now."""
        self._patience.n_iter_no_change = self.n_iter_no_change
        if self._stops_early != (self.best_loss_ is None):
            self.best_loss_ = None if self._stops_early else np.inf
            self.best_validation_score_ = None
            self._patience = Patience(self.n_iter_no_change)
        by_loss = validation is not None and validation.by_loss
        if by_loss != self._judges_by_loss:
            self._judges_by_loss = by_loss
            if self._stops_early:
                self._patience = Patience(self.n_iter_no_change)
        if validation is not None and self.validation_scores_ is None:
            self.validation_scores_, self.validation_loss_curve_ = [], []
        if validation is not None and self.best_validation_score_ is None:
            self.best_validation_score_ = -np.inf

    def _choose_max_iter(self, run, train, validation, first, incremental, listeners):
        """Set `max_iter_`; 'refit' first trains a copy on a part of the samples."""
        self.max_iter_, self.held_out_loss_curve_ = self.max_iter, None
        if self.early_stopping != "refit" or incremental or self.solver == "lbfgs":
            return
        extra = 1.0  # both passes see the same samples
        if validation is not None:
            held_out = validation.samples
        elif first and len(train.order) >= MIN_SAMPLES:
            train, held_out = split_by_target(train, self._random_state)
            extra = EXTRA
        else:  # too few samples, or the network has been trained on them
            return
        losses, rates = self._first_pass(run, train, held_out, first, listeners)
        if np.isfinite(losses).all():  # otherwise training will diverge and warn
            is_planned = self.learning_rate_ in PLANNED
            self.max_iter_ = enough_epochs(losses, rates, extra, is_planned)
        self.held_out_loss_curve_ = losses

    def _first_pass(self, run, train, held_out, first, listeners):
        """Train a copy of the network; return the held-out loss and mean rate of each epoch."""
        network = self._trained.copy()
        if first:
            self._train_output_layer(run, network, train, listeners)
        schedule = self._new_schedule()
        self._check_warmup(schedule)
        training = self._new_training(network, train, self._new_optimiser(network))
        parts = run, training, self._orders(train), schedule, self.max_iter
        task = FirstPass(held_out, *parts)
        loop.train(task, listeners)
        return task.losses, task.rates

    def _train_output_layer(self, run, network, train, listeners):
        """Train the output layer of a pre-trained network, if it is to be trained first."""
        if self.output_layer_first and self._is_fine_tuned:
            self._check_features_fit(len(train.order))
            alpha = float(self.output_layer_first)
            task = train_output_layer(run, network, train, alpha, listeners)
            if task.divergence is not None or not task.result.success:
                warnings.warn(
                    "the output layer did not converge, which output_layer_first trains first; "
                    "scale X, or give a larger float as strength of its penalty.",
                    ConvergenceWarning,
                )

    def _orders(self, train):
        """The orders in which epochs visit the samples."""
        return Orders(self._random_state, train.order, self.shuffle, train.data.together)

    def _start_optimiser(self, incremental):
        """The optimiser of the previous partial_fit, or a new one."""
        trained = self._trained
        continues = incremental and self._optimiser is not None
        if not continues or self._optimiser.n_parameters != trained.theta.size:
            self._optimiser = self._new_optimiser(trained)
            self._schedule = self._new_schedule(self.max_iter_ / self.max_iter)
            self._fixed = {name: getattr(self, name) for name in FIXED_PARAMETERS}
        elif self._fixed["learning_rate"] == "auto" and self._schedule.is_planned:
            self._schedule = self._new_schedule()  # the schedule of fit has ended
            changed = {name: getattr(self, name) for name in SCHEDULE_PARAMETERS}
            self._fixed = self._fixed | changed
        self._warn_of_fixed()
        self._schedule.max_iter = self.max_iter_
        self.learning_rate_, self.learning_rate_init_ = self._schedule.name, self._schedule.initial
        self._check_warmup(self._schedule)
        if self._schedule.is_over:
            warnings.warn(
                f"learning_rate={self._schedule.name!r} ended after max_iter={self.max_iter} "
                "epochs; training continues with its last rate, which is close to zero. "
                "Raise max_iter, or set warm_start=True and call fit to start a new schedule.",
                ConvergenceWarning,
            )

    def _warn_of_fixed(self):
        """Warn of parameters that were set since and that partial_fit cannot change."""
        changed = [name for name in FIXED_PARAMETERS if getattr(self, name) != self._fixed[name]]
        if changed:
            kept = ", ".join(f"{name}={self._fixed[name]!r}" for name in changed)
            given = ", ".join(f"{name}={getattr(self, name)!r}" for name in changed)
            warnings.warn(
                f"partial_fit continues with {kept}; {given} has no effect. To change these "
                "parameters, set warm_start=True and call fit.",
                UserWarning,
            )

    def _new_training(self, network, train, optimiser):
        """The training with the parameters of this call."""
        bounds = self.alpha, self.l1_ratio, self.clip_value, self.clip_norm, self.max_norm
        optimiser.set_bounds(*bounds, self._rate_factors(network.n_layers))
        if any(self.dropout_) and optimiser.seed is None:
            optimiser.seed = int(self._random_state.randint(np.iinfo(np.int32).max))
        return Training(network, train, optimiser, self.batch_size_, self._trained_dropout)

    def _fit_minibatches(self, run, train, validation, checkpoint, incremental, listeners):
        """Epoch after epoch until the loss or the score no longer improves."""
        self._start_optimiser(incremental)
        training = self._new_training(self._trained, train, self._optimiser)
        self._watch(checkpoint, *CHANGED_BY_TRAINING)
        task = FineTuning(
            *(run, training, self._orders(train), self._schedule, self.max_iter_),
            divergence_check=self._divergence_check(run, train, incremental),
            patience=self._patience,
            tol=self.tol,
            validation=validation,
            stops_early=self._stops_early,
            best=self._best_so_far(),
            checkpoint=checkpoint,
            recorder=self._recorder,
            n_seen=self.t_,
            n_before=len(self.loss_curve_) if incremental else None,
        )
        self.n_iter_ = 0
        loop.train(task, listeners)
        if task.divergence is not None:
            warn_of_divergence(self, *task.divergence)
        elif not (incremental or task.has_converged or task.is_stopped):
            warn_of_too_few_epochs(self)

    def _watch(self, checkpoint, *names):
        """Have the checkpoint restore these attributes if training fails or is interrupted."""
        checkpoint.watch(*(getattr(self, name, None) for name in names))

    def _watch_previous(self, checkpoint, first, incremental):
        """Have it restore the attributes that this call continues with."""
        self._watch(checkpoint, "_random_state")
        if not first:
            self._watch(checkpoint, "_network", "_recorder", "_patience")
        if not first and incremental:
            self._watch(checkpoint, "_optimiser", "_schedule")

    def _best_so_far(self):
        """The weights with the best score in the previous fit, if training continues."""
        if self._stops_early and np.isfinite(self._patience.best):
            return self._trained.theta.copy()
        return None

    def _divergence_check(self, run, train, incremental):
        """The check of losses; calls of partial_fit keep the largest reference loss."""
        at_least = self._reference_loss if incremental else 0.0
        check = DivergenceCheck(run, self._trained, train, at_least)
        self._reference_loss = check.reference_loss
        return check

    def _fit_lbfgs(self, run, train, validation, checkpoint, listeners):
        """Minimise the loss over all samples by L-BFGS-B."""
        n_parameters = int(self._trained.theta.size)
        value = f"'lbfgs' for {n_parameters} parameters"
        remedy = "use one that works on minibatches, such as 'adam'"
        memory.require(8 * N_VECTORS * n_parameters, "solver", value, remedy)
        network = self._trained.astype(train.data.dtype)
        objective = LbfgsObjective(run, network, train, self.alpha, self._recorder)
        self._watch(checkpoint, "_network", "_random_state", "_recorder")
        self.n_iter_, self._optimiser = 0, None  # which does not belong to what follows
        limits = self.max_iter, self.max_fun, self.tol
        task = LbfgsTask(objective, self._trained, *limits, validation, checkpoint, self.t_)
        task.train(listeners)
        if task.divergence is not None:
            warn_of_divergence(self, *task.divergence)
            return
        self.n_iter_ = task.result.nit
        warn_of_lbfgs(self, task)
        self.loss_ = self.best_loss_ = task.loss

    # Prediction.

    def _outputs(self, X, convert, n_above=0):
        """The activations of the layer with n_above others above it, converted."""
        X = self._read_again(X)
        network = self._network_for(X)
        dtype, n_layers = network.theta.dtype, network.n_layers - n_above
        with threads(self.n_jobs, shared_work(network.layers, X.shape[0])) as run:

            def compute(rows):
                data = self._open(Data(rows, dtype), dtype)
                return convert(network.outputs(run, data, n_layers))

            return in_chunks(compute, X, self._n_numbers(X))

    def _to_own_dtype(self, outputs):
        return outputs.astype(self._network.theta.dtype, copy=False)

    def _n_numbers(self, X):
        """Maximum number of numbers that are held for each sample of X, see `in_chunks`."""
        return X.shape[1] + int(self._network.units.sum()) + TEMPORARIES * self.n_outputs_

    def _network_for(self, X):
        """The network in the precision for an input.

        float64 input is read in the precision of training, so it overflows only if `fit` would.
        """
        dtype = self._network.theta.dtype
        if X.dtype == np.float64:
            dtype = np.result_type(dtype, self._training_dtype)
        return self._network.astype(dtype)

    def _check_stored(self):
        network = vars(self).get("_network")
        if network is None:
            return
        visible, optimiser = self._visible, self._optimiser
        n_inputs = self.n_features_in_ if visible is None else visible.n_units
        n_features = n_inputs if visible is None else len(visible.first_unit) - 1
        dtype = network.theta.dtype if optimiser is None else optimiser.kernel_state.first.dtype
        if (n_features, n_inputs, dtype) != (
            self.n_features_in_,
            network.units[0],
            network.theta.dtype,
        ):
            raise ValueError(f"the stored parts of this {type(self).__name__} do not fit together.")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self._reads_missing
        return tags


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
        If its solver works on all samples at once.
    """
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. "
            f"{estimator.solver} is not stochastic."
        )
    return True
