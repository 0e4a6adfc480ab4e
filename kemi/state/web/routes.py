"""The routing table of all gateways, checked, kept whole, explained.

What is kept is what was checked: rows in portions, so that a reader
takes a large table in small bites; the version is written last, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, cast

import msgspec
from redis import WatchError

from kemi.core.routing.costs import CostClass, dearest, destination_of
from kemi.core.routing.lookup import Query, Verdict, explain, find
from kemi.core.routing.numbers import Dialled, DialPlan
from kemi.core.routing.permissions import CallDenied, limits_in_words, permission_of
from kemi.core.routing.table import Route, Target
from kemi.core.routing.way import dialled_by_rows, may_call
from kemi.state import keys
from kemi.state.route_index import RouteFile
from kemi.state.routing_document import RoutingDocument, check_document

if TYPE_CHECKING:
    from redis import Redis

ROWS_IN_PORTION: Final = 500
UNFINISHED_KEPT_S: Final = 60
"""How long the rows of a table stay that nobody finished loading."""
OLD_KEPT_S: Final = 10
"""How long a replaced table can still be read, by who has begun to."""

_NEW_VERSION: Final = """
local now = redis.call('TIME')
local version = math.max((tonumber(redis.call('GET', KEYS[1])) or 0) + 1, now[1] * 1000 + math.floor(now[2] / 1000))
redis.call('SET', KEYS[1], string.format('%.0f', version))
return version
"""
"""Gateways keep a table's file by its version: neither a Redis that lost everything nor one that has an older state
again may give one out twice.  So it is the time in ms, or the next number."""


class OtherVersion(Exception):
    """Somebody else has replaced the table meanwhile."""


class RoutesStore:
    """The table in Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def put(self, document: RoutingDocument, instead_of: int | None = None) -> int:
        """Check a table and make it the one that counts; return its version.

        Args:
            document: the table.
            instead_of: only if this is the version that counts.

        Raises:
            TableError: the table is not good; nothing has changed.
            OtherVersion: another version counts; nothing has changed.
        """
        check_document(document)
        if instead_of not in (None, self.version()):
            raise OtherVersion
        version = int(cast("int", self._redis.eval(_NEW_VERSION, 1, keys.ROUTING_COUNTER)))
        rest = msgspec.structs.replace(document, routes=[])
        rows = keys.routing_rows(version)
        for portion in _portions(
            document.routes
        ):  # one by one: in a transaction Redis would keep them all twice
            self._redis.rpush(rows, msgspec.json.encode(portion).decode())
            self._redis.expire(rows, UNFINISHED_KEPT_S)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.watch(keys.ROUTING_VERSION)  # type: ignore[no-untyped-call]
            before = self.version()
            if instead_of not in (None, before):
                raise OtherVersion
            pipe.multi()
            pipe.persist(rows)
            pipe.set(keys.routing_rest(version), msgspec.json.encode(rest).decode())
            pipe.set(keys.ROUTING_VERSION, version)
            if before:
                pipe.expire(keys.routing_rows(before), OLD_KEPT_S)
                pipe.expire(keys.routing_rest(before), OLD_KEPT_S)
            try:
                pipe.execute()
            except WatchError as error:
                raise OtherVersion from error
        return version

    def version(self) -> int:
        """Return the version of the table that counts; 0: there is none."""
        return int(self._redis.get(keys.ROUTING_VERSION) or 0)

    def get(self) -> tuple[int, RoutingDocument]:
        """Return the table that counts; version 0 and an empty one when there is none."""
        version = self.version()
        text = self._redis.get(keys.routing_rest(version)) if version else None
        if text is None:
            return 0, RoutingDocument()
        document = msgspec.json.decode(text, type=RoutingDocument)
        portions = self._redis.lrange(keys.routing_rows(version), 0, -1)
        rows = [row for portion in portions for row in msgspec.json.decode(portion, type=list[Route])]
        return version, msgspec.structs.replace(document, routes=rows)


class Explanation(msgspec.Struct, frozen=True):
    """What the table says of one number."""

    verdicts: list[Verdict]
    """Rows that fit, those that win first."""
    cost: CostClass
    denied: str
    """Why the caller may not call it by the table's permissions, "" for one who may."""
    limits: str
    """Of the caller's class, in words."""
    refused: bool = False
    """No row counts now, or the one that wins refuses."""


def dialled_by_table(document: RoutingDocument, realm: str, user_class: str, uri: str, now: float) -> Dialled:
    """Return whom a call is for, as gateways read it; raise BadNumber, as of a service code that no row is for.

    Of digits at another domain that is the number they are here, where a row refuses it.
    """
    plan = document.plans.get(realm, DialPlan())
    with RouteFile.in_memory(document.routes) as index:
        return dialled_by_rows(index, plan, uri, Query(realm, user_class, "", now), 0.0)[0]


def explanation(
    document: RoutingDocument, realm: str, user_class: str, dialled: Dialled, now: float
) -> Explanation:
    """Return which rows fit a number (or urn:service:sos) and why, what it costs, and whether it may be called."""
    query = Query(realm, user_class, dialled.number, now)
    with RouteFile.in_memory(document.routes) as index:
        verdicts, rows = explain(index, query, 0.0), find(index, query, 0.0)
    if dialled.number.startswith("urn:"):
        return Explanation(verdicts, CostClass.INTERNAL, "", "")
    permission = permission_of(document.permissions, user_class)
    plan = document.plans.get(realm, DialPlan())
    numbers = [*filter(None, (dialled.number, dialled.as_number))]
    denied, cost = "", dearest(destination_of(one, plan.country).cost for one in numbers)
    if rows and rows[0].to in (Target.CORE, Target.TRUNK):
        by_trunk = any(row.to is Target.TRUNK for row in rows)
        try:
            cost = dearest([may_call(permission, plan, one, by_trunk=by_trunk) for one in numbers])
        except CallDenied as error:
            denied, cost = error.detail, error.cost or cost
    refused = not rows or rows[0].to is Target.REFUSE
    return Explanation(verdicts, cost, denied, limits_in_words(permission), refused)


def _portions(routes: list[Route]) -> Iterator[list[Route]]:
    for start in range(0, len(routes), ROWS_IN_PORTION):
        yield routes[start : start + ROWS_IN_PORTION]
