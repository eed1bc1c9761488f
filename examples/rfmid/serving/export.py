"""Write a run's model as one file, and see that it decides as the model does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from torch import Tensor

from examples.rfmid.data.images import load_image
from examples.rfmid.data.layout import images_by_name
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json, replacing
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.serving.bundle import Bundle, load_bundle
from examples.rfmid.serving.exported import Exported, load_exported
from examples.rfmid.tables import counted
from mlthresh import export_onnx, export_program

_TOLERANCE = 1e-5  # of a probability: rounding through a deep network in float32
_BATCH = 16


def export(
    run: Path,
    *,
    kind: Annotated[Literal["onnx", "program"], tyro.conf.arg(name="format")] = "onnx",
    n_images: int = 64,
) -> Path:
    """Write the run's model, thresholds, names and preprocessing into one file of the run folder.

    Before it takes its name, the file is read back and compared with the model: on validation
    photographs, or on random inputs where those aren't there.

    Parameters
    ----------
    run
        The run folder, with the saved model.
    kind
        onnx: model.onnx, for ONNX Runtime in any language; program: model.pt2, for torch.export.
    n_images
        How many images to compare on.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    RecipeError
        If the run has no saved model, a package is missing, or the file decides otherwise.
    """
    if n_images < 1:
        raise RecipeError(f"n_images must be at least 1, got {n_images}")
    folder, bundle = RunFolder(run), load_bundle(run)
    path = folder.exports[kind]
    inputs, described = _inputs(folder, bundle, n_images)
    write = {"onnx": export_onnx, "program": export_program}[kind]
    with replacing(path) as temporary:
        try:
            write(bundle.model, temporary, inputs[:1])
        except ImportError as error:
            raise RecipeError(str(error)) from error
        found = _compared(bundle, load_exported(temporary, path.suffix), inputs)
    size = path.stat().st_size / 1e6
    print(f"{path} ({size:.1f} MB), compared with PyTorch on {described}: {found}")
    return path


def _inputs(folder: RunFolder, bundle: Bundle, n_images: int) -> tuple[Tensor, str]:
    """Return inputs to compare on, and what they are."""
    photographs = _photographs(folder)
    if photographs:
        chosen = np.linspace(0, len(photographs) - 1, min(n_images, len(photographs)))
        paths = [photographs[int(i)] for i in chosen]
        inputs = torch.stack([bundle.preprocessing(load_image(path)) for path in paths])
        return inputs, counted(len(paths), "validation image")
    side = bundle.preprocessing.image_size
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(n_images, 3, side, side, generator=generator)
    return inputs, f"{counted(n_images, 'random input')} (no validation image is there)"


def _photographs(folder: RunFolder) -> list[Path]:
    """Return the validation images that are still where they were in training."""
    if not (folder.data.is_file() and folder.predictions("val").is_file()):
        return []
    images = Path(read_json(folder.data)["splits"]["val"]["image_folder"])
    if not images.is_dir():
        return []
    by_name = images_by_name(images)
    return [by_name[i] for i in Predictions.load(folder.predictions("val")).ids if i in by_name]


def _compared(bundle: Bundle, exported: Exported, inputs: Tensor) -> str:
    """Return how far the two agree; raise where they don't."""
    furthest, n_equal, n_near = 0.0, 0, 0
    limits = bundle.thresholds.thresholds
    for batch in torch.split(inputs, _BATCH):
        probabilities, decisions = bundle.infer(batch)
        theirs, decided = exported.infer(batch)
        furthest = max(furthest, float(np.abs(probabilities - theirs).max()))
        other = decisions != decided
        near = np.abs(probabilities - limits) <= _TOLERANCE
        if furthest > _TOLERANCE or (other & ~near).any():
            raise RecipeError(
                f"the exported model differs: probabilities by up to {furthest:.1e}, "
                f"{int(other.sum())} of {other.size} decisions; nothing was written"
            )
        n_equal, n_near = n_equal + int((~other).sum()), n_near + int(other.sum())
    text = f"{n_equal:,} of {n_equal + n_near:,} decisions equal"
    if n_near:
        text += f", {n_near} with a probability within {_TOLERANCE:g} of the threshold not"
    return f"{text}, probabilities within {furthest:.1e}"
