"""Time of training and prediction over many shapes, compared with scikit-learn and torch.

There are three tasks: training a restricted Boltzmann machine by contrastive divergence with one
Gibbs step (rbm), training a network with relu, Adam and squared error (network), and its predict
(prediction). Shapes vary one factor at a time from a small and a large shape; in further shapes
("corners") all factors are extreme. The script prints for each shape

    fixed ms  milliseconds of a fit of sk_dbn that do not depend on the number of epochs
    us        microseconds of sk_dbn for a minibatch, or a call of predict on as many samples
    GFLOP/s   billions of operations per second of sk_dbn, in matrix products only
    of BLAS   that rate over the rate of one large product of NumPy in the same turns
    ratios    the time of other libraries for a minibatch or call over that of sk_dbn

then the ten worst shapes compared with the best other library, and geometric means. All libraries
take turns in one process, with as many threads as sk_dbn; torch is timed with one thread too. Times
are the best of several turns after a warm-up. torch (the `bench` extra) is skipped if it is not
installed.

    python examples/benchmarks/sweep.py --json OUT
    python examples/benchmarks/sweep.py --only network --repeats 5
    python examples/benchmarks/sweep.py --quick
    python examples/benchmarks/sweep.py --rst OUT
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import platform
import re
import warnings
from functools import partial
from pathlib import Path

import llvmlite.binding
import numpy as np
import rbm_epoch
from network_epoch import best_times, regressors, torch_network, torch_training
from prediction import N_TRAINED
from threadpoolctl import threadpool_info, threadpool_limits

from sk_dbn.models.threads import effective_n_threads

N_THREADS = effective_n_threads()
TORCH_THREADS = sorted({1, N_THREADS}) if importlib.util.find_spec("torch") else []
NAMES = ["sk_dbn", "scikit-learn", *(f"torch {n}" for n in TORCH_THREADS)]
PRODUCT = 1536  # rows and columns of NumPy's large product
MAX_EPOCHS = 5_000
PAUSE = 0.25  # seconds before each turn, until the threads of the one before are asleep


@dataclasses.dataclass(frozen=True)
class Shape:
    """Features, units per hidden layer, hidden layers, minibatch size, precision."""

    features: int
    width: int
    depth: int
    batch: int
    dtype: str = "float32"


CENTRES = Shape(20, 100, 3, 32), Shape(784, 500, 3, 128)
VARIED = {
    "features": (4, 64, 300, 1000, 4000),
    "width": (8, 33, 256, 1000, 1024, 2048),
    "depth": (1, 10, 30, 100),
    "batch": (1, 10, 200, 1024, 4096),
}
CORNERS = (
    Shape(4, 8, 1, 1),
    Shape(4, 8, 100, 1),
    Shape(4, 8, 1, 4096),
    Shape(4, 8, 100, 4096),
    Shape(4000, 2048, 1, 1),
    Shape(4000, 2048, 3, 32),
    Shape(4000, 2048, 1, 4096),
)
QUICK = Shape(4, 8, 1, 32), Shape(64, 100, 3, 32)


def shapes(kind, quick=False):
    """Return centres and corners in both precisions, and variations of one factor in float32."""
    ends = QUICK if quick else CENTRES + CORNERS
    varied = [
        dataclasses.replace(centre, **{factor: value})
        for centre in CENTRES
        for factor, values in VARIED.items()
        for value in values
    ]
    doubles = [dataclasses.replace(shape, dtype="float64") for shape in ends]
    found = ends if quick else [*ends, *varied, *doubles]
    if kind == "rbm":  # one layer
        found = [dataclasses.replace(shape, depth=1) for shape in found]
    return list(dict.fromkeys(found))


def operations(kind, shape):
    """Return the operations per sample in matrix products, two for each weight."""
    first = shape.features * shape.width
    weights = first + (shape.depth - 1) * shape.width**2 + shape.width
    if kind == "rbm":  # up, down, up again; two products of states for the gradient
        return 2 * 5 * first
    # Forward; in training also the gradient, and back through all layers but the first.
    return 2 * weights if kind == "prediction" else 2 * (3 * weights - first)


def plan(kind, shape, seconds):
    """Return numbers of samples, and of epochs (or calls), for about so many seconds."""
    units = shape.features + shape.depth * shape.width
    n_weights = operations("prediction", shape) / 2
    a_step = 2e-5 * (2 + shape.depth) + shape.batch * operations(kind, shape) / 5e10
    a_step += (0.3e-9 if kind == "prediction" else 3e-9) * (shape.batch * units + n_weights)
    n_steps = int(max(4, min(32, 1024 // shape.batch), seconds / a_step))
    if kind == "prediction":
        return shape.batch, n_steps
    n_batches = max(2, min(n_steps // 2, 20_000 // shape.batch))
    return n_batches * shape.batch, max(2, round(n_steps / n_batches))


# Functions that do the work of each kind, for each library in the order of NAMES.


def rbm(X, shape, n_epochs):
    args = (X > 1).astype(X.dtype), shape.width, shape.batch, n_epochs
    runs = [rbm_epoch.ours(*args, dtype=shape.dtype), rbm_epoch.scikit_learn(*args)]
    return runs + [rbm_epoch.torch_training(*args, n_threads=n) for n in TORCH_THREADS]


def network(X, shape, n_epochs):
    y = np.sin(X[:, 0])
    size = shape.width, shape.depth, shape.batch
    runs = [partial(model.fit, X, y) for model in regressors(*size, n_epochs, shape.dtype)]
    return runs + [torch_training(X, y, *size, n, n_epochs) for n in TORCH_THREADS]


def prediction(X, shape, n_calls):
    rows = np.random.default_rng(1).standard_normal((N_TRAINED, shape.features)).astype(X.dtype)
    models = regressors(shape.width, shape.depth, 100, 1, shape.dtype)
    runs = [partial(model.fit(rows, rows[:, 0]).predict, X) for model in models]
    runs += [torch_prediction(X, shape, n_threads) for n_threads in TORCH_THREADS]
    return [repeated(run, n_calls) for run in runs]


def torch_prediction(X, shape, n_threads):
    """Return a function that predicts in torch, without gradient bookkeeping."""
    import torch

    network = torch_network(shape.features, shape.width, shape.depth, shape.dtype)
    X = torch.from_numpy(X)

    @torch.inference_mode()
    def predict():
        torch.set_num_threads(n_threads)
        return network(X)

    return predict


def repeated(function, n_times):
    """Return a function that calls another one n_times."""

    def repeat():
        for _ in range(n_times):
            function()

    return repeat


KINDS = {"rbm": rbm, "network": network, "prediction": prediction}
TITLES = {
    "rbm": "Training of a restricted Boltzmann machine",
    "network": "Training of a network",
    "prediction": "Prediction of a network",
}
WORST = "Worst ten shapes, compared with the best other library"


def numpy_product(dtype):
    """Return a function that computes one large product."""
    a = np.random.default_rng(0).random((PRODUCT, PRODUCT)).astype(dtype)
    return partial(np.dot, a, a.copy(), out=np.empty_like(a))


def measure(kind, shape, seconds, n_repeats):
    """Return the record of a shape: the time of a minibatch or call, and the fixed time of a fit.

    All libraries are timed with one epoch and with several; the difference is the time of epochs. A
    first turn finds how many epochs of each take so many seconds, so that noise is small.
    """
    n_rows, n_first = plan(kind, shape, seconds)
    X = np.random.default_rng(0).standard_normal((n_rows, shape.features)).astype(shape.dtype)

    def runs_of(n_epochs):
        return dict(zip(NAMES, KINDS[kind](X, shape, n_epochs)))

    once, several = runs_of(1), runs_of(n_first)
    both = {(name, n): runs[name] for n, runs in ((1, once), (n_first, several)) for name in NAMES}
    pause = min(PAUSE, seconds)
    first = best_times(both, 1, pause)
    n_epochs = {}
    for name in NAMES:
        epoch = (first[name, n_first] - first[name, 1]) / (n_first - 1)
        epoch = max(epoch, 0.1 * first[name, n_first] / n_first)  # against noise
        # As long as the rest of a fit too, whose noise would otherwise hide the epochs.
        longer = max(seconds, first[name, 1] - epoch)
        n_epochs[name] = 1 + min(max(1, round(longer / epoch)), MAX_EPOCHS)
    runs = {(name, 1): once[name] for name in NAMES}
    runs |= {(name, "several"): runs_of(n_epochs[name])[name] for name in NAMES}
    times = best_times(runs | {"product": numpy_product(shape.dtype)}, n_repeats, pause)
    of_blas = 2 * PRODUCT**3 / times["product"]
    steps, fixed = {}, {}
    for name in NAMES:
        short, long = times[name, 1], times[name, "several"]
        epoch = (long - short) / (n_epochs[name] - 1)
        steps[name], fixed[name] = epoch * shape.batch / n_rows, max(short - epoch, 0.0)
    rate = shape.batch * operations(kind, shape) / steps["sk_dbn"]
    return {
        "kind": kind,
        **dataclasses.asdict(shape),
        "fixed_ms": fixed["sk_dbn"] * 1e3,
        "us": steps["sk_dbn"] * 1e6,
        "gflops": rate / 1e9,
        "of_blas": rate / of_blas,
        "ratios": {name: steps[name] / steps["sk_dbn"] for name in NAMES[1:]},
        "seconds_of_a_step": steps,
        "fixed_seconds": fixed,
    }


def computer():
    """Describe the computer: processor, instruction set, cores and threads."""
    name = platform.processor()
    if os.path.exists("/proc/cpuinfo"):
        found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
        name = found[1] if found else name
    features = llvmlite.binding.get_host_cpu_features()
    sets = {"AVX-512": "avx512f", "AVX2": "avx2"}
    best = next((known for known, flag in sets.items() if features.get(flag)), "neither AVX")
    code = {library.get("architecture") for library in threadpool_info()} - {None}
    return (
        f"{name or 'unknown processor'} ({llvmlite.binding.get_host_cpu_name()}), {best}, "
        f"{os.cpu_count()} cores, {N_THREADS} threads; "
        f"NumPy's BLAS has code for {', '.join(sorted(code)) or 'an unknown processor'}"
    )


def head(record):
    """Return the names of all columns."""
    names = f"{'features':>8} {'width':>6} {'depth':>6} {'batch':>6}  {'dtype':<8}"
    names += f" {'fixed ms':>8} {'us':>9} {'GFLOP/s':>8} {'of BLAS':>8}"
    return names + "".join(f" {name:>12}" for name in record["ratios"])


def line(record):
    """Return the numbers of a shape as a line."""
    cells = "{features:>8} {width:>6} {depth:>6} {batch:>6}  {dtype:<8}".format(**record)
    cells += " {fixed_ms:>8.1f} {us:>9.1f} {gflops:>8.2f} {of_blas:>8.2f}".format(**record)
    return cells + "".join(f" {ratio:>12.2f}" for ratio in record["ratios"].values())


def best_ratio(record):
    """Return the time of the fastest other library over that of sk_dbn."""
    return min(record["ratios"].values())


def of_each_kind(records):
    """Yield pairs of a kind and its records."""
    for kind in dict.fromkeys(record["kind"] for record in records):
        yield kind, [record for record in records if record["kind"] == kind]


def worst(records, n_worst=10):
    """Yield lines of the shapes in which other libraries are fastest, relative to sk_dbn."""
    yield f"{'kind':<11}{head(records[0])}"
    for record in sorted(records, key=best_ratio)[:n_worst]:
        yield f"{record['kind']:<11}{line(record)}"


def means(records):
    """Yield lines with the geometric mean of each ratio, and of the best ratio, by kind."""
    names = [*records[0]["ratios"], "best"]
    yield f"{'kind':<11}{'shapes':>7}" + "".join(f" {name:>12}" for name in names)
    for kind, own in of_each_kind(records):
        ratios = [[*record["ratios"].values(), best_ratio(record)] for record in own]
        cells = "".join(f" {ratio:>12.2f}" for ratio in np.exp(np.log(ratios).mean(axis=0)))
        yield f"{kind:<11}{len(own):>7}{cells}"


def print_rst(computers, records):
    """Print everything as literal blocks, for a page of the documentation."""
    blocks = {"Geometric means of the ratios": means(records), WORST: worst(records)}
    for kind, own in of_each_kind(records):
        blocks[TITLES[kind]] = [head(own[0]), *map(line, own)]
    print(f"Measured on {'; '.join(computers)}.")
    for title, lines in blocks.items():
        print(f"\n*{title}*\n\n.. code-block:: text\n")
        print(*(f"   {text}" for text in lines), sep="\n")


def main():
    """Measure every shape, print a line for each and a summary."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two shapes per kind, in seconds")
    parser.add_argument("--only", choices=KINDS, help="only this kind")
    parser.add_argument("--repeats", type=int, default=3, help="timed turns (default: 3)")
    parser.add_argument("--seconds", type=float, default=0.3, help="of a turn, approximately")
    parser.add_argument("--json", type=Path, help="where to write the records")
    parser.add_argument("--rst", type=Path, nargs="+", help="print what was written, for the docs")
    arguments = parser.parse_args()
    if arguments.rst:
        written = [json.loads(path.read_text()) for path in arguments.rst]
        records = [record for part in written for record in part["records"]]
        return print_rst(dict.fromkeys(part["computer"] for part in written), records)
    if arguments.quick:
        arguments.repeats, arguments.seconds = 1, 0.01
    warnings.simplefilter("ignore", UserWarning)  # about few epochs, and scales of few samples
    records, described = [], computer()
    print(described, flush=True)
    with threadpool_limits(N_THREADS, user_api="blas"):
        for kind in [arguments.only] if arguments.only else KINDS:
            for i, shape in enumerate(shapes(kind, arguments.quick)):
                record = measure(kind, shape, arguments.seconds, arguments.repeats)
                records.append(record)
                if i == 0:
                    print(f"\n{kind}\n{head(record)}")
                print(line(record), flush=True)
                if arguments.json:
                    written = {"computer": described, "records": records}
                    arguments.json.write_text(json.dumps(written, indent=1))
    print(f"\n{WORST}", *worst(records), sep="\n")
    print("\nGeometric means of the ratios", *means(records), sep="\n")
    print("\nMeasure on an idle computer.")


if __name__ == "__main__":
    main()
