"""The scripted IMS core: I-CSCF, S-CSCF and the far device behind one UDP socket.

Knows registration (Path, Service-Route, P-Associated-URI) and which script an INVITE gets.
Must not know the gateway's inside; the calls themselves are in `core_call`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.peers.addresses import name_addr_from_text, sip_uri_from_text
from tests.peers.calling_device import CallingDevice
from tests.peers.core_call import INNER_HOPS, CalledDevice, CoreCall
from tests.peers.core_reginfo import Subscriptions
from tests.peers.core_script import CoreScript, answers
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.dialog import Pairs
from tests.peers.digest import Challenge, Credentials, challenge_to_text, is_authorized
from tests.peers.multipart import Part
from tests.peers.sip import CSeq, Headers, SipRequest, SipResponse, new_tag, response_to
from tests.peers.trace import DEFAULT_WAIT_S
from tests.peers.udp import Address, UdpPeer


@dataclass(frozen=True)
class RegistrarScript:
    """How REGISTER is treated."""

    status: int | None = 200
    """Final status once authorized; None: silence."""
    credentials: Credentials | None = None
    """Who has to answer a digest challenge; None: nobody is challenged."""
    realm: str = "ims.example"
    rounds: int = 1
    """Challenges with a new nonce before the answer is accepted."""
    expires_s: int | None = None
    """Overrides the requested time."""
    associated_uris: tuple[str, ...] = ("sip:alice@ims.example", "tel:+15550100")
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Registration:
    """A binding: how the core reaches a page."""

    aor: str
    contact: str
    path: tuple[str, ...]
    request: SipRequest = field(repr=False)


class ScriptedCore(UdpPeer):
    """The core; use as an async context manager.

    `scripts` chooses by the user part of the Request-URI, `script` is for all others.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__("core")
        self._bind = (host, port)
        self.registrar = RegistrarScript()
        self.script: CoreScript = answers()
        self.scripts: Mapping[str, CoreScript] = {}
        self.registrations: dict[str, Registration] = {}
        self.acknowledges_reliable = True
        """Whether its callers send PRACK."""
        self.subscriptions = Subscriptions(self)
        self.calls: dict[str, CoreCall] = {}
        """The newest of each Call-ID."""
        self.earlier_calls: list[CoreCall] = []
        """Those whose Call-ID another one has had since."""
        self._called: asyncio.Queue[CalledDevice] = asyncio.Queue()
        self._challenges: dict[str, list[Challenge]] = {}

    async def __aenter__(self) -> Self:
        await self.open(*self._bind)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def service_route(self) -> str:
        """Service-Route of every registration (RFC 3608)."""
        return f"<sip:orig@{self.host_port};lr>"

    async def wait_call(self, timeout_s: float = DEFAULT_WAIT_S) -> CalledDevice:
        """Return the next call the gateway made; its script is already running."""
        return await asyncio.wait_for(self._called.get(), timeout_s)

    def call(
        self,
        aor: str,
        *,
        caller: str = "sip:bob@ims.example",
        called: str = "",
        media: DeviceMedia | None = None,
        sdp: str | None = None,
        parts: Iterable[Part] = (),
        headers: Pairs = (),
        supported: str = "100rel",
        fork_of: CallingDevice | None = None,
        call_id: str = "",
        at: Address | None = None,
    ) -> CallingDevice:
        """Call a registered page through its Path and return the call.

        Args:
            aor: address of record of the page.
            caller: who calls.
            called: what the caller has dialled; `aor` unless said.
            media: makes the offer, and answers later ones.
            sdp: a fixed offer; "" for none.
            parts: further parts of the body.
            headers: more header fields.
            supported: option tags; "" leaves the field out.
            fork_of: another core's call of the same INVITE: same Call-ID, From-tag and CSeq.
            call_id: "" for one that nobody has had.
            at: another gateway of the site than the one the Path names.

        Raises:
            KeyError: `aor` is not registered.
        """
        registration = self.registrations[aor]
        chosen = media or DeviceMedia()
        device = f"<sip:device@{self.host_port}>"
        headers = tuple(headers)
        fields = [
            ("Via", self.new_via()),
            *INNER_HOPS,
            ("Max-Forwards", "70"),
            *(("Route", route) for route in registration.path),
            *(("Record-Route", f"<sip:{self.host_port};lr;hop={hop}>") for hop in ("scscf", "icscf")),
            ("From", f"<{caller}>;tag={fork_of.invite.from_tag if fork_of else new_tag()}"),
            ("To", f"<{called or aor}>"),
            ("Call-ID", fork_of.call_id if fork_of else call_id or secrets.token_hex(12)),
            ("CSeq", str(CSeq(1, "INVITE"))),
            *(() if any(name == "Contact" for name, _ in headers) else [("Contact", device)]),
            *([("Supported", supported)] if supported else []),
            ("Allow", "INVITE,ACK,CANCEL,BYE,PRACK,UPDATE,INFO"),
            ("P-Asserted-Identity", f"<{caller}>"),
            ("P-Called-Party-ID", f"<{aor}>"),
            *headers,
        ]
        invite = SipRequest("INVITE", registration.contact, headers=Headers(fields))
        invite.set_body(device_offer(chosen) if sdp is None else sdp)
        if parts:
            invite.add_parts(*parts)
        first = registration.path[0] if registration.path else f"<{registration.contact}>"
        hop = sip_uri_from_text(name_addr_from_text(first).uri)
        call = CallingDevice(self, invite, at or (hop.host, hop.port or 5060))
        call.media = chosen
        call.pracks = self.acknowledges_reliable
        self._keep(call)
        call.start()
        return call

    def request_received(self, request: SipRequest, source: Address) -> None:
        """Treat a request of the gateway."""
        call = self.calls.get(request.call_id)
        if request.method == "REGISTER":
            self._register(request, source)
        elif request.method == "SUBSCRIBE" and call is None:
            self.subscriptions.received(request, source)
        elif request.method == "INVITE" and request.to_tag is None:
            self._invite(request, source)
        elif call is not None:
            call.request_received(request, source)
        elif request.method != "ACK":
            status = 481 if request.to_tag else 200
            self.send(response_to(request, status, to_tag=new_tag()), source)

    def response_received(self, response: SipResponse, source: Address) -> None:
        """Let the call it belongs to follow."""
        call = self.calls.get(response.call_id)
        if call is not None:
            call.response_received(response)

    def _invite(self, request: SipRequest, source: Address) -> None:
        user = sip_uri_from_text(request.request_uri).user if request.request_uri.startswith("sip") else ""
        script = self.scripts.get(user, self.script)
        call = CalledDevice(self, request, source, script)
        self._keep(call)
        self._called.put_nowait(call)
        call.start()

    def _keep(self, call: CoreCall) -> None:
        if (earlier := self.calls.get(call.call_id)) is not None:
            self.earlier_calls.append(earlier)
        self.calls[call.call_id] = call

    def _register(self, request: SipRequest, source: Address) -> None:
        rules = self.registrar
        if rules.status is None:
            return
        tag = new_tag()
        if rules.credentials is not None and not self._is_authorized(request, rules.credentials):
            field_value = challenge_to_text(self._new_challenge(request))
            challenge = response_to(request, 401, to_tag=tag, headers=[("WWW-Authenticate", field_value)])
            self.send(challenge, source)
            return
        fields = self._bind_contact(request, rules) if rules.status == 200 else []
        self.send(response_to(request, rules.status, to_tag=tag, headers=[*fields, *rules.headers]), source)

    def _bind_contact(self, request: SipRequest, rules: RegistrarScript) -> list[tuple[str, str]]:
        aor = request.to.uri
        contact = name_addr_from_text(request.headers.get("Contact") or "")
        wanted = contact.param("expires") or request.headers.get("Expires") or "3600"
        expires_s = int(wanted) if rules.expires_s is None or wanted == "0" else rules.expires_s
        if expires_s == 0:
            self.registrations.pop(aor, None)
            return []
        path = tuple(request.headers.all("Path"))
        self.registrations[aor] = Registration(aor, contact.uri, path, request)
        kept = "".join(
            f";{key}={value}" if value else f";{key}" for key, value in contact.params if key != "expires"
        )
        return [
            ("Contact", f"<{contact.uri}>{kept};expires={expires_s}"),
            *(("Path", route) for route in path),
            ("Service-Route", self.service_route),
            *(("P-Associated-URI", f"<{uri}>") for uri in rules.associated_uris or (aor,)),
        ]

    def _is_authorized(self, request: SipRequest, credentials: Credentials) -> bool:
        given = self._challenges.get(request.call_id, [])
        if len(given) < self.registrar.rounds or not is_authorized(request, given[-1], credentials):
            return False
        del self._challenges[request.call_id]
        return True

    def _new_challenge(self, request: SipRequest) -> Challenge:
        challenge = Challenge(self.registrar.realm, secrets.token_hex(12))
        self._challenges.setdefault(request.call_id, []).append(challenge)
        return challenge
