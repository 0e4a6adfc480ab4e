"""What happens without a request, in the real HTTP server with two processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from kemi.state import keys
from tests.contract.web.client import ORIGIN
from tests.contract.web.server import Server, gunicorn
from tests.lab.waiting import wait_until
from webapp_api.settings import Settings


@pytest.fixture
def server(settings: Settings, tmp_path: Path, store: redis.Redis) -> Iterator[Server]:
    """A gunicorn with two workers, on an empty Redis."""
    with gunicorn(settings, tmp_path) as running:
        yield running


@pytest.mark.conformance("X-12")
def test_the_keys_are_there_before_anybody_asks_and_one_process_leads(
    server: Server, store: redis.Redis
) -> None:
    wait_until(lambda: store.get(keys.jwks(ORIGIN)) is not None, "keys published", 5)
    assert len(json.loads(str(store.get(keys.jwks(ORIGIN))))["keys"]) == 1
    leader = store.get(keys.web_lock("housekeeper"))
    assert leader

    last = store.xadd(keys.EVENTS, {"json": json.dumps({"type": "registered", "at": 1.0})})
    wait_until(lambda: store.get(keys.WEB_EVENTS_READ) == last, "events heard", 5)
    assert store.get(keys.web_lock("housekeeper")) == leader
