"""How the time of training and prediction grows with rows, features, width, depth, batch, threads.

One factor at a time varies from a base. Each time is that of one epoch of training a stack
(BernoulliRBMStack) or a network (DeepMLPRegressor), or of one predict: after a warm-up, the best of
several. Times grow as a power of the factor. The script prints its exponent: the slope of a
straight line through all points on logarithmic axes, and that of the last step alone, where the
fixed time of a call no longer matters. X is synthetic, zeros and ones of one byte each. For rows,
the peak memory beyond X and y is printed too (Linux only).

    python examples/benchmarks/growth.py
    python examples/benchmarks/growth.py --rows 1000000
    python examples/benchmarks/growth.py --quick

It needs 1 GB of memory and some minutes.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from memory import MB, PeakMemory
from sklearn.exceptions import ConvergenceWarning

from sk_dbn import BernoulliRBMStack, DeepMLPRegressor
from sk_dbn.models.threads import effective_n_threads

BASE = {"rows": 4_000, "features": 64, "width": 128, "depth": 3, "batch": 100, "threads": None}
SMALL = {"features": 16, "width": 32, "depth": 1, "batch": 200}  # for millions of rows
VARIED = {
    "rows": (1_000, 10_000, 100_000, 1_000_000, 10_000_000),
    "features": (16, 64, 256, 1_024, 4_096),
    "width": (8, 32, 128, 512, 2_048),
    "depth": (1, 3, 10, 30, 100),
    "batch": (1, 10, 100, 1_000, 4_000),
    "threads": [2**i for i in range(effective_n_threads().bit_length())],
}
KINDS = ("stack", "network", "prediction")


def work(kind, setting):
    """Return a function that does the work on synthetic data."""
    random = np.random.default_rng(0)
    X = random.integers(2, size=(setting["rows"], setting["features"]), dtype=np.uint8)
    y = random.random(len(X), dtype=np.float32)
    common = {"max_iter": 1, "batch_size": setting["batch"], "n_jobs": setting["threads"]}
    sizes = (setting["width"],) * setting["depth"]
    if kind == "stack":
        stack = BernoulliRBMStack(sizes, visible="bernoulli", random_state=0, **common)
        return lambda: stack.fit(X)
    common |= {"early_stopping": False, "random_state": 0}
    network = DeepMLPRegressor(sizes, activation="relu", **common)
    if kind == "network":
        return lambda: network.fit(X, y)
    network.fit(X[:500], y[:500])
    return lambda: network.predict(X)


def measure(function, n_repeats):
    """Return seconds, the best of several, and the peak memory of the first call in MB."""
    if sys.platform.startswith("linux"):
        with PeakMemory() as memory:
            function()
        peak = memory.peak / MB
    else:
        function()
        peak = np.nan
    seconds = []
    for _ in range(n_repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds), peak


def exponents(values, seconds):
    """Return the exponent through all points, and that of the last step."""
    x, y = np.log(values), np.log(seconds)
    if len(x) == 1:
        return np.nan, np.nan
    return np.polyfit(x, y, 1)[0], (y[-1] - y[-2]) / (x[-1] - x[-2])


def study(factor, values, n_repeats):
    """Print and return times and peaks of each kind as the factor varies."""
    found = {}
    for kind in KINDS:
        if (kind, factor) == ("prediction", "batch"):  # predict has no minibatches
            continue
        base = BASE | SMALL if factor == "rows" else BASE
        work(kind, base | {"rows": 500, factor: values[0]})()  # loads and compiles
        measured = [measure(work(kind, base | {factor: v}), n_repeats) for v in values]
        seconds, peaks = np.transpose(measured)
        found[kind] = seconds, peaks, exponents(values, seconds)
        cells = "".join(f"{t:>11.4f}" for t in seconds)
        through, last = found[kind][2]
        print(f"{kind:<11}{cells}   exponent {through:5.2f}, at the end {last:5.2f}", flush=True)
        if factor == "rows":
            cells = "".join(f"{peak:>11.1f}" for peak in peaks)
            per_row = (peaks[-1] - peaks[-2]) * MB / (values[-1] - values[-2])
            print(
                f"{'  peak, MB':<11}{cells}   {max(per_row, 0):.0f} bytes a row at the end",
                flush=True,
            )
    return found


def plot(studies, path):
    """Draw one panel for each factor, and one for the memory."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(13, 6), layout="constrained")
    *panels, of_memory, unused = axes.flat
    unused.remove()
    for ax, (factor, (values, found)) in zip(panels, studies.items()):
        for kind, (seconds, peaks, (_, last)) in found.items():
            ax.loglog(values, seconds, "o-", markersize=4, label=f"{kind}, {last:.2f}")
            if factor == "rows":
                of_memory.loglog(values, np.maximum(peaks, 0.1), "o-", markersize=4, label=kind)
        ax.set(xlabel=factor, ylabel="seconds")
        ax.legend(title="exponent at the end", fontsize="small", title_fontsize="small")
    of_memory.set(xlabel="rows", ylabel="MB beyond X and y, at the peak")
    of_memory.legend(fontsize="small")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def draw(studies, folder):
    """Write the picture, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed. Install it with: pip install '.[plot]'")
        return
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    plot(studies, folder / "growth.png")
    print(f"\nPicture: {folder / 'growth.png'}")


def main():
    """Vary one factor at a time, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two small values each, in seconds")
    parser.add_argument("--only", nargs="+", choices=VARIED, help="only these factors")
    parser.add_argument("--rows", type=int, default=10_000_000, help="maximum (default: 10000000)")
    parser.add_argument("--repeats", type=int, default=3, help="timed calls (default: 3)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent.parent / "output",
        help="folder for the picture (default: examples/output/)",
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch on purpose
    if arguments.quick:
        BASE["rows"], arguments.rows, arguments.repeats = 500, 10_000, 1
    base = ", ".join(f"{key} {value or effective_n_threads()}" for key, value in BASE.items())
    print(f"base: {base}; for rows {', '.join(f'{k} {v}' for k, v in SMALL.items())}")
    studies = {}
    for factor in arguments.only or VARIED:
        values = VARIED[factor][:2] if arguments.quick else VARIED[factor]
        values = [value for value in values if factor != "rows" or value <= arguments.rows]
        print(f"\n{factor:<11}" + "".join(f"{value:>11,}" for value in values))
        studies[factor] = values, study(factor, values, arguments.repeats)
    draw(studies, arguments.output)


if __name__ == "__main__":
    main()
