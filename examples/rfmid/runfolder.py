"""The files of a run folder: their names, and how they are written whole or not at all."""

from __future__ import annotations

import glob
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from examples.rfmid.errors import RecipeError
from examples.rfmid.grades import Grades

__all__ = [
    "Predictions",
    "RunFolder",
    "read_json",
    "read_json_lines",
    "remove_leftovers",
    "replacing",
    "write_json",
    "write_json_lines",
    "writing",
]


_SUBGROUP = "subgroup:"  # before the names of such arrays


@dataclass(frozen=True)
class RunFolder:
    """Where each step of a run leaves its result for the next."""

    path: Path

    def create(self) -> None:
        """Make the folder, unless it is there."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecipeError(f"cannot make the run folder {self.path}: {error}") from error

    @property
    def config(self) -> Path:
        """All settings."""
        return self.path / "config.json"

    @property
    def data(self) -> Path:
        """Classes, counts and warnings of the data."""
        return self.path / "data.json"

    @property
    def checked_images(self) -> Path:
        """Images that were decoded without fault, so that resuming doesn't decode them again."""
        return self.path / "checked_images.json"

    @property
    def lock(self) -> Path:
        """Held while a run is written."""
        return self.path / ".lock"

    @property
    def metrics(self) -> Path:
        """One JSON object per line and epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """What resuming needs."""
        return self.path / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """The selected model's weights."""
        return self.path / "model.safetensors"

    @property
    def grades(self) -> Path:
        """What the selected model grades severity with, where it does."""
        return self.path / "grades.safetensors"

    @property
    def manifest(self) -> Path:
        """What belongs to the saved model; written last, so there once training has ended."""
        return self.path / "model.json"

    @property
    def exports(self) -> dict[str, Path]:
        """The model as one file, by format."""
        return {"onnx": self.path / "model.onnx", "program": self.path / "model.pt2"}

    @property
    def ensemble(self) -> Path:
        """The members of an ensemble, which has no model of its own."""
        return self.path / "ensemble.json"

    def members(self) -> list[RunFolder]:
        """Return the runs of an ensemble; none where this is no ensemble.

        Raises
        ------
        RecipeError
            If its file names none.
        """
        if not self.ensemble.is_file():
            return []
        try:
            runs = [str(one["run"]) for one in read_json(self.ensemble)["members"]]
        except (KeyError, TypeError):
            runs = []
        if not runs:
            raise RecipeError(f"{self.ensemble} names no members")
        return [RunFolder(self.path / run) for run in runs]

    @property
    def figures(self) -> Path:
        """Figures of the report and of the learning-rate test."""
        return self.path / "figures"

    @property
    def epochs(self) -> Path:
        """What the network returned after each epoch, where that is kept."""
        return self.path / "epochs"

    def epoch_logits(self, epoch: int) -> Path:
        """Return the file with the outputs after this epoch, counted from 1."""
        return self.epochs / f"{epoch:04d}.npz"

    def results(self) -> list[Path]:
        """Return everything that the recipe may have written here."""
        names = (
            *("config.json", "data.json", "metrics.jsonl", "checkpoint.pt"),
            *("predictions_val.npz", "predictions_certify.npz", "predictions_test.npz"),
            *("model.json", "model.safetensors", "thresholds.json", "ensemble.json"),
            "grades.safetensors",
            *("evaluation.json", "report.md", "report.json", "MODEL_CARD.md"),
            *(path.name for path in self.exports.values()),
        )
        # The learning-rate test comes before the run.
        figures = set(self.figures.glob("*")) - {self.figures / "lr_finder.png"}
        kept = self.epochs.glob("*.npz")
        external = [*self.path.glob("*_external_*.npz"), *self.path.glob("*_external_*.json")]
        found = (*figures, *kept, *external)
        return [*(self.path / name for name in names), *sorted(found)]

    def remove_leftovers(self) -> None:
        """Delete the unfinished files of a run that was killed; no other process must write."""
        for path in (*self.results(), self.checked_images):
            remove_leftovers(path.parent, path.name)
        for unfinished in self.epochs.glob(".*.npz.????????"):
            unfinished.unlink(missing_ok=True)
        for unfinished in self.path.glob(".saving-*"):  # of save_model
            shutil.rmtree(unfinished, ignore_errors=True)

    def predictions(self, split: str) -> Path:
        """Return the file with the scores of ``"val"``, ``"certify"`` or ``"test"``."""
        return self.path / f"predictions_{split}.npz"


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
        with replacing(path) as temporary:
            temporary.write_bytes(content.getvalue())

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


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one line what the system refused, as when the disk is full."""
    try:
        yield
    except OSError as error:
        raise RecipeError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; it takes the place of `path` if nothing is raised.

    Raises
    ------
    RecipeError
        If the system refuses to write; `path` is then as it was.
    """
    with writing(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            _flush_to_disk(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    """Wait until the content would survive a loss of power: renaming doesn't wait for it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def remove_leftovers(folder: Path, *names: str) -> None:
    """Delete what `replacing` left of these files when its process was killed.

    No other process must be writing them.
    """
    for name in names:
        for path in folder.glob(f".{glob.escape(name)}.????????"):
            path.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a readable JSON object."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", "utf-8")


def write_json_lines(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write one JSON object a line."""
    lines = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
    with replacing(path) as temporary:
        temporary.write_text(lines, "utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    RecipeError
        If the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecipeError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object a line.

    Raises
    ------
    RecipeError
        If the file is missing or holds something else.
    """
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecipeError(f"cannot read {path}: {error}") from error
