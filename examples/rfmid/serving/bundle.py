"""The saved model of a run folder: network, thresholds and preprocessing, which belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from examples.rfmid.data.transforms import Preprocessing, build_preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.chosen import check_classes
from examples.rfmid.settings.config_file import load_config
from examples.rfmid.training.pooled import configured_network
from examples.rfmid.training.saved_grades import Grader, load_grader
from mlthresh import ThresholdedModel, ThresholdSet, load_model, save_model

Outputs: TypeAlias = tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.bool_]]
# The probability of each class, whether it is called, and by code the probability of each grade.
Decided: TypeAlias = tuple[list[float], list[bool], dict[str, list[float]]]


@dataclass(frozen=True)
class Bundle:
    """What turns a photograph into decisions.

    Attributes
    ----------
    model
        Inputs to probabilities and decisions.
    preprocessing
        Photograph to input, as in training.
    names
        Code -> disease name, in the order of the columns.
    head
        Dotted name of the network's head.
    grader
        What grades severity, where that was learnt.
    """

    model: ThresholdedModel
    preprocessing: Preprocessing
    names: dict[str, str]
    head: str
    grader: Grader | None

    @property
    def thresholds(self) -> ThresholdSet:
        """Those saved with the model."""
        return self.model.thresholds

    def infer(self, inputs: Tensor) -> Outputs:
        """Return probabilities and decisions of shape (n_images, n_classes)."""
        with torch.inference_mode():
            probabilities, decisions = self.model(inputs)
        return probabilities.numpy(), decisions.numpy()

    def decide(self, image: Image.Image) -> Decided:
        """Return what the model says of a photograph."""
        given: list[Tensor] = []
        head = self.model.model.get_submodule(self.head)
        hook = head.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
        try:
            probabilities, decisions = self.infer(self.preprocessing(image)[None])
        finally:
            hook.remove()
        graded = {} if self.grader is None else self.grader(given[0])
        grades = {code: one[0] for code, one in graded.items()}
        return probabilities[0].tolist(), decisions[0].tolist(), grades


def load_bundle(run: Path) -> Bundle:
    """Read the saved model of a run; preprocessing and names come from it, not from the settings.

    Raises
    ------
    RecipeError
        If the run has no saved model, or one that lacks its preprocessing or its disease names.
    FileFormatError
        If its files are damaged or don't belong together.
    """
    folder = RunFolder(run)
    model, head = _load(folder)
    preprocessing, names = described(
        run / "model.json", model.thresholds, model.preprocessing, model.metadata
    )
    return Bundle(model, preprocessing, names, head, load_grader(folder, model.metadata))


def described(
    source: Path,
    thresholds: ThresholdSet,
    preprocessing: dict[str, Any] | None,
    metadata: dict[str, Any] | None,
) -> tuple[Preprocessing, dict[str, str]]:
    """Return the preprocessing, and code -> disease name, from what was stored with a model."""
    codes = thresholds.class_names or ()
    names = (metadata or {}).get("disease_names")
    if preprocessing is None or not isinstance(names, list) or len(names) != len(codes):
        raise RecipeError(
            f"{source} lacks the preprocessing or the disease names: was the model saved by train?"
        )
    return build_preprocessing(preprocessing), dict(zip(codes, names, strict=True))


def replace_thresholds(folder: RunFolder, thresholds: ThresholdSet) -> None:
    """Save the run's model again, the same but for its thresholds.

    Exported files, which still have the old ones, are deleted.

    Raises
    ------
    RecipeError
        If the model has other classes than the thresholds; they are named.
    FileFormatError
        If its files are damaged or don't belong together.
    """
    model, _ = _load(folder)
    own = model.thresholds.class_names or ()
    check_classes(thresholds, own, "the validation predictions", f"the model in {folder.path}")
    save_model(
        folder.path,
        model.model,
        thresholds,
        posterior=model.posterior,
        preprocessing=model.preprocessing,
        metadata=model.metadata,
    )
    for path in folder.exports.values():
        if path.is_file():
            path.unlink()
            print(f"{path} had the old thresholds and is deleted: run export again")


def _load(folder: RunFolder) -> tuple[ThresholdedModel, str]:
    """Return the saved model and the name of its network's head."""
    if members := folder.members():
        raise RecipeError(
            f"{folder.path} is an ensemble, which has no network of its own: name one of its "
            f"members, {', '.join(str(member.path) for member in members)}"
        )
    config = load_config(folder.config)
    try:
        n_classes = ThresholdSet.load(folder.path / "thresholds.json").n_classes
        network = configured_network(config, n_classes)
        return load_model(folder.path, network.model), network.head
    except FileNotFoundError as error:
        raise RecipeError(f"{folder.path} holds no whole model: run train first") from error
