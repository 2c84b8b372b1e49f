"""Sphinx configuration; every page that shows output is executed when the documentation is built.

With the environment variable BRIAN_QIF_DOCS=smoke only the pages that take seconds are executed: `make docs-smoke`.
Names of pages, as in BRIAN_QIF_DOCS=qif.md,fitting.md, have these executed.
"""

import importlib.util
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "scripts"))

from build_hooks import add_examples, count_executed, drop_empty_globs  # noqa: E402

from brian_qif import __version__  # noqa: E402

QUICK = {"index.md", "qif.md", "first_gradient.md", "which-solver.md", "new-loss.md"}
chosen = os.environ.get("BRIAN_QIF_DOCS", "")
EXECUTED = QUICK if chosen == "smoke" else set(filter(None, chosen.split(",")))

project = "brian_qif"
author = "The brian_qif developers"
copyright = "the brian_qif developers"
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    # Formulas are set without a network, too.
    "sphinx-mathjax-offline",
    "numpydoc",
]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
# Links to headings of other pages are checked: myst.xref_missing is a warning, and warnings are errors.
myst_heading_anchors = 3
exclude_patterns = ["_build", "scripts"]
html_theme = "furo"
html_title = "brian_qif"
html_static_path = ["_static"]
html_css_files = ["style.css"]

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
if EXECUTED:
    pages = Path(__file__).parent.rglob("*.md")
    nb_execution_excludepatterns = sorted({page.name for page in pages} - EXECUTED)

autosummary_generate = False
autodoc_member_order = "bysource"
# PyTorch, some gigabytes, is not needed to read the docstring of its bridge.
autodoc_mock_imports = [] if importlib.util.find_spec("torch") else ["torch"]
numpydoc_show_class_members = False
numpydoc_show_inherited_class_members = False
suppress_warnings = ["mystnb.unknown_mime_type"]
if EXECUTED:
    suppress_warnings.append("myst-nb.lexer")  # cells that were not executed have no language
# `make linkcheck` asks external addresses too; publishers refuse programs.
linkcheck_ignore = [r"https://doi\.org/.*"]
linkcheck_timeout = 20


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", add_examples)
    app.connect("source-read", drop_empty_globs)
    app.connect("build-finished", count_executed)
