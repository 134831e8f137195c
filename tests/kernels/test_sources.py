"""What a process has compiled is kept under the digest of the sources that it runs, or not at all.

Files change while a process reads them: an editor saves, git switches branches, pip upgrades.
"""

import importlib
import os
import py_compile
import sys
import uuid

import pytest

from sk_dbn import kernels, models
from sk_dbn.kernels.sources import Sources
from tests.tiny_package import CALLEE, NOT_CACHED, ONE_MORE, Tiny

EDITED = CALLEE.replace("x + 1.0", "x + 5.0")


@pytest.fixture
def tiny(tmp_path):
    return Tiny(tmp_path)


def test_digest_is_of_names_and_contents(tmp_path):
    """Any change to any kernel file changes the digest, and nothing else does."""

    def digest():
        return Sources(tmp_path, "none").digest

    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("2")
    before = digest()
    (tmp_path / "notes.txt").write_text("not a kernel")
    os.utime(tmp_path / "a.py", (0, 0))
    assert digest() == before
    (tmp_path / "b.py").write_text("3")
    edited = digest()
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    assert len({before, edited, digest()}) == 3


@pytest.mark.parametrize("package", [kernels, models], ids=["kernels", "models"])
def test_these_sources_are_loaded(package):
    """No file was edited since the tests began, and the bytecode of every module is its own."""
    for path in package.SOURCES._paths:
        if path.stem != "__init__":
            importlib.import_module(f"{package.__name__}.{path.stem}")
    assert package.SOURCES.are_loaded()


PACKAGE = """
from pathlib import Path
from sk_dbn.kernels.sources import Sources
SOURCES = Sources(Path(__file__).parent, __name__)
"""


class Package:
    """A package of two modules, each a number, with its sources."""

    def __init__(self, folder, name):
        self.folder, self.name = folder / name, name
        self.folder.mkdir()
        self.write("__init__", PACKAGE)
        for module in ("one", "two"):
            self.write(module, "x = 1")
        self.sources = importlib.import_module(name).SOURCES

    def write(self, module, text):
        (self.folder / f"{module}.py").write_text(text)

    def read(self, module):
        return importlib.import_module(f"{self.name}.{module}").x

    def bytecode(self, module):
        return self.folder / "__pycache__" / f"{module}.{sys.implementation.cache_tag}.pyc"


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    name = "package_" + uuid.uuid4().hex
    yield Package(tmp_path, name)
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def test_sources_are_those_of_the_start(package):
    """Modules may be read one by one, as long as no file changes."""
    assert package.read("one") == 1
    assert package.sources.are_unchanged() and package.sources.are_loaded()
    assert package.read("two") == 1
    assert package.sources.are_loaded()


@pytest.mark.parametrize("n_read", [0, 1, 2])
def test_an_edit_is_seen_whenever_it_comes(package, n_read):
    """Before modules are read, between two of them and after: who knows which version they are.

    Nor is it forgotten when the edit is undone. A file that is gone or new is an edit too.
    """
    for module in ("one", "two")[:n_read]:
        package.read(module)
    os.replace(package.folder / "two.py", package.folder / "two.txt")
    assert not package.sources.are_unchanged()
    package.write("two", "x = 2")
    assert not package.sources.are_unchanged() and not package.sources.are_loaded()
    package.write("two", "x = 1")
    assert not package.sources.are_unchanged()


def test_bytecode_of_an_earlier_edit_is_not_that_of_the_sources(package):
    """Two edits of the same length within a second: Python runs the bytecode of the first."""
    path = package.folder / "one.py"
    py_compile.compile(path)
    status = path.stat()
    package.write("one", "x = 5")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    sources = Sources(package.folder, package.name)
    assert package.read("one") == 1  # which is Python's mistake
    assert sources.are_unchanged() and not sources.are_loaded()
    package.bytecode("one").unlink()
    del sys.modules[f"{package.name}.one"]
    importlib.invalidate_caches()
    assert package.read("one") == 5 and sources.are_loaded()


WITHIN_AN_IMPORT = """
import os, pathlib, sys
path = pathlib.Path({path!r})
class Editor:
    def find_spec(self, name, *args):
        if name == "tiny.compile":
            os.replace(path, path.with_suffix(".txt"))
            path.write_text({edited!r})
sys.meta_path.insert(0, Editor())
import tiny.callee
"""


def test_what_was_edited_meanwhile_is_not_kept(tiny):
    """The callee is read, and edited while it imports what compiles it.

    That takes seconds, because it imports numba.
    """
    path = tiny.folder / "callee.py"
    script = WITHIN_AN_IMPORT.format(path=str(path), edited=EDITED)
    assert tiny.run(script) == (ONE_MORE, NOT_CACHED) and path.read_text() == EDITED
    assert not tiny.cache_files()
