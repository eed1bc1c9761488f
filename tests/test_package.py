"""The package as a whole: public names, a light import, whole docstrings."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import mlthresh

HEAVY = ("torch", "sklearn", "scipy", "matplotlib", "pandas", "polars")
PUBLIC = [name for name in mlthresh.__all__ if name != "__version__"]


def loaded_by(statement):
    """Return which heavy packages a fresh interpreter holds after the statement."""
    code = f"import sys\n{statement}\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_is_light():
    assert loaded_by("import mlthresh") == set()


def test_searching_thresholds_is_light():
    code = "import mlthresh; mlthresh.find_optimal_thresholds([[0], [1]], [[0.2], [0.8]])"
    assert loaded_by(code) == set()


def test_the_test_of_lightness_can_fail():
    assert "torch" in loaded_by("import mlthresh; mlthresh.FocalLossWithPosWeight")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_imports_from_the_package(name):
    value = getattr(mlthresh, name)
    assert name in dir(mlthresh)
    assert value.__module__.startswith("mlthresh.")


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(mlthresh.__file__).read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == {name: f"mlthresh.{module}" for name, module in mlthresh._MODULE_OF.items()}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'find_thresholds'"):
        mlthresh.find_thresholds  # noqa: B018


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_docstring_is_whole(name):
    value = getattr(mlthresh, name)
    doc = inspect.getdoc(value) or ""
    if inspect.isclass(value) and issubclass(value, Exception | dict | tuple):
        assert doc
        return
    assert "Examples\n--------" in doc
    if inspect.isfunction(value):
        assert "Parameters\n----------" in doc
        returns = inspect.signature(value).return_annotation
        section = "Yields\n------" if returns.startswith("Iterator") else "Returns\n-------"
        assert returns == "None" or section in doc
        assert "Raises\n------" in doc


@pytest.mark.skipif(
    importlib.util.find_spec("importlinter") is None, reason="needs import-linter to be installed"
)
def test_modules_import_downwards_only():
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
