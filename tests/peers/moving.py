"""A page whose media follow an offer with another transport, as a browser's do; aiortc by itself cannot restart ICE.

Knows that a new ice-ufrag in an offer begins ICE, and a new fingerprint DTLS, anew (RFC 8839 §4.4.1.1.1). Must not
know why the gateway offers. The new peer connection has a certificate of its own, which a browser's has not.
"""

from __future__ import annotations

from aiortc import RTCSessionDescription

from tests.peers.aiortc_wic import AiortcMedia, AiortcWic, PictureTrack, ToneTrack
from tests.peers.sdp import sdp_from_text


class MovingMedia(AiortcMedia):
    """Media of one call; what it hears and sees after a move is counted from nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.moves = 0
        self._left: list[AiortcMedia] = []
        self._ufrags: list[str | None] = []

    async def answer_received(self, sdp: str) -> None:
        """Apply an answer."""
        self._ufrags = ufrags(sdp)
        await super().answer_received(sdp)

    async def answer_offer(self, sdp: str) -> str:
        """Apply an offer, on a new connection if it has another transport for the first line."""
        before, self._ufrags = self._ufrags, ufrags(sdp)
        if not before or before[0] == self._ufrags[0]:
            return await super().answer_offer(sdp)
        self.moves += 1
        directions = {one.mid: one.direction for one in self.connection.getTransceivers()}
        old = AiortcMedia()
        self.connection, old.connection = old.connection, self.connection
        self._pumps, old._pumps = [], self._pumps
        self._left.append(old)
        self.audio, self.video = {}, {}
        self.connection.remove_all_listeners()
        self.connection.on("track", self._track_received)
        self.connection.on("connectionstatechange", self._changed.set)
        self.connection.on("signalingstatechange", self._changed.set)
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        for one in self.connection.getTransceivers():
            one.direction = directions.get(one.mid, "inactive")
            if "send" in one.direction:
                one.sender.replaceTrack(ToneTrack() if one.kind == "audio" else PictureTrack())
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        await old.close()
        return self.connection.localDescription.sdp


class MovingWic(AiortcWic):
    """A scripted page with such media."""

    def new_media(self) -> MovingMedia:
        """Return media that this page closes."""
        media = MovingMedia()
        self.media.append(media)
        return media


def ufrags(sdp: str) -> list[str | None]:
    """Return the ice-ufrag of each line."""
    return [line.attribute("ice-ufrag") for line in sdp_from_text(sdp).media]
