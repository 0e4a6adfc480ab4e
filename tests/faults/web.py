"""Requests to the web API through its front, one after the other.

Knows HTTP as far as a status.  Must not know calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final
from urllib.parse import urlsplit

from tests.faults.load import PATIENCE_S, Attempt, End
from tests.peers.websocket import unverified_tls

PATH: Final = "/config.json"
_EVERY_S: Final = 0.2


class WebRequests:
    """Asks until it is stopped."""

    def __init__(self, origin: str) -> None:
        parts = urlsplit(origin)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._tls = unverified_tls()
        self.attempts: list[Attempt] = []
        self._asking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._asking = asyncio.create_task(self._ask_for_ever())

    async def stop(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._asking

    async def _ask_for_ever(self) -> None:
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(
                    PATIENCE_S
                ):  # wait_for may lose a cancellation (until Python 3.12)
                    status = await self._ask()
                end, what = (End.DONE, "") if status == 200 else (End.TOLD, str(status))
            except TimeoutError:
                end, what = End.SILENT, ""
            except (OSError, EOFError, ValueError) as error:
                end, what = End.TOLD, type(error).__name__
            self.attempts.append(Attempt(began, time.monotonic() - began, end, what))
            await asyncio.sleep(_EVERY_S)

    async def _ask(self) -> int:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._tls, server_hostname=self._host
        )
        try:
            writer.write(
                f"GET {PATH} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nConnection: close\r\n\r\n".encode()
            )
            line = await reader.readline()
            if not line:
                raise EOFError
            return int(line.split()[1])
        finally:
            writer.transport.abort()
