"""The page's server within the test's process, on a free port, and a client for it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from examples.rfmid.serving.web.app import make_app, make_server
from examples.rfmid.serving.web.limits import Limits
from examples.rfmid.serving.web.pool import Pool
from examples.rfmid.serving.web.process import WorkerProcess

PATIENCE = 240  # seconds, of a loaded machine


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(frozen=True)
class PageServer:
    port: int
    pool: Pool
    workers: list[WorkerProcess]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        return ask(self.port, method, path, body, headers)

    def post(self, body: Any, path: str = "/api/predict", **headers: str) -> Answer:
        return self.ask("POST", path, body, headers)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


def ask(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    finally:
        connection.close()


@contextmanager
def page_server(
    target: Callable[..., None], arguments: tuple[Any, ...] = (), limits: Limits | None = None
) -> Iterator[PageServer]:
    limits = limits or Limits()
    workers = [WorkerProcess(target, arguments, limits.max_seconds) for _ in range(limits.workers)]
    pool = Pool(workers, limits.max_waiting)
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            app = make_app(pool, pool.about(), limits, ("page.example",))
            server = make_server(app, limits)
            thread = threading.Thread(target=server.run, args=([listener],))
            thread.start()
            try:
                yield PageServer(listener.getsockname()[1], pool, workers)
            finally:
                server.should_exit = True
                thread.join(PATIENCE)
                assert not thread.is_alive()
    finally:
        pool.close()


def until(condition: Callable[[], object]) -> None:
    """Wait for something that another process or thread does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)
