"""`status`: how all gateways are, on one screen."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

import click
import msgspec

from kemi.state.web.client import StateUnavailable
from kemi.state.web.recent_events import RecentEvents
from webapp_api.gwctl.events import event_to_text
from webapp_api.gwctl.nodes import Node, nodes_of, state_of
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, ExitCode, command, table, when
from webapp_api.gwctl.trunks import Trunk, trunks_of
from webapp_api.site_status import Gateway, site_status
from webapp_api.version import VERSION

ALARMS: Final = (
    "fraud_alarm",
    "login_locked",
    "address_banned",
    "emergency_call",
    "trunk_down",
    "trunk_registration",
)
ALARM_S: Final = 3600.0
_MOST_SHOWN: Final = 5


class RedisStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The server."""

    reachable: bool
    version: str = ""
    used_bytes: int = 0
    most_bytes: int = 0
    """0: no limit."""
    error: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at a moment."""

    at: str
    version: str
    """Of this program."""
    redis: RedisStatus
    gateways: list[Gateway]
    registrations: int
    calls: int | None
    """Of the gateways that say; None: nobody could be asked, or nobody has answered."""
    nodes: list[Node]
    trunks: list[Trunk]
    alarms: list[dict[str, Any]]
    """Events of the last hour that somebody should know, the oldest first."""
    alarms_since: str = ""
    """Only since then, because older events are not kept; "": they reach back an hour."""
    wrong: list[str]
    """What is wrong, in words; empty: all is well."""


def add_status(group: click.Group) -> None:
    """Add the command."""

    @command(group, "status", Status, "status", "status --json", "--config lab-run status")
    @pass_place
    def status(place: Place) -> Answer:
        """Show on one screen how all gateways are; exit status 1 when something is wrong.

        Gateways and when they were seen, registrations, calls, relay nodes, trunks, alarms of the last hour, Redis.
        """
        try:
            found = _status(place, time.time())
        except StateUnavailable as error:
            found = _without_redis(str(error))
            return Answer(found, _lines(found), ExitCode.AWAY)
        return Answer(found, _lines(found), ExitCode.WRONG if found.wrong else ExitCode.DONE)


def _without_redis(why: str) -> Status:
    return Status(
        at=when(time.time()),
        version=VERSION,
        redis=RedisStatus(reachable=False, error=why),
        gateways=[],
        registrations=0,
        calls=None,
        nodes=[],
        trunks=[],
        alarms=[],
        wrong=[f"Redis cannot be used: {why}"],
    )


def _status(place: Place, now: float) -> Status:
    site = site_status(place.services, now)
    recent = RecentEvents(place.redis)
    events, known_since = recent.since(now - ALARM_S), recent.known_since()
    return Status(
        at=when(now),
        version=VERSION,
        redis=RedisStatus(
            reachable=True,
            version=site.redis.version,
            used_bytes=site.redis.used_bytes,
            most_bytes=site.redis.most_bytes,
        ),
        gateways=site.gateways,
        registrations=site.registrations,
        calls=site.calls,
        nodes=nodes_of(place),
        trunks=trunks_of(place),
        alarms=[{"seq": seq, **event} for seq, event in events if _is_alarm(event)],
        alarms_since=when(known_since) if known_since > now - ALARM_S else "",
        wrong=site.wrong,
    )


def _is_alarm(event: dict[str, Any]) -> bool:
    kind = event.get("type")
    return kind in ALARMS and not (kind == "trunk_registration" and event.get("state") == "registered")


def _lines(found: Status) -> list[str]:
    redis = found.redis
    memory = f"{redis.used_bytes / 1e6:.1f} MB" + (
        f" of {redis.most_bytes / 1e6:.0f}" if redis.most_bytes else ""
    )
    state = f"{redis.version}, {memory}" if redis.reachable else f"away: {redis.error}"
    lines = [f"{found.at}  gateway software {found.version}  Redis {state}", ""]
    if redis.reachable:
        gateways = [
            (
                *(one.gateway, f"{one.seen_s:.1f} s ago", "yes" if one.agent else "NO"),
                *(one.registrations, "?" if one.calls is None else one.calls),
            )
            for one in found.gateways
        ]
        columns = ("GATEWAY", "SEEN", "AGENT", "REGISTRATIONS", "CALLS")
        lines += [*table(columns, gateways, "no gateway runs"), ""]
        nodes = [
            (
                one.node,
                state_of(one),
                "?" if one.calls is None else one.calls,
                one.weight,
                one.version,
                one.gateway,
            )
            for one in found.nodes
        ]
        lines += [
            *table(("RELAY NODE", "STATE", "CALLS", "WEIGHT", "VERSION", "GATEWAY"), nodes, "no relay nodes"),
            "",
        ]
        trunks = [(one.trunk, one.state, one.registration, one.calls, one.gateway) for one in found.trunks]
        if trunks:
            lines += [*table(("TRUNK", "STATE", "REGISTRATION", "CALLS", "GATEWAY"), trunks, ""), ""]
        kinds = Counter(str(event.get("type")) for event in found.alarms)
        told = ", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "none"
        since = f" (events are known since {found.alarms_since} only)" if found.alarms_since else ""
        lines += [f"alarms of the last hour{since}: {told}"]
        lines += [f"    {event_to_text(event)}" for event in found.alarms[-_MOST_SHOWN:]]
    wrong = [f"WRONG: {one}" for one in found.wrong]
    return [*lines, *(wrong or ["all is well"])]
