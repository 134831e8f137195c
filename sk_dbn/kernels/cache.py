"""Machine code on disk: where it may lie, and how it is known to be what was asked for.

**Where.** Cached code is a pickle, and loading a pickle runs what is in it. So code is kept in,
and loaded from, a folder that nobody but the user can write to:

1. the folder that the environment variable ``NUMBA_CACHE_DIR`` names. An absolute path is the
   user's choice, who may share it with some others; not with everybody, though. A relative one,
   or one that numba was told by other means, has to be private as the following have.
2. ``__pycache__`` beside the kernels, where Python keeps code that it runs in any case;
3. the user's cache directory.

Private is a folder that belongs to the effective user and that neither group nor others may
write to. The same is asked of each file when it is read, so it does not matter who can rename
the folders above. A path is absolute from the moment of import, whatever becomes of the working
directory. Where there is no such folder (it cannot be written to, there is no home directory),
nothing is cached. If others could write to it, there is a warning.

**What.** Each signature of each function has a file of its own, named by a digest of all that
identifies the code. The file begins with a digest of that and of its content, so one that is cut
short, damaged, or in another one's place is a miss, like one that is not there. It is written
aside and renamed: a process that is killed leaves the old file or the new one.
"""

import contextlib
import hashlib
import os
import pathlib
import pickle
import stat
import sys
import tempfile
import uuid
import warnings
from collections import namedtuple

import llvmlite
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

from sk_dbn.kernels import self_test
from sk_dbn.kernels.interrupts import uninterrupted

Folder = namedtuple("Folder", "path private")
Folder.__doc__ = """Where machine code is kept.

path : pathlib.Path, absolute
private : bool, whether files in it have to be private too
"""

VERSIONS = numba.__version__, llvmlite.__version__, sys.implementation.cache_tag

# Of numba's configuration, what changes machine code: optimisation, checks and debugging.
SETTINGS = (
    *("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DISABLE_INTEL_SVML", "BOUNDSCHECK"),
    *("DEBUGINFO_DEFAULT", "EXTEND_VARIABLE_LIFETIMES"),
    *("LLVM_REFPRUNE_PASS", "LLVM_REFPRUNE_FLAGS"),
)


def settings():
    """The settings of this process that change machine code.

    Returns
    -------
    tuple of str
    """
    return tuple(str(getattr(numba.config, name, None)) for name in SETTINGS)


def find_folder(kernels):
    """The folder that the machine code of some kernels may be kept in.

    Parameters
    ----------
    kernels : path of the folder that their sources lie in

    Returns
    -------
    Folder or None
        None where there is none that can be written to and be trusted.
    """
    for folder in _places(pathlib.Path(kernels).absolute()):
        with contextlib.suppress(OSError):
            if _is_usable(folder):
                return folder
    return None


def warn_of_distrusted(kernels):
    """Warn of a folder that is not used because others can write to it.

    Of a folder that nobody named there is a warning only if no other one is left.

    Parameters
    ----------
    kernels : path, see `find_folder`
    """
    places = _places(pathlib.Path(kernels).absolute())
    distrusted = [folder for folder in places if _is_distrusted(folder)]
    if distrusted and not (distrusted[0].private and find_folder(kernels)):
        warnings.warn(
            f"sk_dbn keeps no machine code in {distrusted[0].path}, because other users can write "
            "there and loading it would run what they have put there. Unless it finds another "
            "folder, kernels are compiled anew in every process. Set the environment variable "
            "NUMBA_CACHE_DIR to a folder that only you can write to.",
            RuntimeWarning,
        )


def _places(kernels):
    """Where the code could be kept, the best place first."""
    # The name that numba gives to the folder of a package among those of others.
    own = f"{kernels.name}_{hashlib.sha256(str(kernels).encode()).hexdigest()[:32]}"
    if numba.config.CACHE_DIR:
        named = os.environ.get("NUMBA_CACHE_DIR") == numba.config.CACHE_DIR
        chosen = named and os.path.isabs(numba.config.CACHE_DIR)
        yield Folder(pathlib.Path(numba.config.CACHE_DIR).absolute() / own, not chosen)
    yield Folder(kernels / "__pycache__", True)
    user = AppDirs(appname="numba", appauthor=False).user_cache_dir
    yield Folder(pathlib.Path(user) / own, True)


def _is_usable(folder):
    """Whether a folder, made where there is none, may be trusted and written to."""
    if not folder.path.is_absolute():
        return False  # "~/.cache" of a user who has no home directory
    for path in (folder.path.parent, folder.path):  # whatever the umask
        path.mkdir(0o755 if folder.private else 0o775, parents=True, exist_ok=True)
    if _is_distrusted(folder):
        return False
    tempfile.TemporaryFile(dir=folder.path).close()
    return True


def _is_distrusted(folder):
    """Whether there is a folder, but not a private one, or if it need not be, one open to all."""
    try:
        status, above = folder.path.stat(), folder.path.parent.stat()
    except OSError:
        return False
    if folder.private:
        return not is_private(status)
    can_be_replaced = is_open(above) and not above.st_mode & stat.S_ISVTX
    return is_open(status) or can_be_replaced


def is_private(status):
    """Whether a file or folder is the user's, who alone may write to it.

    Parameters
    ----------
    status : os.stat_result

    Returns
    -------
    bool
        True on Windows, whose permissions are not in there.
    """
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def is_open(status):
    """Whether every user may write to a file or folder.

    Parameters
    ----------
    status : os.stat_result

    Returns
    -------
    bool
        False on Windows, whose permissions are not in there.
    """
    return hasattr(os, "geteuid") and bool(status.st_mode & 0o002)


class DiskCache(NullCache):
    """The cache of one function, in which every failure is a miss and never an error.

    A full disk, a folder that became read-only or went, a file that cannot be unpickled: they
    all surface as different exceptions, and compiling is the right answer to each. What numba has
    to do for it is not among them: that is tried before the first code is kept (`self_test`).

    Parameters
    ----------
    function : callable
        Its qualified name has to change with any source that it is compiled from.
    folder : Folder
    required : callable
        Given the library of some code, functions that have to be called before it is loaded.
    sources : Sources
        Those that the function and all that it calls are compiled from.
    """

    def __init__(self, function, folder, required, sources):
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._folder, self._required, self._sources = folder, required, sources
        self._is_asked = self._is_served = False

    @property
    def cache_path(self):
        """The folder, for numba's statistics."""
        return str(self._folder.path)

    def load_overload(self, sig, target_context):
        """The cached machine code of one signature, or None."""
        self._is_asked = True
        if self_test.has_failed() or not self._sources.are_unchanged():
            return None
        try:
            with uninterrupted():
                target_context.refresh()
            content = self._read(self._key(sig, target_context.codegen()))
            if content is None:
                return None
            result = CompileResult._rebuild(target_context, *pickle.loads(content))
            if result.signature.args != _arguments(sig):
                return None
            self._is_served = True
            return result
        except Exception:
            return None

    def save_overload(self, sig, data):
        """Keep the machine code of one signature, if that is possible."""
        self._is_served = True
        if not self_test.has_passed(data, self._required):
            return
        try:
            if data.lifted or data.library.has_dynamic_globals:
                return  # it holds addresses of this process
            if not self._sources.are_loaded():
                return
            data.reload_init.extend(self._required(data.library))
            self._write(self._key(sig, data.codegen), dumps(data._reduce()))
        except (OSError, MemoryError):
            pass
        except Exception as error:
            self_test.give_up(f"{type(error).__name__}: {error}")

    def check_use(self):
        """Check that numba has asked for code, and handed over what was compiled for want of it."""
        if not (self._is_asked and self._is_served):
            self_test.give_up("it compiles without asking the cache of a function")

    def _key(self, sig, codegen):
        """All that tells this machine code from any other."""
        origin = *VERSIONS, *settings()
        return repr((self._name, _arguments(sig), codegen.magic_tuple(), origin)).encode()

    def _path(self, key):
        name = f"{self._name.rpartition('.')[2]}.{hashlib.sha256(key).hexdigest()[:32]}.nbc"
        return self._folder.path / name

    def _read(self, key):
        """What was kept under a key, or None."""
        with open(self._path(key), "rb") as file:
            status = os.fstat(file.fileno())
            if is_open(status) or (self._folder.private and not is_private(status)):
                return None
            digest, content = file.read(hashlib.sha256().digest_size), file.read()
        return content if digest == _digest(key, content) else None

    def _write(self, key, content):
        """Keep something under a key: all of it or nothing."""
        path = self._path(key)
        aside = path.with_suffix(f".{uuid.uuid4().hex}")
        try:
            with open(aside, "xb", opener=_open_private) as file:
                file.write(_digest(key, content) + content)
            os.replace(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise


def _arguments(sig):
    """The types of the arguments, of a signature or of these types."""
    return tuple(getattr(sig, "args", sig))


def _digest(key, content):
    return hashlib.sha256(hashlib.sha256(key).digest() + content).digest()


def _open_private(path, flags):
    return os.open(path, flags, 0o644)
