"""A dialog as one peer sees it (RFC 3261 §12), and the requests made inside it.

Knows tags, route set, remote target and CSeq. Must not know sockets or when to send what.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.peers.addresses import SipUri, name_addr_from_text, sip_uri_from_text
from tests.peers.sip import (
    CSeq,
    Headers,
    SipRequest,
    SipResponse,
)

Pairs = Iterable[tuple[str, str]]

HOP_BY_HOP_FIELDS: Final = ("Via", "Max-Forwards", "Route", "From", "Call-ID")
"""What CANCEL and the ACK to a failure copy from the INVITE (RFC 3261 §9.1, §17.1.1.3)."""


@dataclass
class Dialog:
    """Dialog state; `local` and `remote` are From/To values with their tags."""

    call_id: str
    local: str
    remote: str
    remote_target: str
    route_set: list[str] = field(default_factory=list)
    local_cseq: int = 0
    route_set_of_peer: list[str] = field(default_factory=list)
    """Route set the other end must use; a peer checks it, a real UA could not."""

    @property
    def local_tag(self) -> str | None:
        """Our tag."""
        return name_addr_from_text(self.local).tag

    @property
    def remote_tag(self) -> str | None:
        """The peer's tag."""
        return name_addr_from_text(self.remote).tag

    @property
    def next_hop(self) -> SipUri:
        """Where a request of this dialog goes: first route, else remote target."""
        uri = name_addr_from_text(self.route_set[0]).uri if self.route_set else self.remote_target
        return sip_uri_from_text(uri)

    def request(
        self, method: str, *, via: str, cseq: int | None = None, headers: Pairs = (), sdp: str = ""
    ) -> SipRequest:
        """Make a request inside the dialog; without `cseq` the local sequence number grows by one."""
        if cseq is None:
            self.local_cseq += 1
            cseq = self.local_cseq
        fields = [
            ("Via", via),
            ("Max-Forwards", "70"),
            *(("Route", route) for route in self.route_set),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", str(CSeq(cseq, method))),
            *headers,
        ]
        return SipRequest(method, self.remote_target, headers=Headers(fields)).set_body(sdp)


def dialog_of_caller(request: SipRequest, response: SipResponse) -> Dialog:
    """Return the dialog a response with To-tag creates at the UAC (RFC 3261 §12.1.2)."""
    return Dialog(
        request.call_id,
        request.headers.get("From") or "",
        response.headers.get("To") or "",
        response.contact_uri or request.request_uri,
        response.record_route[::-1],
        request.cseq.number,
    )


def dialog_of_callee(request: SipRequest, local_tag: str, *, local_cseq: int = 0) -> Dialog:
    """Return the dialog a UAS creates by answering with `local_tag` (RFC 3261 §12.1.1)."""
    to = request.headers.get("To") or ""
    return Dialog(
        request.call_id,
        to if request.to_tag else f"{to};tag={local_tag}",
        request.headers.get("From") or "",
        request.contact_uri or "",
        request.record_route,
        local_cseq,
    )
