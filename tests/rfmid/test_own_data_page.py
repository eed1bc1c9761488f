"""Every command of the page on one's own data runs, on a small problem that isn't about eyes."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from examples.rfmid.__main__ import main
from tests.page_blocks import blocks_of
from tests.test_documents import commands_in

PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "own_data.md"

CLASSES = ("effusion", "edema", "nodule")
SMALL = "--image-size 32 --epochs 1 --batch-size 8 --min-count 1 --threads 1 --num-workers 0"
# Nothing is downloaded in a test: the small network takes the place of the one with weights.
OFFLINE = "--architecture convnext_demo --weights none"


def blocks(language: str) -> list[str]:
    return [block.code for block in blocks_of(PAGE) if block.language == language]


def commands() -> list[list[str]]:
    lines = [command for code in blocks("console") for command, _ in commands_in(code, PAGE.name)]
    assert all(line.startswith("python -m examples.rfmid ") for line in lines)
    return [shlex.split(line)[3:] for line in lines]


def shrunk(command: list[str]) -> list[str]:
    """Return a command with settings for seconds."""
    if command[0] == "evaluate":
        return [*command, "--n-resamples", "20"]
    if command[0] != "train":
        return command
    if "--preset" in command:
        return [*command, *SMALL.split(), "--device", "cpu"]
    # "=" keeps a factory of the page where it names one.
    offline = "--weights none" if "--architecture" in command else OFFLINE
    return [*command, *SMALL.split(), *offline.split(), "--device", "cpu"]


def draw(path: Path, shown: dict[str, int], rng: np.random.Generator) -> None:
    """Draw a gray image with a square, a circle and a bar for the three classes."""
    image = Image.fromarray(rng.integers(60, 120, (36, 48), dtype=np.uint8))
    pencil = ImageDraw.Draw(image)
    x, y = (int(k) for k in rng.integers(2, 20, 2))
    if shown["effusion"]:
        pencil.rectangle((x, y, x + 9, y + 9), fill=250)
    if shown["edema"]:
        pencil.ellipse((x + 14, y, x + 24, y + 10), fill=10)
    if shown["nodule"]:
        pencil.line((x, 30, x + 20, 30), fill=200, width=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def write(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page speaks of."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows, listed, other = [], [], []
    for i in range(1, 41):
        shown = {"effusion": int(i % 3 == 0), "edema": int(i % 4 == 1), "nodule": int(i % 5 == 2)}
        draw(tmp_path / "images" / f"{i:04}.png", shown, rng)
        name = {"ID": f"{i:04}.png"}
        rows.append({**name, "patient": f"p{i // 2}", "age": 30 + i, **shown})
        findings = "|".join(c for c in CLASSES if shown[c]) or "No Finding"
        listed.append({**name, "findings": findings})
        if i <= 12:
            draw(tmp_path / "other" / "images" / f"{i}.png", shown, rng)
            other.append({"ID": i, "hydrothorax": shown["effusion"]})
    write(tmp_path / "labels.csv", rows)
    write(tmp_path / "listed.csv", listed)
    write(tmp_path / "other" / "labels.csv", other)
    (tmp_path / "map.json").write_text(json.dumps({"hydrothorax": "effusion"}))
    (factory,) = blocks("python")
    (tmp_path / "my_network.py").write_text(factory)
    return tmp_path


def test_every_command_of_the_page_runs_in_order(
    problem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = commands()
    assert {command[0] for command in found} == {
        "split", "train", "tune", "evaluate", "report", "predict",
    }  # fmt: skip
    for command in found:
        assert main(shrunk(command)) == 0, (command, capsys.readouterr().err)
    report = (problem / "runs" / "small" / "report.md").read_text("utf-8")
    assert "On other data: `other`" in report
    assert "edema" in report
    assert "Retinal" not in report.splitlines()[0]
    data = json.loads((problem / "runs" / "both" / "data.json").read_text())
    assert data["splits"]["train"]["missing_labels"] == 12 * 2
    listed = (problem / "data_listed" / "Training_Labels.csv").read_text().splitlines()[0]
    assert sorted(listed.split(",")) == ["ID", *sorted(CLASSES)]


def test_the_interval_that_the_page_gives() -> None:
    from mlthresh import multilabel_report

    labels = np.array([1] * 5 + [0] * 20)[:, None]
    found = multilabel_report(labels, labels.astype(float), 0.5, n_resamples=0)
    lower = found.recall_interval[0, 0]
    assert f"begins at {lower:.2f}" in PAGE.read_text("utf-8").replace("\n", " ")
