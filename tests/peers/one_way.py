"""A called page that registered for one-way streams: a line for each direction of a medium.

Knows how such a page answers, and refuses single lines. Must not know the gateway's inside.
aiortc honours the first BUNDLE group only, so every group has a peer connection of its own here; a browser needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from aiortc import RTCSessionDescription

from tests.peers.aiortc_wic import AiortcMedia
from tests.peers.refused_lines import refused_line
from tests.peers.sdp import MediaSection, Sdp, sdp_from_text, sdp_to_text

ONE_WAY_STREAMS: Final = "+g.one-way-streams"
"""Feature tag of such a page's registration."""


class OneWayMedia:
    """Real media of one call, as `PageMedia`: hears and sees on the gateway's lines, sends on its own."""

    def __init__(
        self,
        new_media: Callable[[], AiortcMedia],
        *,
        refused: Collection[str] = (),
        inactive: Collection[str] = (),
    ) -> None:
        """`refused` and `inactive` name lines by mid: answered with port 0, or held."""
        self._new_media = new_media
        self._refused = refused
        self._inactive = inactive
        self.groups: dict[str, AiortcMedia] = {}
        """By kind."""

    @property
    def audio(self) -> AiortcMedia:
        """The peer connection that carries audio."""
        return self.groups["audio"]

    @property
    def video(self) -> AiortcMedia:
        """The peer connection that carries video."""
        return self.groups["video"]

    async def answer_received(self, sdp: str) -> None:
        """Never happens: such a page is called."""
        raise AssertionError("an answer for a page that made no offer")

    async def answer_offer(self, sdp: str) -> str:
        """Apply an offer of the gateway and return the answer."""
        offer = sdp_from_text(sdp)
        session = [line for line in offer.session if not line.startswith("a=group:")]
        answered: dict[str, MediaSection] = {}
        groups = []
        for kind in dict.fromkeys(section.kind for section in offer.media):
            own = [section for section in offer.media if section.kind == kind]
            if not any(section.port for section in own):
                answered |= {section.attribute("mid") or "": refused_line(section) for section in own}
                continue
            mids = [section.attribute("mid") or "" for section in own]
            part = Sdp([*session, f"a=group:BUNDLE {' '.join(mids)}"], own)
            answer = await self._answer(self.groups.setdefault(kind, self._new_media()), sdp_to_text(part))
            for section in answer.media:
                answered[section.attribute("mid") or ""] = section
            taken = [mid for mid in mids if mid not in self._refused]
            groups += [f"a=group:BUNDLE {' '.join(taken)}"] if taken else []
            own_session = [line for line in answer.session if not line.startswith("a=group:")]
        ordered = [self._refuse(answered[section.attribute("mid") or ""]) for section in offer.media]
        return sdp_to_text(Sdp([*own_session, *groups], ordered))

    async def _answer(self, media: AiortcMedia, offer: str) -> Sdp:
        connection = media.connection
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        for transceiver in connection.getTransceivers():
            media.send_on(transceiver)
            if transceiver.mid in (*self._refused, *self._inactive):
                transceiver.direction = "inactive"
        await connection.setLocalDescription(await connection.createAnswer())
        return sdp_from_text(connection.localDescription.sdp)

    def _refuse(self, section: MediaSection) -> MediaSection:
        return refused_line(section) if section.attribute("mid") in self._refused else section
