"""`audit`: who has changed what, on the web and by command."""

from __future__ import annotations

import os
import pwd
import time

import click
import msgspec

from kemi.state.web.audit import AuditEntry
from kemi.state.web.client import StateUnavailable
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, command, table, when

_LONGEST = 500


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change, or the attempt at one."""

    id: str
    at: str
    operator: str
    """Login name; ``cli:USER`` for a command on a machine."""
    address: str
    action: str
    status: int
    """HTTP status; 0 for a command."""
    detail: str


class Changes(msgspec.Struct, frozen=True):
    """The latest first."""

    changes: list[Change]
    before: str
    """For the next page: --before; "": there is none."""


def who_types() -> str:
    """Return ``cli:USER``, of a user without a name the number."""
    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"cli:{os.getuid()}"


def note_change(action: str, detail: str) -> None:
    """Let the audit log know what the running command has changed; passwords are no arguments."""
    place = click.get_current_context().find_object(Place)
    assert place is not None
    entry = AuditEntry(
        at=time.time(),
        operator=who_types(),
        address="",
        action=action[:_LONGEST],
        status=0,
        detail=detail[:_LONGEST],
    )
    try:
        place.services.audit.add(entry)
    except (StateUnavailable, click.ClickException) as error:
        click.echo(f"done, but not in the audit log: {error}", err=True)


def add_audit(group: click.Group) -> None:
    """Add the command."""

    @command(group, "audit", Changes, "audit", "audit --operator alice --since 86400", "audit --json")
    @click.option("--operator", default="", help="Only changes by this account, or cli:USER.")
    @click.option(
        "--since", type=click.IntRange(0), default=0, help="Only those of the last so many seconds."
    )
    @click.option(
        "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most."
    )
    @click.option("--before", default="", help="Only those before: `before` of the page before.")
    @pass_place
    def audit(place: Place, operator: str, since: int, limit: int, before: str) -> Answer:
        """Show what operators have changed, on the web and by command, the latest first."""
        try:
            entries, following = place.services.audit.list(
                before=before,
                limit=limit,
                operator=operator,
                since=max(0.0, time.time() - since) if since else 0.0,
            )
        except ValueError as error:
            raise click.BadParameter("not what a page before has said", param_hint="--before") from error
        found = [
            Change(
                id=one.id,
                at=when(one.at),
                operator=one.operator,
                address=one.address,
                action=one.action,
                status=one.status,
                detail=one.detail,
            )
            for one in entries
        ]
        rows = [
            (one.at, one.operator, one.address, one.action, one.status or "-", one.detail) for one in found
        ]
        columns = ("AT", "OPERATOR", "ADDRESS", "ACTION", "STATUS", "DETAIL")
        return Answer(Changes(found, following), table(columns, rows, "no changes"))
