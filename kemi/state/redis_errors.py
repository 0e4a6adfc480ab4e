"""What can go wrong with Redis, as all who ask it see it."""

from __future__ import annotations

import redis


class RedisUnavailable(Exception):
    """Redis did not answer in time, or refused."""


class RedisRefused(RedisUnavailable):
    """Redis answered, and did not do it: it is full, cannot save, or is a replica.  What is only read may work."""


def redis_failure(error: redis.RedisError) -> RedisUnavailable:
    """Return the error to raise in its place."""
    return (RedisRefused if isinstance(error, redis.ResponseError) else RedisUnavailable)(str(error))
