"""The real HTTP server with the application, on a port of its own."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.waiting import wait_until
from webapp_api.settings import Settings

STOP_S = 20
"""The server gives requests ten seconds to end."""
REPOSITORY = Path(__file__).parents[3]


def plain_settings(redis_url: str) -> Settings:
    """What a server needs, and nothing beside it."""
    return Settings(
        public_origin="https://gateway.example.com",
        domain="ims.example.com",
        redis_url=redis_url,
        key_secret="0123456789abcdef" * 2,
    )


@dataclass(frozen=True)
class Server:
    """A gunicorn that runs."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str) -> int:
        """Ask for something; return the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def _healthy(self) -> bool:
        try:
            return self.get("/healthz") == 200
        except OSError:
            return False

    def wait_healthy(self) -> None:
        """Wait until it answers."""
        wait_until(self._healthy, "server ready", 20)


@contextmanager
def gunicorn(
    settings: Settings, folder: Path, *, quick: bool = False, config: str = "", **changes: Any
) -> Iterator[Server]:
    """Serve with these settings; no request may have failed, and it has to end by itself.

    ``quick``: sessions of listeners are looked at every second.  ``config``: another module than the service's own.
    """
    server = started(settings, folder, quick=quick, config=config, **changes)
    try:
        server.wait_healthy()
        yield server
    finally:
        server.process.terminate()
        assert server.process.wait(STOP_S) == 0
        assert "Traceback" not in server.log.read_text(), server.log.read_text()


def _in_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_in_toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_in_toml, value)) + "]"
    return json.dumps(value)


def started(
    settings: Settings, folder: Path, *, quick: bool = False, config: str = "", **changes: Any
) -> Server:
    """Start the server; who asks for it ends it."""
    config = config or ("tests.contract.web.quick_config" if quick else "webapp_api.gunicorn_config")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    values = {
        **{name: getattr(settings, name) for name in ("public_origin", "domain", "redis_url", "key_secret")},
        **{"listen_port": port, "workers": 2, **changes},
    }
    file = folder / "webapp.toml"
    file.write_text("".join(f"{name} = {_in_toml(value)}\n" for name, value in values.items()))
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn"),
                *("--config", f"python:{config}", "webapp_api.wsgi:app"),
            ],
            cwd=REPOSITORY,
            env={**os.environ, "WEBAPP_SETTINGS": str(file)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Server(port, process, log)
