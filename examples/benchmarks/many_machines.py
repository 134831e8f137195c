"""Training by averaging parameters: accuracy by the number of partitions, and time by workers.

`sk_dbn.distributed.fit` trains a copy of the model on each partition and averages them after every
epoch. The first table compares its test accuracy with that of a fit on one machine with as many
epochs: of a network, and of logistic regression on the features of a stack. The second one has
the time of an epoch, on clusters of one and of two processes with a thread each, and of `fit` in
this process with one and with two threads. Two processes have as many cores as two threads.

    python examples/benchmarks/many_machines.py
    python examples/benchmarks/many_machines.py --data mnist.npz --epochs 10 --partitions 1 4 16
    python examples/benchmarks/many_machines.py --quick

Without --data, images are scikit-learn's digits; an .npz file has X_train, y_train, X_test, y_test.
Run nothing else at the same time: both tables need all cores, the second one an idle computer.
"""

import argparse
import logging
import time
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster, wait
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from sk_dbn import BernoulliRBMStack, DBNClassifier, distributed


def images(path, quick):
    """Return X_train, X_test, y_train, y_test, with grey levels in [0, 1]."""
    if path is None:
        X, y = load_digits(return_X_y=True)
        n = 600 if quick else len(X)
        parts = train_test_split(X[:n], y[:n], stratify=y[:n], random_state=0)
    else:
        with np.load(path) as file:
            parts = [file[name] for name in ("X_train", "X_test", "y_train", "y_test")]
    X_train, X_test, *labels = parts
    scale = np.float32(1 / X_train.max())
    return *(X.reshape(len(X), -1).astype("float32") * scale for X in (X_train, X_test)), *labels


def in_parts(n, *arrays):
    """Arrays in n partitions of rows, kept by the workers."""
    chunks = -(-len(arrays[0]) // n)
    kept = [da.from_array(x, chunks=(chunks, *x.shape[1:])).persist() for x in arrays]
    wait(kept)
    return kept


def linear_score(stack, X_train, X_test, y_train, y_test):
    """Test accuracy of logistic regression on the features of a stack."""
    model = LogisticRegression(max_iter=300)
    model.fit(stack.transform(X_train), y_train)
    return model.score(stack.transform(X_test), y_test)


def compare_accuracies(network, stack, data, epochs, partitions):
    """Print test accuracies for numbers of epochs and of partitions."""
    X_train, X_test, y_train, y_test = data
    print(f"{len(X_train)} images. Test accuracy after as many epochs\n")
    print(f"{'':<24} {'epochs':>6} {'fit':>7}", end="")
    print("".join(f"{n:>8}" for n in partitions), "partitions")
    for n_epochs in epochs:
        fitted = clone(network).set_params(max_iter=n_epochs).fit(X_train, y_train)
        print(f"{'network':<24} {n_epochs:>6} {fitted.score(X_test, y_test):7.4f}", end="")
        for n in partitions:
            parts = in_parts(n, X_train, y_train)
            fitted = distributed.fit(clone(network), *parts, n_rounds=n_epochs)
            print(f"{fitted.score(X_test, y_test):8.4f}", end="", flush=True)
        fitted = clone(stack).set_params(max_iter=n_epochs).fit(X_train)
        name, score = "linear model on a stack", linear_score(fitted, *data)
        print(f"\n{name:<24} {n_epochs:>6} {score:7.4f}", end="")
        for n in partitions:
            fitted = distributed.fit(clone(stack), *in_parts(n, X_train), n_rounds=n_epochs)
            print(f"{linear_score(fitted, *data):8.4f}", end="", flush=True)
        print()


def on_cluster(estimator, data, client, n_parts):
    """A function (number of epochs) that trains on a cluster, whose workers keep the partitions."""
    with client.as_current():
        parts = in_parts(n_parts, *data)

    def train(n_epochs):
        with client.as_current():
            distributed.fit(clone(estimator), *parts, n_rounds=n_epochs)

    return train


def in_this_process(estimator, data, n_jobs):
    """A function (number of epochs) that trains in this process with some threads."""
    own = clone(estimator).set_params(n_jobs=n_jobs)
    return lambda n: clone(own).set_params(max_iter=n).fit(*data)


def seconds_an_epoch(ways, n_epochs, n_turns):
    """The time of a fit for each of its epochs: the best of several turns of all ways to train."""
    for train in ways:
        train(1)  # starts workers and loads kernels
    times = np.empty((n_turns, len(ways)))
    for turn in times:
        for i, train in enumerate(ways):
            begin = time.perf_counter()
            train(n_epochs)
            turn[i] = (time.perf_counter() - begin) / n_epochs
    return times.min(axis=0)


def compare_times(estimators, clients, n_epochs, n_turns=3, n_parts=4):
    """Print the time of an epoch for clusters and threads."""
    print("\nMilliseconds of an epoch\n")
    names = ("1 process", "2 processes", "ratio", "fit, 1 thread", "fit, 2 threads", "ratio")
    print(f"{'':<8}", "".join(f"{name:>16}" for name in names))
    for name, estimator, data in estimators:
        ways = [on_cluster(estimator, data, client, n_parts) for client in clients]
        ways += [in_this_process(estimator, data, n_jobs) for n_jobs in (1, 2)]
        row = 1000 * seconds_an_epoch(ways, n_epochs, n_turns)
        print(f"{name:<8}", end=" ")
        for first, second in (row[:2], row[2:]):
            print(f"{first:16.1f}{second:16.1f}{first / second:16.2f}", end="")
        print(flush=True)


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help=".npz file of images")
    parser.add_argument("--quick", action="store_true", help="smaller, in seconds")
    parser.add_argument("--epochs", type=int, nargs="*", default=[10, 30, 100])
    parser.add_argument("--timed-epochs", type=int, default=9, help="of each fit that is timed")
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", "Sending large graph")
    logging.getLogger("distributed").setLevel(logging.ERROR)
    data = images(arguments.data, arguments.quick)
    sizes, epochs, partitions = (256, 128), arguments.epochs, arguments.partitions
    n_timed = arguments.timed_epochs
    if arguments.quick:
        sizes, epochs, partitions, n_timed = (20,), [5], [1, 2], 3
    settings = {"early_stopping": False, "trace": None, "random_state": 0}
    network = DBNClassifier(sizes, pretrainer=None, **settings)
    stack = BernoulliRBMStack(sizes, tol=0, trace=None, random_state=0)
    workers = {"threads_per_worker": 1, "processes": not arguments.quick}
    clusters = [LocalCluster(n_workers=n, dashboard_address=":0", **workers) for n in (1, 2)]
    clients = [Client(cluster, set_as_default=False) for cluster in clusters]
    with clients[1].as_current():
        compare_accuracies(network, stack, data, epochs, partitions)
    X_train, _, y_train, _ = data
    times = [("network", network, (X_train, y_train)), ("stack", stack, (X_train,))]
    compare_times(times, clients, n_timed)
    for client in clients:
        client.close()
        client.cluster.close()


if __name__ == "__main__":
    main()
