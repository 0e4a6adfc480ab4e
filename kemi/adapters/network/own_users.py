"""The routing table where the home network is our own: its users are reached without a row, and never by a trunk."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.network.people import People, people_of
from kemi.adapters.network.routing import RouteReader
from kemi.core.errors import SipReject
from kemi.core.routing.costs import CostClass, Destination
from kemi.core.routing.numbers import BadNumber
from kemi.core.routing.patterns import USER_CHARACTERS
from kemi.core.routing.permissions import CallDenied, Permission, check_permission
from kemi.core.routing.way import NoRoute, Way
from kemi.settings import Settings
from kemi.state.table import Table

_INSIDE: Final = Destination(CostClass.INTERNAL)
_BEGINS_NUMBER: Final = "+*#0123456789"
_NUMBER: Final = re.compile(r"[-+0-9*#().]+", re.ASCII)
"""Of an own user, however it is dialled; a name is looked up as such, whatever parameters its URI has."""


class RoutesAtHome(RouteReader):
    """The table as one worker sees it, with the users of our own before trunks.

    Who calls them makes an internal call, whatever their numbers would cost elsewhere: of the caller's permission the
    limits count, and beginnings of numbers that are denied.  A row that refuses stays refused.
    """

    def __init__(self, folder: str, table: Table, people: People) -> None:
        super().__init__(folder, table)
        self._people = people

    def way(self, call_id: str, uri: str, realm: str, user_class: str) -> Way | None:
        """Return where a call goes; None where there is no table, or it has no say.  Raise SipReject."""
        name = self._name_of_own(uri, realm)
        if name is None:
            return super().way(call_id, uri, realm, user_class)
        asked = uri if _NUMBER.fullmatch(name) else f"sip:{quote(name, safe=USER_CHARACTERS)}@{realm}"
        try:
            way = super().way(call_id, asked, realm, user_class)
        except (NoRoute, BadNumber, CallDenied):
            permission = self._may_call(name, user_class)
            number = name if name.startswith("+") else ""
            return Way("own user", uri, "", number=number, permission=permission)
        if way is None:
            return None
        target = uri if way.request_uri == asked else way.request_uri
        return replace(way, request_uri=target, trunks=(), parameters=(), cost=CostClass.INTERNAL)

    def check_message(self, uri: str, realm: str, user_class: str) -> str:
        """Return what number a request outside calls is for, "" for none; raise CallDenied where its sender may not
        call it."""
        name = self._name_of_own(uri, realm)
        if name is None:
            return super().check_message(uri, realm, user_class)
        self._may_call(name, user_class)
        return name if name.startswith("+") else ""

    def _may_call(self, name: str, user_class: str) -> Permission:
        permission = self.permission(user_class)
        called = name if name[:1] in _BEGINS_NUMBER else f"sip:{name}"  # "FR" may be denied as a country
        check_permission(permission, called, _INSIDE, by_trunk=False)
        return permission

    def _name_of_own(self, uri: str, realm: str) -> str | None:
        """Return name or number of the user that is called; None for somebody else."""
        try:
            found = self._people.find(uri, self.plan(realm))
        except SipReject:
            return None
        return None if found is None else found[0].partition(":")[2].partition("@")[0]


def routes_of(settings: Settings) -> RouteReader:
    """Return the table of this worker."""
    table = HtableTable("routing")
    if settings.home is None:
        return RouteReader(settings.routing_directory, table)
    return RoutesAtHome(settings.routing_directory, table, people_of(settings))
