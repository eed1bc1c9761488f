"""A model card under the headings of Mitchell et al., "Model Cards for Model Reporting" (2019).

Everything in it follows from the run folder; what the run does not know is said to be unknown.
"""

from __future__ import annotations

from collections import Counter

from examples.rfmid.files import read_json
from examples.rfmid.reporting.limits import limits
from examples.rfmid.reporting.record import RunRecord
from examples.rfmid.reporting.sections import (
    NOT_A_DEVICE,
    calibration_table,
    certified,
    class_table,
    recall_floor,
    settings_table,
    split_table,
    subgroups,
)
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.tables import counted, markdown_table, number, with_interval

_UNKNOWN = "not recorded in the run"


def write_model_card(record: RunRecord) -> str:
    """Return the model card as Markdown."""
    sections = [
        [f"# Model card: `{record.run.resolve().name}`", NOT_A_DEVICE],
        ["## Model details", _details(record), "Training:", settings_table(record)],
        _intended_use(record),
        _factors(record),
        _metrics(record),
        ["## Evaluation data", *_evaluation_data(record)],
        ["## Training data", *_training_data(record)],
        ["## Quantitative analyses", *_quantitative(record)],
        ["## Ethical considerations", _ethical(record)],
        ["## Caveats and recommendations", _bullets(limits(record))],
    ]
    return "\n\n".join(block for section in sections for block in section if block) + "\n"


def _bullets(points: list[str]) -> str:
    return "\n".join(f"- {point}" for point in points)


def _details(record: RunRecord) -> str:
    path = RunFolder(record.run).manifest
    manifest = read_json(path) if path.is_file() else {}
    metadata = manifest.get("metadata") or {}
    digest = (manifest.get("sha256") or {}).get("model.safetensors")
    versions = metadata.get("versions") or {}
    saved_with = ", ".join(f"{name} {version}" for name, version in versions.items())
    outputs = "probabilities through the loss's inverse link"
    if not record.config.loss.link:
        outputs = "the sigmoid of the network's outputs, which is no calibrated probability"
    made_with = saved_with or _UNKNOWN
    weights = f"`{digest}`" if digest else _UNKNOWN
    if record.members:
        outputs = f"the mean of the probabilities of {len(record.members)} networks"
        made_with, weights = "see the members' own cards", "those of the members, below"
    rows = [
        ["task", f"{counted(len(record.codes), 'disease')}, each called or not by itself"],
        ["input", "one colour photograph of the back of one eye, 8 bits a channel"],
        ["output", f"for each disease {outputs}, and a decision: score >= threshold"],
        ["weights (SHA-256)", weights],
        ["made with", made_with],
        ["developers, contact, licence of the weights", f"{_UNKNOWN}: add them before sharing"],
    ]
    return markdown_table(["", ""], rows, n_left=2)


def _intended_use(record: RunRecord) -> list[str]:
    names = ", ".join(record.label(code) for code in record.codes)
    return [
        "## Intended use",
        _bullets(
            [
                (
                    "For: studying and teaching multi-label classification of rare diseases; "
                    "comparing thresholds, losses and samplers."
                ),
                "By: people who build and measure such models.",
                "Not for: diagnosis, screening, triage or any other decision about a person.",
                (
                    f"It knows of nothing but {names}. An eye that it calls clear may have any "
                    "other disease."
                ),
            ]
        ),
    ]


def _factors(record: RunRecord) -> list[str]:
    measured = list(record.evaluation["subgroups"]["variables"])
    by = f"by {', '.join(measured)}" if measured else "by no property of the patient or the camera"
    return [
        "## Factors",
        (
            "Relevant: the patient's age, sex and origin; other eye disease and earlier "
            "treatment; camera, field of view, dilation and image quality; who labelled, and by "
            f"which rules. The test figures are broken down {by}. Groups that two properties make "
            "together were not measured."
        ),
    ]


def _metrics(record: RunRecord) -> list[str]:
    return [
        "## Metrics",
        (
            "Recall and precision of each disease at its threshold, and F1, their harmonic mean: "
            "for a rare disease accuracy would reward calling nothing. AUROC and average "
            "precision (AP) judge the ranking, at no threshold. "
            f"Intervals: {record.evaluation['test']['confidence']:.0%}."
        ),
        _thresholds(record),
    ]


def _thresholds(record: RunRecord) -> str:
    thresholds = record.thresholds
    options = [
        f"{name.replace('_', ' ')} {value}"
        for name, value in thresholds.options.items()
        if value is not None and name in ("strategy", "objective", "min_recall", "max_threshold")
    ]
    if len(thresholds.options.get("grid") or ()) == 1:
        return "Thresholds: one fixed value, chosen by no data."
    shown = Counter(status.replace("_", " ") for status in thresholds.status)
    images = counted(record.evaluation["n_images"]["val"], "validation image")
    return (
        f"Thresholds were chosen on {images} ({', '.join(options)}). Status "
        f"{', '.join(f'{status}: {n}' for status, n in shown.items())}; positives that chose a "
        f"threshold: {thresholds.support.min()} to {thresholds.support.max()}."
    )


def _evaluation_data(record: RunRecord) -> list[str]:
    kind = "images (their folder is gone, so photographs or drawings can't be told apart)"
    if record.drawn is not None:
        kind = "drawings made by a program" if record.drawn else "photographs"
    return [
        (
            f"The test split of `{record.config.data.folder.resolve().name}`: "
            f"{counted(record.evaluation['n_images']['test'], 'image')}, {kind}. It chose neither "
            "the model nor the thresholds."
        ),
        split_table(record),
    ]


def _training_data(record: RunRecord) -> list[str]:
    dropped = len(record.data["dropped_classes"])
    return [
        (
            "The training split of the same folder; images by disease are in the table below. "
            f"Diseases with fewer than {counted(record.data['min_count'], 'training image')} were "
            f"dropped ({dropped}). Where and when the photographs were taken, and by whom they "
            f"were labelled: {_UNKNOWN}."
        ),
        *(f"Warning: {warning}." for warning in record.data["warnings"]),
    ]


def _quantitative(record: RunRecord) -> list[str]:
    test = record.evaluation["rules"][-1]["test"]
    return [
        "### All test images",
        _bullets(
            [
                (
                    f"macro-F1 {with_interval(test['macro_f1'], test['macro_f1_interval'])}; "
                    "calling every disease in every image: "
                    f"{number(test['macro_f1_all_positive'])}"
                ),
                "macro-AUROC " + with_interval(test["macro_auroc"], test["macro_auroc_interval"]),
                f"diseases with at least one hit: {test['n_learned']} of {test['n_with_support']}",
            ]
        ),
        class_table(record),
        "### By subgroup",
        *subgroups(record),
        "### The floor on recall",
        *recall_floor(record),
        f"### Recall certified at {record.evaluation['certified']['confidence']:.0%}",
        *certified(record),
        "### Calibration",
        calibration_table(record),
    ]


def _ethical(record: RunRecord) -> str:
    points = [
        (
            "Photographs of the retina are health data and can identify a person. The weights and "
            "exported files hold no photograph; whether weights reveal something about training "
            "images was not examined."
        ),
        (
            "A missed disease can cost sight, a false alarm worry and a needless visit. The "
            "thresholds weigh the two by a formula, not by what they cost a patient."
        ),
    ]
    if not record.evaluation["subgroups"]["variables"]:
        points.append("Fairness between groups of patients was not measured.")
    return _bullets(points)
