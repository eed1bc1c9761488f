"""The code blocks of a Markdown page, and what the page says about running them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "PageError", "blocks_of"]

RUN = ("python", "pycon", "console")
SHOWN = ("text", "json", "toml", "yaml", "csv")  # output and files, not commands

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>[^`]*)$")
_MARK = re.compile(r"^ *<!-- (?P<key>not run|needs): (?P<value>.*?) *-->$")


class PageError(ValueError):
    """A page does not say what its blocks are."""


@dataclass(frozen=True)
class Block:
    """A block; `line` is that of its first line of code, from 1."""

    language: str
    code: str
    line: int
    not_run: str | None = None
    needs: tuple[str, ...] = ()


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks that run and those marked as not run, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    around: list[int] = []  # ticks of the directives that are open
    marks: dict[str, str] = {}
    i = 0
    while i < len(lines):
        fence, mark = _FENCE.match(lines[i]), _MARK.match(lines[i])
        i += 1
        if mark:
            marks[mark["key"]] = mark["value"]
        elif fence is None:
            if lines[i - 1].strip() and marks:
                raise PageError(f"{page}:{i}: {marks} stands before no block")
        elif around and not fence["info"].strip() and len(fence["ticks"]) >= around[-1]:
            around.pop()
        else:
            info = fence["info"].strip()
            if info.startswith("{") and not info.startswith("{code-block}"):
                around.append(len(fence["ticks"]))
                continue
            start = i
            while not _closes(lines, i, fence["ticks"], page, start):
                i += 1
            body = [line for line in lines[start:i] if not re.match(r" *:[\w-]+:", line)]
            language = info.removeprefix("{code-block}").strip()
            if language not in RUN + SHOWN:
                raise PageError(
                    f"{page}:{start}: a block of {language!r}; it must be one of "
                    f"{', '.join(RUN)} (run by the tests) or {', '.join(SHOWN)} (shown)"
                )
            if language in RUN:
                code = textwrap.dedent("\n".join(body)) + "\n"
                needs = tuple(re.split(r"[ ,]+", marks["needs"])) if "needs" in marks else ()
                found.append(Block(language, code, start + 1, marks.get("not run"), needs))
            elif marks:
                raise PageError(f"{page}:{start}: {marks} before a block that is only shown")
            marks = {}
            i += 1
    return found


def _closes(lines: list[str], i: int, ticks: str, page: Path, start: int) -> bool:
    if i == len(lines):
        raise PageError(f"{page}:{start}: the block is never closed")
    text = lines[i].strip()
    return set(text) == {"`"} and len(text) >= len(ticks)
