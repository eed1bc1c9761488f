from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from examples.rfmid import demo as demo_module
from examples.rfmid.__main__ import main
from examples.rfmid.files import read_json
from examples.rfmid.fundus import generate_dataset
from examples.rfmid.settings.presets import PRESETS
from mlthresh import load_model
from tests.rfmid.simulation import build_network


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer and smaller drawings, one epoch, three classes."""
    preset = PRESETS["demo"]
    tiny = replace(
        preset,
        data=replace(preset.data, min_count=12),
        image=replace(preset.image, image_size=32),
        training=replace(preset.training, epochs=1),
        runtime=replace(preset.runtime, threads=1),
    )
    draw = partial(
        generate_dataset,
        n_train=100,
        n_validation=40,
        n_test=40,
        size=48,
        workers=1,
        progress=False,
    )
    monkeypatch.setattr(demo_module, "PRESETS", {"demo": tiny})
    monkeypatch.setattr(demo_module, "generate_dataset", draw)


@pytest.mark.usefixtures("small")
def test_the_demo_runs_twice_in_the_same_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    arguments = ["demo", "--folder", str(folder), "--seed", "3"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for step in ("1/5", "2/5", "3/5", "4/5", "5/5", "minutes", "macro-F1", "macro-AUROC"):
        assert step in printed
    report = folder / "run" / "report.md"
    assert printed.rstrip().endswith(str(report))
    first = report.read_text("utf-8")
    assert "DRAWINGS, NOT PATIENTS" in first
    assert "| seed | 3 |" in first
    image = folder / "data" / "Test" / "1.jpg"
    drawn_at = image.stat().st_mtime_ns
    evaluation = read_json(folder / "run" / "evaluation.json")
    model = load_model(folder / "run", build_network(len(evaluation["class_names"])))
    in_use = evaluation["rules"][-1]["thresholds"]
    assert [str(t) for t in model.thresholds.thresholds.astype(float)] == [str(t) for t in in_use]

    assert main(arguments) == 0
    assert image.stat().st_mtime_ns == drawn_at, "the drawings are kept"
    again = read_json(folder / "run" / "evaluation.json")
    assert again["rules"] == evaluation["rules"], "the same seed gives the same result"


@pytest.mark.usefixtures("small")
def test_drawings_of_another_seed_are_not_mixed_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo_module.generate_dataset(tmp_path / "data", seed=0)
    assert main(["demo", "--folder", str(tmp_path), "--seed", "1"]) == 2
    assert "another data set" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
