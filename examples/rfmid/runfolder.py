"""The names of a run folder's files: where each step leaves its result for the next."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json, remove_leftovers


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
