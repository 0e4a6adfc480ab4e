"""The scripted core's reg event package (RFC 3680): subscriptions it has taken, and notifications on demand.

Knows the dialog of a subscription and how a document is written. Must not know who watches.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from tests.peers.addresses import sip_uri_from_text
from tests.peers.dialog import Dialog
from tests.peers.sip import SipRequest, SipResponse, new_tag, response_to
from tests.peers.udp import Address, UdpPeer

CONTENT_TYPE = "application/reginfo+xml"


@dataclass(frozen=True)
class ContactReport:
    """One contact element."""

    uri: str
    state: str = "active"
    event: str = "registered"
    expires_s: int | None = None
    more: str = ""
    """Further attributes and, after ">", elements are the test's business."""


def reginfo(
    aor: str,
    contacts: Sequence[ContactReport] = (),
    *,
    version: int,
    state: str = "active",
    kind: str = "full",
    inside: str = "",
) -> str:
    """Write a document about one address of record."""
    written = "".join(
        f'<contact id="c{number}" state={quoteattr(contact.state)} event={quoteattr(contact.event)}'
        + ("" if contact.expires_s is None else f' expires="{contact.expires_s}"')
        + f"{contact.more}><uri>{escape(contact.uri)}</uri></contact>"
        for number, contact in enumerate(contacts)
    )
    return (
        '<?xml version="1.0"?>\n'
        f'<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="{version}" state="{kind}">'
        f'<registration aor={quoteattr(aor)} id="r1" state="{state}">{written}{inside}</registration></reginfo>'
    )


@dataclass
class CoreSubscription:
    """One dialog of a watcher."""

    core: UdpPeer
    subscribe: SipRequest
    dialog: Dialog
    destination: Address
    refreshes: list[SipRequest] = field(default_factory=list)
    """Later SUBSCRIBEs of the dialog."""

    async def notify(
        self,
        body: str,
        *,
        state: str = "active;expires=600",
        content_type: str = CONTENT_TYPE,
        event: str = "reg",
    ) -> SipResponse:
        """Send a NOTIFY and return the answer."""
        headers = [
            ("Event", event),
            ("Subscription-State", state),
            ("Contact", f"<sip:{self.core.host_port}>"),
        ]
        request = self.dialog.request("NOTIFY", via=self.core.new_via(), headers=headers)
        if body:
            request.set_body(body, content_type)
        return await self.core.ask(request, self.destination)


class Subscriptions:
    """What the core has taken, by Call-ID; `status` refuses new ones, `expires_s` overrides the time asked for."""

    def __init__(self, core: UdpPeer) -> None:
        self._core = core
        self.by_call_id: dict[str, CoreSubscription] = {}
        self.status = 200
        self.expires_s: int | None = None
        self.record_route: tuple[str, ...] = ()
        """What the core adds to its 200, top first."""

    @property
    def only(self) -> CoreSubscription:
        """The one there is."""
        (found,) = self.by_call_id.values()
        return found

    def received(self, request: SipRequest, source: Address) -> None:
        """Answer a SUBSCRIBE; 0 seconds ends its dialog."""
        known = self.by_call_id.get(request.call_id)
        if request.to_tag and known is None:
            self._core.send(response_to(request, 481), source)
            return
        if self.status != 200:
            self._core.send(response_to(request, self.status, to_tag=request.to_tag or new_tag()), source)
            return
        asked = int(request.headers.get("Expires") or "3600")
        expires_s = asked if asked == 0 or self.expires_s is None else self.expires_s
        tag = known.dialog.local_tag or "" if known and request.to_tag else secrets.token_hex(6)
        headers = [
            ("Expires", str(expires_s)),
            ("Contact", f"<sip:{self._core.host_port}>"),
            *(("Record-Route", route) for route in self.record_route),
        ]
        self._core.send(response_to(request, 200, to_tag=tag, headers=headers), source)
        if known is not None and request.to_tag:
            known.refreshes.append(request)
            if expires_s == 0:
                del self.by_call_id[request.call_id]
            return
        contact = request.contact_uri or ""
        uri = sip_uri_from_text(contact)
        dialog = Dialog(
            call_id=request.call_id,
            local=f"<{request.to.uri}>;tag={tag}",
            remote=request.headers.get("From") or "",
            remote_target=contact,
        )
        self.by_call_id[request.call_id] = CoreSubscription(
            self._core, request, dialog, (uri.host, uri.port or 5060)
        )
