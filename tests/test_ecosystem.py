"""Tools of scikit-learn and of other packages take the estimators as they take any other one.

Where a tool fits an estimator, what it holds is to the bit what a fit by hand gives.
"""

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import StackingClassifier
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.feature_selection import SelectFromModel
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import HalvingGridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {"max_iter": 3, "random_state": 0}
X, Y = (values[:200] for values in load_digits(return_X_y=True))
X = X / 16
TABLE, TARGET = load_diabetes(return_X_y=True)
TABLE = StandardScaler().fit_transform(TABLE)


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("kind", [BernoulliRBMStack, DBNAutoencoder, DBNClassifier])
def test_frames_in_and_out(kind, library):
    """The container carries names and changes no number."""
    frames = pytest.importorskip(library)
    X_frame = frames.DataFrame({f"pixel {i}": column for i, column in enumerate(X.T)})
    estimator = kind((6, 3), **SMALL).set_output(transform=library).fit(X_frame, Y)
    H = estimator.transform(X_frame)
    assert isinstance(H, frames.DataFrame)
    assert list(H.columns) == [f"{kind.__name__.lower()}{i}" for i in range(3)]
    assert list(estimator.feature_names_in_) == list(X_frame.columns)
    expected = kind((6, 3), **SMALL).fit(X, Y).transform(X)
    np.testing.assert_array_equal(H.to_numpy(), expected)


def test_halving_over_epochs():
    """Fewer candidates are trained for more epochs; the last one is that of a fit by hand."""
    settings = {"resource": "max_iter", "min_resources": 2, "max_resources": 8, "factor": 2}
    grid = {"hidden_layer_sizes": [(8,), (8, 8)], "init": ["he_normal", "zeros"]}
    network = DBNClassifier(random_state=0)
    search = HalvingGridSearchCV(network, grid, cv=2, random_state=0, **settings).fit(X, Y)
    assert search.n_resources_ == [2, 4, 8] and search.n_candidates_ == [4, 2, 1]
    assert search.best_params_["max_iter"] == 8
    by_hand = DBNClassifier(random_state=0, **search.best_params_).fit(X, Y)
    np.testing.assert_array_equal(search.predict_proba(X), by_hand.predict_proba(X))


def test_stacking():
    """The final estimator's input is the probabilities of the networks."""
    networks = [DBNClassifier(sizes, **SMALL) for sizes in ((8,), (6, 4))]
    named = [("shallow", networks[0]), ("deep", networks[1])]
    stacking = StackingClassifier(named, cv=2).fit(X, Y)
    p = np.hstack([network.fit(X, Y).predict_proba(X) for network in networks])
    np.testing.assert_array_equal(stacking.transform(X), p)


def test_transformed_target():
    """Predictions come back in the units of y; those by hand differ by rounding."""
    network = DeepMLPRegressor((8,), **SMALL)
    scaled = TransformedTargetRegressor(network, transformer=StandardScaler()).fit(TABLE, TARGET)
    z = (TARGET - TARGET.mean()) / TARGET.std()
    by_hand = network.fit(TABLE, z).predict(TABLE) * TARGET.std() + TARGET.mean()
    np.testing.assert_allclose(scaled.predict(TABLE), by_hand, rtol=1e-4)


def test_a_pipeline_with_memory(tmp_path):
    """A stack that is read from the cache is the one that was fitted."""
    steps = [("stack", BernoulliRBMStack((8,), **SMALL)), ("linear", LogisticRegression())]
    expected = Pipeline(steps).fit(X, Y).predict_proba(X)
    cached = Pipeline(steps, memory=str(tmp_path))
    for _ in ("write", "read"):
        np.testing.assert_array_equal(cached.fit(X, Y).predict_proba(X), expected)


def test_permutation_importance():
    """A pixel that never varies has none, and parallel jobs give the same numbers."""
    network = DBNClassifier((20,), max_iter=20, random_state=0).fit(X[:, :30], Y)
    alone, parallel = (
        permutation_importance(network, X[:, :30], Y, n_repeats=2, random_state=0, n_jobs=n)
        for n in (1, 2)
    )
    np.testing.assert_array_equal(alone.importances, parallel.importances)
    assert not alone.importances[X[:, :30].std(axis=0) == 0].any()
    assert alone.importances_mean.max() > 0


def test_selection_by_permutation_importance():
    """Of samples that were not trained on, it finds the two of twelve features that matter."""
    random = np.random.default_rng(0)
    Z = random.normal(size=(400, 12))
    z = Z[:, 3] - Z[:, 7] + 0.1 * random.normal(size=400)

    def importances(network):
        return permutation_importance(network, Z[300:], z[300:], random_state=0).importances_mean

    settings = {"importance_getter": importances, "threshold": -np.inf, "max_features": 2}
    network = DeepMLPRegressor((20,), max_iter=30, random_state=0)
    selector = SelectFromModel(network, **settings).fit(Z[:300], z[:300])
    np.testing.assert_array_equal(selector.get_support(indices=True), [3, 7])


@pytest.mark.parametrize("kind", [DBNAutoencoder, DBNClassifier, DeepMLPRegressor])
def test_selection_by_the_stack_of_a_network(kind):
    """The importances are those of the stack that pre-trained the network."""
    settings = {"threshold": -np.inf, "max_features": 10}
    network = kind((8,), activation="logistic", pretrainer=BernoulliRBMStack(max_iter=3), **SMALL)
    name = "pretrainer_.feature_importances_"
    selector = SelectFromModel(network, importance_getter=name, **settings).fit(X, Y)
    by_stack = SelectFromModel(selector.estimator_.pretrainer_, prefit=True, **settings)
    np.testing.assert_array_equal(selector.get_support(), by_stack.get_support())


def test_self_training():
    """Given labels are kept, others are added, and the last network has learned from them all."""
    few = np.where(np.arange(len(Y)) < 60, Y, -1)
    network = DBNClassifier((20,), max_iter=30, random_state=0)
    settings = {"criterion": "k_best", "k_best": 50, "max_iter": 1}
    learner = SelfTrainingClassifier(network, **settings).fit(X, few)
    labels = learner.transduction_
    np.testing.assert_array_equal(labels[:60], Y[:60])
    assert (labels >= 0).sum() == 110
    by_hand = network.fit(X[labels >= 0], labels[labels >= 0])
    np.testing.assert_array_equal(learner.predict_proba(X), by_hand.predict_proba(X))


def test_imputation_by_a_regressor():
    """Known values are kept; missing ones are closer to the truth than the feature's mean."""
    missing = np.random.default_rng(0).uniform(size=TABLE.shape) < 0.1
    seen = np.where(missing, np.nan, TABLE)
    network = DeepMLPRegressor((8,), max_iter=20, random_state=0)
    filled = IterativeImputer(network, max_iter=2, random_state=0).fit_transform(seen)
    np.testing.assert_array_equal(filled[~missing], TABLE[~missing])
    by_mean = SimpleImputer().fit_transform(seen)
    errors = [np.mean((Z - TABLE)[missing] ** 2) for Z in (filled, by_mean)]
    assert errors[0] < 0.8 * errors[1]


def test_resampling_in_a_pipeline():
    """A sampler of imbalanced-learn repeats samples in `fit`, and none in `predict`."""
    imblearn = pytest.importorskip("imblearn")
    sampler = imblearn.over_sampling.RandomOverSampler(random_state=0)
    rare = Y == 1
    network = DBNClassifier((8,), **SMALL)
    pipeline = imblearn.pipeline.make_pipeline(sampler, network).fit(X, rare)
    by_hand = network.fit(*sampler.fit_resample(X, rare))
    np.testing.assert_array_equal(pipeline.predict_proba(X), by_hand.predict_proba(X))


def test_a_study_prunes_by_epochs():
    """`partial_fit` is an epoch, after which optuna may stop a trial; studies can be repeated."""
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial):
        depth = trial.suggest_int("depth", 1, 3)
        init = trial.suggest_categorical("init", ["he_normal", "zeros"])
        network = DBNClassifier((8,) * depth, init=init, random_state=0)
        for epoch in range(4):
            network.partial_fit(X[:150], Y[:150], classes=range(10))
            trial.report(network.score(X[150:], Y[150:]), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return network.score(X[150:], Y[150:])

    trials = []
    for _ in range(2):
        sampler = optuna.samplers.RandomSampler(seed=0)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=2)
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        study.optimize(objective, n_trials=8)
        trials.append([(trial.params, trial.values, trial.state) for trial in study.trials])
    assert trials[0] == trials[1]
    states = [state for _, _, state in trials[0]]
    assert {*states} == {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
