"""Every command of retinal_recipe.md runs, and its table names the files that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from examples.rfmid.__main__ import main
from tests.page_blocks import blocks_of
from tests.test_documents import commands_in

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "retinal_recipe.md"
SMALL = {
    "generate": "--n-train 60 --n-validation 40 --n-test 30 --size 32 --workers 1 --no-progress",
    "train": "--image-size 32 --epochs 1 --min-count 8 --threads 1 --num-workers 0 --device cpu",
    "evaluate": "--n-resamples 20",
}


def test_the_commands_of_the_page_leave_the_files_that_it_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [
        line
        for block in blocks_of(PAGE)
        if block.language == "console" and block.not_run is None
        for line, _ in commands_in(block.code, PAGE.name)
    ]
    for line in lines:
        command = shlex.split(line)[3:]
        small = SMALL.get(command[0], "").split()
        assert main([*command, *small]) == 0, (line, capsys.readouterr().err)
    listed = re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    there = {path.name for path in (tmp_path / "runs" / "tutorial").iterdir()}
    assert sorted(listed) == sorted(there)
