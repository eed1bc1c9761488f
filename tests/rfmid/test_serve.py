"""The page's server with a real model: its figures are `predict`'s, and no file is left."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from examples.rfmid.__main__ import main
from examples.rfmid.data.images import load_image
from examples.rfmid.errors import RecipeError
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.certified import certified_recall
from examples.rfmid.serving.bundle import load_bundle
from examples.rfmid.serving.grad_cam import grad_cam
from examples.rfmid.serving.predict import Prediction, predict
from examples.rfmid.serving.web.limits import Limits
from examples.rfmid.serving.web.model import ServedModel
from examples.rfmid.serving.web.refusals import Refusal
from examples.rfmid.serving.web.serve import serve
from examples.rfmid.serving.web.worker import work
from tests.rfmid.page_server import PATIENCE, PageServer, ask, page_server, until
from tests.rfmid.served_run import LEVELS, save_served_run, write_eyes

MOST_PIXELS = 1_000_000
LIMITS = Limits(max_megabytes=3, max_megapixels=MOST_PIXELS / 1e6)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return save_served_run(tmp_path_factory.mktemp("served") / "run")


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_eyes(tmp_path_factory.mktemp("eyes"))


@pytest.fixture(scope="module")
def server(run: RunFolder) -> Iterator[PageServer]:
    with page_server(work, (str(run.path), MOST_PIXELS, 1), LIMITS) as found:
        yield found


@pytest.fixture(scope="module")
def predicted(run: RunFolder, eyes: list[Path]) -> list[Prediction]:
    return predict(tuple(eyes), run=run.path)


def test_the_table_is_predicts_to_the_last_digit(
    server: PageServer, run: RunFolder, eyes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(eyes[0].parent)
    names = tuple(Path(eye.name) for eye in eyes)
    output = eyes[0].parent / "found.csv"
    try:
        predict(names, run=run.path, output=output)
        written = output.read_text("utf-8")
    finally:
        output.unlink()
    header = server.ask("GET", "/api/model").json["csv_header"]
    rows = [eye.name + server.post(eye.read_bytes()).json["csv_row"] for eye in eyes]
    assert "\n".join([header, *rows, ""]) == written


def test_findings_are_predicts_found_ones_first(
    server: PageServer, run: RunFolder, eyes: list[Path], predicted: list[Prediction]
) -> None:
    bundle = load_bundle(run.path)
    limits = dict(zip(bundle.names, bundle.thresholds.thresholds.tolist(), strict=True))
    for eye, one in zip(eyes, predicted, strict=True):
        answer = server.post(eye.read_bytes()).json
        assert "not a medical device" in answer["note"]
        findings = answer["findings"]
        assert {entry["code"]: entry["probability"] for entry in findings} == one.probabilities
        for entry in findings:
            code = entry["code"]
            assert entry["name"] == bundle.names[code]
            if np.isfinite(limits[code]):
                assert entry["threshold"] == limits[code]
                assert entry["decision"] == ("yes" if one.decisions[code] else "no")
            assert ("grade" in entry) == (code in LEVELS)
            if code in LEVELS:
                grade, distribution = entry["grade"], one.grades[code]
                assert grade["distribution"] == distribution
                assert distribution[grade["grade"]] == grade["probability"] == max(distribution)
                assert grade["highest"] == LEVELS[code] - 1
        ranks = [(entry["decision"] != "yes", -entry["probability"]) for entry in findings]
        assert ranks == sorted(ranks)
        assert set(answer["found"]) == {code for code, yes in one.decisions.items() if yes}
    decisions = {yes for one in predicted for yes in one.decisions.values()}
    assert decisions == {True, False}


def test_a_disease_without_a_threshold_is_not_assessed_rather_than_absent(
    server: PageServer, eyes: list[Path]
) -> None:
    (entry,) = [
        entry
        for entry in server.post(eyes[0].read_bytes()).json["findings"]
        if entry["code"] == "RPEC"
    ]
    assert (entry["threshold"], entry["decision"]) == ("inf", "not assessed")


def test_what_is_certified_is_what_the_images_set_aside_show(
    server: PageServer, run: RunFolder
) -> None:
    wanted = certified_recall(run, load_bundle(run.path).thresholds)
    model = server.ask("GET", "/api/model").json
    assert model["not_certified"] is None
    shown = {entry["code"]: entry["certified"] for entry in model["classes"]}
    kinds = set()
    for one in wanted["classes"]:
        entry = shown[one["class"]]
        if not one["with_disease"]:
            assert "no image set aside shows it" in entry["why_not"]
            kinds.add("unseen")
        elif one["recall_at_least"] >= one["floor"]:
            assert entry["recall_at_least"] == one["recall_at_least"]
            assert entry["why_not"] is None
            kinds.add("certified")
        else:
            assert entry["recall_at_least"] is None
            assert f"{one['found']} of {one['with_disease']} images" in entry["why_not"]
            assert f"{one['recall_at_least']:.2f}" in entry["why_not"]
            kinds.add("below")
    assert kinds == {"unseen", "certified", "below"}


def test_maps_are_grad_cams(server: PageServer, run: RunFolder, eyes: list[Path]) -> None:
    bundle = load_bundle(run.path)
    inputs = bundle.preprocessing(load_image(eyes[0]))[None]
    for column, code in enumerate(bundle.names):
        answer = server.post(eyes[0].read_bytes(), f"/api/explain?code={code}").json
        (wanted,), layer = grad_cam(bundle.model.model, "classifier", inputs, [column])
        assert (answer["code"], answer["layer"]) == (code, layer)
        np.testing.assert_allclose(answer["map"], wanted, rtol=1e-3)
        overlay = opened(answer["overlay"])
        assert overlay.size == (wanted.shape[1], wanted.shape[0])
        assert (answer["peak"] is None) == (not wanted.any())
        assert "no evidence" in answer["caution"]
    unknown = server.post(eyes[0].read_bytes(), "/api/explain?code=GLA")
    assert (unknown.status, unknown.json["kind"]) == (422, "unknown_class")
    assert server.post(b"", "/api/explain?code=DR").json["kind"] == "empty"


def opened(link: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(link.partition(",")[2])))


def test_the_picture_sent_back_is_the_part_that_the_model_sees(server: PageServer) -> None:
    image = Image.new("RGB", (900, 600), (250, 20, 20))  # its sides are cut off
    image.paste((20, 20, 250), (150, 0, 750, 600))
    file = io.BytesIO()
    image.save(file, "PNG")
    seen = opened(server.post(file.getvalue()).json["seen"])
    assert seen.size == (448, 448)
    red, _, blue = np.asarray(seen).reshape(-1, 3).mean(axis=0)
    assert blue > 240
    assert red < 30


def test_bad_files_are_named_for_what_they_are_and_good_ones_still_read(
    server: PageServer, eyes: list[Path]
) -> None:
    good = eyes[0].read_bytes()
    deep = io.BytesIO()
    Image.fromarray(np.zeros((40, 40), dtype=np.uint16)).save(deep, "PNG")
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    for content, status, kind in (
        (b"", 422, "empty"),
        (b"not an image", 415, "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "not_an_image"),
        (good[: len(good) // 2], 422, "truncated"),
        (deep.getvalue(), 422, "bit_depth"),
        (bomb.getvalue(), 422, "too_many_pixels"),
        (b"x" * 4_000_000, 413, "too_large"),
    ):
        answer = server.post(content)
        assert (answer.status, answer.json["kind"]) == (status, kind)
        assert answer.json["error"].endswith(".")
    assert "20,000 x 20,000 pixels" in server.post(bomb.getvalue()).json["error"]
    assert server.post(good).status == 200


def test_parallel_requests_get_their_own_findings(
    server: PageServer, eyes: list[Path], predicted: list[Prediction]
) -> None:
    sent = [k % len(eyes) for k in range(2 * len(eyes))]
    bodies = [eye.read_bytes() for eye in eyes]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda k: server.post(bodies[k]), sent))
    for k, answer in zip(sent, answers, strict=True):
        assert answer.status == 200
        shown = {one["code"]: one["probability"] for one in answer.json["findings"]}
        assert shown == predicted[k].probabilities


def test_a_worker_killed_at_work_is_replaced(server: PageServer, eyes: list[Path]) -> None:
    (worker,) = server.workers
    killed = worker.pid
    os.kill(killed, signal.SIGSTOP)  # so that it is surely at work
    with ThreadPoolExecutor(2) as threads:
        hit = threads.submit(server.post, eyes[0].read_bytes())
        until(lambda: worker.busy)
        waiting = threads.submit(server.post, eyes[1].read_bytes())
        until(lambda: server.pool.taken == 2)
        os.kill(killed, signal.SIGKILL)
        failed = hit.result()
        assert (failed.status, failed.json["kind"]) == (500, "worker_died")
        assert waiting.result().status == 200
    assert worker.pid != killed


def test_ensembles_and_exported_files_are_served_without_maps(
    run: RunFolder, eyes: list[Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from examples.rfmid.serving.export import export

    shutil.copytree(run.path, tmp_path / "copy")
    path = export(tmp_path / "copy", n_images=2)
    model = ServedModel(path, MOST_PIXELS)
    about = model.about()
    assert "single network" in about["no_maps"]
    assert "serve the run folder" in about["not_certified"]
    (one,) = predict((eyes[0],), model=path)
    row = model.predict(eyes[0].read_bytes())
    shown = {entry["code"]: entry["probability"] for entry in findings_of(row)}
    assert shown == one.probabilities
    with pytest.raises(Refusal, match="There is no map"):
        model.explain(eyes[0].read_bytes(), "DR")


def findings_of(body: bytes) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(body)["findings"]
    return found


def test_without_patients_set_aside_nothing_is_certified(run: RunFolder, tmp_path: Path) -> None:

    shutil.copytree(run.path, tmp_path / "copy")
    RunFolder(tmp_path / "copy").predictions("certify").unlink()
    about = ServedModel(tmp_path / "copy", MOST_PIXELS).about()
    assert "no validation patients were set aside" in about["not_certified"]
    assert all(one["certified"]["recall_at_least"] is None for one in about["classes"])


def everything_in(*folders: Path) -> set[tuple[Path, int]]:
    files = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    return {(path, path.stat().st_mtime_ns) for path in files}


def test_the_command_serves_writes_nothing_and_ends(
    run: RunFolder, eyes: list[Path], tmp_path: Path
) -> None:
    for name in ("temporary", "here"):
        (tmp_path / name).mkdir()
    root = Path(__file__).parents[2]
    paths = [str(root), str(root / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "TMPDIR": str(tmp_path / "temporary"),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    arguments = ["serve", str(run.path), "--port", "0", "--max-megabytes", "9"]
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
        assert ask(port, "POST", "/api/predict", eyes[0].read_bytes()).status == 200
        before = everything_in(tmp_path, run.path, eyes[0].parent)
        noise = np.random.default_rng(0).integers(0, 255, (1500, 1800, 3), dtype=np.uint8)
        large = io.BytesIO()
        Image.fromarray(noise).save(large, "PNG")
        assert large.tell() > 5_000_000
        bodies = [*(eye.read_bytes() for eye in eyes), large.getvalue(), b"no image"]
        with ThreadPoolExecutor(4) as threads:
            answers = list(
                threads.map(lambda body: ask(port, "POST", "/api/predict", body), bodies)
            )
        assert [one.status for one in answers] == [200] * (len(eyes) + 1) + [415]
        assert everything_in(tmp_path, run.path, eyes[0].parent) == before
        assert unnamed_files(process.pid) == []
    finally:
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    assert process.returncode == 130
    assert rest.strip() == "interrupted"
    assert not any((tmp_path / "temporary").iterdir())


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
def test_workers_end_with_a_server_that_is_killed(run: RunFolder, tmp_path: Path) -> None:
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
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(tmp_path / "absent"), "--port", "0"]) == 2
    assert "absent doesn't exist" in capsys.readouterr().err
    with pytest.raises(RecipeError, match="cannot read"):
        ServedModel(tmp_path, MOST_PIXELS)
    with pytest.raises(RecipeError, match="max_files must be at least 1"):
        serve(run.path, max_files=0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(RecipeError, match=f"port {port}"):
            serve(run.path, port=port)
