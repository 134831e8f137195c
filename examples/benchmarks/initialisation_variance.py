"""First weights: their variance, and what becomes of signal and gradient over 100 layers.

The first table sets the variance of each `init` beside the formula of its paper, in a layer that
has fewer outputs than inputs and in one that has more. The second sends standard normal data
through 100 hidden layers of 100 units and the gradient back, before the first update: the standard
deviation of the last layer's activations over that of the first layer's, and the norm of a row's
gradient (with respect to the weighted input) in the first layer over that in the last. A start
that suits an activation has both near 1. All of it is read from row 0 of the gradient trace.

    python examples/benchmarks/initialisation_variance.py
    python examples/benchmarks/initialisation_variance.py --quick
"""

import argparse
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sk_dbn import DeepMLPRegressor

# Variance of a weight, as text and as a function of fan_in and fan_out. Glorot and Bengio (2010),
# equation 12; He et al. (2015), equation 10; LeCun et al. (1998), equation 16.
FORMULAS = {
    "glorot_normal": ("2 / (fan_in + fan_out)", lambda m, n: 2 / (m + n)),
    "glorot_uniform": ("2 / (fan_in + fan_out)", lambda m, n: 2 / (m + n)),
    "he_normal": ("2 / fan_in", lambda m, n: 2 / m),
    "he_uniform": ("2 / fan_in", lambda m, n: 2 / m),
    "lecun_normal": ("1 / fan_in", lambda m, n: 1 / m),
    "lecun_uniform": ("1 / fan_in", lambda m, n: 1 / m),
    "orthogonal": ("1 / max(fan_in, fan_out)", lambda m, n: 1 / max(m, n)),
    "normal": ("0.01^2", lambda m, n: 0.01**2),
    "standard_normal": ("1", lambda m, n: 1.0),
    0.05: ("0.05^2", lambda m, n: 0.05**2),
    "zeros": ("0", lambda m, n: 0.0),
    "sklearn": ("2 / (fan_in + fan_out)", lambda m, n: 2 / (m + n)),
}
STARTS = {
    "logistic": ("glorot_uniform", "standard_normal", "orthogonal"),
    "tanh": ("glorot_uniform", "lecun_normal", "orthogonal", "normal", "standard_normal"),
    "softsign": ("glorot_uniform",),
    "relu": ("he_normal", "he_uniform", "glorot_uniform", "lecun_normal", "orthogonal"),
    "leaky_relu": ("he_normal",),
    "elu": ("he_normal", "lecun_normal"),
    "selu": ("lecun_normal", "lecun_uniform", "orthogonal", "he_normal"),
    "gelu": ("he_normal",),
    "swish": ("he_normal",),
    "softplus": ("he_normal",),
    "identity": ("orthogonal", "lecun_normal"),
}


def start(units, n_rows, seed=0, **settings):
    """Row 0 of the trace of a network of these units, field by field."""
    random = np.random.RandomState(seed)
    X, y = random.normal(size=(n_rows, units[0])), random.normal(size=n_rows)
    # Minibatches of one row: the norms are means over rows, not those of the mean gradient.
    network = DeepMLPRegressor(
        units[1:], solver="sgd", batch_size=1, dtype="float64", random_state=seed, **settings
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # where the gradient explodes
        return network.partial_fit(X, y).gradient_trace_


def variances(units):
    """Print the variance of the weights of the two hidden layers beside the formulas."""
    print(f"variance of the first weights times fan_in, layers of {units[0]} x {units[1]} and")
    print(f"{units[1]} x {units[2]} weights; ratio to what the formula says")
    print(f"  {'init':<16}{'formula':<26}" + f"{'variance':>9}{'ratio':>7}" * 2)
    for init, (text, formula) in FORMULAS.items():
        norms = start(units, n_rows=32, init=init).weight_norm[0]
        cells = ""
        for norm, m, n in zip(norms, units, units[1:]):
            variance, expected = norm**2 / (m * n), formula(m, n)  # the mean is zero
            ratio = f"{variance / expected:>7.2f}" if expected else f"{'-':>7}"
            cells += f"{m * variance:>9.4f}{ratio}"
        print(f"  {init!s:<16}{text:<26}{cells}")


def ratios(n_layers, n_seeds):
    """Print how signal and gradient change over the layers, geometric means over networks."""
    print(f"\n{n_layers} hidden layers of 100 units, before training; networks: {n_seeds}")
    print("std of the activations, last layer over first; norm of the gradient, first over last")
    print(f"  {'activation':<12}{'init':<18}{'activation':>12}{'gradient':>12}")
    units = [100] * (n_layers + 1)
    for activation, inits in STARTS.items():
        for init in inits:
            logs = []
            for seed in range(n_seeds):
                trace = start(units, 32, seed, activation=activation, init=init)
                std, norm = trace.activation_std[0, :-1], trace.bias_grad_norm[0, :-1]
                logs.append(np.log([std[-1] / std[0], norm[0] / norm[-1]]))
            forward, backward = np.exp(np.mean(logs, axis=0))
            print(f"  {activation:<12}{init:<18}{forward:>12.1e}{backward:>12.1e}", flush=True)


def main(units, n_layers, n_seeds):
    """Print both tables."""
    variances(units)
    ratios(n_layers, n_seeds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one network each, in seconds")
    quick = parser.parse_args().quick
    main((400, 200, 300), 100, 1 if quick else 10)
