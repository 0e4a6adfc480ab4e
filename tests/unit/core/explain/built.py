"""Builds traces for the tests of verdicts, message by message."""

from __future__ import annotations

from typing import Any, Final, Self

from kemi.core.trace.entries import CallTrace, Entry, What

BEGAN: Final = 1000.0
PAGE_SDP: Final = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 110\r\nc=IN IP4 0.0.0.0\r\n"
    "a=ice-ufrag:Ejpj\r\na=ice-pwd:x\r\na=fingerprint:sha-256 7F:03:98\r\na=setup:actpass\r\na=mid:0\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=rtpmap:110 telephone-event/48000\r\na=sendonly\r\n"
)
BACK_SDP: Final = PAGE_SDP.replace("a=sendonly", "a=recvonly").replace("actpass", "passive") + (
    "a=candidate:1 1 UDP 2130706431 198.51.100.7 30000 typ host\r\n"
)
"""Of the gateway, for the page."""
CORE_SDP: Final = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)
VIDEO: Final = "m=video 4002 RTP/AVPF 96\r\na=rtpmap:96 VP8/90000\r\na=sendrecv\r\n"
NO_VIDEO: Final = "m=video 0 RTP/AVPF 96\r\na=rtpmap:96 VP8/90000\r\n"


def turned(sdp: str, direction: str) -> str:
    """Return a description with another direction."""
    for one in ("sendrecv", "sendonly", "recvonly", "inactive"):
        sdp = sdp.replace(f"a={one}\r\n", f"a={direction}\r\n")
    return sdp


def leg(packets: int = 100, *, errors: int = 0, **more: Any) -> dict[str, Any]:
    """Return figures as rtpengine/quality.py has them."""
    return {
        "codec": "opus/48000/2",
        "packets": packets,
        "bytes": 50 * packets,
        "errors": errors,
        "heard": None,
    } | more


def wic(packets: int = 100, *, reached: bool = True, secured: bool = True, **more: Any) -> dict[str, Any]:
    """Return figures of a page."""
    return leg(packets, reached=reached, secured=secured, **more)


def ims(packets: int = 100, **more: Any) -> dict[str, Any]:
    """Return figures of a far end."""
    return leg(packets, codec="PCMA/8000", **more)


def heard(**more: Any) -> dict[str, Any]:
    """Return what a party reports."""
    return {"samples": 4, "loss_percent": 0.0, "jitter_ms": 1.0, "end_to_end_ms": 30.0, "mos": 4.2} | more


class Built:
    """A trace in the making; each step is 100 ms after the one before."""

    def __init__(self, *, to_page: bool = False, leg_of_core: str = "core") -> None:
        self.trace = CallTrace(
            key="c@x", call_id="c@x", impu="sip:alice@ims.test", peer="sip:bob@ims.test",
            direction="to_page" if to_page else "from_page", node="gw1", began_at=BEGAN, relay="127.0.0.1:22222",
        )  # fmt: skip
        self.now = BEGAN
        self._core = leg_of_core

    def add(self, what: What, name: str, *, why: str = "", leg: str = "", **values: Any) -> Self:
        """Add an entry that is no message."""
        self.now += 0.1
        self.trace.entries.append(Entry(at=self.now, what=what, leg=leg, name=name, why=why, values=values))
        return self

    def decided(self, name: str, why: str = "", **values: Any) -> Self:
        """Add a decision."""
        return self.add(What.DECISION, name, why=why, **values)

    def relay(self, command: str, why: str = "", **values: Any) -> Self:
        """Add a command to the relay."""
        return self.add(What.RELAY, command, why=why, **values)

    def sip(self, way: str, start: str, *lines: str, sdp: str = "", cseq: str = "", tag: str = "far") -> Self:
        """Add a message: ``way`` is ``page>``, ``>page``, ``core>`` or ``>core``; ``start``: method or status line."""
        incoming = way.endswith(">")
        leg = way.strip(">")
        is_response = start[:3].isdigit()
        method = cseq.partition(" ")[2] or ("INVITE" if is_response else start)
        number = cseq.partition(" ")[0] or "1"
        first = f"SIP/2.0 {start}" if is_response else f"{start} sip:bob@ims.test SIP/2.0"
        to_tag = f";tag={tag}" if tag and (is_response or (method, number) != ("INVITE", "1")) else ""
        head = [
            first, "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", "From: <sip:alice@ims.test>;tag=a",
            f"To: <sip:bob@ims.test>{to_tag}", "Call-ID: c@x", f"CSeq: {number} {method}", *lines,
            *(["Content-Type: application/sdp"] if sdp else []),
        ]  # fmt: skip
        self.now += 0.1
        self.trace.entries.append(
            Entry(
                at=self.now,
                what=What.SIP,
                leg=self._core if leg == "core" else leg,
                incoming=incoming,
                name=start,
                text="\r\n".join(head) + "\r\n\r\n" + sdp,
            )
        )
        return self

    def begun(self, *lines: str, sdp: str = "", sent: str = CORE_SDP) -> Self:
        """A page's INVITE comes, is answered and goes to the core; or the core's goes to the page."""
        if self.trace.direction == "to_page":
            self.sip("core>", "INVITE", *lines, sdp=sdp or CORE_SDP)
            return self.sip(">page", "INVITE", sdp=BACK_SDP)
        self.sip("page>", "INVITE", *(lines or ("Supported: 100rel",)), sdp=sdp or PAGE_SDP)
        self.sip(">page", "183 Session Progress", "Require: 100rel", sdp=BACK_SDP)
        self.sip("page>", "PRACK", cseq="2 PRACK").sip(">page", "200 OK", cseq="2 PRACK")
        offer = BACK_SDP + BACK_SDP[BACK_SDP.index("m=") :].replace("recvonly", "sendonly")
        answer = (sdp or PAGE_SDP) + PAGE_SDP[PAGE_SDP.index("m=") :].replace("sendonly", "recvonly")
        self.sip(">page", "UPDATE", sdp=offer, cseq="1 UPDATE")
        self.sip("page>", "200 OK", sdp=answer.replace("actpass", "active"), cseq="1 UPDATE")
        return self.sip(">core", "INVITE", sdp=sent) if sent else self

    def answered(self, sdp: str = CORE_SDP) -> Self:
        """The callee rings and answers."""
        callee, caller = ("page", "core") if self.trace.direction == "to_page" else ("core", "page")
        if self.trace.direction == "to_page" and sdp == CORE_SDP:
            sdp = turned(PAGE_SDP, "sendrecv").replace("actpass", "active")
        self.sip(f"{callee}>", "180 Ringing").sip(f">{caller}", "180 Ringing")
        self.sip(f"{callee}>", "200 OK", sdp=sdp).sip(f">{caller}", "200 OK")
        self.sip(f"{caller}>", "ACK").sip(f">{callee}", "ACK")
        self.trace.answered_at = self.now
        return self

    def refused(
        self, status: str, *lines: str, told: str = "", more: tuple[str, ...] = (), cseq: str = ""
    ) -> Self:
        """The callee refuses, the caller hears the same or something else."""
        callee, caller = ("page", "core") if self.trace.direction == "to_page" else ("core", "page")
        self.sip(f"{callee}>", status, *lines, cseq=cseq)
        self.sip(f">{caller}", told or status, *(more or lines), cseq=cseq)
        return self.ended(callee, "refused", int((told or status)[:3]))

    def rejected(self, status: str, warning: str = "", *lines: str) -> Self:
        """We refuse the caller's INVITE."""
        caller = "core" if self.trace.direction == "to_page" else "page"
        warn = (f'Warning: 399 gateway "{warning}"',) if warning else ()
        self.sip(f">{caller}", status, *warn, *lines)
        return self.ended("gateway", warning or status[4:], int(status[:3]))

    def ended(self, by: str, why: str, status: int = 0, *, after_s: float = 0.0) -> Self:
        """The call is over."""
        self.now += after_s
        self.trace.by, self.trace.why, self.trace.status = by, why, status
        self.trace.ended_at = self.now
        return self

    def talked(self, seconds: float = 10.0, **media: dict[str, Any]) -> Self:
        """The call went on and was hung up by the page; figures of its legs by ``audio_wic`` and so on."""
        for name, figures in media.items():
            kind, _, side = name.partition("_")
            self.trace.media.setdefault(kind, {})[side] = figures
        return self.ended("page", "BYE", after_s=seconds)
