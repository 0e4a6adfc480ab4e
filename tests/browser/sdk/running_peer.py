"""The gateway's media in a running call: a transport for each medium, whatever lines the call gets.

Each medium (audio, video) is one aiortc connection with its lines in one BUNDLE group, as the gateway has it: a two-way
line, or a line for each direction on a shared transport. An offer with new ICE credentials gets a new connection.
As with the relay, nothing tells the page the lines of a transport apart but their payload types and their order.

Knows session descriptions and tones. Must not know SIP.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from aiortc import (
    MediaStreamTrack,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
    VideoStreamTrack,
)

from tests.browser.sdk.media_peer import Ear, ToneTrack, without_ssrc

_SENDS: Final = {"sendrecv", "sendonly"}
_RECEIVES: Final = {"sendrecv", "recvonly"}
_DIRECTION: Final = re.compile(r"^a=(sendrecv|sendonly|recvonly|inactive)\r\n", re.M)


@dataclass
class _Medium:
    """One kind of media on one transport."""

    kind: str
    connection: RTCPeerConnection = field(default_factory=RTCPeerConnection)
    names: dict[str, str] = field(default_factory=dict)
    """mid in the call → mid in the connection"""
    credentials: str = ""
    """ice-ufrag of the page"""

    def transceiver(self, mid: str) -> RTCRtpTransceiver:
        """The line with this mid in the call."""
        return next(line for line in self.connection.getTransceivers() if line.mid == self.names[mid])


class RunningPeer:
    """Answers the page's offers and makes its own."""

    def __init__(self, tone_hz: float) -> None:
        self.ear = Ear()
        self._tone_hz = tone_hz
        self._media: dict[str, _Medium] = {}
        self._order: list[str] = []
        self._version = 1
        self.sends = True
        """False: the far end sends nothing."""
        self.receives = True
        """False: the far end takes nothing, as when it holds the call."""
        self.renewed = 0
        """How often a medium got a new transport, after an ICE restart."""

    async def answer(self, offer: str) -> str:
        """The answer to an offer of the page: the same lines."""
        sections = _sections(offer)
        for kind in ("audio", "video"):
            mids = [mid for mid, text in sections.items() if text.startswith(f"m={kind} ")]
            if mids:
                await self._answer_medium(kind, mids, offer)
        self._order = list(sections)
        return self._text()

    async def offer(
        self, *, reverse_of: tuple[str, ...] = (), add: tuple[str, ...] = (), two_way: tuple[str, ...] = ()
    ) -> str:
        """An offer to the page: all lines as they are, after these changes.

        `reverse_of`: kinds that get a line for the far end's direction, with mid "r" and the first line's.
        `add`: kinds that are new, with a line for each direction. `two_way`: kinds that are new, with one line.
        """
        for kind in two_way:
            self._media[kind] = self._listening(_Medium(kind))
            await self._add_line(kind, f"{kind[0]}-both", "sendrecv")
        for kind in add:
            self._media[kind] = self._listening(_Medium(kind))
            # In this order: Chromium 156 finds no way to the first line of a new group by payload type alone.
            await self._add_line(kind, f"{kind[0]}-in", "recvonly")
            await self._add_line(kind, f"{kind[0]}-out", "sendonly")
        for kind in reverse_of:
            first = next(iter(self._media[kind].names))
            await self._add_line(kind, f"r{first}", "sendonly")
        for medium in self._media.values():
            self._direct(
                medium, {mid: self._wanted(medium, mid) for mid in medium.names if medium.names[mid]}
            )
            await medium.connection.setLocalDescription(await medium.connection.createOffer())
            self._name_new_lines(medium)
        return self._text().replace("a=setup:active", "a=setup:actpass")

    async def take_answer(self, answer: str) -> None:
        """Take the page's answer, which has the same lines."""
        assert list(_sections(answer)) == self._order
        for medium in self._media.values():
            text = _for_connection(answer, medium.names)
            await medium.connection.setRemoteDescription(RTCSessionDescription(text, "answer"))

    async def cut(self) -> None:
        """Break all transports, as a network that is gone: nothing is said, nothing arrives."""
        for medium in self._media.values():
            # Without a goodbye: DTLS close_notify would tell the page.
            for transport in {
                line.sender.transport.transport for line in medium.connection.getTransceivers()
            }:
                await transport.stop()

    async def close(self) -> None:
        """Close all transports."""
        self.ear.close()
        for medium in self._media.values():
            await medium.connection.close()

    async def _answer_medium(self, kind: str, mids: list[str], offer: str) -> None:
        credentials = _credentials(_sections(offer)[mids[0]])
        medium = self._media.get(kind)
        if medium is None or medium.credentials != credentials:
            if medium is not None:
                await medium.connection.close()
                self.renewed += 1
            medium = self._media[kind] = self._listening(_Medium(kind, credentials=credentials))
        for mid in mids:
            medium.names.setdefault(mid, mid)
        text = _for_connection(offer, medium.names)
        await medium.connection.setRemoteDescription(RTCSessionDescription(text, "offer"))
        self._direct(medium, {mid: _direction(_sections(offer)[mid]) for mid in mids})
        await medium.connection.setLocalDescription(await medium.connection.createAnswer())

    def _listening(self, medium: _Medium) -> _Medium:
        self.ear.listen_to(medium.connection)
        return medium

    async def _add_line(self, kind: str, mid: str, direction: str) -> None:
        medium = self._media[kind]
        track: MediaStreamTrack | str = kind
        if direction in _SENDS:
            track = ToneTrack(self._tone_hz) if kind == "audio" else VideoStreamTrack()
        medium.connection.addTransceiver(track, direction=direction)
        medium.names[mid] = ""
        self._order.append(mid)

    def _name_new_lines(self, medium: _Medium) -> None:
        known = set(medium.names.values())
        new = [line.mid for line in medium.connection.getTransceivers() if line.mid and line.mid not in known]
        for mid, name in zip([mid for mid, name in medium.names.items() if not name], new, strict=True):
            medium.names[mid] = name

    def _wanted(self, medium: _Medium, mid: str) -> str:
        """What the page would have to offer so that everything flows on this line."""
        own = medium.transceiver(mid).sender.track is not None
        return "sendrecv" if own or len(medium.names) > 1 else "sendonly"

    def _direct(self, medium: _Medium, offered: dict[str, str]) -> None:
        """Send where the page receives, receive where it sends."""
        split = len(medium.names) > 1
        for mid, page in offered.items():
            line = medium.transceiver(mid)
            own = line.sender.track is not None
            sending = self.sends and page in _RECEIVES and (own or not split or page == "recvonly")
            receiving = self.receives and page in _SENDS and not (split and own)
            if sending and line.sender.track is None:
                line.sender.replaceTrack(
                    ToneTrack(self._tone_hz) if medium.kind == "audio" else VideoStreamTrack()
                )
            line.direction = {
                (True, True): "sendrecv",
                (True, False): "sendonly",
                (False, True): "recvonly",
                (False, False): "inactive",
            }[sending, receiving]

    def _text(self) -> str:
        """Description of all media, in the order of the call's lines."""
        found: dict[str, str] = {}
        groups: list[str] = []
        for medium in self._media.values():
            own = _sections(without_ssrc(medium.connection.localDescription.sdp))
            for mid, name in medium.names.items():
                found[mid] = re.sub(r"^a=mid:\S+", f"a=mid:{mid}", own[name], flags=re.M)
            if len(medium.names) > 1:
                groups.append(f"a=group:BUNDLE {' '.join(medium.names)}\r\n")
        self._version += 1
        head = f"v=0\r\no=- 77 {self._version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
        return head + "".join(groups) + "".join(_without_extensions(found[mid]) for mid in self._order)


def groups_of(sdp: str) -> list[list[str]]:
    """The BUNDLE groups of a description."""
    return [line.split() for line in re.findall(r"^a=group:BUNDLE ([^\r\n]*)", sdp, re.M)]


def directions_of(sdp: str) -> dict[str, str]:
    """Direction of each line by mid."""
    return {mid: _direction(text) for mid, text in _sections(sdp).items()}


def credentials_of(sdp: str) -> dict[str, str]:
    """ice-ufrag of each line by mid."""
    return {mid: _credentials(text) for mid, text in _sections(sdp).items()}


def section_of(sdp: str, mid: str) -> str:
    """One line with its attributes."""
    return _sections(sdp)[mid]


def _sections(sdp: str) -> dict[str, str]:
    _, *media = re.split(r"(?=^m=)", sdp, flags=re.M)
    found: dict[str, str] = {}
    for section in media:
        mid = re.search(r"^a=mid:(\S+)", section, re.M)
        assert mid is not None
        found[mid[1]] = section
    return found


def _direction(section: str) -> str:
    found = _DIRECTION.search(section)
    return "sendrecv" if found is None else found[1]


def _credentials(section: str) -> str:
    found = re.search(r"^a=ice-ufrag:(\S+)", section, re.M)
    assert found is not None
    return found[1]


def _for_connection(sdp: str, names: dict[str, str]) -> str:
    """The part of a description that one connection sees, with the mids it knows."""
    session = re.split(r"(?=^m=)", sdp, maxsplit=1, flags=re.M)[0]
    session = re.sub(r"^a=group:[^\r\n]*\r\n", "", session, flags=re.M)
    sections = _sections(sdp)
    media = [
        re.sub(r"^a=mid:\S+", f"a=mid:{name}", _without_extensions(sections[mid]), flags=re.M)
        for mid, name in names.items()
    ]
    return f"{session}a=group:BUNDLE {' '.join(names.values())}\r\n" + "".join(media)


def _without_extensions(section: str) -> str:
    """No header extensions: each offer of aiortc numbers them anew, which ends the renderer of Chromium 156."""
    return re.sub(r"^a=extmap:[^\r\n]*\r\n", "", section, flags=re.M)
