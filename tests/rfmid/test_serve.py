"""The page's server with a real model: its figures are `predict`'s, and no file is left."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from examples.rfmid.data.images import load_image
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.certified import certified_recall
from examples.rfmid.serving.bundle import load_bundle
from examples.rfmid.serving.grad_cam import grad_cam
from examples.rfmid.serving.predict import Prediction, predict
from examples.rfmid.serving.web.limits import Limits
from examples.rfmid.serving.web.model import ServedModel
from examples.rfmid.serving.web.refusals import Refusal
from examples.rfmid.serving.web.worker import work
from tests.rfmid.page_server import PageServer, page_server, until
from tests.rfmid.served_run import LEVELS

MOST_PIXELS = 1_000_000
LIMITS = Limits(max_megabytes=3, max_megapixels=MOST_PIXELS / 1e6, max_seconds=240)


@pytest.fixture(scope="module")
def server(served_run: RunFolder) -> Iterator[PageServer]:
    with page_server(work, (str(served_run.path), MOST_PIXELS, 1), LIMITS) as found:
        yield found


@pytest.fixture(scope="module")
def predicted(served_run: RunFolder, many_eyes: list[Path]) -> list[Prediction]:
    return predict(tuple(many_eyes), run=served_run.path)


def test_the_table_is_predicts_to_the_last_digit(
    server: PageServer,
    served_run: RunFolder,
    many_eyes: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(many_eyes[0].parent)
    names = tuple(Path(eye.name) for eye in many_eyes)
    output = many_eyes[0].parent / "found.csv"
    try:
        predict(names, run=served_run.path, output=output)
        written = output.read_text("utf-8")
    finally:
        output.unlink()
    header = server.ask("GET", "/api/model").json["csv_header"]
    rows = [eye.name + server.post(eye.read_bytes()).json["csv_row"] for eye in many_eyes]
    assert "\n".join([header, *rows, ""]) == written


def test_findings_are_predicts_found_ones_first(
    server: PageServer, served_run: RunFolder, many_eyes: list[Path], predicted: list[Prediction]
) -> None:
    bundle = load_bundle(served_run.path)
    limits = dict(zip(bundle.names, bundle.thresholds.thresholds.tolist(), strict=True))
    for eye, one in zip(many_eyes, predicted, strict=True):
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
    server: PageServer, many_eyes: list[Path]
) -> None:
    (entry,) = [
        entry
        for entry in server.post(many_eyes[0].read_bytes()).json["findings"]
        if entry["code"] == "RPEC"
    ]
    assert (entry["threshold"], entry["decision"]) == ("inf", "not assessed")


def test_what_is_certified_is_what_the_images_set_aside_show(
    server: PageServer, served_run: RunFolder
) -> None:
    wanted = certified_recall(served_run, load_bundle(served_run.path).thresholds)
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


def test_maps_are_grad_cams(
    server: PageServer, served_run: RunFolder, many_eyes: list[Path]
) -> None:
    bundle = load_bundle(served_run.path)
    inputs = bundle.preprocessing(load_image(many_eyes[0]))[None]
    for column, code in enumerate(bundle.names):
        answer = server.post(many_eyes[0].read_bytes(), f"/api/explain?code={code}").json
        (wanted,), layer = grad_cam(bundle.model.model, "classifier", inputs, [column])
        assert (answer["code"], answer["layer"]) == (code, layer)
        np.testing.assert_allclose(answer["map"], wanted, rtol=1e-3)
        overlay = opened(answer["overlay"])
        assert overlay.size == (wanted.shape[1], wanted.shape[0])
        assert (answer["peak"] is None) == (not wanted.any())
        assert "no evidence" in answer["caution"]
    unknown = server.post(many_eyes[0].read_bytes(), "/api/explain?code=GLA")
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
    server: PageServer, many_eyes: list[Path]
) -> None:
    good = many_eyes[0].read_bytes()
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
    server: PageServer, many_eyes: list[Path], predicted: list[Prediction]
) -> None:
    sent = [k % len(many_eyes) for k in range(2 * len(many_eyes))]
    bodies = [eye.read_bytes() for eye in many_eyes]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda k: server.post(bodies[k]), sent))
    for k, answer in zip(sent, answers, strict=True):
        assert answer.status == 200
        shown = {one["code"]: one["probability"] for one in answer.json["findings"]}
        assert shown == predicted[k].probabilities


def test_a_worker_killed_at_work_is_replaced(server: PageServer, many_eyes: list[Path]) -> None:
    (worker,) = server.workers
    killed = worker.pid
    os.kill(killed, signal.SIGSTOP)  # so that it is surely at work
    with ThreadPoolExecutor(2) as threads:
        hit = threads.submit(server.post, many_eyes[0].read_bytes())
        until(lambda: worker.busy)
        waiting = threads.submit(server.post, many_eyes[1].read_bytes())
        until(lambda: server.pool.taken == 2)
        os.kill(killed, signal.SIGKILL)
        failed = hit.result()
        assert (failed.status, failed.json["kind"]) == (500, "worker_died")
        assert waiting.result().status == 200
    assert worker.pid != killed


def test_ensembles_and_exported_files_are_served_without_maps(
    served_run: RunFolder, many_eyes: list[Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from examples.rfmid.serving.export import export

    shutil.copytree(served_run.path, tmp_path / "copy")
    path = export(tmp_path / "copy", n_images=2)
    model = ServedModel(path, MOST_PIXELS)
    about = model.about()
    assert "single network" in about["no_maps"]
    assert "serve the run folder" in about["not_certified"]
    (one,) = predict((many_eyes[0],), model=path)
    row = model.predict(many_eyes[0].read_bytes())
    shown = {entry["code"]: entry["probability"] for entry in findings_of(row)}
    assert shown == one.probabilities
    with pytest.raises(Refusal, match="There is no map"):
        model.explain(many_eyes[0].read_bytes(), "DR")


def findings_of(body: bytes) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(body)["findings"]
    return found


def test_without_patients_set_aside_nothing_is_certified(
    served_run: RunFolder, tmp_path: Path
) -> None:

    shutil.copytree(served_run.path, tmp_path / "copy")
    RunFolder(tmp_path / "copy").predictions("certify").unlink()
    about = ServedModel(tmp_path / "copy", MOST_PIXELS).about()
    assert "no validation patients were set aside" in about["not_certified"]
    assert all(one["certified"]["recall_at_least"] is None for one in about["classes"])
