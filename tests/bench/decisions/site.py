"""A worker of the gateway without Kamailio: its real doors, routes and boundary, on tables that are dictionaries.

Knows which parts of the gateway decide on an INVITE, and in which order.  What Kamailio itself does (parsing, its hash
tables' C code) is not here.
"""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec

TABLES: Final[defaultdict[str, dict[str, str]]] = defaultdict(dict)
"""Kamailio's shared hash tables by name."""
HTABLE: Final = SimpleNamespace(
    sht_lock=lambda _name, _key: 1,
    sht_unlock=lambda _name, _key: 1,
    sht_get=lambda name, key: TABLES[name].get(key),
    sht_is_null=lambda name, key: -1 if key in TABLES[name] else 1,
    sht_sets=lambda name, key, value: TABLES[name].__setitem__(key, value),
    sht_rm=lambda name, key: TABLES[name].pop(key, None),
)
LOGS: Final = dict.fromkeys(("dbg", "info", "notice", "warn", "err", "crit"), lambda _line: None)
sys.modules.setdefault(
    "KSR", cast(Any, SimpleNamespace(htable=HTABLE, pv=SimpleNamespace(get=lambda _name: None), **LOGS))
)  # before the adapters import it

from kemi.adapters import log  # noqa: E402
from kemi.adapters.calls.new_calls import NewCalls  # noqa: E402
from kemi.adapters.doors.doors import Doors  # noqa: E402
from kemi.adapters.kamailio import ksr  # noqa: E402
from kemi.adapters.kamailio.htable import HtableTable  # noqa: E402
from kemi.adapters.network.routing import RouteReader, route_path  # noqa: E402
from kemi.adapters.pages.registrar import Registrar  # noqa: E402
from kemi.adapters.site import call_settings, registration_settings  # noqa: E402
from kemi.core import headers, trust  # noqa: E402
from kemi.core.bodies import Body  # noqa: E402
from kemi.core.call import boundary  # noqa: E402
from kemi.core.extensions import refuse, unknown_extensions  # noqa: E402
from kemi.core.messages import Request, Side, uri_from_address  # noqa: E402
from kemi.core.recipients import recipients_of  # noqa: E402
from kemi.core.registration import Flow, Grant, Registration  # noqa: E402
from kemi.core.registration.token import token_hash  # noqa: E402
from kemi.core.routing.costs import CostClass  # noqa: E402
from kemi.core.routing.numbers import DialPlan  # noqa: E402
from kemi.core.routing.permissions import Permission  # noqa: E402
from kemi.core.routing.table import ANY, Route, Target  # noqa: E402
from kemi.core.screening import check_branch, check_head, check_one_message, screen  # noqa: E402
from kemi.settings import settings_from_text  # noqa: E402
from kemi.state.calls import CallStore  # noqa: E402
from kemi.state.flows import FlowStore  # noqa: E402
from kemi.state.route_index import build  # noqa: E402
from kemi.state.routing_document import RoutingDocument  # noqa: E402
from tests.peers.access_token import Issuer, key_set  # noqa: E402
from tests.unit.core.call import descriptions  # noqa: E402
from tests.unit.site import SETTINGS_TEXT  # noqa: E402

REALM: Final = "ims.example"
ORIGIN: Final = "https://page.example"
USER_CLASS: Final = "staff"
TOKEN: Final = "registration, token"
"""The step that the later ones take the registration from."""
_KINDS: Final = tuple(CostClass)
PERMISSION: Final = Permission(
    classes=_KINDS[:-1],
    denied=("+4990", "+881", "KP"),
    calls=20,
    calls_per_minute=600,
    per_minute={CostClass.INTERNATIONAL: 600},
    alarms={CostClass.INTERNATIONAL.value: 10_000},
)
HEAD: Final = """INVITE {uri} SIP/2.0
Via: SIP/2.0/WSS 8k3d9f0s2m1a.invalid;branch=z9hG4bK{branch}
Max-Forwards: 70
To: <{uri}>
From: "A User" <sip:{user}@{realm}>;tag={branch}
Call-ID: {call_id}
CSeq: 1 INVITE
Contact: <sip:q1w2e3r4@8k3d9f0s2m1a.invalid;transport=ws;ob>
Allow: ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER,PRACK,UPDATE
Supported: outbound,100rel,timer,replaces,norefersub
P-Preferred-Identity: <sip:{user}@{realm}>
Accept-Contact: *;audio;video
User-Agent: sdk/1.0
Authorization: Bearer {token}
Content-Type: application/sdp
Content-Length: {length}"""


class Worker:
    """One worker, its users and its routing table."""

    def __init__(self, folder: Path, rows: int, users: int, *, seed: int = 1) -> None:
        self.rng = random.Random(seed)
        issuer = Issuer()
        settings = settings_from_text(
            f'{SETTINGS_TEXT}\n[registration]\nschemes = ["digest", "bearer"]\n'
            f'[[tokens.issuers]]\nissuer = "{issuer.url}"\naudience = "{issuer.audience}"\n'
            'authz_server = "https://issuer.test/"\n'
        )
        settings = replace(settings, realm=REALM)
        log.install(ksr.LOG_FUNCTIONS, lambda: 2)
        HtableTable("jwks").set(issuer.url, key_set(issuer.key))
        self.calls = call_settings(settings)
        self.flows = FlowStore(HtableTable)
        self._lay_out(folder, rows)
        routes = RouteReader(str(folder), HtableTable("routing"))
        store = CallStore(HtableTable("call"), HtableTable("call_of"))
        self.doors = Doors(settings, self.flows, store, routes, lambda: True, lambda: False)
        nobody = cast(Any, None)  # what is not asked before the call begins
        self.registrar = Registrar(
            settings,
            registration_settings(settings),
            self.flows,
            nobody,
            nobody,
            nobody,
            self.doors.admission,
            nobody,
            nobody,
        )
        self.new_calls = NewCalls(
            self.calls, self.flows, nobody, self.registrar, nobody, store, nobody, nobody, nobody, self.doors
        )
        self.body = descriptions.chromium("av-sendonly")
        self.tokens = [self._register(number, issuer) for number in range(users)]

    def _lay_out(self, folder: Path, rows: int) -> None:
        rng = self.rng
        table = [Route("everything", "*", Target.CORE)]
        table += [
            Route(
                f"r{number}",
                f"+{_digits(rng, rng.randint(4, 10))}*",
                Target.CORE,
                realm=rng.choice((REALM, ANY)),
            )
            for number in range(rows - 1)
        ]
        document = RoutingDocument(
            plans={REALM: DialPlan(country="DE", trunk_prefix="0", area_code="30")},
            permissions={USER_CLASS: PERMISSION},
        )
        build(route_path(folder, 1), table, msgspec.json.encode(document).decode())
        HtableTable("routing").set("current", "1")

    def _register(self, number: int, issuer: Issuer) -> str:
        user, now = f"user{number}", time.time()
        token = issuer.token(user, impi=f"{user}@{REALM}", impus=[f"sip:{user}@{REALM}"])
        uri, connection_id = f"sip:{user}@{REALM}", str(number)
        registration = Registration(
            uri,
            f"sip:q1w2e3r4@{number}.invalid;transport=ws",
            now + 3600,
            service_route=[f"<sip:orig@scscf.{REALM};lr>"],
            associated_uris=[f"<{uri}>", f"<tel:+4930{5_000_000 + number}>"],
            grant=Grant(
                "bearer",
                f"{user}@{REALM}",
                [uri],
                now + 3600,
                user_class=USER_CLASS,
                token_hash=token_hash(token),
            ),
        )
        self.flows.open(
            Flow(connection_id, "n", f"192.0.2.{number % 250}", f"127.0.0.1:{number}", ORIGIN), now
        )
        self.flows.register(connection_id, registration, now + 30)
        return token

    def invite(self, number: int) -> Invite:
        """Return the next INVITE of somebody, to a number nobody has called yet."""
        rng, user = self.rng, number % len(self.tokens)
        local = _digits(rng, 7)
        uri = (
            f"sip:+4930{local}@{REALM};user=phone",
            f"sip:030{local}@{REALM};user=phone",
            f"tel:+33-1-4{local}",
            f"sip:friend{local}@{REALM}",
        )[number % 4]
        values = {"uri": uri, "user": f"user{user}", "realm": REALM, "token": self.tokens[user]}
        name = f"{rng.getrandbits(80):020x}"
        head = HEAD.format(**values, branch=name, call_id=name, length=len(self.body)).replace("\n", "\r\n")
        fields: defaultdict[str, list[str]] = defaultdict(list)
        for line in head.split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            fields[key].append(value)
        request = Request(
            side=Side.WIC,
            method="INVITE",
            call_id=name,
            from_tag=name,
            to_tag="",
            cseq=1,
            contact=fields["Contact"][0],
            body=self.body,
            content_type="application/sdp",
            headers=lambda wanted: fields.get(wanted, []),
            request_uri=uri,
            from_uri=f"sip:user{user}@{REALM}",
            to_uri=uri,
            connection_id=str(user),
            source=f"127.0.0.1:{user}",
        )
        return Invite(self, request, head, Body(self.body.encode()))


class Invite:
    """What is decided of one INVITE, in the gateway's order (gateway.py, new_calls.py, call/setup.py)."""

    def __init__(self, worker: Worker, request: Request, head: str, body: Body) -> None:
        self._worker = worker
        self._request = request
        self._head = head
        self._body = body
        self._registration = Registration("", "", 0.0)

    def steps(self) -> Mapping[str, Callable[[], object]]:
        """Return the decisions by name."""
        return {
            "form": self._form,
            "emergency, limits, policy": lambda: self._worker.doors.admit(self._request),
            TOKEN: self._token,
            "number, route, permission, fraud": self._way,
            "identity, trust boundary": self._boundary,
        }

    def _form(self) -> None:
        request = self._request
        check_branch(f"z9hG4bK{request.call_id}")
        check_head(self._head)
        check_one_message(len(request.body), request.headers("Content-Length"), has_content_type=True)
        screen(request)
        recipients_of(self._body)
        refuse(unknown_extensions(request))

    def _token(self) -> None:
        found = self._worker.flows.registration(self._request.connection_id, time.time())
        assert found is not None
        assert self._worker.registrar.check_token(self._request, found)
        self._registration = found

    def _way(self) -> None:
        request = self._request
        way = self._worker.new_calls._way(request, self._registration, request.request_uri, begins=True)
        assert way is not None

    def _boundary(self) -> object:
        request, registration, settings = self._request, self._registration, self._worker.calls
        return (
            boundary.identity_of_caller(request, registration, settings),
            boundary.caller_lines(request),
            boundary.from_for_core(request),
            uri_from_address(request.contact),
            trust.without_parameters(request.from_uri, trust.UNTRUSTED_PARAMETERS),
            trust.without_routing_parameters(request.request_uri),
            headers.charging_vector(request.call_id, settings.ims_host, settings.realm),
            registration.owner,
        )


def _digits(rng: random.Random, number: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(number))
