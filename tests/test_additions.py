"""The lists of files in docs/contributing.rst are what an addition really touches."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "sk_dbn"

# Of each kind one that is there already, with a name that means nothing else.
EXAMPLES = {
    "An activation": "swish",
    "A solver": "nadam",
    "A schedule": "one_cycle",
    "An initialisation": "he_uniform",
    "A loss": "huber",
}


def lists():
    """The bullets of each list, as pairs of their files and the other names in them."""
    text = (ROOT / "docs" / "contributing.rst").read_text()
    section = text[text.index("Where to add things") : text.index("\nStyle\n")]
    found = {}
    for title, body in re.findall(r"^(An? [^\n]+)\n((?: +[^\n]*\n|\n)+)", section, re.M):
        for bullet in re.findall(r"^    \* (.+?)(?=^    \* |\Z)", body, re.M | re.S):
            names = re.findall(r"``([^`]+)``", bullet)
            head = re.findall(r"``([^`]+)``", bullet.split(":")[0])
            files = [name for name in head if name.endswith((".py", ".rst"))]
            others = [name for name in names if re.fullmatch(r"\w+", name)]
            found.setdefault(title, []).append((files, others))
    return found


def path_of(name):
    """Where a file of a list is, whose name is given as from the package or from the root."""
    return next(path for path in (PACKAGE / name, ROOT / name) if path.exists())


@pytest.mark.parametrize("title, name", EXAMPLES.items())
def test_a_name_occurs_in_the_files_of_its_list_and_in_no_others(title, name):
    """So the list is neither too short nor too long, but for files outside the package."""
    files = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
    occurs = {file for file, path in files.items() if re.search(rf"\b{name}\b", path.read_text())}
    listed = {file for bullet, _ in lists()[title] for file in bullet if file in files}
    assert occurs == listed


@pytest.mark.parametrize("title", lists())
def test_what_a_list_names_is_there(title):
    """Files exist, and one of the files of a bullet has the names that the bullet mentions."""
    for files, names in lists()[title]:
        texts = "".join(path_of(file).read_text() for file in files if "<" not in file)
        missing = [name for name in names if not re.search(rf"\b{name}\b", texts)]
        assert not (texts and missing), (files, missing)


def test_lists_are_read():
    """An empty list would pass the tests above."""
    found = lists()
    assert {*EXAMPLES, "A kind of RBM unit", "An estimator"} <= set(found)
    assert all(len(bullets) >= 3 for bullets in found.values())
