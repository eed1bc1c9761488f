"""Overlays of Grad-CAM maps on photographs, with their numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from torch import Tensor

from examples.rfmid.data.images import load_image
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import write_json
from examples.rfmid.reporting.figures.saliency import CAUTION, saliency_overlays
from examples.rfmid.reporting.figures.style import save_figure, shortened
from examples.rfmid.serving.bundle import Bundle, load_bundle
from examples.rfmid.serving.grad_cam import grad_cam
from examples.rfmid.serving.predict import photographs
from examples.rfmid.tables import counted


def explain(
    run: Path,
    images: tuple[Path, ...],
    *,
    classes: tuple[str, ...] = (),
    output: Path | None = None,
) -> Path:
    """Draw where the features of photographs raise the scores of diseases (Grad-CAM).

    A map is no evidence of what the model used; each figure says so.

    Parameters
    ----------
    run
        The run folder, with the saved model.
    images
        Photographs, or folders of them.
    classes
        Codes of diseases; by default those called in each photograph, else the most probable.
    output
        Folder for a PNG a photograph and explanations.json; by default explanations/ in the run.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    RecipeError
        If the run has no saved model, a class is unknown, or the network has no feature maps; and,
        after all others are done, if a photograph could not be read.
    """
    paths = photographs(images)
    bundle = load_bundle(run)
    codes = list(bundle.names)
    unknown = [code for code in classes if code not in codes]
    if unknown:
        raise RecipeError(f"the model has no class {', '.join(unknown)}; it has {', '.join(codes)}")
    folder = output or run / "explanations"
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    for path in paths:
        try:
            image = load_image(path)
        except RecipeError as error:
            failures[str(path)] = str(error)
            continue
        name = _unused(path.stem, [one["figure"] for one in entries])
        entry, figure = _explained(bundle, path, bundle.preprocessing(image), classes)
        save_figure(figure, folder / name)
        entries.append({"image": str(path), "figure": name, **entry})
    write_json(
        folder / "explanations.json",
        {
            "format": "rfmid.explanations",
            "version": 1,
            "method": "Grad-CAM",
            "caution": CAUTION,
            "images": entries,
            "errors": [{"image": path, "error": error} for path, error in failures.items()],
        },
    )
    print(f"{folder}: {counted(len(entries), 'image')} explained. {CAUTION}")
    if failures:
        raise RecipeError(
            f"{counted(len(failures), 'image')} of {len(paths)} could not be read: "
            + "; ".join(failures.values())
        )
    return folder


def _explained(
    bundle: Bundle, path: Path, inputs: Tensor, classes: tuple[str, ...]
) -> tuple[dict[str, Any], Figure]:
    """Return the numbers of one photograph, and its figure."""
    probabilities, decisions = (array[0] for array in bundle.infer(inputs[None]))
    columns = _columns(list(bundle.names), classes, probabilities, decisions)
    maps, layer = grad_cam(bundle.model.model, bundle.head, inputs[None], columns)
    numbers = [
        map_numbers(bundle, column, probabilities, decisions, values)
        for column, values in zip(columns, maps, strict=True)
    ]
    shown = [(_title(one), values) for one, values in zip(numbers, maps, strict=True)]
    seen = bundle.preprocessing.picture(inputs)
    figure = saliency_overlays(shortened(path.name, 40), seen, shown)
    return {"layer": layer, "classes": numbers}, figure


def _columns(
    codes: list[str],
    classes: tuple[str, ...],
    probabilities: npt.NDArray[Any],
    decisions: npt.NDArray[np.bool_],
) -> list[int]:
    if classes:
        return [codes.index(code) for code in classes]
    called = np.flatnonzero(decisions)
    if not len(called):
        return [int(np.argmax(probabilities))]
    return [int(c) for c in called[np.argsort(-probabilities[called], kind="stable")]]


def map_numbers(
    bundle: Bundle,
    column: int,
    probabilities: npt.NDArray[Any],
    decisions: npt.NDArray[np.bool_],
    values: npt.NDArray[np.float32],
) -> dict[str, Any]:
    """Return the map of one class of one photograph, with what the model says of it, for JSON."""
    code, threshold = list(bundle.names)[column], float(bundle.thresholds.thresholds[column])
    row, place = np.unravel_index(int(np.argmax(values)), values.shape)
    highest = float(values.max())
    return {
        "code": code,
        "name": bundle.names[code],
        "probability": float(probabilities[column]),
        "threshold": threshold if np.isfinite(threshold) else str(threshold),
        "found": bool(decisions[column]),
        "map": [[float(f"{value:.4g}") for value in line] for line in values],
        # Of the model's input, from the left and from the top.
        "peak": [(int(place) + 0.5) / values.shape[1], (int(row) + 0.5) / values.shape[0]]
        if highest > 0
        else None,
    }


def _title(numbers: dict[str, Any]) -> str:
    threshold = numbers["threshold"]
    limit = threshold if isinstance(threshold, str) else f"{threshold:.3f}"
    verdict = "called" if numbers["found"] else "not called"
    name = shortened(numbers["name"], 28)
    return f"{name}\n{numbers['probability']:.3f}, threshold {limit}: {verdict}"


def _unused(stem: str, taken: list[str]) -> str:
    """Return a file name for a photograph; images of two folders may share their name."""
    safe = re.sub(r"[^\w.-]", "_", stem)
    names = (f"{safe}{f'_{k}' if k else ''}.png" for k in range(len(taken) + 1))
    return next(name for name in names if name not in taken)
