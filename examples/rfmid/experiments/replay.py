"""A variant's run folder, from a training whose outputs were kept after each epoch.

The outputs of every epoch, turned into probabilities and thresholded as the variant does, are what
its own training would have seen: it would have kept the same epoch and stopped at the same one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from examples.rfmid.data.splits import Split
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json, read_json_lines, write_json, write_json_lines
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.selection import choose_thresholds, is_better, validation_metrics
from examples.rfmid.settings import Config, LossConfig
from examples.rfmid.settings.config_file import differences, load_config, save_config
from examples.rfmid.training.kept import kept_outputs
from mlthresh import FocalPosterior, compute_pos_weight


def is_replayed(folder: RunFolder, config: Config) -> bool:
    """Tell whether a variant's folder is there and has these settings."""
    if not (folder.path / "thresholds.json").is_file():
        return False
    try:
        changed = differences(load_config(folder.config), config)
    except RecipeError:
        return False
    return all(name.startswith("runtime.") for name in changed)


class Replay:
    """A training whose variants are read off; metrics that several share are measured once."""

    def __init__(self, training: RunFolder, train: Split) -> None:
        self._folder, self._train = training, train
        self._history = read_json_lines(training.metrics)
        self._of = {name: Predictions.load(training.predictions(name)) for name in ("val", "test")}
        self._metrics: dict[Any, dict[str, Any]] = {}

    def write(self, folder: RunFolder, config: Config) -> None:
        """Write a variant as if it had been trained: all but its network."""
        history, best = self._followed(config)
        folder.create()
        folder.remove_leftovers()
        save_config(folder.config, config)
        write_json(folder.data, read_json(self._folder.data))
        write_json_lines(folder.metrics, history)
        found = {name: self._predictions(name, best, config.loss) for name in self._of}
        for name, predictions in found.items():
            predictions.save(folder.predictions(name))
        choose_thresholds(config.thresholds, found["val"]).save(folder.path / "thresholds.json")

    def _followed(self, config: Config) -> tuple[list[dict[str, Any]], int]:
        """Return the metrics of the epochs before it would have stopped, and the selected epoch."""
        settings, best = config.training, 0
        history: list[dict[str, Any]] = []
        for epoch in range(min(settings.epochs, len(self._history))):
            if epoch - 1 - best >= settings.patience:
                break
            history.append({**self._history[epoch], **self._measured(epoch, config)})
            if epoch and is_better(settings.selection, history[epoch], history[best]):
                best = epoch
        return history, best

    def _measured(self, epoch: int, config: Config) -> dict[str, Any]:
        key = (epoch, config.loss.link, config.thresholds)
        if key not in self._metrics:
            val = self._predictions("val", epoch, config.loss)
            self._metrics[key] = validation_metrics(config.thresholds, val)
        return self._metrics[key]

    def _predictions(self, split: str, epoch: int, loss: LossConfig) -> Predictions:
        logits = kept_outputs(self._folder, epoch)[split]
        return replace(
            self._of[split], y_logit=logits, y_score=self._probabilities(logits, loss), grades=None
        )

    def _probabilities(
        self, logits: npt.NDArray[np.float32], loss: LossConfig
    ) -> npt.NDArray[np.float64]:
        outputs = logits.astype(np.float64)
        if not loss.link:
            probabilities: npt.NDArray[np.float64] = expit(outputs)
            return probabilities
        weight = None
        if loss.pos_weight:
            weight = compute_pos_weight(self._train.labels, max_pos_weight=loss.max_pos_weight)
        linked: npt.NDArray[np.float64] = FocalPosterior(loss.gamma, loss.alpha, weight)(outputs)
        return linked
