"""The page's server with workers that only obey: load, death, slowness, and who may ask."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from examples.rfmid.errors import RecipeError
from examples.rfmid.serving.web.limits import Limits
from examples.rfmid.serving.web.process import WorkerProcess
from tests.rfmid.fake_worker import die_at_once, fail, obey
from tests.rfmid.page_server import Answer, PageServer, page_server, until


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    with page_server(obey, limits=Limits(max_megabytes=0.1, max_waiting=64, workers=2)) as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_held(server: PageServer) -> Iterator[None]:
    """After each test, every place is free again."""
    yield
    until(lambda: server.pool.taken == 0)


def test_each_of_many_parallel_requests_gets_its_own_answer(server: PageServer) -> None:
    sent = [f"photograph {k} {'x' * (k * 997 % 5000)}" for k in range(60)]
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda text: server.post(text.encode()), sent))
    assert [one.status for one in answers] == [200] * 60
    assert [one.json["echo"] for one in answers] == sent
    assert {one.json["pid"] for one in answers} == {worker.pid for worker in server.workers}


def test_who_finds_no_place_is_told_that_the_server_is_busy(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    limits = Limits(max_waiting=1)
    with page_server(obey, (str(gate),), limits) as server, ThreadPoolExecutor(2) as threads:
        held = [threads.submit(server.post, b"wait") for _ in range(2)]
        until(lambda: server.pool.taken == 2)
        large = b"x" * (limits.max_bytes // 2)  # more than any socket's buffer
        for body in (b"hello", large):
            busy = server.post(body)
            assert busy.status == 503
            assert busy.headers["retry-after"]
            assert busy.json["kind"] == "busy"
            assert "Try again" in busy.json["error"]
        assert server.ask("GET", "/").status == 200
        gate.touch()
        assert [one.result().status for one in held] == [200, 200]
        assert server.post(b"hello").status == 200


def test_a_flood_is_answered_or_refused_and_leaves_nothing() -> None:
    with page_server(obey, limits=Limits(max_waiting=2)) as server:
        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(server.post, [b"x" * 20_000] * 200))
        assert {one.status for one in answers} <= {200, 503}
        assert any(one.status == 200 for one in answers)
        until(lambda: server.pool.taken == 0)
        assert server.post(b"hello").json["echo"] == "hello"


def test_the_request_that_kills_its_worker_is_told_so_and_no_other(server: PageServer) -> None:
    before = {worker.pid for worker in server.workers}
    sent = [b"die" if k % 10 == 5 else b"%d" % k for k in range(30)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(server.post, sent))
    for body, answer in zip(sent, answers, strict=True):
        if body == b"die":
            assert (answer.status, answer.json["kind"]) == (500, "worker_died")
            assert "Another one is starting" in answer.json["error"]
        else:
            assert answer.json["echo"] == body.decode()
    assert {worker.pid for worker in server.workers} != before


def test_a_worker_killed_while_idle_is_nobodys_fault(server: PageServer) -> None:
    for worker in server.workers:
        killed = worker.pid
        os.kill(killed, signal.SIGKILL)
        until(lambda: not worker.is_alive())  # noqa: B023
    answers = [server.post(b"hello") for _ in range(3)]
    assert [one.status for one in answers] == [200, 200, 200]


def test_a_photograph_that_takes_too_long_is_given_up() -> None:
    with page_server(obey, limits=Limits(max_seconds=5)) as server:
        slow = server.post(b"hang")
        assert (slow.status, slow.json["kind"]) == (504, "too_slow")
        assert "longer than 5 seconds" in slow.json["error"]
        assert server.post(b"hello").status == 200


def test_an_upload_that_stalls_is_given_up() -> None:
    with page_server(obey, limits=Limits(max_seconds=1)) as server, server.connect() as client:
        head = f"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        client.sendall(f"{head}Content-Length: 100\r\n\r\nhalf".encode())
        assert b" 408 " in client.recv(1 << 16)
        until(lambda: server.pool.taken == 0)


def test_an_upload_that_is_broken_off_gives_its_place_back(server: PageServer) -> None:
    with server.connect() as client:
        head = f"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        client.sendall(f"{head}Content-Length: 100\r\n\r\nhalf".encode())
        until(lambda: server.pool.taken == 1)
    until(lambda: server.pool.taken == 0)


def test_nobody_works_for_who_has_left(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with (
        page_server(obey, (str(gate),), Limits(max_waiting=2)) as server,
        ThreadPoolExecutor(1) as threads,
    ):
        held = threads.submit(server.post, b"wait")
        until(lambda: server.pool.taken == 1)
        with server.connect() as client:
            head = f"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            client.sendall(f"{head}Content-Length: 5\r\n\r\nhello".encode())
            until(lambda: server.pool.taken == 2)
        gate.touch()
        assert held.result().json["n_asked"] == 1
        until(lambda: server.pool.taken == 0)
        assert server.post(b"hello").json["n_asked"] == 2


@pytest.mark.parametrize("size", [100_001, 390_000])
def test_a_file_above_the_limit_is_refused(server: PageServer, size: int) -> None:
    body = b"x" * size
    chunks = (body[k : k + 10_000] for k in range(0, size, 10_000))
    announced, unannounced = server.post(body), server.post(chunks)
    for answer in (announced, unannounced):
        assert (answer.status, answer.json["kind"]) == (413, "too_large")
        assert "at most 0.1 MB" in answer.json["error"]
    assert server.post(b"x" * 100_000).status == 200


def test_who_asks_before_sending_is_answered_at_once(server: PageServer) -> None:
    with server.connect() as client:
        head = f"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        client.sendall(f"{head}Content-Length: 9000000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert b" 413 " in client.recv(1 << 16)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST", 200),
        ("[::1]:{port}", 200),
        ("192.168.7.7", 200),
        ("page.example:80", 200),
        ("evil.example:{port}", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:{port}", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_only_own_names_are_answered_to(server: PageServer, host: str, status: int) -> None:
    headers = {"Host": host.format(port=server.port)}
    for method, path in (("GET", "/"), ("GET", "/api/model"), ("POST", "/api/predict")):
        answer = server.ask(method, path, b"x" if method == "POST" else None, headers)
        assert answer.status == status
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://localhost:{port}"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_other_pages_may_not_send(server: PageServer, headers: dict[str, str], status: int) -> None:
    given = {name: value.format(port=server.port) for name, value in headers.items()}
    assert server.post(b"x", **given).status == status


def every_kind_of_answer(server: PageServer) -> list[Answer]:
    return [
        *(server.ask("GET", path) for path in ("/", "/main.js", "/page.css", "/api/model")),
        server.ask("GET", "/absent"),
        server.ask("GET", "/api/predict"),
        server.ask("GET", "/", headers={"Host": "evil.example"}),
        server.post(b"hello"),
        server.post(b"die"),
        server.post(b"x" * 200_000),
    ]


def test_every_answer_keeps_to_itself(server: PageServer) -> None:
    answers = every_kind_of_answer(server)
    assert [one.status for one in answers] == [200] * 4 + [404, 405, 421, 200, 500, 413]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "http" not in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_what_is_not_there_is_said_as_json(server: PageServer) -> None:
    assert server.ask("GET", "/absent").json["error"] == "Not Found."
    assert server.ask("GET", "/../app.py").status == 404
    assert server.ask("GET", "/%2e%2e/app.py").status == 404


def test_the_page_names_nothing_from_elsewhere(server: PageServer) -> None:
    page = server.ask("GET", "/")
    assert page.headers["content-type"].startswith("text/html")
    assert b"Not a medical device" in page.body
    for path in ("/", "/main.js", "/page.css", "/api.js"):
        assert not re.search(rb"//\w", server.ask("GET", path).body)


def test_the_limits_are_told(server: PageServer) -> None:
    told = server.ask("GET", "/api/model").json["limits"]
    assert told == {
        "max_bytes": 100_000,
        "max_pixels": 50_000_000,
        "max_files": 50,
        "at_once": 66,
        "workers": 2,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_megabytes", 0.0),
        ("max_megapixels", 179.0),
        ("max_megapixels", float("nan")),
        ("max_seconds", float("inf")),
        ("max_files", 0),
        ("max_waiting", -1),
        ("workers", 0),
    ],
)
def test_limits_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=f"{name} must be"):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_a_worker_without_a_model_says_why() -> None:
    for target, why in ((fail, "no whole model here"), (die_at_once, "ended while it loaded")):
        worker = WorkerProcess(target, (), 60)
        try:
            with pytest.raises(RecipeError, match=why):
                worker.about()
        finally:
            worker.close()
            worker.end()


def test_the_protocol_is_json(server: PageServer) -> None:
    answer = server.post(b"hello", "/api/explain?code=DR")
    assert json.loads(answer.body)["code"] == "DR"
    assert json.loads(answer.body)["do"] == "explain"
