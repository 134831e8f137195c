"""The bounds on the versions of dependencies, in pyproject.toml."""

import re
import tomllib
from pathlib import Path

import numba

ROOT = Path(__file__).resolve().parents[1]


def numbers(version):
    """A version's major and minor number."""
    return tuple(map(int, version.split(".")[:2]))


def test_the_bound_on_numba_is_next_after_what_was_tested():
    """Internal modules of numba change with each minor version, so a new one is tried first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (bounds,) = (text for text in project["dependencies"] if text.startswith("numba>="))
    bound = numbers(re.search(r"<([\d.]+)", bounds)[1])
    major, minor = numbers(numba.__version__)
    assert (major, minor) < bound, (
        f"numba {numba.__version__} is newer than pyproject.toml allows ({bounds}). If all other "
        f"tests pass with it, set the bound to <{major}.{minor + 1}; if not, mend what they find "
        "first (docs/contributing.rst lists what the package needs of numba)."
    )
