"""A call from the scripted core to a page behind the gateway."""

from __future__ import annotations

from tests.peers.core_call import SUCCESS, CoreCall, fields_of_hop
from tests.peers.dialog import Dialog, Pairs, dialog_of_caller
from tests.peers.sip import CSeq, Headers, SipRequest, SipResponse
from tests.peers.trace import DEFAULT_WAIT_S
from tests.peers.udp import T1_S, Address, UdpPeer


class CallingDevice(CoreCall):
    """A call from the core to a page behind the gateway."""

    def __init__(self, peer: UdpPeer, invite: SipRequest, gateway: Address) -> None:
        super().__init__(peer, invite, gateway)
        self.pracks = True
        """Whether reliable responses are acknowledged at once."""
        self._pracked: set[tuple[str, int]] = set()

    def start(self) -> None:
        """Send the INVITE and follow it."""
        self.peer.spawn(self._run())

    async def wait_status(
        self, status: int | range, *, count: int = 1, timeout_s: float = DEFAULT_WAIT_S
    ) -> SipResponse:
        """Return the `count`-th response of that status to the INVITE."""
        return await self.trace.wait_response(
            status, "INVITE", call_id=self.call_id, count=count, timeout_s=timeout_s
        )

    def cancel(self, headers: Pairs = ()) -> None:
        """CANCEL the INVITE."""
        fields = [
            *fields_of_hop(self.invite, "To"),
            ("CSeq", str(CSeq(self.invite.cseq.number, "CANCEL"))),
            *headers,
        ]
        request = SipRequest("CANCEL", self.invite.request_uri, headers=Headers(fields))
        self.peer.send(request, self.gateway)

    def response_received(self, response: SipResponse) -> None:
        """Make the dialog, PRACK reliable responses, ACK the answer."""
        super().response_received(response)
        if response.cseq.method != "INVITE" or response.cseq.number != self.invite.cseq.number:
            return
        tag = response.to_tag
        if response.status > 100 and tag is not None and response.status < 300 and "a" not in self.dialogs:
            self.dialogs["a"] = self._dialog_of(response)
        number = (tag or "", response.rseq or 0)
        if self.pracks and response.is_reliable and tag is not None and number not in self._pracked:
            self._pracked.add(number)
            self.peer.spawn(self._send_prack(response))
        if response.status >= 200:
            dialog = self.dialogs.get("a") or self._dialog_of(response)
            destination = self.gateway
            if response.status in SUCCESS:
                dialog.remote_target = response.contact_uri or dialog.remote_target
                destination = (dialog.next_hop.host, dialog.next_hop.port or 5060)
            self._acknowledge(self.invite, response, dialog, destination)

    def _dialog_of(self, response: SipResponse) -> Dialog:
        """The device's dialog, with the core's own hops passed already (RFC 3261 §12.1.2, §16.12)."""
        own_hops = self.invite.record_route
        dialog = dialog_of_caller(self.invite, response)
        if response.status < 300 and response.record_route != own_hops:
            self.violations.append(f"{response.status} with Record-Route {response.record_route}")
        dialog.route_set = [route for route in dialog.route_set if route not in own_hops]
        dialog.route_set_of_peer = own_hops
        return dialog

    async def _run(self) -> None:
        await self.peer.ask(self.invite, self.gateway, timeout_s=64 * T1_S)

    async def prack(self, response: SipResponse, *, rack: str = "", sdp: str = "") -> SipResponse:
        """Acknowledge a reliable response, or say what `rack` says; return the final response."""
        value = rack or f"{response.rseq} {response.cseq}"
        return await self.ask("PRACK", headers=[("RAck", value)], sdp=sdp)

    async def _send_prack(self, response: SipResponse) -> None:
        await self.prack(response)
