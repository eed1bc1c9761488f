"""Score a trained run on another data set, as it was shipped: same model, same thresholds.

Diseases that the other set doesn't record have no labels there and are not scored. The figures go
to ``evaluation_external_NAME.json``, the scores to ``predictions_external_NAME.npz``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from examples.rfmid.data.layout import SplitLayout, find_parts
from examples.rfmid.data.sources import OtherData, another_folder, read_other
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import digests, read_json, write_json
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.calibration import calibration
from examples.rfmid.settings.config_file import load_config
from examples.rfmid.tables import counted, number, text_table, with_interval
from mlthresh import ThresholdSet, multilabel_report, verify_thresholds

if TYPE_CHECKING:
    from examples.rfmid.serving.bundle import Bundle

CONFIDENCE = 0.9

_BATCH = 32


def evaluate_external(
    run: Path, data: Path, *, label_map: str | None, name: str | None, n_resamples: int
) -> dict[str, Any]:
    """Score the images of another data folder; see ``evaluate --external``."""
    folder = RunFolder(run)
    name = name or data.resolve().name
    if not re.fullmatch(r"[\w-]+", name):
        raise RecipeError(f"{name!r} can't be part of a file's name: pass --name with another")
    config, summary = load_config(folder.config), read_json(folder.data)
    classes = {entry["code"]: entry["name"] for entry in summary["classes"]}
    here = another_folder(config.data, data)
    summaries = [summary, *(read_json(member.data) for member in folder.members())]
    parts, learnt = _unseen(find_parts(here), summaries)
    if not parts:
        raise RecipeError(f"the run has learnt from every part of {data}: it can't be tested there")
    other = read_other(parts, label_map, classes, here)
    predictions, thresholds = _predict(run, other, tuple(classes))
    path = folder.path / f"predictions_external_{name}.npz"
    predictions.save(path)
    result = {
        "format": "rfmid.external",
        "version": 1,
        "name": name,
        "folder": str(data.absolute()),
        "label_map": label_map,
        "parts": list(parts),
        "parts_learnt_from": learnt,
        "unused_columns": list(other.unused),
        "images_skipped": other.skipped,
        "not_recorded": [code for code in classes if code not in other.classes],
        **_figures(predictions, thresholds, other.classes, n_resamples),
        "inputs": external_digests(folder, name),
    }
    write_json(folder.path / f"evaluation_external_{name}.json", result)
    print(_summary(result))
    return result


def external_results(folder: RunFolder) -> list[dict[str, Any]]:
    """Return what earlier calls found, by name."""
    results = []
    for path in sorted(folder.path.glob("evaluation_external_*.json")):
        result = read_json(path)
        if result.get("inputs") != external_digests(folder, str(result.get("name"))):
            raise RecipeError(
                f"{path} is older than the thresholds or predictions: run evaluate --external "
                f"{result.get('folder')} again, or delete it"
            )
        results.append(result)
    return results


def external_digests(folder: RunFolder, name: str) -> dict[str, str]:
    """Return a digest of each file that an external evaluation depends on."""
    return digests(
        folder.path / f"predictions_external_{name}.npz", folder.path / "thresholds.json"
    )


def _unseen(
    parts: Mapping[str, SplitLayout], summaries: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, SplitLayout], list[str]]:
    """Leave out the parts that the run or one of its members was trained, tuned or certified on."""
    used: set[str] = set()
    for summary in summaries:
        used |= {at["label_file"] for name, at in summary["splits"].items() if name != "test"}
        used |= {file for source in summary.get("extra_data", ()) for file in source["label_files"]}
    seen = {Path(file).resolve() for file in used}
    unseen = {name: part for name, part in parts.items() if part.labels.resolve() not in seen}
    return unseen, [name for name in parts if name not in unseen]


def _predict(
    run: Path, other: OtherData, codes: tuple[str, ...]
) -> tuple[Predictions, ThresholdSet]:
    """Return the scores of the saved model, or of an ensemble's, and the thresholds in use."""
    from examples.rfmid.serving.ensemble import Ensemble, load_predictor

    predictor = load_predictor(run)
    if tuple(predictor.names) != codes:
        raise RecipeError(f"{run}: the model has other classes than the run's data.json")
    networks = predictor.members if isinstance(predictor, Ensemble) else (predictor,)
    said = [_scored(one, other.split.paths) for one in networks]
    predictions = Predictions(
        ids=other.split.ids,
        class_names=codes,
        y_true=other.split.labels,
        y_score=np.mean([scores for scores, _ in said], axis=0),
        patients=other.split.patients,
        subgroups=other.split.subgroups,
        y_logit=said[0][1] if len(said) == 1 else None,
    )
    return predictions, predictor.thresholds


def _scored(
    bundle: Bundle, photographs: Sequence[Path]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Return a network's probabilities and what they were made of."""
    import torch  # which the rest of scoring can do without

    from examples.rfmid.data.images import load_image
    from examples.rfmid.training.device import choose_device

    device = choose_device("auto")
    network = bundle.model.model.to(device).eval()
    link = torch.sigmoid if bundle.model.posterior is None else bundle.model.posterior
    batches = []
    with torch.inference_mode():
        for first in range(0, len(photographs), _BATCH):
            paths = photographs[first : first + _BATCH]
            images = torch.stack([bundle.preprocessing(load_image(path)) for path in paths])
            batches.append(network(images.to(device)).float().cpu())
        logits = torch.cat(batches)
        return link(logits.double()).numpy(), logits.numpy()


def _figures(
    predictions: Predictions, thresholds: ThresholdSet, recorded: tuple[str, ...], n_resamples: int
) -> dict[str, Any]:
    """Return what the recorded classes' labels say."""
    known = predictions.select(recorded)
    chosen = thresholds.select(recorded)
    report = multilabel_report(
        known.y_true, known.y_score, chosen, groups=known.patients, n_resamples=n_resamples
    )
    given = {
        key: chosen.options[key]
        for key in ("min_recall", "min_specificity")
        if chosen.options.get(key) is not None
    }
    floors = None
    if given:
        floors = verify_thresholds(
            replace(chosen, options=given),
            known.y_true,
            known.y_score,
            confidence=CONFIDENCE,
            groups=known.patients,
        ).to_dict()
    return {
        "class_names": list(recorded),
        "n_images": len(known.ids),
        "n_patients": known.n_patients,
        "missing_labels": int(np.isnan(known.y_true).sum()),
        "report": json.loads(report.to_json()),
        "floors": floors,
        "calibration": calibration(known),
    }


def _summary(result: dict[str, Any]) -> str:
    report, floors = result["report"], result["floors"]
    verdicts = {c["class_name"]: c["verdict"] for c in floors["checks"]} if floors else {}
    rows = [
        [
            one["name"],
            str(one["support"]),
            *(
                with_interval(one[rate], one[f"{rate}_interval"], 2)
                for rate in ("recall", "precision", "auroc")
            ),
            verdicts.get(one["name"], "-"),
        ]
        for one in report["classes"]
    ]
    learnt = ", ".join(result["parts_learnt_from"])
    left_out = f" ({learnt} left out)" if learnt else ""
    absent = ", ".join(result["not_recorded"]) or "none"
    auroc = with_interval(report["macro_auroc"], report["macro_auroc_interval"])
    error = number(result["calibration"]["probability"]["macro_error"])
    return "\n".join(
        [
            (
                f"{result['name']}: {counted(result['n_images'], 'image')} that the run has not "
                f"learnt from{left_out}; not recorded there: {absent}"
            ),
            "",
            text_table(
                ["thresholds as shipped", "n", "recall", "precision", "AUROC", "floor"], rows
            ),
            "",
            (
                f"macro-F1 {with_interval(report['macro_f1'], report['macro_f1_interval'])}, "
                f"macro-AUROC {auroc}, macro calibration error {error}"
            ),
        ]
    )
