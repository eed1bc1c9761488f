"""A trained run on a data set that it wasn't made for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.rfmid.__main__ import main
from examples.rfmid.errors import RecipeError
from examples.rfmid.predictions import Predictions
from examples.rfmid.reporting.external import external_sections
from examples.rfmid.reporting.record import load_record
from examples.rfmid.reporting.report import report
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.evaluate import evaluate
from examples.rfmid.scoring.tune import tune
from examples.rfmid.serving.predict import predict
from examples.rfmid.training.train import train
from mlthresh import ThresholdSet, multilabel_report, verify_thresholds
from tests.rfmid.simulation import tiny


@pytest.fixture(scope="module")
def trained(shared_data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("external") / "run"
    train(tiny(shared_data_folder, epochs=3), run)
    evaluate(run, n_resamples=20)
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def clinic(tmp_path: Path, write_rows: Callable[..., None], paint: Callable[..., None]) -> Path:
    """24 images of 12 patients with other columns; it doesn't record MH."""
    root = tmp_path / "clinic"
    rows = [
        {
            "file": f"{i}.png",
            "Patient": i // 2,
            "npdr": int(i % 4 == 0),
            "pdr": int(i % 6 == 1) if i else "",
            "veins": int(i % 8 == 3),
            "glaucoma": i % 2,
        }
        for i in range(24)
    ]
    write_rows(root / "labels.csv", rows)
    for row in rows:
        paint(root / "images" / row["file"], (int(1 in (row["npdr"], row["pdr"])), 0, row["veins"]))
    paint(root / "images" / "unlabelled.png")
    (root / "map.json").write_text('{"npdr": "DR", "pdr": "DR", "veins": "BRVO"}')
    return root


def external(run: Path, clinic: Path, **options: Any) -> dict[str, Any]:
    return evaluate(
        run, external=clinic, label_map=str(clinic / "map.json"), n_resamples=50, **options
    )


def test_the_shipped_model_is_scored_where_labels_are(run: Path, clinic: Path) -> None:
    before = (run / "evaluation.json").read_bytes()
    result = external(run, clinic)
    assert (run / "evaluation.json").read_bytes() == before
    scored = Predictions.load(run / "predictions_external_clinic.npz")
    assert scored.class_names == ("DR", "MH", "BRVO")
    assert np.isnan(scored.y_true[:, 1]).all()
    assert not np.isnan(scored.y_true[:, [0, 2]]).any()  # npdr is 1 where pdr is empty
    assert result["not_recorded"] == ["MH"]
    assert result["unused_columns"] == ["Patient", "glaucoma"]
    assert (result["n_images"], result["n_patients"], result["images_skipped"]) == (24, 12, 1)

    shipped = ThresholdSet.load(run / "thresholds.json")
    columns = [0, 2]
    expected = multilabel_report(
        scored.y_true[:, columns], scored.y_score[:, columns], shipped.select(["DR", "BRVO"]),
        groups=scored.patients, n_resamples=50,
    )  # fmt: skip
    assert result["report"] == json.loads(expected.to_json())
    checked = verify_thresholds(
        replace(shipped.select(["DR", "BRVO"]), options={"min_recall": 0.3}),
        scored.y_true[:, columns], scored.y_score[:, columns], confidence=0.9,
        groups=scored.patients,
    )  # fmt: skip
    assert result["floors"] == checked.to_dict()


def test_scores_are_those_that_predict_gives(run: Path, clinic: Path) -> None:
    external(run, clinic, name="again")
    scored = Predictions.load(run / "predictions_external_again.npz")
    paths = tuple(clinic / "images" / f"{name}.png" for name in scored.ids[:3])
    for row, one in zip(scored.y_score, predict(paths, run=run), strict=False):
        np.testing.assert_allclose(row, list(one.probabilities.values()), rtol=1e-5)


def test_the_report_has_a_section_of_its_own(run: Path, clinic: Path) -> None:
    result = external(run, clinic)
    report(run)
    text = (run / "report.md").read_text("utf-8")
    section = text.split("## On other data: `clinic`")[1].split("\n## ")[0]
    assert "24 images of 12 patients" in section
    assert "not scored: MH" in section
    verdicts = [one["verdict"] for one in result["floors"]["checks"]]
    assert all(f"0.3 recall: {verdict}" in section for verdict in verdicts)
    tune(run, strategy="fixed")
    evaluate(run, n_resamples=20)
    with pytest.raises(RecipeError, match=r"evaluation_external_clinic.json is older than"):
        report(run)
    assert external(run, clinic)["floors"] is None
    assert "without a floor" in external_sections(load_record(run))[-1]


def test_the_run_is_not_tested_on_what_it_learnt_from(
    run: Path, shared_data_folder: Path, tmp_path: Path
) -> None:
    result = evaluate(run, external=shared_data_folder, name="home", n_resamples=0)
    assert result["parts"] == ["test"]
    assert result["parts_learnt_from"] == ["train", "val"]
    home = Predictions.load(RunFolder(run).predictions("test"))
    there = Predictions.load(run / "predictions_external_home.npz")
    assert there.ids == home.ids
    np.testing.assert_allclose(there.y_score, home.y_score, rtol=1e-4)

    summary = json.loads(RunFolder(run).data.read_text())
    other = tmp_path / "other"
    (other / "images").mkdir(parents=True)
    shutil.copy(shared_data_folder / "Test_Labels.csv", other / "labels.csv")
    shutil.copytree(shared_data_folder / "Test", other / "images", dirs_exist_ok=True)
    summary["extra_data"] = [{"label_files": [str(other / "labels.csv")]}]
    RunFolder(run).data.write_text(json.dumps(summary))
    with pytest.raises(RecipeError, match="has learnt from every part"):
        evaluate(run, external=other)


def test_the_command(run: Path, clinic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "--run", str(run), "--external", str(clinic)]
    assert main([*arguments, "--name", "../evil"]) == 2
    assert main(arguments) == 2
    assert "name a label map" in capsys.readouterr().err
    assert main([*arguments, "--label-map", str(clinic / "map.json"), "--n-resamples", "20"]) == 0
    printed = capsys.readouterr().out
    assert "24 images that the run has not learnt from; not recorded there: MH" in printed
    assert main(["evaluate", "--run", str(run), "--label-map", "odir-to-rfmid"]) == 2
    assert "belong to --external" in capsys.readouterr().err
