"""What several rules of the diagnosis read from a fitted estimator."""

import warnings
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from sklearn.frozen import FrozenEstimator

from sk_dbn.inspection.fitted import layer_names, trace_of
from sk_dbn.models.initialisers import auto_std
from sk_dbn.models.network import branch_factor
from sk_dbn.models.schedules import PLANNED

STACK_STD = 0.01  # of the initial weights of stacks with init='auto'


def resolved(network):
    """The values that a fitted network uses for parameters that may be 'auto'.

    Parameters
    ----------
    network : DBNClassifier or DeepMLPRegressor

    Returns
    -------
    dict
    """
    names = "batch_size", "dropout", "learning_rate", "learning_rate_init"
    return {name: getattr(network, f"{name}_") for name in names}


@dataclass
class History:
    """The trace, the losses and the parameters of one estimator.

    Parameters
    ----------
    estimator : object
        Fitted, with a gradient trace.
    is_trained : bool, default=True
        False if its updates changed no weight, to look at the state before training.
    parameters : dict, default=None
        The parameters for training. By default those that the estimator was trained with.
    """

    estimator: object
    is_trained: bool = True
    parameters: dict | None = None

    def __post_init__(self):
        self.trace = trace_of(self.estimator, "diagnose")
        self.is_network = hasattr(self.estimator, "out_activation_")
        if self.parameters is None:
            self.parameters = self._parameters_of_fit()
        self.shapes = [W.shape for W in self.estimator.coefs_]
        self.n_hidden = self.trace.n_layers - self.is_network
        if self.is_network:
            self.activations = self.estimator._network.activations[:-1]
        else:
            self.activations = [self.parameters["activation"]] * self.n_hidden

    def _parameters_of_fit(self):
        """The parameters with the values that training used for them."""
        network, parameters = self.estimator, self.estimator.get_params(deep=False)
        if not self.is_network:
            return parameters
        parameters |= resolved(network)
        if parameters["learning_rate"] in PLANNED:  # early_stopping='refit' shortens the schedule
            parameters["warmup_epochs"] *= network.max_iter_ / parameters["max_iter"]
        return parameters | {"max_iter": network.max_iter_}

    def in_words(self, layers):
        """The names of layers, with consecutive ones joined, as in 'hidden 1-3, output'."""
        if len(layers) == 0:
            return "all layers"
        names = layer_names(self.estimator, self.trace.n_layers)
        words = []
        for run in np.split(layers, np.flatnonzero(np.diff(layers) > 1) + 1):
            for _, part in groupby((names[layer] for layer in run), lambda name: name.split()[0]):
                first, *others = part
                words.append(f"{first}-{others[-1].split()[1]}" if others else first)
        return ", ".join(words)

    def _curve(self, name):
        """A list of the estimator as an array; empty if there is none."""
        values = getattr(self.estimator, name, None) if self.is_trained else None
        return np.array([] if values is None else values, dtype=float)

    @property
    def losses(self):
        """A network's loss in each epoch."""
        return self._curve("loss_curve_")

    @property
    def validation_losses(self):
        """Loss of the validation samples after each epoch."""
        return self._curve("validation_loss_curve_")

    @property
    def validation_scores(self):
        """Score of the validation samples after each epoch."""
        return self._curve("validation_scores_")

    @property
    def score_range(self):
        """The difference between the scores of a perfect and of a constant prediction.

        1 for accuracy and R^2, where a constant may have a score above 0.
        """
        baseline = getattr(self.estimator, "_baseline", None)
        if baseline is None or baseline.perfect_score == 1.0:
            return 1.0
        return (baseline.perfect_score - baseline.constant_validation_score) or 1.0

    @property
    def is_pretrained(self):
        """Whether a network's initial weights come from a stack."""
        return getattr(self.estimator, "pretrainer_", None) is not None

    @property
    def rate_factors(self):
        """The learning rate of each layer as a share of that of the output layer, (n_layers,)."""
        factors = np.ones(len(self.shapes))
        if self.is_network and self.is_pretrained:
            factors[: self.n_hidden] = self.parameters.get("pretrained_learning_rate", 1.0)
        return factors

    @property
    def is_frozen(self):
        """Whether each layer keeps the weights of a stack and is not trained, (n_layers,)."""
        is_frozen = self.rate_factors == 0
        is_frozen[: self.n_hidden] |= isinstance(self.parameters.get("pretrainer"), FrozenEstimator)
        return is_frozen

    @property
    def has_steps(self):
        """Whether the steps of training are scaled by a learning rate."""
        return self.parameters.get("solver") != "lbfgs"

    @property
    def keeps_best(self):
        """Whether a network keeps the weights of its best epoch, by `early_stopping`."""
        early_stopping = self.parameters["early_stopping"]
        return self.has_steps and early_stopping != "refit" and bool(early_stopping)

    @property
    def mean_steps(self):
        """Norm of each layer's step over the norm of its weights, mean over training."""
        return typical(finite(self.trace.update_ratio[1:]), np.nanmean)

    @property
    def rms(self):
        """Root mean square of each layer's activations, by row."""
        return np.hypot(self.trace.activation_mean, self.trace.activation_std)

    @property
    def branches(self):
        """Factor of each layer's own activations beside its residual connection; 1 without one."""
        factors = np.ones(len(self.shapes))
        if self.parameters.get("shortcut"):
            factors[1 : self.n_hidden] = branch_factor(self.n_hidden)
        return factors

    @property
    def derivatives(self):
        """Size of the derivative of the loss with respect to each layer's units, by row.

        This is the norm of the gradient of the biases, which is the mean derivative. The mean can
        cancel if targets are balanced. Then it is the norm of the gradient of the weights, divided
        by the size of the layer's input. Beside a residual connection, both contain the factor of
        the layer's own branch, which is divided out. NaN where a gradient is not finite.
        """
        inputs = np.hstack([np.ones((len(self.rms), 1)), self.rms[:, :-1]])  # X has size 1
        widths = np.sqrt([fan_in for fan_in, _ in self.shapes])
        from_weights = ratio(self.trace.weight_grad_norm, inputs * widths)
        return np.fmax(finite(self.trace.bias_grad_norm), from_weights) / self.branches

    @property
    def gain(self):
        """Norm of each layer's initial weights over the norm that ``init='auto'`` gives."""
        names, gains = [*self.activations, "identity"], []  # the output is initialised as linear
        for (fan_in, fan_out), name in zip(self.shapes, names, strict=False):
            std = auto_std(name, fan_in, fan_out) if self.is_network else STACK_STD
            gains.append(std * np.sqrt(fan_in * fan_out))
        return self.trace.weight_norm[0] / np.array(gains)

    @property
    def has_zero_layer(self):
        """Whether all initial weights of a layer are zero."""
        return bool((self.trace.weight_norm[0] == 0).any())

    @property
    def clipping(self):
        """Factor by which `clip_norm` shortens a network's first gradient; 1 if it does not.

        The norm is that of all layers with their biases. `clip_value` is not taken into account.
        """
        bound = self.parameters["clip_norm"]
        norms = np.r_[self.trace.weight_grad_norm[0], self.trace.bias_grad_norm[0]]
        length = np.linalg.norm(norms[np.isfinite(norms)])
        return 1.0 if bound is None or length <= bound else bound / length

    @property
    def first_steps(self):
        """Update ratio of each layer of a network, predicted for the first step.

        With 'sgd', a step is the learning rate times the gradient. The adaptive solvers move each
        weight by about the learning rate, whatever its gradient. If the initial weights are
        smaller than usual, the step is divided by the norm of usual weights.
        """
        rate = self.parameters["learning_rate_init"]
        if self.parameters["solver"] == "sgd":
            step = rate * self.clipping * finite(self.trace.weight_grad_norm[0])
        else:
            step = rate * np.sqrt([fan_in * fan_out for fan_in, fan_out in self.shapes])
        step = np.where(self.is_frozen, np.nan, self.rate_factors * step)
        return ratio(step, self.trace.weight_norm[0]) * np.minimum(1.0, self.gain)


def typical(values, summary=np.nanmedian):
    """A summary of each column, without NaN.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
    summary : callable, default=numpy.nanmedian

    Returns
    -------
    ndarray of shape (n_columns,)
        NaN for a column in which all values are NaN.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns of NaN
        return summary(values, axis=0)


def latest(values, summary=np.median):
    """A summary of the last quarter of each column, without NaN.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
    summary : callable, default=numpy.median
        Takes a 1d array.

    Returns
    -------
    ndarray of shape (n_columns,)
    """
    columns = [column[~np.isnan(column)] for column in values.T]
    last = [column[-max(1, len(column) // 4) :] for column in columns]
    return np.array([summary(column) if len(column) else np.nan for column in last])


def finite(values):
    """Replace infinity by NaN."""
    return np.where(np.isfinite(values), values, np.nan)


def ratio(part, whole):
    """Divide part by whole; NaN where the result is not finite."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return finite(part / whole)
