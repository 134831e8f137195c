"""Time of a first fit with an empty cache, when a new user waits for numba.

Each case runs in its own process with an empty cache: the first fit of a classifier, of a
regressor, of a stack, and the fits of quickstart.py. The script prints wall and CPU time, the
number of functions that numba compiled, the time of the import, and how much longer a first fit
from the warm cache takes than a second one. Then it prints for each kernel the CPU time without and
with the functions that it calls, and the functions that were compiled more than once, with the
types that differ.

    python examples/benchmarks/cold_start.py
    python examples/benchmarks/cold_start.py --quick
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time

CASES = ("classifier", "regressor", "stack", "quickstart")


def listen():
    """Return a list that collects compilations: name, types, seconds without and with callees."""
    from numba.core import event as events

    rows, running = [], []

    class Listener(events.Listener):
        def on_start(self, event):
            running.append([time.process_time(), 0.0])

        def on_end(self, event):
            begin, inside = running.pop()
            seconds = time.process_time() - begin
            if running:
                running[-1][1] += seconds
            function, args = event.data["dispatcher"].py_func, map(str, event.data["args"])
            name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
            rows.append((name, list(args), seconds - inside, seconds))

    events.register("numba:compile", Listener())
    return rows


def fits(case):
    """Return the fits of a case, as functions without arguments."""
    import numpy as np
    from sklearn.datasets import load_digits

    from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor

    X, y = load_digits(return_X_y=True)
    X, few = (X / 16.0).astype(np.float32), {"max_iter": 2, "random_state": 0}
    stack = BernoulliRBMStack(**few)
    models = {
        "classifier": [DBNClassifier(pretrainer=None, **few)],
        "regressor": [DeepMLPRegressor(**few)],
        "stack": [stack],
        "quickstart": [DBNClassifier(**few), DBNClassifier(pretrainer=stack, **few)],
    }
    methods = {"quickstart": lambda model: model.fit(X, y).predict(X)}
    call = methods.get(case, lambda model: model.fit(X, y))
    return [lambda model=model: call(model) for model in models[case]]


def run_case(case):
    """Run a case in this process and print its times as JSON."""
    import warnings

    warnings.simplefilter("ignore")
    start = time.perf_counter()
    import sk_dbn  # noqa: F401

    imported = time.perf_counter() - start
    rows, times, calls = listen(), [], fits(case)
    for _ in range(2):
        start, cpu = time.perf_counter(), time.process_time()
        for call in calls:
            call()
        times.append((time.perf_counter() - start, time.process_time() - cpu))
    print(json.dumps({"import": imported, "times": times, "rows": rows}))


def in_process(case, folder):
    """Return the output of `run_case` from a process with its cache in a folder."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
    command = [sys.executable, os.path.abspath(__file__), "--case", case]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def differences(rows):
    """Yield the functions compiled more than once, with the argument types that differ."""
    by_name = collections.defaultdict(list)
    for name, args, *_ in rows:
        by_name[name].append(args)
    for name, signatures in by_name.items():
        if len(signatures) > 1 and len({len(args) for args in signatures}) == 1:
            columns = [sorted(set(column)) for column in zip(*signatures, strict=True)]
            yield name, len(signatures), [types for types in columns if len(types) > 1]


def report(case, cold, warm, n_kernels):
    """Print one case."""
    (wall, cpu), rows = cold["times"][0], cold["rows"]
    (first, _), (second, _) = warm["times"]
    print(f"{case:<12}{wall:7.1f} s {cpu:7.1f} s CPU {len(rows):6} compilations", end="")
    print(f"{cold['import']:7.1f} s import {first - second:7.2f} s from the warm cache")
    totals = collections.defaultdict(lambda: [0, 0.0, 0.0])
    for name, _, own, whole in rows:
        entry = totals[name]
        entry[:] = entry[0] + 1, entry[1] + own, max(entry[2], whole)
    for name, (count, own, whole) in sorted(totals.items(), key=lambda kv: -kv[1][1])[:n_kernels]:
        print(f"    {name:<46}{count:4} times {own:7.2f} s itself {whole:7.2f} s in all")
    for name, count, types in list(differences(rows))[:n_kernels]:
        print(f"    {name} compiled {count} times: {' | '.join(map(str, types))[:200]}")


def main():
    """Measure every case."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the classifier only")
    parser.add_argument("--kernels", type=int, default=15, help="number of kernels to print")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        run_case(arguments.case)
        return
    for case in ("classifier",) if arguments.quick else CASES:
        with tempfile.TemporaryDirectory() as folder:
            cold, warm = (in_process(case, folder) for _ in range(2))
        report(case, cold, warm, arguments.kernels)


if __name__ == "__main__":
    main()
