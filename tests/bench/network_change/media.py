"""The peer connection of a page that changes its address: ICE starts again, DTLS and RTP go on, as in a browser.

Knows aiortc's inside as far as it takes, because aiortc itself cannot restart ICE.  Must not know SIP.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

from aioice import Candidate, Connection

from tests.bench.first_audio.sound import ListeningMedia, is_audible


class MovingMedia(ListeningMedia):
    """Media that can leave its sockets for new ones."""

    def __init__(self) -> None:
        super().__init__()
        self.heard_at_s: list[float] = []
        """Monotonic time of every packet that decoded to sound."""
        self._versions = 10
        self._moved: Connection | None = None
        self._restarting: asyncio.Task[None] | None = None

    def _note(self, payload_type: int, payload: bytes) -> None:
        came_s = time.monotonic()
        self.sound.packet_s = self.sound.packet_s or came_s
        if payload and is_audible(self._decoder.samples(payload_type, payload)):
            self.sound.decoded_s = self.sound.decoded_s or came_s
            self.heard_at_s.append(came_s)
            self._changed.set()

    def _is_noting(self) -> bool:
        return True

    async def move(self) -> None:
        """Open new sockets on the address of now and check with the credentials both ends know."""
        transport = self._transport
        old = transport._connection
        connection = self._new_connection(old.local_username, old.local_password)
        await connection.gather_candidates()
        await self._connect(connection, old.remote_username, old.remote_password, old.remote_candidates)

    async def restart(self) -> str:
        """Open new sockets with new credentials; return the offer that says so."""
        self._moved = self._new_connection(None, None)
        await self._moved.gather_candidates()
        return self._offer(self._moved)

    async def answer_offer(self, sdp: str) -> str:
        """The same, but for an offer with other credentials than before: ICE starts again (RFC 8445 §9)."""
        remote = self.connection.remoteDescription
        if remote is None or _username(sdp) == _username(remote.sdp):
            return await super().answer_offer(sdp)
        self._moved = self._new_connection(None, None)
        await self._moved.gather_candidates()
        self._restarting = asyncio.create_task(self.restarted(sdp))
        return self._offer(self._moved).replace("a=setup:actpass", "a=setup:active")

    async def until_restarted(self) -> None:
        """Wait for such an offer, and until the new sockets are in use."""
        await self._until(lambda: self._restarting is not None, "an offer of a restart", 5.0)
        assert self._restarting is not None
        await self._restarting

    async def restarted(self, description: str) -> None:
        """Check with the credentials of the other side's description."""
        assert self._moved is not None
        username = _username(description)
        password = re.findall(r"^a=ice-pwd:(\S+)", description, re.MULTILINE)[0]
        lines = re.findall(r"^a=candidate:(.*?)\r?$", description, re.MULTILINE)
        candidates = [c for c in map(Candidate.from_sdp, lines) if c.component == 1]
        await self._connect(self._moved, username, password, candidates)

    @property
    def _transport(self) -> Any:
        return self.connection.getTransceivers()[0].sender.transport.transport

    @staticmethod
    def _new_connection(username: str | None, password: str | None) -> Connection:
        connection = Connection(ice_controlling=True, local_username=username, local_password=password)
        connection.remote_is_lite = True
        return connection

    async def _connect(
        self, connection: Connection, username: str, password: str, candidates: list[Candidate]
    ) -> None:
        connection.remote_username, connection.remote_password = username, password
        for candidate in candidates:
            await connection.add_remote_candidate(candidate)
        await connection.add_remote_candidate(None)
        await connection.connect()
        transport = self._transport
        old, transport._connection = transport._connection, connection
        transport._send = connection.send
        await old.close()  # wakes who waits for packets there: they come to the new sockets now

    def outlive_sockets(self) -> None:
        """Before the first move: what is received comes from the sockets of the moment."""
        transport = self._transport

        async def recv() -> bytes:
            while True:
                connection: Connection = transport._connection
                try:
                    return await connection.recv()
                except ConnectionError:
                    if connection is transport._connection:
                        raise

        transport._recv = recv

    def _offer(self, connection: Connection) -> str:
        self._versions += 1
        sdp = self.connection.localDescription.sdp
        host = connection.local_candidates[0]
        sdp = re.sub(
            r"^a=ice-ufrag:.*?(\r?)$", rf"a=ice-ufrag:{connection.local_username}\1", sdp, flags=re.M
        )
        sdp = re.sub(r"^a=ice-pwd:.*?(\r?)$", rf"a=ice-pwd:{connection.local_password}\1", sdp, flags=re.M)
        sdp = re.sub(r"^a=candidate:.*\r?\n", "", sdp, flags=re.M)
        sdp = re.sub(r"^a=end-of-candidates.*\r?\n", "", sdp, flags=re.M)
        sdp = re.sub(r"^a=setup:\w+", "a=setup:actpass", sdp, flags=re.M)
        sdp = re.sub(r"^c=IN IP4 \S+", f"c=IN IP4 {host.host}", sdp, flags=re.M)
        sdp = re.sub(r"^m=audio \d+", f"m=audio {host.port}", sdp, flags=re.M)
        sdp = re.sub(r"^(o=\S+ \S+) \d+", rf"\1 {self._versions}", sdp, flags=re.M)
        candidates = "".join(f"a=candidate:{c.to_sdp()}\r\n" for c in connection.local_candidates)
        return re.sub(r"^(a=ice-ufrag:)", lambda m: candidates + m[1], sdp, flags=re.M)


def _username(description: str) -> str:
    return str(re.findall(r"^a=ice-ufrag:(\S+)", description, re.MULTILINE)[0])
