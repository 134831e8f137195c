"""Compile ahead of time, so that no fit has to: ``python -m sk_dbn.compile``.

For images of containers and for continuous integration. What is compiled lies where a first fit
would have put it, and serves the same versions of sk_dbn, numba and Python on the same kind of
processor. By default that is what networks and stacks need with their default settings, in single
precision; data of any type, dense or sparse, need the same.
"""

import argparse
import time
import warnings

import numpy as np

from sk_dbn._dbn import DBNClassifier
from sk_dbn._deep_mlp import DeepMLPRegressor
from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn.models.compilation import CACHE_FOLDER, compile_sharing

N_ROWS, N_FEATURES = 256, 64  # enough for several threads


def tasks(dtype, everything):
    """What is done to have it compiled, by name.

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
            "pseudo-likelihood": lambda: stack.fit(X).score_samples(X),
        }
    return found


def main(arguments=None):
    """Compile, and say what took how long and where it lies."""
    parser = argparse.ArgumentParser(prog="python -m sk_dbn.compile", description=__doc__)
    parser.add_argument("--float64", action="store_true", help="double precision as well")
    parser.add_argument("--everything", action="store_true", help="L-BFGS and scores as well")
    options = parser.parse_args(arguments)
    where = "nowhere: no folder can be trusted" if CACHE_FOLDER is None else CACHE_FOLDER
    print(f"compiled code is kept in {where}")
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
