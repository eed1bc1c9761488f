"""What a run predicted for a split, and the file that keeps it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from examples.rfmid.errors import RecipeError
from examples.rfmid.files import write_whole
from examples.rfmid.grades import Grades

_SUBGROUP = "subgroup:"  # before the names of such arrays


@dataclass(frozen=True)
class Predictions:
    """Labels and scores of one split: all that tuning and evaluation need.

    Attributes
    ----------
    ids : tuple of str
        Image names, sorted as in the label file.
    class_names : tuple of str
    y_true : float32 ndarray of shape (n_images, n_classes)
        0, 1, or NaN (missing).
    y_score : float ndarray of shape (n_images, n_classes)
        Probabilities, what thresholds are tuned on.
    patients : tuple of str or None
    y_logit : float32 ndarray of shape (n_images, n_classes), or None
        What the network returned, where it was one network.
    subgroups : mapping of str to tuple of str
        Age, sex, camera, ... of each image, as the label file has it; "" where it is missing.
    grades : Grades or None
        Severity, where the run has learnt it.
    """

    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    y_true: npt.NDArray[np.float32]
    y_score: npt.NDArray[np.floating[Any]]
    patients: tuple[str, ...] | None = None
    y_logit: npt.NDArray[np.float32] | None = None
    subgroups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    grades: Grades | None = None

    @property
    def y_sigmoid(self) -> npt.NDArray[np.floating[Any]]:
        """The sigmoid of the network's outputs: raw scores, which no link has put right."""
        if self.y_logit is None:
            return self.y_score
        scores: npt.NDArray[np.floating[Any]] = expit(self.y_logit)
        return scores

    @property
    def n_patients(self) -> int | None:
        """How many patients the images are of; None where they aren't known."""
        return None if self.patients is None else len(set(self.patients))

    @property
    def shown(self) -> tuple[str, ...]:
        """The classes with a positive."""
        positives = (self.y_true == 1).any(axis=0)
        return tuple(n for n, has in zip(self.class_names, positives, strict=True) if has)

    def select(self, class_names: Sequence[str]) -> Predictions:
        """Return some of the classes."""
        columns = [self.class_names.index(name) for name in class_names]
        return replace(
            self,
            class_names=tuple(class_names),
            y_true=self.y_true[:, columns],
            y_score=self.y_score[:, columns],
            y_logit=None if self.y_logit is None else self.y_logit[:, columns],
        )

    def rows(self, index: npt.NDArray[np.intp]) -> Predictions:
        """Return some of the images."""
        return replace(
            self,
            ids=tuple(self.ids[i] for i in index),
            y_true=self.y_true[index],
            y_score=self.y_score[index],
            patients=self.patients and tuple(self.patients[i] for i in index),
            y_logit=None if self.y_logit is None else self.y_logit[index],
            subgroups={
                name: tuple(values[i] for i in index) for name, values in self.subgroups.items()
            },
            grades=self.grades and self.grades.rows(index),
        )

    def save(self, path: Path) -> None:
        """Write a compressed .npz that needs no pickle."""
        arrays = {
            "ids": np.array(self.ids, dtype=np.str_),
            "class_names": np.array(self.class_names, dtype=np.str_),
            "y_true": self.y_true.astype(np.float32),
            "y_score": self.y_score,
        }
        if self.y_logit is not None:
            arrays["y_logit"] = self.y_logit
        if self.patients is not None:
            arrays["patients"] = np.array(self.patients, dtype=np.str_)
        for name, values in self.subgroups.items():
            arrays[_SUBGROUP + name] = np.array(values, dtype=np.str_)
        if self.grades is not None:
            arrays |= self.grades.to_arrays()
        content = io.BytesIO()  # on a full disk, NumPy 2.0 leaves an archive that complains
        np.savez_compressed(content, allow_pickle=False, **arrays)
        write_whole(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what `save` wrote."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                loaded = {name: arrays[name] for name in arrays.files}
            predictions = cls(
                ids=tuple(map(str, loaded["ids"])),
                class_names=tuple(map(str, loaded["class_names"])),
                y_true=loaded["y_true"],
                y_score=loaded["y_score"],
                patients=tuple(map(str, loaded["patients"])) if "patients" in loaded else None,
                y_logit=loaded.get("y_logit"),
                subgroups={
                    name.removeprefix(_SUBGROUP): tuple(map(str, values))
                    for name, values in loaded.items()
                    if name.startswith(_SUBGROUP)
                },
                grades=Grades.from_arrays(loaded, len(loaded["ids"])),
            )
        except FileNotFoundError as error:
            raise RecipeError(f"{path} doesn't exist: has the training ended?") from error
        except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
            raise RecipeError(f"{path} isn't a file of predictions: {error}") from error
        shape = (len(predictions.ids), len(predictions.class_names))
        for name in ("y_true", "y_score", "y_logit"):
            if name in loaded and loaded[name].shape != shape:
                raise RecipeError(
                    f"{path}: {name} has the shape {loaded[name].shape}, expected {shape}"
                )
        for name, values in predictions.subgroups.items():
            if len(values) != len(predictions.ids):
                raise RecipeError(
                    f"{path}: {name} has {len(values)} values for {len(predictions.ids)} images"
                )
        return predictions
