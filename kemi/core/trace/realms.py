"""Of which realms a call is, for what is switched on for some of them only."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from kemi.core.trace.reading import Facts, parties_of

MOST: Final = 50_000
"""Calls that are remembered."""
_HOST: Final = re.compile(r"(?i)^sips?:(?:[^@;?]*@)?(\[[0-9a-f:.]+\]|[^:;?>]+)")


def trunk_realm(trunk: str) -> str:
    """Return the realm of a trunk's calls, as the routing table has it."""
    return f"trunk:{trunk}"


def realm_of(uri: str) -> str:
    """Return the domain of an identity, "" of one that has none."""
    found = _HOST.match(uri)
    return found[1].lower() if found else ""


class Realms:
    """Which messages are of a realm in question.

    A call is of the realms of both its users and, where a trunk has begun it, of the trunk; so is whatever has its
    Call-ID, whatever From and To have become on the other leg.
    """

    def __init__(self, realms: Iterable[str]) -> None:
        """``realms``: those in question; none: all."""
        self._realms = frozenset(realm.lower() for realm in realms)
        self._calls: OrderedDict[str, bool] = OrderedDict()

    def learn(self, call_id: str, impu: str, peer: str, trunk: str) -> None:
        """Take what the gateway knows of a call."""
        names = {realm_of(impu), realm_of(peer), *([trunk_realm(trunk)] if trunk else [])}
        is_of_one = bool(names & self._realms)
        if is_of_one or "" not in names:  # a number has no domain: From and To say more
            self._keep(call_id, is_of_one or self._calls.get(call_id, False))

    def have(self, facts: Facts) -> bool:
        """Whether a message is of one of the realms."""
        if not self._realms:
            return True
        known = self._calls.get(facts.call_id)
        if known is None:
            known = not self._realms.isdisjoint(map(realm_of, parties_of(facts.message)))
        self._keep(facts.call_id, known)  # also what is known: a long call is not forgotten for others
        return known

    def _keep(self, call_id: str, value: bool) -> None:
        self._calls[call_id] = value
        self._calls.move_to_end(call_id)
        if len(self._calls) > MOST:
            self._calls.popitem(last=False)
