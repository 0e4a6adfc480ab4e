"""A Redis of our own, empty for each test."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from kemi.state import keys
from kemi.state.redis_link import RedisLink
from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.lab.waiting import wait_until

NODE = "node-1"


@pytest.fixture(scope="package")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own."""
    folder: Path = tmp_path_factory.mktemp("redis")
    with PortBlocks(PortMode.FREE, rtp_ports=0) as ports:
        port = ports.port()
        command = [
            "redis-server",
            "--port",
            str(port),
            "--bind",
            LOOPBACK,
            "--save",
            "",
            "--dir",
            str(folder),
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        address = f"redis://{LOOPBACK}:{port}/0"
        try:
            wait_until(lambda: _listens(port), "Redis listens", 30)
            yield address
        finally:
            process.terminate()
            process.wait(30)


def _listens(port: int) -> bool:
    with socket.create_connection((LOOPBACK, port), 1):
        return True


@pytest.fixture
def database(url: str) -> Any:
    """An empty database, as the web API sees it."""
    client: Any = redis.Redis
    found = client.from_url(url, decode_responses=True, protocol=2)
    found.flushall()
    return found


@pytest.fixture
def link(url: str, database: Any) -> Iterator[RedisLink]:
    """A gateway, at the empty database."""
    assert database.dbsize() == 0
    link = RedisLink(url, NODE)
    yield link
    link.disconnect()


def logout(database: Any, session: str) -> str:
    """Write the command; return the entry's number."""
    return str(
        database.xadd(keys.COMMANDS, {"json": json.dumps({"type": "logout", "sid": session, "at": 1})})
    )
