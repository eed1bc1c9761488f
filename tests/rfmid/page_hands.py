"""What a person does on the page and sees of it, in a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.browser import Page
from tests.rfmid.page_server import PATIENCE

SETTLED = "document.querySelector('.card') && !document.querySelector('.card.waiting')"


def give(page: Page, files: list[Path]) -> None:
    page.choose_files("#files", files)
    page.wait_for(SETTLED, PATIENCE)


def text(page: Page, selector: str) -> str:
    found: str = page.run(f"document.querySelector({json.dumps(selector)})?.textContent")
    return found


def texts(page: Page, selector: str) -> list[str]:
    script = f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.textContent)"
    found: list[str] = page.run(script)
    return found


def active(page: Page) -> str:
    """Return what has the focus."""
    found: str = page.run(
        "((one) => one.id || one.className || one.tagName)(document.activeElement)"
    )
    return found


def tab_to(page: Page, name: str) -> None:
    for _ in range(20):
        page.press("Tab")
        if active(page) == name:
            return
    pytest.fail(f"Tab never reaches {name}")
