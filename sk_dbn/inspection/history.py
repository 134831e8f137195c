"""What training left behind in an estimator, as far as a diagnosis reads it."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.frozen import FrozenEstimator

from sk_dbn.inspection.fitted import layer_names, trace_of
from sk_dbn.models.initialisers import auto_std
from sk_dbn.models.network import branch_factor
from sk_dbn.models.schedules import RISING_SHARE, Schedule

STACK_STD = 0.01  # of the first weights of stacks by init='auto'
UPDATES = 100  # in which an epoch is cut to take the mean of its rates


def resolved(network):
    """What the parameters of a fitted network stood for that said 'auto' or 'refit'.

    Parameters
    ----------
    network : DBNClassifier or DeepMLPRegressor

    Returns
    -------
    dict
        With ``early_stopping`` only true if training returned to the best epoch.
    """
    names = "batch_size", "dropout", "learning_rate", "learning_rate_init"
    used = {name: getattr(network, f"{name}_") for name in names}
    return used | {"early_stopping": network._stops_early}


@dataclass
class History:
    """The trace, the losses and the parameters of one estimator.

    Parameters
    ----------
    estimator : object
        Fitted, with a gradient trace.
    is_trained : bool, default=True
        Whether it took steps that tell of its training.
    parameters : dict, default=None
        What it is to be trained with; by default what it was trained with.
    """

    estimator: object
    is_trained: bool = True
    parameters: dict | None = None

    def __post_init__(self):
        self.trace = trace_of(self.estimator, "diagnose")
        self.is_network = hasattr(self.estimator, "out_activation_")
        if self.parameters is None:
            self.parameters = self.estimator.get_params(deep=False) | self._used
        self.shapes = [W.shape for W in self.estimator.coefs_]
        self.n_hidden = self.trace.n_layers - self.is_network
        names = self.parameters["activation"]
        self.activations = [names] * self.n_hidden if isinstance(names, str) else list(names)

    @property
    def _used(self):
        """Schedule, learning rate and what else a network was really trained with."""
        if not self.is_network:
            return {}
        schedule = getattr(self.estimator, "_schedule", None)
        if schedule is None or not self.has_minibatches:
            return resolved(self.estimator)
        of_schedule = {"max_iter": schedule.max_iter, "warmup_epochs": schedule.warmup_epochs}
        return resolved(self.estimator) | of_schedule

    def in_words(self, layers):
        """What layers are called, runs of them shortened."""
        if len(layers) == 0:
            return "all layers"
        names = layer_names(self.estimator, self.trace.n_layers)
        runs = np.split(layers, np.flatnonzero(np.diff(layers) > 1) + 1)
        hidden = [[layer for layer in run if layer < self.n_hidden] for run in runs]
        words = [
            names[run[0]] + (f"-{run[-1] + 1}" if len(run) > 1 else "") for run in hidden if run
        ]
        return ", ".join(words + names[self.n_hidden :] * bool(layers[-1] >= self.n_hidden))

    def _curve(self, name):
        """A list of losses as an array, empty where there is none."""
        values = getattr(self.estimator, name, None) if self.is_trained else None
        return np.array([] if values is None else values, dtype=float)

    @property
    def losses(self):
        """Loss of each epoch, of a network."""
        return self._curve("loss_curve_")

    @property
    def validation_losses(self):
        """The same of validation rows."""
        return self._curve("validation_loss_curve_")

    @property
    def validation_scores(self):
        """Their scores."""
        return self._curve("validation_scores_")

    @property
    def is_classifier(self):
        """Whether a network predicts classes."""
        return hasattr(self.estimator, "classes_")

    @property
    def is_pretrained(self):
        """Whether a network's first weights come from a stack."""
        return getattr(self.estimator, "pretrainer_", None) is not None

    @property
    def is_frozen(self):
        """Whether each layer stays as a stack has left it, and is not trained: (n_layers,)."""
        frozen = isinstance(self.parameters.get("pretrainer"), FrozenEstimator)
        return np.arange(len(self.shapes)) < (self.n_hidden if frozen else 0)

    @property
    def baseline(self):
        """How a trained network does beside a constant, or None."""
        return getattr(self.estimator, "_baseline", None) if self.is_trained else None

    @property
    def has_minibatches(self):
        """Whether the estimator was trained minibatch by minibatch."""
        return getattr(self.estimator, "solver", None) != "lbfgs"

    @property
    def has_steps(self):
        """Whether training takes steps that a learning rate scales."""
        return self.parameters.get("solver") != "lbfgs"

    @property
    def has_stopped(self):
        """Whether training ended before its last epoch, since the loss no longer fell.

        And not because it diverged, was interrupted, or went on by `partial_fit`.
        """
        stops = self.is_network and self.is_trained and self.has_steps
        if not stops or self.parameters["early_stopping"]:
            return False
        is_stuck = self.estimator._patience.is_exhausted
        is_one_fit = self.estimator.n_iter_ == len(self.losses)
        return is_stuck and is_one_fit and self.estimator.n_iter_ < self.parameters["max_iter"]

    @property
    def mean_steps(self):
        """Norm of each layer's step over that of its weights, mean over training."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of layers that took none
            return np.nanmean(_finite(self.trace.update_ratio[1:]), axis=0)

    @property
    def early_steps(self):
        """The largest of an epoch's while the learning rate is still to rise to its highest.

        Of a constant rate that of the first epoch. Of weights that start small the step is
        taken over those of usual size.
        """
        rising = 1.0
        if self.parameters["learning_rate"] == "one_cycle":
            rising += RISING_SHARE * self.parameters["max_iter"]
        epochs, ratios = np.ceil(self.trace.epoch[1:]), _finite(self.trace.update_ratio[1:])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of layers that took none
            means = [
                np.nanmean(ratios[epochs == epoch], axis=0)
                for epoch in np.unique(epochs[epochs <= rising])
            ]
            steps = np.fmax.reduce(means, axis=0) if means else np.full(len(self.shapes), np.nan)
        return steps * np.minimum(1.0, self.gain)

    @property
    def inputs_rms(self):
        """Root mean square of what each layer's weights act on, by row; 1 is taken for X."""
        trace = self.trace
        rms = np.hypot(trace.activation_mean, trace.activation_std)
        return np.hstack([np.ones((len(rms), 1)), rms[:, :-1]])

    @property
    def branches(self):
        """What each layer's own activations are multiplied by where a shortcut passes it."""
        factors = np.ones(len(self.shapes))
        if self.parameters.get("shortcut"):
            factors[1 : self.n_hidden] = branch_factor(self.n_hidden)
        return factors

    @property
    def derivatives(self):
        """How large the derivative of the loss by what each layer passes on is, by row.

        The norm of the gradient of its biases, which is its mean; or, since that can cancel
        where targets are balanced, the norm of the gradient of its weights over that of what
        these act on. Beside a shortcut both have the factor of the layer's own part, which is
        taken out. NaN where they are not finite.
        """
        widths = np.sqrt([fan_in for fan_in, _ in self.shapes])
        from_weights = _ratio(self.trace.weight_grad_norm, self.inputs_rms * widths)
        return np.fmax(_finite(self.trace.bias_grad_norm), from_weights) / self.branches

    @property
    def returned(self):
        """The same over the largest of all layers, for each hidden layer: what comes back."""
        sizes = self.derivatives
        return _ratio(sizes, sizes.max(axis=1, keepdims=True))[:, : self.n_hidden]

    @property
    def growth(self):
        """Growth from one end of the hidden layers to the other, by row.

        That of activations (their root mean square) from the first layer on, or that of
        derivatives from the last layer back, whichever is more.
        """
        hidden = slice(self.n_hidden)
        rms = _finite(np.hypot(self.trace.activation_mean, self.trace.activation_std))[:, hidden]
        sizes = self.derivatives[:, hidden]
        return np.fmax(_ratio(rms, rms[:, :1]), _ratio(sizes, sizes[:, -1:]))

    @property
    def gain(self):
        """Norm of each layer's first weights over what ``init='auto'`` gives."""
        names, gains = [*self.activations, "identity"], []  # the output's comes after its weights
        for (fan_in, fan_out), name in zip(self.shapes, names, strict=False):
            std = auto_std(name, fan_in, fan_out) if self.is_network else STACK_STD
            gains.append(std * np.sqrt(fan_in * fan_out))
        return self.trace.weight_norm[0] / np.array(gains)

    @property
    def differences(self):
        """How far each hidden layer's units are from their mean, over the size of their weights.

        Of incoming weights, biases or outgoing weights, whichever differ most: (n_hidden,). Zero
        where all units are the same and compute one number.
        """
        of_hidden = "intercepts_" if self.is_network else "intercepts_hidden_"
        coefs, biases = self.estimator.coefs_, getattr(self.estimator, of_hidden)
        return np.array(
            [
                max(map(_difference, (coefs[i].T, biases[i], *coefs[i + 1 : i + 2])))
                for i in range(self.n_hidden)
            ]
        )

    @property
    def shrinkage(self):
        """Norm of the last weights over that of the first, of the layer that shrank most."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = self.trace.weight_norm[-1] / self.trace.weight_norm[0]
        return float(np.fmin.reduce(ratios, initial=np.inf))

    @property
    def has_zero_layer(self):
        """Whether all first weights of a layer are zero."""
        return bool((self.trace.weight_norm[0] == 0).any())

    @property
    def clipping(self):
        """What a network's first gradient is multiplied by for `clip_norm`, 1 where it is short.

        That of all layers, biases included; what `clip_value` cuts off is not known.
        """
        bound = self.parameters["clip_norm"]
        norms = np.r_[self.trace.weight_grad_norm[0], self.trace.bias_grad_norm[0]]
        length = np.linalg.norm(norms[np.isfinite(norms)])
        return 1.0 if bound is None or length <= bound else bound / length

    @property
    def first_share(self):
        """Share of `learning_rate_init` that a network has in its first epoch, in the mean."""
        names = ("learning_rate", "max_iter", "warmup_epochs")
        name, max_iter, warmup = (self.parameters[x] for x in names)
        schedule = Schedule(name, 1.0, max_iter=max_iter, warmup_epochs=warmup)
        return schedule.rates(UPDATES).mean()

    @property
    def first_steps(self):
        """Each layer's update ratio that the learning rate of a network leads to at first.

        For 'sgd' the rate times the gradient over the weights; the adaptive solvers move
        every weight by about the rate itself, whatever its gradient. Weights that start small
        are taken for those of usual size.
        """
        rate = self.parameters["learning_rate_init"]
        if self.parameters["solver"] == "sgd":
            step = rate * self.clipping * _finite(self.trace.weight_grad_norm[0])
        else:
            step = rate * np.sqrt([fan_in * fan_out for fan_in, fan_out in self.shapes])
        step = np.where(self.is_frozen, np.nan, step)
        return _ratio(step, self.trace.weight_norm[0]) * np.minimum(1.0, self.gain)


def typical(values):
    """The median of each column, where NaN does not count.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)

    Returns
    -------
    ndarray of shape (n_columns,)
        NaN for a column of nothing else.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns of NaN
        return np.nanmedian(values, axis=0)


def latest(values, summary=np.median):
    """A summary of each column's last quarter of rows, where NaN does not count.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
    summary : callable, default=numpy.median
        Of a 1d array.

    Returns
    -------
    ndarray of shape (n_columns,)
    """
    columns = [column[~np.isnan(column)] for column in values.T]
    last = [column[-max(1, len(column) // 4) :] for column in columns]
    return np.array([summary(column) if len(column) else np.nan for column in last])


def _difference(units):
    """How far the rows of an array are from their mean, over the size of all."""
    size = np.linalg.norm(units)
    return np.linalg.norm(units - units.mean(axis=0)) / size if size else 0.0


def _finite(values):
    """NaN in place of infinity."""
    return np.where(np.isfinite(values), values, np.nan)


def _ratio(part, whole):
    """part / whole; NaN where that says nothing."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _finite(part / whole)
