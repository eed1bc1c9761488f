"""What a model says of one photograph, by disease: what commands and pages show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from PIL import Image

from examples.rfmid.serving.bundle import Bundle
from examples.rfmid.serving.ensemble import Ensemble
from examples.rfmid.serving.exported import Exported

Predictor: TypeAlias = Bundle | Ensemble | Exported


class Grade(NamedTuple):
    """The most probable grade of severity.

    `highest` is the disease's last grade; 0 is absence.
    """

    grade: int
    probability: float
    highest: int


@dataclass(frozen=True)
class Examination:
    """What the model says of one photograph.

    Attributes
    ----------
    probabilities, decisions
        By code, in the order of the model's columns.
    grades
        By code, where the model grades the disease: the probability of grade 0, 1, ...
    """

    probabilities: dict[str, float]
    decisions: dict[str, bool]
    grades: dict[str, list[float]]


def examine(predictor: Predictor, image: Image.Image) -> Examination:
    """Show a photograph to a model, once. Only a run's own model grades severity."""
    probabilities, decisions, grades = predictor.decide(image)
    return Examination(
        dict(zip(predictor.names, probabilities, strict=True)),
        dict(zip(predictor.names, decisions, strict=True)),
        grades,
    )


def most_probable_grade(distribution: Sequence[float]) -> Grade:
    """Return the most probable grade, the lowest of several.

    Parameters
    ----------
    distribution : sequence of float
        The probability of grade 0, 1, ..., as in `Examination.grades`.

    Examples
    --------
    >>> most_probable_grade([0.2, 0.5, 0.3])
    Grade(grade=1, probability=0.5, highest=2)
    """
    grade = max(range(len(distribution)), key=lambda k: distribution[k])
    return Grade(grade, distribution[grade], len(distribution) - 1)
