"""Client of the gateway's control endpoint: one JSON question at a time on one connection, which is kept."""

import asyncio
from typing import Any, Final

import msgspec

TIMEOUT_S: Final = 5.0
_MAX_ANSWER: Final = 1 << 17


class ControlUnreachable(Exception):
    """The gateway does not answer, or not in HTTP."""


class ControlRefused(Exception):
    """The gateway answered that it will not."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status


class ControlClient:
    """One connection; questions wait for each other."""

    def __init__(self, address: str, port: int, secret: str, timeout_s: float = TIMEOUT_S) -> None:
        self._address, self._port, self._secret = address, port, secret
        self._timeout_s = timeout_s
        self._turn = asyncio.Lock()
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Return the answer; raises ControlRefused, or ControlUnreachable after the time-out at the latest."""
        content = b"" if body is None else msgspec.json.encode(body)
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._address}:{self._port}\r\n"
            f"Authorization: Bearer {self._secret}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout_s):
                    status, answer = await self._exchange(head.encode() + content)
                found = msgspec.json.decode(answer, type=dict[str, Any])
            except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError) as error:
                self.close()
                raise ControlUnreachable(f"{type(error).__name__}: {error}") from error
            except BaseException:
                self.close()
                raise
        if status >= 300:
            raise ControlRefused(status, str(found.get("error", "")))
        return found

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        if self._line is not None:
            try:
                return await self._once(request)
            except (OSError, EOFError):
                self.close()  # the gateway was restarted, or closed an idle connection
        self._line = await asyncio.open_connection(self._address, self._port, limit=_MAX_ANSWER)
        return await self._once(request)

    async def _once(self, request: bytes) -> tuple[int, bytes]:
        assert self._line is not None
        reader, writer = self._line
        writer.write(request)
        await writer.drain()
        start_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        lengths = [line.partition(":")[2] for line in lines if line.lower().startswith("content-length:")]
        if not start_line.startswith("HTTP/1.") or len(lengths) != 1:
            raise ValueError("no HTTP answer")
        return int(start_line.split(" ")[1]), await reader.readexactly(int(lengths[0]))

    def close(self) -> None:
        """Close the connection; the next question opens one."""
        if self._line is not None:
            self._line[1].close()
            self._line = None
