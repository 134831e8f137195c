"""What a first fit takes from an empty cache, where a new user waits for numba.

Each case runs in a process of its own with an empty cache: a first fit of a network, of a
regressor, of a stack, and what quickstart.py fits. Prints wall and CPU time, how many functions
numba compiled, how long importing took, and how much longer a first fit from the warm cache
takes than a second one. Then, kernel by kernel, the CPU time without and with what it calls, and
what was compiled more than once, with the types that differ.

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
    """The list that numba's compilations go to: name, types, seconds without and with callees."""
    from numba.core import event

    rows, running = [], []

    class Listener(event.Listener):
        def on_start(self, told):
            running.append([time.process_time(), 0.0])

        def on_end(self, told):
            begin, inside = running.pop()
            seconds = time.process_time() - begin
            if running:
                running[-1][1] += seconds
            function, args = told.data["dispatcher"].py_func, map(str, told.data["args"])
            name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
            rows.append((name, list(args), seconds - inside, seconds))

    event.register("numba:compile", Listener())
    return rows


def fits(case):
    """The fits of a case, as functions without arguments."""
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
    """Run a case in this process and print what it took, as JSON."""
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
    """What `run_case` tells from a process that has its cache in a folder."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
    command = [sys.executable, os.path.abspath(__file__), "--case", case]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def differences(rows):
    """Of functions compiled more than once, in which arguments their types differ."""
    by_name = collections.defaultdict(list)
    for name, args, *_ in rows:
        by_name[name].append(args)
    for name, signatures in by_name.items():
        if len(signatures) > 1 and len({len(args) for args in signatures}) == 1:
            columns = [sorted(set(column)) for column in zip(*signatures, strict=True)]
            yield name, len(signatures), [types for types in columns if len(types) > 1]


def report(case, cold, warm, most):
    """Print one case."""
    (wall, cpu), rows = cold["times"][0], cold["rows"]
    (first, _), (second, _) = warm["times"]
    print(f"{case:<12}{wall:7.1f} s {cpu:7.1f} s CPU {len(rows):6} compilations", end="")
    print(f"{cold['import']:7.1f} s import {first - second:7.2f} s from the warm cache")
    totals = collections.defaultdict(lambda: [0, 0.0, 0.0])
    for name, _, own, whole in rows:
        entry = totals[name]
        entry[:] = entry[0] + 1, entry[1] + own, max(entry[2], whole)
    for name, (count, own, whole) in sorted(totals.items(), key=lambda kv: -kv[1][1])[:most]:
        print(f"    {name:<46}{count:4} times {own:7.2f} s itself {whole:7.2f} s in all")
    for name, count, types in list(differences(rows))[:most]:
        print(f"    {name} compiled {count} times: {' | '.join(map(str, types))[:200]}")


def main():
    """Measure every case."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one network alone")
    parser.add_argument("--kernels", type=int, default=15, help="how many of them to print")
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
