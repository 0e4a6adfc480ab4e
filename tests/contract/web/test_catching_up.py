"""Many who come back to the events at once, and hear what they have missed, while others are served."""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import redis

from kemi.state import keys
from kemi.state.web.client import connect
from tests.contract.web.client import NAME, PASSWORD
from tests.contract.web.server import gunicorn
from tests.contract.web.test_events import Ears
from webapp_api.services import Services
from webapp_api.settings import Settings

MANY = 130
"""More than the connections that redis-py allows by itself."""


def test_each_thread_may_have_a_connection_to_redis(settings: Settings, store: redis.Redis) -> None:
    client = connect(settings.redis_url)
    connections = [client.connection_pool.get_connection() for _ in range(MANY)]
    for one in connections:
        client.connection_pool.release(one)
    client.close()


def test_others_are_served_while_very_many_catch_up(
    settings: Settings, store: redis.Redis, services: Services, tmp_path: Path
) -> None:
    event = {"type": "call_ended", "impu": "sip:bob@ims.example.com", "call_id": "b", "at": 1.0}
    with store.pipeline(transaction=False) as pipe:
        for number in range(keys.STREAM_LENGTH):
            pipe.xadd(keys.EVENTS, {"json": json.dumps({**event, "duration_s": number})})
        pipe.execute()
    with gunicorn(
        settings, tmp_path, workers=1, event_listeners_per_user=MANY, event_listeners_per_address=MANY
    ) as server:
        secret, _ = services.logins.with_password(NAME, PASSWORD, "198.51.100.7")
        ears = Ears(server, opening_s=30)

        def ask() -> float:
            began = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            connection.request("GET", "/api/session", headers={"Cookie": f"__Host-session={secret}"})
            assert connection.getresponse().status == 200
            connection.close()
            return time.monotonic() - began

        with ThreadPoolExecutor(16) as threads:
            opened = threads.map(lambda _: ears.open(secret, after="0-0"), range(MANY))
            slowest = max(ask() for _ in range(20))
            assert {one.next()["type"] for one in opened} == {"position"}
            slowest = max(slowest, *(ask() for _ in range(20)))
        assert slowest < 5, "eight and more where all of them read at once"
        for one in ears.sockets:
            assert one.protocol.close_code is None
            one.close()
