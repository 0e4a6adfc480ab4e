"""Plays one call towards a page against the steps, as ladder.py does for calls from pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.flow import handle
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.towards_page.incoming import begin_incoming
from kemi.core.messages import Reply, Request, Side
from kemi.core.registration import Flow, Registration
from kemi.state.calls import record_from_text, record_to_text
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import (
    ALICE,
    BOB,
    REGISTRATION,
    SETTINGS,
    Actions,
    header_reader,
    registered,
)

TAG = "gw-in-1"
CALLER_TAG = "caller"
PAGE_TAG = "page"
CALL_ID = "call-in"
KEY = f"{CALL_ID};{TAG}"
PAGE_CONTACT = "sip:x@page.invalid;transport=ws"
CALLER_CONTACT = "sip:bob@198.51.100.7:5080"
ROUTES = ("<sip:scscf.ims.example;lr>", "<sip:other.ims.example;lr>")
OUR_VIA = "SIP/2.0/WS 127.0.0.1:8080;branch=z9hG4bKours"
CORE_VIA = "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKtheirs"
FLOW = Flow("7", "nonce", "198.51.100.9", "127.0.0.1:40000")


def offer(*, video: bool = False) -> str:
    """Return the core's offer."""
    return device_offer(DeviceMedia(video="VP8" if video else None))


def invite(
    body: str | None = None,
    headers: Mapping[str, Iterable[str]] | None = None,
    *,
    content_type: str = "application/sdp",
    contact: str = f"<{CALLER_CONTACT}>",
) -> Request:
    """Return the core's INVITE."""
    fields: dict[str, Iterable[str]] = {
        "Via": [CORE_VIA],
        "Record-Route": [", ".join(ROUTES)],
        "Supported": ["100rel, timer, replaces"],
        "P-Called-Party-ID": [f"<{ALICE}>"],
        "P-Charging-Vector": ["icid-value=abc"],
        **(headers or {}),
    }
    return Request(
        side=Side.IMS,
        method="INVITE",
        call_id=CALL_ID,
        from_tag=CALLER_TAG,
        to_tag="",
        cseq=5,
        contact=contact,
        body=offer() if body is None else body,
        content_type=content_type,
        headers=header_reader(fields),
        request_uri=PAGE_CONTACT,
        from_uri=BOB,
        to_uri=ALICE,
        source="198.51.100.7:5060",
    )


class Incoming:
    """A call towards a page at some stage; ``actions`` are those of the last step."""

    def __init__(
        self, request: Request, settings: CallSettings = SETTINGS, registration: Registration = REGISTRATION
    ) -> None:
        self.settings = settings
        self.record, first = begin_incoming(
            request, FLOW, registration, settings, gateway_tag=TAG, session_id=4711, node="192.0.2.9:2223"
        )
        self.actions = Actions(first)
        self._reserved = self.actions.all(act.ReserveIncoming)

    @classmethod
    def offered(cls, request: Request | None = None) -> Incoming:
        """The INVITE is judged; the relay has not been asked yet."""
        call = cls(request or invite())
        call.on(ev.TransactionCreated(1, 2))
        return call

    @classmethod
    def sent(cls, request: Request | None = None) -> Incoming:
        """The INVITE is out to the page."""
        call = cls.offered(request)
        call.reserved()
        return call

    @classmethod
    def ringing(cls, request: Request | None = None) -> Incoming:
        """The page rings."""
        call = cls.sent(request)
        call.on(call.wic_reply(180))
        return call

    @classmethod
    def confirmed(cls, request: Request | None = None) -> Incoming:
        """Answered, media connected, acknowledged."""
        call = cls.ringing(request)
        call.answer()
        call.on(call.ims_request("ACK", cseq=5))
        return call

    # -- steps

    def on(self, event: ev.Event) -> Actions:
        """Handle one event; the record goes through JSON first."""
        self.record = record_from_text(record_to_text(self.record))
        self.actions = Actions(handle(self.record, event, self.settings))
        return self.actions

    def reserved(self) -> Actions:
        """The relay gives ports for everything that was asked."""
        (reserve,) = self._reserved
        offers = {kind: sdp.relay_reverse_offer(kind) for kind in reserve.media}
        return self.on(ev.IncomingReserved(offers, reserve.edits))

    def answer(self, body: str | None = None) -> Actions:
        """The page answers 200 with a description; the relay takes it."""
        event = self.wic_reply(200, body=self.page_answer() if body is None else body)
        taken = self.on(event).only(act.ConnectIncoming)
        return self.on(self.connected(taken))

    def connected(self, action: act.ConnectIncoming) -> ev.IncomingConnected:
        """The relay's answer for each medium the page took."""
        taken = [kind for kind, answer in action.media.items() if answer is not None]
        return ev.IncomingConnected({kind: sdp.relay_offer(kind) for kind in taken}, action.reply)

    def answered_ahead(self, action: act.AnswerAhead) -> ev.AnsweredAhead:
        """The relay's answer for the core, and its offer for the page."""
        answers = {kind: sdp.relay_offer(kind) for kind in action.media}
        return ev.AnsweredAhead(answers, {kind: sdp.relay_reverse_offer(kind) for kind in action.media})

    def page_answer(self, *, refuse: tuple[str, ...] = ()) -> str:
        """Answer our offer as a browser does."""
        return sdp.page_answer(self.record.wic_description, refuse=refuse)

    # -- events

    def wic_reply(
        self,
        status: int,
        *,
        method: str = "INVITE",
        cseq: int = 5,
        body: str = "",
        tag: str = PAGE_TAG,
        contact: str = f"<{PAGE_CONTACT};ob>",
        headers: Mapping[str, Iterable[str]] | None = None,
    ) -> ev.WicReply:
        """The page responds."""
        return ev.WicReply(
            Reply(
                side=Side.WIC,
                method=method,
                call_id=CALL_ID,
                from_tag=TAG,
                to_tag=tag,
                cseq=cseq,
                contact=contact,
                body=body,
                content_type="application/sdp" if body else "",
                headers=header_reader({"Via": [OUR_VIA], **(headers or {})}),
                status=status,
                reason_phrase="Whatever",
            )
        )

    def ims_reply(self, status: int, *, method: str, cseq: int) -> ev.ImsReply:
        """The core responds to a request of the page."""
        reply = Reply(Side.IMS, method, CALL_ID, TAG, CALLER_TAG, cseq, status=status)
        return ev.ImsReply(reply)

    def ims_request(
        self,
        method: str,
        *,
        cseq: int = 6,
        from_tag: str = CALLER_TAG,
        to_tag: str = TAG,
        body: str = "",
        contact: str = "",
        alive: bool = True,
        headers: Mapping[str, Iterable[str]] | None = None,
    ) -> ev.ImsRequest:
        """The core sends a request inside the dialog."""
        request = replace(
            invite(body, headers),
            method=method,
            cseq=cseq,
            from_tag=from_tag,
            to_tag=to_tag,
            contact=contact,
            content_type="application/sdp" if body else "",
        )
        return ev.ImsRequest(request, alive)

    def wic_request(
        self,
        method: str,
        *,
        cseq: int = 1,
        from_tag: str = PAGE_TAG,
        to_tag: str = TAG,
        body: str = "",
        contact: str = "",
        connection_id: str = "7",
        owner: str = ALICE,
        headers: Mapping[str, Iterable[str]] | None = None,
    ) -> ev.WicRequest:
        """The page sends a request inside the dialog."""
        request = Request(
            side=Side.WIC,
            method=method,
            call_id=CALL_ID,
            from_tag=from_tag,
            to_tag=to_tag,
            cseq=cseq,
            contact=contact,
            body=body,
            content_type="application/sdp" if body else "",
            headers=header_reader(headers or {}),
            connection_id=connection_id,
            source="127.0.0.1:40000" if connection_id == "7" else "127.0.0.1:40777",
        )
        return ev.WicRequest(request, lambda: registered(owner))


def record_at(stage: str) -> CallRecord:
    """Return the record at a named stage: offered, sent, ringing or confirmed."""
    call: Incoming = getattr(Incoming, stage)()
    return call.record
