"""Sphinx configuration; every page that shows output is executed when the documentation is built."""

from brian_qif import __version__

project = "brian_qif"
author = "The brian_qif developers"
copyright = "the brian_qif developers"
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
exclude_patterns = ["_build", "scripts"]
html_theme = "furo"
html_title = "brian_qif"

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autosummary_generate = False
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_show_inherited_class_members = False
suppress_warnings = ["mystnb.unknown_mime_type"]
