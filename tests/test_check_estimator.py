"""scikit-learn's own checks of what an estimator is, for all of them and their settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import check_estimator

from sk_dbn import (
    BernoulliRBMStack,
    DBNAutoencoder,
    DBNClassifier,
    DeepMLPRegressor,
    RBMImputer,
)
from tests.as_scikit_learn import AS_SCIKIT_LEARN

ROOT = Path(__file__).resolve().parents[1]

# A small network that passes the checks' demands on accuracy within its epochs.
SMALL = {"hidden_layer_sizes": (10,), "max_iter": 100, "learning_rate_init": 0.02}
PLAIN = {**SMALL, "pretrainer": None}
PRETRAINED = {**AS_SCIKIT_LEARN[DBNClassifier], **SMALL, "pretrainer": BernoulliRBMStack()}
SGD = {"hidden_layer_sizes": (10,), "solver": "sgd"}

SETTINGS = [
    DeepMLPRegressor(),
    DBNClassifier(),
    BernoulliRBMStack(),
    DBNAutoencoder(),
    DBNAutoencoder((8, 3), activation="relu", pretrainer=None, shortcut=True, max_iter=3),
    DBNAutoencoder((3,), code_activation="tanh", loss="squared_error", dropout=0.1, max_iter=3),
    DBNAutoencoder((3,), pretrainer=None, solver="lbfgs", dtype="float64", max_iter=5),
    BernoulliRBMStack((5,), visible="gaussian", max_iter=2),
    BernoulliRBMStack((5,), activation="tanh", algorithm="pcd", max_iter=2, dtype="float64"),
    BernoulliRBMStack((5,), visible="gaussian", algorithm="fpcd", max_norm=2.0, max_iter=2),
    BernoulliRBMStack((5,), visible="gaussian", activation="relu", dropout=0.2, max_iter=2),
    BernoulliRBMStack((5,), algorithm="pt", sparsity_target=0.1, n_chains=5, max_iter=2),
    BernoulliRBMStack((5,), visible="gaussian", learn_variance=False, max_iter=2),
    RBMImputer(),
    RBMImputer(BernoulliRBMStack((5,), max_iter=2), n_steps=20, add_indicator=True),
    DBNClassifier(**SMALL, pretrainer=BernoulliRBMStack()),
    DBNClassifier(**{**PRETRAINED, "activation": "tanh"}),
    DBNClassifier(**{**PRETRAINED, "activation": "relu"}),
    DBNClassifier(**PLAIN, dtype="float64"),
    DBNClassifier(**{**PLAIN, "hidden_layer_sizes": ()}, trace=None),
    DeepMLPRegressor(**SMALL, dtype="float64"),
    *[DBNClassifier(**PLAIN, activation=name) for name in ("relu", "selu")],
    *[DeepMLPRegressor(**SMALL, activation=name) for name in ("tanh", "selu")],
    *[
        DeepMLPRegressor(**SMALL, solver=solver)
        for solver in ("adamw", "nadam", "rmsprop", "lbfgs")
    ],
    *[DBNClassifier(**PLAIN, solver=solver) for solver in ("adamw", "nadam", "rmsprop", "lbfgs")],
    DeepMLPRegressor(**SGD, learning_rate="adaptive", early_stopping=False),
    DBNClassifier(**{**AS_SCIKIT_LEARN[DBNClassifier], **SGD, "learning_rate_init": 0.1}),
    DeepMLPRegressor(**SGD),
    DBNClassifier(**SGD),
    *[DeepMLPRegressor(**SMALL, loss=loss) for loss in ("absolute_error", "huber")],
    *[DeepMLPRegressor(**SMALL, activation="tanh", loss=loss) for loss in ("poisson", "gamma")],
    DeepMLPRegressor(**SMALL, loss="quantile", quantile=0.5),
    DeepMLPRegressor(**SMALL, l1_ratio=0.5, max_norm=3.0, clip_norm=5.0, clip_value=1.0),
    DBNClassifier(**PLAIN, l1_ratio=0.5, max_norm=3.0, clip_norm=5.0, clip_value=1.0),
    DBNClassifier(**PLAIN, label_smoothing=0.1),
    DeepMLPRegressor((30,), max_iter=300, learning_rate_init=0.02, dropout=0.1),
    DBNClassifier(**PLAIN, dropout=(0.05, 0.1)),
    DeepMLPRegressor(**{**SMALL, "hidden_layer_sizes": (10,) * 5}, shortcut=True),
    DBNClassifier(**{**PLAIN, "hidden_layer_sizes": (10, 12, 8)}, shortcut=True),
    DeepMLPRegressor(**SMALL, learning_rate="one_cycle", warmup_epochs=2),
    DBNClassifier(**PLAIN, learning_rate="cosine", warmup_epochs=0.5),
    DeepMLPRegressor((10,), solver="adagrad", learning_rate_init=0.1),
    DBNClassifier((10,), solver="adagrad", learning_rate_init=0.1, pretrainer=None),
]

# MLPClassifier has no decision_function either; array API input needs a process of its own.
NOT_APPLICABLE = {
    "check_classifiers_multilabel_output_format_decision_function",
    "check_array_api_input",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", SETTINGS, ids=repr)
def test_every_check_passes(estimator):
    """Nothing fails, nothing is expected to fail, nothing is skipped that could run."""
    # No setting depends on n_jobs, and the checks' tiny minibatches gain nothing from threads.
    estimator = clone(estimator)
    if "n_jobs" in estimator.get_params():
        estimator.set_params(n_jobs=1)
    results = check_estimator(estimator, on_skip=None, on_fail="raise")
    assert {r["status"] for r in results} <= {"passed", "skipped"}
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert skipped <= NOT_APPLICABLE


ARRAY_API = """
import warnings
from sklearn.utils.estimator_checks import check_estimator
from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor, RBMImputer
warnings.simplefilter("ignore")
kinds = DeepMLPRegressor, DBNClassifier, DBNAutoencoder, BernoulliRBMStack
imputer = RBMImputer(BernoulliRBMStack((4,), max_iter=2), n_steps=0)
for estimator in (*(kind((4,)) for kind in kinds), imputer):
    results = check_estimator(estimator, on_skip=None, on_fail=None) or []
    for result in results:
        if "array_api" in result["check_name"]:
            assert result["status"] == "passed", result
            print(result["check_name"])
"""


def test_array_api_checks_run():
    """SCIPY_ARRAY_API is read when scipy is imported, so they need a process of their own."""
    env = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", ARRAY_API], env=env, capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr[-3000:]


def test_convergence_warnings_are_scikit_learns():
    """The category that searches and checks know how to silence."""
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        params = AS_SCIKIT_LEARN[DeepMLPRegressor]
        DeepMLPRegressor((3,), max_iter=1, **params).fit([[0.0], [1.0]], [0.0, 1.0])
