"""A first fit compiles little: what numba takes long for is counted, since times are noisy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sk_dbn.compile import main
from sk_dbn.models.compilation import CACHE_FOLDER

SCRIPT = """
import json, logging, sys
import numpy as np
from numba.core import event
from sk_dbn import DBNClassifier
from sk_dbn.kernels.compile import COMPILING

class Listener(event.Listener):
    rows = []
    def on_start(self, e):
        function, args = e.data["dispatcher"].py_func, list(map(str, e.data["args"]))
        self.rows.append((function.__module__, function.__name__, args))
    def on_end(self, e):
        pass

event.register("numba:compile", Listener())
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
X = np.random.RandomState(0).uniform(size=(300, 64)).astype(np.float32)
network = DBNClassifier(pretrainer=None, max_iter=1, random_state=0, verbose=1)
network.fit(X, np.arange(300) % 3)
print(json.dumps([Listener.rows, COMPILING]))
"""

MOST = 125  # 110 when this was written, one more for each new routine


@pytest.fixture(scope="module")
def first_fit(tmp_path_factory):
    """What a process with an empty cache compiled, and what it said meanwhile."""
    folder = tmp_path_factory.mktemp("cache")
    root = str(Path(__file__).parents[1])
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    *told, last = process.stdout.splitlines()
    rows, words = json.loads(last)
    return rows, words, told, process.stderr


def test_a_first_fit_compiles_little(first_fit):
    """Kernels, and numba's own functions that are compiled into them."""
    assert len(first_fit[0]) <= MOST


def plain(type_):
    """A type of numba's without what is no reason to compile anew."""
    for word in ("readonly ", "nonaligned ", "aligned=True", "aligned=False", "mutable"):
        type_ = type_.replace(word, "")
    for layout in ("C", "A", "F"):
        type_ = type_.replace(f"d, {layout})", "d)")
    return type_.replace("uint64", "int64")


def test_nothing_is_compiled_twice_for_how_arrays_lie(first_fit):
    """Nor for the sign of an index. Panels of products are the one exception: transposed views."""
    seen, twice = set(), set()
    for module, name, args in first_fit[0]:
        key = module, name, tuple(map(plain, args))
        if module.startswith("sk_dbn") and not name.startswith("<"):
            twice |= {name} if key in seen else set()
            seen.add(key)
    assert twice <= {"_multiply"}, twice


def test_it_is_told_once(first_fit):
    """By the logger, and with `verbose` by a line; not once for each kernel."""
    _, words, told, logged = first_fit
    assert logged.count(words) == 1
    assert sum(words[1:] in line for line in told) == 1


def test_compiling_ahead_says_what_it_does(capsys):
    """A line for the folder and one for each kind of model, in each precision asked for."""
    main(["--float64"])
    where, *lines = capsys.readouterr().out.splitlines()
    assert str(CACHE_FOLDER) in where
    expected = [
        (k, d) for d in ("float32", "float64") for k in ("classifier", "regressor", "stack")
    ]
    assert [tuple(line.split(":")[0].split(", ")) for line in lines] == expected
