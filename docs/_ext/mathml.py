"""Formulas as MathML, made while the site is built: pages need neither a script nor a network.

Every browser of today draws MathML Core. A formula that cannot be converted is a warning, which
fails the build.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

# What the converter does not know, said in what it knows.
_REWRITTEN = (
    (r"\\arg\s*\\(max|min)(?![a-zA-Z])", r"\\operatorname{arg \1}"),
    (r"\\sim(?![a-zA-Z])", "\N{TILDE OPERATOR}"),
    (r"\\(begin|end)\{(aligned|gather\*?|gathered)\}", r"\\\1{split}"),
)


def to_mathml(tex: str, display: str) -> str:
    """Return a ``<math>`` element; display is "inline" or "block"."""
    for pattern, replacement in _REWRITTEN:
        tex = re.sub(pattern, replacement, tex)
    mathml = convert(tex, display=display)
    left = re.search(r"<(m[ion])>(\\[^<]*|&)</\1>", mathml)
    if left:
        raise ValueError(f"{left[2]!r} is not known")
    if display == "block":  # limits stand below
        mathml = re.sub(
            r"<msub>(<mo[^>]*>(?:max|min|arg max|arg min)</mo>)(.*?)</msub>",
            r"<munder>\1\2</munder>",
            mathml,
        )
    # An upright word is one identifier, not a row of letters.
    return re.sub(
        r'(?:<mi mathvariant="normal">\w</mi>){2,}',
        lambda letters: f"<mi>{re.sub('<[^>]*>', '', letters[0])}</mi>",
        mathml,
    )


def _converted(node: Any, display: str) -> str:
    tex = node.astext()
    if display == "block" and (r"\\" in tex or "&" in tex) and r"\begin" not in tex:
        tex = rf"\begin{{split}}{tex}\end{{split}}"
    try:
        return to_mathml(tex, display)
    except Exception as error:  # the converter raises many kinds
        logger.warning("formula %r: %s", tex, error, location=node)
        return ""


def visit_inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_converted(node, "inline"))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    number = ""
    if node.get("number"):
        number = f'<span class="eqno">({get_node_equation_number(translator, node)})</span>'
    opening = translator.starttag(node, "div", CLASS="math", tabindex="0")
    translator.body.append(f"{opening}{number}{_converted(node, 'block')}</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
