"""`events`: what gateways tell, as it happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from kemi.state.web.event_feed import EventFeed, order_of
from kemi.state.web.recent_events import RecentEvents
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, command, is_json, printable, to_json, when
from webapp_api.listeners import spelt


class EventLine(msgspec.Struct, frozen=True, kw_only=True):
    """What every event has; the others of its type are in kemi/state/keys.py."""

    seq: str
    """Its place in the stream."""
    type: str
    node: str
    """The gateway."""
    at: float
    """Seconds since the epoch."""


_FIRST = ("type", "impu", "peer", "call_id")


def add_events(group: click.Group) -> None:
    """Add the command."""

    @command(
        group,
        "events",
        EventLine,
        "events",
        "events --type call_ended --type call_refused",
        "events --since 3600 --no-follow --json",
    )
    @click.option("--type", "types", multiple=True, help="Only events of this type; repeat for more.")
    @click.option("--impu", default="", help="Only those of this public identity.")
    @click.option("--call-id", default="", help="Only those of this call.")
    @click.option(
        "--since", type=click.IntRange(0), default=0, help="Begin with those of the last so many seconds."
    )
    @click.option(
        "--follow/--no-follow", default=True, show_default=True, help="Wait for more, until Ctrl-C."
    )
    @click.option("--count", type=click.IntRange(1), default=None, help="End after so many.")
    @pass_place
    def events(
        place: Place,
        types: tuple[str, ...],
        impu: str,
        call_id: str,
        since: int,
        follow: bool,
        count: int | None,
    ) -> Answer | None:
        """Follow the events of all gateways, one a line; with --json each line is one JSON document.

        Registrations, calls and their ends with quality, refusals, alarms, trunks: kemi/state/keys.py lists the types.
        """

        of_impu = spelt(impu)

        def wanted(event: dict[str, Any]) -> bool:
            return (
                (not types or event.get("type") in types)
                and (not impu or of_impu == spelt(event.get("impu")))
                and call_id in ("", event.get("call_id"))
            )

        shown = 0
        try:
            for seq, event in events_since(place, since, follow=follow):
                if wanted(event):
                    click.echo(
                        to_json({"seq": seq, **event}) if is_json() else printable(event_to_text(event))
                    )
                    shown += 1
                    if shown == count:
                        break
        except KeyboardInterrupt:
            pass
        return None


def events_since(place: Place, since: int, *, follow: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give sequence number and event of those of the last ``since`` seconds, then of those that come."""
    feed = EventFeed(place.redis)
    feed.begin()
    if since:
        recent, at = RecentEvents(place.redis), max(0.0, time.time() - since)
        last = order_of(feed.position)
        before = [one for one in recent.since(at) if order_of(one[0]) <= last]  # what comes now is read below
        if (known_since := recent.known_since()) > at:
            click.echo(f"events are known since {when(known_since)} only", err=True)
        yield from before
    while follow:
        yield from feed.read().events


def event_to_text(event: dict[str, Any]) -> str:
    """Write an event on one line: when, where, what, and everything plain that it says."""
    at = event.get("at") or event.get("ended_at") or 0.0
    rest = [name for name in event if name not in (*_FIRST, "at", "node", "key", "id", "media")]
    known = [name for name in _FIRST[1:] if event.get(name)]
    rest = [name for name in rest if isinstance(event[name], str | int | float) and event[name] != ""]
    words = [f"{name}={event[name]}" for name in (*known, *rest)]
    if event.get("type") == "call_quality":
        words += [
            f"{leg}={told['rating']}"
            for leg, told in event.get("quality", {}).get("audio", {}).items()
            if told
        ]
    return " ".join((when(at) or "-", str(event.get("node", "-")), str(event.get("type", "-")), *words))
