"""One call of the load client, as bytes in and bytes out.

Knows the page's side of both flows: plain (INVITE, 200, ACK, BYE) and answer-then-UPDATE
(reliable 183, PRACK, UPDATE answered). Must not know sockets or rates. Parsing is by substring:
the load client must cost less than what it measures.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from tests.bench.results import CallTimes
from tests.peers.sdp import answer_to, page_offer

OFFER = page_offer()
REALM = "ims.example"
TARGET = f"sip:bob@{REALM}"


class LoadAnswer:
    """The page's answer to the UPDATE; made once, because all calls of a run have the same lines."""

    text = ""

    @classmethod
    def to(cls, offer: str) -> str:
        """Return the answer."""
        if not cls.text:
            cls.text = answer_to(offer, OFFER)
        return cls.text


def header(message: str, name: str) -> str:
    """Return the first value of a header field written in its long form, "" when absent."""
    start = message.find(f"\r\n{name}: ")
    if start < 0:
        return ""
    start += len(name) + 4
    return message[start : message.find("\r\n", start)]


def all_headers(message: str, name: str) -> list[str]:
    """Return the elements of a list field over all its lines, in order."""
    found = []
    mark = f"\r\n{name}: "
    start = message.find(mark)
    while start >= 0:
        end = message.find("\r\n", start + len(mark))
        found += [part.strip() for part in message[start + len(mark) : end].split(",")]
        start = message.find(mark, end)
    return found


class LoadCall:
    """A call that drives itself; `done` is called once with its times or with a reason."""

    def __init__(
        self,
        host: str,
        user: str,
        send: Callable[[str], None],
        done: Callable[[LoadCall, str | None], None],
        *,
        realm: str = REALM,
        target: str = TARGET,
    ) -> None:
        self.call_id = secrets.token_hex(16)
        self.times = CallTimes(self.call_id, 0.0)
        self._host = host
        self._user = user
        self._realm = realm
        self._target = target
        self._send = send
        self._done = done
        self._tag = self.call_id[:8]
        self._cseq = 1
        self._invite_via = ""
        self._answered = False

    def start(self) -> None:
        """Send the INVITE."""
        self._invite_via = self._via()
        self.times.invite_at_s = time.monotonic()
        self._request(
            "INVITE",
            self._target,
            f"<{self._target}>",
            1,
            "Supported: 100rel, outbound\r\nAllow: INVITE,ACK,CANCEL,BYE,PRACK,UPDATE,INFO\r\n"
            f"Contact: <sip:{self._user}@{self._host};transport=ws;ob>\r\n",
            OFFER,
            via=self._invite_via,
        )

    def received(self, message: str, read_at_s: float) -> None:
        """Act on a message of this call; `read_at_s` is when its bytes were read."""
        if message.startswith("SIP/2.0 "):
            self._response(message, read_at_s)
        elif message.startswith("UPDATE "):
            self._answer(message, LoadAnswer.to(message.partition("\r\n\r\n")[2]))
            self.times.page_s += time.monotonic() - read_at_s
        elif not message.startswith("ACK "):
            self._answer(message, "")

    def _response(self, message: str, read_at_s: float) -> None:
        status = int(message[8:11])
        cseq = header(message, "CSeq")
        if cseq.endswith("BYE"):
            self._done(self, None if status == 200 else f"BYE {status}")
        elif cseq.endswith("INVITE"):
            self._invite_response(message, status, read_at_s)
        elif status >= 300:
            self._done(self, f"{cseq.split()[1]} {status}")

    def _invite_response(self, message: str, status: int, read_at_s: float) -> None:
        to = header(message, "To")
        if status < 200:
            rseq = header(message, "RSeq")
            if rseq:
                self._in_dialog("PRACK", message, to, f"RAck: {rseq} 1 INVITE\r\n")
                self.times.page_s += time.monotonic() - read_at_s
        elif status < 300:
            self._in_dialog("ACK", message, to)
            if not self._answered:
                self._answered = True
                self.times.answered_at_s = read_at_s
                self._in_dialog("BYE", message, to)
        else:
            self._request("ACK", self._target, to, 1, via=self._invite_via)
            self._done(self, f"INVITE {status}")

    def _in_dialog(self, method: str, response: str, to: str, headers: str = "") -> None:
        contact = header(response, "Contact")
        target = contact[contact.find("<") + 1 : contact.find(">")]
        routes = all_headers(response, "Record-Route")
        headers += "".join(f"Route: {route}\r\n" for route in reversed(routes))
        if method != "ACK":
            self._cseq += 1
        self._request(method, target, to, 1 if method == "ACK" else self._cseq, headers)

    def _request(
        self, method: str, uri: str, to: str, cseq: int, headers: str = "", sdp: str = "", *, via: str = ""
    ) -> None:
        kind = "Content-Type: application/sdp\r\n" if sdp else ""
        self._send(
            f"{method} {uri} SIP/2.0\r\n{via or self._via()}Max-Forwards: 70\r\n"
            f"From: <sip:{self._user}@{self._realm}>;tag={self._tag}\r\nTo: {to}\r\nCall-ID: {self.call_id}\r\n"
            f"CSeq: {cseq} {method}\r\n{headers}{kind}Content-Length: {len(sdp)}\r\n\r\n{sdp}"
        )

    def _answer(self, request: str, sdp: str) -> None:
        kind = "Content-Type: application/sdp\r\n" if sdp else ""
        vias = "".join(f"Via: {via}\r\n" for via in all_headers(request, "Via"))
        self._send(
            f"SIP/2.0 200 OK\r\n{vias}From: {header(request, 'From')}\r\n"
            f"To: {header(request, 'To')}\r\nCall-ID: {self.call_id}\r\nCSeq: {header(request, 'CSeq')}\r\n"
            f"Contact: <sip:{self._user}@{self._host};transport=ws;ob>\r\n"
            f"{kind}Content-Length: {len(sdp)}\r\n\r\n{sdp}"
        )

    def _via(self) -> str:
        return f"Via: SIP/2.0/WSS {self._host};branch=z9hG4bK{secrets.token_hex(8)}\r\n"
