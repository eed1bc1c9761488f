"""A bounded number of photographs at once, shared among the workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from examples.rfmid.serving.web.process import WorkerProcess
from examples.rfmid.serving.web.refusals import Refusal


class Pool:
    """Workers, a place for each photograph that waits for one, and no more places."""

    def __init__(self, workers: Sequence[WorkerProcess], max_waiting: int) -> None:
        self._workers = tuple(workers)
        self._places = len(workers) + max_waiting
        self._taken = 0
        self._idle: asyncio.Queue[WorkerProcess] = asyncio.Queue()
        for worker in workers:
            self._idle.put_nowait(worker)
        self._threads = ThreadPoolExecutor(len(workers))

    def about(self) -> dict[str, Any]:
        """Wait until all workers are ready; return what they say of the model.

        Raises
        ------
        RecipeError
            If one can't get ready.
        """
        first, *_ = [worker.about() for worker in self._workers]
        return first

    @property
    def taken(self) -> int:
        """How many photographs are held now."""
        return self._taken

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place, from before the photograph is read until it is answered.

        Raises
        ------
        Refusal
            If all are taken.
        """
        if self._taken >= self._places:
            raise Refusal(
                503,
                "busy",
                "The server is busy with as many photographs as it takes. Try again in a moment.",
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def ask(
        self, request: dict[str, str], content: bytes, gone: Callable[[], Any]
    ) -> tuple[int, bytes]:
        """Return status and answer of the next free worker.

        `gone` is awaited once one is free: if whoever asked has left, there is nothing to do.

        Raises
        ------
        Refusal
            If the worker died or was too slow.
        """
        worker = await self._idle.get()
        try:
            if await gone():
                raise Refusal(499, "gone", "Whoever asked has left.")
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, worker.ask, request, content)
        finally:
            self._idle.put_nowait(worker)

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.close()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.end()
