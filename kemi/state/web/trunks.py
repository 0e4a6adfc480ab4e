"""Trunks as the gateways see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kemi.state import keys
from kemi.state.trunks import GatewayTrunks, seen_trunks

if TYPE_CHECKING:
    from redis import Redis


class TrunksView:
    """The trunks of all gateways."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def seen(self, now: float) -> dict[str, GatewayTrunks]:
        """Return what each running gateway sees, by its name."""
        return seen_trunks(cast("dict[str, str]", self._redis.hgetall(keys.TRUNKS)), now)
