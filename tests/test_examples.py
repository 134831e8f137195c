"""The examples and benchmarks run, and show what they say they show.

Each runs in a process of its own, as a user would run it, in its quick variant where it has
one. What is asked of the numbers are facts with a wide margin: ten classes make a guess right
once in ten times, and so on. Times are printed and never judged.
"""

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


def run(script, *arguments, hidden=None):
    """Output of a script; `hidden` names a folder of modules that stand before the real ones."""
    path = [str(folder) for folder in (hidden, ROOT) if folder is not None]
    inherited = os.environ.get("PYTHONPATH")
    environment = os.environ | {
        "MPLBACKEND": "Agg",
        "PYTHONPATH": os.pathsep.join(path + [inherited] * bool(inherited)),
    }
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def assert_is_picture(path):
    """A PNG of at least 300 x 200 pixels that does not show an empty page."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert width >= 300 and height >= 200
    assert len(content) > 10_000


def rows_of(output, pattern):
    """The groups of every line that a pattern matches, from its start."""
    return [match.groups() for match in re.finditer(pattern, output, re.MULTILINE)]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """Output of the quickstart, and the folder that it drew in."""
    folder = tmp_path_factory.mktemp("quickstart") / "pictures"
    return run("quickstart.py", "--output", folder), folder


def test_quickstart_compares_accuracies(quickstart):
    """The network is no worse than a linear model, which it contains, but for a few images."""
    accuracies = dict(rows_of(quickstart[0], r"^  (\w[\w ,-]+?) +(\d\.\d+) +\("))
    dbn, linear = (float(accuracies[name]) for name in ("DBNClassifier", "LogisticRegression"))
    assert len(accuracies) == 4
    assert linear > 0.9
    assert dbn > linear - 0.01


def test_quickstart_prints_gradients(quickstart):
    """Every layer has a gradient before training, and smaller ones at its end than at its peak."""
    rows = rows_of(quickstart[0], r"^ +(\d+) +([\d.]+) +([\d.]+) +([\d.]+)$")
    norms = [[float(norm) for norm in row[1:]] for row in rows]
    assert [int(row[0]) for row in rows][:4] == [0, 1, 2, 5]
    for layer in zip(*norms, strict=True):
        assert layer[0] > 0
        assert layer[-1] < max(layer)


def test_quickstart_draws(quickstart):
    """Both pictures are where the output says."""
    output, folder = quickstart
    for name in ("quickstart_gradients.png", "quickstart_filters.png"):
        assert str(folder / name) in output
        assert_is_picture(folder / name)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("adding_hidden_layers.py", "accuracy"),
        ("deep_network_gradients.py", "accuracy"),
        ("dimension_reduction.py", "accuracy"),
        ("dying_relu.py", "dead"),
        ("gradients_before_training.py", "factor"),
        ("hundred_layers.py", "accuracy"),
        ("mnist_likelihood.py", "reverse"),
        ("which_inputs_matter.py", "importance"),
        ("sensor_windows.py", "accuracy"),
    ],
)
def test_examples_need_no_matplotlib(script, says, tmp_path):
    """Without matplotlib a script prints what it has to say, and what it lacks for a picture."""
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not installed')\n")
    output = run(script, "--quick", "--output", tmp_path / "pictures", hidden=tmp_path)
    assert says in output
    assert "matplotlib is not installed" in output
    assert not (tmp_path / "pictures").exists()


def test_grid_search(tmp_path):
    """A search over depth and initialisation finds networks that learn and some that cannot."""
    output = run("grid_search_depth_init.py", "--quick", "--output", tmp_path)
    assert_is_picture(tmp_path / "grid_search_depth_init.png")
    digits, diabetes = (float(score) for (score,) in rows_of(output, r"^best: .* (\S+)$"))
    assert digits > 0.5  # chance is 0.1
    assert diabetes > 0.2  # the mean of y is 0
    zeros = rows_of(output, r"^zeros +(\S+) +(\S+) +(\S+) +(\S+) +(\S+)$")
    assert len(zeros) == 2
    # Units that start equal stay equal, so at depth 5 nothing is learned but the bias.
    assert float(zeros[0][-1]) < 0.2
    assert abs(float(zeros[1][-1])) < 0.05


def test_dimension_reduction(tmp_path):
    """Codes tell the digits apart far better than chance, and an autoencoder reconstructs best."""
    output = run("dimension_reduction.py", "--quick", "--output", tmp_path)
    assert_is_picture(tmp_path / "dimension_reduction.png")
    assert rows_of(output, r"^(\d) dimensions") == [("2",), ("4",), ("8",)]
    rows = rows_of(output, r"^(\w+) +(\d\.\d+) +(\d+\.\d+)$")
    assert [name for name, *_ in rows] == ["DBNAutoencoder", "BernoulliRBMStack", "PCA"] * 3
    assert min(float(accuracy) for _, accuracy, _ in rows) > 0.4  # chance is 0.1
    errors = np.array([float(error) for *_, error in rows]).reshape(3, 3)
    assert (errors[:, 0] < errors[:, 2]).all()


def test_which_inputs_matter(tmp_path):
    """The pixels that matter say more than as many chosen by chance, half of them nearly all."""
    output = run("which_inputs_matter.py", "--quick", "--output", tmp_path)
    assert_is_picture(tmp_path / "which_inputs_matter.png")
    everything = float(re.search(r"all pixels: (\S+)", output)[1])
    rows = rows_of(output, r"^ +(\d+) +(\d\.\d+) +\d\.\d+ +(\d\.\d+) ± ")
    assert [int(row[0]) for row in rows] == [3, 6, 10, 13, 19, 32]
    for _, importance, chance in rows:
        assert float(importance) > float(chance)
    assert float(rows[-1][1]) > everything - 0.03


def test_complete_faces(tmp_path):
    """Whatever looks at the upper half does better than the mean image, the machines too."""
    output = run("complete_faces.py", "--quick", "--output", tmp_path)
    assert_is_picture(tmp_path / "complete_faces.png")
    errors = {name: float(x) for name, x in rows_of(output, r"^  (\S.*?) +(\d\.\d+) +\(")}
    assert len(errors) == 5
    assert errors.pop("mean image") == 1.0
    assert max(errors.values()) < 0.9


def test_complete_faces_takes_a_file_of_images(tmp_path):
    """Of any shape and range; large ones are shrunk."""
    images = np.random.RandomState(0).randint(0, 256, (40, 40, 70), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", X=images)
    output = run(
        "complete_faces.py", "--quick", "--data", tmp_path / "images.npz", "--output", tmp_path
    )
    assert "35 images to train on, 5 to complete, 10 x 17 pixels" in output
    assert_is_picture(tmp_path / "complete_faces.png")


RECOMMENDERS = r"^(\w[\w ]+\w)(?: \(.*\))? +(\d\.\d{3}|) +(\d\.\d{3}) +(\d\.\d{3})$"


def recommendations(output):
    """Figures by model, and the items recommended to a user."""
    rows = rows_of(output, RECOMMENDERS)
    assert [name for name, *_ in rows] == [
        *("popularity", "global mean", "user mean", "item mean"),
        *("biases", "factorisation", "RBM"),
    ]
    reason = r"item \w+ rated [\d.]+ \([+-]\d\.\d\d\)"
    items = rows_of(output, rf"^ *(\w+) +\d\.\d\d  {reason}, {reason}, {reason}$")
    assert len(set(items)) == 10
    return {name: [float(x) if x else np.nan for x in numbers] for name, *numbers in rows}


def test_recommend():
    """Every model that knows users or items beats one that does not; no ranking is by chance."""
    figures = recommendations(run("recommend.py", "--quick"))
    error_of_mean, recall_of_none, _ = figures.pop("global mean")
    assert np.isnan(figures.pop("popularity")[0])
    assert max(error for error, *_ in figures.values()) < error_of_mean
    for name in ("item mean", "biases", "factorisation", "RBM"):
        assert figures[name][1] > recall_of_none


def write_ratings(path, separator, header=""):
    """A file in which half of 60 users like even items and the others odd ones."""
    random = np.random.RandomState(0)
    users, items = np.nonzero(random.random_sample((60, 40)) < 0.5)
    ratings = np.where(users % 2 == items % 2, 4, 1) + random.randint(2, size=len(users))
    lines = [f"u{u},i{i},{r},881250949" for u, i, r in zip(users, items, ratings)]
    path.write_text(header + "\n".join(lines).replace(",", separator) + "\n")


@pytest.mark.parametrize(
    ("name", "separator", "header"),
    [
        ("ratings.csv", ",", "userId,movieId,rating,timestamp\n"),
        ("u.data", "\t", ""),
        ("ratings.dat", "::", ""),
    ],
)
def test_recommend_reads_files_of_ratings(name, separator, header, tmp_path):
    """In each format of MovieLens; what only a match of user and item tells is found."""
    write_ratings(tmp_path / name, separator, header)
    output = run("recommend.py", "--quick", "--data", tmp_path / name)
    assert output.startswith("60 users, 40 items, ")
    figures = recommendations(output)
    assert figures["factorisation"][0] < 0.8 < 1.5 < figures["biases"][0]
    assert figures["RBM"][0] < 1.2


IMPUTERS = ["SimpleImputer", "KNNImputer", "IterativeImputer", "RBMImputer"]


def test_impute():
    """Every imputer is measured; ours fills in numbers and grey levels better than their means."""
    output = run("impute.py", "--quick")
    rows = rows_of(output, r"^(10|30)% +(\w+) +(\S+) +(\S+)$")
    assert [(share, name) for share, name, *_ in rows] == [
        (share, name) for share in ("10", "30") for name in IMPUTERS
    ] * 3
    for column, table in ((2, rows[8:16]), (3, rows[16:])):
        for simple, ours in zip(table[::4], table[3::4], strict=True):
            assert float(ours[column]) < float(simple[column])
    rows = rows_of(output, r"^(breast cancer|digits) +(\w+) +(\d\.\d+) ± ")
    assert [name for _, name, _ in rows] == IMPUTERS * 2
    # A guess is right in 63 % and in 10 %.
    assert all(float(x) > (0.8 if name == "breast cancer" else 0.5) for name, _, x in rows)


def test_impute_reads_a_table(tmp_path):
    """Numbers, categories as text, empty fields, classes; what follows from the rest is found."""
    random = np.random.RandomState(0)
    numbers = random.normal(size=(200, 2))
    numbers[:, 1] += 3 * numbers[:, 0]
    lines = [
        f"{a:.3f},{'' if random.random_sample() < 0.1 else 'low' if a < 0 else 'high'},{b:.3f},"
        f"{'no' if b < 0 else 'yes'}"
        for a, b in numbers
    ]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["first,level,second,answer", *lines, ""]))
    output = run("impute.py", "--quick", "--data", path, "--target", "answer")
    assert "table: 200 samples, 3 features" in output
    rows = rows_of(output, r"^(10|30)% +(\w+) +(\d\.\d+) +(\d\.\d+)$")
    assert [name for _, name, *_ in rows] == IMPUTERS * 2
    for simple, ours in zip(rows[::4], rows[3::4], strict=True):
        assert float(ours[2]) < float(simple[2]) and float(ours[3]) < float(simple[3])
    assert len(rows_of(output, r"^(table) +\w+ +\d\.\d+ ± ")) == 4


def test_few_labels():
    """More labels are worth more than any start, and every model is far better than chance."""
    output = run("few_labels.py", "--quick")
    rows = rows_of(output, r"^ +(\d+)" + r" +(\d\.\d+) ± \d\.\d+" * 6 + "$")
    assert [int(row[0]) for row in rows] == [50, 200]
    for few, many in zip(*(row[1:] for row in rows), strict=True):
        assert 0.7 < float(few) < float(many)  # chance is 0.1


def test_deep_network_gradients(tmp_path):
    """The gradient that vanishes is seen before training, and the network then learns nothing."""
    output = run("deep_network_gradients.py", "--quick", "--output", tmp_path)
    assert_is_picture(tmp_path / "deep_network_gradients.png")
    ratios = [
        float(first) / float(last)
        for first, last in rows_of(output, r"first layer (\S+), output layer (\S+)$")
    ]
    accuracies = [float(score) for (score,) in rows_of(output, r"after training: (\S+)$")]
    # The derivative of the logistic function is at most 1/4, and there are ten of them.
    assert ratios[0] < 1e-4 < ratios[1] < ratios[2]
    assert accuracies[0] < 0.3 < 0.8 < accuracies[2]


@pytest.fixture(scope="module")
def gradients_before_training(tmp_path_factory):
    """Output of the script, and the folder that it drew in."""
    folder = tmp_path_factory.mktemp("gradients") / "pictures"
    return run("gradients_before_training.py", "--quick", "--output", folder), folder


def test_gradients_before_training_draws(gradients_before_training):
    """The picture is where the output says."""
    output, folder = gradients_before_training
    assert str(folder / "gradients_before_training.png") in output
    assert_is_picture(folder / "gradients_before_training.png")


def test_chain_of_neurons(gradients_before_training):
    """s' is 1/4 at most, and exactly that at 0, where a weight of 100 makes 25 of it."""
    output, _ = gradients_before_training
    (median,) = rows_of(output, r"^  median +(\S+)")[0]
    (slope,) = rows_of(output, r"^  largest s'\(z\) +(\S+)")[0]
    assert 0 < float(median) < 0.25
    assert float(slope) <= 0.25
    ((low, high),) = rows_of(output, r"^  factor from a layer .*: (\S+) to (\S+)$")
    assert low == high == "25.0000"
    norms = rows_of(output, r"^" + r" +(\d\.\de[+-]\d\d)" * 8 + "$")[0]
    assert float(norms[0]) / float(norms[-1]) == pytest.approx(25**7, rel=0.1)  # two digits


def test_gradients_of_the_book(gradients_before_training):
    """Each layer's gradient is to the next one's as in the book, within a factor of 2.

    The book drew one network of each depth, and MNIST is not scikit-learn's digits. On MNIST,
    with the mean of 20 networks, the factor is below 1.5.
    """
    rows = rows_of(gradients_before_training[0], r"^  (\d) hidden, (ours|book).*?  +(0\..*)$")
    assert [(int(depth), name) for depth, name, _ in rows] == [
        (depth, name) for depth in (2, 3, 4) for name in ("ours", "book")
    ]
    table = [np.array(numbers.split(), dtype=float) for *_, numbers in rows]
    for depth, ours, book in zip((2, 3, 4), table[::2], table[1::2], strict=True):
        assert len(ours) == len(book) == 2 * depth - 1
        assert np.all(np.diff(ours[:depth]) > 0)
        assert np.all(np.abs(np.log(ours[depth:] / book[depth:])) < np.log(2))
    assert table[0][0] > table[2][0] > table[4][0]  # of the first layer, the deeper the less


def test_adding_hidden_layers(tmp_path):
    """Logistic units from Glorot's weights end at chance; other starts, or pre-training, do not."""
    output = run("adding_hidden_layers.py", "--quick", "--output", tmp_path)
    assert_is_picture(tmp_path / "adding_hidden_layers.png")
    rows = rows_of(output, r"^(\w.*\S) *accuracy +(\S+) +(\S+) +(\S+)\n +gradient +(\S+) .* (\S+)$")
    table = {name: [float(x) for x in numbers] for name, *numbers in rows}
    assert len(table) == 6
    *_, accuracy, one_layer, eight_layers = table.pop("logistic, Glorot")
    assert accuracy < 0.3
    assert eight_layers < one_layer * 0.25**7  # s' <= 1/4, seven times
    for name, (*_, accuracy, one_layer, eight_layers) in table.items():
        assert accuracy > 0.7, name
        assert eight_layers > 0.01 * one_layer, name


def test_hundred_layers(tmp_path):
    """Thirty layers of selu train if clipped, of relu with shortcuts; logistic ones stay behind.

    Shortcuts let the first hidden layer's gradient be as large as the output's; weights from
    N(0, 1) saturate half of the logistic units before training, and of the others none.
    """
    output = run("hundred_layers.py", "--quick", "--output", tmp_path)
    assert_is_picture(tmp_path / "hundred_layers.png")
    rows = rows_of(output, r"^(\w.*\S) +(\d\.\d{3}) +(?:-|\d\.\d+)   (\w.*)$")
    found = {name: kinds for name, _, kinds in rows}
    accuracy = {name: float(x) for name, x, _ in rows}
    assert len(rows) == 5
    logistic, unclipped = accuracy["logistic, N(0, 1)"], accuracy["selu, not clipped"]
    for name in ("selu, LeCun", "relu, shortcuts"):
        assert accuracy[name] > 0.85 and found[name] == "nothing"
        assert accuracy[name] > max(logistic, unclipped) + 0.2
    assert "nothing" not in (found["logistic, N(0, 1)"], found["selu, not clipped"])
    (norms,) = rows_of(output, r"^relu, shortcuts +0 +(\S+) .* (\S+)$")
    assert 0.1 < float(norms[0]) / float(norms[1]) < 10
    saturated = dict(rows_of(output, r"^(\w.*\S) +\S+ +(\d\.\d\d) +\d\.\d\d$"))
    assert 0.3 < float(saturated.pop("logistic, N(0, 1)")) < 0.7
    assert {float(x) for x in saturated.values()} == {0.0}


def test_dying_relu(tmp_path):
    """The dead stay dead, though the rate falls; each cure keeps more units and learns more."""
    output = run("dying_relu.py", "--quick", "--output", tmp_path)
    assert_is_picture(tmp_path / "dying_relu.png")
    number = r" +(\d\.\d+)"
    rows = rows_of(output, r"^(\w+, .*\w)" + number * 5 + "$")
    table = {name: [float(x) for x in numbers] for name, *numbers in rows}
    assert len(table) == 6
    for solver in ("adam", "sgd"):
        cause, *cures = [numbers for name, numbers in table.items() if name.startswith(solver)]
        before, after_five, at_last, _, accuracy = cause
        assert before < 0.3 < 0.5 < at_last
        assert at_last > after_five - 0.1
        for *_, dead, _, cured in cures:
            assert dead < 0.3
            assert cured > accuracy + 0.1


def test_mnist_likelihood(tmp_path):
    """Machines know more than their pixels' means, and annealing up and down agree on log Z."""
    output = run("mnist_likelihood.py", "--quick", "--output", tmp_path)
    assert_is_picture(tmp_path / "mnist_likelihood.png")
    rows = rows_of(output, r"^  (\w[\w ,]+?) +(-\d+\.\d+) +(-\d+\.\d+) +\S+ +\S+ +\S+$")
    test = [(name, float(nats)) for name, _, nats in rows]
    assert [name for name, _ in test] == [
        *("independent pixels", "constant rate, exact", "falling rate, exact"),
        *("independent pixels", "falling rate, forward", "falling rate, reverse"),
    ]
    assert test[2][1] > test[0][1] + 1.0
    assert test[4][1] > test[3][1] + 1.0
    assert abs(test[4][1] - test[5][1]) < 1.0
    assert "disagree" not in output


SENSOR_ROWS = r"^ +(\d+) +(\d\.\d+) +\S+ +(\d\.\d+)$"


def test_sensor_windows(tmp_path):
    """The class is how fast a wave is, not where it starts: no linear function of its values.

    So PCA's features leave a linear classifier little better than chance, 0.25.
    """
    output = run("sensor_windows.py", "--quick", "--output", tmp_path)
    assert_is_picture(tmp_path / "sensor_windows.png")
    rows = rows_of(output, SENSOR_ROWS)
    assert [int(row[0]) for row in rows] == [20, 40]
    for _, stack, pca in rows:
        assert float(stack) > float(pca) + 0.1


def test_sensor_windows_takes_a_file_of_windows(tmp_path):
    """Of any number of channels, readings and classes, whatever these are called."""
    random = np.random.RandomState(0)
    X, y = random.normal(size=(80, 2, 50)).astype("float16"), np.repeat(["sit", "walk"], 40)
    X[y == "walk"] *= 3  # of the same mean
    path = tmp_path / "windows.npz"
    np.savez(path, X_train=X[::2], y_train=y[::2], X_test=X[1::2], y_test=y[1::2])
    output = run("sensor_windows.py", "--quick", "--data", path, "--output", tmp_path)
    assert "40 windows to train on, 40 to test, 2 channels of 50 readings, 2 classes" in output
    assert len(rows_of(output, SENSOR_ROWS)) == 2
    assert_is_picture(tmp_path / "sensor_windows.png")


UCI_ROWS = r"^(\w+) +(\d+) +(\d+) +(\S+) ± (\S+) +(\S+)(?: ± \S+)?((?: +\d+){6})$"


def test_uci_regression():
    """The networks know far more than the mean of y, and every split makes one choice of each."""
    output = run("uci_regression.py", "--quick")
    rows = rows_of(output, UCI_ROWS)
    assert [row[:3] for row in rows] == [("diabetes", "442", "2"), ("friedman1", "300", "2")]
    # The standard deviations of y are 77 and 5, of which the noise in friedman1 is 0.5.
    for (*_, ours, spread, theirs, choices), limit in zip(rows, (70.0, 3.0), strict=True):
        assert 0.5 < float(ours) < limit and 0.5 < float(theirs) < limit
        assert 0 <= float(spread) < 0.5 * float(ours)
        *by_depth_and_init, strong = map(int, choices.split())
        assert sum(by_depth_and_init[:3]) == sum(by_depth_and_init[3:]) == 2
        assert 0 <= strong <= 2


def test_uci_regression_takes_a_file_with_splits(tmp_path):
    """Named sets alone, the first splits alone; what was published stands beside ours."""
    random = np.random.RandomState(0)
    arrays = {}
    for name in ("yacht", "power"):
        X = random.normal(size=(200, 3)).astype("float32")
        arrays[f"{name}_X"], arrays[f"{name}_y"] = X, 100 + 10 * X.sum(axis=1)
        arrays[f"{name}_test_idx"] = np.arange(60, dtype="uint16").reshape(3, 20)
    np.savez(tmp_path / "sets.npz", **arrays)
    arguments = ("--quick", "--data", tmp_path / "sets.npz", "--sets", "power", "--splits", 1)
    ((name, n_rows, n_splits, ours, spread, published, _),) = rows_of(
        run("uci_regression.py", *arguments), UCI_ROWS
    )
    assert (name, n_rows, n_splits, spread, published) == ("power", "200", "1", "nan", "4.01")
    assert float(ours) < 0.5 * arrays["power_y"].std()


def test_gaussian_features_benchmark():
    """Each number of labels has both accuracies; more labels make both better."""
    output = run("benchmarks/gaussian_features.py", "--quick")
    rows = rows_of(output, r"^ +(\d+|all) +(\d+\.\d+) \(\S+\) +(\d+\.\d+) \(\S+\)$")
    assert [row[0] for row in rows] == ["1", "2", "4", "8", "all"]
    for column in (1, 2):
        assert 10 < float(rows[0][column]) < float(rows[-1][column])  # chance is 10
        assert float(rows[-1][column]) > 85


def test_units_of_tables_benchmark():
    """Features of both choices tell benign from malignant far better than a guess, 63 %."""
    output = run("benchmarks/units_of_tables.py", "--quick")
    rows = rows_of(output, r"^(auto|gaussian) +(\d+\.\d+) \(\d+\.\d+\)$")
    assert [row[0] for row in rows] == ["auto", "gaussian"]
    assert all(float(row[1]) > 85 for row in rows)


def test_gaussian_stability_benchmark():
    """No run leaves NaN without a warning, and at the default rate none diverges at all."""
    output = run("benchmarks/gaussian_stability.py", "--quick")
    rows = rows_of(output, r"^(\d\S+.*?) +(\d+) +(\d+) +(\d+) +(\d+)$")
    assert [int(row[1]) for row in rows] == [10, 10]
    assert all(int(row[3]) == 0 for row in rows)
    assert "default" in rows[1][0] and int(rows[1][2]) == 0


def test_diagnosis_study():
    """On one data set: the sick are recognised, their remedies help, the healthy are left alone."""
    output = run("diagnosis_study.py", "--quick")
    _, after, before = output.split("\nfound ")
    before, remedies = before.split("\nremedies:")
    for table in (after, before):
        ((n_healthy, counts),) = rows_of(table, r"^  healthy +(\d+)((?: +\d+)+)$")
        assert int(n_healthy) > 15
        assert counts.split()[-1] == n_healthy  # the last column: nothing
    made = dict(rows_of(after, r"^  (\w[\w ]+?) +(\d+) +\d"))
    rows = rows_of(remedies, r"^  (\w[\w ]+?) +(\d+) +(\d+) +(\d+) +(\d+)$")
    assert len(rows) == 14
    for name, *counts in rows:
        assert set(counts[:3]) == {made[name]}, name  # found, the right layers, gone afterwards
    # Which networks are sick enough to count, and how far scores rise, is not the same everywhere.
    n_sick = sum(int(made[name]) for name, *_ in rows)
    assert n_sick > 25 and sum(int(made[name]) > 0 for name, *_ in rows) >= 7
    assert sum(int(regained) for *_, regained in rows) >= 0.9 * n_sick


def test_defaults_benchmark(tmp_path):
    """Scores of both networks and scikit-learn's, above chance, as printed and as written."""
    path = tmp_path / "records.json"
    output = run("benchmarks/defaults.py", "--quick", "--json", path)
    records = json.loads(path.read_text())
    models = {"sk_dbn", "sk_dbn 2", "scikit-learn", "scikit-learn 2"}
    assert {record["set"]: {r["model"] for r in records} for record in records} == {
        "digits": models,
        "diabetes": models,
    }
    for record in records:
        score = record["score"]
        assert score > 0.5 if record["task"] == "accuracy" else score < 1.0
    assert len(rows_of(output, r"^(sk_dbn(?: 2)?) +standard +1 ")) == 4
    assert output.count("mean rank") == 2
    again = run("benchmarks/defaults.py", "--reports", path)
    assert again.strip() == output.strip(". \n")


def test_network_epoch_benchmark():
    """Every contestant has a time; ours is the measure of the others."""
    output = run("benchmarks/network_epoch.py", "--quick", "--epochs", 1)
    names = [name for (name,) in rows_of(output, r"^  (\S.*?) +\d+\.\d+ s ")]
    assert {"sk_dbn", "sklearn float32", "sklearn float64"} <= set(names)
    assert "compiles its kernels" in output


def test_products_benchmark():
    """Three products of two shapes, beside NumPy's."""
    output = run("benchmarks/products.py", "--quick")
    rows = rows_of(output, r"^ +(\d+) +\d+ +\d+  (\w+) +\d+ +\d+ +\d+\.\d+$")
    assert rows == [(n, kind) for n in ("10", "32") for kind in ("forward", "back", "gradient")]


def test_prediction_benchmark():
    """Two methods, two dtypes, many rows and one."""
    output = run("benchmarks/prediction.py", "--quick")
    pattern = r"^(\w+) +(float32|float64) +(\d+) +\S+ ms +\S+ ms +\d+\.\d+$"
    assert len(set(rows_of(output, pattern))) == 8


def test_search_over_depth_benchmark():
    """Three searches have a time; memory changes no score, and four layers tell digits apart."""
    output = run("benchmarks/search_over_depth.py", "--quick")
    assert len(rows_of(output, r" (\d+\.\d+) s +(\d+\.\d+)$")) == 4
    assert "scores with memory are the same: True" in output
    accuracies = re.search(r"accuracy with 1 to 4 layers: (.*)", output)[1].split(", ")
    assert len(accuracies) == 4 and float(accuracies[0]) > 0.5  # chance is 0.1


def test_search_benchmark():
    """Two backends, each with two workers and in two ways with one."""
    output = run("benchmarks/search.py", "--quick")
    pattern = r"^(loky|threading) +\S+ s +\S+ s +\d+\.\d+ +\S+ s +\d+\.\d+ *$"
    assert len(set(rows_of(output, pattern))) == 2


def test_many_machines_benchmark():
    """Averages of partitions learn, and every time is above zero."""
    pytest.importorskip("distributed")
    output = run("benchmarks/many_machines.py", "--quick")
    pattern = r"^(network|linear model on a stack) +5 +(\d\.\d+) +(\d\.\d+) +(\d\.\d+) *$"
    scores = [float(score) for _, *row in rows_of(output, pattern) for score in row]
    assert len(scores) == 6 and min(scores) > 0.3  # chance is 0.1
    assert len(rows_of(output, r"^(network|stack)( +\d+\.\d+){6}$")) == 2


SWEEP_ROWS = r"^(?:([a-z]+) +| +)(\d+) +(\d+) +(\d+) +(\d+)  (float32|float64) .* (\d+\.\d+)$"


def test_sweep_benchmark(tmp_path):
    """Two shapes of every kind are printed as measured, the worst first; so is what was written."""
    path = tmp_path / "records.json"
    output = run("benchmarks/sweep.py", "--quick", "--json", path)
    records = json.loads(path.read_text())["records"]
    assert [r["kind"] for r in records] == [
        k for k in ("rbm", "network", "prediction") for _ in "ab"
    ]
    for record in records:
        times = record["seconds_of_a_step"]
        assert record["ratios"]["scikit-learn"] == times["scikit-learn"] / times["sk_dbn"] > 0
        assert record["gflops"] > 0 and record["of_blas"] > 0
    each, worst = output.split("\nWorst ten")
    assert len(rows_of(each, SWEEP_ROWS)) == 6
    best = sorted((min(record["ratios"].values()), record["kind"]) for record in records)
    assert [row[0] for row in rows_of(worst, SWEEP_ROWS)] == [kind for _, kind in best]
    tables = run("benchmarks/sweep.py", "--rst", path)
    lines = [line for line in each.splitlines() if " float" in line]
    assert len(lines) == 6 and all(f"   {line}\n" in tables for line in lines)


def test_growth_benchmark(tmp_path):
    """Every factor that a kind has is varied, and ten times the rows do not take less time."""
    output = run("benchmarks/growth.py", "--quick", "--output", tmp_path)
    number = r" +(-?\d+\.\d+)"
    rows = rows_of(output, r"^(stack|network|prediction)" + 2 * number + "   exponent" + number)
    assert len(rows) >= 3 * 4 + 2 and {kind for kind, *_ in rows} == {
        "stack",
        "network",
        "prediction",
    }
    for _, small, large, exponent in rows[:3]:
        assert 0 < float(small) and 0 < float(large) and np.isfinite(float(exponent))
    assert_is_picture(tmp_path / "growth.png")


def test_sampler_epoch_benchmark():
    """Every sampler and kind of units is timed; plain contrastive divergence is the unit."""
    output = run("benchmarks/sampler_epoch.py", "--quick", "--n-jobs", 1)
    lines = [line for line in output.splitlines() if "ms an epoch" in line]
    assert len(lines) == 13 and "a temperature" in output
    assert lines[0].split()[-1] == "1.00"


def test_trace_cost_benchmark():
    """A cost for each model."""
    output = run("benchmarks/trace_cost.py", "--quick", "--epochs", 1)
    assert len(rows_of(output, r" ([+-]\d+\.\d+%)$")) == 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_benchmark():
    """A fit adds less than a float32 copy of its input would, for every kind of input."""
    output = run("benchmarks/memory.py", "--quick")
    rows = rows_of(output, r"^(\w+) +(\w+) +(-?\d+\.\d+) MB +-?\d+\.\d+ MB$")
    assert len(rows) == 8
    for _, kind, peak in rows:
        assert float(peak) < 4_000 * 200 * 4 / 2**20, kind


@pytest.mark.skipif(sys.platform == "win32", reason="the resource module is missing there")
def test_missing_entries_benchmark():
    """An epoch has a time, dense, of the stored entries, and of ratings, which take memory."""
    output = run("benchmarks/missing_entries.py", "--quick", "--large")
    assert len(rows_of(output, r"^    (dense|1 % stored) +-?\d+\.\d+ s an epoch")) == 4
    assert "2,000 users x 500 items, 40,000 ratings in 5 categories" in output
    assert len(rows_of(output, r"^  minibatches of ([\d,]+): -?\d+\.\d+ s an epoch$")) == 2
    ((before, peak),) = rows_of(output, r"^  (\d+) MB before the fits, (\d+) MB at their peak$")
    assert 0 < int(before) <= int(peak)


def test_rbm_epoch_benchmark():
    """Ours and scikit-learn's machine have a time in both precisions."""
    output = run("benchmarks/rbm_epoch.py", "--quick")
    names = [name for (name,) in rows_of(output, r"^  (\S.*?) +\d+\.\d+ m?s an epoch")]
    assert {"sk_dbn float32", "scikit-learn float32"} <= set(names)


def test_depth_benchmark():
    """A logistic regression on three layers of our machines tells the digits apart."""
    output = run("benchmarks/depth_does_not_hurt.py", "--quick")
    rows = rows_of(output, r"^ +(\d) +(\d+\.\d+) \(\d+\.\d+\)")
    assert [int(depth) for depth, _ in rows] == [1, 2, 3]
    assert all(float(accuracy) > 80 for _, accuracy in rows)  # chance is 10


def test_initialisation_variance_benchmark():
    """Weights vary as the formulas say, and starts that suit their activation carry far."""
    output = run("benchmarks/initialisation_variance.py", "--quick")
    rows = rows_of(output, r"^  (\S+) +\S.* +\d+\.\d+ +(\d\.\d+) +\d+\.\d+ +(\d\.\d+)$")
    assert len(rows) == 11  # all but zeros, which have no ratio
    for name, first, second in rows:
        # The variance of 60,000 draws is within a few times sqrt(2 / 60,000) = 0.006 of its mean.
        assert abs(float(first) - 1) < 0.03 and abs(float(second) - 1) < 0.03, name
    number = r" +(-?\d+\.\d)"
    rows = rows_of(output, r"^  (\w+)" + 10 * number + "$")
    assert len(rows) == 22  # eleven activations, forward and back
    glorot, he, lecun, orthogonal, normal, standard_normal = 1, 3, 5, 7, 9, 10
    back = {row[0]: [None, *map(float, row[1:])] for row in rows[11:]}
    assert back["identity"][orthogonal] == 0.0  # an isometry, there and back
    assert back["logistic"][glorot] < 99 * np.log10(0.25) + 6
    assert back["relu"][lecun] < -10 < -3 < back["relu"][he] < 3
    assert back["tanh"][normal] < -10 < 10 < back["tanh"][standard_normal]


def test_cold_start_benchmark():
    """From an empty cache something is compiled; what took longest comes first."""
    output = run("benchmarks/cold_start.py", "--quick")
    ((name, count),) = rows_of(output, r"^(\w+) .* (\d+) compilations")
    assert name == "classifier" and int(count) > 20
    own = [float(x) for (x,) in rows_of(output, r" times +(\d+\.\d+) s itself")]
    assert own == sorted(own, reverse=True) and len(own) == 15


def study_again(script, tmp_path, pattern):
    """Rows of a quick study; a second run must compute nothing and print the same rows."""
    arguments = script, "--quick", "--output", tmp_path
    rows = rows_of(run(*arguments), pattern)
    path = tmp_path / f"{Path(script).stem}_quick.json"
    written = path.read_text()
    assert rows_of(run(*arguments), pattern) == rows
    assert path.read_text() == written
    return rows, json.loads(written)["parts"]


def test_samples_to_label():
    """Samples near the centers of clusters are worth more than random ones, to every model."""
    output = run("samples_to_label.py", "--quick")
    scores = np.array([float(x) for (x,) in rows_of(output, r"^[a-z, -]+ (\d\.\d+) ± ")])
    at_random, by_clusters = scores.reshape(2, 6)
    assert (by_clusters > at_random).all() and by_clusters.min() > 0.3  # chance is 0.1


def test_mnist_classification_study(tmp_path):
    """Each tuning has both starts; all know more than a guess, which is wrong in 90 percent."""
    pattern = r"^((?:no )?dropout, [\w-]+) +(\d+\.\d+) +- +\d+$"
    rows, parts = study_again("studies/mnist_classification.py", tmp_path, pattern)
    assert len(parts) == 4 and {name for name, _ in rows} == set(parts)
    assert all(0 < float(error) < 60 for _, error in rows)


def test_mnist_few_labels_study(tmp_path):
    """More labels are worth more than any start; spread labels are right in most cases."""
    cell = r" +(\d+\.\d+) ± \S+ +-"
    pattern = r"^ +(\d+) +2" + cell * 3 + f"(?:{cell}| +- +-)$"
    rows, parts = study_again("studies/mnist_few_labels.py", tmp_path, pattern)
    assert [row[0] for row in rows] == ["50", "500"] and len(parts) == 4
    for few, many in zip(rows[0][1:4], rows[1][1:4], strict=True):
        assert 60 < float(few) < float(many)
    assert float(rows[0][4]) > 75 and rows[1][4] is None


def test_mnist_autoencoder_study(tmp_path):
    """A code of two numbers keeps more than two principal components; the codes are drawn."""
    pattern = r"^(\d+) +(\S.*?) +(\d+\.\d+) +- +(\d+\.\d+) +(\d+\.\d+) +\d+$"
    rows, parts = study_again("studies/mnist_autoencoder.py", tmp_path, pattern)
    errors = {(code, name): float(error) for code, name, error, *_ in rows}
    assert len(errors) == len(parts) == 6
    assert errors["2", "pre-trained"] < errors["2", "PCA"]
    assert_is_picture(tmp_path / "mnist_autoencoder.png")


def test_regression_few_labels_study(tmp_path):
    """Every model predicts the angle of an image better than its mean."""
    pattern = r"^images +100" + r" +(-?\d\.\d+) ± \d\.\d+" * 5
    (scores,), _ = study_again("studies/regression_few_labels.py", tmp_path, pattern)
    assert min(map(float, scores)) > 0.5


def test_sensor_few_labels_study(tmp_path):
    """Ten labels for each of ten classes beat a guess, which is right in 10 percent, by far."""
    pattern = r"^([a-z][\w -]*\w) +(\d+\.\d+) ± \d+\.\d+$"
    rows, parts = study_again("studies/sensor_few_labels.py", tmp_path, pattern)
    names = ["pre-trained", "random", "logistic regression", "random forest"]
    assert [name for name, _ in rows] == names and len(parts) == 2
    assert all(float(score) > 60 for _, score in rows)


@pytest.mark.parametrize(
    "study",
    [
        "mnist_classification",
        "mnist_few_labels",
        "mnist_autoencoder",
        "sensor_few_labels",
        "census_income",
    ],
)
def test_studies_say_which_data_they_need(study, tmp_path):
    """Without data nothing is downloaded or computed."""
    script = EXAMPLES / "studies" / f"{study}.py"
    command = [sys.executable, str(script), "--output", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 2 and not list(tmp_path.iterdir())
    assert "--data is needed" in result.stderr and "y_train" in result.stderr


def test_a_study_refuses_results_of_other_settings(tmp_path):
    """Parts made by different recipes are not mixed."""
    path = tmp_path / "sensor_few_labels_quick.json"
    path.write_text(json.dumps({"settings": "others", "processor": "", "parts": {}}))
    script = EXAMPLES / "studies" / "sensor_few_labels.py"
    command = [sys.executable, str(script), "--quick", "--output", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 1 and "was made with other settings" in result.stderr


def test_census_income_study():
    """Categories and gaps are read as they are; a guess by the most frequent class errs in 37 %."""
    errors = re.findall(r"(\d+\.\d+) %", run("studies/census_income.py", "--quick"))
    assert len(errors) == 2 and all(float(error) < 10 for error in errors)
