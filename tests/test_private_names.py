"""The table of what the dependencies do not promise, in docs/contributing.rst, is complete."""

import ast
import importlib.util
import inspect
import re
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import _FunctionCompiler

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "sk_dbn"
DEPENDENCIES = {"numba", "llvmlite", "sklearn", "scipy", "joblib", "threadpoolctl"}
OPTIONAL = {"onnx.py": "skl2onnx", "distributed.py": "dask"}  # which only these files need
DEPENDENCIES |= {*OPTIONAL.values()}
INTERNAL = re.compile(r"(^|\.)_|^numba\.(core|np|misc|parfors|cpython)\b")  # of dotted names
OF_NAMED_TUPLES = {"_replace", "_asdict", "_fields", "_make"}  # which Python promises
TITLE = "What the package needs that its dependencies do not promise"


def sources():
    """Map the path of each file of the package, as the table writes it, to its text."""
    return {str(p.relative_to(PACKAGE)): p.read_text("utf-8") for p in PACKAGE.rglob("*.py")}


def is_private(name):
    """Whether a name begins with one underscore, and is more than that."""
    return len(name) > 1 and name.startswith("_") and not name.startswith("__")


def imported(tree):
    """The internal names that are imported from a dependency."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] in DEPENDENCIES and INTERNAL.search(name):
                yield name.rpartition(".")[2]


def defined(tree):
    """The private names that a file gives to something of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                yield node.attr


def attributes(tree):
    """The private names that a file looks up in objects, be they its own or others'."""
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return set(filter(is_private, found)) - OF_NAMED_TUPLES


def bases(cls):
    """The classes of dependencies that a class inherits from."""
    return [base for base in cls.__mro__ if base.__module__.split(".")[0] in DEPENDENCIES]


def shared_with_bases(module):
    """The private names that classes of a module share with classes of dependencies.

    They override what a base calls, or call and set what it has.
    """
    for cls in vars(module).values():
        if inspect.isclass(cls) and cls.__module__ == module.__name__ and bases(cls):
            theirs = "\n".join(map(inspect.getsource, bases(cls)))
            own = ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls)))
            names = attributes(own) | set(filter(is_private, defined(own)))
            yield from (name for name in names if re.search(rf"\b{name}\b", theirs))


def found():
    """Each private name that can be found, with the file that uses it."""
    trees = {file: ast.parse(text) for file, text in sources().items()}
    own = {name for tree in trees.values() for name in defined(tree)}
    for file, tree in trees.items():
        names = {*imported(tree), *(attributes(tree) - own)}
        if file not in OPTIONAL or importlib.util.find_spec(OPTIONAL[file]):
            module = importlib.import_module("sk_dbn." + file[:-3].replace("/", "."))
            names.update(shared_with_bases(module))
        yield from ((name, file) for name in names)


def table():
    """The rows of the table: names, files, reason."""
    text = (ROOT / "docs" / "contributing.rst").read_text("utf-8")
    section = text.partition(f"{TITLE}\n")[2].partition("\n---")[0]
    rows = [re.split(r"^     - ", row, flags=re.M) for row in section.split("\n   * - ")[2:]]
    literals = re.compile(r"``(.+?)``")
    return [(literals.findall(names), literals.findall(files), why) for names, files, why in rows]


def test_the_table_is_complete():
    """Whatever is used in a file is listed with that file."""
    listed = {(name, file) for names, files, _ in table() for name in names for file in files}
    absent = sorted(set(found()) - listed)
    assert not absent, f"not in the table of docs/contributing.rst: {absent}"


def test_the_table_lists_nothing_that_is_gone():
    """Each name occurs in each of its files, and each row says what it is for."""
    texts = sources()
    for names, files, why in table():
        assert names and files and why.strip(), names
        for name, file in ((name, file) for name in names for file in files):
            assert re.search(rf"\b{name}\b", texts[file]), f"{name} is not in {file} any more"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("from numba.core import types", {"types"}),
        ("import sklearn.utils._mask", {"_mask"}),
        ("from sklearn.utils._mask import safe_mask", {"safe_mask"}),
        ("from sklearn.base import _fit_context", {"_fit_context"}),
        ("from numba import config", set()),
        ("from sklearn.utils.validation import check_array", set()),
        ("from sk_dbn._names import Names", set()),
    ],
)
def test_imports_are_found(line, names):
    """Of internal modules and with an underscore, whatever else is public."""
    assert set(imported(ast.parse(line))) == names


def test_attributes_are_found():
    """Those that begin with one underscore, but what Python promises of named tuples."""
    assert attributes(ast.parse("a._b.c(d._replace(e=f.__g__))")) == {"_b"}


class Overriding(_FunctionCompiler):
    """Overrides one private method, and has a name of its own."""

    _own = 1

    def _compile_core(self):
        return self._own, self._failed_cache


def test_overridden_names_are_found():
    """What a base of a dependency knows, and not what is ours alone."""
    names = set(shared_with_bases(sys.modules[__name__]))
    assert names == {"_compile_core", "_failed_cache"}
