"""Runs a media server as a process: SIP, the frame clock and the control line."""

import asyncio
import logging
from collections.abc import Mapping

from tests.lab.control import Operation, serve_control
from tests.lab.ports import LOOPBACK
from tests.lab.services.media_server import MediaServer


async def serve(
    server: MediaServer, address: str, port: int, control_port: int, operations: Mapping[str, Operation]
) -> None:
    """Serve until the process is stopped; `operations` are those beyond every media server's own."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    await server.open(address, port)
    common: dict[str, Operation] = {
        "calls": server.op_calls,
        "hangup": server.op_hangup,
        "send_digits": server.op_send_digits,
    }
    await serve_control({**common, **operations}, LOOPBACK, control_port)
    await server.run_clock()


def run(
    server: MediaServer, address: str, port: int, control_port: int, operations: Mapping[str, Operation]
) -> None:
    """Run `serve` in an event loop of its own."""
    asyncio.run(serve(server, address, port, control_port, operations))
