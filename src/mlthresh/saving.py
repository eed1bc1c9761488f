"""Save and load a network with the thresholds, posterior and preprocessing it is used with.

A saved model is a folder of three files, none of them pickled:

- ``model.safetensors``: the weights, by the names of the network's ``state_dict``;
- ``thresholds.json``: the `ThresholdSet`;
- ``model.json``: class names, posterior, preprocessing, metadata, and the SHA-256 of the other
  two. It is written last, so a folder whose files belong to different saves is recognised.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from mlthresh import __version__
from mlthresh._files import read_versioned_json
from mlthresh.exceptions import FileFormatError, InputError
from mlthresh.posterior import FocalPosterior
from mlthresh.threshold_set import ThresholdSet
from mlthresh.thresholded_model import ThresholdedModel, check_network, check_parts

__all__ = ["load_model", "save_model"]

_FORMAT = "mlthresh.model"
_VERSION = 1
_WEIGHTS, _THRESHOLDS, _MANIFEST = "model.safetensors", "thresholds.json", "model.json"


def save_model(
    folder: str | os.PathLike[str],
    model: nn.Module,
    thresholds: ThresholdSet,
    *,
    posterior: FocalPosterior | None = None,
    preprocessing: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> None:
    """Write a network with its thresholds to a folder, all or nothing.

    Every file is complete under a temporary name before the first one is renamed. Where a save
    is cut short between the renames, `load_model` says so.

    Parameters
    ----------
    folder : path
        Made if absent. It may hold other files; an earlier save in it is replaced.
    model : nn.Module
        Tied parameters are written under each of their names.
    thresholds : ThresholdSet
    posterior : FocalPosterior, optional
        The one that made the scores on which the thresholds were tuned.
    preprocessing, metadata : dict, optional
        What JSON can hold; tuples come back as lists. The preprocessing says how an image
        becomes the network's input.

    Raises
    ------
    InputError
        If the parts don't fit together or cannot be written.
    ImportError
        If safetensors is not installed.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, torch
    >>> from mlthresh import find_optimal_thresholds
    >>> network = torch.nn.Linear(3, 2)
    >>> thresholds = find_optimal_thresholds(np.eye(2), np.array([[0.9, 0.2], [0.6, 0.7]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(folder, network, thresholds, preprocessing={"size": 224})
    ...     sorted(os.listdir(folder))
    ['model.json', 'model.safetensors', 'thresholds.json']
    """
    safetensors = _safetensors_torch()
    check_parts(model, thresholds, posterior)
    manifest: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "mlthresh": __version__,
        "class_names": thresholds.class_names,
        "posterior": None if posterior is None else posterior.to_dict(),
        "preprocessing": _as_json(preprocessing, "preprocessing"),
        "metadata": _as_json(metadata, "metadata"),
    }
    weights = safetensors.save(_tensors_to_save(model))

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
        new = Path(temporary)
        _write(new / _WEIGHTS, weights)
        thresholds.save(new / _THRESHOLDS)
        manifest["sha256"] = {
            name: _sha256((new / name).read_bytes()) for name in (_WEIGHTS, _THRESHOLDS)
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        _write(new / _MANIFEST, text.encode())
        for name in (_WEIGHTS, _THRESHOLDS, _MANIFEST):
            (new / name).replace(folder / name)


def load_model(folder: str | os.PathLike[str], model: nn.Module) -> ThresholdedModel:
    """Read what `save_model` wrote into a network of the same architecture.

    Parameters
    ----------
    folder : path
    model : nn.Module
        Its weights are overwritten, on its device and in its data types, once all the files have
        been found sound.

    Returns
    -------
    ThresholdedModel
        In evaluation mode.

    Raises
    ------
    FileFormatError
        If a file is damaged, of a newer version or of another save, or if its weights are not
        this architecture's; the message names the keys.
    FileNotFoundError
        If the folder holds no saved model.
    ImportError
        If safetensors is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, torch
    >>> from mlthresh import find_optimal_thresholds
    >>> network = torch.nn.Linear(3, 2)
    >>> thresholds = find_optimal_thresholds(np.eye(2), np.array([[0.9, 0.2], [0.6, 0.7]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(folder, network, thresholds, preprocessing={"size": 224})
    ...     deployed = load_model(folder, torch.nn.Linear(3, 2))
    >>> deployed.preprocessing
    {'size': 224}
    >>> torch.equal(deployed.model.weight, network.weight)
    True
    """
    safetensors = _safetensors_torch()
    check_network(model)
    folder = Path(folder)
    manifest = _read_manifest(folder / _MANIFEST)
    weights = _read(folder / _WEIGHTS, manifest["sha256"])
    _read(folder / _THRESHOLDS, manifest["sha256"])
    thresholds = ThresholdSet.load(folder / _THRESHOLDS)
    try:
        stored = manifest["posterior"]
        posterior = None if stored is None else FocalPosterior.from_dict(stored)
        deployed = ThresholdedModel(model, thresholds, posterior=posterior)
    except InputError as error:
        raise FileFormatError(f"{folder / _MANIFEST}: {error}") from error
    try:
        tensors: dict[str, Tensor] = safetensors.load(weights)
    except Exception as error:  # safetensors documents no error class
        raise FileFormatError(f"{folder / _WEIGHTS}: not a safetensors file: {error}") from error
    _check_architecture(tensors, model.state_dict(), folder / _WEIGHTS)
    model.load_state_dict(tensors)
    deployed.preprocessing = manifest["preprocessing"]
    deployed.metadata = manifest["metadata"]
    return deployed.eval()


def _safetensors_torch() -> ModuleType:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            "saving and loading models needs safetensors: pip install safetensors, "
            "or pip install 'mlthresh[deploy]'"
        ) from error
    return safetensors.torch


def _as_json(value: Any, name: str) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InputError(f"{name} must be a dict, got {type(value).__name__}")
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be what JSON can hold: {error}") from error
    result: dict[str, Any] = json.loads(text)
    return result


def _tensors_to_save(model: nn.Module) -> dict[str, Tensor]:
    """Return the state as contiguous tensors on the CPU, no two of which share memory."""
    tensors: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise InputError(
                f"the model's state has {name!r}, a {type(value).__name__}; "
                "only tensors can be saved"
            )
        tensor = value.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if storage in storages else tensor
        storages.add(storage)
    return tensors


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    manifest = read_versioned_json(path, _FORMAT, _VERSION)
    kinds = {
        "posterior": dict | None,
        "preprocessing": dict | None,
        "metadata": dict | None,
        "sha256": dict,
    }
    for name, kind in kinds.items():
        if name not in manifest or not isinstance(manifest[name], kind):
            raise FileFormatError(f"{path}: damaged: entry {name!r} is absent or of a wrong type")
    return manifest


def _read(path: Path, digests: dict[str, Any]) -> bytes:
    """Return a file's content if it is what the manifest says."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise FileFormatError(f"{path}: missing, though {_MANIFEST} names it") from error
    if _sha256(content) != digests.get(path.name):
        raise FileFormatError(
            f"{path}: not the file that {_MANIFEST} was written with: a save was interrupted, "
            "files of two saves were mixed, or the file is damaged"
        )
    return content


def _check_architecture(tensors: dict[str, Tensor], state: dict[str, Any], path: Path) -> None:
    problems = []
    if missing := sorted(state.keys() - tensors.keys()):
        problems.append(f"not in the file: {missing}")
    if unexpected := sorted(tensors.keys() - state.keys()):
        problems.append(f"not in the model: {unexpected}")
    for name in sorted(tensors.keys() & state.keys()):
        ours, theirs = state[name], tensors[name]
        same_kind = ours.is_floating_point() == theirs.is_floating_point()
        if ours.shape != theirs.shape or not same_kind:
            problems.append(
                f"{name}: {tuple(theirs.shape)} {theirs.dtype} in the file, "
                f"{tuple(ours.shape)} {ours.dtype} in the model"
            )
    if problems:
        raise FileFormatError(f"{path}: of another architecture; " + "; ".join(problems))
