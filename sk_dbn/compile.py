"""Compile ahead of time, so that no fit has to: ``python -m sk_dbn.compile``.

This is useful for container images and continuous integration. Compiled code is stored in the same
cache as by a first fit, and can be used by the same versions of sk_dbn, numba and Python on the
same kind of processor. By default it is the code that networks and stacks need with their default
settings in single precision, for data of any type, dense or sparse.
"""

import argparse
import time
import warnings

import numpy as np

from sk_dbn._dbn import DBNClassifier
from sk_dbn._deep_mlp import DeepMLPRegressor
from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn._warm_start import WarmStart
from sk_dbn.models.compilation import CACHE_FOLDER, compile_sharing

N_ROWS, N_FEATURES = 256, 64  # enough for several threads


def tasks(dtype, everything):
    """The calls that compile the code, by name.

    Parameters
    ----------
    dtype : {'float32', 'float64'}
    everything : bool

    Returns
    -------
    dict of str to callable
    """
    random = np.random.RandomState(0)
    X, y = random.uniform(size=(N_ROWS, N_FEATURES)).astype(dtype), np.arange(N_ROWS) % 3
    with_gaps = np.where(X < 0.1, np.nan, X)
    common = {"dtype": dtype, "max_iter": 1, "random_state": 0}
    stack = BernoulliRBMStack(**common)
    found = {
        "classifier": lambda: DBNClassifier(pretrainer=None, **common).fit(X, y).predict(X),
        "regressor": lambda: DeepMLPRegressor(**common).fit(X, y).predict(X),
        "stack": lambda: stack.fit(X).transform(X),
    }
    if everything:
        found |= {
            "L-BFGS": lambda: DBNClassifier(pretrainer=None, solver="lbfgs", **common).fit(X, y),
            "output layer first": lambda: DBNClassifier(
                pretrainer=WarmStart(stack), output_layer_first=True, **common
            ).fit(X, y),
            "pseudo-likelihood": lambda: stack.fit(X).score_samples(X),
            "missing values": lambda: stack.fit(with_gaps),
            "tempering": lambda: BernoulliRBMStack(algorithm="pt", **common).fit(X),
        }
    return found


def main(arguments=None):
    """Compile, and print where the code is stored and how long it took."""
    parser = argparse.ArgumentParser(prog="python -m sk_dbn.compile", description=__doc__)
    parser.add_argument("--float64", action="store_true", help="double precision as well")
    parser.add_argument(
        "--everything", action="store_true", help="also L-BFGS, scores, missing values, pt"
    )
    options = parser.parse_args(arguments)
    where = "no folder, since none is safe" if CACHE_FOLDER is None else CACHE_FOLDER
    print(f"compiled code is stored in {where}")
    compile_sharing()
    for dtype in ("float32", "float64")[: 1 + options.float64]:
        for name, task in tasks(dtype, options.everything).items():
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                task()
            print(f"{name}, {dtype}: {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
