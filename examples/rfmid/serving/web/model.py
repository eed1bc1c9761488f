"""The model behind the page: bytes of a photograph to the bytes of an answer."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as F  # noqa: N812

from examples.rfmid.errors import RecipeError
from examples.rfmid.reporting.figures.saliency import CAUTION
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.certified import CONFIDENCE, certified_recall
from examples.rfmid.serving.bundle import Bundle
from examples.rfmid.serving.ensemble import Ensemble, load_predictor
from examples.rfmid.serving.examine import Examination, Predictor, examine
from examples.rfmid.serving.explain import map_numbers
from examples.rfmid.serving.exported import load_exported
from examples.rfmid.serving.grad_cam import grad_cam
from examples.rfmid.serving.predict import NOTE, Prediction, as_csv
from examples.rfmid.serving.web.findings import about_classes, findings
from examples.rfmid.serving.web.photograph import open_photograph
from examples.rfmid.serving.web.refusals import Refusal

_SHOWN_SIDE = 448  # pixels of the picture that is sent back


class ServedModel:
    """What answers, once loaded.

    Parameters
    ----------
    source
        A run folder, an ensemble's, or a file that `export` wrote.
    max_pixels
        Photographs with more are refused.

    Raises
    ------
    RecipeError
        If there is no model, or its parts don't belong together.
    """

    def __init__(self, source: Path, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        certified: dict[str, Any] = {
            "confidence": CONFIDENCE,
            "why_not": "an exported file doesn't say: serve the run folder",
            "classes": [],
        }
        self._predictor: Predictor
        if source.is_dir():
            self._predictor = load_predictor(source)
            certified = certified_recall(RunFolder(source), self._predictor.thresholds)
        else:
            self._predictor = load_exported(source)
        self._no_maps = _no_maps(self._predictor)
        self._classes = about_classes(self._predictor.names, self._predictor.thresholds, certified)
        self._certified = certified
        self._source = "/".join(source.resolve().parts[-2:])

    def about(self) -> dict[str, Any]:
        """Return what holds for every photograph."""
        side = self._preprocessing.image_size
        blank = examine(self._predictor, Image.new("RGB", (side, side)))
        return {
            "format": "rfmid.served_model",
            "version": 1,
            "note": NOTE,
            "source": self._source,
            "input_size": side,
            "classes": self._classes,
            "confidence": self._certified["confidence"],
            "not_certified": self._certified["why_not"],
            "no_maps": self._no_maps,
            "csv_header": self._table(blank)[0],
        }

    @property
    def _preprocessing(self) -> Any:
        first = self._predictor
        return (first.members[0] if isinstance(first, Ensemble) else first).preprocessing

    def predict(self, content: bytes) -> bytes:
        """Return the findings in a photograph, as JSON.

        Raises
        ------
        Refusal
            If the photograph can't be taken.
        """
        image = open_photograph(content, self._max_pixels)
        try:
            examination = examine(self._predictor, image)
        except RecipeError as error:
            raise Refusal(500, "no_answer", f"No answer: {error}.") from error
        entries = findings(self._classes, examination)
        return _as_json(
            {
                "format": "rfmid.findings",
                "version": 1,
                "note": NOTE,
                "width": image.width,
                "height": image.height,
                "found": [entry["code"] for entry in entries if entry["decision"] == "yes"],
                "findings": entries,
                "seen": _as_link(self._seen(image), "JPEG", quality=85),
                "csv_row": self._table(examination)[1],
            }
        )

    def explain(self, content: bytes, code: str) -> bytes:
        """Return where the features of a photograph raise a disease's score (Grad-CAM), as JSON.

        Raises
        ------
        Refusal
            If the photograph can't be taken, or there are no maps, or no such disease.
        """
        if self._no_maps is not None or not isinstance(self._predictor, Bundle):
            raise Refusal(422, "no_maps", f"There is no map: {self._no_maps}.")
        names = list(self._predictor.names)
        if code not in names:
            raise Refusal(422, "unknown_class", f"The model has no class {code!r}.")
        image = open_photograph(content, self._max_pixels)
        inputs = self._predictor.preprocessing(image)[None]
        probabilities, decisions = (array[0] for array in self._predictor.infer(inputs))
        column = names.index(code)
        (values,), layer = grad_cam(
            self._predictor.model.model, self._predictor.head, inputs, [column]
        )
        return _as_json(
            {
                "format": "rfmid.explanation",
                "version": 1,
                "method": "Grad-CAM",
                "caution": CAUTION,
                "layer": layer,
                **map_numbers(self._predictor, column, probabilities, decisions, values),
                "overlay": _as_link(_coloured(values), "PNG"),
            }
        )

    def _table(self, examination: Examination) -> list[str]:
        """Return the two lines of predict's table; the second without the name of the file."""
        one = Prediction(**vars(examination), image=Path("photograph"))
        header, row = as_csv(list(self._predictor.names), [one], {}).splitlines()
        return [header, row.removeprefix("photograph")]

    def _seen(self, image: Image.Image) -> Image.Image:
        """Return the part of the photograph that the model sees, larger than it sees it."""
        side = max(self._preprocessing.image_size, min(_SHOWN_SIDE, min(image.size)))
        resized = replace(self._preprocessing, image_size=side).resize(image)
        shown: Image.Image = F.to_pil_image(F.center_crop(resized, [side]))
        return shown


def _no_maps(predictor: Predictor) -> str | None:
    """Return why there are no maps, or None."""
    if not isinstance(predictor, Bundle):
        kind = "an ensemble" if isinstance(predictor, Ensemble) else "an exported file"
        return f"{kind} has no single network to ask; serve the run folder of one"
    side = predictor.preprocessing.image_size
    try:
        grad_cam(predictor.model.model, predictor.head, torch.zeros(1, 3, side, side), [0])
    except RecipeError as error:
        return str(error)
    return None


def _coloured(values: npt.NDArray[np.float32]) -> Image.Image:
    """Return a pixel a position, relative to the highest; all transparent where none is above 0."""
    highest = float(values.max())
    if highest <= 0:
        return Image.new("RGBA", (values.shape[1], values.shape[0]))
    colours = mpl.colormaps["inferno"](values / highest, bytes=True)
    return Image.fromarray(colours, "RGBA")


def _as_link(image: Image.Image, kind: str, **options: int) -> str:
    """Return a data: link, which a page shows without another request."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def _as_json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, allow_nan=False).encode()
