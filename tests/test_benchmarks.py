"""The benchmarks keep up with the code that they measure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# In a process of its own: benchmarks import peers, which may change settings of the process.
IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:  # a peer that is not installed
        if error.name.partition(".")[0] in ("benchmarks", "examples", "mlthresh"):
            raise
        print(name)
"""


def module_names():
    files = sorted((ROOT / "benchmarks").rglob("*.py"))
    return [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]


def test_every_benchmark_finds_the_names_that_it_imports():
    names = [name for name in module_names() if not name.endswith("__main__")]
    assert len(names) > 20
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    left_out = done.stdout.split()
    assert len(left_out) < len(names) / 2, left_out


@pytest.mark.parametrize("name", ["benchmarks", "benchmarks.generalisation", "benchmarks.mutation"])
def test_a_benchmark_tells_its_options(name):
    if name == "benchmarks.mutation":
        pytest.importorskip("coverage")
    done = subprocess.run(
        [sys.executable, "-m", name, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--" in done.stdout
