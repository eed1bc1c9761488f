"""Sphinx configuration; every warning is an error, and nothing is fetched (`make docs`)."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import mlthresh

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]  # the gallery uses benchmarks' simulations

project = "mlthresh"
author = "The mlthresh developers"
copyright = "2026, The mlthresh developers"
version = release = mlthresh.__version__

extensions = [
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery", "sg_execution_times.rst"]
suppress_warnings = ["config.cache"]  # the gallery's settings hold objects
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
default_role = "py:obj"  # a name in single backquotes is a link where it is documented
nitpicky = True  # and a name of ours that is documented nowhere is an error
nitpick_ignore_regex = [(".*", r"(?!mlthresh\b).*")]

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say shapes and domains, which types do not
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "backreferences_dir": "auto_gallery/used_by",
    "doc_module": ("mlthresh",),
    "reference_url": {"mlthresh": None},
    "within_subsection_order": "FileNameSortKey",
    "image_srcset": ["2x"],
    "abort_on_example_error": True,
    "capture_repr": (),  # what is printed is shown, and not what Matplotlib returns
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 60,
    "remove_config_comments": True,
}

templates_path = ["_templates"]

html_theme = "furo"
html_title = f"mlthresh {version}"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False


def skip_member(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool:
    """Leave out what scikit-learn and torch put into classes of ours."""
    return (
        skip or re.fullmatch(r"set_\w+_request|get_metadata_routing|extra_repr", name) is not None
    )


def setup(app: Sphinx) -> None:
    app.connect("autodoc-skip-member", skip_member)
    app.add_lexer("csv", TextLexer)  # Pygments has none
