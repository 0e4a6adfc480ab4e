"""Calls of a gateway that has died go on at the one their page came to.

Housekeeping looks every few seconds which gateways of the site still write; the answered calls that a silent one left
in Redis are remembered here by their owners.  A call is claimed, by one gateway only, when its page registers here
with the Contact it had: a page that is still where it was is never robbed of its call, even if its gateway has lost
Redis and not its life.  What is claimed is handed over as by its own gateway (kemi/adapters/shared_state.py).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from kemi.adapters.calls.snapshots import KeptCall
from kemi.adapters.log import log_event
from kemi.core.identity import one_spelling
from kemi.core.pace import is_early
from kemi.core.registration import Registration, same_contact
from kemi.state.redis_errors import RedisUnavailable
from kemi.state.redis_link import RedisLink
from kemi.state.trunks import LONGEST_S

LOOK_S: Final = 2.0
SILENT_S: Final = 5.0
"""Gateways write every two seconds."""
GONE_S: Final = 2 * LONGEST_S
"""After this long nothing of a silent gateway means anything any more: no registration and no call lasts a day."""
SURE_S: Final = 600.0
"""So long it has been silent here: a clock that leaps makes all others look so for a moment."""


class _Whose(msgspec.Struct):
    owner: str
    wic_contact: str
    registered_contact: str = ""


class Adoption:
    """The calls of silent gateways, as this one knows them."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._next_look = 0.0
        self._silent: dict[str, float] = {}
        """Gateway -> since when it is known to be."""
        self._offers = False
        """There are calls that no page has been asked about."""
        self._orphans: dict[str, list[tuple[str, str, str]]] = {}
        """Owner -> (gateway, name of the call, Contact its page registered)."""
        self._claimed: set[str] = set()
        """Calls that are on their way here, or that somebody else was faster to claim."""

    def look(self, now: float) -> bool:
        """Look which gateways are silent, every now and then; True when there are calls of one that was not before.

        Raises RedisUnavailable.
        """
        if is_early(now, self._next_look, LOOK_S):
            return False
        self._next_look = now + LOOK_S
        ages = self._link.gateways(now)
        silent = {node for node, age_s in ages.items() if age_s > SILENT_S and node != self._link.node}
        for node in self._silent.keys() - silent:
            if node in ages:  # and was not forgotten by another gateway
                log_event(logging.WARNING, "gateway_back", node=node)
            self._leave(node)
        new = silent - self._silent.keys()
        self._offers = self._offers or bool(new)
        for node in new:
            log_event(logging.WARNING, "gateway_silent", node=node, calls=self._remember(node))
            self._silent[node] = now  # its calls are known: else it is new next time, too
        for node, since in list(self._silent.items()):
            if GONE_S < ages[node] < math.inf and now - since > SURE_S:
                self._link.forget_gateway(node)
                log_event(logging.WARNING, "gateway_forgotten", node=node)
                self._leave(node)
        offers, self._offers = self._offers, False
        return offers

    def look_again(self) -> None:
        """There are calls left that could not be claimed: the next look says so."""
        self._offers = True

    def claim(self, binding: Registration) -> Iterator[tuple[str, str]]:
        """Claim the calls of this page, one after the other; give their names and JSON.  Raises RedisUnavailable."""
        found = self._orphans.get(binding.owner)
        if not found or not binding.connection_id:
            return
        for orphan in list(found):
            node, key, contact = orphan
            if not same_contact(binding.contact, contact):
                continue
            self._claimed.add(key)
            text = self._link.claim_call(node, key)
            found.remove(orphan)
            if text is not None:
                yield key, text

    def arrived(self, key: str) -> bool:
        """A call was taken over; return whether it was claimed here, and not given by its own gateway."""
        claimed = key in self._claimed
        self._claimed.discard(key)
        return claimed

    def _remember(self, node: str) -> int:
        texts = self._link.calls_of(node)
        for key, text in texts.items():
            try:
                whose = msgspec.json.decode(msgspec.json.decode(text, type=KeptCall).record, type=_Whose)
            except msgspec.MsgspecError:
                continue  # of another release: its own gateway will see to it
            contact = whose.registered_contact or whose.wic_contact
            self._orphans.setdefault(one_spelling(whose.owner), []).append((node, key, contact))
        return len(texts)

    def _leave(self, node: str) -> None:
        del self._silent[node]
        for owner in list(self._orphans):
            self._orphans[owner] = [orphan for orphan in self._orphans[owner] if orphan[0] != node]
            if not self._orphans[owner]:
                del self._orphans[owner]


def claimed(adoption: Adoption, bindings: Iterable[Registration], now: float) -> dict[str, str]:
    """Return the calls that were claimed for these pages, name -> JSON; no more while Redis is away."""
    found: dict[str, str] = {}
    try:
        for binding in bindings:
            found.update(adoption.claim(binding))
    except RedisUnavailable as error:
        log_event(logging.WARNING, "adoption_failed", detail=str(error), at=now)
        adoption.look_again()
    return found
