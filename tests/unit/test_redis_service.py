"""How systemd runs Redis."""

import pytest

from tests.lab.roles import render_role


@pytest.mark.parametrize("sentinel_port", [0, 26379])
def test_redis_may_take_its_time_to_load_what_it_kept(sentinel_port: int) -> None:
    """It says that it is ready when it has; systemd kills who says so too late."""
    text = render_role("redis", "redis-service.conf.j2", {"redis_sentinel_port": sentinel_port})
    assert "TimeoutStartSec=infinity" in text.splitlines()
