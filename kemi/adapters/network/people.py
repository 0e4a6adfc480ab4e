"""Who the users of a home network of our own are: people with accounts, and whoever has registered.

Accounts are read by the housekeeping process over and over, some at a time; a guest, or a user of an operator's own
identity provider, is known from the first registration on, for a day after the last.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.log import log_event
from kemi.core.home.identities import keys_of, wanted
from kemi.core.pace import is_early
from kemi.core.routing.numbers import DialPlan
from kemi.settings import Settings
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

    def forget(self, keys: Iterable[str]) -> None:
        """Forget what nobody is found under any more."""
        for key in keys:
            self._table.remove(key)


class PeopleKeeper:
    """Brings the accounts from Redis; runs in the housekeeping process, over a connection of its own."""

    def __init__(self, link: RedisLink, people: People) -> None:
        self._link = link
        self._people = people
        self._cursor = 0
        self._known: set[str] = set()
        self._seen: set[str] = set()
        self._next_at = 0.0

    def tick(self, now: float) -> None:
        """Read some more accounts."""
        if is_early(now, self._next_at, max(AGAIN_S, EVERY_S)):
            return
        try:
            self._cursor, accounts = self._link.account_identities(self._cursor)
        except RedisUnavailable as error:
            self._next_at = now + AGAIN_S
            self._cursor, self._seen = 0, set()
            log_event(logging.ERROR, "accounts_not_read", detail=str(error)[:200])
            return
        for impi, identities in accounts:
            self._seen.update(self._people.learn(impi, identities))
        if self._cursor == 0:
            self._people.forget(self._known - self._seen)
            self._known, self._seen = self._seen, set()
            self._next_at = now + EVERY_S


def people_of(settings: Settings) -> People:
    """Return this node's table."""
    return People(HtableTable("person"), settings.realm)


def people_keeper(settings: Settings) -> PeopleKeeper | None:
    """Return this node's; None where the users are an IMS core's."""
    if settings.home is None:
        return None
    return PeopleKeeper(RedisLink(settings.redis_url, settings.node_name), people_of(settings))
