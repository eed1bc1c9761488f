"""A model that `export` wrote, read back: everything it needs is in its file."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.serving.archive import check_archive
from examples.rfmid.serving.bundle import Decided, Outputs, described
from mlthresh import ThresholdSet


@dataclass(frozen=True)
class Exported:
    """What turns a photograph into decisions, without the run that it was trained in.

    Attributes
    ----------
    thresholds, preprocessing, names
        As of a `Bundle`.
    run
        float32 inputs to probabilities and decisions.
    """

    thresholds: ThresholdSet
    preprocessing: Preprocessing
    names: dict[str, str]
    run: Callable[[Tensor], Outputs]

    def infer(self, inputs: Tensor) -> Outputs:
        """Return probabilities and decisions of shape (n_images, n_classes)."""
        probabilities, decisions = self.run(inputs)
        if np.isnan(probabilities).any():
            raise RecipeError("the model returned NaN: there is nothing to decide by")
        return probabilities, decisions

    def decide(self, image: Image.Image) -> Decided:
        """Return what the model says of a photograph; it grades nothing."""
        probabilities, decisions = self.infer(self.preprocessing(image)[None])
        return probabilities[0].tolist(), decisions[0].tolist(), {}


def load_exported(path: Path, suffix: str | None = None) -> Exported:
    """Read a ``.onnx`` or ``.pt2`` file that `export` wrote; `suffix` overrules the path's."""
    readers = {".onnx": _read_onnx, ".pt2": _read_program}
    kind = (suffix or path.suffix).lower()
    if kind not in readers:
        raise RecipeError(f"a model is a .onnx or .pt2 file, got {path}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"cannot read the model {path}: {error.strerror}") from error
    text, run = readers[kind](path, content)
    try:
        about = json.loads(text)
        thresholds = ThresholdSet.from_dict(about["thresholds"])
        stored = about["preprocessing"], about["metadata"]
    except (KeyError, TypeError, ValueError) as error:
        raise RecipeError(
            f"{path} does not say its thresholds and preprocessing: was it written by export?"
        ) from error
    preprocessing, names = described(path, thresholds, *stored)
    return Exported(thresholds, preprocessing, names, run)


def _read_onnx(path: Path, content: bytes) -> tuple[str, Callable[[Tensor], Outputs]]:
    try:
        import onnxruntime
    except ImportError as error:
        raise RecipeError(
            f"{path} needs ONNX Runtime: pip install onnxruntime, or pip install 'mlthresh[export]'"
        ) from error
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise RecipeError(f"{path} is no ONNX file: {str(error).splitlines()[0]}") from error

    def run(inputs: Tensor) -> Outputs:
        probabilities, decisions = session.run(
            ["probabilities", "decisions"], {"input": inputs.numpy()}
        )
        return probabilities, decisions

    return session.get_modelmeta().custom_metadata_map.get("mlthresh", ""), run


def _read_program(path: Path, content: bytes) -> tuple[str, Callable[[Tensor], Outputs]]:
    check_archive(path, content)
    extra: dict[str, Any] = {"mlthresh.json": ""}
    try:
        with warnings.catch_warnings():  # PyTorch 2.9 warns of a buffer of its own
            warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
            module = torch.export.load(io.BytesIO(content), extra_files=extra).module()
    except Exception as error:  # PyTorch's errors have no common class
        raise RecipeError(f"{path} can't be loaded: {str(error).splitlines()[0]}") from error

    def run(inputs: Tensor) -> Outputs:
        with torch.inference_mode():
            probabilities, decisions = module(inputs)
        return probabilities.numpy(), decisions.numpy()

    return extra["mlthresh.json"], run
