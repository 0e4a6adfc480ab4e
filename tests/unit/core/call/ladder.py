"""Plays one call against the steps: events by hand, actions to look at.

Between two steps the record goes through JSON, as it does between two worker processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.flow import handle
from kemi.core.call.from_page.setup import begin_call
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.messages import HeaderReader, Reply, Request, Side
from kemi.core.registration import Registration
from kemi.state.calls import record_from_text, record_to_text
from tests.unit.core.call import descriptions as sdp

SETTINGS = CallSettings(
    realm="ims.example",
    network="visited.example",
    ims_host="192.0.2.1:5060",
    media_address="192.0.2.1",
    audio_codecs=("opus", "AMR-WB", "PCMA", "PCMU"),
    video_codecs=("H264", "VP8"),
)
ALICE = "sip:alice@ims.example"
BOB = "sip:bob@ims.example"
CALL_ID = "call-1"
WIC_TAG, GATEWAY_TAG = "page", "ours"
CORE_CONTACT = "sip:bob@198.51.100.7:5080"
CORE_ROUTES = ("<sip:scscf.ims.example;lr>", "<sip:pcscf.ims.example;lr>")
"""Record-Route of the core's responses: the far end's proxy first, so that routes are sent in reverse."""
REGISTRATION = Registration(
    address_of_record=ALICE,
    contact="sip:x@page.invalid;transport=ws",
    expires_at=4_000_000_000.0,
    service_route=["<sip:orig@scscf.ims.example:6060;lr>"],
    associated_uris=[f'"Alice" <{ALICE}>', "<tel:+15550100>"],
)
FULL_SUPPORT = {
    "Allow": ["INVITE, ACK, CANCEL, BYE", "PRACK, UPDATE"],
    "Supported": ["100rel, outbound"],
    "User-Agent": ["page/1.0"],
}
NO_100REL = {"Allow": ["INVITE, ACK, CANCEL, BYE, UPDATE"], "Supported": ["outbound"]}

A = TypeVar("A", bound=act.Action)


def registered(owner: str) -> Registration | None:
    """Return the registration of a connection that this user has come back on; "": of one without."""
    contact = "sip:again@page.invalid;transport=ws"
    return replace(REGISTRATION, address_of_record=owner, contact=contact) if owner else None


def header_reader(fields: Mapping[str, Iterable[str]]) -> HeaderReader:
    """Return a reader of these header fields; names in any case, as Kamailio does it."""
    lower = {name.lower(): list(values) for name, values in fields.items()}
    return lambda name: list(lower.get(name.lower(), []))


class Actions(list[act.Action]):
    """What a step asked for."""

    def all(self, kind: type[A]) -> list[A]:
        """Return the actions of this kind, in order."""
        return [action for action in self if isinstance(action, kind)]

    def only(self, kind: type[A]) -> A:
        """Return the one action of this kind."""
        found = self.all(kind)
        assert len(found) == 1, f"{len(found)} × {kind.__name__} in {self.names}"
        return found[0]

    @property
    def names(self) -> list[str]:
        """Return what was asked for, notes left out."""
        return [type(action).__name__ for action in self if not isinstance(action, act.Note)]

    @property
    def reply(self) -> tuple[int, str]:
        """Return status and reason phrase of the one local answer."""
        sent = self.only(act.SendReply)
        return sent.status, sent.reason_phrase


def invite(
    body: str | None = None,
    headers: Mapping[str, Iterable[str]] = FULL_SUPPORT,
    *,
    content_type: str = "application/sdp",
    contact: str = "<sip:x@page.invalid;transport=ws>;+sip.ice",
) -> Request:
    """Return the page's INVITE."""
    return Request(
        side=Side.WIC,
        method="INVITE",
        call_id=CALL_ID,
        from_tag=WIC_TAG,
        to_tag="",
        cseq=1,
        contact=contact,
        body=sdp.chromium("audio-sendonly") if body is None else body,
        content_type=content_type,
        headers=header_reader(headers),
        request_uri=BOB,
        from_uri=ALICE,
        to_uri=BOB,
        connection_id="7",
        source="127.0.0.1:40000",
    )


class Call:
    """One call, at whatever stage the test wants it."""

    def __init__(self, request: Request, registration: Registration | None = REGISTRATION) -> None:
        self.settings = SETTINGS
        self.record, first = begin_call(
            request,
            registration,
            self.settings,
            gateway_tag=GATEWAY_TAG,
            session_id=1000,
            node="192.0.2.9:2223",
        )
        self.actions = Actions(first)
        self._reserve = self.actions.only(act.ReserveMedia)

    # -- stages, each from the one before

    @classmethod
    def offered(cls, body: str | None = None, headers: Mapping[str, Iterable[str]] = FULL_SUPPORT) -> Call:
        """The INVITE is judged and has its transaction; the relay is asked for ports."""
        call = cls(invite(body, headers))
        call.on(ev.TransactionCreated(11, 22))
        return call

    @classmethod
    def answered_early(
        cls, body: str | None = None, headers: Mapping[str, Iterable[str]] = FULL_SUPPORT
    ) -> Call:
        """Our answer is out in the reliable 183; the PRACK is awaited."""
        call = cls.offered(body, headers)
        call.reserved()
        return call

    @classmethod
    def updating(cls, body: str | None = None, headers: Mapping[str, Iterable[str]] = FULL_SUPPORT) -> Call:
        """The PRACK is in, our UPDATE is out."""
        call = cls.answered_early(body, headers)
        call.on(call.prack(1))
        return call

    @classmethod
    def forwarded(cls, body: str | None = None, headers: Mapping[str, Iterable[str]] = FULL_SUPPORT) -> Call:
        """The page took the UPDATE; the INVITE is on its way to the core."""
        call = cls.updating(body, headers)
        taken = call.on(ev.UpdateAnswered(200, sdp.page_answer(call.record.update_offer)))
        if taken.all(act.AcceptReverse):
            call.on(ev.ReverseAccepted())
        call.on(ev.InviteResumed())
        return call

    @classmethod
    def ringing(cls, tag: str = "core1") -> Call:
        """One fork rings."""
        call = cls.forwarded()
        call.on(call.ims_reply(180, tag))
        return call

    @classmethod
    def confirmed(cls, tag: str = "core1", body: str | None = None) -> Call:
        """Answered, media connected, acknowledged."""
        call = cls.forwarded(body)
        kinds = [medium.kind for medium in call.record.media]
        call.answer(tag, sdp.core_answer(*kinds))
        call.on(call.wic_request("ACK", cseq=1))
        return call

    # -- steps

    def on(self, event: ev.Event) -> Actions:
        """Handle one event; the record goes through JSON first."""
        self.record = record_from_text(record_to_text(self.record))
        self.actions = Actions(handle(self.record, event, self.settings))
        return self.actions

    def reserved(self) -> Actions:
        """The relay gives ports for everything that was asked."""
        given = {
            medium.kind: ev.Reserved(
                sdp.relay_offer(medium.kind, 30000 + 2 * number),
                sdp.relay_answer(medium.kind, 30100 + 2 * number),
                sdp.relay_reverse_offer(medium.kind, 30200 + 2 * number)
                if medium.reverse and self._reserve.transport == "split"
                else None,
            )
            for number, medium in enumerate(self._reserve.media)
        }
        return self.on(ev.MediaReserved(given, self._reserve.context))

    def answer(self, tag: str = "core1", body: str | None = None) -> Actions:
        """The core answers 200 with a description; the relay takes it."""
        event = self.ims_reply(200, tag, body=sdp.core_answer() if body is None else body)
        self.on(event)
        return self.on(ev.MediaConnected(event.reply))

    # -- events

    def prack(self, rseq: int, *, cseq: int = 2, rack: str | None = None, body: str = "") -> ev.WicRequest:
        """The page acknowledges a provisional response."""
        return self.wic_request(
            "PRACK", cseq=cseq, headers={"RAck": [f"{rseq} 1 INVITE" if rack is None else rack]}, body=body
        )

    def wic_request(
        self,
        method: str,
        *,
        cseq: int = 9,
        headers: Mapping[str, Iterable[str]] | None = None,
        body: str = "",
        contact: str = "",
        connection_id: str = "7",
        owner: str = ALICE,
        to_tag: str = GATEWAY_TAG,
        from_tag: str = WIC_TAG,
    ) -> ev.WicRequest:
        """The page sends a request inside the dialog."""
        source = "127.0.0.1:40000" if connection_id == "7" else "127.0.0.1:40777"
        request = replace(
            invite(body, headers or {}),
            method=method,
            cseq=cseq,
            to_tag=to_tag,
            from_tag=from_tag,
            contact=contact,
            connection_id=connection_id,
            source=source,
            content_type="application/sdp" if body else "",
        )
        return ev.WicRequest(request, lambda: registered(owner))

    def ims_reply(
        self,
        status: int,
        tag: str = "core1",
        *,
        method: str = "INVITE",
        cseq: int = 1,
        body: str = "",
        contact: str = f"<{CORE_CONTACT}>",
        rseq: int | None = None,
        early_media: str = "",
        routes: tuple[str, ...] = CORE_ROUTES,
        headers: Mapping[str, list[str]] = MappingProxyType({}),
    ) -> ev.ImsReply:
        """The core responds to a request that came from the page."""
        fields: dict[str, list[str]] = {"Record-Route": [", ".join(routes)] if routes else [], **headers}
        if rseq is not None:
            fields |= {"Require": ["100rel"], "RSeq": [str(rseq)]}
        if early_media:
            fields["P-Early-Media"] = [early_media]
        return ev.ImsReply(
            Reply(
                side=Side.IMS,
                method=method,
                call_id=CALL_ID,
                from_tag=WIC_TAG,
                to_tag=tag,
                cseq=cseq,
                contact=contact,
                body=body,
                content_type="application/sdp" if body else "",
                headers=header_reader(fields),
                status=status,
                reason_phrase="Whatever",
            )
        )

    def ims_request(
        self,
        method: str,
        *,
        tag: str = "core1",
        cseq: int = 1,
        body: str = "",
        contact: str = "",
        alive: bool = True,
        to_tag: str = WIC_TAG,
        headers: Mapping[str, list[str]] = MappingProxyType({}),
    ) -> ev.ImsRequest:
        """The core sends a request inside the dialog of leg ``tag``."""
        request = Request(
            side=Side.IMS,
            method=method,
            call_id=CALL_ID,
            from_tag=tag,
            to_tag=to_tag,
            cseq=cseq,
            contact=contact,
            body=body,
            content_type="application/sdp" if body else "",
            from_uri=BOB,
            to_uri=ALICE,
            source="198.51.100.7:5060",
            headers=header_reader(headers),
        )
        return ev.ImsRequest(request, alive)

    def wic_reply(self, status: int, *, method: str, cseq: int, contact: str = "") -> ev.WicReply:
        """The page responds to a request that came from the core or from us."""
        return ev.WicReply(
            Reply(
                side=Side.WIC,
                method=method,
                call_id=CALL_ID,
                from_tag=GATEWAY_TAG,
                to_tag=WIC_TAG,
                cseq=cseq,
                contact=contact,
                status=status,
            )
        )


def record_at(stage: str) -> CallRecord:
    """Return the record at a named stage: offered, answered_early, updating, forwarded, ringing or confirmed."""
    call: Call = getattr(Call, stage)()
    return call.record
