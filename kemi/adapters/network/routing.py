"""The routing table of this gateway: fetched and built beside the calls, then read by every worker.

The housekeeping process takes a new table from Redis in small bites, builds a file of it and says which file counts; a
worker opens it with its next call.  A table that this site cannot use is refused, and the old one goes on.  The file
outlives a restart, and Redis may be away.
"""

from __future__ import annotations

import logging
import sqlite3
import time
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from kemi.adapters.log import log_event
from kemi.core.pace import is_early
from kemi.core.routing.lookup import Query
from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.offers import OneOffer
from kemi.core.routing.permissions import NOTHING_SAID, Permission, permission_of
from kemi.core.routing.table import Route, TableError
from kemi.core.routing.way import Way, check_message, emergency_way, way_of
from kemi.settings import Settings
from kemi.state.redis_errors import RedisUnavailable
from kemi.state.redis_link import RedisLink
from kemi.state.route_index import FORMAT, RouteFile, build_in_steps
from kemi.state.routing_document import RoutingDocument
from kemi.state.table import Table

BITE_S: Final = 0.25
"""How long one tick may work at a table, while nothing else is done in this process: no timer is that exact."""
AGAIN_S: Final = 10.0
"""When a table that could not be fetched is tried again."""
_LOOK_S: Final = 1.0
_CURRENT: Final = "current"
_BEFORE: Final = "before"
_REFUSED: Final = "refused"


class RouteKeeper:
    """Keeps the file up to date; runs in the housekeeping process."""

    def __init__(
        self,
        link: RedisLink,
        folder: Path,
        table: Table,
        *,
        trunks: Mapping[str, str],
        profiles: frozenset[str] = frozenset(),
    ) -> None:
        """``trunks``: those this site has, and the media profile of each; ``profiles``: those it has."""
        self._link = link
        self._folder = folder
        self._table = table
        self._trunks, self._profiles = trunks, profiles
        self._work: Iterator[None] | None = None
        self._wanted = 0
        self._done = 0
        self._not_before = 0.0
        self._begun = False

    def _begin(self) -> None:
        """Let the table of before a restart count, until another one is known, or it is built again: one of another
        release may have its rows under other spellings."""
        self._begun = True
        if newest := newest_version(self._folder):
            self._done = newest
            built = _format_of(self._path(newest))
            self._wanted = newest if built == FORMAT else 0
            self._publish(newest, built)

    def tick(self, version: int, now: float) -> None:
        """Work for a moment at the table that counts in Redis; 0: there is none, which changes nothing."""
        if not self._begun:
            self._begin()
        if version and version != self._wanted and not is_early(now, self._not_before, AGAIN_S):
            self._wanted = version
            self._work = self._take(version)
        if self._work is None:
            return
        until = time.monotonic() + BITE_S
        try:
            while time.monotonic() < until:
                next(self._work)
        except StopIteration:
            self._work = None
        except (TableError, msgspec.MsgspecError) as error:
            self._work = None
            self._table.set(_REFUSED, f"{version} {error}"[:500])
            log_event(logging.ERROR, "routing_table_refused", version=version, detail=str(error)[:500])
        except (RedisUnavailable, OSError, sqlite3.Error) as error:
            self._work, self._wanted, self._not_before = None, 0, now + AGAIN_S
            log_event(logging.ERROR, "routing_table_not_taken", version=version, detail=str(error)[:200])

    def _take(self, version: int) -> Iterator[None]:
        text = self._link.routing_rest(version)
        if text is None:
            return  # replaced meanwhile: the next version is on its way
        document = msgspec.json.decode(text, type=RoutingDocument)
        trunks = {name for group in document.trunk_groups.values() for name in group}
        for what, missing in (
            ("trunk", trunks - self._trunks.keys()),
            ("media profile", set(document.profiles) - self._profiles),
        ):
            if missing:
                raise TableError([f"this site has no {what} {', '.join(sorted(missing))}"])
        offers = OneOffer(document.trunk_groups, self._trunks)
        yield
        yield from build_in_steps(self._path(version), offers.checked(self._rows(version)), text)
        if self._link.routing_rest(version) is None:
            return  # replaced so long ago that its rows may have ended before the last one was read
        self._publish(version)
        log_event(logging.INFO, "routing_table_taken", version=version)
        for path in self._folder.glob("routes-*"):
            if path not in (self._path(version), self._path(self._done)):
                with suppress(OSError):
                    path.unlink()
        self._done = version

    def _rows(self, version: int) -> Iterator[Route]:
        portion = 0
        while (text := self._link.routing_rows(version, portion)) is not None:
            yield from msgspec.json.decode(text, type=list[Route])
            portion += 1

    def _publish(self, version: int, built: int = FORMAT) -> None:
        # workers open a file that was built again: by then its version is written in another way
        self._table.set(_CURRENT, str(version) if built == FORMAT else f"{version} {_BEFORE}")
        self._table.remove(_REFUSED)

    def _path(self, version: int) -> Path:
        return route_path(self._folder, version)


def route_keeper(settings: Settings, table: Table) -> RouteKeeper | None:
    """Return this node's; None for a site without a table.  It has a connection of its own."""
    if not settings.routing_directory:
        return None
    link = RedisLink(settings.redis_url, settings.node_name)
    profiles = frozenset(profile.name for profile in settings.media.profiles)
    trunks = {trunk.name: trunk.profile for trunk in settings.trunks}
    return RouteKeeper(link, Path(settings.routing_directory), table, trunks=trunks, profiles=profiles)


def route_path(folder: Path, version: int) -> Path:
    """Return the name of the file with one version of the table."""
    return folder / f"routes-{version}.sqlite"


def newest_version(folder: Path) -> int:
    """Return the version of the newest table in the folder, 0 for none."""
    return max((int(path.stem.rpartition("-")[2]) for path in folder.glob("routes-*.sqlite")), default=0)


def _format_of(path: Path) -> int:
    """Return the format of a table's file; -1 for one that cannot be read."""
    try:
        with RouteFile.open(path) as file:
            return file.format()
    except sqlite3.Error:
        return -1


class RouteReader:
    """The table as one worker sees it."""

    def __init__(self, folder: str, table: Table) -> None:
        """``folder``: "" for a site without a table."""
        self._folder = Path(folder)
        self._has_none = not folder
        self._table = table
        self._version = self._newest = ""
        self._next_look = 0.0
        self._file: RouteFile | None = None
        self._document = RoutingDocument()
        # As `gwctl routes show` prints what there is without a table: loaded again it is none, and calls get no 404.
        self._says_nothing = False

    def current(self) -> tuple[RouteFile, RoutingDocument] | None:
        """Return the table that counts, and what belongs to it; None: there is none."""
        if self._has_none:
            return None
        # After a restart calls come before housekeeping has looked: the table of before counts for them, not none.
        version = self._table.get(_CURRENT) or self._of_before()
        if version != self._version and version:
            try:
                file = RouteFile.open(route_path(self._folder, int(version.partition(" ")[0])))
                document = msgspec.json.decode(file.rest(), type=RoutingDocument)
            except (sqlite3.Error, msgspec.MsgspecError) as error:
                log_event(logging.ERROR, "routing_table_unreadable", version=version, detail=str(error))
            else:
                if self._file is not None:
                    self._file.close()
                self._file, self._document, self._version = file, document, version
                self._says_nothing = document == RoutingDocument() and not file.has_rows()
        return None if self._file is None or self._says_nothing else (self._file, self._document)

    def _of_before(self) -> str:
        """Return the newest version in the folder, which is looked at once a second: every call asks several times."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_S
            newest = newest_version(self._folder)
            self._newest = f"{newest} {_BEFORE}" if newest else ""
        return self._newest

    def plan(self, realm: str) -> DialPlan:
        """Return how the users of a realm dial."""
        current = self.current()
        return DialPlan() if current is None else current[1].plans.get(realm, DialPlan())

    def way(self, call_id: str, uri: str, realm: str, user_class: str) -> Way | None:
        """Return where a call goes; None where there is no table, or it has no say.  Raise SipReject."""
        current = self.current()
        if current is None:
            return None
        file, document = current
        return way_of(
            file,
            document.plans,
            document.conferences,
            uri,
            groups=document.trunk_groups,
            realm=realm,
            user_class=user_class,
            now=time.time(),
            spin=_spin(call_id),
            permissions=document.permissions,
        )

    def emergency_way(
        self,
        call_id: str,
        uri: str,
        realm: str,
        user_class: str,
        *,
        places: Collection[str],
        numbers: Collection[str],
    ) -> Way | None:
        """Return where the table sends an emergency call; None where no row is for it, or none leads to one of
        ``places``.  ``numbers``: the site's own."""
        current = self.current()
        if current is None:
            return None
        file, document = current
        query = Query(realm, user_class, "", time.time())
        return emergency_way(
            file,
            document.plans,
            document.conferences,
            uri,
            query,
            _spin(call_id),
            groups=document.trunk_groups,
            places=places,
            numbers=numbers,
        )

    def permission(self, user_class: str) -> Permission:
        """Return what the users of a class may call."""
        current = self.current()
        return permission_of(current[1].permissions, user_class) if current else NOTHING_SAID

    def check_message(self, uri: str, realm: str, user_class: str) -> str:
        """Return what number a request outside calls is for, "" for none, or where there is no table; raise CallDenied
        where its sender may not call it."""
        current = self.current()
        if current is None:
            return ""
        return check_message(current[1].permissions, self.plan(realm), user_class, uri)


def _spin(call_id: str) -> float:
    return zlib.crc32(call_id.encode()) / (1 << 32)
