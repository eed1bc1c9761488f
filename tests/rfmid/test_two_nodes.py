"""Two torchrun agents that reach each other through a network alone train as one process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from examples.rfmid.__main__ import main
from examples.rfmid.files import read_json_lines
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--preset",
    "cpu",
    "--min-count",
    "1",
    "--certify-share",
    "0",
    "--image-size",
    "32",
    "--epochs",
    "2",
    "--batch-size",
    "8",
    "--device",
    "cpu",
    "--num-workers",
    "0",
    "--threads",
    "1",
    "--cache",
    "none",
]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's network namespaces")
def test_two_nodes_train_as_one_process(shared_data_folder: Path, tmp_path: Path) -> None:
    if not (shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("needs unshare and ip (util-linux, iproute2)")
    train = ["train", "--data", str(shared_data_folder), *FLAGS, "--run"]
    command = ["unshare", "-rnm", "bash", str(ROOT / "tests" / "rfmid" / "two_nodes.sh")]
    command += [str(tmp_path), sys.executable, "--nproc-per-node=1", "-m", "--", "examples.rfmid"]
    ended = subprocess.run(
        [*command, *train, str(tmp_path / "two")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}/src"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    logs = sorted(tmp_path.glob("?.log"))
    if not logs:  # nothing was started
        pytest.skip(f"no network namespaces: {ended.stderr.strip()}")
    assert ended.returncode == 0, "\n".join(log.read_text() for log in logs)
    assert main([*train, str(tmp_path / "one")]) == 0
    one, two = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "two")
    for ours, theirs in zip(
        read_json_lines(two.metrics), read_json_lines(one.metrics), strict=True
    ):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-3)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=0.02)
    for split in ("val", "test"):
        mine, theirs = (Predictions.load(run.predictions(split)) for run in (two, one))
        assert mine.ids == theirs.ids
        np.testing.assert_allclose(mine.y_score, theirs.y_score, atol=0.02)
