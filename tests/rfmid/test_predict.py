from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from examples.rfmid.__main__ import main
from examples.rfmid.data.glossary import RFMID
from examples.rfmid.data.images import load_image
from examples.rfmid.data.transforms import build_preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.tune import tune
from examples.rfmid.serving.predict import predict
from examples.rfmid.settings.config_file import load_config, save_config
from mlthresh import load_model
from tests.rfmid.simulation import CODES, build_network, save_network, simulate_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = simulate_run(tmp_path_factory.mktemp("trained") / "run", n_epochs=1)
    save_network(folder)
    return folder


@pytest.fixture
def eyes(tmp_path: Path) -> list[Path]:
    """Photographs of several sizes and formats."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / "eyes" / name for name in ("b.png", "a.jpg", "c.JPEG")]
    paths[0].parent.mkdir()
    for path, shape in zip(paths, [(90, 60, 3), (64, 64, 3), (50, 120, 3)], strict=True):
        Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)).save(path)
    return paths


def expected(folder: RunFolder, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """What the saved model says, by the library alone."""
    model = load_model(folder.path, build_network(len(CODES)))
    inputs = build_preprocessing(model.preprocessing)(load_image(path))
    with torch.inference_mode():
        probabilities, decisions = model(inputs[None])
    return probabilities[0], decisions[0]


def test_predictions_are_the_saved_models(trained: RunFolder, eyes: list[Path]) -> None:
    found = predict(tuple(eyes), run=trained.path)
    assert [one.image for one in found] == eyes
    for one in found:
        probabilities, decisions = expected(trained, one.image)
        assert tuple(one.probabilities) == tuple(one.decisions) == CODES
        assert list(one.probabilities.values()) == probabilities.tolist()
        assert list(one.decisions.values()) == decisions.tolist()


def test_the_preprocessing_is_the_saved_one_not_the_settings(
    trained: RunFolder, eyes: list[Path]
) -> None:
    before = predict(tuple(eyes), run=trained.path)
    config = load_config(trained.config)
    try:
        save_config(trained.config, replace(config, image=replace(config.image, image_size=96)))
        assert predict(tuple(eyes), run=trained.path) == before
    finally:
        save_config(trained.config, config)


def test_diseases_are_named_decisions_first(
    trained: RunFolder, eyes: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (one,) = predict((eyes[0],), run=trained.path)
    lines = capsys.readouterr().out.splitlines()
    assert "This is not a medical device" in lines[-1]
    rows = lines[2 : 2 + len(CODES)]
    decisions = [row.split()[-1] == "yes" for row in rows]
    assert decisions == sorted(decisions, reverse=True)
    assert sum(decisions) == sum(one.decisions.values())
    margins = [float(row.split()[-3]) - float(row.split()[-2]) for row in rows]
    assert margins == sorted(margins, reverse=True)
    for code in CODES:
        assert any(row.startswith(RFMID[code]) for row in rows)
    for code, found in one.decisions.items():
        assert (RFMID[code] in lines[0]) == found


def test_some_decisions_are_yes_and_some_no(trained: RunFolder, eyes: list[Path]) -> None:
    decisions = [
        d for one in predict(tuple(eyes), run=trained.path) for d in one.decisions.values()
    ]
    assert True in decisions
    assert False in decisions


def test_a_folder_stands_for_its_images(trained: RunFolder, eyes: list[Path]) -> None:
    (eyes[0].parent / "notes.txt").write_text("no image", "utf-8")
    found = predict((eyes[0].parent,), run=trained.path)
    assert [one.image.name for one in found] == ["a.jpg", "b.png", "c.JPEG"]


def test_csv_has_a_row_per_image(trained: RunFolder, eyes: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "found.csv"
    found = predict(tuple(eyes), run=trained.path, output=output)
    with output.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [str(path) for path in eyes]
    for row, one in zip(rows, found, strict=True):
        for code in CODES:
            assert float(row[f"{code}_probability"]) == one.probabilities[code]
            assert row[f"{code}_found"] == str(int(one.decisions[code]))


def test_json_holds_names_thresholds_and_the_note(
    trained: RunFolder, eyes: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "found.json"
    found = predict(tuple(eyes), run=trained.path, output=output)
    content = json.loads(output.read_text("utf-8"), parse_constant=pytest.fail)
    assert "not a medical device" in content["note"]
    assert [one["name"] for one in content["classes"]] == [RFMID[code] for code in CODES]
    for entry, one in zip(content["images"], found, strict=True):
        assert entry["probabilities"] == one.probabilities
        assert entry["found"] == [code for code, yes in one.decisions.items() if yes]


def test_unreadable_images_are_named_and_the_others_done(
    trained: RunFolder, eyes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eyes[1].write_bytes(eyes[1].read_bytes()[:200])
    images = [*map(str, eyes), str(tmp_path / "absent.png")]
    output = tmp_path / "found.csv"
    arguments = [
        "predict",
        "--run",
        str(trained.path),
        "--output",
        str(output),
        "--images",
        *images,
    ]
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert "a.jpg" in printed.err
    assert "absent.png" in printed.err
    assert "2 images of 4 could not be read" in printed.err
    assert "b.png" in printed.out
    assert "c.JPEG" in printed.out
    with output.open(newline="", encoding="utf-8") as file:
        errors = {Path(row["image"]).name: row["error"] for row in csv.DictReader(file)}
    assert [name for name, error in errors.items() if error] == ["a.jpg", "absent.png"]


def test_the_command_succeeds_on_good_images(trained: RunFolder, eyes: list[Path]) -> None:
    assert main(["predict", "--run", str(trained.path), "--images", str(eyes[0])]) == 0


def test_bad_requests_are_refused_before_anything_is_done(
    trained: RunFolder, eyes: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"\.csv or \.json"):
        predict(tuple(eyes), run=trained.path, output=tmp_path / "found.txt")
    with pytest.raises(RecipeError, match="folder of"):
        predict(tuple(eyes), run=trained.path, output=tmp_path / "absent" / "found.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match="holds no image"):
        predict((tmp_path / "empty",), run=trained.path)
    with pytest.raises(RecipeError, match="at least one image"):
        predict((), run=trained.path)


def test_a_run_without_a_model_names_the_step(tmp_path: Path, eyes: list[Path]) -> None:
    folder = simulate_run(tmp_path / "run", n_epochs=1)
    with pytest.raises(RecipeError, match="run train first"):
        predict(tuple(eyes), run=folder.path)
    tune(folder.path)
    with pytest.raises(RecipeError, match="run train first"):
        predict(tuple(eyes), run=folder.path)


def test_a_model_without_its_preprocessing_is_refused(tmp_path: Path, eyes: list[Path]) -> None:
    folder = simulate_run(tmp_path / "run", n_epochs=1)
    save_network(folder, preprocessing=None)
    with pytest.raises(RecipeError, match="lacks the preprocessing"):
        predict(tuple(eyes), run=folder.path)
