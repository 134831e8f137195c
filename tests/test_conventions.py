"""The conventions of the project, as tests: a rule that only a document knows is soon broken.

The rules are explained to people in docs/contributing.rst.
"""

import ast
import dataclasses
import importlib.util
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import numpydoc.validate
import pytest

import sk_dbn

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "sk_dbn"

FACES, ESTIMATORS, MODELS, KERNELS = 3, 2, 1, 0

KNOWN_TO_KERNELS = sys.stdlib_module_names | {"numpy", "scipy", "numba", "llvmlite"}
OPTIONAL = {"matplotlib", "pandas", "torch"}
ONNX = {"onnx", "skl2onnx", "onnxruntime"}
DASK = {"dask", "distributed"}
FACE_OF = {**dict.fromkeys(ONNX, "onnx"), **dict.fromkeys(DASK, "distributed")}

TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "sk_dbn", "tests", "examples", "docs"}

# The epoch loops: one compiled body reads better than its pieces with twenty arguments each.
# And the activations: one branch of three lines for each, chosen outside the inner loops.
LONG_FUNCTIONS_ALLOWED = {
    "sk_dbn.kernels.activations",
    "sk_dbn.kernels.backpropagation",
}
LONGEST_BODY = 40


def source_files():
    """Map the dotted name of every module of the package to the text of its file."""
    return {module_name(path): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# ---------------------------------------------------------------------------
# Imports: who may know whom
# ---------------------------------------------------------------------------


def floor_of(module):
    """Return the floor on which a module of the package stands, None if the table lacks it."""
    _, *parts = module.split(".")
    if not parts or parts[0] in ("inspection", "onnx", "distributed", "compile"):
        return FACES
    if parts[0] == "models":
        return MODELS
    if parts[0] == "kernels":
        return KERNELS
    if (parts[0].startswith("_") or parts[0] == "likelihood") and len(parts) == 1:
        return ESTIMATORS
    return None


def import_statements(node, in_function=False):
    """Yield every import under a node, and whether it stands inside a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, in_function
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from import_statements(child, in_function or is_function)


def imported_modules(statement, known):
    """Name the modules that an import statement reads; `known` are those of the package."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    candidates = [f"{statement.module}.{alias.name}" for alias in statement.names]
    return [name if name in known else statement.module for name in candidates]


def forbidden_import(importer, imported, in_function):
    """Say why one module must not import another, None if it may."""
    floor, top = floor_of(importer), imported.split(".")[0]
    if top == "sk_dbn":
        target = floor_of(imported)
        if target is None:
            return "is not in the table of floors"
        if target > floor:
            return "stands on a higher floor"
        if target == KERNELS and floor > MODELS:
            return "is for kernels/ and models/ only"
        return None
    if top in ("numba", "llvmlite") and not (
        floor == KERNELS or importer == "sk_dbn.models.threads"
    ):
        return "is for kernels/ and models/threads.py only"
    if top in FACE_OF and importer != f"sk_dbn.{FACE_OF[top]}":
        return f"is for {FACE_OF[top]}.py only"
    if top in OPTIONAL and not in_function:
        return "is imported inside functions only"
    if top in ("sklearn", "matplotlib") and floor <= MODELS:
        return "is unknown to models/ and kernels/"
    if floor == KERNELS and top not in KNOWN_TO_KERNELS:
        return "is unknown to kernels/"
    return None


def import_violations(importer, source, known):
    """List the imports of a module's source that break the table, one line of text each."""
    if floor_of(importer) is None:
        return [f"{importer} is not in the table of floors"]
    violations = []
    for statement, in_function in import_statements(ast.parse(source)):
        where = f"{importer}, line {statement.lineno}"
        if getattr(statement, "level", 0):
            violations.append(f"{where}: relative import")
            continue
        for imported in imported_modules(statement, known):
            reason = forbidden_import(importer, imported, in_function)
            if reason:
                violations.append(f"{where}: {imported} {reason}")
    return violations


def test_imports_follow_the_floors():
    """A file imports from its own floor and those below; see `forbidden_import` for the rest."""
    sources = source_files()
    violations = [
        violation
        for module, source in sorted(sources.items())
        for violation in import_violations(module, source, sources)
    ]
    assert not violations, "\n".join(violations)


KNOWN = {
    "sk_dbn",
    "sk_dbn._dbn",
    "sk_dbn.inspection",
    "sk_dbn.kernels",
    "sk_dbn.kernels.blas",
    "sk_dbn.models",
    "sk_dbn.models.network",
    "sk_dbn.models.threads",
}


@pytest.mark.parametrize(
    "importer, source",
    [
        ("sk_dbn.kernels.blas", "from sk_dbn.models import network"),
        ("sk_dbn.kernels.blas", "import sk_dbn._dbn"),
        ("sk_dbn.kernels.blas", "import sklearn"),
        ("sk_dbn.kernels.blas", "import joblib"),
        ("sk_dbn.kernels.blas", "from . import activations"),
        ("sk_dbn.models.network", "from sklearn.utils import check_array"),
        ("sk_dbn.models.network", "from sk_dbn import _dbn"),
        ("sk_dbn.models.network", "import sk_dbn"),
        ("sk_dbn.models.network", "import numba as nb"),
        ("sk_dbn.models.network", "def plot():\n    import matplotlib.pyplot"),
        ("sk_dbn._dbn", "from sk_dbn.kernels import blas"),
        ("sk_dbn._dbn", "from sk_dbn.kernels.blas import gemm"),
        ("sk_dbn._dbn", "def fit(self):\n    from sk_dbn.kernels import blas"),
        ("sk_dbn._dbn", "from sk_dbn import inspection"),
        ("sk_dbn._dbn", "from sk_dbn import __version__"),
        ("sk_dbn._dbn", "import numba"),
        ("sk_dbn._dbn", "import sk_dbn.misplaced"),
        ("sk_dbn._dbn", "from sk_dbn.inspection.misplaced import Display"),
        ("sk_dbn.inspection", "import matplotlib.pyplot as plt"),
        ("sk_dbn.inspection", "if True:\n    import matplotlib"),
        ("sk_dbn.models.network", "import pandas as pd"),
        ("sk_dbn.inspection", "from sk_dbn.kernels import blas"),
        ("sk_dbn", "import sk_dbn.kernels.blas"),
        ("sk_dbn.onnx", "from sk_dbn.kernels import blas"),
        ("sk_dbn._dbn", "def to_onnx(self):\n    import skl2onnx"),
        ("sk_dbn.misplaced", ""),
    ],
)
def test_import_checker_sees_violations(importer, source):
    """A checker that finds nothing proves nothing: each line of the table is broken once here."""
    assert len(import_violations(importer, source, KNOWN)) == 1


@pytest.mark.parametrize(
    "importer, source",
    [
        ("sk_dbn.kernels.blas", "import os\nimport numpy as np\nfrom numba import njit"),
        ("sk_dbn.kernels.blas", "from sk_dbn.kernels import blas"),
        ("sk_dbn.models.network", "import numpy\nfrom sk_dbn.kernels.blas import gemm"),
        ("sk_dbn.models.network", "from sk_dbn.models.threads import threads"),
        ("sk_dbn.models.network", "def to_frame(self):\n    import pandas as pd"),
        ("sk_dbn.models.threads", "import numba\nfrom threadpoolctl import threadpool_limits"),
        ("sk_dbn._dbn", "import joblib, sklearn\nfrom sk_dbn.models import network"),
        ("sk_dbn.inspection", "def plot():\n    import matplotlib.pyplot as plt"),
        ("sk_dbn", "from sk_dbn._dbn import DBNClassifier"),
        ("sk_dbn.onnx", "import skl2onnx\nfrom onnx import TensorProto"),
        ("sk_dbn.distributed", "import dask.array\nfrom sk_dbn import _dbn"),
    ],
)
def test_import_checker_lets_the_allowed_pass(importer, source):
    """The table forbids no more than it says."""
    assert import_violations(importer, source, KNOWN) == []


def test_no_drawer_for_odds_and_ends():
    """A function without a home is missing its noun: no utils, common or helpers."""
    drawers = {"util", "utils", "common", "helper", "helpers", "misc"}
    found = [
        str(path.relative_to(ROOT))
        for path in [*PACKAGE.rglob("*"), *(ROOT / "tests").rglob("*")]
        if path.stem.strip("_") in drawers
    ]
    assert not found


def test_import_is_light():
    """Importing the package loads no library that only some of its users need.

    scikit-learn loads pandas where it is installed; that is not ours to change.
    """
    script = (
        "import sys, sklearn.utils; theirs = {*sys.modules};"
        "import sk_dbn; print(*{*sys.modules} - theirs)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (OPTIONAL | ONNX | DASK).isdisjoint(done.stdout.split())


# ---------------------------------------------------------------------------
# Functions short enough to be read at once
# ---------------------------------------------------------------------------


def docstring_of(node):
    """Return the statement that is the docstring of a function or class, None without one."""
    documented = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    return node.body[0] if documented and ast.get_docstring(node) is not None else None


def body_length(function, lines):
    """Count the lines of a function's body, but for blank lines and docstrings."""
    docstrings = [docstring_of(node) for node in ast.walk(function)]
    skipped = {
        number
        for docstring in filter(None, docstrings)
        for number in range(docstring.lineno, docstring.end_lineno + 1)
    }
    body = range(function.body[0].lineno, function.end_lineno + 1)
    return sum(bool(lines[number - 1].strip()) and number not in skipped for number in body)


def only_assigns(function):
    """Whether a function is the `__init__` of an estimator: assignments and nothing else."""
    body = function.body[1:] if docstring_of(function) else function.body
    return function.name == "__init__" and all(isinstance(line, ast.Assign) for line in body)


def long_functions(source):
    """Map the name of each function with too long a body to the number of its lines."""
    lines = source.splitlines()
    return {
        node.name: body_length(node, lines)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not only_assigns(node)
        and body_length(node, lines) > LONGEST_BODY
    }


def test_functions_are_short():
    """No body is longer than 40 lines outside the epoch kernels: it is read in one glance."""
    found = {
        module: long_functions(source)
        for module, source in source_files().items()
        if module not in LONG_FUNCTIONS_ALLOWED
    }
    assert not {module: functions for module, functions in found.items() if functions}


def test_length_checker_counts_what_it_says():
    """Blank lines and docstrings are free, an `__init__` that only assigns is exempt."""
    forty, docstring = "    x = 1\n" * 40, '    """One.\n\n    Two.\n    """\n'
    assert long_functions("def f():\n" + docstring + "\n" + forty) == {}
    assert long_functions("def f():\n" + docstring + forty + "\n    y = 2\n") == {"f": 41}
    assert long_functions("def __init__(self):\n" + forty + "    self.y = 2\n") == {}
    assert long_functions("def __init__(self):\n" + forty + "    print()\n") == {"__init__": 41}


# ---------------------------------------------------------------------------
# Docstrings of everything public
# ---------------------------------------------------------------------------


def public_objects():
    """Map the dotted name of each public class and function to the object."""
    found, modules = {}, [sk_dbn]
    if importlib.util.find_spec("dask"):
        modules.append(importlib.import_module("sk_dbn.distributed"))
    for module in modules:
        for name in module.__all__:
            obj = getattr(module, name)
            if inspect.ismodule(obj):
                modules.append(obj)
            elif inspect.isclass(obj) or inspect.isroutine(obj):
                found[f"{module.__name__}.{name}"] = obj
    return found


def public_methods(cls):
    """Name the public methods and properties that the package itself gives to a class."""
    own = [base for base in cls.__mro__ if base.__module__.split(".")[0] == "sk_dbn"]
    return sorted(
        {
            name
            for base in own
            for name, member in vars(base).items()
            if not name.startswith("_")
            and (
                inspect.isfunction(inspect.unwrap(member))  # available_if wraps its function
                or isinstance(member, property | classmethod | staticmethod)
            )
        }
    )


def docstring_errors(name, obj):
    """List what numpydoc finds wrong with a docstring, by the checks in pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    checks = numpydoc.validate.get_validation_checks(set(settings["numpydoc_validation"]["checks"]))
    # A dataclass is documented by its attributes: they are what its constructor takes.
    dropped = {"PR01"} if dataclasses.is_dataclass(obj) else set()
    return [
        f"{name}: {code} {message}"
        for code, message in numpydoc.validate.validate(name)["errors"]
        if code in checks - dropped
    ]


def sections(obj):
    """Return the sections of a docstring, parsed by numpydoc."""
    return numpydoc.docscrape.NumpyDocString(inspect.getdoc(obj) or "")


def test_public_docstrings_are_valid():
    """Every parameter and result is documented, in order, and nothing that does not exist is."""
    errors = []
    for name, obj in public_objects().items():
        errors += docstring_errors(name, obj)
        for method in public_methods(obj) if inspect.isclass(obj) else ():
            errors += docstring_errors(f"{name}.{method}", getattr(obj, method))
    assert not errors, "\n".join(errors)


def test_public_dataclasses_document_their_fields():
    """Every field of a dataclass is among its documented parameters or attributes."""
    for name, obj in public_objects().items():
        if dataclasses.is_dataclass(obj):
            entries = sections(obj)["Parameters"] + sections(obj)["Attributes"]
            documented = {part for entry in entries for part in entry.name.split(", ")}
            assert {field.name for field in dataclasses.fields(obj)} <= documented, name


def test_public_classes_have_references_and_examples():
    """Each class cites what it follows, and shows its use in an example that doctest runs."""
    for name, obj in public_objects().items():
        if inspect.isclass(obj):
            assert any(line.strip() for line in sections(obj)["References"]), name
            assert any(">>>" in line for line in sections(obj)["Examples"]), name


def test_api_page_lists_everything_public():
    """The reference in the documentation is complete."""
    words = (ROOT / "docs" / "api.rst").read_text("utf-8").split()
    listed = {word.removeprefix("sk_dbn.") for word in words}
    assert {name.removeprefix("sk_dbn.") for name in public_objects()} <= listed


# ---------------------------------------------------------------------------
# The top of the repository
# ---------------------------------------------------------------------------


def tracked_files():
    """List the files that git tracks, relative to the root; skip where this is no checkout."""
    git = ["git", "-C", str(ROOT)]
    try:
        top = subprocess.run([*git, "rev-parse", "--show-toplevel"], capture_output=True, text=True)
        if top.returncode or Path(top.stdout.strip()).resolve() != ROOT:
            pytest.skip("not a git checkout")
        listing = subprocess.run([*git, "ls-files", "-z"], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    return listing.stdout.split("\0")[:-1]


def test_top_level_is_fixed():
    """The first thing that a reader sees of the repository stays a short list."""
    entries = {path.split("/")[0] for path in tracked_files()}
    assert {entry for entry in entries if not entry.startswith(".")} <= TOP_LEVEL
