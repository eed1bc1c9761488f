"""Every Python block of the README and the documentation runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if "```python\n" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_code_on_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert blocks
    namespace = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), namespace)  # noqa: S102


def test_every_public_name_is_in_the_reference():
    import mlthresh

    listed = set(re.findall(r"^   (\w+)$", (ROOT / "docs/reference.md").read_text(), re.MULTILINE))
    left_out = {"__version__", "ClassCounts", "Fold", "SearchOptions"}  # types of others' results
    assert listed == set(mlthresh.__all__) - left_out
