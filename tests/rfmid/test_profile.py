from __future__ import annotations

import json
from pathlib import Path

import pytest

from examples.rfmid.__main__ import main


@pytest.mark.parametrize("where", ["cpu", "device"])
def test_profile_and_prepare(
    where: str, data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--data", str(data_folder), "--preset", "cpu", "--image-size", "32"]
    common += ["--min-count", "1", "--threads", "1"]
    assert main(["prepare", *common]) == 0
    assert "24 train, 16 val, 16 test images are cached" in capsys.readouterr().out
    cache = sorted((data_folder / ".rfmid_cache").iterdir())
    assert [path.name.split("-")[:3] for path in cache] == [
        ["test", "crop", "32"], ["train", "crop", "32"], ["val", "crop", "32"]
    ]  # fmt: skip
    times = [path.stat().st_mtime_ns for path in cache]

    output = tmp_path / "profile.json"
    arguments = ["--device", "cpu", "--batch-size", "8", "--num-workers", "1", "--cache", "disk"]
    arguments += ["--augment-on", where, "--steps", "3", "--output", str(output)]
    assert main(["profile", *common, *arguments]) == 0
    figures = json.loads(output.read_text())
    assert figures["augment_on"] == where
    assert figures["cache"] == "disk"
    assert 0 <= figures["overhead_share"] < 1
    assert figures["images_per_second"] == pytest.approx(8000 / figures["step_ms"], rel=1e-6)
    assert figures["step_ms"] > 0.8 * (figures["waiting_ms"] + figures["inputs_ms"])
    assert "overhead_share" in capsys.readouterr().out
    assert times == [path.stat().st_mtime_ns for path in cache], "the cache was used as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "profile.json"]


def test_no_steps(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--data", str(data_folder), "--steps", "0"]) == 2
    assert "steps must be at least 1" in capsys.readouterr().err
