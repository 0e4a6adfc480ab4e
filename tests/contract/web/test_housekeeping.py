"""What happens without a request, in the real HTTP server with two processes."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from kemi.state import keys
from tests.contract.web.client import ORIGIN
from tests.lab.waiting import wait_until
from webapp_api.settings import Settings

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def server(settings: Settings, tmp_path: Path, store: redis.Redis) -> Iterator[int]:
    """The port of a gunicorn with two workers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = tmp_path / "webapp.toml"
    file.write_text(
        f"public_origin = {json.dumps(settings.public_origin)}\ndomain = {json.dumps(settings.domain)}\n"
        f"redis_url = {json.dumps(settings.redis_url)}\nkey_secret = {json.dumps(settings.key_secret)}\n"
        f"listen_port = {port}\nworkers = 2\n"
    )
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn"),
                *("--config", "python:webapp_api.gunicorn_config", "webapp_api.wsgi:app"),
            ],
            cwd=REPOSITORY,
            env={**os.environ, "WEBAPP_SETTINGS": str(file)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield port
    finally:
        process.terminate()
        assert process.wait(10) == 0
        assert "Traceback" not in (tmp_path / "server.log").read_text()


def healthy(port: int) -> bool:
    """Whether the server answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    connection.request("GET", "/healthz")
    return connection.getresponse().status == 200


@pytest.mark.conformance("X-12")
def test_the_keys_are_there_before_anybody_asks_and_one_process_leads(
    server: int, store: redis.Redis
) -> None:
    wait_until(lambda: healthy(server), "server ready", 10)
    wait_until(lambda: store.get(keys.jwks(ORIGIN)) is not None, "keys published", 5)
    assert len(json.loads(str(store.get(keys.jwks(ORIGIN))))["keys"]) == 1
    leader = store.get(keys.web_lock("housekeeper"))
    assert leader

    last = store.xadd(keys.EVENTS, {"json": json.dumps({"type": "registered", "at": 1.0})})
    wait_until(lambda: store.get(keys.WEB_EVENTS_READ) == last, "events heard", 5)
    assert store.get(keys.web_lock("housekeeper")) == leader
