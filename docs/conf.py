"""Configuration of Sphinx: `python -m sphinx -W -b html docs docs/_build/html`.

Nothing is read from the network, neither while the pages are built nor while they are read.
`-D plot_gallery=1` runs the examples, and shows what they print and draw.
"""

import builtins
import shutil
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sklearn.experimental import enable_iterative_imputer  # noqa: F401, an example uses it
from sphinx.util import logging
from sphinx_gallery.scrapers import figure_rst

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import sk_dbn  # noqa: E402

project = "sk_dbn"
author = "The sk_dbn developers"
copyright = "The sk_dbn developers"
release = sk_dbn.__version__
version = release

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
suppress_warnings = ["config.cache"]  # of functions in sphinx_gallery_conf
templates_path = ["_templates"]
default_role = "literal"
nitpicky = True  # a name that is referred to exists, here or in an inventory
html_math_renderer = "mathml"

autodoc_default_options = {"members": True, "inherited-members": True, "member-order": "bysource"}
autosummary_generate = True
numpydoc_show_class_members = False  # autodoc writes them out
toc_object_entries_show_parents = "hide"

# Plain lists of the names that are linked to, in the first format of Sphinx's inventories.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3/", "inventories/python.txt"),
    "numpy": ("https://numpy.org/doc/stable/", "inventories/numpy.txt"),
    "scipy": ("https://docs.scipy.org/doc/scipy/", "inventories/scipy.txt"),
    "sklearn": ("https://scikit-learn.org/stable/", "inventories/sklearn.txt"),
    "pandas": ("https://pandas.pydata.org/docs/", "inventories/pandas.txt"),
    "joblib": ("https://joblib.readthedocs.io/en/stable/", "inventories/joblib.txt"),
}

html_theme = "pydata_sphinx_theme"
html_title = "sk_dbn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_sidebars = {"index": []}
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_toc_level": 2,
    "show_nav_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "default",
    "pygments_dark_style": "github-dark",
}

# Copying an example leaves out the prompts and the output.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def name_file(gallery_conf, path):
    """Tell an example where it is, as Python does and the gallery does not."""
    builtins.__file__ = path


def pictures_of_example(block, block_vars, gallery_conf):
    """Move what an example has drawn to its page; examples save and close their figures."""
    drawn = sorted((ROOT / "examples" / "output").glob("*.png"))
    paths = [next(block_vars["image_path_iterator"]) for _ in drawn]
    for source, target in zip(drawn, paths, strict=True):
        shutil.move(source, target)
    return figure_rst(paths, gallery_conf["src_dir"])


# From a first network to special uses.
EXAMPLES = (
    *("quickstart", "few_labels", "samples_to_label", "grid_search_depth_init"),
    *("uci_regression", "impute"),
    *("deep_network_gradients", "gradients_before_training", "adding_hidden_layers"),
    *("hundred_layers", "dying_relu", "dimension_reduction", "which_inputs_matter"),
    *("sensor_windows", "recommend", "complete_faces", "mnist_likelihood"),
)


def position(filename):
    """Where an example stands in the gallery."""
    return EXAMPLES.index(Path(filename).stem)


sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": r"/(benchmarks|studies)/|diagnosis_(study|recipes)\.py",
    "filename_pattern": r"/\w+\.py",
    "plot_gallery": "False",
    "image_scrapers": (pictures_of_example,),
    "reset_modules": ("matplotlib", name_file),
    "default_thumb_file": str(ROOT / "docs" / "pictures" / "no_picture.png"),
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sk_dbn",),
    "within_subsection_order": position,
    "remove_config_comments": True,
    "download_all_examples": False,
    "notebook_extensions": set(),  # examples are scripts with options
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,  # a page that would load scripts from the network
}


def skip_foreign_members(app, what, name, obj, skip, options):
    """Leave out what a class inherits from scikit-learn and Python, which document it."""
    module = getattr(obj, "__module__", None) or ""
    return skip or (what == "class" and module.split(".")[0] in ("sklearn", "collections"))


def mathml(node, as_block):
    """A formula as MathML, which browsers draw without a script."""
    try:
        return tex2mathml(node.astext(), as_block=as_block)
    except MathError as error:
        logging.getLogger(__name__).warning("formula: %s", error, location=node)
        return ""


def write_inline(translator, node):
    """Write a formula in a line of text."""
    translator.body.append(mathml(node, as_block=False))
    raise nodes.SkipNode


def write_block(translator, node):
    """Write a formula on a line of its own; a wide one scrolls."""
    translator.body.append(f'<div class="formula">{mathml(node, as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    """Connect the handlers of this file."""
    app.connect("autodoc-skip-member", skip_foreign_members)
    app.add_html_math_renderer("mathml", (write_inline, None), (write_block, None))
