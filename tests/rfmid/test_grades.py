"""Severity beside presence: reading, learning, saving and scoring grades."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from torch import nn

from examples.rfmid.data.splits import load_data
from examples.rfmid.errors import RecipeError
from examples.rfmid.experiments.ablate import ablate
from examples.rfmid.experiments.crossval import crossval
from examples.rfmid.fundus import generate_dataset
from examples.rfmid.grades import Grades
from examples.rfmid.predictions import Predictions
from examples.rfmid.reporting.report import report
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.evaluate import evaluate
from examples.rfmid.scoring.grading import grade_agreement, mean_absolute_error, quadratic_kappa
from examples.rfmid.serving.bundle import load_bundle
from examples.rfmid.serving.examine import most_probable_grade
from examples.rfmid.serving.predict import predict
from examples.rfmid.settings import Config, DataConfig
from examples.rfmid.training.grading import (
    GradedHead,
    add_grades,
    grade_loss,
    grade_probabilities,
    without_grades,
)
from examples.rfmid.training.model import build_network
from examples.rfmid.training.train import train
from tests.rfmid.simulation import tiny

LEVELS = (4, 2, 3)


def tiny_graded(data: Path, **settings: Any) -> Config:
    return tiny(data, grades=True, **settings)


@pytest.fixture
def graded_folder(
    tmp_path: Path,
    write_rows: Callable[..., None],
    paint: Callable[..., None],
    rows_of: Callable[..., list[dict[str, Any]]],
) -> Path:
    """The tiny data set with grades 0 to 3 of DR, one in six unknown; MH has no grade."""
    root = tmp_path / "graded"
    for name, n, first in (("Training", 24, 1), ("Validation", 16, 101), ("Test", 16, 201)):
        rows = rows_of(n, first)
        for i, row in enumerate(rows):
            row["DR_grade"] = "" if i % 6 == 4 else row["DR"] * (1 + i % 3)
            paint(root / name / f"{row['ID']}.png", (row["DR"], row["MH"], row["BRVO"]))
        write_rows(root / f"{name}_Labels.csv", rows)
    return root


# -- the outputs


def logits_of(seed: int, n: int = 6) -> torch.Tensor:
    """Return grade logits as a head gives them, in float64."""
    generator = torch.Generator().manual_seed(seed)
    head = GradedHead(nn.Linear(5, 1), 5, LEVELS).double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(generator=generator, std=0.8)
        return head(torch.randn(n, 5, generator=generator, dtype=torch.float64))[:, 1:]


@given(st.integers(0, 200))
def test_probabilities_are_distributions_and_the_loss_is_their_likelihood(seed: int) -> None:
    logits = logits_of(seed)
    prob = grade_probabilities(logits, LEVELS)
    assert prob.shape == (6, 3, 4)
    assert (prob >= 0).all()
    torch.testing.assert_close(prob.sum(2), torch.ones(6, 3, dtype=torch.float64))
    assert not prob[:, 1, 2:].any()
    assert not prob[:, 2, 3:].any()
    rng = np.random.default_rng(seed)
    grades = np.stack([rng.integers(k, size=6) for k in LEVELS], axis=1).astype(np.float32)
    grades[rng.random(grades.shape) < 0.3] = np.nan
    weight = rng.uniform(0.5, 2, 6).astype(np.float32)
    known = [(i, g) for i in range(6) for g in range(3) if not np.isnan(grades[i, g])]
    expected = sum(
        -weight[i] * math.log(max(float(prob[i, g, int(grades[i, g])]), 1e-300)) for i, g in known
    ) / max(len(known), 1)
    found = grade_loss(logits, torch.from_numpy(grades), LEVELS, torch.from_numpy(weight))
    assert float(found) == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1.0, 300.0])
def test_the_gradient_is_finite(scale: float) -> None:
    logits = (scale * logits_of(1).float()).requires_grad_()
    grades = torch.tensor([[k % 4, k % 2, math.nan] for k in range(6)])
    grade_loss(logits, grades, LEVELS, torch.ones(6)).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert not logits.grad[:, 4:].any(), "an unknown grade teaches nothing"


def test_the_loss_finds_the_cut_points_that_made_the_grades() -> None:
    rng = np.random.default_rng(0)
    severity, cuts = rng.normal(size=4000), np.array([-1.0, 0.5, 2.0])
    above = rng.random(4000)[:, None] < 1 / (1 + np.exp(cuts - 1.5 * severity[:, None]))
    grades = torch.from_numpy(above.sum(axis=1)[:, None].astype(np.float32))
    found = torch.tensor([1.0, 0.0, 1.0, 2.0], requires_grad=True)  # slope, cut-points
    optimizer = torch.optim.LBFGS([found], max_iter=50)

    def closure() -> float:
        optimizer.zero_grad()
        logits = found[0] * torch.from_numpy(severity).float()[:, None] - found[1:]
        loss = grade_loss(logits, grades, (4,))
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)
    np.testing.assert_allclose(found.detach(), [1.5, *cuts], atol=0.2)


def test_no_known_grade_is_no_loss() -> None:
    logits = logits_of(0).requires_grad_()
    loss = grade_loss(logits, torch.full((6, 3), math.nan), LEVELS, torch.ones(6))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


def test_the_presence_logits_are_those_of_the_network_alone() -> None:
    network = build_network("convnext_demo", 3, seed=1)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    alone = network.model.eval()(images)
    names = list(network.model.state_dict())
    add_grades(network, LEVELS, image_size=32, seed=0)
    outputs = network.model.eval()(images)
    assert outputs.shape == (2, 3 + 6)
    torch.testing.assert_close(outputs[:, :3], alone)
    with without_grades(network.model, network.head) as bare:
        assert list(bare.state_dict()) == names
    torch.testing.assert_close(network.model(images), outputs)


# -- the figures


@given(st.data(), st.integers(2, 5))
def test_kappa_is_scikit_learns(data: st.DataObject, levels: int) -> None:
    pairs = data.draw(
        st.lists(st.tuples(*[st.integers(0, levels - 1)] * 2), min_size=2, max_size=30)
    )
    true, predicted = map(np.array, zip(*pairs, strict=True))
    table = np.zeros((levels, levels))
    np.add.at(table, (true, predicted), 1)
    ours = float(quadratic_kappa(table))
    if np.isnan(ours):
        assert len({*true, *predicted}) == 1
    else:
        theirs = cohen_kappa_score(true, predicted, labels=range(levels), weights="quadratic")
        assert ours == pytest.approx(theirs)
    assert float(mean_absolute_error(table)) == pytest.approx(np.abs(true - predicted).mean())


def of_grades(true: list[float], predicted: list[int], **options: Any) -> Predictions:
    n = len(true)
    prob = np.eye(3)[predicted][:, None]
    grades = Grades(("DR",), (3,), np.array(true, np.float32)[:, None], prob)
    empty = np.zeros((n, 1), np.float32)
    return Predictions(tuple(map(str, range(n))), ("DR",), empty, empty, grades=grades, **options)


def test_agreement_is_measured_where_grades_are_known() -> None:
    nan = float("nan")
    test = of_grades([0, 0, 1, 2, nan, 2], [0, 1, 1, 2, 0, 1])
    (found,) = grade_agreement(of_grades([0, 0, 0, 1, 2, 2], [0] * 6), test, 200)
    assert found["n_of_grade"] == [2, 1, 2]
    assert (found["all"]["n"], found["diseased"]["n"]) == (5, 3)
    assert found["all"]["error"] == pytest.approx(2 / 5)
    assert found["all"]["error_of_median"] == pytest.approx(1.0)  # of 0, everywhere
    assert found["diseased"]["error_of_median"] == pytest.approx(1 / 3)  # of 2
    low, high = found["all"]["kappa_interval"]
    assert low <= found["all"]["kappa"] <= high
    assert low < high


def test_patients_are_drawn_whole() -> None:
    true, predicted = [0, 1, 2, 0, 1, 2] * 5, [0, 1, 1, 1, 1, 2] * 5
    alone = of_grades(true, predicted)
    of_one = of_grades(true, predicted, patients=("p",) * 30)
    by_image, by_patient = (grade_agreement(alone, one, 100)[0]["all"] for one in (alone, of_one))
    assert by_patient["kappa"] == by_image["kappa"]
    low, high = by_patient["kappa_interval"]
    assert low == high == pytest.approx(by_patient["kappa"])
    assert by_image["kappa_interval"][0] < by_image["kappa_interval"][1]


def test_nothing_known_is_nothing_claimed() -> None:
    nan = float("nan")
    (found,) = grade_agreement(of_grades([nan], [0]), of_grades([nan, nan], [0, 1]), 10)
    assert found["all"] == {
        "n": 0, "kappa": None, "kappa_interval": [None, None], "error": None,
        "error_interval": [None, None], "error_of_median": None,
    }  # fmt: skip


def test_the_median_grade() -> None:
    prob = np.array([[[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]], [[0.4, 0.2, 0.4], [0.0, 1.0, 0.0]]])
    grades = Grades(("a", "b"), (3, 3), np.zeros((2, 2), np.float32), prob)
    np.testing.assert_array_equal(grades.median, [[0, 2], [1, 1]])


# -- the data


def test_a_grade_column_is_no_class(graded_folder: Path) -> None:
    plain = load_data(DataConfig(folder=graded_folder, min_count=1))
    graded = load_data(DataConfig(folder=graded_folder, min_count=1, grades=True))
    assert plain.class_names == graded.class_names == ("DR", "MH", "BRVO")
    assert (plain.grade_levels, graded.grade_levels) == ({}, {"DR": 4})
    found = graded.grades("train")[:, 0]
    assert np.isnan(found).sum() == 4
    np.testing.assert_array_equal(
        (found > 0)[~np.isnan(found)], graded.train.labels[~np.isnan(found), 0] == 1
    )
    assert plain.summary["digest"] != graded.summary["digest"]
    assert plain.grades("train").shape == (24, 0)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("x", "'x' is no grade: expected 0, 1, ..., 20 or empty"),
        ("-1", "'-1' is no grade"),
        ("1.5", "'1.5' is no grade"),
        ("3", "line 2, DR_grade: the grade is 3 beside the label 0"),
    ],
)
def test_a_wrong_grade_is_named(graded_folder: Path, cell: str, message: str) -> None:
    path = graded_folder / "Training_Labels.csv"
    header, first, *rest = path.read_text("utf-8-sig").splitlines()
    path.write_text("\n".join([header, first.rpartition(",")[0] + f",{cell}", *rest]))
    with pytest.raises(RecipeError) as raised:
        load_data(DataConfig(folder=graded_folder, min_count=1, grades=True))
    assert message in str(raised.value)


def test_grades_that_are_not_there_are_refused(data_folder: Path) -> None:
    with pytest.raises(RecipeError, match="needs a column such as DR_grade"):
        load_data(DataConfig(folder=data_folder, min_count=1, grades=True))


# -- a run


@pytest.mark.parametrize("freeze", ["none", "backbone"])
def test_a_run_learns_saves_and_reports_grades(
    graded_folder: Path, tmp_path: Path, freeze: str
) -> None:
    run = tmp_path / "run"
    train(tiny_graded(graded_folder, freeze=freeze), run)
    test = Predictions.load(RunFolder(run).predictions("test"))
    assert test.grades is not None
    assert (test.grades.codes, test.grades.levels) == (("DR",), (4,))
    assert np.isnan(test.grades.true).sum() == 2
    np.testing.assert_allclose(test.grades.prob.sum(axis=2), 1)
    check_graded_photographs(run, graded_folder / "Test", tmp_path)
    history = [json.loads(line) for line in RunFolder(run).metrics.read_text().splitlines()]
    assert all(epoch["val_grade_loss"] > 0 for epoch in history)
    (graded,) = evaluate(run, n_resamples=20)["grades"]
    assert graded["class"] == "DR"
    if freeze == "none":
        report(run)
        assert "## Grades of severity" in (run / "report.md").read_text("utf-8")
        train(tiny_graded(graded_folder), run, resume=True)  # has ended, which is noticed


def check_graded_photographs(run: Path, photographs: Path, folder: Path) -> None:
    """A photograph is graded as it was in the test predictions; the model says presence alone."""
    test = Predictions.load(RunFolder(run).predictions("test"))
    assert test.grades is not None
    predict((photographs,), run=run, output=folder / "found.csv")
    predict((photographs,), run=run, output=folder / "found.json")
    with (folder / "found.csv").open() as file:
        rows = {Path(row["image"]).stem: row for row in csv.DictReader(file)}
    entries = json.loads((folder / "found.json").read_text())["images"]
    distributions = {Path(one["image"]).stem: one["grades"] for one in entries}
    for k, name in enumerate(test.ids):
        expected = test.grades.prob[k, 0]
        assert list(distributions[name]) == ["DR"]
        np.testing.assert_allclose(distributions[name]["DR"], expected, atol=1e-5)
        grade = int(rows[name]["DR_grade"])
        assert float(rows[name]["DR_grade_probability"]) == distributions[name]["DR"][grade]
        assert expected[grade] >= expected.max() - 1e-5
        assert "MH_grade" not in rows[name]
        assert float(rows[name]["DR_probability"]) == pytest.approx(test.y_score[k, 0], abs=1e-5)
    content = RunFolder(run).grades.read_bytes()
    for other, message in (
        (content[:-1], "cannot read the grades"),
        (content[:-1] + bytes([content[-1] ^ 1]), "not the file that model.json was written with"),
    ):
        RunFolder(run).grades.write_bytes(other)
        with pytest.raises(RecipeError, match=message):
            load_bundle(run)
    RunFolder(run).grades.write_bytes(content)


def test_the_table_shows_the_grade(graded_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = graded_folder / "run"
    train(tiny_graded(graded_folder), run)
    (one,) = predict((graded_folder / "Test" / "201.png",), run=run)
    grade = most_probable_grade(one.grades["DR"])
    table = capsys.readouterr().out
    assert "most probable grade" in table
    (line,) = [line for line in table.splitlines() if line.startswith("DR ")]
    assert line.endswith(f"{grade.grade} of 3 ({grade.probability:.3f})")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_the_most_probable_grade(distribution: list[float]) -> None:
    grade, probability, highest = most_probable_grade(distribution)
    assert probability == max(distribution) == distribution[grade]
    assert probability not in distribution[:grade]
    assert highest == len(distribution) - 1


def test_a_resumed_run_ends_as_the_unbroken_one(graded_folder: Path, tmp_path: Path) -> None:
    config = tiny_graded(graded_folder)
    train(config, tmp_path / "whole")
    short = replace(config, runtime=replace(config.runtime, max_minutes=1e-9))
    train(short, tmp_path / "broken")
    train(config, tmp_path / "broken", resume=True)
    one, other = (
        Predictions.load(RunFolder(tmp_path / name).predictions("test"))
        for name in ("whole", "broken")
    )
    assert one.grades is not None
    assert other.grades is not None
    np.testing.assert_array_equal(one.grades.prob, other.grades.prob)
    np.testing.assert_array_equal(one.y_score, other.y_score)


def test_a_weight_of_zero_leaves_presence_alone(graded_folder: Path, tmp_path: Path) -> None:
    config = tiny_graded(graded_folder)
    config = replace(config, optimizer=replace(config.optimizer, clip_norm=None))
    train(replace(config, loss=replace(config.loss, grade_weight=0.0)), tmp_path / "zero")
    train(replace(config, data=replace(config.data, grades=False)), tmp_path / "none")
    one, other = (
        Predictions.load(RunFolder(tmp_path / name).predictions("test"))
        for name in ("zero", "none")
    )
    np.testing.assert_allclose(one.y_score, other.y_score, rtol=1e-5)


# -- the drawings


def test_drawings_carry_grades_of_what_is_drawn(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "n_train": 60, "n_validation": 2, "n_test": 2, "size": 32, "workers": 1, "progress": False,
    }  # fmt: skip
    graded = generate_dataset(tmp_path / "graded", grades=True, **options)
    plain = generate_dataset(tmp_path / "plain", **options)
    for path in plain.rglob("*.jpg"):
        assert path.read_bytes() == (graded / path.relative_to(plain)).read_bytes()
    with (graded / "Training_Labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    for code in ("DR", "DN", "MH"):
        for row in rows:
            assert (int(row[f"{code}_grade"]) > 0) == (row[code] == "1")
    assert {row["DR_grade"] for row in rows} == {"0", "1", "2", "3", "4"}
    data = load_data(DataConfig(folder=graded, min_count=1, grades=True))
    assert data.grade_levels["DR"] == 5
    assert generate_dataset(tmp_path / "graded", grades=True, **options) == graded


# -- experiments


def test_experiments_compare_presence_alone(graded_folder: Path, tmp_path: Path) -> None:
    config = tiny_graded(graded_folder)
    ablate(tmp_path / "a", config, preset="demo", seeds=(0,), variants=("before",))
    folds = replace(config, data=replace(config.data, folds=2))
    crossval(tmp_path / "c", folds, n_resamples=5)
    for run in (tmp_path / "a" / "variants" / "before-0", tmp_path / "c" / "ensemble"):
        evaluate(run, n_resamples=5)
        report(run)
        test = Predictions.load(RunFolder(run).predictions("test"))
        assert test.grades is None
        assert test.y_score.shape == (16, 3)
    member = Predictions.load(RunFolder(tmp_path / "c" / "fold-0").predictions("test"))
    assert member.grades is not None
