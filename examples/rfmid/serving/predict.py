"""Probabilities and decisions for single photographs, with the model exactly as it was saved."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from examples.rfmid.data.images import load_image
from examples.rfmid.data.layout import images_by_name
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import write_json, write_whole
from examples.rfmid.serving.ensemble import load_predictor
from examples.rfmid.serving.examine import Examination, Predictor, examine, most_probable_grade
from examples.rfmid.serving.exported import load_exported
from examples.rfmid.tables import counted, number, text_table

NOTE = "This is not a medical device. How far to trust a probability is in the run's report."


@dataclass(frozen=True)
class Prediction(Examination):
    """What the model says of one photograph.

    Attributes
    ----------
    image
        Its path.
    """

    image: Path


def predict(
    images: tuple[Path, ...],
    *,
    run: Path | None = None,
    model: Path | None = None,
    output: Path | None = None,
) -> list[Prediction]:
    """Print what a model sees in photographs, and write it to a file if one is named.

    Resizing, normalisation, thresholds and disease names are those saved with the model.

    Parameters
    ----------
    images
        Photographs, or folders of them.
    run
        The run folder, with the saved model, or an ensemble's.
    model
        Instead of a run: a .onnx or .pt2 file that export wrote.
    output
        A .csv or .json file with one entry for each photograph.

    Returns
    -------
    list of Prediction
        In the order given, without the photographs that could not be read.

    Raises
    ------
    RecipeError
        If neither a run nor a model is named, or both; if the model can't be read, the output has
        another suffix, or a folder is empty; and, after all others are done, if a photograph could
        not be read.
    """
    if output is not None and output.suffix.lower() not in (".csv", ".json"):
        raise RecipeError(f"the output must be a .csv or .json file, got {output}")
    if output is not None and not output.parent.is_dir():
        raise RecipeError(f"the folder of {output} doesn't exist")
    paths = photographs(images)
    bundle = _predictor(run, model)
    predictions: list[Prediction] = []
    failures: dict[Path, str] = {}
    for path in paths:
        try:
            prediction = Prediction(**vars(examine(bundle, load_image(path))), image=path)
        except RecipeError as error:
            failures[path] = str(error)
            print(error, file=sys.stderr)
            continue
        predictions.append(prediction)
        print(f"{_table(bundle, prediction)}\n")
    if predictions:
        print(NOTE)
    if output is not None:
        _write(output, bundle, predictions, failures)
    if failures:
        raise RecipeError(f"{counted(len(failures), 'image')} of {len(paths)} could not be read")
    return predictions


def _predictor(run: Path | None, model: Path | None) -> Predictor:
    if run is not None and model is None:
        return load_predictor(run)
    if model is not None and run is None:
        return load_exported(model)
    raise RecipeError("name either --run or --model")


def photographs(images: Sequence[Path]) -> list[Path]:
    """Return the photographs themselves, those of a folder by name."""
    paths: list[Path] = []
    for path in images:
        found = list(images_by_name(path).values()) if path.is_dir() else [path]
        if not found:
            raise RecipeError(f"{path} holds no image")
        paths += found
    if not paths:
        raise RecipeError("name at least one image")
    return paths


def _thresholds(bundle: Predictor) -> dict[str, float]:
    return dict(zip(bundle.names, bundle.thresholds.thresholds.tolist(), strict=True))


def _table(bundle: Predictor, prediction: Prediction) -> str:
    """Write the diseases of one photograph, decisions first, then by margin over the threshold."""
    thresholds = _thresholds(bundle)

    def rank(code: str) -> tuple[bool, float]:
        return not prediction.decisions[code], thresholds[code] - prediction.probabilities[code]

    rows = [
        [
            bundle.names[code],
            number(prediction.probabilities[code]),
            number(thresholds[code]),
            "yes" if prediction.decisions[code] else "no",
            *([_grade(prediction, code)] if prediction.grades else []),
        ]
        for code in sorted(bundle.names, key=rank)
    ]
    found = [bundle.names[code] for code in bundle.names if prediction.decisions[code]]
    title = f"{prediction.image}: {', '.join(found) or 'none of the diseases'}"
    header = ["disease", "probability", "threshold", "decision"]
    header += ["most probable grade"] if prediction.grades else []
    return f"{title}\n{text_table(header, rows)}"


def _grade(prediction: Prediction, code: str) -> str:
    """Write the most probable grade of a disease that is graded, with its probability."""
    if code not in prediction.grades:
        return ""
    found = most_probable_grade(prediction.grades[code])
    return f"{found.grade} of {found.highest} ({number(found.probability)})"


def _write(
    output: Path, bundle: Predictor, predictions: list[Prediction], failures: dict[Path, str]
) -> None:
    if output.suffix.lower() == ".json":
        write_json(output, _as_json(bundle, predictions, failures))
        return
    write_whole(output, as_csv(list(bundle.names), predictions, failures))


def _as_json(
    bundle: Predictor, predictions: list[Prediction], failures: dict[Path, str]
) -> dict[str, object]:
    return {
        "format": "rfmid.predictions",
        "version": 1,
        "note": NOTE,
        "classes": [
            {
                "code": code,
                "name": bundle.names[code],
                "threshold": "inf" if threshold == float("inf") else threshold,
            }
            for code, threshold in _thresholds(bundle).items()
        ],
        "images": [
            {
                "image": str(one.image),
                "found": [code for code, decision in one.decisions.items() if decision],
                "probabilities": one.probabilities,
                **({"grades": one.grades} if one.grades else {}),
            }
            for one in predictions
        ],
        "errors": [{"image": str(path), "error": error} for path, error in failures.items()],
    }


def as_csv(
    codes: Sequence[str], predictions: Sequence[Prediction], failures: Mapping[Path, str]
) -> str:
    """Return a row a photograph; one that could not be read has its error and no numbers."""
    table = io.StringIO()
    graded = list(predictions[0].grades) if predictions else []
    columns = [f"{code}_{part}" for code in codes for part in ("probability", "found")]
    columns += [f"{code}_{part}" for code in graded for part in ("grade", "grade_probability")]
    writer = csv.DictWriter(table, ["image", "error", *columns], lineterminator="\n")
    writer.writeheader()
    for one in predictions:
        row: dict[str, object] = {"image": one.image}
        for code, probability in one.probabilities.items():
            row |= {f"{code}_probability": probability, f"{code}_found": int(one.decisions[code])}
        for code in graded:
            grade, probability, _ = most_probable_grade(one.grades[code])
            row |= {f"{code}_grade": grade, f"{code}_grade_probability": probability}
        writer.writerow(row)
    writer.writerows({"image": path, "error": error} for path, error in failures.items())
    return table.getvalue()
