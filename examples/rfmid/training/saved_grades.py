"""The grades of a trained network, in a file beside the model, which is whole without them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from examples.rfmid.errors import RecipeError
from examples.rfmid.files import write_whole
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.training.grading import GradedHead, grade_probabilities

_PRESENCE = "head."  # the part of a `GradedHead` that is saved with the model


@dataclass(frozen=True)
class Grader:
    """From the features that a network's head is given to the probability of each grade.

    Attributes
    ----------
    head
        Without the part for presence.
    levels
        Graded disease -> how many grades it has, 0 (absent) among them.
    """

    head: GradedHead
    levels: dict[str, int]

    @torch.inference_mode()
    def __call__(self, features: Tensor) -> dict[str, list[list[float]]]:
        """Return, for each graded disease, a distribution for each image."""
        sizes = tuple(self.levels.values())
        prob = grade_probabilities(self.head.grade(features).double(), sizes)
        return {code: prob[:, g, : sizes[g]].tolist() for g, code in enumerate(self.levels)}


def save_grades(folder: RunFolder, head: nn.Module, levels: Mapping[str, int]) -> dict[str, Any]:
    """Write what grades; return what the model's metadata must say of it."""
    state = {
        name: value.detach().cpu().contiguous()
        for name, value in head.state_dict().items()
        if not name.startswith(_PRESENCE)
    }
    content = safetensors.torch.save(state)
    write_whole(folder.grades, content)
    return {"levels": dict(levels), "sha256": hashlib.sha256(content).hexdigest()}


def load_grader(folder: RunFolder, metadata: Mapping[str, Any] | None) -> Grader | None:
    """Read what `save_grades` wrote, where the model's metadata speaks of it."""
    about = (metadata or {}).get("grades")
    if about is None:
        return None
    try:
        content = folder.grades.read_bytes()
        is_ours = hashlib.sha256(content).hexdigest() == about["sha256"]
        state = safetensors.torch.load(content)
        levels = {str(code): int(n) for code, n in about["levels"].items()}
        head = GradedHead(nn.Identity(), len(state["norm.weight"]), list(levels.values()))
        head.load_state_dict(state)
    except Exception as error:  # safetensors and PyTorch name no class for what is damaged
        raise RecipeError(f"cannot read the grades {folder.grades}: {error}") from error
    if not is_ours:
        raise RecipeError(f"{folder.grades} is not the file that model.json was written with")
    return Grader(head.eval(), levels)
