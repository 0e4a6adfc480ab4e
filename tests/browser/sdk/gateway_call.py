"""A call of the gateway to the page: the caller's side of its dialog, played by hand.

Knows SIP messages. Must not know media: session descriptions are texts here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.browser.sdk.gateway import CONTACT, ScriptedGateway
from tests.peers.sip import Headers, SipRequest, SipResponse, new_branch, new_tag, response_to

CAROL = '"Carol Jones" <sip:carol@ims.example.com>'
ALICE = "<sip:alice@ims.example.com>"


class GatewayCall:
    """One INVITE to the contact that the page registered, and what follows."""

    def __init__(self, gateway: ScriptedGateway, *, caller: str = CAROL) -> None:
        contact = re.search(r"<([^>]+)>", gateway.register_contact)
        assert contact is not None, "the page has not registered"
        self.call_id = new_tag()
        self._gateway = gateway
        self._caller = caller
        self._uri = contact.group(1)
        self.from_tag = new_tag()
        self.to_tag: str | None = None
        self._branch = new_branch()
        self._cseq = 1

    async def invite(self, *, sdp: str = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        """Call, and let the page ring."""
        await self.start(sdp=sdp, headers=headers)
        await self._gateway.receive_response(100, "INVITE")
        await self._gateway.receive_response(180, "INVITE")

    async def start(self, *, sdp: str = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        """Send the INVITE."""
        fields = [("Supported", "100rel"), CONTACT, *headers]
        await self._gateway.send(self._request("INVITE", 1, self._branch, fields, sdp))

    async def answered(self) -> SipResponse:
        """Take the page's 200 and acknowledge it."""
        await self._gateway.receive_response(200, "INVITE")
        return await self.acknowledged()

    async def prack(self, response: SipResponse) -> None:
        """Acknowledge a reliable provisional response of the page (RFC 3262 §7.2)."""
        self.to_tag = response.to_tag
        self._cseq += 1
        fields = [CONTACT, ("RAck", f"{response.headers.get('RSeq')} {response.cseq}")]
        await self._gateway.send(self._request("PRACK", self._cseq, new_branch(), fields))
        reliable = f"{response.status} INVITE"
        while await self._gateway.receive_any("200 PRACK", reliable) == reliable:
            # Sent again, which the page does after half a second (RFC 3262 §3), before it had the PRACK.
            again = self._gateway.last_response_to("INVITE")
            assert again.headers.get("RSeq") == response.headers.get("RSeq")

    async def acknowledged(self) -> SipResponse:
        """Acknowledge the page's 200, which was taken last for an INVITE."""
        response = self._gateway.last_response_to("INVITE")
        self.to_tag = response.to_tag
        await self._gateway.send(self._request("ACK", 1, new_branch(), [CONTACT]))
        return response

    async def refused(self, status: int) -> SipResponse:
        """Take the page's refusal and acknowledge it in the INVITE's own transaction (RFC 3261 §17.1.1.3)."""
        response = await self._gateway.receive_response(status, "INVITE")
        ack = self._request("ACK", 1, self._branch)
        ack.headers.replace("To", response.headers.get("To") or "")
        await self._gateway.send(ack)
        return response

    async def cancel(self, reason: str | None = None) -> None:
        """Take the call back."""
        fields = [] if reason is None else [("Reason", reason)]
        await self._gateway.send(self._request("CANCEL", 1, self._branch, fields))
        # The two responses may come in either order (RFC 3261 §9.2).
        names = {await self._gateway.receive_any("200 CANCEL", "487 INVITE") for _ in range(2)}
        assert names == {"200 CANCEL", "487 INVITE"}

    async def send_request(self, method: str, *, sdp: str = "") -> None:
        """Send a request in the dialog."""
        self._cseq += 1
        await self._gateway.send(self._request(method, self._cseq, new_branch(), [CONTACT], sdp))

    async def reinvite(self, *, sdp: str = "") -> SipResponse:
        """Offer in the running call, or ask for an offer; the page's 200, which is not acknowledged yet."""
        await self.send_request("INVITE", sdp=sdp)
        while await self._gateway.receive_any("100 INVITE", "200 INVITE") == "100 INVITE":
            pass
        return self._gateway.last_response_to("INVITE")

    async def ack(self, *, sdp: str = "") -> None:
        """Acknowledge the page's 200 to `reinvite`; with `sdp`, the answer to its offer."""
        await self._gateway.send(self._request("ACK", self._cseq, new_branch(), [CONTACT], sdp))

    async def answer_request(
        self, request: SipRequest, status: int, *, sdp: str = "", headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Answer a request of the page in this dialog."""
        await self._gateway.send(response_to(request, status, headers=[CONTACT, *headers], sdp=sdp))

    async def request(
        self, method: str, *, sdp: str = "", headers: Iterable[tuple[str, str]] = ()
    ) -> SipResponse:
        """Send a request in the dialog and take the page's 200."""
        self._cseq += 1
        fields = [CONTACT, *headers]
        await self._gateway.send(self._request(method, self._cseq, new_branch(), fields, sdp))
        return await self._gateway.receive_response(200, method)

    async def respond_to(self, request: SipRequest) -> None:
        """Answer a request of the page 200."""
        await self._gateway.send(response_to(request, 200))

    async def acknowledge(self, method: str) -> SipRequest:
        """Take a request of the page in this dialog and answer it 200."""
        request = await self._gateway.receive_request(method)
        assert (request.call_id, request.to_tag) == (self.call_id, self.from_tag)
        await self._gateway.send(response_to(request, 200))
        return request

    def _request(
        self,
        method: str,
        cseq: int,
        branch: str,
        headers: Iterable[tuple[str, str]] = (),
        sdp: str = "",
    ) -> SipRequest:
        fields = [
            ("Via", f"SIP/2.0/WS 198.51.100.1;branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", f"{self._caller};tag={self.from_tag}"),
            ("To", ALICE if self.to_tag is None else f"{ALICE};tag={self.to_tag}"),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
            *headers,
        ]
        return SipRequest(method, self._uri, headers=Headers(fields)).set_body(sdp)
