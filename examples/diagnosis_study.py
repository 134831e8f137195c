"""Does `diagnose` find the problem of a network, and nothing in a network without a problem?

Networks and stacks with a known problem (logistic units ten layers deep, initial weights far too
large, a learning rate of ten, ...) and well-configured ones are trained on several data sets. One
counts as sick only if its test score is clearly below that of its cured twin, which differs only in
the cause of the problem. It counts as healthy only if it scores about as well as the best. The
script prints what was found in each, after training and before it, and whether the suggested remedy
removed the finding and improved the score. By default the data sets are those of scikit-learn, on
which the thresholds were chosen; with --data others, on which they were not.

    python examples/diagnosis_study.py
    python examples/diagnosis_study.py --quick
    python examples/diagnosis_study.py --only healthy "too much dropout"
    python examples/diagnosis_study.py --data folder  # .npz files: X, y or X_train, y_train;
                                                      # without y, stacks only
"""

import argparse
import time
import warnings
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from diagnosis_recipes import EPOCHS, KINDS, Recipe, recipes_for
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
    make_friedman1,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor
from sk_dbn.inspection import diagnose, problems

TRAIN_ROWS, TEST_ROWS = 500, 400
COMMON = {"pretrainer": None, "batch_size": 32, "max_iter": EPOCHS}
COMMON |= {"solver": "adam", "learning_rate": "constant", "early_stopping": False}
# A schedule, dropout or early stopping would hide problems.
PLAIN = {"learning_rate": "constant", "early_stopping": False, "dropout": 0.0}
SHORT = {"scale of X": "X", "scale of y": "y", "no better than a constant": "constant"}
SHORT |= {"too much dropout": "dropout", "too strong a penalty": "penalty"}
THRESHOLDS = (
    "VANISHING",
    "EXPLODING",
    "SATURATED",
    "DEAD",
    "STALLED",
    "UNSTABLE",
    "UNSTABLE_RBM",
    "RISEN",
    "WORSE",
    "OVERFITTED",
    "LOST",
    "NO_GAIN",
    "HALF_GAIN",
    "TRAINED",
    "SIGNAL",
    "MISLED",
    "UNUSED",
    "SMALL_GAIN",
    "KEPT",
    "HELD",
)
SHARES = ("SATURATED", "DEAD", "HALF_GAIN", "SIGNAL")
# A stack whose steps are much too large is found to have diverged, or to be unstable; steps that
# are much too small end at a constant.
STEPS = {kind: {kind} for kind in KINDS} | {
    "unstable step size": {"unstable step size", "diverged"},
    "too strong a penalty": {"too strong a penalty", "no better than a constant"},
    "no better than a constant": {"no better than a constant", "stalled layer"},
}


@dataclass
class Problem:
    """A data set, standardised and split.

    Parameters
    ----------
    name : str
    X_train, X_test, y_train, y_test : ndarrays
    is_regression : bool
    has_targets : bool
        Without them, y is zero, and only stacks are trained.
    parameters : dict
        Parameters for all networks that are trained on it.
    """

    name: str
    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray
    is_regression: bool
    has_targets: bool
    parameters: dict

    @classmethod
    def of(cls, name, X, y, is_regression, **parameters):
        """Return a problem with at most so many samples of a data set; y may be None."""
        has_targets, y = y is not None, np.zeros(len(X), dtype=int) if y is None else y
        n_train = min(TRAIN_ROWS, len(X) * 2 // 3)
        sizes = {"train_size": n_train, "test_size": min(TEST_ROWS, len(X) - n_train)}
        parts = train_test_split(np.arange(len(X)), **sizes, random_state=0)
        X_train, X_test = (shrunk(X[np.sort(rows)]) for rows in parts)
        y_train, y_test = (y[np.sort(rows)] for rows in parts)
        scaler = StandardScaler().fit(X_train)
        if is_regression:
            mean, std = y_train.mean(), y_train.std()
            y_train, y_test = (y_train - mean) / std, (y_test - mean) / std
        X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
        parts = X_train, X_test, y_train, y_test
        return cls(name, *parts, is_regression, has_targets, parameters)

    @property
    def chance(self):
        """The score of a network that ignores X."""
        return 0.0 if self.is_regression else np.bincount(self.y_test).max() / len(self.y_test)

    @property
    def n_outputs(self):
        """Output units of a network."""
        n_classes = 1 if self.is_regression else len(np.unique(self.y_train))
        return n_classes if n_classes > 2 else 1


def shrunk(X, largest=16):
    """Shrink images and signals to at most so many values per side, by means of blocks."""
    X = np.asarray(X, dtype=np.float64)
    for axis in range(1, X.ndim if X.ndim > 2 else 1):
        size = -(-X.shape[axis] // largest)
        n_blocks = X.shape[axis] // size
        X = np.moveaxis(X, axis, -1)[..., : n_blocks * size]
        X = np.moveaxis(X.reshape(*X.shape[:-1], n_blocks, size).mean(axis=-1), -1, axis)
    return X.reshape(len(X), -1)


def scikit_learns():
    """Yield the data sets that come with scikit-learn."""
    for load in (load_wine, load_digits, load_breast_cancer):
        yield Problem.of(load.__name__.removeprefix("load_"), *load(return_X_y=True), False)
    # Noisy: without a penalty even the best network overfits.
    yield Problem.of("diabetes", *load_diabetes(return_X_y=True), True, alpha=1.0)
    yield Problem.of("friedman1", *make_friedman1(900, noise=0.5, random_state=0), True)


def stored(folder):
    """Yield the data sets in a folder of .npz files."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            if path.stem == "uci_regression":
                for name in sorted(key[:-2] for key in file if key.endswith("_X")):
                    yield Problem.of(name, file[f"{name}_X"], file[f"{name}_y"].ravel(), True)
                continue
            part = "_train" if "y_train" in file else ""
            y = file.get(f"y{part}")
            if path.stem == "adult":
                codes = OneHotEncoder(sparse_output=False).fit_transform(file[f"X_cat{part}"])
                X = np.hstack([file[f"X_num{part}"], codes])
            else:
                X = file[f"X{part}"]
        yield Problem.of(path.stem, X, y, y is not None and y.dtype.kind == "f")


def estimator_of(recipe, problem, changes):
    """Return the unfitted estimator of a recipe, with some parameters changed."""
    parameters = {"random_state": 0, "n_jobs": 1} | recipe.parameters | changes
    if "visible" in parameters:
        return BernoulliRBMStack(**parameters)
    parameters = COMMON | PLAIN | problem.parameters | parameters
    if callable(parameters.get("init")):
        hidden = parameters["hidden_layer_sizes"]
        units = [problem.X_train.shape[1], *hidden, problem.n_outputs]
        parameters["init"] = parameters["init"](units)
    if problem.is_regression:
        return DeepMLPRegressor(**parameters)
    return DBNClassifier(**{"label_smoothing": 0.0} | parameters)


def rows_of(recipe, problem):
    """Return X and y for training, X and y for testing."""
    X, X_test = problem.X_train, problem.X_test
    y, y_test = problem.y_train.copy(), problem.y_test
    wrong = np.random.default_rng(0).random(len(y)) < recipe.noise
    y[wrong] = np.random.default_rng(1).permutation(y[wrong])
    if recipe.parameters.get("visible") == "bernoulli":
        X = MinMaxScaler(clip=True).fit_transform(X)
    if recipe.inputs is not None:
        X, X_test = recipe.inputs(X), recipe.inputs(X_test)
    if recipe.targets is not None:
        y, y_test = recipe.targets(y), recipe.targets(y_test)
    if recipe.is_scaled:
        mean, std = y.mean(), y.std()
        y, y_test = (y - mean) / std, (y_test - mean) / std
    return X, y, X_test, y_test


def scaled(recipe):
    """Return the same recipe with correct X and y."""
    if "constant y" in recipe.name:
        return replace(recipe, inputs=None, targets=None)
    return replace(recipe, inputs=None, is_scaled=recipe.targets is not None)


def train(recipe, problem, changes):
    """Return the fitted estimator of a recipe, with some parameters changed, and its score.

    The score of a network is its test score; that of a stack is the share of the features'
    variance that the reconstruction explains.
    """
    estimator = estimator_of(recipe, problem, changes)
    X, y, X_test, y_test = rows_of(recipe, problem)
    if isinstance(estimator, BernoulliRBMStack):
        estimator.fit(X)
        lost = ((X - estimator.reconstruct(X)) ** 2).sum() / ((X - X.mean(axis=0)) ** 2).sum()
        return estimator, float(np.fmax(1 - lost, -1.0))
    validation = {"X_val": X_test, "y_val": y_test} if recipe.validated else {}
    estimator.fit(X, y, **validation)
    if "constant y" in recipe.name:
        y_test = problem.y_test
    score = estimator.score(X_test, y_test) if all_finite(estimator, X_test) else -1.0
    return estimator, max(score, -1.0)


def all_finite(network, X):
    """Whether a network's predictions are numbers."""
    return np.asarray(network.predict(X)).dtype.kind != "f" or np.isfinite(network.predict(X)).all()


@dataclass
class Outcome:
    """The outcome of a recipe on a problem.

    Parameters
    ----------
    recipe : Recipe
    problem : Problem
    score : float
    cured : float
        Score of the cured twin; for a healthy network its own.
    found, before : list of str
        Kinds found after training, and before it.
    estimator : object
        Fitted.
    best : float
        The best score of any network, or any stack with such visible units, on the problem.
    right_layers : bool
        Whether the finding names the right layers.
    relieved : bool
        Whether the finding is gone after its remedy.
    remedied : float
        The score after the remedy; for a healthy network after the first suggested remedy, if any.
    """

    recipe: Recipe
    problem: Problem
    score: float
    cured: float
    found: list
    before: list
    estimator: object
    best: float = np.nan
    right_layers: bool = False
    relieved: bool = False
    remedied: float = np.nan

    @property
    def visible(self):
        """Visible units of a stack; None for a network."""
        return self.recipe.parameters.get("visible")

    @property
    def chance(self):
        """The score without learning."""
        return self.problem.chance if self.visible is None else 0.0

    @property
    def is_healthy(self):
        """Whether it is well-configured and gains at least 85 % of the best network's gain."""
        gain = self.best - self.chance
        return self.recipe.kind == "healthy" and self.score > self.chance + 0.85 * gain

    @property
    def is_sick(self):
        """Whether the score is clearly below that of the cured twin, which learned."""
        if self.recipe.kind == "healthy":
            return False
        return self.cured - self.chance > 0.1 and self.is_below(self.cured)

    def is_below(self, other):
        """Whether the score is clearly below another one.

        That is by a twentieth of the other's gain over chance, and for accuracies by two standard
        errors of their difference.
        """
        gain, error = other - self.chance, 0.0
        if self.visible is None and not self.problem.is_regression:
            variances = sum(p * (1 - p) for p in (self.score, other))
            error = np.sqrt(variances / len(self.problem.y_test))
        return self.score < other - max(0.05 * gain, 2 * error)


def examine(recipe, problem):
    """Train, diagnose, train the cured twin, and train with the suggested remedy."""
    X, y, *_ = rows_of(recipe, problem)
    before = diagnose(estimator_of(recipe, problem, {}), X, y)
    network, score = train(recipe, problem, {})
    diagnosis = diagnose(network)
    found, before = ([finding.kind for finding in findings] for findings in (diagnosis, before))
    if recipe.kind == "healthy":
        outcome = Outcome(recipe, problem, score, score, found, before, network)
        for finding in list(diagnosis)[:1]:
            _, outcome.remedied = train(recipe, problem, finding.parameters)
        return outcome
    _, cured = train(scaled(recipe), problem, recipe.cure)
    outcome = Outcome(recipe, problem, score, cured, found, before, network)
    findings = [finding for finding in diagnosis if finding.kind in STEPS[recipe.kind]]
    if not findings or not outcome.is_sick:
        return outcome
    finding, kind = findings[0], findings[0].kind
    n_hidden = len(recipe.parameters["hidden_layer_sizes"])
    named, spared = set(finding.layers), {layer % n_hidden for layer in recipe.spared}
    outcome.right_layers = named >= set(recipe.layers) and not named & spared
    # If no parameter is the remedy, the remedy is to scale X or y.
    relief = recipe if finding.parameters else scaled(recipe)
    network, outcome.remedied = train(relief, problem, finding.parameters)
    outcome.relieved = kind not in [finding.kind for finding in diagnose(network)]
    return outcome


def set_best(outcomes):
    """Store in every outcome the best score of its problem."""
    best = {}
    for outcome in outcomes:
        key = outcome.problem.name, outcome.visible
        best[key] = max(best.get(key, -1.0), outcome.score, outcome.cured)
    for outcome in outcomes:
        outcome.best = best[outcome.problem.name, outcome.visible]


def print_confusion(title, outcomes, moment):
    """Print the kinds found (columns) for the kinds made (rows)."""
    print(f"\n{title}")
    head = [SHORT.get(kind, kind.split()[0]) for kind in KINDS]
    print(f"  {'made':<26}{'all':>5}" + "".join(f"{name:>12}" for name in [*head, "nothing"]))
    groups = {kind: [o for o in outcomes if o.is_sick and o.recipe.kind == kind] for kind in KINDS}
    groups["healthy"] = [o for o in outcomes if o.is_healthy]
    groups["to be healthy"] = [
        o for o in outcomes if o.recipe.kind == "healthy" and not o.is_healthy
    ]
    groups["to be sick"] = [o for o in outcomes if o.recipe.kind != "healthy" and not o.is_sick]
    for name, group in groups.items():
        found = [getattr(outcome, moment) for outcome in group]
        counts = [sum(kind in kinds for kinds in found) for kind in KINDS]
        counts.append(sum(not kinds for kinds in found))
        print(f"  {name:<26}{len(group):>5}" + "".join(f"{n:>12}" for n in counts))


def print_remedies(outcomes):
    """Print what the suggested remedies did."""
    print("\nremedies: how many findings name the right layers, how many are gone afterwards,")
    print("and in how many the score regains half of what it lacked of the cured twin's, or more")
    print(f"  {'made':<26}{'found':>7}{'layers':>8}{'gone':>7}{'regained':>10}")
    for kind in KINDS:
        group = [o for o in outcomes if o.is_sick and o.recipe.kind == kind]
        group = [o for o in group if STEPS[kind] & {*o.found}]
        layers, gone = (sum(getattr(o, x) for o in group) for x in ("right_layers", "relieved"))
        regained = sum(o.remedied - o.score >= 0.5 * (o.cured - o.score) for o in group)
        print(f"  {kind:<26}{len(group):>7}{layers:>8}{gone:>7}{regained:>10}")
    alarms = [o for o in outcomes if o.is_healthy and o.found]
    n_helped = sum(o.is_below(o.remedied) for o in alarms)
    print(f"  findings among the healthy: {len(alarms)}, the score rises clearly in {n_helped}")


def print_thresholds(outcomes):
    """Print missed findings and false alarms for each threshold, as set, lower and higher."""
    print("\nthresholds: findings missed among the sick, and alarms among the healthy")
    head = "".join(f"{at:>8}{'missed':>8}{'alarms':>8}" for at in ("lower", "as set", "higher"))
    print(f"  {'':<20}{head}")
    sick, healthy = ([o for o in outcomes if getattr(o, x)] for x in ("is_sick", "is_healthy"))
    for name in THRESHOLDS:
        value, cells = getattr(problems, name), ""
        # Shares by half of what they are from 0 or 1, others by a factor of two.
        higher = (1 + value) / 2 if name in SHARES else 2 * value
        for changed in (value / 2, value, higher):
            setattr(problems, name, changed)
            found = [{finding.kind for finding in diagnose(o.estimator)} for o in sick]
            missed = sum(not STEPS[o.recipe.kind] & kinds for o, kinds in zip(sick, found))
            alarms = sum(bool(diagnose(o.estimator)) for o in healthy)
            cells += f"{changed:>8.2g}{missed:>8}{alarms:>8}"
        setattr(problems, name, value)
        print(f"  {name:<20}{cells}")


def print_exceptions(outcomes):
    """Print every outcome that was not as expected."""
    for outcome in outcomes:
        recipe, what = outcome.recipe, None
        if outcome.is_healthy and (outcome.found or outcome.before):
            what = f"found {outcome.found}, before training {outcome.before}"
        elif outcome.is_sick and not STEPS[recipe.kind] & {*outcome.found}:
            what = f"not found, but {outcome.found}"
        elif outcome.is_sick and not outcome.right_layers:
            what = "wrong layers"
        elif outcome.is_sick and not outcome.relieved:
            what = "found again after its remedy"
        if what:
            scores = f"{outcome.score:.3f}, cured {outcome.cured:.3f}, {outcome.remedied:.3f}"
            print(f"  {outcome.problem.name}, {recipe.kind}, {recipe.name}: {what} ({scores})")


def parse_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one data set, every third recipe")
    parser.add_argument("--data", type=Path, help="folder of .npz files (default: scikit-learn's)")
    kinds = (*KINDS, "healthy")
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds, help="recipes' kinds")
    parser.add_argument("--thresholds", action="store_true", help="try lower and higher thresholds")
    parser.add_argument("--exceptions", action="store_true", help="list unexpected outcomes")
    return parser.parse_args()


def main():
    """Train, diagnose and count."""
    arguments = parse_arguments()
    warnings.simplefilter("ignore", ConvergenceWarning)  # most are not to converge
    warnings.filterwarnings("ignore", ".* is not scaled")  # and some are not to be
    data_sets = scikit_learns() if arguments.data is None else stored(arguments.data)
    outcomes, start = [], time.perf_counter()
    for problem in islice(data_sets, 1 if arguments.quick else None):
        for recipe in recipes_for(problem, arguments.only)[:: 3 if arguments.quick else 1]:
            outcomes.append(examine(recipe, problem))
        set_best(outcomes)
        print(f"{problem.name}: {time.perf_counter() - start:.0f} s", flush=True)
    n_sick, n_healthy = (sum(getattr(o, x) for o in outcomes) for x in ("is_sick", "is_healthy"))
    print(
        f"\n{len(outcomes)} networks and stacks, {n_sick} sick and {n_healthy} healthy by outcome"
    )
    print_confusion("found after training", outcomes, "found")
    print_confusion("found before training", outcomes, "before")
    print_remedies(outcomes)
    if arguments.thresholds:
        print_thresholds(outcomes)
    if arguments.exceptions:
        print("\nnot as expected")
        print_exceptions(outcomes)


if __name__ == "__main__":
    main()
