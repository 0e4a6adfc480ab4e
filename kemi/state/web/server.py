"""How the Redis server itself is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from redis import Redis


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says of itself."""

    version: str
    time: float
    """Its clock, seconds since the epoch."""
    uptime_s: int
    role: str
    """master or slave."""
    loading: bool
    used_bytes: int
    most_bytes: int
    """maxmemory; 0: no limit."""
    policy: str
    """maxmemory-policy."""
    append_only: bool
    saves: bool
    """Whether it writes snapshots by itself; true where it does not let us know."""
    write_failed: bool
    """Whether its last snapshot, or its append-only file, could not be written."""
    clients: int


class Server:
    """Read only."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def facts(self) -> ServerFacts:
        """Ask; raises StateUnavailable (client.py)."""
        info: Any = self._redis.info()
        seconds, microseconds = self._redis.time()
        return ServerFacts(
            version=str(info.get("redis_version", "")),
            time=seconds + microseconds / 1e6,
            uptime_s=int(info.get("uptime_in_seconds", 0)),
            role=str(info.get("role", "")),
            loading=bool(info.get("loading", 0)),
            used_bytes=int(info.get("used_memory", 0)),
            most_bytes=int(info.get("maxmemory", 0)),
            policy=str(info.get("maxmemory_policy", "")),
            append_only=bool(info.get("aof_enabled", 0)),
            saves=self._saves(),
            write_failed="err" in (info.get("rdb_last_bgsave_status"), info.get("aof_last_write_status")),
            clients=int(info.get("connected_clients", 0)),
        )

    def _saves(self) -> bool:
        try:
            found: Any = self._redis.config_get("save")
        except ResponseError:  # the command has another name, or is not for us
            return True
        return bool(found.get("save", "?"))
