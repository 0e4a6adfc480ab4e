"""A running call: a live page, the real relay driven by the gateway's actions, and far ends that speak plain RTP.

Stands where the SIP side stands: keeps what each side described last and asks the relay for changes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

from aiortc import RTCSessionDescription

from kemi.core.call import actions as act
from kemi.core.call.events import MediaMoved, Renewed
from kemi.core.edits import MessageEdits
from kemi.core.messages import Reply, Side
from kemi.core.sdp.interwork.moved import moved_client_offer
from kemi.core.sdp.model import Direction, MediaDescription, Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from rtpengine.sessions import IMS_TAG
from tests.contract.rtpengine.daemon import Daemon
from tests.contract.rtpengine.live_page import LivePage, described, relay_text
from tests.contract.rtpengine.relay import relay_of
from tests.contract.rtpengine.sdp import answer_to, section
from tests.peers.aiortc_wic import PictureTrack, ToneTrack

SENDS: Final = {"audio": ToneTrack, "video": PictureTrack}
CALL_ID: Final = "call"
_UNDER_WAY_S: Final = 0.1
"""How long a page's answer takes: its ICE checks and its ClientHello are there before."""
_REPLY: Final = Reply(Side.IMS, "INVITE", CALL_ID, "page", "core", 1)


async def _go_on() -> None:
    """Wait for nothing."""


@dataclass
class Medium:
    """What is known of one medium of the call."""

    kind: str
    mid: str
    """Of the line the page sends on."""
    heard: str
    """Mid of the line it receives on."""
    wic_line: str
    ims_line: str
    ims_port: int
    """The relay's port for the far end."""
    reverse_line: str | None = None


class LiveCall:
    """One call; use as an async context manager."""

    def __init__(
        self,
        daemon: Daemon,
        transport: str = "shared",
        *,
        one_way: bool = False,
        spare: Daemon | None = None,
        mute: bool = False,
    ) -> None:
        """`one_way`: the page has a line to send and one to receive, in place of one for both; `spare`: another node
        the call can move to; `mute`: the page sends nothing before `speak`."""
        address = daemon.address
        self.relay = relay_of(*(one for one in (daemon, spare) if one is not None))
        self.node = f"{address.host}:{address.port}"
        self.transport, self.one_way = transport, one_way
        self.page = LivePage()
        self.media: dict[str, Medium] = {}
        self.mute = mute
        self.passing = (True, True)
        """Whether changes let media of the page and of the far end pass."""
        self._lines: dict[str, tuple[str, Direction]] = {}
        """By mid: the relay's text and our direction, as we described them last to the page."""
        self._groups: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.page.close()
        self.relay.release(act.ReleaseMedia(CALL_ID, self.node, tuple(self.media) or ("audio",)))

    @property
    def web_ports(self) -> list[int]:
        """The relay's ports for the page, and those of whoever stood in for it."""
        return self._ports(lambda tag: tag != IMS_TAG)

    @property
    def core_ports(self) -> list[int]:
        """The relay's ports for the far end, RTP and RTCP, whether it was told of them or not."""
        return self._ports(lambda tag: tag == IMS_TAG)

    def _ports(self, wanted: Callable[[str], bool]) -> list[int]:
        ports = []
        for kind in self.media or ("audio",):
            tags = self.relay.statistics(self.node, CALL_ID, kind).read().tags
            streams = [stream for tag, found in tags.items() if wanted(tag) for stream in found.streams()]
            ports += [stream.local_port for stream in streams if stream.local_port]
        return ports

    def speak(self, kind: str) -> None:
        """Let a mute page send from now on."""
        self.mute = False
        (sending,) = (
            one for one in self.page.connection.getTransceivers() if one.mid == self.media[kind].mid
        )
        sending.sender.replaceTrack(SENDS[kind]())

    # -- set-up

    async def page_offers(
        self,
        kind: str,
        *codecs: str,
        host: str,
        port: int,
        reserved: Callable[[], Awaitable[None]] = _go_on,
        connected: Callable[[], Awaitable[None]] = _go_on,
        answered: bool = True,
    ) -> None:
        """Let the page offer a new medium, and the far end answer with these codecs; ``answered``: at once.

        `reserved` is awaited when the relay has ports and the page does not know them, `connected` when the page's
        media is up and the far end has not answered.
        """
        one_way = self._one_way()
        source = kind if self.mute else SENDS[kind]()
        self.page.connection.addTransceiver(source, direction="sendonly" if one_way else "sendrecv")
        offer = await self.page.reoffer()
        own = offer.media[-1]
        wic_line = relay_text(own)
        reserve = act.ReserveMedia(
            CALL_ID, self.node, self.transport, (act.MediumRequest(kind, wic_line, one_way),)
        )
        given = self.relay.reserve(reserve).reserved[kind]
        ims_line = answer_to(given.relay_offer, *codecs, host=host, port=port)
        mid = own.mid or ""
        medium = Medium(kind, mid, mid, wic_line, ims_line, section(given.relay_offer).port)
        self.media[kind] = medium
        self._lines[mid] = (given.relay_answer, own.direction.mirrored)
        await reserved()
        if one_way and self.transport == "shared":
            self._groups.append(mid)
        await self.page.take(self._answer(offer))
        if one_way:
            await self._offer_reverse(medium, given.reverse_offer)
        if connected is not _go_on:
            await self.page.until_connected()
            await connected()
        if answered:
            self.far_end_answers(kind)
        await self.page.until_connected()

    def far_end_answers(self, kind: str) -> None:
        """Let the relay work with the far end's answer to what the page has offered."""
        medium = self.media[kind]
        answer = act.MediumAnswer(
            kind, medium.wic_line, medium.heard != medium.mid, medium.ims_line, medium.reverse_line
        )
        self.relay.connect(act.ConnectMedia(CALL_ID, self.node, self.transport, (answer,), _REPLY))

    def _one_way(self) -> bool:
        """aiortc knows one group only: a second medium has one line where the first has two in a group."""
        return self.one_way and not self._groups

    async def _offer_reverse(self, medium: Medium, text: str | None) -> None:
        """Offer the page its receiving line, and tell the relay the answer where that has its own transport."""
        medium.heard = added = str(len(self._lines))
        self._lines[added] = (text or self._lines[medium.mid][0], Direction.SENDONLY)
        if text is None:
            self._groups[-1] = f"{medium.mid} {added}"
        answer = sdp_from_text(await self.page.answer_offer(sdp_to_text(self._offer())))
        if text is not None:
            medium.reverse_line = relay_text(line_of(answer, added), "active")
            answered = act.MediumAnswer(medium.kind, medium.wic_line, True, None, medium.reverse_line)
            self.relay.accept_reverse(act.AcceptReverse(CALL_ID, self.node, self.transport, (answered,)))

    async def core_offers(
        self,
        kind: str,
        ims_offer: str,
        *,
        ringing: Callable[[], Awaitable[None]] = _go_on,
        answering: Callable[[], Awaitable[None]] = _go_on,
    ) -> str:
        """Let the core offer a new medium, and the page take it; returns the answer for the core.

        `ringing` is awaited when the relay has ports and the page has not answered, `answering` while its answer is
        under way and its media is up.
        """
        reserve = act.ReserveIncoming(CALL_ID, self.node, {kind: ims_offer}, MessageEdits())
        text = self.relay.reserve_incoming(reserve).offers[kind]
        mid = heard = str(len(self._lines))
        one_way = self._one_way()
        if one_way:
            heard = str(len(self._lines) + 1)
            self._lines |= {mid: (text, Direction.RECVONLY), heard: (text, Direction.SENDONLY)}
            self._groups.append(f"{mid} {heard}")
        else:
            self._lines[mid] = (text, Direction.SENDRECV)
        await ringing()
        connection = self.page.connection
        await connection.setRemoteDescription(RTCSessionDescription(sdp_to_text(self._offer()), "offer"))
        (sending,) = (one for one in connection.getTransceivers() if one.mid == mid)
        if not self.mute:
            sending.sender.replaceTrack(SENDS[kind]())
        sending.direction = "sendonly" if one_way else "sendrecv"
        await connection.setLocalDescription(await connection.createAnswer())
        answer = sdp_from_text(connection.localDescription.sdp)
        await asyncio.sleep(_UNDER_WAY_S)
        await answering()
        # The relay knows one two-way line: the page's sending line has the transport of both.
        wic_line = relay_text(line_of(answer, mid), "active")
        connect = act.ConnectIncoming(CALL_ID, self.node, {kind: wic_line}, _REPLY)
        ims_answer = self.relay.connect_incoming(connect).answers[kind]
        self.media[kind] = Medium(kind, mid, heard, wic_line, ims_offer, section(ims_answer).port)
        await self.page.until_connected()
        return ims_answer

    # -- changes

    def renew(self, kind: str, *, another_association: bool = False) -> Renewed:
        """Tell the relay what both sides said last."""
        change = replace(self._change(kind), another_association=another_association)
        action = act.RenewMedia(CALL_ID, self.node, self.transport, (change,), "bearer")
        event = self.relay.renew(action)
        assert event.bearer == "bearer"
        return event.renewed[kind]

    async def restart_ice(self) -> dict[str, Renewed]:
        """Let the page move to other sockets, with the same certificate."""
        offer = await self.page.restart_ice()
        renewed = self._page_moved(offer)
        await self.page.restarted(self._answer(offer))
        return renewed

    async def go_over(self, preference: int) -> None:
        """Let the page go on from an address that its ICE prefers so much, and say nothing of it in SIP."""
        await self.page.go_over(self._lines_of_relay(), preference)

    async def offer_restart(self) -> None:
        """Let the relay begin ICE anew, which the page did not ask for."""
        changes = tuple(self._change(kind) for kind in self.media)
        action = act.RestartIce(CALL_ID, self.node, self.transport, changes, "bearer")
        event = self.relay.restart_ice(action)
        assert event.bearer == "bearer"
        for kind, medium in self.media.items():
            for mid in (medium.mid, medium.heard):
                self._lines[mid] = (event.offers[kind], self._lines[mid][1])
        credentials = await self.page.answer_restart(self._lines_of_relay())
        await asyncio.sleep(_UNDER_WAY_S)
        for kind, medium in self.media.items():
            medium.wic_line = with_credentials(medium.wic_line, *credentials[medium.mid])
            self.core_reoffers(kind, medium.ims_line)
        assert self.page.moved is not None
        await self.page.moved

    def _lines_of_relay(self) -> dict[str, MediaDescription]:
        return {mid: sdp_from_text(text).media[0] for mid, (text, _) in self._lines.items()}

    async def replace_page(self) -> dict[str, Renewed]:
        """Let the page offer from a new connection: other sockets, another certificate, the same lines."""
        lines = [(one.kind, one.direction) for one in self.page.connection.getTransceivers()]
        await self.page.close()
        self.page = LivePage()
        for kind, direction in lines:
            source = SENDS[kind]() if "send" in direction else kind
            self.page.connection.addTransceiver(source, direction=direction)
        offer = await self.page.reoffer()
        renewed = self._page_moved(offer, another_association=True)
        await self.page.take(self._answer(offer))
        await self.page.until_connected()
        return renewed

    async def move(self, *, asked: Callable[[], Awaitable[None]] = _go_on) -> None:
        """Move the media to the other node: the page answers from a new connection, as aiortc cannot do otherwise.

        `asked` is awaited when the new node has ports and neither side has answered.
        """
        changes = tuple(self._change(kind) for kind in self.media)
        event = self.relay.move(act.MoveMedia(CALL_ID, self.node, changes, "bearer"))
        assert isinstance(event, MediaMoved)
        assert (event.node == self.node, event.bearer) == (False, "bearer")
        self.node = event.node
        places = {mid: place for place, mid in enumerate(self._lines)}
        texts: dict[int, str] = {}
        for kind, medium in self.media.items():
            given = event.moved[kind]
            texts[places[medium.heard]] = given.reverse_offer or given.wic_offer
            texts[places[medium.mid]] = given.wic_offer
            medium.ims_port = section(given.ims_answer).port
        await asked()
        offer = moved_client_offer(self._offer(), texts, Origin(4711, 2))
        answer = await self._answer_anew(offer)
        await asyncio.sleep(_UNDER_WAY_S)
        for medium in self.media.values():
            medium.wic_line = relay_text(line_of(answer, medium.mid), "active")
            if medium.reverse_line is not None:
                medium.reverse_line = relay_text(line_of(answer, medium.heard), "active")
            self.core_reoffers(medium.kind, medium.ims_line, first=True)
        await self.page.until_connected()

    async def _answer_anew(self, offer: SessionDescription) -> SessionDescription:
        sending = {medium.mid: medium.kind for medium in self.media.values()}
        await self.page.close()
        self.page = LivePage(self.page)
        connection = self.page.connection
        await connection.setRemoteDescription(RTCSessionDescription(sdp_to_text(offer), "offer"))
        for one in connection.getTransceivers():
            if one.mid in sending:
                one.sender.replaceTrack(SENDS[sending[one.mid]]())
                one.direction = "sendrecv"
        await connection.setLocalDescription(await connection.createAnswer())
        return sdp_from_text(connection.localDescription.sdp)

    def _page_moved(
        self, offer: SessionDescription, *, another_association: bool = False
    ) -> dict[str, Renewed]:
        renewed = {}
        for kind, medium in self.media.items():
            medium.wic_line = relay_text(line_of(offer, medium.mid))
            if medium.reverse_line is not None:
                medium.reverse_line = relay_text(line_of(offer, medium.heard))
            renewed[kind] = given = self.renew(kind, another_association=another_association)
            for mid, text in (
                (medium.heard, given.reverse_answer or given.relay_answer),
                (medium.mid, given.relay_answer),
            ):
                self._lines[mid] = (text, self._lines[mid][1])
        return renewed

    def core_reoffers(self, kind: str, ims_offer: str, *, first: bool = False) -> str:
        """Take a new offer of the core, which the page hears nothing of; returns the answer for the core."""
        self.media[kind].ims_line = ims_offer
        action = act.ReofferFromIms(
            CALL_ID, self.node, self.transport, (self._change(kind),), first=first, bearer="bearer"
        )
        event = self.relay.reoffer_from_ims(action)
        assert event.bearer == "bearer"
        return event.answers[kind]

    def gate(self, kind: str, *, wic_to_ims: bool, ims_to_wic: bool) -> None:
        """Open and close both directions."""
        medium = act.MediumGate(kind, wic_to_ims, ims_to_wic)
        event = self.relay.gate(act.GateMedia(CALL_ID, self.node, (medium,), "bearer"))
        assert event.bearer == "bearer"

    def release(self, kind: str) -> None:
        """End one medium at the relay."""
        self.relay.release(act.ReleaseMedia(CALL_ID, self.node, (kind,)))
        del self.media[kind]

    def _change(self, kind: str) -> act.MediumChange:
        medium = self.media[kind]
        return act.MediumChange(kind, medium.wic_line, medium.ims_line, medium.reverse_line, *self.passing)

    # -- descriptions

    def _answer(self, offer: SessionDescription) -> SessionDescription:
        lines = [(line, *_placed(self._lines, line.mid)) for line in offer.media]
        return described(lines, "passive", *self._groups)

    def _offer(self) -> SessionDescription:
        return described(
            [(None, *_placed(self._lines, mid)) for mid in self._lines], "actpass", *self._groups
        )


def _placed(lines: dict[str, tuple[str, Direction]], mid: str | None) -> tuple[str, str, Direction]:
    text, direction = lines[mid or ""]
    return text, mid or "", direction


def with_credentials(line: str, ufrag: str, pwd: str) -> str:
    """Return a page's line with others of its ICE."""
    line = re.sub(r"(?<=a=ice-ufrag:)\S+", ufrag, line)
    return re.sub(r"(?<=a=ice-pwd:)\S+", pwd, line)


def line_of(description: SessionDescription, mid: str) -> MediaDescription:
    """Return the line with this mid."""
    (line,) = (line for line in description.media if line.mid == mid)
    return line
