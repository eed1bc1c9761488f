"""Everything a run folder says about a finished run, read and checked once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json, read_json_lines
from examples.rfmid.fundus.dataset import MANIFEST
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.chosen import load_thresholds
from examples.rfmid.scoring.evaluate import EVALUATION, input_digests
from examples.rfmid.scoring.external import external_results
from examples.rfmid.scoring.selection import is_better
from examples.rfmid.settings import Config
from examples.rfmid.settings.config_file import load_config
from mlthresh import ThresholdSet


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Attributes
    ----------
    run
        The run folder.
    config, data, epochs, evaluation
        The content of ``config.json``, ``data.json``, ``metrics.jsonl`` and ``evaluation.json``.
    val, test
        The predictions.
    thresholds
        Those in use.
    selected
        The entry of `epochs` that the model was taken from; None of an ensemble, which has none.
    names
        Code -> disease name.
    external
        The evaluations on other data sets.
    members
        The networks of an ensemble, as its ``ensemble.json`` has them; `config` is the first's.
    """

    run: Path
    config: Config
    data: dict[str, Any]
    epochs: list[dict[str, Any]]
    evaluation: dict[str, Any]
    val: Predictions
    test: Predictions
    thresholds: ThresholdSet
    selected: dict[str, Any] | None
    names: dict[str, str]
    external: list[dict[str, Any]]
    members: list[dict[str, Any]]

    @property
    def selected_epoch(self) -> int | None:
        """The number of the epoch that the model was taken from; None of an ensemble."""
        return None if self.selected is None else self.selected["epoch"]

    @property
    def codes(self) -> tuple[str, ...]:
        """The classes, in the order of the columns."""
        return self.test.class_names

    def label(self, code: str) -> str:
        """Return the disease name with its code."""
        return code if self.names[code] == code else f"{self.names[code]} ({code})"

    def counts(self, split: str) -> list[int]:
        """Return the positives of each class in "train", "val" or "test"."""
        return [entry["counts"][split] for entry in self.data["classes"]]

    @property
    def by_frequency(self) -> list[int]:
        """The columns, the class with most training images first."""
        counts = self.counts("train")
        return sorted(range(len(counts)), key=lambda c: -counts[c])

    @property
    def drawn(self) -> bool | None:
        """Whether the images are the recipe's generated drawings; None: their folder is gone."""
        if not self.config.data.folder.is_dir():
            return None
        return (self.config.data.folder / MANIFEST).is_file()


def load_record(run: Path) -> RunRecord:
    """Read a run folder that has been trained, tuned and evaluated."""
    folder = RunFolder(run)
    for path, step in (
        (folder.config, "train"),
        (folder.data, "train"),
        *(() if folder.ensemble.is_file() else ((folder.metrics, "train"),)),
        (folder.predictions("val"), "train"),
        (folder.predictions("test"), "train"),
        (run / EVALUATION, "evaluate"),
    ):
        if not path.is_file():
            raise RecipeError(f"{path} doesn't exist: run {step} first")
    config, data = load_config(folder.config), read_json(folder.data)
    members = read_json(folder.ensemble)["members"] if folder.ensemble.is_file() else []
    epochs = [] if members else _read_epochs(folder.metrics)
    val, test = (Predictions.load(folder.predictions(split)) for split in ("val", "test"))
    thresholds = load_thresholds(folder, test.class_names)
    evaluation = read_json(run / EVALUATION)
    if evaluation.get("inputs") != input_digests(folder):
        raise RecipeError(
            f"{run / EVALUATION} is older than the predictions or thresholds beside it: "
            "run evaluate again"
        )
    try:
        names = {entry["code"]: entry["name"] for entry in data["classes"]}
    except (KeyError, TypeError) as error:
        raise RecipeError(f"{folder.data} lacks the classes' codes and names: {error}") from error
    if tuple(names) != test.class_names:
        raise RecipeError(
            f"{folder.data} and {folder.predictions('test')} have other classes: "
            f"{', '.join(names)}; {', '.join(test.class_names)}"
        )
    selected = None
    for epoch in epochs:
        if selected is None or is_better(config.training.selection, epoch, selected):
            selected = epoch
    return RunRecord(
        run=run,
        config=config,
        data=data,
        epochs=epochs,
        evaluation=evaluation,
        val=val,
        test=test,
        thresholds=thresholds,
        selected=selected,
        names=names,
        external=external_results(folder),
        members=members,
    )


def _read_epochs(path: Path) -> list[dict[str, Any]]:
    epochs = read_json_lines(path)
    if not epochs:
        raise RecipeError(f"{path} has no epoch: run train first")
    return epochs
