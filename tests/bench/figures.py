"""What is measured, and the bars: one figure for each line of the table of figures, and those that benches add.

Knows names, units and bars. Must not know how a figure is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Sense(StrEnum):
    """On which side of its bar a figure is good."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True)
class Figure:
    """One thing that is measured. ``bar`` is None for one that is only printed."""

    id: str
    what: str
    unit: str
    sense: Sense
    bar: float | None = None

    def is_kept(self, value: float) -> bool | None:
        """Whether a value keeps the bar; None without a bar."""
        if self.bar is None:
            return None
        return value >= self.bar if self.sense is Sense.AT_LEAST else value <= self.bar


def _least(name: str, what: str, unit: str, bar: float | None = None) -> Figure:
    return Figure(name, what, unit, Sense.AT_LEAST, bar)


def _most(name: str, what: str, unit: str, bar: float | None = None) -> Figure:
    return Figure(name, what, unit, Sense.AT_MOST, bar)


SPINE: Final = (
    _least("flow.rate", "full flow, signalling only", "calls/s", 1000),
    _most("flow.cpu", "gateway CPU per full-flow call, all features", "ms", 1.5),
    _least("flow.media_rate", "full flow with rtpengine, audio, passthrough", "calls/s", 400),
    _most(
        "flow.delay_p50", "INVITE in → IMS INVITE out at half load, without the page's own time, p50", "ms", 3
    ),
    _most(
        "flow.delay_p99",
        "INVITE in → IMS INVITE out at half load, without the page's own time, p99",
        "ms",
        10,
    ),
    _most(
        "audio.loopback", "answer → first audio at the page, above the one-way delay, loopback, p95", "ms", 40
    ),
    _most(
        "audio.delayed", "answer → first audio at the page, above the one-way delay of 50 ms, p95", "ms", 40
    ),
    _least("register.digest", "REGISTER with digest relayed", "REGISTER/s", 4000),
    _least("register.token", "REGISTER with an access token", "REGISTER/s", 3000),
    _most("held.memory", "memory per held WSS registration, private and shared, all processes", "kB", 120),
    _most("storm.time", "10,000 pages reconnect and register", "s", 30),
    _most("storm.lost", "pages lost when 10,000 reconnect and register", "pages", 0),
    _least(
        "media.held", "calls held below 80 % of two cores, loss below 0.01 %, against Janus", "× Janus", 2
    ),
    _most("media.packet", "relay CPU per packet", "µs"),
    _most("web.cpu", "call with real ICE and DTLS, CPU of all parts", "ms", 4),
    _most("web.silent", "silent calls in 1,000 redials 0.7 s after BYE", "calls", 0),
    _most("sdp.audio", "browser offer → IMS offer, audio: parse, judge, rewrite, print", "µs", 150),
    _most("sdp.video", "browser offer → IMS offer, audio and video", "µs", 150),
    _most("decisions", "route, token and identity decisions per INVITE", "µs", 300),
)
"""The table of figures that the whole is judged by; a row of it that nobody measured says so."""

_FRAME: Final = "answer, resume or added camera → first picture at both ends"
OTHERS: Final = (
    _least(
        "plain.ratio", "a plain call in KEMI Python, calls/s against native kamailio.cfg", "× native", 0.95
    ),
    _most("plain.multiple", "full flow CPU, in plain calls of the same KEMI", "plain calls", 3),
    _most("flow.added_p95", "added set-up at 100 calls/s, the page's own time included, p95", "ms", 10),
    _most("flow.media_cpu", "rtpengine CPU per full-flow call, passthrough", "ms"),
    _most("flow.transcoding_cpu", "rtpengine CPU per full-flow call, Opus ⇄ PCMA, until media flows", "ms"),
    _least("flow.transcoding_rate", "full flow with rtpengine, Opus ⇄ PCMA", "calls/s"),
    _most("token.check", "check of a token a worker has not seen, the dearest algorithm", "µs", 300),
    _most("route.lookup", "lookup in a routing table of 100,000 rows, p99", "µs", 50),
    _least("login.rate", "web logins with token, argon2 aside", "logins/s and core", 300),
    _most("events.delay", "from a SIP message to the listener at 100 calls/s, p95", "ms", 50),
    _most("network.restart", "sound is back after the page's address changed, re-INVITE, worst", "s", 3),
    _most("network.offered", "the same of a page that leaves ICE to the gateway, worst", "s", 3),
    _most("node_loss.sound", "sound is back after a relay node was killed under its calls, worst", "s", 3),
    _least(
        "overload.goodput", "good calls at three times the most a gateway takes", "share of the most", 0.9
    ),
    _most("mixed.failed", "mixed calls of every kind that did not go as their scenario says", "calls", 0),
    _most("injection.relayed", "packets of strangers relayed, at either leg", "packets", 0),
    _least("ng.rate", "requests of the relay's client against a stub, four workers", "requests/s", 20000),
    _most("frame.chromium", f"{_FRAME}, Chromium, p95", "ms", 1000),
    _most("frame.firefox", f"{_FRAME}, Firefox, p95", "ms", 1000),
    _most("rolling.failed", "calls that failed while two signalling nodes were upgraded", "calls", 0),
    _least(
        "restart.working",
        "calls that can do everything after Kamailio was restarted under them",
        "share",
        0.99,
    ),
    _least("ladder.signalling", "most calls/s of which 97 % are done, signalling", "calls/s"),
    _least("ladder.media", "most calls/s of which 97 % are done, with rtpengine", "calls/s"),
    _most("ladder.cpu", "CPU of gateway and relay for a call on the ladder", "ms"),
    *(
        _most(
            f"ladder.chance_{name}",
            f"INVITE in → IMS INVITE out at half load, calls that come by chance, {name}",
            "ms",
        )
        for name in ("p50", "p99")
    ),
)
"""What else the benches promise."""

FIGURES: Final = {figure.id: figure for figure in (*SPINE, *OTHERS)}
