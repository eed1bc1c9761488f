"""What the network returned after each epoch, so that one training serves many selection rules."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import numpy.typing as npt
from torch import Tensor

from examples.rfmid.errors import RecipeError
from examples.rfmid.files import write_whole, writing
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.training.session import Session
from examples.rfmid.training.step import predict_logits


def keep_outputs(session: Session, folder: RunFolder, epoch: int, validation: Tensor) -> None:
    """Write the diseases' outputs of epoch 0, 1, ... for every split that isn't trained on.

    They choose nothing here. All ranks compute, rank 0 writes.
    """
    outputs = {
        name: validation
        if name == "val"
        else predict_logits(session, name, f"epoch {epoch + 1} {name}")
        for name in session.eval_loaders
    }
    if not session.world.is_main:
        return
    path = folder.epoch_logits(epoch + 1)
    with writing(path.parent):
        path.parent.mkdir(exist_ok=True)
    arrays = {name: found[:, : session.n_classes].numpy() for name, found in outputs.items()}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_whole(path, content.getvalue())


def kept_outputs(folder: RunFolder, epoch: int) -> dict[str, npt.NDArray[np.float32]]:
    """Return the outputs (n_images, n_classes) of each split after epoch 0, 1, ..."""
    path = folder.epoch_logits(epoch + 1)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise RecipeError(f"cannot read the outputs kept of epoch {epoch + 1}: {error}") from error
