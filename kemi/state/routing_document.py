"""The routing table as one JSON document: what operators edit and gateways read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kemi.core.routing.numbers import DialPlan, check_plan, is_sip_uri
from kemi.core.routing.permissions import Permission, problems_of_permissions
from kemi.core.routing.table import ANY, Route, RoutingTable, TableError, check_table, is_realm
from kemi.core.unknown_keys import unknown_keys


class RoutingDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that decides where calls go; edited and taken as a whole."""

    routes: list[Route] = []
    plans: dict[str, DialPlan] = {}
    """How the users of a realm dial, by realm; in lower case, however it was written."""
    trunk_groups: dict[str, list[str]] = {}
    """Names of trunks, by group; the trunks themselves, with their secrets, are settings of the gateways."""
    conferences: dict[str, str] = {}
    """sip: URI of a conference service, by name."""
    permissions: dict[str, Permission] = {}
    """What users may call, and how much, by their class; "*": all those of no class named here."""
    profiles: list[str] = []
    """Media profiles that rows may name; they are settings of the gateways, too."""

    def __post_init__(self) -> None:
        for realm in [realm for realm in self.plans if realm != realm.lower()]:
            self.plans.setdefault(realm.lower(), self.plans.pop(realm))


def document_from_json(text: bytes | str) -> RoutingDocument:
    """Read a document; raise TableError, which names the place, for what is none."""
    try:
        raw = msgspec.json.decode(text)
        unknown = list(_unknown_fields(raw))
        document = msgspec.convert(raw, RoutingDocument, strict=True)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeError, RecursionError) as error:
        raise TableError([str(error)]) from error
    plans: object = raw.get("plans") if isinstance(raw, dict) else None
    if isinstance(plans, dict) and len({realm.lower() for realm in plans}) < len(plans):
        unknown.append("plans: each realm once, in lower case")
    if unknown:
        raise TableError(unknown)
    return document


def check_document(document: RoutingDocument) -> None:
    """Raise TableError unless every part can be used as it stands."""
    problems = list(problems_of_permissions(document.permissions))
    for realm, plan in document.plans.items():
        if realm == ANY or not is_realm(realm):
            problems.append(f"plan of {realm!r}: no domain and no trunk:NAME")
        try:
            check_plan(plan)
        except ValueError as error:
            problems.append(f"plan of {realm!r}: {error}")
    for name, trunks in document.trunk_groups.items():
        if not trunks or len(set(trunks)) < len(trunks):
            problems.append(f"trunk group {name!r}: names of trunks, each once")
    for name, uri in document.conferences.items():
        if not is_sip_uri(uri):
            problems.append(f"conference {name!r}: not a sip: URI")
    if problems:
        raise TableError(problems)
    check_table(table_of(document))


def table_of(document: RoutingDocument) -> RoutingTable:
    """Return what the core checks and asks."""
    return RoutingTable(
        tuple(document.routes),
        frozenset(document.trunk_groups),
        frozenset(document.conferences),
        frozenset(document.profiles),
    )


def _unknown_fields(raw: object) -> Iterator[str]:
    """Name fields that dataclasses would be given in vain: a misspelt one must not count as left out."""
    if not isinstance(raw, dict):
        return
    routes = raw.get("routes")
    named: list[tuple[str, dict[str, Any], type[Any]]] = [
        (f"row {row.get('id', position)!r}", row, Route)
        for position, row in enumerate(routes if isinstance(routes, list) else ())
        if isinstance(row, dict)
    ]
    for what, parts, kind in (
        ("plan of", raw.get("plans"), DialPlan),
        ("permission", raw.get("permissions"), Permission),
    ):
        items = parts.items() if isinstance(parts, dict) else ()
        named += [(f"{what} {name!r}", part, kind) for name, part in items if isinstance(part, dict)]
    for name, part, kind in named:
        yield from (f"{name}: {unknown}" for unknown in unknown_keys(part, kind))
