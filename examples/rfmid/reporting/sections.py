"""Tables and sentences about a run that the report and the model card share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from examples.rfmid.reporting.record import RunRecord
from examples.rfmid.settings import ModelConfig
from examples.rfmid.tables import counted, markdown_table, number, with_interval

_SPLITS = {"train": "training", "val": "validation", "certify": "set aside", "test": "test"}
NOT_A_DEVICE = """\
**This is not a medical device.** It is an example of method, not certified, and not for use on
patients."""


def split_table(record: RunRecord) -> str:
    """Return the numbers of images and patients of each split."""
    splits = list(record.data["splits"].values())

    def row(title: str, entry: str) -> list[str]:
        return [title, *("-" if at[entry] is None else f"{at[entry]:,}" for at in splits)]

    rows = [row("images", "images"), row("without any of the diseases", "without_disease")]
    if any(at["patients"] is not None for at in splits):
        rows.append(row("patients", "patients"))
    if any(at["missing_labels"] for at in splits):
        rows.append(row("missing labels", "missing_labels"))
    return markdown_table(["", *(_SPLITS[name] for name in record.data["splits"])], rows)


def settings_table(record: RunRecord) -> str:
    """Return how the network was trained, or which networks an ensemble has."""
    if record.members:
        return _members_table(record)
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
    rows = [
        ["network", f"{config.model.architecture} from {weights}{_frozen(config.model)}"],
        ["input", f"{size} x {size} pixels, {fit}"],
        ["loss", focal],
        ["sampling", "by the rarest disease shown" if training.sampler else "shuffled"],
        ["epochs", f"{len(epochs)} of at most {training.epochs}, patience {training.patience}"],
        ["model taken from", f"epoch {record.selected_epoch}: {rule}"],
        ["time", f"{minutes:.1f} minutes, {speed:.0f} training images/s"],
        ["seed", str(training.seed)],
    ]
    return markdown_table(["setting", "value"], rows, n_left=2)


def _frozen(model: ModelConfig) -> str:
    """Say what learnt, where not all did."""
    if model.freeze == "none":
        return ""
    fed = f"on {', '.join(model.features)}" if model.features else "its own"
    return f", frozen; only a head learnt, {fed}"


def _members_table(record: RunRecord) -> str:
    rows = [
        [
            f"`{member['run']}`",
            f"{member['architecture']}, {member['image_size']} pixels",
            str(member["seed"]),
            "-" if member["fold"] is None else str(member["fold"]),
            f"`{(member['sha256'] or '-')[:12]}`",
        ]
        for member in record.members
    ]
    table = markdown_table(["member", "network", "seed", "fold", "weights"], rows, n_left=2)
    return (
        f"An ensemble of {len(rows)}: probabilities are the mean of the members'. There is no "
        "output of a single network, so where a table says raw scores, mean probabilities are "
        "meant, and what shows a training is in the members' own reports.\n\n" + table
    )


def class_table(record: RunRecord) -> str:
    """Return each class's images, threshold and test figures."""
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
    return markdown_table([*header, "F1", "AUROC", "AP"], rows, n_left=2)


def recall_floor(record: RunRecord) -> list[str]:
    """Say which floors on recall broke on the test images."""
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
        (
            f"{purpose} {outcome}{named if broken else ' on test'}. A floor that a few validation "
            "images met is an observation, not a guarantee."
        ),
        markdown_table(header, rows) if broken else "",
    ]


def certified(record: RunRecord) -> list[str]:
    """Say what recall images that chose nothing certify, or why none."""
    found = record.evaluation["certified"]
    if found["why_not"]:
        return [f"Not certified: {found['why_not']}."]
    of = counted(found["n_images"], "image")
    if found["n_patients"] is not None:
        of += f" of {counted(found['n_patients'], 'patient')}"
    unit = "image" if found["n_patients"] is None else "patient"
    rows = [
        [
            record.label(one["class"]),
            f"{one['found']} of {one['with_disease']}",
            number(one["recall_at_least"]) if one["with_disease"] else "-",
            f"{one['floor']:g}",
            "yes" if one["with_disease"] and one["recall_at_least"] >= one["floor"] else "no",
        ]
        for one in found["classes"]
    ]
    return [
        (
            f"Measured on {of} of the validation split that chose nothing. With "
            f"{found['confidence']:.0%} confidence, for each disease by itself, this model at "
            "these thresholds finds at least the stated part of such patients; one who has several "
            "images of the disease counts as found if all of them are called. It is no promise for "
            "another camera, clinic or population. Few patients certify little: "
            f"with every one of 5 found, {0.1 ** (1 / 5):.2f}."
        ),
        markdown_table(
            ["disease", f"{unit}s found", "recall at least", "floor", "floor certified"], rows
        ),
    ]


def calibration_table(record: RunRecord) -> str:
    """Return how far probabilities and raw scores are from observed frequencies."""
    found = record.evaluation["calibration"]
    rows = [
        [title, number(found[name]["macro_error"], 4), number(found[name]["log_loss"], 4)]
        for title, name in (("raw scores (sigmoid)", "raw"), ("as shipped", "probability"))
        if name != "raw" or not record.members
    ]
    rows.append(
        ["*each disease's prevalence for everyone*", "", number(found["log_loss_of_prevalence"], 4)]
    )
    return markdown_table(["scores", "macro calibration error", "log loss"], rows)


def subgroups(record: RunRecord) -> list[str]:
    """Return a table for each variable of the label file, or say that there is none."""
    found = record.evaluation["subgroups"]
    if not found["variables"] and not found["left_out"]:
        names = ", ".join(record.config.data.subgroup_columns)
        return [
            (
                f"Not measured: the test images' label file has none of the columns {names} "
                "(`--subgroup-columns` names others). Whom the model serves worse is unknown."
            )
        ]
    blocks = [
        (
            "On the test images, at the thresholds in use. Recall and precision are over all "
            "labels together, so they move with the mix of diseases in a group, not with the model "
            "alone; macro-AUROC is over the diseases that a group shows. Of many groups some "
            "differ by chance. A dash: undefined. Figures by group and disease are in "
            "`evaluation.json`."
        )
    ]
    for name, parts in found["variables"].items():
        rows = [
            [
                part["value"],
                f"{part['n_images']:,}",
                "-" if part["n_patients"] is None else f"{part['n_patients']:,}",
                f"{part['n_positive']:,}",
                *(
                    with_interval(part[figure], part[f"{figure}_interval"])
                    for figure in ("micro_recall", "micro_precision", "macro_auroc")
                ),
            ]
            for part in parts
        ]
        header = [name, "images", "patients", "labels", "recall", "precision", "macro-AUROC"]
        blocks.append(markdown_table(header, rows))
    blocks += [f"{name}: no figures, {reason}." for name, reason in found["left_out"].items()]
    return blocks


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
