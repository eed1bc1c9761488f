"""Every block of code in the README, the documentation and the gallery runs.

The blocks of a page run from top to bottom, in an empty folder. On a page,

- ``python`` blocks share their names; warnings are errors;
- ``pycon`` blocks (``>>>``) are doctests, with the names of the blocks above them;
- ``console`` blocks: ``$ mlthresh ...`` runs, and output that is shown below it must be what it
  prints (``...`` stands for anything); the recipe's have a test of their own (`RECIPE_PAGES`);
  ``pip install`` and ``make`` are not run, but the
  distribution, its extras and the targets must exist;
- ``text``, ``json``, ``toml``, ``yaml`` and ``csv`` blocks are shown only; others are refused.

Above a block that cannot run stands a comment on a line of its own, ``<!-- not run: why -->``, and
`NOT_RUN` counts it. Above a block that needs a package which the tests do not install stands
``<!-- needs: timm -->``: it runs where the package is found.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import tomllib
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

from mlthresh import cli
from tests.page_blocks import Block, PageError, blocks_of

ROOT = Path(__file__).parent.parent
NOT_RUN = {  # blocks marked so, by page
    "RELEASING.md": 1,
    "docs/how_to/several_gpus.md": 1,
    "docs/tutorials/retinal_recipe.md": 1,
}
# Pages with commands of the recipe, and the test that runs them, with settings for seconds.
RECIPE_PAGES = {
    "docs/how_to/own_data.md": "tests/rfmid/test_own_data_page.py",
    "docs/how_to/serve_a_page.md": "tests/rfmid/test_serve_page.py",
    "docs/tutorials/retinal_recipe.md": "tests/rfmid/test_tutorial_page.py",
}

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "RELEASING.md",
    ROOT / "benchmarks/README.md",
    *sorted(
        path
        for path in (ROOT / "docs").rglob("*.md")
        if not {"_build", "generated"} & set(path.relative_to(ROOT).parts)
    ),
]
GALLERY = sorted((ROOT / "docs/gallery").glob("plot_*.py"))
OUTPUT = doctest.OutputChecker()
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_code_on_a_page_runs_from_top_to_bottom(page):
    run_page(page, NOT_RUN.get(name_of(page), 0))


def run_page(page: Path, n_not_run: int) -> None:
    blocks = blocks_of(page)
    marked = sum(block.not_run is not None for block in blocks)
    assert marked == n_not_run, f"{page}: {marked} blocks are marked as not run, not {n_not_run}"
    namespace: dict[str, object] = {"__name__": "__page__"}
    missing: set[str] = set()
    for block in blocks:
        absent = {package for package in block.needs if find_spec(package) is None}
        missing |= absent
        if block.not_run is None and not absent:
            run(block, page, namespace)
    if missing:
        pytest.skip(f"ran without the blocks that need {sorted(missing)}")


def run(block: Block, page: Path, namespace: dict[str, object]) -> None:
    if block.language == "console":
        run_commands(block, page)
    elif block.language == "pycon":
        run_doctest(block, page, namespace)
    else:
        code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
        with warnings.catch_warnings():
            if block.needs:  # other packages warn while they are imported
                warnings.simplefilter("ignore")
            exec(code, namespace)  # noqa: S102


def run_doctest(block: Block, page: Path, namespace: dict[str, object]) -> None:
    parser = doctest.DocTestParser()
    test = parser.get_doctest(block.code, namespace, page.name, str(page), block.line - 1)
    test.globs = namespace
    printed = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    results = runner.run(test, out=printed.write, clear_globs=False)
    assert results.attempted, f"{page}:{block.line}: no example"
    assert not results.failed, printed.getvalue()


def run_commands(block: Block, page: Path) -> None:
    where = f"{page}:{block.line}"
    for command, shown in commands_in(block.code, where):
        words = shlex.split(command, comments=True)
        if words[0] == "mlthresh":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                try:
                    status = cli.main(words[1:])
                except SystemExit as stopped:  # --help, --version and wrong options
                    status = stopped.code
            got = printed.getvalue()
            assert not (shown and not OUTPUT.check_output(shown, got, FLAGS)), (
                f"{where}: {command}\nshown\n{shown}\nprinted\n{got}"
            )
            assert status == 0 or "mlthresh " + words[1] + ":" in shown, f"{where}: {got}"
        elif words[:3] == ["python", "-m", "examples.rfmid"] and name_of(page) in RECIPE_PAGES:
            test = ROOT / RECIPE_PAGES[name_of(page)]
            assert page.name in test.read_text(encoding="utf-8"), f"{where}: {test} ran it"
        elif words[:2] == ["pip", "install"]:
            check_installed(words[2:], where)
        elif words[0] == "make":
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            wanted = {word for word in words[1:] if not word.startswith("PYTHON=")}
            assert wanted <= set(targets), f"{where}: make has {targets}"
        else:
            raise PageError(f"{where}: {words[0]} does not run here; mark the block as not run")


def commands_in(code: str, where: str) -> list[tuple[str, str]]:
    """Return the commands behind ``$`` (with ``\\`` they go on) and what is shown below each."""
    found: list[tuple[str, str]] = []
    for line in re.sub(r"\\\n", " ", code).splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].strip(), ""))
        elif found:
            command, shown = found.pop()
            found.append((command, shown + line))
        elif line.strip():
            raise PageError(f"{where}: a console block starts with '$ '")
    return [(command, shown if shown.strip() else "") for command, shown in found]


def check_installed(requirements: list[str], where: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in requirements:
        matched = re.fullmatch(r"mlthresh(?:\[([\w,-]+)\])?", requirement)
        assert matched, f"{where}: pip install {requirement}"
        extras = set(matched[1].split(",")) if matched[1] else set()
        assert extras <= set(project["optional-dependencies"]), f"{where}: {requirement}"


@pytest.mark.parametrize("script", GALLERY, ids=name_of)
def test_a_script_of_the_gallery_runs(script):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    try:
        exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), {})  # noqa: S102
        assert pyplot.get_fignums(), "it draws nothing"
    finally:
        pyplot.close("all")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```\nx = 1\n```\n", "a block of ''"),
        ("```bash\nls\n```\n", "a block of 'bash'"),
        ("```python\nx = 1\n", "never closed"),
        ("<!-- not run: no camera -->\nwords\n```python\nx\n```\n", "before no block"),
        ("<!-- needs: timm -->\n```text\nx\n```\n", "only shown"),
    ],
)
def test_a_page_that_does_not_say_what_its_blocks_are_is_refused(text, error, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(PageError, match=error):
        blocks_of(page)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\n1 / 0\n```\n", ZeroDivisionError),
        ("````{tab-set}\n```python\n1 / 0\n```\n````\n", ZeroDivisionError),
        ("- item\n\n  ```python\n  1 / 0\n  ```\n", ZeroDivisionError),
        ("```python\nx = 1\n```\n\n```pycon\n>>> x\n2\n```\n", AssertionError),
        ("```console\n$ mlthresh apply none.csv --thresholds none.json\n```\n", AssertionError),
        ("```console\n$ pip install mlthresh[nothing]\n```\n", AssertionError),
        ("```console\n$ make nothing\n```\n", AssertionError),
        ("```console\n$ rm nothing\n```\n", PageError),
        ("<!-- not run: no camera -->\n```python\nx\n```\n", AssertionError),
    ],
)
def test_what_does_not_run_fails(text, error, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(error):
        run_page(page, n_not_run=0)


def test_marked_blocks_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run: needs a camera -->\n\n```python\nsee()\n```\n\n"
        "<!-- needs: timm, monai -->\n\n```{code-block} python\n:caption: words\nimport timm\n```\n"
    )
    assert blocks_of(page) == [
        Block("python", "see()\n", 4, not_run="needs a camera"),
        Block("python", "import timm\n", 10, needs=("timm", "monai")),
    ]


def test_every_public_name_is_in_the_reference():
    import mlthresh

    listed = set(re.findall(r"^   (\w+)$", (ROOT / "docs/reference.md").read_text(), re.MULTILINE))
    left_out = {"__version__", "ClassCounts", "Fold", "SearchOptions"}  # types of others' results
    assert listed == set(mlthresh.__all__) - left_out
