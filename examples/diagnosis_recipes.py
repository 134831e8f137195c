"""Networks and stacks for the study of the diagnosis: healthy ones, and ones with a known problem.

`diagnosis_study.py` trains them.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from sk_dbn import BernoulliRBMStack

WIDTH, EPOCHS = 30, 60
ADAM, SGD = {"learning_rate_init": 0.001}, {"solver": "sgd", "learning_rate_init": 0.02}
AUTO = {"init": "auto"}
KINDS = (
    "scale of X",
    "scale of y",
    "equal units",
    "vanishing",
    "exploding",
    "saturated units",
    "dead units",
    "stalled layer",
    "diverged",
    "unstable step size",
    "overfitting",
    "too much dropout",
    "too strong a penalty",
    "no better than a constant",
)


@dataclass
class Recipe:
    """How to make a network or a stack, and what to find in it.

    Parameters
    ----------
    kind : str
        The problem, or 'healthy'.
    name : str
    parameters : dict
        Of the estimator.
    cure : dict, default={}
        Parameters of the cured twin that differ.
    layers, spared : tuple of int, default=()
        Layers that the finding must name, and must not name; from the end if negative.
    inputs, targets : callable, default=None
        Changes of X and of y, both standardised, in training and in test.
    is_scaled : bool, default=False
        Whether they are standardised again, as for the cured twin.
    noise : float, default=0.0
        Share of the training samples whose targets are wrong.
    validated : bool, default=False
        Whether a network gets validation samples.
    """

    kind: str
    name: str
    parameters: dict
    cure: dict = field(default_factory=dict)
    layers: tuple = ()
    spared: tuple = ()
    inputs: object = None
    targets: object = None
    is_scaled: bool = False
    noise: float = 0.0
    validated: bool = False


def deep(depth, width=WIDTH):
    """Return the sizes of so many hidden layers."""
    return (width,) * depth


def weights_with(layer, change):
    """Return an `init` that draws He's weights for relu units and changes those of one layer."""

    def init(units):
        random = np.random.default_rng(0)
        W = [random.normal(0, np.sqrt(2 / n), (n, m)) for n, m in pairwise(units)]
        W[layer] = change(W[layer])
        return W

    return init


def constant(value):
    """Return an `init` of equal weights."""
    return lambda units: [np.full(shape, value) for shape in pairwise(units)]


def one_column(change):
    """Return a function that changes only the feature with the largest deviation."""

    def inputs(X):
        changed = X.copy()
        column = X.std(axis=0).argmax()
        changed[:, column] = change(X[:, column])
        return changed

    return inputs


OFF_SCALE_X = {
    "times 1000": lambda X: 1000 * X,
    "times 30": lambda X: 30 * X,
    "times 0.001": lambda X: 0.001 * X,
    "plus 30": lambda X: X + 30,
    "one times 3000": one_column(lambda x: 3000 * x),
    "constant": lambda X: np.full_like(X, 3.0),
}
OFF_SCALE_Y = {
    "times 0.01": lambda y: 0.01 * y,
    "times 1e4": lambda y: 1e4 * y,
    "times 1e7": lambda y: 1e7 * y,
    "plus 30": lambda y: y + 30,
    "zeros, else 1e4": lambda y: np.where(y < 0.5, 0.0, 1e4 * np.exp(y)),
}


def inputs_off_scale():
    """Yield networks with unscaled X, in all features or in one."""
    for activation, steps in (("relu", ADAM), ("tanh", ADAM), ("relu", SGD)):
        solver = steps.get("solver", "adam")
        plain = {"hidden_layer_sizes": deep(3), "activation": activation} | steps
        for name, inputs in OFF_SCALE_X.items():
            title = f"{activation} {solver}, X {name}"
            yield Recipe("scale of X", title, plain, inputs=inputs)


def targets_off_scale():
    """Yield regressors with unscaled y."""
    for activation, steps in (("relu", ADAM), ("tanh", ADAM), ("relu", SGD)):
        solver = steps.get("solver", "adam")
        plain = {"hidden_layer_sizes": deep(3), "activation": activation} | steps
        for name, targets in OFF_SCALE_Y.items():
            title = f"{activation} {solver}, y {name}"
            yield Recipe("scale of y", title, plain, targets=targets)


def flat():
    """Yield networks that predict a constant, for other reasons than their gradients."""
    for name in ("relu", "tanh"):
        plain = {"hidden_layer_sizes": deep(2), "activation": name} | ADAM
        slow = plain | {"learning_rate_init": 3e-6, "max_iter": 20}
        cure = {"learning_rate_init": 0.001}
        yield Recipe("no better than a constant", f"{name} slow", slow, cure)
        same = {"targets": lambda y: np.full_like(y, 3.0)}
        yield Recipe("no better than a constant", f"{name}, constant y", plain, **same)


def dropped():
    """Yield networks that learn little because of dropout, the less the deeper they are."""
    shares = {"relu": ((2, 0.97), (5, 0.5), (10, 0.3)), "selu": ((3, 0.9), (5, 0.7), (10, 0.3))}
    shares |= {"tanh": ((2, 0.97), (5, 0.7), (10, 0.5)), "logistic": ((3, 0.9), (5, 0.5))}
    shares["logistic"] += ((10, 0.2), (10, 0.3))
    for name, pairs in shares.items():
        for depth, share in pairs:
            plain = {"hidden_layer_sizes": deep(depth), "activation": name, "dropout": share}
            plain["learning_rate_init"] = 0.003
            title, cure = f"{name} {depth} dropout {share}", {"dropout": 0.0}
            yield Recipe("too much dropout", title, plain, cure)


def penalised():
    """Yield networks whose weights a penalty keeps small."""
    for name in ("relu", "tanh", "logistic"):
        for solver, rate in (("adam", 0.003), ("sgd", 0.02)):
            plain = {"hidden_layer_sizes": deep(2), "activation": name, "solver": solver}
            plain["learning_rate_init"] = rate
            for alpha in (30.0, 100.0, 1000.0):
                title, cure = f"{name} {solver} alpha {alpha:g}", {"alpha": 1e-4}
                yield Recipe("too strong a penalty", title, plain | {"alpha": alpha}, cure)


def vanishing():
    """Yield networks whose gradients shrink from layer to layer on the way back."""
    where = {"layers": (0,), "spared": (-1,)}
    for depth in (6, 8, 10):
        for solver, steps in (("adam", ADAM), ("sgd", SGD)):
            common = {"hidden_layer_sizes": deep(depth)} | steps
            logistic = common | {"activation": "logistic", "init": "glorot_uniform"}
            yield Recipe(
                "vanishing",
                f"logistic {depth} {solver}",
                logistic,
                AUTO | {"activation": "selu"},
                **where,
            )
            for name, std in (("tanh", 0.01), ("relu", 0.01), ("softsign", 0.05)):
                parameters = common | {"activation": name, "init": std}
                title, cure = f"{name} from {std} {depth} {solver}", AUTO
                yield Recipe("vanishing", title, parameters, cure, **where)


def equal():
    """Yield networks whose units start equal."""
    for name, init in (("tanh", 0.1), ("relu", 0.1), ("logistic", 0.1), ("logistic", 0.0)):
        for solver, steps in (("adam", ADAM), ("sgd", SGD)):
            same = {"hidden_layer_sizes": deep(2), "activation": name, "init": constant(init)}
            title = f"{name} {solver}, weights of {init}"
            yield Recipe("equal units", title, same | steps, AUTO, layers=(0, 1))


def exploding():
    """Yield networks whose activations or gradients grow from layer to layer."""
    for depth in (6, 10):
        for solver, steps in (("adam", ADAM), ("sgd", SGD)):
            for name in ("relu", "leaky_relu", "elu", "swish", "selu"):
                large = {"activation": name, "init": "standard_normal"} | steps
                large |= {"hidden_layer_sizes": deep(depth)}
                yield Recipe("exploding", f"{name} {depth} {solver}", large, AUTO, layers=(1,))
    chaotic = {"hidden_layer_sizes": deep(12), "activation": "tanh", "init": "standard_normal"}
    yield Recipe("exploding", "tanh 12", chaotic | ADAM, AUTO)
    one = {"hidden_layer_sizes": deep(6), "activation": "relu"} | SGD
    one |= {"init": weights_with(3, lambda W: 100 * W)}
    yield Recipe("exploding", "one layer of relu", one, AUTO, layers=(3,), spared=(0, 1, 2, 4, 5))


def saturated():
    """Yield networks whose units are saturated before training."""
    for name in ("logistic", "tanh"):
        plain = {"hidden_layer_sizes": deep(3), "activation": name}
        for std in (5.0, 20.0):
            large, title = plain | {"init": std} | ADAM, f"{name} from {std:g}"
            yield Recipe("saturated units", title, large, AUTO, layers=(1, 2))


def dead():
    """Yield networks with rectified linear units that are zero for every sample."""
    negative = {"hidden_layer_sizes": deep(4), "activation": "relu"} | ADAM
    for layer in (1, 2):
        init = weights_with(layer, lambda W: -abs(W))
        sick, cure = negative | {"init": init}, AUTO
        yield Recipe("dead units", f"negative layer {layer + 1}", sick, cure, layers=(layer,))
    for solver, rate in (("adam", 0.3), ("adam", 1.0), ("rmsprop", 0.3), ("nadam", 1.0)):
        large = {"hidden_layer_sizes": deep(3), "activation": "relu", "solver": solver}
        cure = {"learning_rate_init": 0.001}
        yield Recipe("dead units", f"{solver} {rate}", large | {"learning_rate_init": rate}, cure)


def stalled():
    """Yield networks with layers that do not change."""
    for name in ("relu", "tanh"):
        plain = {"hidden_layer_sizes": deep(3), "activation": name}
        rates = (("adam", 1e-7, 0.001), ("adam", 1e-6, 0.001), ("sgd", 1e-6, 0.02))
        for solver, rate, enough in (*rates, ("adagrad", 1e-6, 0.02)):
            slow = plain | {"solver": solver, "learning_rate_init": rate}
            cure, layers = {"learning_rate_init": enough}, (0, 1, 2)
            yield Recipe("stalled layer", f"{name} {solver} {rate:g}", slow, cure, layers=layers)
        zeros = plain | {"init": "zeros"} | ADAM
        yield Recipe("stalled layer", f"{name} zeros", zeros, AUTO, layers=(0, 1))


def diverged():
    """Yield networks whose weights or losses do not stay finite."""
    for name in ("relu", "elu", "identity", "selu"):
        for rate in (3.0, 30.0):
            large = {"hidden_layer_sizes": deep(3), "activation": name, "solver": "sgd"}
            cure = {"learning_rate_init": 0.02}
            yield Recipe("diverged", f"{name} {rate}", large | {"learning_rate_init": rate}, cure)


def unstable():
    """Yield networks whose steps are too large to converge."""
    for name in ("tanh", "logistic", "elu"):
        rates = (("adam", 0.3), ("adam", 1.0), ("nadam", 0.3), ("rmsprop", 0.3), ("sgd", 1.0))
        for solver, rate in rates:
            large = {"hidden_layer_sizes": deep(3), "activation": name, "solver": solver}
            large |= {"learning_rate_init": rate}
            cure = {"learning_rate_init": 0.02 if solver == "sgd" else 0.003}
            yield Recipe("unstable step size", f"{name} {solver} {rate}", large, cure)
        cycled = {"hidden_layer_sizes": deep(3), "activation": name}
        cycled |= {"learning_rate": "one_cycle", "learning_rate_init": 1.0}
        cure = {"learning_rate_init": 0.01}
        yield Recipe("unstable step size", f"{name} one_cycle 1.0", cycled, cure)


def overfitting():
    """Yield networks with noisy targets, many units and many epochs."""
    for name in ("relu", "tanh"):
        for solver, rate in (("adam", 0.003), ("sgd", 0.02)):
            greedy = {"hidden_layer_sizes": deep(2, 100), "activation": name, "alpha": 0.0}
            greedy |= {"solver": solver, "learning_rate_init": rate, "max_iter": 200}
            greedy |= {"n_iter_no_change": 200}
            cure, title = {"early_stopping": True, "n_iter_no_change": 10}, f"{name} {solver}"
            for harm in ({"noise": 0.3}, {"noise": 0.5}):
                full = f"{title}, {harm['noise']:.0%} noise"
                yield Recipe("overfitting", full, greedy, cure, validated=True, **harm)


def well(name, parameters):
    """Return a recipe for a healthy network."""
    return Recipe("healthy", name, parameters, validated=True)


def healthy():
    """Yield recommended settings for shallow and deep networks."""
    for depth in (1, 2, 3, 5, 10):
        for name in ("relu", "tanh", "selu", "elu"):
            plain = {"hidden_layer_sizes": deep(depth), "activation": name}
            for solver, rate in (("adam", 0.001), ("sgd", 0.005), ("adamw", 0.002)):
                steps = {"solver": solver, "learning_rate_init": rate}
                yield well(f"{name} {depth} {solver}", plain | steps)
            stopped = plain | {"early_stopping": True, "learning_rate_init": 0.003}
            yield well(f"{name} {depth}, stopped early", stopped)
    for name in ("relu", "tanh", "logistic"):
        for schedule in ("one_cycle", "cosine"):
            plain = {"hidden_layer_sizes": deep(2), "activation": name}
            plain |= {"learning_rate": schedule, "learning_rate_init": 0.01}
            yield well(f"{name} 2 {schedule}", plain)
    for name in ("relu", "tanh"):
        plain = {"hidden_layer_sizes": deep(2), "activation": name, "learning_rate_init": 0.003}
        for title, targets in OFF_SCALE_Y.items():
            scaled = {"targets": targets, "is_scaled": True}
            yield Recipe("healthy", f"{name}, y {title}, scaled", plain, **scaled)
    for name in ("relu", "tanh", "selu", "logistic"):
        for depth, share in ((1, 0.2), (1, 0.5), (2, 0.2), (2, 0.5), (3, 0.1), (5, 0.1)):
            plain = {"hidden_layer_sizes": deep(depth), "activation": name, "dropout": share}
            title = f"{name} {depth} dropout {share}"
            yield well(title, plain | {"learning_rate_init": 0.003})
        for alpha in (1.0, 3.0):
            plain = {"hidden_layer_sizes": deep(2), "activation": name, "alpha": alpha}
            yield well(f"{name} 2 alpha {alpha:g}", plain | {"learning_rate_init": 0.003})
    for name in ("gelu", "swish", "leaky_relu", "softplus", "softsign", "identity"):
        plain = {"hidden_layer_sizes": deep(3), "activation": name, "learning_rate_init": 0.003}
        yield well(f"{name} 3 adam", plain)
    for depth in (1, 2):
        plain = {"hidden_layer_sizes": deep(depth), "activation": "logistic"}
        yield well(f"logistic {depth} adam", plain | {"learning_rate_init": 0.01})
        steps = {"solver": "sgd", "learning_rate_init": 0.05}
        yield well(f"logistic {depth} sgd", plain | steps)
        small = plain | {"activation": "tanh", "init": "normal", "learning_rate_init": 0.01}
        yield well(f"tanh {depth} from small weights", small)
    for name in ("relu", "tanh", "logistic"):
        plain = {"hidden_layer_sizes": deep(1), "activation": name, "solver": "lbfgs"}
        yield well(f"{name} lbfgs", plain | {"alpha": 1.0, "max_iter": 30})
    for depth in (10, 30):
        for name in ("relu", "tanh", "logistic"):
            plain = {"hidden_layer_sizes": deep(depth), "activation": name, "shortcut": True}
            for solver, rate in (("adam", 0.003), ("sgd", 0.02)):
                steps = {"solver": solver, "learning_rate_init": rate}
                yield well(f"{name} {depth} {solver}, shortcuts", plain | steps)
    for name in ("relu", "selu"):
        plain = {"hidden_layer_sizes": deep(20), "activation": name, "clip_norm": 0.1}
        plain |= {"solver": "sgd", "learning_rate_init": 0.1, "learning_rate": "one_cycle"}
        yield well(f"{name} 20 sgd, clipped", plain)
    for depth in (2, 3, 4):
        plain = {"hidden_layer_sizes": deep(depth, 50), "activation": "logistic"}
        plain |= {"pretrainer": BernoulliRBMStack(), "learning_rate_init": 0.003}
        yield well(f"pre-trained {depth}", plain)


def stacks():
    """Stacks that learn, and stacks that do not."""
    usual = {"hidden_layer_sizes": (40, 20), "max_iter": 15}
    for name in ("logistic", "tanh"):
        for visible in ("bernoulli", "gaussian"):
            plain = usual | {"activation": name, "visible": visible}
            title, cure = f"{name}, {visible}", {"learning_rate": 0.1}
            for rate in (0.03, 0.1):
                yield Recipe("healthy", f"{title} {rate:g}", plain | {"learning_rate": rate})
            for rate in (1e-7, 1e-6):
                slow = plain | {"learning_rate": rate}
                yield Recipe("stalled layer", f"{title} {rate:g}", slow, cure, layers=(0, 1))
            for rate in (3.0, 10.0):
                fast, kind = plain | {"learning_rate": rate}, "unstable step size"
                yield Recipe(kind, f"{title} {rate:g}", fast, cure)
            for std in (5.0, 20.0):
                large = plain | {"init": std}
                yield Recipe("saturated units", f"{title} from {std:g}", large, AUTO)
            same = plain | {"init": "zeros"}
            yield Recipe("equal units", f"{title} from zeros", same, AUTO, layers=(0, 1))
        for scale in (0.001, 0.0001):
            small = usual | {"activation": name, "visible": "bernoulli"}
            inputs, title = (lambda X, scale=scale: scale * X), f"{name}, X times {scale:g}"
            yield Recipe("scale of X", title, small, inputs=inputs)


DISEASES = (
    inputs_off_scale,
    targets_off_scale,
    vanishing,
    exploding,
    saturated,
    dead,
    stalled,
    diverged,
    unstable,
    overfitting,
    dropped,
    penalised,
    flat,
    equal,
)
GROUPS = (*DISEASES, stacks, healthy)


def recipes_for(problem, kinds=(*KINDS, "healthy")):
    """Return the recipes for a problem, of some kinds."""
    groups = GROUPS if problem.has_targets else (stacks,)
    recipes = [recipe for group in groups for recipe in group() if recipe.kind in kinds]
    return [r for r in recipes if problem.is_regression or r.targets is None]
