"""Verdicts on the media that came or did not come, out of what the relay counted (rtpengine/quality.py)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from kemi.core.explain.described import direction_of
from kemi.core.explain.reading import CORE, IMS, PAGE, PARTY, WIC, Reading
from kemi.core.explain.rules import Found, Rule, found
from kemi.core.explain.verdict import Gravity

LONG_ENOUGH_S: Final = 2.0
"""A call has to last for media to be missed."""
_REPORTS_PER_S: Final = 4.0
_FEW_PER_S: Final = 15.0
_MANY: Final = 25
_MUCH_LOSS_PERCENT: Final = 3.0
_MUCH_JITTER_MS: Final = 50.0
_LATE_MS: Final = 400.0
"""One way (ITU-T G.114); RTCP tells both ways."""
_FEW_REPORTS: Final = 2
_LOST: Final = re.compile(r"no media for [\d.]+ s")
_SIDE: Final = {WIC: PAGE, IMS: CORE}


def _can_tell(call: Reading) -> bool:
    return call.answered and _counted_s(call) >= LONG_ENOUGH_S


def _counted_s(call: Reading) -> float:
    """Return how long the call was talked on over the relay whose figures there are: of a dead one there are none."""
    moved = call.decision("call_moved")
    return call.lasted_s - (call.talked_until(moved) if moved is not None else 0.0)


def _wanted(call: Reading, leg: str, kind: str = "audio") -> bool:
    """Whether a party's last description says that it sends; True where none is known.

    Of a trace that is not whole any description counts: the last one may be missing.
    """
    said = [one for one in call.messages(_SIDE[leg], incoming=True) if one.has_sdp and one.status < 300]
    directions = [direction_of(one, kind) for one in (said[-1:] if call.is_whole else said)]
    return not said or any(one is not None and one.sends for one in directions)


def _figures(call: Reading, kind: str, leg: str) -> str:
    values = call.leg(kind, leg) or {}
    shown = [f"{values.get('packets', 0)} packets"]
    if values.get("errors"):
        shown.append(f"{values['errors']} more refused")
    for name, words in (("reached", ("ICE done", "no check of ICE")), ("secured", ("DTLS done", "no DTLS"))):
        if isinstance(values.get(name), bool):
            shown.append(words[0] if values[name] else words[1])
    return f"{kind} from {PARTY[leg]}: {', '.join(shown)}"


def _addresses(call: Reading) -> str:
    """Return where the page was told to send media."""
    told = [one for one in call.messages(PAGE, incoming=False) if one.has_sdp]
    sdp = told[-1].sdp if told else None
    places = (
        {f"{c.address}:{c.port}": None for line in sdp.media for c in line.candidates}
        if sdp is not None
        else {}
    )
    return f"the page was told {', '.join(places)}" if places else ""


def _roles(call: Reading) -> tuple[str, str]:
    """Return what the page and we said last of who begins DTLS, "" for nothing definite."""
    page, ours = (_role(call, incoming=incoming) for incoming in (True, False))
    return page, ours


def _role(call: Reading, *, incoming: bool) -> str:
    for one in reversed(list(call.messages(PAGE, incoming=incoming))):
        line = one.line("audio") if one.status < 300 else None
        if line is not None and line.setup in ("active", "passive"):
            return line.setup
    return ""


def _ice(call: Reading) -> Found | None:
    leg = call.leg("audio", WIC)
    if not _can_tell(call) or leg is None or leg.get("reached") is not False:
        return None
    return found(_figures(call, "audio", WIC), _addresses(call))


def _both_passive(call: Reading) -> Found | None:
    if not _handshake_missing(call):
        return None
    page, ours = _roles(call)
    if not page == ours == "passive":
        return None
    return found(_figures(call, "audio", WIC), f"a=setup of the page {page}, of the gateway {ours}")


def _handshake_missing(call: Reading) -> bool:
    leg = call.leg("audio", WIC)
    return (
        _can_tell(call)
        and leg is not None
        and leg.get("secured") is False
        and leg.get("reached") is not False
    )


def _certificate_changed(call: Reading) -> Found | None:
    """The page named different certificates for one transport."""
    if not _handshake_missing(call):
        return None
    seen: dict[str, str] = {}
    for one in call.messages(PAGE, incoming=True):
        line = one.line("audio") if one.status < 300 else None
        prints = line.fingerprints if line is not None else ()
        if line is None or not prints or not line.ice_ufrag:
            continue
        value = prints[0].value.upper()
        if seen.setdefault(line.ice_ufrag, value) != value:
            return found(
                _figures(call, "audio", WIC),
                f"{call.quoted(one)} names {value[:17]}…, before {seen[line.ice_ufrag][:17]}…",
            )
    return None


def _dtls(call: Reading) -> Found | None:
    if not _handshake_missing(call):
        return None
    page, ours = _roles(call)
    return found(
        _figures(call, "audio", WIC), f"a=setup of the page {page or '?'}, of the gateway {ours or '?'}"
    )


def _is_silent(call: Reading, kind: str, leg: str) -> bool:
    figures = call.leg(kind, leg)
    if figures is None or not _can_tell(call):
        return False
    taken = int(figures.get("packets") or 0)
    # RTCP on the same port counts too, but has no codec; of both it is a packet or two in a second.
    only_reports = not figures.get("codec") and taken <= _REPORTS_PER_S * _counted_s(call) + _REPORTS_PER_S
    return (taken <= 0 or only_reports) and _wanted(call, leg, kind)


def _silent(kind: str, leg: str, call: Reading) -> Found | None:
    other = IMS if leg == WIC else WIC
    if not _is_silent(call, kind, leg) or _is_silent(call, kind, other):
        return None
    return found(
        _figures(call, kind, leg), _figures(call, kind, other), f"the call lasted {call.lasted_s:.1f} s"
    )


def _page_silent(call: Reading) -> Found | None:
    return _silent("audio", WIC, call)


def _far_end_silent(call: Reading) -> Found | None:
    return _silent("audio", IMS, call)


def _nobody_sends(call: Reading) -> Found | None:
    if not (_is_silent(call, "audio", WIC) and _is_silent(call, "audio", IMS)):
        return None
    return found(
        _figures(call, "audio", WIC), _figures(call, "audio", IMS), f"the call lasted {call.lasted_s:.1f} s"
    )


def _no_picture(call: Reading) -> Found | None:
    for leg in (WIC, IMS):
        if (result := _silent("video", leg, call)) is not None:
            return found(*result.because, who=PARTY[leg])
    return None


def _refused_packets(call: Reading) -> Found | None:
    for kind in call.kinds:
        for leg in (WIC, IMS):
            figures: Mapping[str, Any] = call.leg(kind, leg) or {}
            errors, packets = int(figures.get("errors") or 0), int(figures.get("packets") or 0)
            # What comes before its address is known, as early media, is dropped too.
            misses_most = packets < _FEW_PER_S * call.lasted_s
            if errors >= _MANY and errors >= packets and misses_most and _can_tell(call):
                return found(_figures(call, kind, leg), who=PARTY[leg], kind=kind)
    return None


def _media_lost(call: Reading) -> Found | None:
    lost = call.decision("media_lost")
    why = call.trace.why if _LOST.fullmatch(call.trace.why) else lost.why if lost is not None else ""
    if not _LOST.fullmatch(why):
        return None
    return found(
        call.shown(lost) or f"ended by {call.trace.by}: {why}",
        _figures(call, "audio", WIC),
        _figures(call, "audio", IMS),
        why=why,
    )


def _heard(call: Reading, kind: str, leg: str) -> Mapping[str, Any]:
    """Return what a party's reports say; {} for none."""
    heard = (call.leg(kind, leg) or {}).get("heard")
    return heard if isinstance(heard, Mapping) and int(heard.get("samples") or 0) >= _FEW_REPORTS else {}


def _worst(call: Reading, name: str, least: float) -> tuple[str, str, float] | None:
    """Return kind, listener and value of the worst figure of all reports, if it is bad enough."""
    told = [
        (kind, leg, float(_heard(call, kind, leg).get(name) or 0.0))
        for kind in call.kinds
        for leg in (WIC, IMS)
    ]
    bad = [one for one in told if one[2] >= least]
    return max(bad, key=lambda one: one[2]) if bad else None


def _quality(call: Reading, name: str, least: float, unit: str, words: str) -> Found | None:
    worst = _worst(call, name, least)
    if worst is None:
        return None
    kind, leg, value = worst
    samples = _heard(call, kind, leg).get("samples")
    evidence = f"{kind} as {PARTY[leg]} hears it: {words} {value:g} {unit} on average of {samples} reports"
    return found(
        evidence,
        who=PARTY[leg],
        sender=PARTY[IMS if leg == WIC else WIC],
        value=f"{value:g} {unit}",
        kind=kind,
    )


def _loss(call: Reading) -> Found | None:
    return _quality(call, "loss_percent", _MUCH_LOSS_PERCENT, "%", "loss")


def _jitter(call: Reading) -> Found | None:
    return _quality(call, "jitter_ms", _MUCH_JITTER_MS, "ms", "jitter")


def _late(call: Reading) -> Found | None:
    return _quality(call, "end_to_end_ms", 2 * _LATE_MS, "ms", "round trip")


_CAUSE, _TROUBLE = Gravity.CAUSE, Gravity.TROUBLE
_NO_TRANSPORT: Final = ("ice-never-done", "dtls-never-done", "dtls-both-passive", "dtls-certificate-changed")

RULES: Final = (
    Rule(
        code="ice-never-done", gravity=_CAUSE, check=_ice,
        says="No connectivity check (ICE) of the page reached the media relay, so there is no sound.",
        do="Page's network: let UDP to the relay pass; operator: can that address be reached from outside?",
    ),
    Rule(
        code="dtls-both-passive", gravity=_CAUSE, check=_both_passive,
        says="Both ends wait for the other to begin DTLS (both passive), so there is no sound.",
        do="The page's developer: answer a=setup:active where passive or actpass was offered (RFC 8842 §5).",
    ),
    Rule(
        code="dtls-certificate-changed", gravity=_CAUSE, check=_certificate_changed, unless=("dtls-both-passive",),
        says="The page named another certificate than before on one transport, and DTLS was not completed.",
        do="The page's developer: one RTCPeerConnection for a call, and its fingerprints left as they are.",
    ),
    Rule(
        code="dtls-never-done", gravity=_CAUSE, check=_dtls, unless=("dtls-both-passive", "dtls-certificate-changed"),
        says="ICE was done, DTLS was not: no handshake came, or one with a certificate the page had not named.",
        do="The page's developer: is the fingerprint the connection's? Page's network: do packets of 1,200 bytes pass?",
    ),
    Rule(
        code="page-sends-no-media", gravity=_CAUSE, check=_page_silent, unless=_NO_TRANSPORT,
        says="The page sends no sound: nothing but reports came, while the far end's did.",
        do="The page's user: microphone and its permission; the page's developer: has the sender a track?",
    ),
    Rule(
        code="far-end-sends-no-media", gravity=_CAUSE, check=_far_end_silent,
        says="The far end sends no sound: nothing but reports came, while the page's did.",
        do="Core or trunk: can its media reach the address in our description? Look at firewalls on the way.",
    ),
    Rule(
        code="nobody-sends-media", gravity=_CAUSE, check=_nobody_sends, unless=_NO_TRANSPORT,
        says="Neither side sent one packet of sound.",
        do="Operator: can media reach the relay at all, from both networks (gwctl doctor)?",
    ),
    Rule(
        code="media-lost", gravity=_CAUSE, check=_media_lost,
        unless=(*_NO_TRANSPORT, "nobody-sends-media"),
        says="The media stopped, and the gateway hung up: {why}.",
        do="Whoever was silent has lost its network; operator: look at the relay node if several calls ended at once.",
    ),
    Rule(
        code="packets-refused", gravity=_TROUBLE, check=_refused_packets, unless=_NO_TRANSPORT,
        says="Most packets of {who} ({kind}) were dropped: they came from another address, or could not be decrypted.",
        do="Network of that side: an address changes on the way (NAT); otherwise its SRTP keys are not those it named.",
    ),
    Rule(
        code="no-picture", gravity=_TROUBLE, check=_no_picture, unless=_NO_TRANSPORT,
        says="There is video, but not one packet of it came from {who}.",
        do="That side: is the camera on and allowed?",
    ),
    Rule(
        code="high-loss", gravity=_TROUBLE, check=_loss,
        says="{who} lost {value} of the packets ({kind}) on their way from {sender}.",
        do="The networks of both sides: RTCP counts the whole way; Wi-Fi and mobile access are the usual places.",
    ),
    Rule(
        code="high-jitter", gravity=_TROUBLE, check=_jitter,
        says="Packets ({kind}) reached {who} unevenly: jitter {value}.",
        do="The networks of both sides; on the gateway itself: is a relay node overloaded (gwctl nodes)?",
    ),
    Rule(
        code="long-delay", gravity=_TROUBLE, check=_late,
        says="{who} hears {sender} late: {value} there and back.",
        do="The networks of both sides; people begin to talk over each other at this delay.",
    ),
)  # fmt: skip
