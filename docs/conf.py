"""Configuration of Sphinx: `python -m sphinx -W -b html docs docs/_build/html`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sk_dbn

project = "sk_dbn"
author = "The sk_dbn developers"
copyright = "The sk_dbn developers"
release = sk_dbn.__version__
version = release

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["_build"]
default_role = "literal"
html_theme = "alabaster"

autodoc_default_options = {"members": True, "inherited-members": True, "member-order": "bysource"}
numpydoc_show_class_members = False  # autodoc writes them out


def skip_foreign_members(app, what, name, obj, skip, options):
    """Leave out what a class inherits from scikit-learn, which documents it."""
    module = getattr(obj, "__module__", None) or ""
    return skip or (what == "class" and module.split(".")[0] == "sklearn")


def setup(app):
    """Connect the handlers of this file."""
    app.connect("autodoc-skip-member", skip_foreign_members)
