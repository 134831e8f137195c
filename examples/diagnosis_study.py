"""Does `diagnose` find what ails a network, and nothing where nothing does?

Networks that are sick by construction (logistic units ten layers deep, first weights far too
large, a learning rate of ten, ...) and well-configured ones are trained on several data sets. A
network counts as sick only if its test score is clearly below that of its cured twin, which
differs in nothing but the cause; as healthy only if it scores about as well as the best. Printed
is what was found in which, and what became of each finding and of the score when the remedy that
the finding names was applied. By default the data sets are those inside scikit-learn.

    python examples/diagnosis_study.py
    python examples/diagnosis_study.py --quick
    python examples/diagnosis_study.py --data folder  # and its .npz files: mnist, usps, ...
"""

from dataclasses import dataclass, field

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
    make_friedman1,
)
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sk_dbn import DBNClassifier, DeepMLPRegressor

WIDTH, EPOCHS = 30, 60
TRAIN_ROWS, TEST_ROWS = 500, 400
COMMON = {"pretrainer": "passthrough", "batch_size": 32, "max_iter": EPOCHS, "random_state": 0}


@dataclass
class Problem:
    """A data set, standardised and split.

    Parameters
    ----------
    name : str
    X_train, X_test, y_train, y_test : ndarrays
    is_regression : bool
    parameters : dict
        What suits all networks that are trained on it.
    """

    name: str
    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray
    is_regression: bool
    parameters: dict

    @classmethod
    def of(cls, name, X, y, is_regression, **parameters):
        """At most so many rows of a data set."""
        n_train = min(TRAIN_ROWS, len(X) * 2 // 3)
        n_test = min(TEST_ROWS, len(X) - n_train)
        sizes = {"train_size": n_train, "test_size": n_test, "random_state": 0}
        X_train, X_test, y_train, y_test = train_test_split(X, y, **sizes)
        scaler = StandardScaler().fit(X_train)
        if is_regression:
            mean, std = y_train.mean(), y_train.std()
            y_train, y_test = (y_train - mean) / std, (y_test - mean) / std
        return cls(
            name,
            scaler.transform(X_train),
            scaler.transform(X_test),
            y_train,
            y_test,
            is_regression,
            parameters,
        )

    @property
    def chance(self):
        """The score of a model that knows nothing of X."""
        return 0.0 if self.is_regression else np.bincount(self.y_test).max() / len(self.y_test)

    @property
    def n_outputs(self):
        n_classes = 1 if self.is_regression else len(np.unique(self.y_train))
        return n_classes if n_classes > 2 else 1


@dataclass
class Recipe:
    """How a network is made, and what is then expected to be found.

    Parameters
    ----------
    kind : str
        The disease, or 'healthy'.
    name : str
    parameters : dict
        Of the estimator, besides COMMON.
    cure : dict, default={}
        Parameters of the cured twin that differ.
    layers : tuple of int, default=()
        Layers that the finding has to name; from the end if negative.
    spared : tuple of int, default=()
        Layers that it must not name.
    scale : float, default=1.0
        What X is multiplied by; 1 for the cured twin.
    few : int, default=None
        Rows trained on.
    noise : float, default=0.0
        Share of the training rows whose targets are wrong.
    validated : bool, default=False
        Whether validation rows are given to `fit`.
    """

    kind: str
    name: str
    parameters: dict
    cure: dict = field(default_factory=dict)
    layers: tuple = ()
    spared: tuple = ()
    scale: float = 1.0
    few: int | None = None
    noise: float = 0.0
    validated: bool = False


def deep(depth, width=WIDTH):
    """Sizes of so many hidden layers."""
    return (width,) * depth


def weights_with(layer, change):
    """An `init` that draws He's weights for relu units, but for one layer's."""

    def init(units):
        random = np.random.default_rng(0)
        pairs = zip(units, units[1:])
        W = [random.normal(0, np.sqrt(2 / n), (n, m)) for n, m in pairs]
        W[layer] = change(W[layer])
        return W

    return init


ADAM, SGD = {"learning_rate_init": 0.001}, {"solver": "sgd", "learning_rate_init": 0.02}
SELU = {"activation": "selu", "init": "auto"}


def vanishing():
    """Gradients that shrink from layer to layer on their way back."""
    where = {"layers": (0,), "spared": (-1, -2)}
    for depth in (6, 8, 10):
        for solver, steps in (("adam", ADAM), ("sgd", SGD)):
            common = {"hidden_layer_sizes": deep(depth)} | steps
            logistic = common | {"activation": "logistic"}
            yield Recipe("vanishing", f"logistic {depth} {solver}", logistic, SELU, **where)
            for name, std in (("tanh", 0.01), ("relu", 0.01), ("softsign", 0.05)):
                parameters = common | {"activation": name, "init": std}
                title, cure = f"{name} from {std} {depth} {solver}", {"init": "auto"}
                yield Recipe("vanishing", title, parameters, cure, **where)


def exploding():
    """First weights that make activations or gradients grow from layer to layer."""
    auto = {"init": "auto"}
    for depth in (6, 10):
        for solver, steps in (("adam", ADAM), ("sgd", SGD)):
            for name in ("relu", "leaky_relu", "elu", "swish", "selu"):
                large = {"activation": name, "init": "standard_normal"} | steps
                large |= {"hidden_layer_sizes": deep(depth)}
                yield Recipe("exploding", f"{name} {depth} {solver}", large, auto, layers=(1,))
    chaotic = {"hidden_layer_sizes": deep(12), "activation": "tanh", "init": "standard_normal"}
    yield Recipe("exploding", "tanh 12", chaotic | ADAM, auto)
    one = {"hidden_layer_sizes": deep(6), "activation": "relu"} | SGD
    one |= {"init": weights_with(3, lambda W: 100 * W)}
    yield Recipe("exploding", "one layer of relu", one, auto, layers=(3,), spared=(0, 1, 2, 4, 5))


def saturated():
    """Units at the ends of their range before anything is learned."""
    for name in ("logistic", "tanh", "softsign"):
        for scale in (100.0, 1000.0):
            plain = {"hidden_layer_sizes": deep(3), "activation": name, "learning_rate_init": 0.003}
            title = f"{name}, X times {scale:g}"
            yield Recipe("saturated units", title, plain, layers=(0,), scale=scale)
        large = {"hidden_layer_sizes": deep(3), "activation": name, "init": 5.0} | ADAM
        yield Recipe("saturated units", f"{name} from 5", large, {"init": "auto"}, layers=(0, 1))


def dead():
    """Rectified linear units that are zero for every row."""
    negative = {"hidden_layer_sizes": deep(4), "activation": "relu"} | ADAM
    for layer in (1, 2):
        init = weights_with(layer, lambda W: -abs(W))
        sick, cure = negative | {"init": init}, {"init": "auto"}
        yield Recipe("dead units", f"negative layer {layer + 1}", sick, cure, layers=(layer,))
    for solver, rate in (("adam", 0.3), ("adam", 1.0), ("rmsprop", 0.3), ("nadam", 1.0)):
        large = {"hidden_layer_sizes": deep(3), "activation": "relu", "solver": solver}
        cure = {"learning_rate_init": 0.001}
        yield Recipe("dead units", f"{solver} {rate}", large | {"learning_rate_init": rate}, cure)


def stalled():
    """Layers that do not move."""
    for name in ("relu", "tanh"):
        plain = {"hidden_layer_sizes": deep(3), "activation": name}
        rates = (("adam", 1e-7, 0.001), ("adam", 1e-6, 0.001), ("sgd", 1e-6, 0.02))
        for solver, rate, enough in (*rates, ("adagrad", 1e-6, 0.02)):
            slow = plain | {"solver": solver, "learning_rate_init": rate}
            cure, layers = {"learning_rate_init": enough}, (0, 1, 2)
            yield Recipe("stalled layer", f"{name} {solver} {rate:g}", slow, cure, layers=layers)
        zeros = plain | {"init": "zeros"} | ADAM
        yield Recipe("stalled layer", f"{name} zeros", zeros, {"init": "auto"}, layers=(0, 1))


def diverged():
    """Weights or losses that leave the range of numbers."""
    for name in ("relu", "elu", "identity", "selu", "tanh"):
        for rate in (3.0, 30.0):
            large = {"hidden_layer_sizes": deep(3), "activation": name, "solver": "sgd"}
            cure = {"learning_rate_init": 0.02}
            yield Recipe("diverged", f"{name} {rate}", large | {"learning_rate_init": rate}, cure)


def unstable():
    """Steps that are too large for anything to settle."""
    for name in ("tanh", "logistic", "elu"):
        rates = (("adam", 0.3), ("adam", 1.0), ("nadam", 0.3), ("rmsprop", 0.3), ("sgd", 1.0))
        for solver, rate in rates:
            large = {"hidden_layer_sizes": deep(3), "activation": name, "solver": solver}
            large |= {"learning_rate_init": rate}
            cure = {"learning_rate_init": 0.02 if solver == "sgd" else 0.003}
            yield Recipe("unstable step size", f"{name} {solver} {rate}", large, cure)


def overfitting():
    """Few rows or wrong targets, many units, no end."""
    for name in ("relu", "tanh"):
        for solver, rate in (("adam", 0.003), ("sgd", 0.02)):
            greedy = {"hidden_layer_sizes": deep(2, 100), "activation": name, "alpha": 0.0}
            greedy |= {"solver": solver, "learning_rate_init": rate, "max_iter": 200}
            greedy |= {"n_iter_no_change": 200}
            cure, title = {"early_stopping": True, "n_iter_no_change": 10}, f"{name} {solver}"
            for harm in ({"noise": 0.3}, {"noise": 0.5}):
                full = f"{title}, {harm['noise']:.0%} noise"
                yield Recipe("overfitting", full, greedy, cure, validated=True, **harm)


def healthy():
    """What one would recommend, for shallow and deep networks."""
    for depth in (1, 2, 3, 5, 10):
        for name in ("relu", "tanh", "selu", "elu"):
            plain = {"hidden_layer_sizes": deep(depth), "activation": name}
            for solver, rate in (("adam", 0.001), ("sgd", 0.005), ("adamw", 0.002)):
                steps = {"solver": solver, "learning_rate_init": rate}
                yield Recipe("healthy", f"{name} {depth} {solver}", plain | steps)
            stopped = plain | {"early_stopping": True, "learning_rate_init": 0.003}
            yield Recipe("healthy", f"{name} {depth}, stopped early", stopped, validated=True)
    for name in ("gelu", "swish", "leaky_relu", "softplus", "softsign", "identity"):
        plain = {"hidden_layer_sizes": deep(3), "activation": name, "learning_rate_init": 0.003}
        yield Recipe("healthy", f"{name} 3 adam", plain)
    for depth in (1, 2):
        plain = {"hidden_layer_sizes": deep(depth), "activation": "logistic"}
        yield Recipe("healthy", f"logistic {depth} adam", plain | {"learning_rate_init": 0.01})
        steps = {"solver": "sgd", "learning_rate_init": 0.05}
        yield Recipe("healthy", f"logistic {depth} sgd", plain | steps)
    for name in ("relu", "tanh", "logistic"):
        plain = {"hidden_layer_sizes": deep(1), "activation": name, "solver": "lbfgs"}
        yield Recipe("healthy", f"{name} lbfgs", plain | {"alpha": 1.0, "max_iter": 30})
    for depth in (2, 3, 4):
        plain = {"hidden_layer_sizes": deep(depth, 50), "activation": "logistic"}
        plain |= {"pretrainer": None, "learning_rate_init": 0.003}
        yield Recipe("healthy", f"pre-trained {depth}", plain)


DISEASES = (vanishing, exploding, saturated, dead, stalled, diverged, unstable, overfitting)


def scikit_learns():
    """The data sets inside scikit-learn."""
    for load in (load_digits, load_breast_cancer, load_wine):
        yield Problem.of(load.__name__.removeprefix("load_"), *load(return_X_y=True), False)
    # Noisy: without a penalty the best of networks learns its rows by heart.
    yield Problem.of("diabetes", *load_diabetes(return_X_y=True), True, alpha=1.0)
    yield Problem.of("friedman", *make_friedman1(900, noise=0.5, random_state=0), True)


def train(recipe, problem, **changes):
    """The fitted network of a recipe, with some parameters changed, and its test score."""
    X, y = problem.X_train[: recipe.few] * recipe.scale, problem.y_train[: recipe.few].copy()
    X_test = problem.X_test * recipe.scale
    wrong = np.random.default_rng(0).random(len(y)) < recipe.noise
    y[wrong] = np.random.default_rng(1).permutation(y[wrong])
    parameters = COMMON | problem.parameters | recipe.parameters | changes
    if callable(parameters.get("init")):
        units = [X.shape[1], *parameters["hidden_layer_sizes"], problem.n_outputs]
        parameters["init"] = parameters["init"](units)
    network = (DeepMLPRegressor if problem.is_regression else DBNClassifier)(**parameters)
    validation = {"X_val": X_test, "y_val": problem.y_test} if recipe.validated else {}
    network.fit(X, y, **validation)
    return network, max(network.score(X_test, problem.y_test), -1.0)
