"""The sources of machine code: their digest, and whether they are what this process runs.

Machine code is cached under a digest of its sources. While files are edited, a process may run
modules of which some were read before an edit and some after it. What it compiles then has no
digest, so it neither reads nor writes the cache:

* `Sources` is made by `__init__` of the kernels, before any other of their modules is read;
* the files must still be what they were then, by inode, size and time of modification;
* Python runs the bytecode in a ``.pyc`` file if its source has the size and was edited in the
  second that are noted there. After a second edit within that second, it is the bytecode of the
  first. So before code is kept, bytecode is compared with sources.
"""

import hashlib
import pathlib
import sys
from functools import cached_property
from importlib.machinery import SourceFileLoader


def source_files(folder):
    """The files that machine code is made from; of a frozen application, the application.

    Parameters
    ----------
    folder : path

    Returns
    -------
    list of pathlib.Path
    """
    found = sorted(pathlib.Path(folder).glob("*.py"))
    return found or ([pathlib.Path(sys.executable)] if getattr(sys, "frozen", False) else [])


def digest_of(paths):
    """Digest of the names and contents of files.

    numba's cache notices an edit of the cached function only, not one of the functions
    it calls from other files.

    Parameters
    ----------
    paths : iterable of pathlib.Path

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Sources:
    """The sources of a package, as they were when this was made.

    Parameters
    ----------
    folder : path
    package : str, its name
    """

    def __init__(self, folder, package):
        self._paths, self._package = source_files(folder), package
        self._states = _states(self._paths)
        self._compared = set()  # modules whose bytecode is that of their source

    def __bool__(self):
        return bool(self._paths)

    @cached_property
    def digest(self):
        """Their digest, if they `are_unchanged`; otherwise it belongs to nothing."""
        return digest_of(self._paths)

    def are_unchanged(self):
        """Whether no file was edited since; if one was, modules may be of either version."""
        return _states(self._paths) == self._states

    def are_loaded(self):
        """Whether all modules that were imported are what these sources say."""
        return self.are_unchanged() and all(map(self._is_loaded, self._paths))

    def _is_loaded(self, path):
        """Whether a module, if it was imported, has the bytecode of its source."""
        name = f"{self._package}.{path.stem}"
        loader = getattr(sys.modules.get(name), "__loader__", None)
        if name not in self._compared and isinstance(loader, SourceFileLoader):
            source = loader.source_to_code(path.read_bytes(), str(path))
            if loader.get_code(name) != source:
                return False
            self._compared.add(name)
        return True


def _states(paths):
    """What tells that files were written again; of a file that is gone, None."""
    return [_state(path) for path in paths]


def _state(path):
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
