"""The report as Markdown: what was measured, on what, and what it doesn't say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from examples.rfmid.reporting.drawing import Drawn
from examples.rfmid.reporting.external import external_sections
from examples.rfmid.reporting.limits import limits
from examples.rfmid.reporting.record import RunRecord
from examples.rfmid.tables import counted, markdown_table, number, with_interval

__all__ = ["write_markdown"]

_SPLITS = {"train": "training", "val": "validation", "certify": "set aside", "test": "test"}
_RULE_NAMES = {"grid": "grid", "exact": "exact", "pooled": "pooled", "in_use": "as shipped"}
_NOT_A_DEVICE = """\
**This is not a medical device.** It is an example of method, not certified, and not for use on
patients."""
_DRAWINGS = """\
> **DRAWINGS, NOT PATIENTS.** Every image here was drawn by a program, and each disease is a sign
> painted on it. The figures show that the system works from end to end. They say nothing about how
> well it finds disease in photographs of real eyes."""
_UNKNOWN_IMAGES = """\
> The data folder was not there when this report was written, so it can't tell whether the images
> were photographs or the recipe's generated drawings."""


def write_markdown(record: RunRecord, figures: Mapping[str, Drawn]) -> str:
    """Return the whole report."""
    sections = [
        _title(record),
        _result(record),
        _data(record, figures),
        _training(record, figures),
        _classes(record, figures),
        _floor(record),
        _certified(record),
        _calibration(record, figures),
        external_sections(record),
        ["## Limits", "\n".join(f"- {point}" for point in limits(record))],
        _left_out(figures),
    ]
    return "\n\n".join(block for section in sections for block in section if block) + "\n"


def _title(record: RunRecord) -> list[str]:
    images = {True: _DRAWINGS, False: "", None: _UNKNOWN_IMAGES}[record.drawn]
    run = record.run.resolve().name
    return [f"# Retinal diseases in fundus photographs: run `{run}`", _NOT_A_DEVICE, images]


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
    splits = list(data["splits"].values())

    def row(title: str, entry: str) -> list[str]:
        return [title, *("-" if at[entry] is None else f"{at[entry]:,}" for at in splits)]

    rows = [row("images", "images"), row("without any of the diseases", "without_disease")]
    if any(at["patients"] is not None for at in splits):
        rows.append(row("patients", "patients"))
    if any(at["missing_labels"] for at in splits):
        rows.append(row("missing labels", "missing_labels"))
    dropped = ", ".join(f"{entry['code']} ({entry['count']})" for entry in data["dropped_classes"])
    folder = record.config.data.folder.resolve().name
    return [
        "## Data",
        (
            f"Data folder `{folder}`: {counted(len(record.codes), 'disease')} with at least "
            f"{counted(data['min_count'], 'training image')}."
        ),
        markdown_table(["", *(_SPLITS[name] for name in data["splits"])], rows),
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
        markdown_table(["setting", "value"], _settings(record), n_left=2),
        *_shown(figures, "training_curves", "learning_rates", "f1_by_epoch", "augmentation"),
    ]


def _settings(record: RunRecord) -> list[list[str]]:
    config, epochs = record.config, record.epochs
    loss, training, size = config.loss, config.training, config.image.image_size
    weights = {"imagenet": "ImageNet weights", "none": "random weights"}.get(
        config.model.weights, f"the weights in `{Path(config.model.weights).name}`"
    )
    fit = {
        "crop": "short side scaled, centre cut",
        "pad": "padded to a square",
        "fov": "cropped to the field of view, padded to a square",
    }[config.image.fit]
    focal = f"focal, gamma {loss.gamma:g}, alpha {'off' if loss.alpha is None else loss.alpha}"
    if loss.pos_weight:
        cap = "" if loss.max_pos_weight is None else f", at most {loss.max_pos_weight:g}"
        focal += f", positives weighted by their rarity{cap}"
    rule = {
        "macro_f1_cross_fitted": "highest validation macro-F1, thresholds by other patients",
        "macro_f1_tuned": "highest validation macro-F1 after choosing thresholds",
        "val_loss": "lowest validation loss",
    }[training.selection]
    minutes = sum(epoch["seconds"] for epoch in epochs) / 60
    speed = sum(epoch["images_per_second"] for epoch in epochs) / len(epochs)
    return [
        ["network", f"{config.model.architecture} from {weights}"],
        ["input", f"{size} x {size} pixels, {fit}"],
        ["loss", focal],
        ["sampling", "by the rarest disease shown" if training.sampler else "shuffled"],
        ["epochs", f"{len(epochs)} of at most {training.epochs}, patience {training.patience}"],
        ["model taken from", f"epoch {record.selected['epoch']}: {rule}"],
        ["time", f"{minutes:.1f} minutes, {speed:.0f} training images/s"],
        ["seed", str(training.seed)],
    ]


def _classes(record: RunRecord, figures: Mapping[str, Drawn]) -> list[str]:
    classes = record.evaluation["test"]["classes"]
    counts = [record.counts(split) for split in record.data["splits"]]
    rows = []
    for c in record.by_frequency:
        code, status = record.codes[c], record.thresholds.status[c].replace("_", " ")
        threshold = number(float(record.thresholds.thresholds[c]))
        rows.append(
            [
                code,
                record.names[code],
                " / ".join(str(of_split[c]) for of_split in counts),
                threshold if status == "ok" else f"{threshold} ({status})",
                *(
                    with_interval(classes[c][name], classes[c][f"{name}_interval"], 2)
                    for name in ("recall", "precision", "f1", "auroc")
                ),
                number(classes[c]["average_precision"], 2),
            ]
        )
    splits = " / ".join(_SPLITS[split] for split in record.data["splits"])
    header = ["code", "disease", f"images: {splits}", "threshold", "recall", "precision"]
    drawn = ("f1_by_class", "roc", "confusion_frequent", "confusion_rare", "threshold_sweep")
    return [
        "## Class by class",
        (
            "On the test images, at the thresholds in use. Each interval holds by itself, not all "
            "of them together; average precision (AP) has none. A dash: undefined."
        ),
        markdown_table([*header, "F1", "AUROC", "AP"], rows, n_left=2),
        *_shown(figures, *drawn, "examples"),
    ]


def _floor(record: RunRecord) -> list[str]:
    floor = record.evaluation["recall_floor"]
    met, broken = floor["met_on_validation"], floor["broken_on_test"]
    if floor["searched_for"]:
        purpose = "The thresholds were searched under a floor on validation recall."
    else:
        purpose = (
            "The thresholds were chosen without a floor on recall; this checks one all the same."
        )
    outcome = (
        f"{counted(len(met), 'class')} met it on validation, **{len(broken)}** of them broke it"
    )
    named = f" on test: {_listed([record.label(one['class']) for one in broken])}"
    rows = [
        [
            record.label(one["class"]),
            f"{one['floor']:g}",
            f"{number(one['validation_recall'])} of {one['validation_positives']}",
            (
                f"{with_interval(one['test_recall'], one['test_recall_interval'])} "
                f"of {one['test_positives']}"
            ),
        ]
        for one in broken
    ]
    header = ["class", "floor", "recall, validation", "recall, test"]
    return [
        "## Does the floor on recall hold?",
        (
            f"{purpose} {outcome}{named if broken else ' on test'}. A floor that a few validation "
            "images met is an observation, not a guarantee."
        ),
        markdown_table(header, rows) if broken else "",
    ]


def _certified(record: RunRecord) -> list[str]:
    certified = record.evaluation["certified"]
    title = f"## Recall certified at {certified['confidence']:.0%}"
    if certified["why_not"]:
        return [title, f"Not certified: {certified['why_not']}."]
    of = counted(certified["n_images"], "image")
    if certified["n_patients"] is not None:
        of += f" of {counted(certified['n_patients'], 'patient')}"
    unit = "image" if certified["n_patients"] is None else "patient"
    rows = [
        [
            record.label(one["class"]),
            f"{one['found']} of {one['with_disease']}",
            number(one["recall_at_least"]) if one["with_disease"] else "-",
            f"{one['floor']:g}",
            "yes" if one["with_disease"] and one["recall_at_least"] >= one["floor"] else "no",
        ]
        for one in certified["classes"]
    ]
    return [
        title,
        (
            f"Measured on {of} of the validation split that chose nothing. With "
            f"{certified['confidence']:.0%} confidence, for each disease by itself, this model at "
            "these thresholds finds at least the stated part of such patients; one who has several "
            "images of the disease counts as found if all of them are called. It is no promise for "
            "another camera, clinic or population. Few patients certify little: "
            f"with every one of 5 found, {0.1 ** (1 / 5):.2f}."
        ),
        markdown_table(
            ["disease", f"{unit}s found", "recall at least", "floor", "floor certified"], rows
        ),
    ]


def _calibration(record: RunRecord, figures: Mapping[str, Drawn]) -> list[str]:
    found = record.evaluation["calibration"]
    rows = [
        [title, number(found[name]["macro_error"], 4), number(found[name]["log_loss"], 4)]
        for title, name in (("raw scores (sigmoid)", "raw"), ("as shipped", "probability"))
    ]
    rows.append(
        ["*each disease's prevalence for everyone*", "", number(found["log_loss_of_prevalence"], 4)]
    )
    return [
        "## Do probabilities mean what they say?",
        (
            "On the test images. The calibration error is the mean gap between predicted and "
            "observed frequency over ten bins of equal numbers of images, averaged over diseases; "
            "for rare ones most of it is chance."
        ),
        markdown_table(["scores", "macro calibration error", "log loss"], rows),
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


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
