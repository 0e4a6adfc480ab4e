"""An RTP endpoint with keys by SDES (RFC 4568), as a trunk with secure media has it.

Knows libsrtp's sessions. Must not know who offered.
"""

from __future__ import annotations

import base64
import secrets
from typing import Final

import pylibsrtp

from tests.peers.media import RtpEndpoint
from tests.peers.rtp import is_rtcp
from tests.peers.sdp import sdp_from_text

SUITE: Final = "AES_CM_128_HMAC_SHA1_80"
_KEY_BYTES: Final = 30


class SrtpEndpoint(RtpEndpoint):
    """Sends and takes SRTP only; what does not authenticate is counted."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._in: pylibsrtp.Session | None = None
        self.take_new_key()
        self.strange = 0
        """Packets that were not for us."""
        super().__init__(host)

    def take_new_key(self) -> None:
        """Encrypt what we send with another key from now on."""
        self._key = secrets.token_bytes(_KEY_BYTES)
        policy = pylibsrtp.Policy(key=self._key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        self._out = pylibsrtp.Session(policy=policy)

    @property
    def crypto(self) -> str:
        """Suite and key of our crypto attribute."""
        return f"{SUITE} inline:{base64.b64encode(self._key).decode()}"

    def send_to_sdp(self, sdp: str, kind: str = "audio", index: int = 0) -> None:
        """Take address and key of the other end."""
        section = sdp_from_text(sdp).section(kind, index)
        value = next(value for value in section.attributes("crypto") if f" {SUITE} " in value)
        key = base64.b64decode(value.partition("inline:")[2].split("|")[0])
        policy = pylibsrtp.Policy(key=key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND)
        self._in = pylibsrtp.Session(policy=policy)
        super().send_to_sdp(sdp, kind, index)

    def sealed(self, packet: bytes) -> bytes:
        """Encrypt and sign."""
        protect = self._out.protect_rtcp if is_rtcp(packet) else self._out.protect
        return bytes(protect(packet))

    def opened(self, packet: bytes) -> bytes:
        """Check and decrypt."""
        if self._in is None:
            return b""
        try:
            return bytes((self._in.unprotect_rtcp if is_rtcp(packet) else self._in.unprotect)(packet))
        except pylibsrtp.Error:
            self.strange += 1
            return b""
