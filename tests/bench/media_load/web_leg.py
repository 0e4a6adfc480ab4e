"""A page's media transport, as light as it can be: one ICE check, a DTLS handshake, SRTP; one socket, no threads.

Stands where a browser stands: it offers, is controlling, and takes whichever DTLS role the answer leaves it. Knows
nothing of codecs but the lines of its offer. What it lacks of ICE nobody needs on loopback: candidates of its own
beyond one, retransmission, consent.
"""

from __future__ import annotations

import functools
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import pylibsrtp
from aioice import stun
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate
from OpenSSL import SSL

from tests.contract.rtpengine.sdp import section

_PATIENCE_S: Final = 10.0
RETRY_S: Final = 0.1
"""How long until `retry`, in seconds."""
_LARGEST: Final = 2048
_MTU: Final = 1200
_PRIORITY: Final = 2_130_706_431
UFRAG: Final = "load"
"""ICE user fragment of every leg."""


class NotConnectedError(RuntimeError):
    """ICE or DTLS did not come up."""


@functools.cache
def _certificate() -> RTCCertificate:
    """One for all legs: making a key takes longer than a handshake."""
    return RTCCertificate.generateCertificate()


@functools.cache
def _context() -> SSL.Context:
    """DTLS of aiortc: certificate, SRTP profiles in Chromium's order, any certificate of the other end."""
    return _certificate()._create_ssl_context(SRTP_PROFILES)


@functools.cache
def fingerprint() -> str:
    """Return the SHA-256 fingerprint of every leg's certificate."""
    values = {one.algorithm: one.value for one in _certificate().getFingerprints()}
    return values["sha-256"]


@dataclass(frozen=True)
class _Remote:
    """What the answer says of the other end."""

    address: tuple[str, int]
    ufrag: str
    password: bytes
    is_client: bool
    """Of DTLS."""


class WebLeg:
    """One call's leg towards the page; not blocking once it is connected."""

    def __init__(self, host: str, ssrc: int) -> None:
        """`ssrc` is what the page will send with: Janus takes no other than the offer names."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.setblocking(False)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self.ssrc = ssrc
        self.password = secrets.token_hex(12)
        """ICE password."""
        self._remote: _Remote | None = None
        self._confirmed = False
        """Whether our check was answered."""
        self._tls: SSL.Connection | None = None
        self._out: pylibsrtp.Session | None = None
        self._in: pylibsrtp.Session | None = None
        self.suite = ""
        """Name of the SRTP protection profile."""

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def offer(self, payload_types: str, *codec_lines: str) -> str:
        """Return an offer with these codecs."""
        lines = [
            "v=0",
            f"o=- 1 1 IN IP4 {self.host}",
            "s=-",
            "t=0 0",
            f"m=audio {self.port} UDP/TLS/RTP/SAVPF {payload_types}",
            f"c=IN IP4 {self.host}",
            f"a=rtcp:{self.port} IN IP4 {self.host}",
            f"a=candidate:1 1 udp {_PRIORITY} {self.host} {self.port} typ host",
            f"a=ice-ufrag:{UFRAG}",
            f"a=ice-pwd:{self.password}",
            f"a=fingerprint:sha-256 {fingerprint()}",
            "a=setup:actpass",
            "a=mid:0",
            "a=rtcp-mux",
            *codec_lines,
            f"a=ssrc:{self.ssrc} cname:load",
            "a=sendrecv",
        ]
        return "\r\n".join(lines) + "\r\n"

    def connect(self, answer: str) -> None:
        """Bring ICE and DTLS up with the other end; raises NotConnectedError."""
        self.begin(answer)
        deadline, retry_at = time.monotonic() + _PATIENCE_S, time.monotonic() + RETRY_S
        while not self.is_connected:
            if time.monotonic() > deadline:
                raise NotConnectedError(f"ICE {self._confirmed}, DTLS {self._out is not None}")
            if time.monotonic() >= retry_at:
                self.retry()
                retry_at = time.monotonic() + RETRY_S
            if self.receive() is None:
                time.sleep(0.0005)

    def begin(self, answer: str) -> None:
        """Send the first check; `receive` does the rest, and `retry` now and then what got lost."""
        described = section(answer)
        ufrag, password = _session_or_media(answer, "ice-ufrag"), _session_or_media(answer, "ice-pwd")
        # The first candidate of RTP over UDP; Janus names its own addresses only there.
        candidate = next(
            words
            for words in (value.split() for value in described.values("candidate"))
            if words[1] == "1" and words[2].lower() == "udp" and "." in words[4]
        )
        is_client = _session_or_media(answer, "setup") == "active"
        self._remote = _Remote((candidate[4], int(candidate[5])), ufrag, password.encode(), is_client)
        self._tls = SSL.Connection(_context(), None)
        self._tls.set_ciphertext_mtu(_MTU)
        if is_client:
            self._tls.set_accept_state()
        else:
            self._tls.set_connect_state()
        self._check()

    @property
    def has_begun(self) -> bool:
        """Whether the other end is known."""
        return self._remote is not None

    @property
    def is_connected(self) -> bool:
        """Whether our check was answered and there are SRTP keys."""
        return self._confirmed and self._out is not None

    def retry(self) -> None:
        """Send again what was not answered: the check, or the handshake's last flight if it is time."""
        if not self._confirmed:
            self._check()
        elif self._out is None and self._tls is not None:
            self._tls.DTLSv1_handle_timeout()
            self._flush()

    def send(self, packet: bytes) -> None:
        """Protect and send an RTP packet."""
        assert self._out is not None
        assert self._remote is not None
        self._socket.sendto(self._out.protect(packet), self._remote.address)

    def receive(self) -> bytes | None:
        """Return one SRTP packet that is waiting, b"" for what was dealt with here, None when nothing is there."""
        try:
            data, source = self._socket.recvfrom(_LARGEST)
        except BlockingIOError:
            return None
        if 128 <= data[0] < 192:
            return b"" if 192 <= data[1] < 224 else data
        if data[0] < 4:
            self._take_stun(data, source)
        elif 20 <= data[0] < 64 and self._tls is not None and self._out is None:
            self._tls.bio_write(data)
            self._shake_hands()
        return b""

    def opened(self, packet: bytes) -> bytes:
        """Authenticate and decrypt an SRTP packet; raises pylibsrtp.Error."""
        assert self._in is not None
        return bytes(self._in.unprotect(packet))

    def close(self) -> None:
        """Close the socket; nothing is said to the other end."""
        self._socket.close()

    def _check(self) -> None:
        """Send a connectivity check that nominates (RFC 8445 §7.2, §8.1)."""
        assert self._remote is not None
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._remote.ufrag}:{UFRAG}"
        request.attributes["PRIORITY"] = _PRIORITY
        request.attributes["ICE-CONTROLLING"] = secrets.randbits(64)
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self._remote.password)
        request.add_fingerprint()
        self._socket.sendto(bytes(request), self._remote.address)

    def _take_stun(self, data: bytes, source: tuple[str, int]) -> None:
        message = stun.parse_message(data)
        if message.message_class == stun.Class.RESPONSE:
            if not self._confirmed:
                self._confirmed = True
                self._shake_hands()
        elif message.message_class == stun.Class.REQUEST:
            response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, message.transaction_id)
            response.attributes["XOR-MAPPED-ADDRESS"] = source
            response.add_message_integrity(self.password.encode())
            response.add_fingerprint()
            self._socket.sendto(bytes(response), source)

    def _shake_hands(self) -> None:
        assert self._tls is not None
        assert self._remote is not None
        done = True
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            done = False
        self._flush()
        if done and self._out is None:
            self._take_keys(self._tls, self._remote.is_client)

    def _flush(self) -> None:
        """Send what DTLS has to say."""
        assert self._tls is not None
        assert self._remote is not None
        with suppress(SSL.WantReadError):
            while True:
                self._socket.sendto(self._tls.bio_read(_MTU + 300), self._remote.address)

    def _take_keys(self, tls: SSL.Connection, is_server: bool) -> None:
        """Make SRTP sessions of the handshake's keys (RFC 5764 §4.2)."""
        self.suite = tls.get_selected_srtp_profile().decode()
        profile = next(one for one in SRTP_PROFILES if one.openssl_profile.decode() == self.suite)
        keys = tls.export_keying_material(
            b"EXTRACTOR-dtls_srtp", 2 * (profile.key_length + profile.salt_length)
        )
        of_client, of_server = profile.get_key_and_salt(keys, 0), profile.get_key_and_salt(keys, 1)
        own, other = (of_server, of_client) if is_server else (of_client, of_server)
        kinds = pylibsrtp.Policy
        self._out = pylibsrtp.Session(
            kinds(key=own, ssrc_type=kinds.SSRC_ANY_OUTBOUND, srtp_profile=profile.libsrtp_profile)
        )
        self._in = pylibsrtp.Session(
            kinds(key=other, ssrc_type=kinds.SSRC_ANY_INBOUND, srtp_profile=profile.libsrtp_profile)
        )


def _session_or_media(sdp: str, attribute: str) -> str:
    """Return an attribute's first value, wherever it is."""
    start = f"a={attribute}:"
    return next(line.removeprefix(start).strip() for line in sdp.splitlines() if line.startswith(start))
