"""Who the users of a home network of our own are: people with accounts, and whoever has registered.

Accounts are read by the housekeeping process over and over, some at a time; a guest, or a user of an operator's own
identity provider, is known from the first registration on, for a day after the last.  Whoever is registered is known,
whatever Redis says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Set
from typing import Final

from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.log import log_event
from kemi.core.home.identities import keys_of, wanted
from kemi.core.pace import is_early
from kemi.core.routing.numbers import DialPlan
from kemi.settings import Settings
from kemi.state.flows import FlowStore
from kemi.state.redis_errors import RedisUnavailable
from kemi.state.redis_link import RedisLink
from kemi.state.table import Table

EVERY_S: Final = 2.0
"""How often all accounts are read."""
AGAIN_S: Final = 10.0


class People:
    """Identities and whose they are, as every worker sees them."""

    def __init__(self, table: Table, realm: str) -> None:
        self._table = table
        self._realm = realm

    def learn(self, impi: str, identities: Iterable[str]) -> list[str]:
        """Remember a user; return what the user is found under now."""
        found = keys_of(identities, self._realm)
        for key in found:
            self._table.set(key, impi)
        return found

    def find(self, uri: str, plan: DialPlan) -> tuple[str, str] | None:
        """Return which identity a URI names, and whose it is; None: nobody's.  Raise SipReject for what names none."""
        for key in wanted(uri, self._realm, plan):
            impi = self._table.get(key)
            if impi is not None:
                return key, impi
        return None

    def forget(self, keys: Iterable[str], registered: Set[str]) -> set[str]:
        """Forget what nobody is found under any more; return what stays, because its user is registered.

        Args:
            keys: what no account has any more.
            registered: private identities.
        """
        stays = {key for key in keys if self._table.get(key) in registered}
        for key in set(keys) - stays:
            self._table.remove(key)
        return stays


class PeopleKeeper:
    """Brings the accounts from Redis; runs in the housekeeping process, over a connection of its own."""

    def __init__(self, link: RedisLink, people: People, registered: Callable[[], Set[str]]) -> None:
        """``registered``: private identities of those who are registered here."""
        self._link = link
        self._people = people
        self._registered = registered
        self._cursor = 0
        self._known: set[str] = set()
        self._seen: dict[str, str] = {}
        self._told: set[str] = set()
        self._next_at = 0.0

    def tick(self, now: float) -> None:
        """Read some more accounts."""
        if is_early(now, self._next_at, max(AGAIN_S, EVERY_S)):
            return
        try:
            self._cursor, accounts = self._link.account_identities(self._cursor)
        except RedisUnavailable as error:
            self._next_at = now + AGAIN_S
            self._cursor, self._seen = 0, {}
            log_event(logging.ERROR, "accounts_not_read", detail=str(error)[:200])
            return
        if self._link.take_change().connected:  # each server has an order of its own
            self._cursor, self._seen = 0, {}
            return
        for impi, identities in accounts:
            self._check(impi, self._people.learn(impi, identities))
        if self._cursor == 0:
            # Redis may have come back empty, or with an older state: who is registered can be called all the same.
            left = self._known - self._seen.keys()
            stay = self._people.forget(left, self._registered()) if left else set()
            self._known, self._seen = self._seen.keys() | stay, {}
            self._next_at = now + EVERY_S

    def _check(self, impi: str, keys: Iterable[str]) -> None:
        """Tell once of an identity that two users have: no home network but ours would say which of them is meant."""
        for key in keys:
            first = self._seen.setdefault(key, impi)
            if first != impi and key not in self._told:
                self._told.add(key)
                log_event(logging.WARNING, "identity_of_two", identity=key, impi=impi, other=first)


def people_of(settings: Settings) -> People:
    """Return this node's table."""
    return People(HtableTable("person"), settings.realm)


def people_keeper(settings: Settings, flows: FlowStore) -> PeopleKeeper | None:
    """Return this node's; None where the users are an IMS core's."""
    if settings.home is None:
        return None
    link = RedisLink(settings.redis_url, settings.node_name)
    return PeopleKeeper(link, people_of(settings), lambda: {one.impi for _, one in flows.bindings()})
