"""Initial weights: their variance, and the signal and gradient over 100 layers.

The first table compares the variance of each `init` with the formula of its paper, in a layer with
fewer outputs than inputs and in one with more. For the other two tables, standard normal data pass
through 100 hidden layers of 100 units, and the gradient passes back, before the first update. The
tables show two ratios: the standard deviation of the last layer's activations over that of the
first layer's, and the norm of a sample's gradient (with respect to the weighted input) in the first
layer over that in the last. If an init suits an activation, both are near 1 = 10^0. All numbers
come from row 0 of the gradient trace.

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
ACTIVATIONS = (
    "logistic",
    "tanh",
    "softsign",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "swish",
    "softplus",
    "identity",
)
INITS = {
    "glorot_normal": "glorot_n",
    "glorot_uniform": "glorot_u",
    "he_normal": "he_n",
    "he_uniform": "he_u",
    "lecun_normal": "lecun_n",
    "lecun_uniform": "lecun_u",
    "orthogonal": "orthog",
    "sklearn": "sklearn",
    "normal": "normal",
    "standard_normal": "N(0, 1)",
}


def start(units, n_rows, seed=0, **settings):
    """Return the trace of a network with these units; its row 0 is before the first update."""
    random = np.random.RandomState(seed)
    X, y = random.normal(size=(n_rows, units[0])), random.normal(size=n_rows)
    # Minibatches of one sample: norms are means over samples, not those of the mean gradient.
    network = DeepMLPRegressor(
        units[1:],
        solver="sgd",
        learning_rate_init=0.001,
        batch_size=1,
        dropout=0.0,
        dtype="float64",
        random_state=seed,
        **settings,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # if the gradient explodes
        return network.partial_fit(X, y).gradient_trace_


def variances(units):
    """Print the variance of the weights of the two hidden layers, and the formulas."""
    print(f"variance of the initial weights times fan_in, layers of {units[0]} x {units[1]} and")
    print(f"{units[1]} x {units[2]} weights; ratio to the formula")
    print(f"  {'init':<16}{'formula':<26}" + f"{'variance':>9}{'ratio':>7}" * 2)
    for init, (text, formula) in FORMULAS.items():
        norms = start(units, n_rows=32, init=init, activation="relu").weight_norm[0]
        cells = ""
        for norm, m, n in zip(norms, units, units[1:]):
            variance, expected = norm**2 / (m * n), formula(m, n)  # the mean is zero
            ratio = f"{variance / expected:>7.2f}" if expected else f"{'-':>7}"
            cells += f"{m * variance:>9.4f}{ratio}"
        print(f"  {init!s:<16}{text:<26}{cells}")


def exponents(activation, init, n_layers, n_seeds):
    """Return the ratios of signal and gradient as powers of ten, means over networks."""
    logs = []
    for seed in range(n_seeds):
        # The derivative of this loss is bounded, so large outputs do not enlarge the gradient.
        settings = {"activation": activation, "init": init, "loss": "huber"}
        trace = start([100] * (n_layers + 1), 8, seed, **settings)
        std, norm = trace.activation_std[0, :-1], trace.bias_grad_norm[0, :-1]
        logs.append(np.log10([std[-1] / std[0], norm[0] / norm[-1]]))
    return np.mean(logs, axis=0)


def ratios(n_layers, n_seeds):
    """Print two tables: the signal on the way forward, the gradient on the way back."""
    cells = {
        (activation, init): exponents(activation, init, n_layers, n_seeds)
        for activation in ACTIVATIONS
        for init in INITS
    }
    print(f"\n{n_layers} hidden layers of 100 units, before training; networks: {n_seeds}")
    print("powers of ten; normal is N(0, 0.01^2), _n and _u are normal and uniform")
    titles = (
        "std of the activations, last layer over first",
        "norm of the gradient, first layer over last",
    )
    for direction, title in enumerate(titles):
        print(f"  {title}")
        print(f"  {'':<11}" + "".join(f"{name:>9}" for name in INITS.values()))
        for activation in ACTIVATIONS:
            row = (cells[activation, init][direction] for init in INITS)
            print(f"  {activation:<11}" + "".join(f"{exponent:>9.1f}" for exponent in row))


def main(units, n_layers, n_seeds):
    """Print the tables."""
    variances(units)
    ratios(n_layers, n_seeds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one network each, in seconds")
    quick = parser.parse_args().quick
    main((400, 200, 300), 100, 1 if quick else 10)
