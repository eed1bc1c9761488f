"""The page on serving: its commands start, and what it says of options and answers is so."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from examples.rfmid.__main__ import main
from examples.rfmid.serving.web import serve as command
from examples.rfmid.serving.web.limits import Limits
from tests.page_blocks import blocks_of
from tests.test_documents import commands_in

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how_to" / "serve_a_page.md"
TEXT = PAGE.read_text("utf-8")


class Nobody:
    """A pool without workers, and a server that ends at once."""

    def about(self) -> dict[str, Any]:
        return {}

    def run(self, sockets: list[object]) -> None:
        assert len(sockets) == 1


def test_the_commands_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def started(run: Path, limits: Limits) -> Iterator[Nobody]:
        yield Nobody()

    monkeypatch.setattr(command, "_started", started)
    monkeypatch.setattr("examples.rfmid.serving.web.app.make_server", lambda *_: Nobody())
    monkeypatch.chdir(tmp_path)
    Path("runs/tiny").mkdir(parents=True)
    blocks = [block.code for block in blocks_of(PAGE) if block.language == "console"]
    lines = [line for code in blocks for line, _ in commands_in(code, PAGE.name)]
    assert len(lines) == 2
    for line in lines:
        words = shlex.split(line)
        assert words[:4] == ["python", "-m", "examples.rfmid", "serve"]
        assert main([*words[3:], "--port", "0"]) == 0
        said = capsys.readouterr().out
        assert "runs/tiny is served at http://" in said
        assert ("no password" in said) == ("--host" in words)


def test_the_options_are_those_of_the_page() -> None:
    listed = dict(re.findall(r"^\| `--([\w-]+)` \| (\d+) \|", TEXT, re.MULTILINE))
    assert {name.replace("-", "_"): float(value) for name, value in listed.items()} == {
        field.name: field.default for field in fields(Limits)
    }


def test_the_refusals_are_those_of_the_page() -> None:
    sources = (ROOT / "examples/rfmid/serving/web").glob("*.py")
    code = " ".join(source.read_text("utf-8") for source in sources)
    known = set(re.findall(r'Refusal\(\s*(\d+),\s*"(\w+)"', code))
    refused = TEXT.partition("Refused are")[2]
    named: set[tuple[str, str]] = set()
    for status, kinds in re.findall(r"(\d{3})((?:[\s,]|and|`\w+`)+)", refused):
        named |= {(status, kind) for kind in re.findall(r"`(\w+)`", kinds)}
    assert len(named) == 12
    assert named <= known
