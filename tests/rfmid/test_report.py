from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples.rfmid.data.glossary import RFMID
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json
from examples.rfmid.fundus import generate_dataset
from examples.rfmid.fundus.label_sets import CODES as DRAWN_CODES
from examples.rfmid.reporting.drawing import FIGURES, Drawn
from examples.rfmid.reporting.figures.photographs import augmentation, examples, samples
from examples.rfmid.reporting.model_card import write_model_card
from examples.rfmid.reporting.record import load_record
from examples.rfmid.reporting.report import report
from examples.rfmid.reporting.text import write_markdown
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.evaluate import evaluate
from examples.rfmid.scoring.tune import tune
from examples.rfmid.settings.presets import PRESETS
from mlthresh import ThresholdSet
from tests.rfmid.simulation import (
    CODES,
    choose_as_trained,
    of_photographs,
    save_network,
    simulate_labels,
    simulate_run,
)

WITH_PHOTOGRAPHS = {"healthy_and_diseased", "samples", "augmentation", "examples"}


def evaluated(run: Path, **settings: object) -> RunFolder:
    folder = simulate_run(run, **settings)
    choose_as_trained(folder)
    evaluate(folder.path, n_resamples=20)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A reported run whose photographs are elsewhere."""
    folder = evaluated(tmp_path_factory.mktemp("plain") / "run", data=Path("elsewhere/eyes"))
    report(folder.path)
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A reported run on generated drawings."""
    root = tmp_path_factory.mktemp("drawn")
    data = generate_dataset(
        root / "eyes", n_train=12, n_validation=4, n_test=60, size=64, workers=1, progress=False
    )
    rows = np.genfromtxt(data / "Test_Labels.csv", delimiter=",", skip_header=1, dtype=np.float32)
    rng = np.random.default_rng(0)
    labels = {name: simulate_labels(60, len(DRAWN_CODES), rng) for name in ("train", "val")}
    folder = evaluated(
        root / "run",
        codes=DRAWN_CODES,
        labels={**labels, "test": rows[:, 2:]},
        ids={"val": tuple(map(str, range(60))), "test": tuple(str(int(k)) for k in rows[:, 0])},
        data=data,
    )
    report(folder.path)
    return folder


def text_of(folder: RunFolder) -> str:
    return (folder.path / "report.md").read_text("utf-8")


def text_without_figures(folder: RunFolder) -> str:
    figures = {name: Drawn(name, "not drawn here", "to save time") for name in FIGURES}
    return write_markdown(load_record(folder.path), figures)


def figures_in(folder: RunFolder) -> set[str]:
    return {path.stem for path in (folder.path / "figures").iterdir()}


def test_the_report_says_what_it_must(plain: RunFolder) -> None:
    text = text_of(plain)
    for phrase in (
        "This is not a medical device",
        "Not certified",
        "Data folder `eyes`",
        "Dropped for fewer training images: ERM (7)",
        "convnext_demo from random weights",
        "0.5 on raw scores",
        "calling every disease in every image",
        "macro-AUROC",
        "calling nothing at all gets",
        "Does the floor on recall hold?",
        "Validation positives that chose a threshold",
        "The link takes the loss's distortion out, not the sampler's",
        "Do probabilities mean what they say?",
    ):
        assert phrase in text, phrase
    for code in CODES:
        assert f"| {code} | {RFMID[code]} |" in text
    assert "elsewhere" not in text, "of the data's path only the name is told"


def test_the_report_repeats_the_evaluation(plain: RunFolder) -> None:
    text, evaluation = text_of(plain), read_json(plain.path / "evaluation.json")
    for rule in evaluation["rules"]:
        low, high = rule["test"]["macro_f1_interval"]
        cell = f"{rule['test']['macro_f1']:.3f} [{low:.3f}, {high:.3f}]"
        assert re.search(re.escape(f"| {rule['description']} | {cell} |"), text)
    for one in evaluation["test"]["classes"]:
        row = next(line for line in text.splitlines() if line.startswith(f"| {one['name']} |"))
        assert f" {one['recall']:.2f} [" in row
        assert f" {one['f1']:.2f} [" in row
    for one in evaluation["recall_floor"]["broken_on_test"]:
        assert f"({one['class']}) | {one['floor']:g} |" in text


def test_the_selected_epoch_is_the_best_one(plain: RunFolder) -> None:
    epochs = [json.loads(line) for line in plain.metrics.read_text("utf-8").splitlines()]
    best = max(epochs, key=lambda epoch: epoch["val_macro_f1_tuned"])
    assert f"| model taken from | epoch {best['epoch']}:" in text_of(plain)
    assert read_json(plain.path / "report.json")["selected_epoch"] == best["epoch"]


def test_without_photographs_their_figures_are_left_out_and_named(plain: RunFolder) -> None:
    text = text_of(plain)
    assert not figures_in(plain) & WITH_PHOTOGRAPHS
    left_out = {one["figure"] for one in read_json(plain.path / "report.json")["left_out"]}
    assert left_out == WITH_PHOTOGRAPHS | {"confusion_rare"}
    assert "samples: the test images are not where they were" in text
    assert "can't tell" in text


def test_generated_images_are_called_drawings(drawn: RunFolder) -> None:
    text = text_of(drawn)
    assert "DRAWINGS, NOT PATIENTS" in text
    assert "test drawings in `eyes`" in text
    assert read_json(drawn.path / "report.json")["generated_drawings"] is True


def test_photographs_are_not_called_drawings(tmp_path: Path, shared_data_folder: Path) -> None:
    folder = evaluated(
        tmp_path / "run",
        **of_photographs(shared_data_folder),
    )
    text = text_without_figures(folder)
    assert "DRAWINGS" not in text
    assert "can't tell" not in text
    record = load_record(folder.path)
    assert len(samples(record).axes) == 2, "two samples with one disease"
    assert len(augmentation(record).axes) == 3 * 6
    assert examples(record).axes


def test_every_figure_is_shown_and_small(drawn: RunFolder) -> None:
    text = text_of(drawn)
    assert figures_in(drawn) >= WITH_PHOTOGRAPHS | {"roc", "f1_by_class", "threshold_sweep"}
    for path in (drawn.path / "figures").iterdir():
        assert f"](figures/{path.name})" in text
        assert path.stat().st_size < 1_000_000
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert 500 < image.width < 1400
            colours = image.convert("RGB").getcolors(2**24)
        assert colours is not None
        assert len(colours) > 20, "an empty figure"


def test_a_second_report_repeats_the_first_and_drops_stale_figures(
    plain: RunFolder, tmp_path: Path
) -> None:
    again = tmp_path / "run"
    shutil.copytree(plain.path, again)
    stale = again / "figures" / "samples.png"
    stale.write_bytes(b"of an earlier report")
    report(again)
    assert not stale.exists()
    first, second = (
        {path.name: path.read_bytes() for path in (run / "figures").iterdir()}
        for run in (plain.path, again)
    )
    assert second == first
    assert text_of(plain) == (again / "report.md").read_text("utf-8")


def test_unusual_classes(tmp_path: Path) -> None:
    """Many classes, missing labels, and classes without positives or without negatives."""
    codes = (*RFMID, "A_VERY_LONG_CODE_OF_A_CLASS_WITHOUT_A_NAME")
    rng = np.random.default_rng(0)
    labels = {name: simulate_labels(200, len(codes), rng) for name in ("train", "val", "test")}
    for split in labels.values():
        split[rng.random(split.shape) < 0.05] = np.nan
    labels["val"][:, 40] = 0
    labels["test"][:, 41] = 0
    labels["test"][:, 42] = np.nan
    labels["test"][:, 43] = 1
    folder = evaluated(tmp_path / "run", codes=codes, labels=labels, n_epochs=2)
    report(folder.path)
    rows = {
        line.split(" | ")[0][2:]: line for line in text_of(folder).splitlines() if line[:1] == "|"
    }
    assert "inf (no positives)" in rows[codes[40]]
    assert rows[codes[42]].endswith("| - | - | - | - | - |")
    assert "| - | 1.00 |" in rows[codes[43]], "without negatives no AUROC"
    assert "missing labels" in rows


def test_one_class_and_one_epoch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = {name: simulate_labels(60, 1, rng) for name in ("train", "val", "test")}
    folder = evaluated(tmp_path / "run", codes=("RPEC",), labels=labels, n_epochs=1)
    report(folder.path)
    assert "epoch 1" in text_of(folder)


def test_patients_are_counted_where_they_are_known(tmp_path: Path) -> None:
    folder = simulate_run(tmp_path / "run", n_epochs=1, n_patients=70)
    choose_as_trained(folder)
    evaluate(folder.path, n_resamples=0)
    text = text_without_figures(folder)
    assert "The 200 test images are of 70 patients; intervals take patients" in text
    assert "too narrow" not in text


def test_subgroups_get_a_table_each(tmp_path: Path) -> None:
    columns = {"Sex": ["f", "m", "f"], "Camera": ["A"], "Age": [str(20 + k) for k in range(60)]}
    folder = simulate_run(tmp_path / "run", n_epochs=1, subgroups=columns, n_patients=80)
    choose_as_trained(folder)
    evaluation = evaluate(folder.path, n_resamples=20)
    text, card = text_without_figures(folder), write_model_card(load_record(folder.path))
    assert "Camera: no figures, all test images have the same value." in text
    for part in evaluation["subgroups"]["variables"]["Sex"]:
        low, high = part["micro_recall_interval"]
        cells = f"| {part['value']} | {part['n_images']} | {part['n_patients']} |"
        row = next(line for line in text.splitlines() if line.startswith(cells))
        assert f"| {part['micro_recall']:.3f} [{low:.3f}, {high:.3f}] |" in row
        assert row in card
    ages = [line for line in text.splitlines() if re.match(r"\| [1-4]: \d\d to \d\d \|", line)]
    assert len(ages) == 4
    assert ages[0].startswith("| 1: 20 to")
    assert " to 79 |" in ages[3]
    assert "The test figures are broken down by Sex, Age." in card
    assert "Fairness between groups of patients was not measured" not in card


def test_the_model_card_says_what_the_run_knows(plain: RunFolder) -> None:
    card = (plain.path / "MODEL_CARD.md").read_text("utf-8")
    assert re.findall("^## (.*)$", card, re.MULTILINE) == [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Caveats and recommendations",
    ]
    for phrase in (
        "This is not a medical device",
        "Not for: diagnosis",
        "made with | not recorded in the run",
        "convnext_demo from random weights",
        "min recall 0.3, max threshold 0.7",
        "Not certified: no validation patients were set aside",
        "macro calibration error",
        "Fairness between groups of patients was not measured",
        "Whom the model serves worse is unknown",
    ):
        assert phrase in card, phrase
    report_rows = {line for line in text_of(plain).splitlines() if line[:1] == "|"}
    for code in CODES:
        assert any(line in report_rows for line in card.splitlines() if f"| {code} |" in line)


def test_the_model_card_names_the_weights_and_versions(tmp_path: Path) -> None:
    folder = evaluated(tmp_path / "run", n_epochs=1)
    save_network(folder, versions={"torch": "2.9.1"})
    evaluate(folder.path, n_resamples=0)
    card = write_model_card(load_record(folder.path))
    assert hashlib.sha256(folder.weights.read_bytes()).hexdigest() in card
    assert "| made with | torch 2.9.1 |" in card


def test_fixed_thresholds_are_not_said_to_be_chosen(tmp_path: Path) -> None:
    folder = simulate_run(tmp_path / "run", n_epochs=1)
    tune(folder.path, strategy="fixed")
    evaluate(folder.path, n_resamples=0)
    card = write_model_card(load_record(folder.path))
    assert "Thresholds: one fixed value, chosen by no data." in card


@pytest.mark.parametrize(
    ("missing", "step"),
    [
        ("config.json", "train"),
        ("metrics.jsonl", "train"),
        ("predictions_test.npz", "train"),
        ("thresholds.json", "tune"),
        ("evaluation.json", "evaluate"),
    ],
)
def test_a_missing_file_names_the_step(tmp_path: Path, missing: str, step: str) -> None:
    folder = evaluated(tmp_path / "run", n_epochs=1)
    (folder.path / missing).unlink()
    with pytest.raises(RecipeError, match=rf"{re.escape(missing)} doesn't exist: run {step} first"):
        report(folder.path)
    assert not (folder.path / "report.md").exists()


def test_an_outdated_evaluation_is_refused(tmp_path: Path) -> None:
    folder = evaluated(tmp_path / "run", n_epochs=1)
    tune(folder.path, strategy="exact")
    with pytest.raises(RecipeError, match="run evaluate again"):
        report(folder.path)


@pytest.mark.parametrize("name", ["metrics.jsonl", "evaluation.json", "data.json"])
def test_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    folder = evaluated(tmp_path / "run", n_epochs=1)
    path = folder.path / name
    path.write_text(path.read_text("utf-8")[:-30], "utf-8")
    with pytest.raises(RecipeError, match=re.escape(name)):
        report(folder.path)


def test_data_of_other_classes_is_refused(tmp_path: Path) -> None:
    folder = evaluated(tmp_path / "run", n_epochs=1)
    other = simulate_run(tmp_path / "other", codes=("DR", "CL"), n_epochs=1)
    folder.data.write_bytes(other.data.read_bytes())
    with pytest.raises(RecipeError, match=r"other classes: DR, CL; DR, MH"):
        report(folder.path)


def test_another_selection_chooses_another_epoch(tmp_path: Path) -> None:
    config = PRESETS["demo"]
    config = replace(config, training=replace(config.training, selection="val_loss"))
    folder = evaluated(tmp_path / "run", config=config, n_epochs=3)
    epochs = [json.loads(line) for line in folder.metrics.read_text("utf-8").splitlines()]
    epochs[0]["val_loss"] = 0.0
    folder.metrics.write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs), "utf-8")
    text = text_without_figures(folder)
    assert "| model taken from | epoch 1: lowest validation loss |" in text


def test_thresholds_file_of_other_classes_is_refused(tmp_path: Path) -> None:
    folder = evaluated(tmp_path / "run", n_epochs=1)
    path = folder.path / "thresholds.json"
    ThresholdSet.load(path).select(CODES[:2]).save(path)
    with pytest.raises(RecipeError, match="ODC, CRVO, RPEC missing"):
        report(folder.path)
