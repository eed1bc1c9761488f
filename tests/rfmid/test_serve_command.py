"""The command that serves: nothing is written, and everything ends with it."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from examples.rfmid.__main__ import main
from examples.rfmid.errors import RecipeError
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.serving.web.limits import Limits
from examples.rfmid.serving.web.model import ServedModel
from examples.rfmid.serving.web.serve import serve
from tests.rfmid.page_server import PATIENCE, ask, until


def everything_in(*folders: Path) -> set[tuple[Path, int]]:
    files = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    return {(path, path.stat().st_mtime_ns) for path in files}


def test_the_command_serves_writes_nothing_and_ends(
    served_run: RunFolder, many_eyes: list[Path], tmp_path: Path
) -> None:
    for name in ("temporary", "here"):
        (tmp_path / name).mkdir()
    root = Path(__file__).parents[2]
    paths = [str(root), str(root / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "TMPDIR": str(tmp_path / "temporary"),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    arguments = [
        "serve",
        str(served_run.path),
        "--port",
        "0",
        "--max-megabytes",
        "9",
        "--max-seconds",
        "240",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.rfmid", *arguments],
        cwd=tmp_path / "here",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", line)[1])  # type: ignore[index]
        assert ask(port, "POST", "/api/predict", many_eyes[0].read_bytes()).status == 200
        before = everything_in(tmp_path, served_run.path, many_eyes[0].parent)
        noise = np.random.default_rng(0).integers(0, 255, (1500, 1800, 3), dtype=np.uint8)
        large = io.BytesIO()
        Image.fromarray(noise).save(large, "PNG")
        assert large.tell() > 5_000_000
        bodies = [*(eye.read_bytes() for eye in many_eyes), large.getvalue(), b"no image"]
        with ThreadPoolExecutor(4) as threads:
            answers = list(
                threads.map(lambda body: ask(port, "POST", "/api/predict", body), bodies)
            )
        assert [one.status for one in answers] == [200] * (len(many_eyes) + 1) + [415]
        assert everything_in(tmp_path, served_run.path, many_eyes[0].parent) == before
        assert unnamed_files(process.pid) == []
    finally:
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    assert process.returncode == 0
    assert rest == ""
    # PyTorch 2.9 writes this file of code when it is imported, and a worker leaves it behind.
    left = (path for path in (tmp_path / "temporary").rglob("*") if not path.is_dir())
    assert {path.name for path in left} <= {"_remote_module_non_scriptable.py"}


def unnamed_files(pid: int) -> list[str]:
    """Return files that a process and its children hold open though they have been deleted."""
    proc = Path("/proc")
    if not proc.is_dir():
        return []
    pids = [pid, *children(pid)]
    links = [link for one in pids for link in (proc / str(one) / "fd").iterdir()]
    targets = [str(link.readlink()) for link in links if link.is_symlink()]
    return [target for target in targets if target.endswith("(deleted)")]


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.is_file() else []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_workers_end_with_a_server_that_is_killed(served_run: RunFolder, tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from examples.rfmid.serving.web.process import WorkerProcess\n"
        "from tests.rfmid.fake_worker import obey\n"
        "if __name__ == '__main__':\n"
        "    print(WorkerProcess(obey, (), 60).about()['pid'], flush=True)\n"
        "    time.sleep(600)\n"
    )
    (tmp_path / "server.py").write_text(code, "utf-8")
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "src")])
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "server.py")],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        worker = int(process.stdout.readline())
        process.kill()
        process.wait()
    until(lambda: not running(worker))


def running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status != "Z"  # it has ended, and whoever adopted it has yet to notice


def test_what_cannot_be_served_is_said_at_once(
    served_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for named in ([], ["--run"], ["--model"]):
        assert main(["serve", *named, str(tmp_path / "absent"), "--port", "0"]) == 2
        assert "absent doesn't exist" in capsys.readouterr().err
    for named in ([], [str(served_run.path), "--run", str(served_run.path)]):
        assert main(["serve", *named]) == 2
        assert "name one run folder or exported file" in capsys.readouterr().err
    with pytest.raises(RecipeError, match="cannot read"):
        ServedModel(tmp_path, 1_000_000)
    with pytest.raises(RecipeError, match="max_files must be at least 1"):
        serve(served_run.path, limits=Limits(max_files=0))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(RecipeError, match=f"port {port}"):
            serve(served_run.path, port=port)
