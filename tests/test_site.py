"""The documentation as built: what its pages load, and what they say about installing.

``.ci/run`` builds the pages and says where they are; otherwise those in ``docs/_build`` are read.
"""

import os
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

LOADS = re.compile(
    r"<(?:script|img|iframe|embed|source|video|audio|object|link|use)\b[^>]*?"
    r"\s(?:src|srcset|href|data)\s*=\s*[\"']?\s*(?:https?:)?//[^>]*>",
    re.I,
)
LOADS_BY_STYLE = re.compile(r"(?:@import\s+|url\(\s*)[\"']?(?:https?:)?//[^)\s;]*", re.I)
LOADS_BY_SCRIPT = re.compile(r"(?:import|fetch|importScripts)\(\s*[\"'`](?:https?:)?//", re.I)


@pytest.fixture(scope="module")
def html():
    """The folder of the built pages."""
    folder = Path(os.environ.get("SK_DBN_HTML", DOCS / "_build" / "html"))
    if not (folder / "index.html").exists():
        pytest.skip("the pages have not been built: python -m sphinx -b html docs docs/_build/html")
    return folder


def network_loads(text, kind):
    """What a file loads from the network, by its kind."""
    found = LOADS_BY_STYLE.findall(text) if kind in (".html", ".css") else []
    if kind == ".html":
        found += LOADS.findall(text)
    return found + (LOADS_BY_SCRIPT.findall(text) if kind in (".html", ".js") else [])


def test_pages_load_nothing_from_the_network(html):
    """They can be read on a train: no fonts, scripts, styles or pictures of other servers."""
    files = [path for path in html.rglob("*") if path.suffix in (".html", ".css", ".js")]
    assert len(files) > 50
    found = {
        str(path.relative_to(html)): loads
        for path in files
        if (loads := network_loads(path.read_text("utf-8"), path.suffix))
    }
    assert not found


@pytest.mark.parametrize(
    "text, kind",
    [
        ('<script src="https://cdn.jsdelivr.net/npm/mathjax.js"></script>', ".html"),
        ('<link rel="stylesheet" href="//fonts.example/css">', ".html"),
        ("<img alt='a' src='http://x.org/a.png'/>", ".html"),
        ("<style>@import url(https://x.org/a.css);</style>", ".html"),
        ("@font-face { src: url('https://x.org/a.woff2'); }", ".css"),
        ('fetch("https://x.org/a.json")', ".js"),
    ],
)
def test_loads_from_the_network_are_seen(text, kind):
    """A checker that finds nothing proves nothing."""
    assert len(network_loads(text, kind)) == 1


def test_links_are_no_loads():
    """A reader may follow them."""
    text = '<a href="https://numpy.org">NumPy</a><link rel="icon" href="_static/icon.png">'
    assert not network_loads(text, ".html")


def test_every_class_and_function_has_a_page(html):
    """That the table of the reference links to."""
    names = re.findall(r"^   ([\w.]+)$", (DOCS / "api.rst").read_text(), re.M)
    pages = {path.stem.rpartition(".")[2] for path in (html / "generated").glob("sk_dbn.*.html")}
    assert len(names) > 20
    assert pages == {name.rpartition(".")[2] for name in names}


def test_formulas_need_no_script(html):
    """They are MathML, which browsers draw themselves."""
    page = (html / "mathematics.html").read_text("utf-8")
    assert page.count("<math") > 20
    assert "<merror" not in page


def test_extras_are_listed():
    """The table of the installation names what each extra installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (DOCS / "install.rst").read_text()
    rows = re.split(r"^``(\w+)``", text[text.index("extra  ") :], flags=re.M)
    for name, row in zip(rows[1::2], rows[2::2], strict=True):
        for requirement in project["optional-dependencies"][name]:
            assert re.match(r"[\w-]+", requirement)[0] in row, (name, requirement)
    assert set(rows[1::2]) == set(project["optional-dependencies"])
