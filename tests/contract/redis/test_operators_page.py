"""What docs/operators.md tells somebody to type on a machine with Redis and without gwctl."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from kemi.state.commands import EndCalls
from kemi.state.redis_link import RedisLink
from tests.lab.roles import REPOSITORY

PASSWORD: Final = "0123456789abcdef"
CONFIGURATION: Final = "/etc/webrtc-ims-gateway/redis.conf"


@pytest.fixture
def locked(database: Any) -> Iterator[Any]:
    """A Redis that wants a password, as any that listens on more than loopback."""
    database.config_set("requirepass", PASSWORD)
    try:
        yield database
    finally:
        database.config_set("requirepass", "")


def test_calls_are_ended_without_gwctl(locked: Any, url: str, tmp_path: Path) -> None:
    place = urlsplit(url)
    link = RedisLink(f"redis://:{PASSWORD}@{place.netloc}/0", "node-1")
    link.exchange((), time.time() - 1)
    configuration = tmp_path / "redis.conf"
    configuration.write_text(f"protected-mode yes\nrequirepass {PASSWORD}\nmasterauth {PASSWORD}\n")
    page = (REPOSITORY / "docs/operators.md").read_text()
    password, _sentinels, order = page[page.index("      export REDISCLI_AUTH=") :].splitlines()[:3]
    order = order.replace("-h MASTER -p 6379", f"-h {place.hostname} -p {place.port}")
    script = f"{password.replace(CONFIGURATION, str(configuration))}\n{order.replace('sip:...', 'sip:a@b')}\n"
    assert str(configuration) in script
    done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert link.exchange((), time.time()).commands == [EndCalls(impu="sip:a@b")]
