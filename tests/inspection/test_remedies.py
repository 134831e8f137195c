"""A remedy names parameters that the estimator has, with values that it takes."""

import re

import numpy as np
import pytest
from sklearn.base import clone

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor
from sk_dbn.inspection import diagnose
from tests.as_scikit_learn import AS_SCIKIT_LEARN

COMMON = {"pretrainer": None, "batch_size": 50, "max_iter": 5, "random_state": 0}
PLAIN = AS_SCIKIT_LEARN[DBNClassifier]
SICK = [
    {"activation": "logistic", "init": "glorot_uniform"},
    {"activation": "tanh", "init": 0.001},
    {"activation": "relu", "init": "standard_normal"},
    {"activation": "tanh", "init": 5.0},
    {"activation": "tanh", "learning_rate_init": 3.0},
    {"activation": "relu", "learning_rate_init": 1.0, "solver": "sgd"},
    {"activation": "relu", "learning_rate_init": 1e-8},
    {"activation": "relu", "init": "zeros"},
]


def findings(digits):
    """Findings of sick networks of both kinds, each with its estimator."""
    X, y = digits
    for sick in SICK:
        for network in (DBNClassifier((10,) * 8), DeepMLPRegressor((10,) * 8)):
            network.set_params(**(AS_SCIKIT_LEARN[type(network)] | COMMON | sick))
            for finding in (*diagnose(network, X, y), *diagnose(clone(network).fit(X, y))):
                yield network, finding


@pytest.mark.filterwarnings("ignore:Training diverged")
def test_remedies_can_be_applied(digits):
    """Parameters can be set and are valid; words name no parameter that does not exist."""
    X, y = digits
    seen = set()
    for network, finding in findings(digits):
        seen.add(finding.kind)
        cured = clone(network).set_params(**finding.parameters, max_iter=1)
        cured.fit(X, y)
        named = re.findall(r"\b(\w+)=", finding.remedy)
        assert set(named) <= set(network.get_params()), finding.remedy
        for name, value in finding.parameters.items():
            assert f"{name}={value!r}" in finding.remedy
    assert len(seen) >= 6


def test_rates_are_round_and_smaller(digits):
    """One digit, and at most a third of what was too much."""
    X, y = digits
    params = PLAIN | COMMON | {"learning_rate_init": 2.0}
    network = DBNClassifier((10,) * 3, activation="tanh", **params)
    (finding,) = diagnose(network, X, y)
    rate = finding.parameters["learning_rate_init"]
    assert 0 < rate <= 2.0 / 3 and float(f"{rate:.0e}") == rate


def test_rates_of_a_stack_are_one_or_one_for_each_layer(digits):
    """As they were given."""
    X, _ = digits
    for rate, shape in ((50.0, ()), ([50.0, 40.0], (2,))):
        stack = BernoulliRBMStack((10, 5), learning_rate=rate, max_iter=10, random_state=0)
        finding = next(f for f in diagnose(stack.fit(X)) if f.kind == "unstable step size")
        assert np.shape(finding.parameters["learning_rate"]) == shape


def test_shortcuts_do_without_a_stack(digits):
    """What is advised to a pre-trained network can be set."""
    X, y = digits
    start = BernoulliRBMStack(max_iter=1)
    network = DBNClassifier((10,) * 12, pretrainer=start, random_state=0, **PLAIN)
    finding = diagnose(network.set_params(max_iter=2).fit(X, y))[0]
    assert finding.kind == "vanishing"
    assert "shortcut=True, pretrainer=None" in finding.remedy


def test_what_is_already_done_is_not_advised(digits):
    """Shortcuts, a warm-up and a bound that are there; of the bound, a tighter one."""
    X, y = digits
    network = DBNClassifier((10,) * 8, **PLAIN | COMMON)
    network.set_params(activation="logistic", init="glorot_uniform")
    assert "shortcut=True" in diagnose(network, X, y)[0].remedy
    fast = clone(network).set_params(activation="tanh", solver="sgd", learning_rate_init=1e6)
    advised = "".join(finding.remedy for finding in diagnose(fast.fit(X, y)))
    assert "warmup_epochs=5" in advised and "clip_norm=1" in advised
    fast.set_params(shortcut=True, warmup_epochs=1, clip_norm=5.0)
    advised = "".join(finding.remedy for finding in diagnose(fast.fit(X, y)))
    assert "clip_norm=0.5" in advised
    assert "warmup_epochs" not in advised and "shortcut" not in advised
