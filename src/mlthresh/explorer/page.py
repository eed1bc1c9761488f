"""The page itself: a template, and the library's own style, scripts and data put into it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from mlthresh._arrays import as_groups, as_labels, as_scores, matched_class_names
from mlthresh._files import write_text_atomically
from mlthresh.certify import positives_needed
from mlthresh.exceptions import InputError
from mlthresh.explorer.content import Data, content
from mlthresh.explorer.presets import presets
from mlthresh.threshold_set import ScoreScale, ThresholdSet

__all__ = ["fill", "write_explorer"]

_SCRIPTS = ("intervals", "model", "export", "charts", "overview", "detail", "main")


def write_explorer(
    path: str | os.PathLike[str],
    y_true: Any,
    y_score: Any,
    *,
    thresholds: ThresholdSet | None = None,
    class_names: Sequence[str] | None = None,
    groups: Any = None,
    min_recall: float = 0.8,
    confidence: float = 0.95,
    score_scale: ScoreScale | None = None,
    source: str = "the labels and scores given",
) -> None:
    """Write a page on which thresholds can be moved and their figures seen, as one HTML file.

    The page needs no network and no server. It holds counts, not rows: of each class at most
    some 400 cuts, among them every threshold that it starts from and the highest F1. Figures are
    exact at these cuts. Thresholds downloaded from it are a file that `ThresholdSet.load` reads.

    Parameters
    ----------
    path : str or path
        Where to write; an existing file is replaced.
    y_true : array, tensor or frame of shape (n_samples, n_classes)
        Labels 0, 1 or NaN (missing: the row does not count for that class).
    y_score : array, tensor or frame of shape (n_samples, n_classes)
        Finite scores, higher for positives.
    thresholds : ThresholdSet, optional
        Shown first. Scores are compared in its data type.
    class_names : sequence of str, optional
        By default those of the frames or of the `ThresholdSet`.
    groups : array of shape (n_samples,), optional
        Which patient each row comes from: the units of certificates and, as in
        `multilabel_report`, of intervals.
    min_recall : float, default 0.8
        The floor, in [0, 1), of the certified thresholds, and the one that the page shows first.
    confidence : float, default 0.95
        Of intervals and certificates, in (0, 1).
    score_scale : {"probability", "real"}, optional
        By default that of the `ThresholdSet`, or probabilities where all scores lie in [0, 1].
    source : str
        What the data is; shown on the page.

    Returns
    -------
    None

    Raises
    ------
    InputError
        If an array, a name or an option is not as described, or there is no row.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> y_true = np.array([[1], [0], [1], [0], [0]])
    >>> y_score = np.array([[0.9], [0.8], [0.4], [0.2], [0.1]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "explorer.html")
    ...     write_explorer(path, y_true, y_score, class_names=["DR"])
    ...     path.read_text(encoding="utf-8")[:15]
    '<!doctype html>'
    """
    positives_needed(min_recall, confidence)  # checks both
    labels, label_columns = as_labels(y_true, "y_true")
    scores, score_columns = as_scores(y_score, labels.shape)
    n_samples, n_classes = labels.shape
    if n_samples == 0:
        raise InputError("y_true has no rows; there is nothing to explore")
    tuned = thresholds.class_names if thresholds is not None else None
    names = matched_class_names(n_classes, class_names, label_columns, score_columns, tuned)
    units = as_groups(groups, n_samples)
    if thresholds is not None:
        if thresholds.n_classes != n_classes:
            raise InputError(f"there are {thresholds.n_classes} thresholds, {n_classes} classes")
        scores = scores.astype(thresholds.thresholds.dtype, copy=False)
        score_scale = score_scale or thresholds.score_scale
    if score_scale is None:
        within = scores.min() >= 0 and scores.max() <= 1
        score_scale = "probability" if within else "real"
    starts = presets(
        labels,
        scores,
        class_names=names,
        groups=units,
        min_recall=min_recall,
        confidence=confidence,
        score_scale=score_scale,
        given=thresholds,
    )
    known = content(
        Data(labels, scores, units, names),
        starts,
        score_scale=score_scale,
        source=source,
        min_recall=min_recall,
        confidence=confidence,
    )
    write_text_atomically(path, fill(known))


def fill(known: dict[str, Any]) -> str:
    """Return the page that shows this content, as `mlthresh.explorer.content` describes it."""
    folder = files("mlthresh.explorer")
    read = {
        name: folder.joinpath(name).read_text(encoding="utf-8")
        for name in (
            *("template.html", "style.css", *(f"scripts/{name}.js" for name in _SCRIPTS)),
            *(f"vendor/{name}" for name in ("uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE")),
        )
    }
    licence = f"/* uPlot\n{read['vendor/uPlot.LICENSE']}\n*/\n"
    own = "\n".join(read[f"scripts/{name}.js"] for name in _SCRIPTS)
    charts = licence + read["vendor/uPlot.iife.min.js"]
    script = f'"use strict";\n(() => {{\n{own}}})();\n'
    style = read["vendor/uPlot.min.css"] + read["style.css"]
    parts = {
        "policy": f"default-src 'none'; img-src data:; style-src {_source(style)}; "
        f"script-src {_source(charts)} {_source(script)}",
        "title": html.escape(f"Thresholds of {known['source']}"),
        "style": style,
        "data": _json_in_html(known),
        "charts": charts,
        "script": script,
    }
    # One pass, so that nothing in a part is taken for a place to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], read["template.html"])


def _source(text: str) -> str:
    """Return what allows this very text in a content security policy, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json_in_html(value: Any) -> str:
    """Return strict JSON in ASCII in which no HTML parser finds a tag or an entity."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)
