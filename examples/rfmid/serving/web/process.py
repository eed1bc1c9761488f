"""One worker process, started again when it dies."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from typing import Any

from examples.rfmid.errors import RecipeError
from examples.rfmid.serving.web.refusals import Refusal


class WorkerProcess:
    """A process that answers one request at a time.

    Parameters
    ----------
    target : callable
        Runs in the process, with its end of a pipe and `arguments`; see `work`.
    arguments : tuple
    max_seconds : float
        After which a request is given up and the process replaced.
    max_start_seconds : float
        The same for getting ready.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: tuple[Any, ...],
        max_seconds: float,
        max_start_seconds: float = 300.0,
    ) -> None:
        self._target, self._arguments = target, arguments
        self._max_seconds, self._max_start_seconds = max_seconds, max_start_seconds
        self._closed = self._busy = False
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=self._target, args=(theirs, *self._arguments), daemon=True
        )
        self._process.start()
        theirs.close()
        self._about: dict[str, Any] | None = None

    @property
    def pid(self) -> int:
        """Of the process that would take the next request."""
        return self._process.pid or 0

    def is_alive(self) -> bool:
        """Whether the process could take a request; if not, the next one starts another."""
        return self._process.is_alive()

    @property
    def busy(self) -> bool:
        """Whether a request is with the process."""
        return self._busy

    def about(self) -> dict[str, Any]:
        """Wait until the process is ready; return what it says of itself."""
        if self._about is None:
            try:
                if not self._connection.poll(self._max_start_seconds):
                    raise RecipeError(f"no model after {self._max_start_seconds:g} seconds")
                message = json.loads(self._connection.recv_bytes())
            except (EOFError, OSError) as error:
                raise RecipeError("the worker process ended while it loaded the model") from error
            if "failed" in message:
                raise RecipeError(message["failed"])
            self._about = message["about"]
        return self._about

    def ask(self, request: dict[str, str], content: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer; not for two threads at once.

        Raises
        ------
        Refusal
            If the process died or was too slow; another one is already starting.
        """
        if not self.is_alive():
            self._replace()  # it died between requests: this one isn't to blame
        try:
            self.about()
        except RecipeError as error:
            self._replace()
            raise Refusal(503, "no_model", f"There is no model to ask: {error}.") from error
        self._busy = True
        late = threading.Event()
        watch = threading.Timer(self._max_seconds, self._give_up, [self._process, late])
        watch.start()
        try:
            self._connection.send_bytes(json.dumps(request).encode())
            self._connection.send_bytes(content)
            answer = self._connection.recv_bytes()
        except (EOFError, OSError):
            answer = b""
        self._busy = False
        watch.cancel()
        watch.join()
        if late.is_set() or not answer:
            self._replace()
        if not answer:
            raise _too_slow(self._max_seconds) if late.is_set() else _died()
        return int(answer[:3]), answer[3:]

    @staticmethod
    def _give_up(process: SpawnProcess, late: threading.Event) -> None:
        late.set()
        process.kill()

    def _replace(self) -> None:
        self.end()
        if not self._closed:
            self._start()

    def close(self) -> None:
        """Kill the process for good; a request in another thread gets its error. Then `end` it."""
        self._closed = True
        self._process.kill()

    def end(self) -> None:
        """Give back what the process held."""
        self._connection.close()
        self._process.kill()
        self._process.join()


def _too_slow(max_seconds: float) -> Refusal:
    return Refusal(
        504,
        "too_slow",
        f"This photograph took longer than {max_seconds:g} seconds and was given up.",
    )


def _died() -> Refusal:
    return Refusal(
        500,
        "worker_died",
        "The process that worked on this photograph ended. Another one is starting; other "
        "photographs are not affected.",
    )
