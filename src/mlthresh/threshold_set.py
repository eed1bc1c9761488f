"""The result of a search: one threshold a class, applied to scores and kept in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray, as_scores, convert_like, matched_class_names, shown_names
from mlthresh._files import check_versioned, read_versioned_json, write_text_atomically
from mlthresh.exceptions import FileFormatError, InputError

__all__ = ["ScoreScale", "Status", "ThresholdSet"]

ScoreScale = Literal["probability", "real"]
Status = Literal["ok", "infeasible", "no_positives"]

_FORMAT = "mlthresh.thresholds"
_VERSION = 1
_FEW_POSITIVES = 10
_DTYPES = {"float32": np.float32, "float64": np.float64}
_STATUSES = ("ok", "infeasible", "no_positives")
_FIGURES = ("objective_value", "precision", "recall", "f1", "alarm_rate")
_ARRAYS = ("thresholds", "support", *_FIGURES, "certified", "positives_missing")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ThresholdSet:
    """One threshold a class, with what it reached on the data that chose it.

    Every figure here is *apparent*: measured on the samples that the thresholds were fitted
    to. New patients will on average show less, the more so the fewer positives a class has.

    Attributes
    ----------
    thresholds : array of shape (n_classes,)
        In the scores' own data type; `inf` is never positive.
    class_names : tuple of str, or None
    status : tuple of str
        "ok"; "infeasible" (no threshold satisfies the constraints); "no_positives" (nothing to
        choose by).
    support : int array of shape (n_classes,)
        Positives that the threshold was chosen by.
    objective_value, precision, recall, f1, alarm_rate : float64 arrays of shape (n_classes,)
        NaN where a rate has nothing to be measured on. `objective_value` is each class's own, or
        with ``average="micro"`` that of the summed counts, the same in every class: its mean is
        what was maximised.
    certified : bool array of shape (n_classes,)
        The floors on recall and specificity hold on unseen data with the confidence asked for.
    positives_missing : int array of shape (n_classes,)
        How many more independent positives it takes to certify the floor on recall; 0 where
        there are enough or no confidence was asked for.
    score_scale : {"probability", "real"}
        Whether the scores lay in [0, 1] and were declared probabilities.
    options : dict
        What the search was asked for, as written to a file.

    Examples
    --------
    >>> import numpy as np
    >>> from mlthresh import find_optimal_thresholds
    >>> y_true = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
    >>> y_score = np.array([[0.9, 0.2], [0.6, 0.7], [0.4, 0.1], [0.1, 0.4]])
    >>> found = find_optimal_thresholds(y_true, y_score, class_names=["DR", "MH"])
    >>> found.thresholds
    array([0.5, 0.3])
    >>> found.predict(np.array([[0.55, 0.25]]))
    array([[ True, False]])
    >>> found.select(["MH"]).thresholds
    array([0.3])
    """

    thresholds: FloatArray
    class_names: tuple[str, ...] | None
    status: tuple[Status, ...]
    support: npt.NDArray[np.int64]
    objective_value: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]
    f1: npt.NDArray[np.float64]
    alarm_rate: npt.NDArray[np.float64]
    certified: npt.NDArray[np.bool_]
    positives_missing: npt.NDArray[np.int64]
    score_scale: ScoreScale = "probability"
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            array = getattr(self, name).copy()
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.thresholds)

    def predict(self, y_score: Any) -> Any:
        """Decide: positive where ``score >= threshold``, in the data type that was tuned.

        Parameters
        ----------
        y_score : array, tensor or frame of shape (n_samples, n_classes)
            Finite scores on the scale that was tuned.

        Returns
        -------
        bool array, tensor (on the same device) or frame of shape (n_samples, n_classes)

        Raises
        ------
        InputError
            If the shape or the column names are not the thresholds', or a score is not finite.
        """
        scores, columns = as_scores(y_score)
        if scores.shape[1] != self.n_classes:
            raise InputError(
                f"y_score has shape {scores.shape}, but there are {self.n_classes} thresholds"
            )
        matched_class_names(self.n_classes, self.class_names, columns)
        decisions = scores.astype(self.thresholds.dtype, copy=False) >= self.thresholds
        return convert_like(decisions, y_score)

    def select(self, class_names: Sequence[str]) -> ThresholdSet:
        """Return the thresholds of the named classes, in the order given.

        Raises
        ------
        InputError
            If a name is unknown or occurs twice, or the classes have no names.
        """
        if self.class_names is None:
            raise InputError("these thresholds have no class names to select by")
        names = tuple(class_names)
        matched_class_names(len(names), names)
        unknown = [name for name in names if name not in self.class_names]
        if unknown:
            raise InputError(f"no thresholds for {unknown}; there are {list(self.class_names)}")
        index = [self.class_names.index(name) for name in names]
        arrays = {name: getattr(self, name)[index] for name in _ARRAYS}
        options = self.options.items()
        return ThresholdSet(
            class_names=names,
            status=tuple(self.status[i] for i in index),
            score_scale=self.score_scale,
            options={name: _of_classes(name, value, index) for name, value in options},
            **arrays,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a readable JSON file; a reader never sees half of it."""
        write_text_atomically(path, json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ThresholdSet:
        """Read a file that `save` wrote.

        Raises
        ------
        FileFormatError
            If the file is damaged, is something else, or is of another version.
        """
        return cls._checked(read_versioned_json(path, _FORMAT, _VERSION), path)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold, infinite thresholds as "inf"."""
        names = self.class_names or (None,) * self.n_classes
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "dtype": self.thresholds.dtype.name,
            "score_scale": self.score_scale,
            "options": self.options,
            "classes": [
                {
                    "name": names[i],
                    "threshold": _number_out(self.thresholds[i]),
                    "status": self.status[i],
                    "support": int(self.support[i]),
                    **{figure: _number_out(getattr(self, figure)[i]) for figure in _FIGURES},
                    "certified": bool(self.certified[i]),
                    "positives_missing": int(self.positives_missing[i]),
                }
                for i in range(self.n_classes)
            ],
        }

    @classmethod
    def from_dict(cls, content: Any) -> ThresholdSet:
        """Rebuild what `to_dict` described; anything else raises `FileFormatError`."""
        source = "thresholds"
        return cls._checked(check_versioned(content, source, _FORMAT, _VERSION), source)

    @classmethod
    def _checked(cls, content: dict[str, Any], source: object) -> ThresholdSet:
        try:
            return cls._built(content)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise FileFormatError(
                f"{source}: damaged thresholds file: {type(error).__name__}: {error}"
            ) from error

    @classmethod
    def _built(cls, content: dict[str, Any]) -> ThresholdSet:
        if content["dtype"] not in _DTYPES:
            raise ValueError(f"dtype must be one of {tuple(_DTYPES)}, got {content['dtype']!r}")
        dtype = _DTYPES[content["dtype"]]
        classes = content["classes"]
        names = [one["name"] for one in classes]
        status = tuple(one["status"] for one in classes)
        if not classes:
            raise ValueError("no classes")
        if not set(status) <= set(_STATUSES):
            raise ValueError(f"status must be one of {_STATUSES}, got {status}")
        if content["score_scale"] not in ("probability", "real"):
            raise ValueError(f"unknown score scale {content['score_scale']!r}")
        thresholds = np.array([_number_in(one["threshold"]) for one in classes], dtype=dtype)
        if np.isnan(thresholds).any():
            raise ValueError("a threshold is missing")
        return cls(
            thresholds=thresholds,
            class_names=_names_in(names),
            status=status,
            support=np.array([_count_in(one["support"]) for one in classes], dtype=np.int64),
            certified=np.array([_flag_in(one["certified"]) for one in classes], dtype=np.bool_),
            positives_missing=np.array(
                [_count_in(one["positives_missing"]) for one in classes], dtype=np.int64
            ),
            score_scale=content["score_scale"],
            options=dict(content["options"]),
            **{
                figure: np.array([_number_in(one[figure]) for one in classes], dtype=np.float64)
                for figure in _FIGURES
            },
        )

    def __str__(self) -> str:
        names = shown_names(self.class_names, self.n_classes)
        width = max(5, *(len(name) for name in names))
        lines = [
            f"{'class':<{width}}  threshold  positives  recall  precision     F1  alarms  status"
        ]
        few = False
        for i, name in enumerate(names):
            mark = "*" if self.support[i] < _FEW_POSITIVES else " "
            few |= mark == "*"
            lines.append(
                f"{name:<{width}}  {self.thresholds[i]:9.4g}  {self.support[i]:8d}{mark}"
                f"  {_percent(self.recall[i]):>6}  {_percent(self.precision[i]):>9}"
                f"  {self.f1[i]:5.3f}  {_percent(self.alarm_rate[i]):>6}  {self._verdict(i)}"
            )
        if few:
            lines.append(f"* fewer than {_FEW_POSITIVES} positives: too few to trust its figures")
        lines.append("Measured on the data that chose the thresholds; expect less on new data.")
        return "\n".join(lines)

    __repr__ = __str__  # in a notebook, too, a table is what people want to see

    def _verdict(self, i: int) -> str:
        if n := self.positives_missing[i]:
            return f"{self.status[i]}: {n} more positive{'s' if n > 1 else ''} to certify"
        return f"{self.status[i]}, certified" if self.certified[i] else self.status[i]


def _of_classes(name: str, option: Any, index: list[int]) -> Any:
    """Return an option for some of the classes, where it was given for each."""
    per_class = isinstance(option, list) and name != "grid"
    return [option[i] for i in index] if per_class else option


def _percent(rate: float) -> str:
    return "-" if np.isnan(rate) else f"{100 * rate:.1f}%"


def _number_out(value: np.floating[Any]) -> float | str | None:
    """Return the shortest decimal that reads back as this very float; JSON has no inf or NaN."""
    if np.isnan(value):
        return None
    if np.isinf(value):
        return "inf" if value > 0 else "-inf"
    short = float(str(value))
    return short if type(value)(short) == value else float(value)


def _number_in(value: float | str | None) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, str):
        if value not in ("inf", "-inf"):
            raise ValueError(f"expected a number, got {value!r}")
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {value!r}")
    return float(value)


def _count_in(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"expected a whole number, at least 0, got {value!r}")
    return value


def _flag_in(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, got {value!r}")
    return value


def _names_in(names: list[Any]) -> tuple[str, ...] | None:
    if all(name is None for name in names):
        return None
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"either all classes have a name or none, got {names}")
    return matched_class_names(len(names), names)
