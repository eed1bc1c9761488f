"""The report as Markdown: what was measured, on what, and what it doesn't say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from examples.rfmid.data.glossary import ODIR, RFMID
from examples.rfmid.reporting.drawing import Drawn
from examples.rfmid.reporting.external import external_sections
from examples.rfmid.reporting.grades import grade_section
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
from examples.rfmid.tables import counted, markdown_table, number, with_interval

_RULE_NAMES = {"grid": "grid", "exact": "exact", "pooled": "pooled", "in_use": "as shipped"}
_DRAWINGS = """\
> **DRAWINGS, NOT PATIENTS.** Every image here was drawn by a program, and each disease is a sign
> painted on it. The figures show that the system works from end to end. They say nothing about how
> well it finds disease in photographs of real eyes."""
_UNKNOWN_IMAGES = """\
> The data folder was not there when this report was written, so it can't tell whether the images
> were photographs or the recipe's generated drawings."""


def write_markdown(record: RunRecord, figures: Mapping[str, Drawn]) -> str:
    """Return the whole report."""
    confidence = record.evaluation["certified"]["confidence"]
    sections = [
        _title(record),
        _result(record),
        _data(record, figures),
        _training(record, figures),
        _classes(record, figures),
        ["## Does the floor on recall hold?", *recall_floor(record)],
        [f"## Recall certified at {confidence:.0%}", *certified(record)],
        ["## By age, sex, camera, ...", *subgroups(record)],
        _calibration(record, figures),
        grade_section(record),
        external_sections(record),
        ["## Limits", "\n".join(f"- {point}" for point in limits(record))],
        _left_out(figures),
    ]
    return "\n\n".join(block for section in sections for block in section if block) + "\n"


def _title(record: RunRecord) -> list[str]:
    images = {True: _DRAWINGS, False: "", None: _UNKNOWN_IMAGES}[record.drawn]
    run = record.run.resolve().name
    retinal = any(set(record.codes) <= set(glossary) for glossary in (RFMID, ODIR))
    subject = "Retinal diseases in fundus photographs" if retinal else "Labels of images"
    return [f"# {subject}: run `{run}`", NOT_A_DEVICE, images]


def _result(record: RunRecord) -> list[str]:
    evaluation = record.evaluation
    in_use = evaluation["rules"][-1]["test"]
    scored = counted(evaluation["n_images"]["test"], "test image")
    shown = counted(in_use["n_with_support"], "disease")
    introduction = (
        f"{scored}, {shown} shown by at least one of them; {in_use['confidence']:.0%} intervals in "
        "brackets. All thresholds were chosen on the validation images; *apparent* means measured "
        "on the images that chose them."
    )
    header = ["thresholds", "macro-F1", "macro-recall", "F1 > 0", "apparent macro-F1, validation"]
    rows = [
        [
            rule["description"],
            with_interval(rule["test"]["macro_f1"], rule["test"]["macro_f1_interval"]),
            number(rule["test"]["macro_recall"]),
            f"{rule['test']['n_learned']} of {rule['test']['n_with_support']}",
            number(rule["val"]["macro_f1"]),
        ]
        for rule in evaluation["rules"]
    ]
    for description, name in (
        ("*calling every disease in every image*", "macro_f1_all_positive"),
        ("*calling each at random, as often as it occurs*", "macro_f1_chance"),
    ):
        rows.append([description, number(in_use[name]), "", "", ""])
    differences = "; ".join(
        f"{_RULE_NAMES[key]} {with_interval(one['macro_f1_difference'], one['interval'])}"
        for key, one in evaluation["against_half"].items()
    )
    auroc = with_interval(in_use["macro_auroc"], in_use["macro_auroc_interval"])
    precision = number(in_use["macro_average_precision"])
    return [
        "## Result",
        introduction,
        markdown_table(header, rows),
        (
            "Did choosing thresholds help? Macro-F1 on test minus that at 0.5, on the same images: "
            f"{differences}. An interval that contains 0 leaves it open."
        ),
        f"Ranking, at no threshold: macro-AUROC {auroc}, mean average precision {precision}.",
        _accuracy(evaluation["test"]),
    ]


def _accuracy(test: Mapping[str, Any]) -> str:
    """Return the sentence that puts accuracy where it belongs."""
    single = (
        f"Of all single yes/no labels, {number(test['accuracy'])} are right; calling nothing at "
        f"all gets {number(test['accuracy_predicting_nothing'])}. That is why accuracy is no "
        "headline here."
    )
    if test["subset_accuracy"] is None:
        return single
    return (
        f"{single} Every label of an image is right in {number(test['subset_accuracy'])} of the "
        f"images; calling nothing gets {number(test['subset_accuracy_predicting_nothing'])}."
    )


def _data(record: RunRecord, figures: Mapping[str, Drawn]) -> list[str]:
    data = record.data
    dropped = ", ".join(f"{entry['code']} ({entry['count']})" for entry in data["dropped_classes"])
    folder = record.config.data.folder.resolve().name
    return [
        "## Data",
        (
            f"Data folder `{folder}`: {counted(len(record.codes), 'disease')} with at least "
            f"{counted(data['min_count'], 'training image')}."
        ),
        split_table(record),
        *(
            f"{one['images']:,} of the training images are from `{one['name']}`; not recorded "
            f"there, and so missing labels: {', '.join(one['not_recorded']) or 'none'}."
            for one in data.get("extra_data", ())
        ),
        f"Dropped for fewer training images: {dropped}." if dropped else "",
        *(f"Warning: {warning}." for warning in data["warnings"]),
        *_shown(figures, "class_distribution", "healthy_and_diseased", "samples"),
    ]


def _training(record: RunRecord, figures: Mapping[str, Drawn]) -> list[str]:
    return [
        "## Training",
        settings_table(record),
        *_shown(figures, "training_curves", "learning_rates", "f1_by_epoch", "augmentation"),
    ]


def _classes(record: RunRecord, figures: Mapping[str, Drawn]) -> list[str]:
    drawn = ("f1_by_class", "roc", "confusion_frequent", "confusion_rare", "threshold_sweep")
    return [
        "## Class by class",
        (
            "On the test images, at the thresholds in use. Each interval holds by itself, not all "
            "of them together; average precision (AP) has none. A dash: undefined."
        ),
        class_table(record),
        *_shown(figures, *drawn, "examples"),
    ]


def _calibration(record: RunRecord, figures: Mapping[str, Drawn]) -> list[str]:
    return [
        "## Do probabilities mean what they say?",
        (
            "On the test images. The calibration error is the mean gap between predicted and "
            "observed frequency over ten bins of equal numbers of images, averaged over diseases; "
            "for rare ones most of it is chance."
        ),
        calibration_table(record),
        *_shown(figures, "calibration"),
    ]


def _left_out(figures: Mapping[str, Drawn]) -> list[str]:
    missing = [figure for figure in figures.values() if figure.reason is not None]
    lines = [f"- {figure.name.replace('_', ' ')}: {figure.reason}." for figure in missing]
    return ["## Figures left out", "\n".join(lines)] if missing else []


def _shown(figures: Mapping[str, Drawn], *names: str) -> list[str]:
    return [
        f"![{figures[name].caption}]({figures[name].file})\n\n*{figures[name].caption}*"
        for name in names
        if figures[name].reason is None
    ]
