"""A trace for each verdict: the fault that it names, and nothing else that is grave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kemi.core.trace.entries import CallTrace
from tests.unit.core.explain.built import (
    BACK_SDP,
    CORE_SDP,
    NO_VIDEO,
    PAGE_SDP,
    VIDEO,
    Built,
    heard,
    ims,
    turned,
    wic,
)

_HEALTHY: Final[dict[str, Any]] = {"audio_wic": wic(), "audio_ims": ims()}


def _called(**how: Any) -> Built:
    return Built(**how).begun()


def _talked(**media: Any) -> CallTrace:
    return _called().answered().talked(**{**_HEALTHY, **media}).trace


def _rejected(status: str, warning: str = "", *lines: str, **how: Any) -> CallTrace:
    """Of a call that was refused before anything else was done."""
    to_page = bool(how.get("to_page"))
    built = Built(to_page=to_page)
    return (
        built.sip("core>" if to_page else "page>", "INVITE", sdp=PAGE_SDP)
        .rejected(status, warning, *lines)
        .trace
    )


def refused_by_row(status: int, phrase: str, why: str, *, to_page: bool = False) -> CallTrace:
    """A row of the routing table refuses a page's call, or a trunk's."""
    caller = "core" if to_page else "page"
    built = Built(to_page=to_page, leg_of_core="trunk" if to_page else "core")
    built.sip(f"{caller}>", "INVITE", sdp=PAGE_SDP)
    built.decided("request_rejected", why, method="INVITE", status=str(status), route="barred")
    return built.rejected(f"{status} {phrase}", why).trace


def _setup_failed(status: str, warning: str, *decisions: tuple[str, str]) -> CallTrace:
    """Of a page's call that was refused by us after the INVITE had gone to the core."""
    built = _called()
    for name, why in decisions:
        built.decided(name, why)
    return built.rejected(status, warning).trace


def _update(status: str) -> CallTrace:
    built = Built().sip("page>", "INVITE", "Supported: 100rel", sdp=PAGE_SDP)
    built.sip(">page", "183 Session Progress", "Require: 100rel", sdp=BACK_SDP).sip(
        ">page", "UPDATE", cseq="7 UPDATE"
    )
    if status[:3] != "408":
        built.sip("page>", status, cseq="7 UPDATE")
    return built.rejected("488 Not Acceptable Here", f"our UPDATE to the page ended with {status[:3]}").trace


def _in_call(side: str, method: str, status: str, sdp: str = CORE_SDP, *, by_us: bool = False) -> CallTrace:
    """Of a change inside the call that is refused."""
    built = _called().answered()
    other = f"{side}>" if by_us else f">{side}"
    answer = f">{side}" if by_us else f"{side}>"
    built.sip(other, method, sdp=sdp, cseq=f"21 {method}").sip(answer, status, cseq=f"21 {method}")
    return built.talked(**_HEALTHY).trace


def _trunk(status: str, told: str, warning: str = "", *decisions: tuple[str, str]) -> CallTrace:
    built = Built(leg_of_core="trunk:alpha").begun()
    for name, why in decisions:
        built.decided(name, why, trunk="alpha")
    built.refused(status, told=told, more=(f'Warning: 399 gateway "{warning}"',) if warning else ())
    return built.ended("gateway", warning, int(told[:3])).trace if warning and told != status else built.trace


def _large() -> CallTrace:
    built = Built().begun(sent=CORE_SDP + "a=x:" + "y" * 1400 + "\r\n")
    return built.rejected("504 Server Time-out", "the IMS core does not answer").trace


def _forked() -> CallTrace:
    built = _called()
    for tag in ("one", "two"):
        built.sip("core>", "183 Session Progress", sdp=CORE_SDP, tag=tag)
    return built.answered().talked(**_HEALTHY).trace


def _held(side: str, sdp: str) -> CallTrace:
    built = _called().answered()
    built.sip(f"{side}>", "INVITE", sdp=sdp, cseq="9 INVITE").sip(f">{side}", "200 OK", cseq="9 INVITE")
    return built.talked(**_HEALTHY).trace


def _both_passive() -> CallTrace:
    built = Built().begun()
    for entry in built.trace.entries:
        if entry.leg == "page" and entry.incoming:
            entry.text = entry.text.replace("a=setup:active", "a=setup:passive")
    return built.answered().talked(audio_wic=wic(0, secured=False), audio_ims=ims()).trace


def _other_certificate() -> CallTrace:
    built = Built().begun()
    for entry in built.trace.entries:
        if entry.leg == "page" and entry.incoming and entry.name == "200 OK":
            entry.text = entry.text.replace("7F:03:98", "00:03:98")
    return built.answered().talked(audio_wic=wic(0, secured=False), audio_ims=ims()).trace


def _gate() -> CallTrace:
    built = _called().answered(turned(CORE_SDP, "sendrecv"))
    built.relay("block media", **{"call-id": "c@x", "from-tag": "wic"})
    return built.talked(**_HEALTHY).trace


def _digits() -> CallTrace:
    built = _called().answered(
        CORE_SDP.replace("a=rtpmap:101 telephone-event/8000\r\n", "").replace(" 101", "")
    )
    return built.relay("play DTMF", node="n").talked(**_HEALTHY).trace


def _moved(*names: str, by: str = "page", why: str = "BYE") -> CallTrace:
    built = _called().answered()
    for name in names:
        built.decided(
            name, "the media node is gone" if name == "call_not_moved" else "", node="127.0.0.1:22222"
        )
    built.talked(**_HEALTHY)
    return built.ended(by, why).trace


def _silence(side: str) -> CallTrace:
    other = {"audio_wic": ims(), "audio_ims": ims()}
    return _talked(**{**other, f"audio_{side}": wic(0) if side == "wic" else ims(0, errors=2)})


def _lines_left() -> CallTrace:
    data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n"
    built = Built().sip("page>", "INVITE", "Supported: 100rel", sdp=PAGE_SDP + data)
    built.sip(">page", "183 Session Progress", sdp=BACK_SDP + data.replace(" 9 ", " 0 "))
    return built.sip(">core", "INVITE", sdp=CORE_SDP).answered().talked(**_HEALTHY).trace


def _cancelled(*lines: str, to_page: bool = False) -> CallTrace:
    built = Built(to_page=to_page).begun()
    caller, callee = ("core", "page") if to_page else ("page", "core")
    built.sip(f"{caller}>", "CANCEL", *lines).sip(f">{callee}", "CANCEL").sip(
        f"{callee}>", "487 Request Terminated"
    )
    return built.ended(caller, "CANCEL", 487).trace


def _lost_in_call(*, came_back: bool) -> CallTrace:
    built = _called().answered().decided("flow_lost", state="confirmed")
    if not came_back:
        return built.talked(**_HEALTHY).ended("gateway", "flow_recovery").trace
    built.sip(">page", "UPDATE", cseq="7 UPDATE").sip("page>", "200 OK", cseq="7 UPDATE")
    return built.talked(**_HEALTHY).trace


def _no_figures() -> CallTrace:
    built = _called().answered().talked()
    built.trace.media["audio"] = {"why": "the media relay said nothing"}
    return built.trace


def _not_whole() -> CallTrace:
    """Of a call that was on hold when its trace was full, and went on."""
    trace = _held("page", turned(PAGE_SDP, "sendonly"))
    trace.left_out = 102
    return trace


_RELAY: Final = "media relay 127.0.0.1:22222"
_WITH_VIDEO: Final = PAGE_SDP + VIDEO.replace("4002 RTP/AVPF", "9 UDP/TLS/RTP/SAVPF")
_ANSWERED_BYE: Final = "the far end did not refresh the session"

CASES: Final[Mapping[str, CallTrace]] = {
    # ---- relay
    "no-relay-node": _rejected("503 Media Relay Unavailable", "no media relay is available"),
    "relay-known-to-be-down": _rejected("503 Media Relay Unavailable", f"{_RELAY} does not answer: known to be down"),
    "relay-silent": _rejected(
        "503 Media Relay Unavailable", f"{_RELAY} does not answer: no reply to 'offer' within 0.300 s"
    ),
    "relay-refused": _rejected("503 Media Relay Unavailable", f"{_RELAY}: 'offer' refused: Ran out of ports"),
    "relay-lost-the-call": _called().answered().talked(**_HEALTHY).ended(
        "gateway", "the media relay has lost the call"
    ).trace,
    "relay-node-died": _moved("media_node_lost", "call_not_moved", by="gateway", why="NodeLost"),
    "gate-closed": _gate(),
    "call-moved": _moved("media_node_lost", "call_moves", "call_moved"),
    "second-relay-node": Built().decided("media_node_failed", f"{_RELAY} does not answer", node="127.0.0.1:22222")
    .begun().answered().talked(**_HEALTHY).trace,
    "relay-command-failed": _called().answered().relay("play DTMF", "'play DTMF' refused: no sink").talked(
        **_HEALTHY
    ).trace,
    "no-figures": _no_figures(),
    # ---- way
    "emergency-refused": _rejected("380 Alternative Service", "emergency calls are not possible from here"),
    "page-not-registered": _rejected("403 Not Registered", "this connection has no registration: REGISTER first"),
    "token-refused": Built().sip("page>", "INVITE", sdp=PAGE_SDP).decided(
        "token_refused", "expired", method="INVITE"
    ).rejected(
        "407 Proxy Authentication Required", "get another token"
    ).trace,
    "registration-ended": _called().answered().decided("registration_ended", "logged out").talked(**_HEALTHY).ended(
        "gateway", "logged out"
    ).trace,
    "ended-by-operator": _called().answered().decided("call_forbidden", "ended by an operator").talked(
        **_HEALTHY
    ).ended("gateway", "ended by an operator").trace,
    "limit-reached": _rejected(
        "503 Too Many Requests", "you may make no more than 3 calls in a minute", "Retry-After: 4"
    ),
    "not-permitted": Built().sip("page>", "INVITE", sdp=PAGE_SDP).decided(
        "call_denied", "class", method="INVITE", cost="premium"
    ).rejected("403 Forbidden", "you may not call premium numbers").trace,
    "route-refuses": refused_by_row(403, "Forbidden", "calls to this number are not allowed here"),
    "no-route": _rejected("404 Not Found", "no route to this number"),
    "bad-number": _rejected("484 Address Incomplete", "digits are missing"),
    "called-page-gone": _rejected("430 Flow Failed", "the page's connection is gone", to_page=True),
    "trunks-exhausted": _trunk(
        "503 Service Unavailable", "503 Service Unavailable", "the trunk takes no calls", ("trunk_failed", "")
    ),
    "trunk-full": _setup_failed("503 Service Unavailable", "no trunk has room for this call", ("trunk_full", "calls")),
    "trunk-credentials": _trunk(
        "407 Proxy Authentication Required", "500 Server Internal Error", "the trunk does not take our credentials"
    ),
    "trunk-redirects": _trunk(
        "302 Moved", "480 Temporarily Unavailable", "the trunk redirects, which is not followed"
    ),
    "failed-over": _called().decided("trunk_failed", trunk="alpha", status=503).answered().talked(**_HEALTHY).trace,
    # ---- descriptions
    "no-common-codec": _called().refused("488 Not Acceptable Here").trace,
    "description-refused": _rejected("488 Not Acceptable Here", "The audio line has no ICE credentials"),
    "answer-unusable": _setup_failed(
        "502 Bad Gateway", "The core answered with 3 lines", ("core_answer_unusable", "3 lines")
    ),
    "inactive-from-the-start": _called().answered(turned(CORE_SDP, "inactive")).talked(
        audio_wic=wic(), audio_ims=ims(0)
    ).trace,
    "digits-without-telephone-event": _digits(),
    "video-dropped": Built().begun(sdp=_WITH_VIDEO).answered().talked(**_HEALTHY).trace,
    "video-declined": Built().begun(sdp=_WITH_VIDEO, sent=CORE_SDP + VIDEO).answered(CORE_SDP + NO_VIDEO).talked(
        **_HEALTHY
    ).trace,
    "lines-left-out": _lines_left(),
    "held": _held("core", turned(CORE_SDP, "sendonly")),
    "one-way-session": _called().answered(turned(CORE_SDP, "recvonly")).talked(
        audio_wic=wic(), audio_ims=ims(0)
    ).trace,
    "transcoded": _talked(),
    # ---- media
    "ice-never-done": _talked(audio_wic=wic(0, reached=False, secured=False)),
    "dtls-both-passive": _both_passive(),
    "dtls-certificate-changed": _other_certificate(),
    "dtls-never-done": _talked(audio_wic=wic(0, secured=False)),
    "page-sends-no-media": _silence("wic"),
    "far-end-sends-no-media": _silence("ims"),
    "nobody-sends-media": _talked(audio_wic=wic(0), audio_ims=ims(0, errors=2)),
    "media-lost": _called().answered().decided("media_lost", "no media for 60 s").talked(**_HEALTHY).ended(
        "gateway", "no media for 60 s"
    ).trace,
    "packets-refused": _talked(audio_ims=ims(20, errors=280)),
    "no-picture": Built().begun(sdp=_WITH_VIDEO, sent=CORE_SDP + VIDEO).answered(CORE_SDP + VIDEO).talked(
        **_HEALTHY, video_wic=wic(0), video_ims=ims()
    ).trace,
    "high-loss": _talked(audio_ims=ims(heard=heard(loss_percent=9.0))),
    "high-jitter": _talked(audio_wic=wic(heard=heard(jitter_ms=80.0))),
    "long-delay": _talked(audio_wic=wic(heard=heard(end_to_end_ms=1200.0))),
    # ---- signalling
    "page-connection-lost": _lost_in_call(came_back=False),
    "no-prack": Built().sip("page>", "INVITE", "Supported: 100rel", sdp=PAGE_SDP).sip(
        ">page", "183 Session Progress", "Require: 100rel", sdp=BACK_SDP
    ).rejected("504 Server Time-out", "no PRACK came for the answer").trace,
    "update-refused": _update("488 Not Acceptable Here"),
    "update-unanswered": _update("408 Request Timeout"),
    "glare-unsolved": _update("491 Request Pending"),
    "precondition-failed": _called().refused("580 Precondition Failure").trace,
    "late-offer-unanswered": _called(to_page=True).answered().talked(**_HEALTHY).ended(
        "gateway", "the ACK has no session description to answer ours"
    ).trace,
    "session-timer-unanswered": _called().answered().decided("session_expired", _ANSWERED_BYE).talked(
        **_HEALTHY
    ).ended("gateway", "session_expired").trace,
    "request-too-large": _large(),
    "core-does-not-answer": _setup_failed("504 Server Time-out", "the IMS core does not answer", ("core_failed", "")),
    "core-unavailable": _called().refused("503 Service Unavailable").trace,
    "page-does-not-answer": _called(to_page=True).rejected("408 Request Timeout", "the page does not respond").trace,
    "malformed-request": _rejected("400 Bad Request", "line 7: m=audio has no port"),
    "extension-required": _rejected("420 Bad Extension", "", "Unsupported: privacy-of-mars"),
    "busy": _called().refused("486 Busy Here").trace,
    "declined": _called().refused("603 Decline").trace,
    "nobody-answered": _called().sip("core>", "180 Ringing").refused("480 Temporarily Unavailable").trace,
    "callee-not-reachable": _called().refused("404 Not Found").trace,
    "refused": _called().refused("403 Forbidden").trace,
    "ice-restart-refused": _called().answered().decided("flow_lost", state="confirmed").decided(
        "ice_restart_refused", status=488
    ).talked(**_HEALTHY).ended("gateway", "UpdateAnswered").trace,
    "change-refused": _in_call("core", "INVITE", "488 Not Acceptable Here"),
    "page-came-back": _lost_in_call(came_back=True),
    "answered-elsewhere": _cancelled('Reason: SIP;cause=200;text="Call completed elsewhere"', to_page=True),
    "cancelled": _cancelled(),
    "change-collided": _in_call("core", "UPDATE", "491 Request Pending"),
    "page-without-100rel": Built().begun("Supported: outbound").answered().talked(**_HEALTHY).trace,
    "forked-early-media": _forked(),
    "trace-not-whole": _not_whole(),
}  # fmt: skip
