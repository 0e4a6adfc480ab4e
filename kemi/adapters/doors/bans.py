"""Bans of client addresses: what pages did wrong is counted here, and who is banned is told to all.

``BANS`` counts in every process.  ``BanKeeper`` works in the housekeeping process: it ends connections, and keeps this
node's list and that in Redis the same.  A banned address is refused at its WebSocket handshake, with a header field
that lets the TLS front refuse it from then on (ansible/roles/haproxy); registered pages behind the same address stay.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kemi.adapters.kamailio import ksr
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.log import log_event
from kemi.adapters.monitoring.measuring import METRICS
from kemi.adapters.notices import Notices
from kemi.adapters.shared_state import SharedState
from kemi.core.bans import (
    MOST_BANS,
    Ban,
    BanSettings,
    Offence,
    Trusted,
    has_just_logged_in,
    logged_in,
    offence_of,
    offend,
)
from kemi.core.errors import GatewayError
from kemi.core.limits import address_key
from kemi.core.messages import Side
from kemi.core.metrics import catalogue as series
from kemi.core.pace import is_early
from kemi.settings import Settings
from kemi.state.bans import BanStore, SharedBan
from kemi.state.flows import FlowStore
from kemi.state.table import Table

SYNC_S: Final = 2.0
"""How often all bans are looked at, and those in Redis; new ones are looked at, and shipped, at once."""
BANNED: Final = (1008, "not now")
"""Close code and reason (RFC 6455 §7.4.1: policy)."""


class Bans:
    """What all processes do about bans; it keeps nothing but settings itself."""

    def __init__(self, table: Callable[[str], Table]) -> None:
        self.store = BanStore(table)
        self._flows = FlowStore(table)
        self._notices = Notices(table("notice"), "")
        self._settings = BanSettings(points=0)
        self._trusted = Trusted(())
        self._node = ""

    def configure(self, settings: Settings) -> None:
        """Take over the site's settings, before the fork."""
        self._settings = settings.bans
        self._trusted = Trusted(settings.bans.trusted)
        self._node = settings.node_name
        self._notices = Notices(HtableTable("notice"), settings.node_name)

    def ban_of(self, client_address: str) -> Ban | None:
        """Return the ban of an address."""
        return self.store.ban(address_key(client_address), time.time())

    # ------------------------------------------------------------ offences

    def refused(self, error: GatewayError) -> None:
        """The current message was refused with this error: count what that says of its page."""
        if ksr.side() is not Side.WIC:
            return
        connection_id = ksr.connection_id()
        flow = self._flows.opened(connection_id)
        offence = offence_of(error, ksr.method(), registered=flow is not None and bool(flow.binding))
        if flow is not None and offence is not None:
            self.offended(flow.client_address, offence, connection_id)

    def unreadable(self) -> None:
        """The current message cannot even be read, and its connection ends."""
        flow = self._flows.opened(ksr.connection_id())
        if flow is not None:
            self.offended(flow.client_address, Offence.MALFORMED, flow.connection_id)

    def logged_in(self, client_address: str) -> None:
        """The core took somebody's password or token."""
        if not self._counts(client_address):
            return
        now, address = time.time(), address_key(client_address)
        if not has_just_logged_in(self.store.offender(address), now):
            self.store.change(address, lambda offender: logged_in(offender, now))

    def offended(self, client_address: str, offence: Offence, connection_id: str) -> None:
        """Count an offence, and ban the address when it is one too many."""
        if not self._counts(client_address):
            return
        now, address = time.time(), address_key(client_address)
        if self.store.ban(address, now) is not None:
            return
        if not self.store.change(address, lambda offender: offend(offender, offence, self._settings, now)):
            return
        if self.store.number() >= MOST_BANS:
            log_event(logging.ERROR, "too_many_bans", address=address)
            return
        until = now + self._settings.ban_s
        self.store.put(address, Ban(until, offence.value, self._node, now, connection_id))
        log_event(
            logging.WARNING, "address_banned", address=address, why=offence.value, for_s=self._settings.ban_s
        )
        METRICS.count(series.BANS, offence.value)
        self._notices.tell("address_banned", now, address=address, why=offence.value, until=f"{until:.0f}")

    def _counts(self, client_address: str) -> bool:
        return self._settings.points > 0 and bool(client_address) and not self._trusted.holds(client_address)


BANS: Final = Bans(HtableTable)
"""Of this node."""


class BanKeeper:
    """The housekeeping process's side."""

    def __init__(
        self, settings: Settings, flows: FlowStore, close: Callable[[str, tuple[int, str]], None]
    ) -> None:
        """``close`` ends a connection of a page."""
        self._flows = flows
        self._close = close
        self._trusted = Trusted(settings.bans.trusted)
        self._names = [str(network) for network in self._trusted.networks]
        self._done: dict[str, float] = {}
        """Addresses whose offending connection was ended, and the ban it was ended for."""
        self._remove: set[str] = set()
        self._returns = 0
        """Of Redis, as of the last exchange."""
        self._next_sync = 0.0
        self._takes = True
        """Whether Redis took what was written to it last."""

    def tick(self, now: float, shared: SharedState) -> None:
        """End connections of banned addresses; learn what others have banned and lifted."""
        is_due = not is_early(now, self._next_sync, SYNC_S)
        if not BANS.store.take_changed() and not is_due:
            return
        bans = BANS.store.all()
        for address in [address for address, ban in bans.items() if ban.until <= now]:
            BANS.store.lift(address)
            del bans[address]
        if bans:
            self._end_connections(bans)
        self._done = {address: at for address, at in self._done.items() if address in bans}
        BANS.store.counted(len(bans))
        if is_due or (self._takes and not all(ban.shipped for ban in bans.values())):
            self._next_sync = now + SYNC_S
            METRICS.set(series.BANNED, len(bans))
            self._sync(bans, now, shared)

    def _end_connections(self, bans: dict[str, Ban]) -> None:
        """End those that have not logged in, and the one that offended; others may be somebody else's."""
        for connection_id, _ in list(self._flows.unregistered()):
            flow = self._flows.opened(connection_id)
            if flow is not None and address_key(flow.client_address) in bans:
                self._close(connection_id, BANNED)
        for address, ban in bans.items():
            if ban.connection and self._done.get(address) != ban.at:
                self._done[address] = ban.at
                if self._flows.is_open(ban.connection):
                    self._close(ban.connection, BANNED)

    def _sync(self, bans: dict[str, Ban], now: float, shared: SharedState) -> None:
        new = {
            address: SharedBan(ban.until, ban.why, ban.by, ban.at)
            for address, ban in bans.items()
            if not ban.shipped
        }
        exchanged = shared.exchange_bans(now, new, self._remove - new.keys(), self._names)
        if exchanged is None:
            return
        heard, self._takes = exchanged
        is_back, self._returns = shared.returns != self._returns, shared.returns
        self._remove.clear()
        for address in new if self._takes else ():
            if (ban := BANS.store.ban(address, now)) is not None:
                BANS.store.put(address, replace(ban, shipped=True))
        for address, ban in bans.items():
            if not ban.shipped or address in heard:
                continue
            if is_back:  # with an older state, or empty: nobody has lifted it
                BANS.store.put(address, replace(ban, shipped=False))
            else:
                log_event(logging.WARNING, "ban_lifted", address=address)
                BANS.store.lift(address)
        for address, told in heard.items():
            if told.until <= now or self._trusted.holds(address):
                self._remove.add(address)
            elif (known := bans.get(address)) is None or known.until != told.until:
                if known is None:
                    log_event(logging.WARNING, "ban_learned", address=address, why=told.why, by=told.by)
                BANS.store.put(address, Ban(told.until, told.why, told.by, told.at, shipped=True))
