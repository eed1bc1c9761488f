"""Whether the probabilities mean what they say, on the test images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from examples.rfmid.predictions import Predictions
from examples.rfmid.tables import number

_N_BINS = 10

_Scores = npt.NDArray[np.floating[Any]]


def calibration(test: Predictions) -> dict[str, Any]:
    """Compare predicted with observed frequency, for the probabilities and for the raw scores.

    Returns
    -------
    dict
        For ``"probability"`` and ``"raw"``: ``macro_error``, the expected calibration error (ten
        bins of equal numbers of images) averaged over classes, ``log_loss``, averaged over all
        known labels, and ``mean_score`` of each class; ``observed``, the part of the images that
        show each class; ``log_loss_of_prevalence``, that of predicting ``observed`` for everyone.
        Classes without a known label are None.
    """
    known = ~np.isnan(test.y_true)
    labels = np.where(known, test.y_true, 0)
    observed = _mean(labels, known)
    return {
        "probability": _against(test.y_score, labels, known),
        "raw": _against(test.y_sigmoid, labels, known),
        "observed": observed,
        "log_loss_of_prevalence": _log_loss(
            np.broadcast_to(np.array(observed, dtype=np.float64), labels.shape), labels, known
        ),
    }


def calibration_summary(found: dict[str, Any]) -> str:
    """Write one line of it."""
    probability, raw = found["probability"], found["raw"]
    return (
        f"macro calibration error {number(probability['macro_error'])} (raw scores "
        f"{number(raw['macro_error'])}), log loss {number(probability['log_loss'])} (raw "
        f"{number(raw['log_loss'])}; predicting each prevalence "
        f"{number(found['log_loss_of_prevalence'])})"
    )


def _against(scores: _Scores, labels: _Scores, known: npt.NDArray[np.bool_]) -> dict[str, Any]:
    errors = [
        _calibration_error(scores[known[:, c], c], labels[known[:, c], c])
        for c in range(labels.shape[1])
        if known[:, c].any()
    ]
    return {
        "macro_error": float(np.mean(errors)),
        "log_loss": _log_loss(scores, labels, known),
        "mean_score": _mean(scores, known),
    }


def _calibration_error(scores: _Scores, labels: _Scores) -> float:
    order = np.argsort(scores, kind="stable")
    gaps = [
        len(part) * abs(scores[part].mean() - labels[part].mean())
        for part in np.array_split(order, _N_BINS)
        if len(part)
    ]
    return float(sum(gaps) / len(scores))


def _log_loss(scores: _Scores, labels: _Scores, known: npt.NDArray[np.bool_]) -> float:
    tiny = np.finfo(np.float64).tiny
    p = scores.astype(np.float64)
    loss = -labels * np.log(np.maximum(p, tiny)) - (1 - labels) * np.log1p(
        -np.minimum(p, 1 - np.finfo(np.float64).epsneg)
    )
    return float(loss[known].mean())


def _mean(values: _Scores, known: npt.NDArray[np.bool_]) -> list[float | None]:
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0).sum(axis=0, dtype=np.float64)
    return [float(total / n) if n else None for total, n in zip(sums, counts, strict=True)]
