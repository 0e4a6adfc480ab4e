"""The lab's control lines: one JSON object per line over loopback TCP, one answer per line.

The HSS, the PSTN gateway and the conference service listen; tests and the launcher ask.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Operation = Callable[..., Awaitable[Any]]


class ControlError(Exception):
    """The service could not do what was asked; the text is its own."""


async def serve_control(operations: Mapping[str, Operation], address: str, port: int) -> asyncio.Server:
    """Listen for control lines; `op` names the operation, the other keys are its arguments."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                question = json.loads(line)
                operation = operations[question.pop("op")]
                try:
                    answer: dict[str, Any] = {"result": await operation(**question)}
                except Exception as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    return await asyncio.start_server(converse, address, port, limit=1 << 20)


class Control:
    """A blocking client; one connection per question, so that it never goes stale."""

    def __init__(self, address: str, port: int, timeout_s: float = 10.0) -> None:
        self.address = address
        self.port = port
        self.timeout_s = timeout_s

    def ask(self, op: str, **arguments: Any) -> Any:
        """Ask one thing; raise ControlError with the service's text, OSError when nobody listens."""
        with socket.create_connection((self.address, self.port), self.timeout_s) as connection:
            connection.sendall(json.dumps({"op": op, **arguments}).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
        if not line:
            raise ControlError(f"{op}: the service closed the line")
        answer = json.loads(line)
        if "error" in answer:
            raise ControlError(f"{op}: {answer['error']}")
        return answer["result"]
