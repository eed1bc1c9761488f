"""Sphinx configuration; every warning is an error (`make docs`)."""

from __future__ import annotations

import mlthresh

project = "mlthresh"
author = "The mlthresh developers"
copyright = "2026, The mlthresh developers"
version = release = mlthresh.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
suppress_warnings = ["toc.empty_glob"]  # a section may be waiting for its first page
myst_enable_extensions = ["dollarmath", "deflist"]
default_role = "py:obj"  # a name in single backquotes is a link where it is documented

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say shapes and domains, which types do not
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "furo"
html_title = f"mlthresh {version}"
html_show_sourcelink = False
html_copy_source = False
