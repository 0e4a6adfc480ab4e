"""A carrier's SIP peer: answers OPTIONS, is a registrar, calls the gateway.

Knows what a carrier does. Must not know the gateway's inside.
"""

from __future__ import annotations

import secrets
import ssl
from dataclasses import dataclass, field

from tests.peers.addresses import name_addr_from_text
from tests.peers.calling_device import CallingDevice
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import CoreScript
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.dialog import Dialog, Pairs, dialog_of_caller
from tests.peers.digest import Challenge, Credentials, challenge_to_text, is_authorized
from tests.peers.sip import CSeq, Headers, SipRequest, SipResponse, new_tag, response_to
from tests.peers.stream import StreamPeer
from tests.peers.udp import Address, UdpPeer


@dataclass
class Registrar:
    """How REGISTER is treated, and what came of it."""

    credentials: Credentials | None = None
    """None: nobody is challenged."""
    algorithm: str = "MD5"
    shortest_s: int = 0
    """Shorter registrations get 423."""
    granted_s: int = 600
    leave_status: int = 200
    """What Expires 0 gets; nobody is forgotten with another one."""
    contacts: dict[str, int] = field(default_factory=dict)
    """Contact URI -> seconds granted."""


class CallOfTrunk(CallingDevice):
    """A call of the carrier's."""

    def response_received(self, response: SipResponse) -> None:
        """Stay in the dialog of the fork that answers."""
        known = self.dialogs.get("a")
        answers = response.cseq == self.invite.cseq and 200 <= response.status < 300
        if answers and known is not None and known.remote_tag != response.to_tag:
            self.dialogs["a"] = self._dialog_of(response)
        super().response_received(response)

    def _dialog_of(self, response: SipResponse) -> Dialog:
        return dialog_of_caller(self.invite, response)

    @property
    def contact(self) -> str:
        """Contact value."""
        assert isinstance(self.peer, ScriptedTrunk)
        return self.peer.contact


class CallToTrunk(CalledDevice):
    """A call of the gateway's, with no hops behind the peer."""

    def __init__(self, peer: UdpPeer, invite: SipRequest, gateway: Address, script: CoreScript) -> None:
        super().__init__(peer, invite, gateway, script)
        self._own_hops, self._record_routes = [], [*invite.record_route]

    @property
    def contact(self) -> str:
        """Contact value."""
        assert isinstance(self.peer, ScriptedTrunk)
        return self.peer.contact


class ScriptedTrunk(StreamPeer):
    """The peer; open and close it."""

    def __init__(
        self,
        transport: str = "udp",
        *,
        server: ssl.SSLContext | None = None,
        client: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__("trunk", transport, server=server, client=client)
        self.registrar = Registrar()
        self.options_status = 200
        self.options_headers: Pairs = ()
        self.calls: dict[str, CallOfTrunk | CallToTrunk] = {}
        self.script: CoreScript | None = None
        """How calls of the gateway are treated; None: the carrier is busy."""
        self._nonce = ""

    @property
    def contact(self) -> str:
        """Contact of its calls."""
        parameter = "" if self.protocol == "udp" else f";transport={self.protocol}"
        return f"<sip:carrier@{self.host_port}{parameter}>"

    async def call(
        self,
        number: str,
        gateway: Address,
        *,
        caller: str = '"Carol" <sip:+4989555@carrier.example;user=phone>',
        uri: str = "",
        headers: Pairs = (),
        media: DeviceMedia | None = None,
        contact: str = "",
    ) -> CallOfTrunk:
        """Call a number at the gateway's address; `uri` takes the place of the whole Request-URI."""
        host, port = gateway
        uri = uri or f"sip:{number}@{host}:{port};user=phone"
        chosen = media or DeviceMedia()
        fields = [
            ("Via", self.new_via()),
            ("Max-Forwards", "70"),
            ("From", f"{caller};tag={new_tag()}"),
            ("To", f"<sip:{number}@{host}:{port};user=phone>"),
            ("Call-ID", secrets.token_hex(12)),
            ("CSeq", str(CSeq(1, "INVITE"))),
            ("Contact", contact or self.contact),
            ("Allow", "INVITE,ACK,CANCEL,BYE,PRACK,UPDATE,INFO"),
            *headers,
        ]
        invite = SipRequest("INVITE", uri, headers=Headers(fields)).set_body(device_offer(chosen))
        if self.protocol != "udp":
            await self.connect(gateway)
        call = CallOfTrunk(self, invite, gateway)
        call.media = chosen
        self.calls[call.call_id] = call
        call.start()
        return call

    def request_received(self, request: SipRequest, source: Address) -> None:
        """Treat a request of the gateway."""
        call = self.calls.get(request.call_id)
        if request.method == "OPTIONS" and call is None:
            answer = response_to(request, self.options_status, to_tag=new_tag(), headers=self.options_headers)
            self.send(answer, source)
        elif request.method == "REGISTER":
            self.send(self._registered(request), source)
        elif call is not None:
            call.request_received(request, source)
        elif request.method == "INVITE" and request.to_tag is None and self.script is not None:
            called = CallToTrunk(self, request, source, self.script)
            self.calls[called.call_id] = called
            called.start()
        elif request.method != "ACK":
            busy = request.method == "INVITE" and request.to_tag is None
            self.send(response_to(request, 486 if busy else 481, to_tag=new_tag()), source)

    def response_received(self, response: SipResponse, source: Address) -> None:
        """Let the call it belongs to follow."""
        call = self.calls.get(response.call_id)
        if call is not None:
            call.response_received(response)

    def _registered(self, request: SipRequest) -> SipResponse:
        rules, tag = self.registrar, new_tag()
        challenge = Challenge("carrier", self._nonce, rules.algorithm)
        known = bool(self._nonce) and rules.credentials is not None
        if rules.credentials is not None and not (
            known and is_authorized(request, challenge, rules.credentials)
        ):
            self._nonce = secrets.token_hex(8)
            value = challenge_to_text(Challenge("carrier", self._nonce, rules.algorithm))
            return response_to(request, 401, to_tag=tag, headers=[("WWW-Authenticate", value)])
        contact = name_addr_from_text(request.headers.get("Contact") or "")
        wanted_s = int(contact.param("expires") or request.headers.get("Expires") or 3600)
        if 0 < wanted_s < rules.shortest_s:
            return response_to(request, 423, to_tag=tag, headers=[("Min-Expires", str(rules.shortest_s))])
        if wanted_s == 0 and rules.leave_status != 200:
            return response_to(request, rules.leave_status, to_tag=tag)
        if wanted_s == 0:
            rules.contacts.pop(contact.uri, None)
            return response_to(request, 200, to_tag=tag)
        rules.contacts[contact.uri] = min(wanted_s, rules.granted_s)
        bound = f"<{contact.uri}>;expires={rules.contacts[contact.uri]}"
        return response_to(request, 200, to_tag=tag, headers=[("Contact", bound)])
