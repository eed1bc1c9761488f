"""Several saved models that answer as one, by the mean of their probabilities."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json, write_json
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.chosen import load_thresholds
from examples.rfmid.serving.bundle import Bundle, Decided, load_bundle
from mlthresh import ThresholdSet

_FORMAT = {"format": "rfmid.ensemble", "version": 1}
_PINNED = ("sha256", "posterior", "preprocessing")


@dataclass(frozen=True)
class Ensemble:
    """What turns a photograph into decisions, as a `Bundle` does.

    Attributes
    ----------
    members
    thresholds
        For the mean of the members' probabilities.
    names
        Code -> disease name, in the order of the columns.
    """

    members: tuple[Bundle, ...]
    thresholds: ThresholdSet
    names: dict[str, str]

    def decide(self, image: Image.Image) -> Decided:
        """Return what the mean of the members' probabilities says; it grades nothing."""
        said = [member.decide(image)[0] for member in self.members]
        mean = np.array(said, dtype=np.float64).mean(axis=0, keepdims=True)
        return mean[0].tolist(), self.thresholds.predict(mean)[0].tolist(), {}


def save_ensemble(
    folder: RunFolder, members: Sequence[RunFolder], notes: Sequence[dict[str, Any]]
) -> None:
    """Write ``ensemble.json``: where the members lie from here, and what must not change in them.

    `notes` has more to say of each member.
    """
    write_json(
        folder.ensemble,
        {
            **_FORMAT,
            "members": [
                {
                    "run": os.path.relpath(member.path, folder.path),
                    **note,
                    **_pinned(member),
                }
                for member, note in zip(members, notes, strict=True)
            ],
        },
    )


def load_predictor(run: Path) -> Bundle | Ensemble:
    """Read the saved model of a run, or those of an ensemble.

    Raises
    ------
    RecipeError
        If there is none, or a member is gone, is another than when the ensemble was made, or has
        other classes than the thresholds.
    FileFormatError
        If the files of a model are damaged or don't belong together.
    """
    folder = RunFolder(run)
    if not folder.ensemble.is_file():
        return load_bundle(run)
    members = []
    found = folder.members()
    for member, entry in zip(found, read_json(folder.ensemble)["members"], strict=True):
        if not member.manifest.is_file():
            raise RecipeError(f"{member.path}, a member of {run}, holds no whole model")
        if any(entry.get(name) != value for name, value in _pinned(member).items()):
            raise RecipeError(
                f"{member.path} has changed since the ensemble {run} was made: make it again"
            )
        members.append(load_bundle(member.path))
    names = members[0].names
    if any(member.names != names for member in members):
        raise RecipeError(f"the members of {run} have other classes than each other")
    return Ensemble(tuple(members), load_thresholds(folder, tuple(names)), names)


def _pinned(member: RunFolder) -> dict[str, Any]:
    """Return the weights' digest, the posterior and the preprocessing; its thresholds don't count.

    The model's own digest is checked against the weights when it is read.
    """
    manifest = read_json(member.manifest)
    pinned = {name: manifest.get(name) for name in _PINNED}
    return {**pinned, "sha256": (pinned["sha256"] or {}).get("model.safetensors")}
