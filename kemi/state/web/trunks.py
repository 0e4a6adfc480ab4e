"""Trunks as the gateways see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kemi.state import keys
from kemi.state.stamps import read_stamped, seconds
from kemi.state.trunks import GatewayTrunks, seen_trunks

if TYPE_CHECKING:
    from redis import Redis


class TrunksView:
    """The trunks of all gateways."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def seen(self, now: float) -> dict[str, GatewayTrunks]:
        """Return what each running gateway sees, by its name."""
        pipeline = self._redis.pipeline(transaction=False)
        read_stamped(pipeline, keys.TRUNKS)
        texts, time = pipeline.execute()
        return seen_trunks(texts, seconds(time), now)
