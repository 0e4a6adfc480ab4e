"""One registering page of the load client, as bytes in and bytes out.

Knows the upgrade, REGISTER with digest or with given credentials, keep-alives, and that it takes no calls. Must not
know sockets or rates.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from tests.bench.frames import BINARY, CLOSE, PING, PONG, TEXT, FrameReader, frame_to_bytes, upgrade_request
from tests.bench.load_call import header
from tests.peers.digest import Credentials, authorization, challenge_from_text

EXPIRES_S: Final = 600


def header_lines(message: str, name: str) -> list[str]:
    """Return the values of all lines of a header field written in its long form."""
    head = message.partition("\r\n\r\n")[0]
    mark = f"{name}: "
    return [line.removeprefix(mark) for line in head.split("\r\n") if line.startswith(mark)]


class Happening(Enum):
    """What a page has come to."""

    REGISTERED = auto()
    REFUSED = auto()


@dataclass(frozen=True)
class PageIdentity:
    """Who a page is: a digest user, or whoever the given Authorization value names."""

    user: str
    realm: str
    authorizations: tuple[str, ...] = ()
    """Authorization values of its REGISTERs in turn; a page that has some answers no challenge."""

    @property
    def aor(self) -> str:
        """Public identity."""
        return f"sip:{self.user}@{self.realm}"

    @property
    def credentials(self) -> Credentials:
        """Private identity and its password."""
        return Credentials(f"{self.user}@{self.realm}", password_of(self.user))


def user_of(number: int) -> str:
    """Return the user part of a page's identity."""
    return f"page{number}"


def password_of(user: str) -> str:
    """Return the password that load client and registrar agree on."""
    return f"secret-{user}"


def _busy(invite: str) -> bytes:
    """Return the answer of a page that takes no calls."""
    copied = "".join(
        f"{name}: {value}\r\n"
        for name in ("Via", "From", "Call-ID", "CSeq")
        for value in header_lines(invite, name)
    )
    to = f"To: {header(invite, 'To')};tag={secrets.token_hex(4)}\r\n"
    return frame_to_bytes(f"SIP/2.0 486 Busy Here\r\n{copied}{to}Content-Length: 0\r\n\r\n".encode())


class RegisteringPage:
    """The page's side of one connection after the other; identity, instance and Call-ID stay."""

    def __init__(self, identity: PageIdentity, origin: str, headers: dict[str, str]) -> None:
        self.identity = identity
        self.transactions = 0
        """Final responses to REGISTER so far."""
        self.successes = 0
        """Those of them that were 200."""
        self.refusal = ""
        """Why the last happening was a refusal."""
        self._headers = {"Origin": origin, **headers}
        self._contact = (
            f"<sip:{secrets.token_hex(4)}@{secrets.token_hex(6)}.invalid;transport=ws>;reg-id=1;"
            f'+sip.instance="<urn:uuid:{secrets.token_hex(16)}>"'
        )
        self._call_id = secrets.token_hex(12)
        self._tag = secrets.token_hex(4)
        self._cseq = 0
        self._head: bytearray | None = None
        self._frames = FrameReader()

    @property
    def is_open(self) -> bool:
        """Whether its WebSocket stands."""
        return self._head is None

    def upgrade(self, host: str, path: str) -> bytes:
        """Begin a connection: return the HTTP upgrade, after which the page registers by itself."""
        self._head = bytearray()
        self._frames = FrameReader()
        return upgrade_request(host, path, self._headers)

    def register(self) -> bytes:
        """Return a REGISTER as a frame."""
        own = self.identity.authorizations
        return self._register(own[self._cseq % len(own)] if own else "")

    def received(self, data: bytes) -> tuple[bytes, Happening | None]:
        """Take bytes in; return what to send and what has happened."""
        if self._head is not None:
            self._head += data
            head, end, data = bytes(self._head).partition(b"\r\n\r\n")
            if not end:
                return b"", None
            if b" 101 " not in head.partition(b"\r\n")[0]:
                return b"", self._refused(head.partition(b"\r\n")[0].decode(errors="replace"))
            self._head = None
            return self.register(), None
        answer, happening = b"", None
        for frame in self._frames.feed(data):
            if frame.opcode == PING:
                answer += frame_to_bytes(frame.payload, PONG)
            elif frame.opcode == CLOSE:
                happening = self._refused("closed by the gateway")
            elif frame.opcode in (TEXT, BINARY):
                more, told = self._message(frame.payload.decode(errors="replace"))
                answer += more
                happening = told or happening
        return answer, happening

    def _message(self, message: str) -> tuple[bytes, Happening | None]:
        if message.startswith("INVITE "):
            return _busy(message), None
        if not header(message, "CSeq").endswith(" REGISTER") or message.startswith("SIP/2.0 1"):
            return b"", None
        self.transactions += 1
        status = int(message[8:11])
        if status == 200:
            self.successes += 1
            return b"", Happening.REGISTERED
        if status == 401 and not self.identity.authorizations:
            challenges = [
                text for text in header_lines(message, "WWW-Authenticate") if text.startswith("Digest ")
            ]
            if challenges:  # like a browser's library: the last one
                challenge, uri = challenge_from_text(challenges[-1]), f"sip:{self.identity.realm}"
                return self._register(
                    authorization(challenge, self.identity.credentials, "REGISTER", uri)
                ), None
        return b"", self._refused(message.partition("\r\n")[0].removeprefix("SIP/2.0 "))

    def _refused(self, reason: str) -> Happening:
        self.refusal = reason
        return Happening.REFUSED

    def _register(self, credentials: str) -> bytes:
        self._cseq += 1
        aor = self.identity.aor
        line = f"Authorization: {credentials}\r\n" if credentials else ""
        return frame_to_bytes(
            (
                f"REGISTER sip:{self.identity.realm} SIP/2.0\r\n"
                f"Via: SIP/2.0/WSS page.invalid;branch=z9hG4bK{secrets.token_hex(8)}\r\nMax-Forwards: 69\r\n"
                f"From: <{aor}>;tag={self._tag}\r\nTo: <{aor}>\r\nCall-ID: {self._call_id}\r\n"
                f"CSeq: {self._cseq} REGISTER\r\nContact: {self._contact}\r\nExpires: {EXPIRES_S}\r\n"
                f"{line}Allow: INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY\r\n"
                "Supported: path,gruu,outbound\r\nContent-Length: 0\r\n\r\n"
            ).encode()
        )
