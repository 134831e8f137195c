"""The disk cache: right, or a miss; and never where others could have put something."""

import itertools
import os
import stat
import warnings

import numba
import pytest

from sk_dbn.kernels import cache
from tests.tiny_package import CACHED, NOT_CACHED, ONE_MORE, Tiny


@pytest.fixture
def tiny(tmp_path):
    return Tiny(tmp_path)


# ---------------------------------------------------------------------------
# What is loaded is what was asked for
# ---------------------------------------------------------------------------


def test_damaged_files_are_misses(tiny):
    """A process killed while writing, or a bad disk, costs a compilation and no more."""
    tiny.run()
    damages = (
        lambda b: b[: len(b) // 2],
        lambda b: b"",
        lambda b: b[::-1],
        lambda b: b[:-1] + bytes([b[-1] ^ 1]),
    )
    for damage, path in zip(itertools.cycle(damages), tiny.cache_files()):
        path.write_bytes(damage(path.read_bytes()))
    assert tiny.run() == (ONE_MORE, NOT_CACHED)
    assert tiny.run() == (ONE_MORE, CACHED)  # and the damage was mended


def test_files_in_the_place_of_others_are_misses(tiny):
    """Each file says what it is the code of, so that of another signature, of another function
    or of older sources is not taken for it: wrong code would compute nonsense or end the process.
    """
    tiny.run()
    paths = tiny.cache_files()
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, contents[1:] + contents[:1]):
        path.write_bytes(content)
    assert tiny.run() == (ONE_MORE, NOT_CACHED)
    assert tiny.run() == (ONE_MORE, CACHED)


KILLED = """
import os
class Killed:
    left = {n_before}
    def __getattr__(self, name):
        return getattr(os, name)
    def replace(self, *args):
        if not self.left:
            os._exit(9)
        self.left -= 1
        os.replace(*args)
import tiny.cache
tiny.cache.os = Killed()
"""


@pytest.mark.parametrize("n_before", [1, 3])
def test_killed_while_saving(tiny, n_before):
    """Whatever a process had written when it was killed, the next one finds nothing or all."""
    killed = tiny.start(KILLED.format(n_before=n_before))
    killed.communicate()
    assert killed.returncode == 9
    assert len([path for path in tiny.cache_files() if path.suffix == ".nbc"]) == n_before
    assert tiny.run()[0] == ONE_MORE
    assert tiny.run() == (ONE_MORE, CACHED)


FULL_DISK = """
import errno, os, tiny.cache
class Full:
    def __getattr__(self, name):
        return getattr(os, name)
    def replace(self, *args):
        raise OSError(errno.ENOSPC, "No space left on device")
tiny.cache.os = Full()
"""

FULL_WHILE_WRITING = """
import errno, io, tiny.cache
class Full(io.FileIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")
def full_open(path, mode="r", **kwargs):
    return Full(path, mode, **kwargs) if mode == "xb" else open(path, mode, **kwargs)
tiny.cache.open = full_open
"""

VANISHED = """
import os, shutil
from tiny import caller
shutil.rmtree(os.environ["NUMBA_CACHE_DIR"])
"""


@pytest.mark.parametrize(
    "trouble", [FULL_DISK, FULL_WHILE_WRITING, VANISHED], ids=["rename", "write", "vanished"]
)
def test_trouble_while_saving(tiny, trouble):
    """The disk fills, or the directory goes, between import and the first call: no error."""
    assert tiny.run(before=trouble) == (ONE_MORE, NOT_CACHED)
    assert not tiny.cache_files()
    assert tiny.run()[0] == ONE_MORE


def test_processes_may_compile_at_the_same_time(tiny):
    """Files are written aside and renamed, so whoever comes last replaces equals by equals."""
    for values, _ in map(tiny.result, [tiny.start() for _ in range(3)]):
        assert values == ONE_MORE
    assert tiny.run() == (ONE_MORE, CACHED)


def test_code_of_another_processor_is_a_miss(tiny):
    """It may have instructions that this one lacks, or another order of operations."""
    tiny.run()
    other = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert tiny.run(**other) == (ONE_MORE, NOT_CACHED)


@pytest.mark.parametrize("name", cache.SETTINGS)
def test_settings_that_change_code(monkeypatch, name):
    """Code that does not check indices is no substitute for code that does, nor the other way."""
    before = cache.settings()
    monkeypatch.setattr(numba.config, name, "another")
    assert cache.settings() != before


# ---------------------------------------------------------------------------
# Nobody else can have put it there
# ---------------------------------------------------------------------------

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs owners and modes of files")


def test_no_place_for_a_cache(tiny):
    """Files where the directories should be: no place is left, compilation does its work."""
    blocked = tiny.folder.parent / "blocked"
    for path in (blocked, tiny.folder / "__pycache__"):
        path.write_text("a file, not a directory")
    places = dict.fromkeys(["NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME"], str(blocked))
    assert tiny.run(**places) == (ONE_MORE, NOT_CACHED)
    assert not tiny.cache_files()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user"
)
def test_read_only_cache_directory(tiny):
    """A directory that may not be written is no place for a cache, and no error."""
    tiny.cache.mkdir(mode=0o500)
    assert tiny.run()[0] == ONE_MORE


class Places:
    """The three places of which one is chosen, none made yet but what is asked for."""

    def __init__(self, root, monkeypatch):
        self.kernels, self.home, self.chosen = root / "kernels", root / "home", root / "chosen"
        self.kernels.mkdir()
        self.package = self.kernels / "__pycache__"
        self._monkeypatch = monkeypatch
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setenv("HOME", str(self.home))
        self.choose("")

    def choose(self, path, named=None):
        """Set NUMBA_CACHE_DIR, as numba knows it and as the environment names it."""
        self._monkeypatch.setattr(numba.config, "CACHE_DIR", str(path))
        self._monkeypatch.setenv("NUMBA_CACHE_DIR", str(path) if named is None else named)

    def find(self):
        """Which of the places is taken: its attribute's name, or None."""
        folder = cache.find_folder(self.kernels)
        if folder is None:
            return None
        assert folder.path.is_absolute() and folder.path.is_dir()
        places = ("chosen", "package", "home")
        return next(name for name in places if folder.path.is_relative_to(getattr(self, name)))


@pytest.fixture
def places(tmp_path, monkeypatch):
    return Places(tmp_path, monkeypatch)


def test_the_best_place_is_taken(places):
    """What the user chose, else beside the kernels, else the user's cache directory."""
    assert places.find() == "package"
    places.package.rmdir()
    places.package.write_text("a file, not a directory")
    assert places.find() == "home"
    places.choose(places.chosen)
    assert places.find() == "chosen"


@posix
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o757])
def test_a_folder_that_others_can_write_to_is_not_taken(places, mode):
    """Whoever can write there can have a pickle executed; the sticky bit does not change that."""
    places.package.mkdir()
    places.package.chmod(mode)
    assert places.find() == "home"
    folder = cache.find_folder(places.kernels).path
    folder.chmod(mode)
    assert places.find() is None


@posix
@pytest.mark.parametrize(
    ("above", "own"), [(0o777, 0o755), (0o1777, 0o777), (0o755, 0o1777), (0o755, 0o757)]
)
def test_a_chosen_folder_may_not_be_open_to_all(places, above, own):
    """Who names a folder trusts its owner and perhaps a group, but nobody trusts everybody.

    Of a folder in one that all may write to, only the sticky bit says that it cannot be replaced.
    """
    places.choose(places.chosen)
    assert places.find() == "chosen"
    folder = cache.find_folder(places.kernels).path
    places.chosen.chmod(above)
    folder.chmod(own)
    assert places.find() == "package"
    with pytest.warns(RuntimeWarning, match="no machine code in .*chosen.* other users can write"):
        cache.warn_of_distrusted(places.kernels)
    places.chosen.chmod(0o1777)
    folder.chmod(0o775)
    assert places.find() == "chosen"


@posix
def test_it_is_told_why_nothing_is_cached(places):
    """Where nobody named a folder, only if none is left; without any there is nothing to say."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert places.find() == "package"
        cache.warn_of_distrusted(places.kernels)
        places.package.chmod(0o777)
        assert places.find() == "home"
        cache.warn_of_distrusted(places.kernels)
    cache.find_folder(places.kernels).path.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="__pycache__.* NUMBA_CACHE_DIR to a folder"):
        cache.warn_of_distrusted(places.kernels)


@posix
def test_a_process_warns_and_works(tiny):
    """Once, when it compiles, and never an error."""
    tiny.cache.mkdir()
    tiny.cache.chmod(0o777)
    places = {"NUMBA_CACHE_DIR": str(tiny.cache), "HOME": "/dev/null", "XDG_CACHE_HOME": ""}
    (tiny.folder / "__pycache__").write_text("a file, not a directory")
    process = tiny.start("import warnings; warnings.simplefilter('always')\n", **places)
    out, err = process.communicate()
    assert process.returncode == 0 and err.count("RuntimeWarning") == 1, err
    assert [float(x) for x in out.splitlines()[0].split()] == ONE_MORE
    assert not tiny.cache_files()


@posix
def test_a_folder_of_another_user_is_not_taken(places, monkeypatch):
    """Its owner can write to it, whatever its mode. Root, too, is another user than its owner."""
    uid = os.geteuid()
    places.find()
    monkeypatch.setattr(cache.os, "geteuid", lambda: uid + 1)
    assert places.find() is None
    places.choose(places.chosen)  # trusting its owner is the choice that was made
    assert places.find() == "chosen"


@posix
@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_what_is_made_is_private_whatever_the_umask(places, umask):
    """So that a permissive umask does not cost the cache."""
    before = os.umask(umask)
    try:
        assert places.find() == "package"
        places.choose(places.chosen)
        assert places.find() == "chosen"
    finally:
        os.umask(before)
    assert not stat.S_IMODE(places.package.stat().st_mode) & 0o022


def test_only_the_environment_chooses(places):
    """numba reads a file in the working directory as well, which anybody can have put there."""
    places.choose(places.chosen, named="")
    assert places.find() == "chosen"  # it is private
    cache.find_folder(places.kernels).path.chmod(0o777)
    assert places.find() == ("package" if hasattr(os, "geteuid") else "chosen")


@posix
def test_no_relative_folder_without_a_home(places, monkeypatch, tmp_path):
    """Of a user who has no home directory "~" stays as it is, relative to where one works."""
    pwd = pytest.importorskip("pwd")

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    places.package.write_text("a file, not a directory")
    assert places.find() is None
    for relative in ("relative", "~/.cache", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert places.find() is None
    assert sorted(os.listdir(tmp_path)) == ["kernels"]


@posix
def test_a_relative_choice_is_settled_at_import(tiny, tmp_path):
    """It means one folder, whatever the working directory becomes, and only a private one."""
    (tmp_path / "elsewhere").mkdir()
    move = "import os; from tiny import caller; os.chdir('elsewhere')\n"
    assert tiny.run(move, tmp_path, NUMBA_CACHE_DIR="cache") == (ONE_MORE, NOT_CACHED)
    assert tiny.cache_files() and not os.listdir(tmp_path / "elsewhere")
    assert tiny.run(move, tmp_path, NUMBA_CACHE_DIR="cache") == (ONE_MORE, CACHED)
    tiny.cache_files()[0].parent.chmod(0o777)
    assert tiny.run(move, tmp_path, NUMBA_CACHE_DIR="cache") == (ONE_MORE, NOT_CACHED)


@posix
def test_files_that_others_could_write_are_misses(tiny):
    """A folder may have been open once, or be replaced later: each file has to be private too."""
    beside = {"NUMBA_CACHE_DIR": ""}
    tiny.cache = tiny.folder / "__pycache__"
    assert tiny.run(**beside) == (ONE_MORE, NOT_CACHED)
    assert tiny.run(**beside) == (ONE_MORE, CACHED)
    for path in tiny.cache_files():
        path.chmod(0o664)
    assert tiny.run(**beside) == (ONE_MORE, NOT_CACHED)
    assert tiny.run(**beside) == (ONE_MORE, CACHED)


@posix
def test_chosen_files_that_all_could_write_are_misses(tmp_path):
    """The group's members are trusted where a folder was named, everybody is not."""
    one = cache.DiskCache(test_no_place_for_a_cache, cache.Folder(tmp_path, False), None, None)
    one._write(b"key", b"content")
    for mode, content in ((0o664, b"content"), (0o666, None), (0o646, None), (0o644, b"content")):
        one._path(b"key").chmod(mode)
        assert one._read(b"key") == content
