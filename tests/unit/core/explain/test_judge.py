"""Each verdict is reached by a trace with its fault, by no healthy one, and its sentences are whole."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from kemi.core.explain.judge import RULES, explain
from kemi.core.explain.verdict import Gravity
from kemi.core.trace.entries import CallTrace, What
from tests.unit.core.explain.built import BACK_SDP, CORE_SDP, PAGE_SDP, Built, ims, turned, wic
from tests.unit.core.explain.cases import CASES

GRAVITY = {rule.code: rule.gravity for rule in RULES}
WITH = {"request-too-large": ["core-does-not-answer"]}
"""What goes with a verdict."""
BOTH_WAYS = turned(PAGE_SDP, "sendrecv")


def codes_of(trace: CallTrace) -> list[str]:
    return [verdict.code for verdict in explain(trace)]


def second_try(built: Built) -> Built:
    """Add the INVITE that answers a challenge."""
    built.sip("page>", "INVITE", "Supported: 100rel", sdp=BOTH_WAYS, cseq="2 INVITE", tag="")
    return built.sip(">core", "INVITE", sdp=CORE_SDP, cseq="2 INVITE", tag="")


def challenged(status: str = "407 Proxy Authentication Required") -> Built:
    """Return a call that the core has challenged, up to its second INVITE."""
    built = (
        Built()
        .sip("page>", "INVITE", "Supported: 100rel", sdp=BOTH_WAYS)
        .sip(">core", "INVITE", sdp=CORE_SDP)
    )
    return second_try(built.sip("core>", status).sip(">page", status))


def test_each_rule_has_a_case_and_a_name_of_its_own() -> None:
    assert sorted(CASES) == sorted(rule.code for rule in RULES)
    for rule in RULES:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.code)
        assert set(rule.unless) <= GRAVITY.keys()


@pytest.mark.parametrize("code", sorted(CASES))
def test_a_fault_is_named_and_no_other(code: str) -> None:
    verdicts = explain(CASES[code])
    assert code in [verdict.code for verdict in verdicts]
    grave = [verdict.code for verdict in verdicts if verdict.gravity is not Gravity.NOTE]
    assert grave == WITH.get(code, []) + ([code] if GRAVITY[code] is not Gravity.NOTE else [])


@pytest.mark.parametrize(("seconds", "is_silent"), [(1.5, False), (30.0, True)])
def test_nobody_is_silent_who_has_hardly_had_time_to_speak_on_another_relay(
    seconds: float, is_silent: bool
) -> None:
    built = Built().begun().answered()
    built.now += 3480
    for name in ("media_node_lost", "call_moves", "call_moved"):
        built.decided(name, node="127.0.0.1:22222")
    built.talked(seconds, audio_wic=wic(60), audio_ims=ims(0))
    assert ("far-end-sends-no-media" in codes_of(built.trace)) is is_silent
    assert "call-moved" in codes_of(built.trace)


@pytest.mark.parametrize("code", sorted(CASES))
def test_a_verdict_is_a_sentence_with_evidence_and_advice(code: str) -> None:
    (verdict,) = [one for one in explain(CASES[code]) if one.code == code]
    for sentence in (verdict.says, verdict.do):
        assert sentence[0].isupper()
        assert sentence.endswith((".", "?"))
        assert "{" not in sentence
    assert verdict.because
    assert all(line and "\n" not in line for line in verdict.because)


def test_the_gravest_comes_first() -> None:
    order = list(Gravity)
    for trace in CASES.values():
        places = [order.index(verdict.gravity) for verdict in explain(trace)]
        assert places == sorted(places)


def test_a_healthy_call_of_either_direction_has_nothing_grave() -> None:
    for to_page in (False, True):
        trace = Built(to_page=to_page).begun().answered().talked(audio_wic=wic(), audio_ims=ims()).trace
        assert codes_of(trace) == ["transcoded"]


def test_a_gate_for_somebody_who_has_not_answered_is_no_fault() -> None:
    """rtpengine 12 does not know him yet."""
    built = Built().begun().answered().relay("block media", "refused: From-tag given, but no such tag exists")
    assert "relay-command-failed" not in codes_of(built.talked(audio_wic=wic(), audio_ims=ims()).trace)


def test_a_call_of_a_second_is_too_short_to_miss_media() -> None:
    trace = Built().begun().answered().talked(1.0, audio_wic=wic(0, reached=False), audio_ims=ims(0)).trace
    assert codes_of(trace) == ["transcoded"]


def test_a_party_that_does_not_want_to_send_is_not_missed() -> None:
    trace = (
        Built().begun().answered(turned(CORE_SDP, "recvonly")).talked(audio_wic=wic(), audio_ims=ims(0)).trace
    )
    assert codes_of(trace) == ["one-way-session", "transcoded"]


def test_a_running_call_is_judged_by_what_is_known() -> None:
    built = Built().begun().answered()
    built.add(What.QUALITY, "audio", leg="wic", **wic(0, reached=False, secured=False)).now += 30
    built.add(What.QUALITY, "audio", leg="ims", **ims())
    assert codes_of(built.trace)[0] == "ice-never-done"


def test_a_missing_transport_is_the_cause_and_not_what_follows_from_it() -> None:
    built = Built().begun().answered()
    built.talked(audio_wic=wic(0, reached=False, secured=False), audio_ims=ims(0))
    assert codes_of(built.ended("gateway", "no media for 60 s").trace) == ["ice-never-done", "transcoded"]


def test_reports_alone_are_no_sound() -> None:
    """A page that is muted still sends RTCP, on the same port."""
    trace = Built().begun().answered().talked(audio_wic=wic(12, codec=None), audio_ims=ims(500)).trace
    assert codes_of(trace) == ["page-sends-no-media"]


def test_early_media_that_was_dropped_is_not_missed() -> None:
    """Until the answer tells its address nothing of the far end is taken."""
    trace = Built().begun().answered().talked(audio_wic=wic(700), audio_ims=ims(400, errors=500)).trace
    assert codes_of(trace) == ["transcoded"]


def test_a_stranger_who_sends_more_than_the_far_end_does_not_silence_it() -> None:
    trace = Built().begun().answered().talked(audio_wic=wic(500), audio_ims=ims(500, errors=600)).trace
    assert codes_of(trace) == ["transcoded"]


def test_what_takes_the_place_of_a_bad_answer_is_the_gateways() -> None:
    built = Built().begun().answered().sip("page>", "INVITE", sdp=PAGE_SDP, cseq="9 INVITE")
    built.sip("core>", "488 Not Acceptable Here", 'Warning: 399 gateway "2 lines, not 1"', cseq="9 INVITE")
    verdict = explain(built.talked(audio_wic=wic(), audio_ims=ims()).trace)[0]
    assert (verdict.code, "by the gateway" in verdict.says) == ("change-refused", True)


def test_a_page_that_did_not_answer_a_change_is_no_glare() -> None:
    built = Built().begun().answered().sip("core>", "INVITE", sdp=CORE_SDP, cseq="9 INVITE")
    silent = 'Warning: 399 ims.test "the page has not answered in time"'
    built.sip(">core", "491 Request Pending", silent, cseq="9 INVITE")
    verdict = explain(built.talked(audio_wic=wic(), audio_ims=ims()).trace)[0]
    assert verdict.code == "change-refused"
    assert any("has not answered" in line for line in verdict.because)


@pytest.mark.parametrize("code", sorted(rule.code for rule in RULES if rule.needs_all))
def test_what_goes_by_the_end_of_a_trace_is_not_said_where_entries_are_missing(code: str) -> None:
    codes = codes_of(replace(CASES[code], left_out=1))
    assert code not in codes
    assert "trace-not-whole" in codes


def test_who_never_sent_though_it_once_wanted_to_is_missed_in_a_trace_that_is_not_whole() -> None:
    built = (
        Built().begun().answered().sip("page>", "INVITE", sdp=turned(PAGE_SDP, "inactive"), cseq="9 INVITE")
    )
    trace = built.talked(audio_wic=wic(0), audio_ims=ims(500)).trace
    assert "page-sends-no-media" not in codes_of(trace)
    assert "page-sends-no-media" in codes_of(replace(trace, left_out=9))


@pytest.mark.parametrize(
    ("why", "decision", "code"),
    [
        ("ended by an operator", "call_forbidden", "ended-by-operator"),
        ("longer than a call may be", "call_forbidden", "ended-by-operator"),
        ("session_expired", "session_expired", "session-timer-unanswered"),
        ("the media relay has lost the call", "media_lost", "relay-lost-the-call"),
        ("no media for 60 s", "media_lost", "media-lost"),
    ],
)
def test_a_page_that_came_back_is_not_why_we_ended_its_call_later(why: str, decision: str, code: str) -> None:
    trace = CASES["page-came-back"]
    built = Built()
    built.trace, built.now = replace(trace, entries=list(trace.entries)), trace.ended_at
    built.decided(decision, why).ended("gateway", why, after_s=3600.0)
    grave = [verdict.code for verdict in explain(built.trace) if verdict.gravity is not Gravity.NOTE]
    assert grave == [code, "page-came-back"]


def test_a_page_is_back_only_where_it_said_something() -> None:
    built = Built().begun().answered().decided("flow_lost", state="confirmed")
    assert "page-came-back" not in codes_of(built.trace)
    built.talked(audio_wic=wic(), audio_ims=ims()).ended("core", "BYE")
    assert codes_of(built.trace)[0] == "page-connection-lost"
    built.sip("core>", "BYE", cseq="9 BYE").sip(">page", "BYE", cseq="9 BYE").sip(
        "page>", "200 OK", cseq="9 BYE"
    )
    assert codes_of(built.trace)[0] == "page-came-back"


def test_a_call_that_outlived_every_wait_for_its_page_had_it() -> None:
    built = Built().begun().answered().decided("flow_lost", state="confirmed")
    built.decided("call_forbidden", "ended by an operator").talked(3601, audio_wic=wic(), audio_ims=ims())
    codes = codes_of(built.ended("gateway", "ended by an operator").trace)
    assert codes[:2] == ["ended-by-operator", "page-came-back"]


def test_when_the_page_was_lost_is_not_when_the_call_ended() -> None:
    built = Built().begun().answered()
    built.now += 12.0
    built.decided("flow_lost", state="confirmed").ended("gateway", "flow_recovery", after_s=30.0)
    assert "closed after 12 s of the call" in explain(built.trace)[0].says


REFUSALS = (
    "too many requests of this connection",
    "you may not call premium numbers",
    "calls to this number are not allowed here",
    "no route to this number",
    "none of the codecs offered is known",
    "this connection has no registration: REGISTER first",
    "the page's connection is gone",
    "registration logged out",
    "no trunk has room for this call",
)


@pytest.mark.parametrize("why", REFUSALS)
@pytest.mark.parametrize("method", ["REFER", "INFO", "INVITE"])
def test_what_is_refused_in_a_good_call_is_no_cause(why: str, method: str) -> None:
    built = Built().begun().answered().decided("request_rejected", why, method=method)
    built.decided("call_denied", "class", detail=why, method=method)
    assert codes_of(built.talked(audio_wic=wic(), audio_ims=ims()).trace) == ["transcoded"]


@pytest.mark.parametrize("why", REFUSALS)
def test_what_was_refused_before_a_call_failed_is_not_why(why: str) -> None:
    built = Built().begun().decided("request_rejected", why, method="INFO")
    built.decided("call_denied", "class", detail=why, method="REFER")
    assert codes_of(built.refused("486 Busy Here").trace) == ["busy"]


def test_an_invite_that_was_refused_counts_though_nobody_noted_the_answer() -> None:
    built = (
        Built().sip("page>", "INVITE", sdp=PAGE_SDP).decided("request_rejected", REFUSALS[0], method="INVITE")
    )
    assert codes_of(built.ended("gateway", "Too Many Requests", 503).trace) == ["limit-reached"]


@pytest.mark.parametrize("status", ["401 Unauthorized", "407 Proxy Authentication Required"])
def test_a_challenge_that_the_page_answered_is_no_end(status: str) -> None:
    built = challenged(status)
    running = codes_of(built.sip("core>", "180 Ringing", cseq="2 INVITE").trace)
    assert running == []
    built.sip("core>", "200 OK", cseq="2 INVITE", sdp=CORE_SDP).sip(
        ">page", "200 OK", cseq="2 INVITE", sdp=BACK_SDP
    )
    built.trace.answered_at = built.now
    assert codes_of(built.talked(audio_wic=wic(), audio_ims=ims()).trace) == ["transcoded"]


def test_our_own_challenge_that_the_page_answered_is_no_end() -> None:
    built = Built().sip("page>", "INVITE", sdp=PAGE_SDP).decided("token_refused", "expired", method="INVITE")
    built.sip(">page", "407 Proxy Authentication Required")
    assert codes_of(second_try(built).refused("486 Busy Here", cseq="2 INVITE").trace) == ["busy"]


def test_a_challenge_that_nobody_answered_is_an_end() -> None:
    trace = Built().begun().refused("407 Proxy Authentication Required").trace
    assert codes_of(trace) == ["refused"]


@pytest.mark.parametrize(
    ("status", "why", "code"),
    [
        ("504 Server Time-out", "no PRACK came for the answer", "no-prack"),
        ("504 Server Time-out", "the IMS core does not answer", "core-does-not-answer"),
        ("502 Bad Gateway", "3 lines", "answer-unusable"),
        ("488 Not Acceptable Here", "The audio line has no ICE credentials", "description-refused"),
        ("400 Bad Request", "line 7: m=audio has no port", "malformed-request"),
    ],
)
def test_how_a_call_ended_after_a_challenge_is_what_the_page_was_told_last(
    status: str, why: str, code: str
) -> None:
    built = challenged().sip(">page", status, f'Warning: 399 gateway "{why}"', cseq="2 INVITE")
    (verdict,) = explain(built.ended("gateway", why, int(status[:3])).trace)
    assert verdict.code == code
    assert not [line for line in verdict.because if "407" in line]


@pytest.mark.parametrize(
    ("status", "why", "code"),
    [
        ("504 Server Time-out", "no PRACK came for the answer", "no-prack"),
        ("480 Page Gone", "the WebSocket closed", "page-connection-lost"),
        ("480 Not Registered", "registration logged out", "registration-ended"),
        ("480 No Answer", "nobody answered", "nobody-answered"),
    ],
)
def test_a_call_that_we_ended_while_it_rang_was_not_left_unanswered(status: str, why: str, code: str) -> None:
    built = Built().begun().sip("core>", "180 Ringing").sip("core>", "487 Request Terminated")
    assert codes_of(built.rejected(status, why).trace) == [code]


@pytest.mark.parametrize("cause", [17, 21, 18])
def test_a_cause_of_q850_counts_more_than_the_status(cause: int) -> None:
    trace = Built().begun().refused("480 Temporarily Unavailable", f"Reason: Q.850;cause={cause}").trace
    assert codes_of(trace)[0] == {17: "busy", 21: "declined", 18: "nobody-answered"}[cause]


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        ("408 Request Timeout", "", "callee-not-reachable"),
        ("502 Bad Gateway", "", "refused"),
        ("503 Service Unavailable", "Reason: Q.850;cause=34", "refused"),
        ("504 Server Time-out", "", "refused"),
    ],
)
def test_who_is_behind_the_core_is_not_the_core(status: str, reason: str, code: str) -> None:
    """No other entry point is asked for these."""
    (verdict,) = explain(Built().begun().refused(status, *([reason] if reason else [])).trace)
    assert verdict.code == code
    assert status[:3] in verdict.says


@pytest.mark.parametrize("to_page", [False, True])
@pytest.mark.parametrize(
    ("name", "who"), [("late_answer_refused", "the far end"), ("page_answer_unusable", "the page")]
)
@pytest.mark.parametrize(
    ("by", "why"), [("page", "BYE"), ("core", "BYE"), ("gateway", "ended by an operator")]
)
def test_a_bad_answer_in_an_ack_inside_a_call_ends_nothing(
    to_page: bool, name: str, who: str, by: str, why: str
) -> None:
    built = Built(to_page=to_page).begun().answered()
    built.decided(name, "the ACK has no session description to answer ours")
    verdict, *rest = explain(built.talked(audio_wic=wic(), audio_ims=ims()).ended(by, why).trace)
    assert (verdict.code, f"by {who}: its ACK" in verdict.says) == ("change-refused", True)
    assert [one.code for one in rest] == ["transcoded"]


@pytest.mark.parametrize("to_page", [False, True])
def test_an_answer_in_clear_in_an_ack_ends_the_call(to_page: bool) -> None:
    why = "The audio line answers RTP/SAVP with RTP/AVP, which was not offered"
    built = Built(to_page=to_page).begun().answered().decided("late_answer_refused", why)
    first, *_ = found = explain(built.talked(audio_wic=wic(), audio_ims=ims()).ended("gateway", why).trace)
    assert [one.code for one in found] == ["answer-unusable", "transcoded"]
    assert (why in first.says, "of the far end" in first.says) == (True, True)


@pytest.mark.parametrize("name", ["core_answer_unusable", "own_offer_misunderstood"])
def test_a_bad_answer_inside_a_call_is_not_why_it_ended_later(name: str) -> None:
    built = (
        Built().begun().answered().decided(name, "3 lines").decided("call_forbidden", "ended by an operator")
    )
    trace = built.talked(audio_wic=wic(), audio_ims=ims()).ended("gateway", "ended by an operator").trace
    assert codes_of(trace) == ["ended-by-operator", "transcoded"]


def test_resources_that_an_answered_call_lacked_later_are_no_cause() -> None:
    built = Built().begun().sip("core>", "580 Precondition Failure", tag="other").answered()
    built.sip("core>", "INVITE", sdp=CORE_SDP, cseq="21 INVITE").sip(
        ">core", "580 Precondition Failure", cseq="21 INVITE"
    )
    trace = built.talked(audio_wic=wic(), audio_ims=ims()).trace
    assert codes_of(trace) == ["change-refused", "transcoded"]


@pytest.mark.parametrize(
    ("lines", "is_digit"),
    [
        (["Content-Type: application/dtmf-relay"], True),
        (["c: Application/DTMF"], True),
        (["Info-Package: infoDtmf", "Content-Type: application/session-info"], True),
        (["Content-Type: application/media_control+xml"], False),
        (["Info-Package: trickle-ice", "Content-Type: application/trickle-ice-sdpfrag"], False),
        ([], False),
    ],
)
def test_an_info_is_missed_as_a_digit_where_it_is_one(lines: list[str], is_digit: bool) -> None:
    without = CORE_SDP.replace("a=rtpmap:101 telephone-event/8000\r\n", "").replace(" 101", "")
    built = Built().begun().answered(without).sip("page>", "INFO", *lines, cseq="9 INFO")
    built.sip(">page", "200 OK", cseq="9 INFO")
    codes = codes_of(built.talked(audio_wic=wic(), audio_ims=ims()).trace)
    assert ("digits-without-telephone-event" in codes) is is_digit


@pytest.mark.parametrize(
    "why", ["'block media' refused: no such tag", "no reply to 'block media' within 0.300 s"]
)
def test_a_gate_that_the_relay_did_not_close_is_open(why: str) -> None:
    built = Built().begun().answered().relay("block media", why, **{"call-id": "c@x", "from-tag": "wic"})
    assert "gate-closed" not in codes_of(built.talked(audio_wic=wic(), audio_ims=ims()).trace)


def test_an_empty_trace_says_nothing() -> None:
    assert explain(Built().trace) == []


def test_nothing_in_a_trace_makes_it_fall() -> None:
    """Entries are left out, turned around and spoilt, as by a trace that is too long or of another release."""
    draw = random.Random(7)
    for trace in list(CASES.values()) * 6:
        entries = [entry for entry in trace.entries if draw.random() < 0.8]
        draw.shuffle(entries)
        texts = [entry.text for entry in entries] + [
            PAGE_SDP,
            "\x00",
            "SIP/2.0 abc\r\nCSeq: x\r\n\r\nv=0\r\n",
        ]
        spoilt = CallTrace(
            key="k", call_id="k", impu="", peer="", direction=draw.choice(["to_page", "from_page", ""]), node="",
            began_at=trace.began_at, answered_at=draw.choice([0.0, trace.answered_at]), ended_at=trace.ended_at,
            by=draw.choice(["", "page", trace.by]), why=trace.why, status=draw.choice([0, 1, 486, trace.status]),
            media=draw.choice([trace.media, {"audio": {"why": "x"}}, {"audio": {"wic": None, "ims": {}}}]),
        )  # fmt: skip
        for entry in entries:
            text = draw.choice([entry.text, entry.text[: draw.randrange(200)], draw.choice(texts)])
            values = draw.choice([entry.values, {}, {"status": None, "packets": None, "heard": {}}])
            spoilt.entries.append(type(entry)(at=entry.at, what=entry.what, leg=entry.leg, name=entry.name, text=text,
                                              why=entry.why, incoming=entry.incoming, values=dict(values)))  # fmt: skip
        for verdict in explain(spoilt):
            assert verdict.says
            assert "{" not in verdict.says


def test_the_medium_without_figures_is_named() -> None:
    trace = Built().begun().answered().talked(audio_wic=wic(), audio_ims=ims()).trace
    trace.media["video"] = {"why": "the media relay has no such call"}
    (verdict,) = [one for one in explain(trace) if one.code == "no-figures"]
    assert "this call's video, of which" in verdict.says


def test_each_node_that_did_not_take_a_call_is_named() -> None:
    built = Built()
    for node in ("192.0.2.9:2223", "192.0.2.10:2223"):
        built.decided("media_node_failed", "'offer' refused: no ports", node=node)
    trace = built.begun().answered().talked(audio_wic=wic(), audio_ims=ims()).trace
    (verdict,) = [one for one in explain(trace) if one.code == "second-relay-node"]
    assert "(192.0.2.9:2223, 192.0.2.10:2223)" in verdict.says
