"""Score the test images at the thresholds in use, beside the rules that one would compare with.

Thresholds are chosen on the validation predictions alone and applied to the test predictions; no
image and no network is needed. The figures go to ``evaluation.json``:

- ``rules``: for each way of choosing thresholds, its thresholds and its averages on ``val`` (where
  they were chosen, so *apparent*) and on ``test``. Averages are over the classes with a positive in
  that split, the same for every rule.
- ``against_half``: macro-F1 on test minus that at 0.5 on the same images, with a paired interval.
- ``test``: the whole report of the thresholds in use, class by class.
- ``subgroups``: the test images by age, sex, camera, ..., where the label file has such columns.
- ``recall_floor``: the classes that met the floor on validation, and those that then fell under it.
- ``certified``: the recall of each class that images which chose nothing certify, or why none does.
- ``calibration``: probabilities and raw scores beside how often each disease is there.
- ``grades``: how well severity is graded, where the run has learnt to.
- ``inputs``: digests of the files that these figures come from.

Where the label file names patients, intervals take them, not images, for the independent units.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.rfmid.errors import RecipeError
from examples.rfmid.files import digests, write_json
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.calibration import calibration, calibration_summary
from examples.rfmid.scoring.certified import certified_recall, certified_summary
from examples.rfmid.scoring.chosen import load_thresholds
from examples.rfmid.scoring.comparison import DECK, Rule, chosen_thresholds, macro_f1_difference
from examples.rfmid.scoring.external import evaluate_external
from examples.rfmid.scoring.grading import grade_agreement, grade_summary
from examples.rfmid.scoring.subgroups import by_subgroup
from examples.rfmid.tables import number, text_table, with_interval
from mlthresh import MultilabelReport, ThresholdSet, multilabel_report

EVALUATION = "evaluation.json"

_AVERAGES = (
    "macro_f1",
    "macro_f1_interval",
    "macro_recall",
    "macro_precision",
    "macro_auroc",
    "macro_auroc_interval",
    "macro_average_precision",
    "macro_f1_all_positive",
    "macro_f1_chance",
    "n_with_support",
    "n_learned",
)


def evaluate(
    run: Path,
    *,
    n_resamples: int = 1000,
    external: Path | None = None,
    label_map: str | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Score the run's test predictions, write ``evaluation.json``, and print a summary.

    With a folder as `external`, the model as it was shipped is scored on that data set instead.

    Parameters
    ----------
    run
        The run folder, with both predictions files and ``thresholds.json``.
    n_resamples
        Bootstrap resamples of the patients, or images, for the intervals of averages.
    external
        Another data folder, in three splits or with one label CSV. Parts that the run has learnt
        from are left out; diseases that aren't recorded there are not scored.
    label_map
        What its columns mean: odir-to-rfmid, or a JSON or CSV file of column and class. Without
        it, a column is the class of the same code.
    name
        Of the external evaluation; by default the folder's.

    Returns
    -------
    dict
        The content of ``evaluation.json``, or of ``evaluation_external_NAME.json``.

    Raises
    ------
    RecipeError
        If a file is missing or damaged, or belongs to other classes than the predictions.
    """
    if external is not None:
        return evaluate_external(
            run, external, label_map=label_map, name=name, n_resamples=n_resamples
        )
    if label_map is not None or name is not None:
        raise RecipeError("--label-map and --name belong to --external")
    folder = RunFolder(run)
    val, test = (Predictions.load(folder.predictions(split)) for split in ("val", "test"))
    if val.class_names != test.class_names:
        raise RecipeError(
            f"{folder.predictions('val')} and {folder.predictions('test')} have other classes: "
            f"{', '.join(val.class_names)}; {', '.join(test.class_names)}"
        )
    for split, predictions in (("validation", val), ("test", test)):
        if not predictions.shown:
            raise RecipeError(f"no {split} image of {run} shows a disease: nothing can be scored")
    in_use = load_thresholds(folder, val.class_names)
    found = chosen_thresholds(val, in_use)
    scored = [
        {
            "key": rule.key,
            "description": rule.description,
            "thresholds": _as_json(rule.thresholds.thresholds),
            "raw_scores": rule.raw,
            "val": _averages(val, rule, n_resamples),
            "test": _averages(test, rule, n_resamples),
        }
        for rule in found
    ]
    result = {
        "format": "rfmid.evaluation",
        "version": 1,
        "class_names": list(val.class_names),
        "n_images": {"val": len(val.ids), "test": len(test.ids)},
        "n_patients": {"val": val.n_patients, "test": test.n_patients},
        "rules": scored,
        "against_half": {
            rule.key: macro_f1_difference(test, rule, found[0], n_resamples=n_resamples)
            for rule in found[1:]
        },
        "test": _strict(
            multilabel_report(
                test.y_true, test.y_score, in_use, groups=test.patients, n_resamples=0
            )
        ),
        "subgroups": by_subgroup(test, in_use, n_resamples),
        "recall_floor": recall_floor(in_use, val, test),
        "certified": certified_recall(folder, in_use),
        "calibration": calibration(test),
        "grades": grade_agreement(val, test, n_resamples),
        "inputs": input_digests(folder),
    }
    write_json(run / EVALUATION, result)
    print(_summary(result))
    return result


def input_digests(folder: RunFolder) -> dict[str, str]:
    """Return a digest of each file that the evaluation depends on."""
    predictions = map(folder.predictions, ("val", "certify", "test"))
    return digests(*predictions, folder.path / "thresholds.json")


def _averages(predictions: Predictions, rule: Rule, n_resamples: int) -> dict[str, Any]:
    """Return averages over the classes with a positive: every rule is scored on the same ones."""
    shown = predictions.select(predictions.shown)
    report = multilabel_report(
        shown.y_true,
        rule.scores(shown),
        rule.thresholds.select(shown.class_names),
        groups=shown.patients,
        n_resamples=n_resamples,
    )
    content = _strict(report)
    return {name: content[name] for name in ("confidence", *_AVERAGES)}


def recall_floor(in_use: ThresholdSet, val: Predictions, test: Predictions) -> dict[str, Any]:
    """Compare the floor on recall that was met on validation with what test images show.

    Returns
    -------
    dict
        Whether the thresholds were ``searched_for`` under it, the classes that
        ``met_on_validation``, and those of them that are ``broken_on_test``, with their figures.
    """
    floor = in_use.options.get("min_recall")
    floors = np.broadcast_to(
        np.float64(DECK.min_recall if floor is None else floor), in_use.n_classes
    )
    on_val, on_test = (
        multilabel_report(split.y_true, split.y_score, in_use, groups=split.patients, n_resamples=0)
        for split in (val, test)
    )
    names = test.class_names
    met = [c for c in range(len(names)) if on_val.recall[c] >= floors[c] and on_test.support[c]]
    return {
        "searched_for": floor is not None,
        "met_on_validation": [names[c] for c in met],
        "broken_on_test": [
            {
                "class": names[c],
                "floor": float(floors[c]),
                "validation_recall": float(on_val.recall[c]),
                "validation_positives": int(on_val.support[c]),
                "test_recall": float(on_test.recall[c]),
                "test_recall_interval": on_test.recall_interval[c].tolist(),
                "test_positives": int(on_test.support[c]),
            }
            for c in met
            if on_test.recall[c] < floors[c]
        ],
    }


def _summary(result: dict[str, Any]) -> str:
    """Write what a reader needs first, the test figures in the middle."""
    by_key = {rule["key"]: rule for rule in result["rules"]}
    test, whole = by_key["in_use"]["test"], result["test"]
    rows = [
        [
            rule["description"],
            with_interval(rule["val"]["macro_f1"], rule["val"]["macro_f1_interval"]),
            with_interval(rule["test"]["macro_f1"], rule["test"]["macro_f1_interval"]),
            f"{rule['test']['n_learned']} of {rule['test']['n_with_support']}",
        ]
        for rule in result["rules"]
    ]
    rows += [
        ["(every class in every image)", "", number(test["macro_f1_all_positive"]), ""],
        ["(at random, as often as it occurs)", "", number(test["macro_f1_chance"]), ""],
    ]
    floor = result["recall_floor"]
    broken = [
        f"{one['class']} ({one['test_recall']:.3f} of {one['test_positives']}, "
        f"floor {one['floor']:g})"
        for one in floor["broken_on_test"]
    ]
    return "\n".join(
        [
            (
                f"{result['n_images']['test']} test images, {len(result['class_names'])} classes; "
                f"{test['confidence']:.0%} intervals in brackets"
            ),
            "",
            text_table(["macro-F1", "validation (apparent)", "test", "F1 > 0"], rows),
            "",
            *(
                f"{key} minus 0.5 on test: "
                + with_interval(one["macro_f1_difference"], one["interval"])
                for key, one in result["against_half"].items()
            ),
            "",
            (
                f"macro-AUROC {with_interval(test['macro_auroc'], test['macro_auroc_interval'])}, "
                f"mean average precision {number(test['macro_average_precision'])}"
            ),
            (
                f"single labels right: {number(whole['accuracy'])}; calling nothing: "
                f"{number(whole['accuracy_predicting_nothing'])}"
            ),
            (
                f"recall floor met on validation by {len(floor['met_on_validation'])} classes, "
                f"broken on test by {len(broken)}{': ' if broken else ''}{', '.join(broken)}"
            ),
            certified_summary(result["certified"]),
            calibration_summary(result["calibration"]),
            *grade_summary(result["grades"]),
        ]
    )


def _strict(report: MultilabelReport) -> dict[str, Any]:
    """Return the report as strict JSON values: what is undefined is None."""
    content: dict[str, Any] = json.loads(report.to_json())
    return content


def _as_json(thresholds: npt.NDArray[Any]) -> list[float | str]:
    return [float(t) if np.isfinite(t) else str(t) for t in thresholds]
