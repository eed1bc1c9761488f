"""All that a resumed run needs to end as the unbroken one would have."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from examples.rfmid.errors import RecipeError
from examples.rfmid.files import replacing


@dataclass(frozen=True)
class Checkpoint:
    """State after a whole epoch.

    Draws and augmentation are functions of the seed and the epoch's number, so no random state is
    kept.

    Attributes
    ----------
    history : list of dict
        The metrics of each epoch so far; their number is the next epoch's.
    best_epoch : int
        The epoch that the selection prefers, whose weights are `best_model`.
    data_digest : str
        Fingerprint of the data that the run learns from.
    """

    model: dict[str, Tensor]
    best_model: dict[str, Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    history: list[dict[str, Any]]
    best_epoch: int
    data_digest: str


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint; at any moment there is a whole one.

    Raises
    ------
    RecipeError
        If the system refuses to write; the checkpoint before is kept.
    """
    content = {f.name: getattr(checkpoint, f.name) for f in fields(checkpoint)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # which PyTorch hides behind its own
                raise error.__context__ from error
            raise


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU, without unpickling code."""
    try:
        return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, EOFError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
        raise RecipeError(f"cannot read the checkpoint {path}: {error}") from error
