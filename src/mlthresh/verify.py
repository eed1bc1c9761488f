"""Whether the floors that thresholds were chosen under still hold on new data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import as_groups, as_labels, as_scores, matched_class_names, shown_names
from mlthresh._intervals import clopper_pearson
from mlthresh._tables import Section, TabledReport
from mlthresh.certify import check_confidence
from mlthresh.exceptions import InputError
from mlthresh.threshold_set import ThresholdSet

__all__ = ["FloorCheck", "VerificationReport", "verify_thresholds"]

Verdict = Literal["holds", "broken", "undecided", "no data"]
Rate = Literal["recall", "specificity"]


@dataclass(frozen=True)
class FloorCheck:
    """One floor of one class on new data.

    `met` of `units` satisfy it; the true rate lies above `lower` and, separately, below `upper`
    with the report's confidence.
    """

    class_name: str
    rate: Rate
    floor: float
    met: int
    units: int
    lower: float
    upper: float

    @property
    def observed(self) -> float:
        """The observed rate; NaN without units."""
        return self.met / self.units if self.units else float("nan")

    @property
    def verdict(self) -> Verdict:
        """What the bounds say about the floor."""
        if not self.units:
            return "no data"
        if self.lower >= self.floor:
            return "holds"
        return "broken" if self.upper < self.floor else "undecided"


@dataclass(frozen=True, repr=False)
class VerificationReport(TabledReport):
    """The floors of all classes on new data; see `verify_thresholds`.

    Attributes
    ----------
    checks : tuple of FloorCheck
        One a class and floor.
    confidence : float
        Of each bound by itself.

    Examples
    --------
    >>> check = FloorCheck("DR", "recall", 0.5, met=1, units=10, lower=0.01, upper=0.39)
    >>> VerificationReport((check,), confidence=0.95).broken
    ('DR',)
    """

    checks: tuple[FloorCheck, ...]
    confidence: float

    @property
    def broken(self) -> tuple[str, ...]:
        """Classes with a floor that this data refutes."""
        return tuple(dict.fromkeys(c.class_name for c in self.checks if c.verdict == "broken"))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "confidence": self.confidence,
            "checks": [
                {
                    **vars(check),
                    "observed": check.observed if check.units else None,
                    "verdict": check.verdict,
                }
                for check in self.checks
            ],
        }

    def _sections(self) -> list[Section]:
        header = ("class", "rate", "floor", "observed", "bounds", "verdict")
        rows = [
            [
                *(c.class_name, c.rate, f"{c.floor:.2f}", f"{c.met}/{c.units}"),
                *(f"[{c.lower:.3f}, {c.upper:.3f}]", c.verdict),
            ]
            for c in self.checks
        ]
        note = f"Each bound holds with {100 * self.confidence:g} % confidence."
        return [Section("", header, rows, [note], n_left=2)]


def verify_thresholds(
    thresholds: ThresholdSet,
    y_true: Any,
    y_score: Any,
    *,
    confidence: float = 0.95,
    groups: Any = None,
) -> VerificationReport:
    """Check the floors on recall and specificity on data that chose nothing.

    A floor "holds" where the one-sided exact (Clopper-Pearson) lower bound of the rate reaches
    it, is "broken" where the upper bound stays below it, and else is "undecided": this data is
    too little.

    Parameters
    ----------
    thresholds : ThresholdSet
        Found with `min_recall` or `min_specificity`, or both.
    y_true : array, tensor or frame of shape (n_samples, n_classes)
        Labels 0, 1 or NaN of new, independent samples.
    y_score : array, tensor or frame of shape (n_samples, n_classes)
        Scores of the model and on the scale that were tuned.
    confidence : float, default 0.95
        Of each bound by itself, in (0, 1).
    groups : array of shape (n_samples,), optional
        Patients as units: one meets the floor on recall if no positive image of theirs falls
        below the threshold, the one on specificity if no negative image reaches it.

    Returns
    -------
    VerificationReport
        One check a class and floor.

    Raises
    ------
    InputError
        If the thresholds have no such floor, or the data is not as described.

    Examples
    --------
    >>> import numpy as np
    >>> from mlthresh import find_optimal_thresholds
    >>> labels = np.array([[1], [0]]).repeat(20, axis=0)
    >>> scores = np.linspace(1, 0, 40)[:, None]
    >>> found = find_optimal_thresholds(labels, scores, min_recall=0.3)
    >>> report = verify_thresholds(found, labels[15:], scores[15:])
    >>> report.checks[0].verdict, report.checks[0].met, report.checks[0].units
    ('holds', 5, 5)
    """
    check_confidence(confidence)
    labels, label_columns = as_labels(y_true, "y_true")
    scores, score_columns = as_scores(y_score, labels.shape)
    n_samples, n_classes = labels.shape
    names = matched_class_names(n_classes, thresholds.class_names, label_columns, score_columns)
    shown = shown_names(names, n_classes)
    unit_of = as_groups(groups, n_samples)
    decided = np.asarray(thresholds.predict(scores))
    floors: tuple[tuple[str, Rate, Any, Any], ...] = (
        ("min_recall", "recall", decided, labels == 1),
        ("min_specificity", "specificity", ~decided, labels == 0),
    )
    checks = [
        check
        for option, rate, correct, of in floors
        if option in thresholds.options
        for check in _checks(
            thresholds.options[option], rate, correct, of, unit_of, shown, confidence
        )
    ]
    if not checks:
        raise InputError(
            "these thresholds have no floor to verify; they were found without min_recall and "
            f"min_specificity: {thresholds.options}"
        )
    return VerificationReport(tuple(checks), float(confidence))


def _checks(
    floor: Any,
    rate: Rate,
    correct: npt.NDArray[np.bool_],
    of: npt.NDArray[np.bool_],
    unit_of: npt.NDArray[np.intp] | None,
    names: Sequence[str],
    confidence: float,
) -> list[FloorCheck]:
    floors = np.broadcast_to(np.asarray(floor, dtype=np.float64), (len(names),))
    checks = []
    for c, name in enumerate(names):
        met = correct[of[:, c], c]
        if unit_of is not None:
            failed = np.unique(unit_of[of[:, c]][~met])
            met = ~np.isin(np.unique(unit_of[of[:, c]]), failed)
        k, n = int(met.sum()), len(met)
        # The bounds hold one at a time: each leaves out what an interval leaves out at both ends.
        lower, upper = clopper_pearson(k, n, 2 * confidence - 1).tolist() if n else (0.0, 1.0)
        checks.append(FloorCheck(name, rate, float(floors[c]), k, n, lower, upper))
    return checks
