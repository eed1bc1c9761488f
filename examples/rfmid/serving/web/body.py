"""Read a photograph from a request, within limits of size and time; nothing touches the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from examples.rfmid.serving.web.refusals import Refusal

_MOST_DISCARDED = 4  # times the limit


class Body:
    """What a request sends."""

    def __init__(self, request: Request, max_bytes: int, max_seconds: float) -> None:
        self._request, self._max_bytes, self._max_seconds = request, max_bytes, max_seconds
        self._ended = False

    async def read(self) -> bytes:
        """Return all of it.

        Raises
        ------
        Refusal
            If it is larger than `max_bytes`, announced or sent, or takes longer than `max_seconds`.
        ClientDisconnect
            If it broke off.
        """
        announced = self._request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_bytes:
            raise self._too_large()
        content = bytearray()
        try:
            async with asyncio.timeout(self._max_seconds):
                async for part in self._parts():
                    content += part
                    if len(content) > self._max_bytes:
                        raise self._too_large()
        except TimeoutError:
            words = f"The photograph took longer than {self._max_seconds:g} seconds to arrive."
            raise Refusal(408, "slow_upload", words) from None
        return bytes(content)

    async def discard(self) -> None:
        """Read what is still being sent and forget it, up to a bound.

        Most clients look for an answer only once they have sent everything; closing the connection
        before that would hide the answer from them.
        """
        if self._request.headers.get("expect", "").lower() == "100-continue":
            return  # it waits for leave to send
        size = 0
        try:
            async with asyncio.timeout(self._max_seconds):
                async for part in self._parts():
                    size += len(part)
                    if size > _MOST_DISCARDED * self._max_bytes:
                        return
        except TimeoutError:
            return

    async def _parts(self) -> AsyncIterator[bytes]:
        while not self._ended:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._ended = not message.get("more_body", False)
            yield message.get("body", b"")

    def _too_large(self) -> Refusal:
        words = f"The file is too large: at most {self._max_bytes / 1e6:,g} MB are taken."
        return Refusal(413, "too_large", words)
