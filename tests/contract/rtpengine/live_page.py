"""A page with real ICE, DTLS-SRTP, Opus and VP8 (aiortc), whose lines are handed to rtpengine as the gateway does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Final

import aioice
from aioice.candidate import candidate_priority
from aioice.ice import CandidatePair
from aioice.stun import Message
from aiortc import RTCIceTransport, RTCSessionDescription

from kemi.core.sdp.build import session_description, session_section
from kemi.core.sdp.interwork.relay import client_line, one_line_text, only_line
from kemi.core.sdp.interwork.wic import rewritten_line
from kemi.core.sdp.model import Direction, MediaDescription, Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from tests.peers.aiortc_wic import AiortcMedia

_CANDIDATES: Final = ("a=candidate:", "a=end-of-candidates")
_CODECS: Final = frozenset({"opus", "telephone-event", "vp8"})


class LivePage(AiortcMedia):
    """A page that can restart ICE, which aiortc by itself cannot."""

    def __init__(self, former: LivePage | None = None) -> None:
        """``former``: the page goes on with the certificate it had, as a browser's does."""
        super().__init__()
        if former is not None:
            certificates = "_RTCPeerConnection__certificates"
            setattr(self.connection, certificates, getattr(former.connection, certificates))
        self._restarted: dict[RTCIceTransport, aioice.Connection] = {}
        self._left: list[aioice.Connection] = []
        self.moved: asyncio.Task[None] | None = None

    @property
    def received(self) -> int:
        """RTP packets that arrived, of all lines."""
        receivers = (transceiver.receiver for transceiver in self.connection.getTransceivers())
        streams = (getattr(receiver, "_RTCRtpReceiver__remote_streams") for receiver in receivers)  # noqa: B009
        return sum(stream.packets_received for found in streams for stream in found.values())

    @property
    def ssrcs(self) -> list[int]:
        """The SSRCs of what it sends, line by line."""
        return [sender._ssrc for sender in self.connection.getSenders()]

    async def reoffer(self) -> SessionDescription:
        """Offer what there is now."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return sdp_from_text(self.connection.localDescription.sdp)

    async def restart_ice(self) -> SessionDescription:
        """Offer again with new sockets and credentials on every transport; DTLS goes on."""
        await self._open_sockets()
        for transport, fresh in self._restarted.items():
            transport.iceGatherer._connection = fresh
        return await self.reoffer()

    async def answer_restart(self, offered: Mapping[str, MediaDescription]) -> dict[str, tuple[str, str]]:
        """Take lines of the other side with new credentials, by mid, and return those of the answer.

        Its checks go on until ``moved``: they are there before the answer is.
        """
        await self._open_sockets()
        credentials = {}
        for transceiver in self.connection.getTransceivers():
            fresh = self._restarted[transceiver.receiver.transport.transport]
            credentials[str(transceiver.mid)] = fresh.local_username, fresh.local_password
        self.moved = asyncio.create_task(self._to_new_sockets(offered))
        return credentials

    async def go_over(self, offered: Mapping[str, MediaDescription], preference: int) -> None:
        """Go on from another address of one's own, preferred so much (RFC 8445 §5.1.2.1), and tell nobody but by ICE
        checks with the credentials of before."""
        await self._open_sockets(preference)
        await self._to_new_sockets(offered)

    async def _open_sockets(self, preference: int | None = None) -> None:
        """``preference``: of sockets that keep the credentials."""
        self._restarted = {}
        for transceiver in self.connection.getTransceivers():
            transport = transceiver.receiver.transport.transport
            if transport in self._restarted:
                continue
            if preference is None:
                fresh = aioice.Connection(ice_controlling=True)
            else:
                fresh = _SecondNetwork(transport._connection, preference)
            await fresh.gather_candidates()
            self._restarted[transport] = fresh

    async def restarted(self, answer: SessionDescription) -> None:
        """Take the answer and move to the new sockets once their checks have succeeded."""
        # aiortc would add candidates that it does not know to the sockets that it leaves.
        lines = sdp_to_text(answer).splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith(_CANDIDATES))
        await self.connection.setRemoteDescription(RTCSessionDescription(text, "answer"))
        await self._to_new_sockets({line.mid: line for line in answer.media if line.mid is not None})

    async def _to_new_sockets(self, by_mid: Mapping[str, MediaDescription]) -> None:
        for transceiver in self.connection.getTransceivers():
            transport = transceiver.receiver.transport.transport
            fresh = self._restarted.pop(transport, None)
            if fresh is None:
                continue
            line = by_mid[str(transceiver.mid)]
            fresh.remote_is_lite = True
            fresh.remote_username, fresh.remote_password = line.ice_ufrag, line.ice_pwd
            for value in line.attributes("candidate"):
                await fresh.add_remote_candidate(aioice.Candidate.from_sdp(value))
            await fresh.add_remote_candidate(None)
            fresh._queue = transport._connection._queue
            await fresh.connect()
            self._left.append(transport._connection)
            transport._connection, transport._send, transport._recv = fresh, fresh.send, fresh.recv
            await self._drop(self._left[-1])

    async def close(self) -> None:
        """Stop media."""
        for connection in self._left:
            await connection.close()
        await super().close()

    @staticmethod
    async def _drop(connection: aioice.Connection) -> None:
        """Close the sockets, as a page's network does when it goes, and tell nobody."""
        connection._queue = asyncio.Queue()  # whoever waits for data waits at the new sockets
        if connection._query_consent_task is not None:
            connection._query_consent_task.cancel()
        for protocol in connection._protocols:
            await protocol.close()

    async def take(self, answer: SessionDescription) -> None:
        """Apply an answer."""
        text = self._news(sdp_to_text(answer))
        await self.connection.setRemoteDescription(RTCSessionDescription(text, "answer"))

    async def answer_offer(self, sdp: str) -> str:
        """Apply an offer and return the answer."""
        return await super().answer_offer(self._news(sdp))

    def _news(self, sdp: str) -> str:
        """Leave out candidates of transports that have all of theirs: aioice refuses any that comes then."""
        complete = {
            transceiver.mid
            for transceiver in self.connection.getTransceivers()
            if transceiver.receiver.transport.transport._connection._remote_candidates_end
        }
        return "".join(
            line
            for section in re.split("(?=^m=)", sdp, flags=re.MULTILINE)
            for line in section.splitlines(keepends=True)
            if not (line.startswith(_CANDIDATES) and _mid(section) in complete)
        )


class _SecondNetwork(aioice.Connection):
    """Sockets of another network than those of a connection, with its credentials."""

    def __init__(self, other: aioice.Connection, preference: int) -> None:
        super().__init__(
            ice_controlling=True, local_username=other.local_username, local_password=other.local_password
        )
        self._preference = preference

    def build_request(self, pair: CandidatePair, nominate: bool) -> Message:
        """Build a check."""
        request = super().build_request(pair, nominate)
        request.attributes["PRIORITY"] = candidate_priority(pair.component, "prflx", self._preference)
        return request


def _mid(section: str) -> str:
    """Return the mid of a line with its attributes, "" for what is before the first."""
    found = re.search(r"^a=mid:(\S+)", section, re.MULTILINE)
    return found.group(1) if found else ""


def relay_text(line: MediaDescription, setup: str = "actpass") -> str:
    """Write a page's line for the relay, with the codecs the relay is told of."""
    codecs = [codec for codec in line.codecs if codec.name in _CODECS]
    return one_line_text(line.session, client_line(line, codecs, Direction.SENDRECV, setup))


def described(
    lines: Iterable[tuple[MediaDescription | None, str, str, Direction]], setup: str, *groups: str
) -> SessionDescription:
    """Describe the relay's texts to a page: its own line (None in an offer), text, mid and direction of each."""
    media = []
    for own, text, mid, direction in lines:
        source = only_line(sdp_from_text(text))
        media.append(rewritten_line(own or source, source, mid=mid, direction=direction, setup=setup))
    attributes = ["a=ice-lite", *(f"a=group:BUNDLE {group}" for group in groups)]
    return session_description(session_section(Origin(4711, 1), *attributes), media)
