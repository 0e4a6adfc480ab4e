"""The connection to Redis, with deadlines: a request of the web API never waits long for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from kemi.state.connection import redis_client

DEADLINE_S: Final = 2.0
"""For connecting, and for each reply."""

StateUnavailable = redis.RedisError
"""Redis is away, late, full or refuses us; no part of a request may be taken for done."""

StateRefused = redis.ResponseError
"""Redis answers and does not do it: it is full, cannot save, or is a replica.  What is only read may work."""


class _UnlessLate(Retry):
    """A connection that an idle timeout closed is opened again, once; who was late is not asked again, by the client to
    the same server, although Sentinels may know another by then."""

    def call_with_retry(
        self, do: Callable[[], Any], fail: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        def failed(error: Exception, *count: int) -> None:
            fail(error, *count)  # it closes the connection
            if isinstance(error, redis.TimeoutError):
                raise error

        return super().call_with_retry(do, failed, *args, **options)


def connect(url: str) -> redis.Redis:
    """Return a client; it connects at its first command.  Threads may share it."""
    return redis_client(url, DEADLINE_S, _UnlessLate(ConstantBackoff(0), 1))


def digest(text: str) -> str:
    """Return SHA-256 of a text in hexadecimal; for secrets of 128 bits and more, and for names in keys."""
    return hashlib.sha256(text.encode()).hexdigest()
