"""No adapter calls a bar kept that was kept by those alone that did not fail: of each, data that are well and data with
failures in them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.bench.page.adapters import ADAPTERS
from tests.bench.rows import Row

Raw = Any


def row_of(bench: str, figure: str, data: Raw) -> Row:
    rows, _ = ADAPTERS[bench](data)
    return next(row for row in rows if row.figure.id == figure)


def calls() -> Raw:
    run = {"calls": 800, "failures": {}, "calls_per_s": 2000.0, "gateway_cpu_ms": 1.0, "media_cpu_ms": 0.0,
           "generator_cpu_ms": 0.5, "callee_cpu_ms": 0.5, "page_ms": {"p50": 0.5},
           "added_ms": {"p50": 2.5, "p95": 6.3, "p99": 8.0}}  # fmt: skip
    modes = {"native": ["closed loop"], "kemi": ["closed loop"], "signalling": ["closed loop"],
             "full": ["closed loop", "100/s", "half load"]}  # fmt: skip
    return {
        "cells": [
            {"target": name, "mode": mode, "runs": [copy.deepcopy(run)]}
            for name, those in modes.items()
            for mode in those
        ]
    }


def registration() -> Raw:
    rate = {f"{part}_cpu_ms": 0.25 for part in ("gateway", "front", "generator", "core")}
    held = {"private_kb": 3.0, "pool_resident_kb": 90.0, "pool_reserved_kb": 95.0, "front_kb": 19.0}
    run = {
        "rate": {**rate, "transactions_per_s": 5000.0, "transactions": 25_000, "failed": 0},
        "held": {**held, "pages": 10_000, "missing": 0}, "storm": {"pages": 10_000, "seconds": 17.0, "lost": 0},
    }  # fmt: skip
    return {
        "plan": {"rate_pages": 200, "held": 10_000},
        "runs": {f"{kind}, role defaults": [copy.deepcopy(run)] for kind in ("digest", "token")},
    }


def first_audio() -> Raw:
    call = {"page_s": 0.021, "phone_s": 0.04}
    names = ("update", "100rel", "classic")
    return {
        "cells": [
            {"case": name, "network": network, "one_way_s": 0.0, "calls": [dict(call) for _ in range(30)]}
            for name in names
            for network in ("loopback", "50 ms each way")
        ]
    }


def full_call() -> Raw:
    well = {"silent": 0, "strange": 0, "failures": {}}
    costs = {"offered_per_s": 60, "total_ms": 3.9, "generator_cpu_ms": 1.0, "calls": 360}
    cases = ("update", "two-way", "janus")
    return {
        "runs": [copy.deepcopy({"case": case, **costs, **well}) for case in cases],
        "redials": [copy.deepcopy({"case": case, "calls": 1000, **well}) for case in cases],
    }


def events() -> Raw:
    return {
        "held": {"listeners": 2000, "still_there": 2000, "failures": {}},
        "delays": {"ringing_s": [0.02] * 1500, "answered_s": [0.03] * 1500, "lost": {}, "failures": {}},
    }


def network_change() -> Raw:
    runs = [{"ice_s": 0.1, "page_s": 1.0, "phone_s": 1.1} for _ in range(40)]
    return {"delay_ms": 50, "runs": {"restart": runs, "offered": copy.deepcopy(runs)}}


def node_loss() -> Raw:
    return {"calls": [{"lines": "audio", "page_s": 1.0, "phone_s": 1.1} for _ in range(50)]}


def first_frame() -> Raw:
    return {
        "cases": {name: [{"page_s": 0.08, "phone_s": 0.09} for _ in range(20)] for name in ("vp8", "h264")}
    }


def overload() -> Raw:
    run = {
        "goodput": 200.0,
        "sustainable": 210.0,
        "offered": 630.0,
        "emergencies": 30,
        "emergencies_good": 30,
    }
    return {"rounds": {"with control": [run]}}


def injection() -> Raw:
    return {"phases": [{"injected": {"core": 100}, "relayed": 0, "stolen": 0}]}


def ng() -> Raw:
    setting = {"peer": "stub", "shell": "blocking", "clients": 4, "commands": "call"}
    result = {"per_s": 69_000.0, "answered": 100, "failed": 0, "unexpected": 0}
    return {"requests": [{"loss": 0, "setting": setting, "result": result}]}


def pages_missing(data: Raw) -> None:
    data["runs"]["token, role defaults"][0]["held"] |= {"pages": 4000, "missing": 6000}


def silent_everywhere(data: Raw) -> None:
    for cell in data["cells"]:
        cell["calls"] = [None] * 30


def one_kind_silent(data: Raw) -> None:
    data["cells"][0]["calls"] = [{"page_s": None, "phone_s": 0.04}] * 30


def unheard(data: Raw) -> None:
    data["delays"] |= {
        "ringing_s": [],
        "answered_s": [],
        "lost": {"call_ringing": 1500, "call_answered": 1500},
    }


def put(*path: Any) -> Callable[[Raw], None]:
    """Put the last of a path where the others lead."""
    *way, key, value = path

    def change(data: Raw) -> None:
        for step in way:
            data = data[step]
        data[key] = value

    return change


DIGEST, TOKEN = (("runs", f"{kind}, role defaults", 0) for kind in ("digest", "token"))


@pytest.mark.parametrize(
    ("bench", "figure", "made", "change", "said"),
    [
        ("calls", "flow.rate", calls, put("cells", 2, "runs", 0, "failures", {"timeout": 5}), "5 failed, of 805 calls"),
        ("calls", "flow.delay_p50", calls, put("cells", 5, "runs", 0, "failures", {"487": 1}), "1 failed"),
        ("calls", "plain.ratio", calls, put("cells", 0, "runs", 0, "failures", {"487": 1}), "1 failed, of 1601 calls"),
        ("registration", "register.token", registration, put(*TOKEN, "rate", "failed", 7), "7 failed, of 25000"),
        ("registration", "held.memory", registration, pages_missing,
         "6000 missing, of 20000 pages; digest, 4000 pages held"),
        ("registration", "held.memory", registration, put(*TOKEN, "held", "private_kb", 30.0), "token, 10000 pages"),
        ("registration", "storm.time", registration, put(*TOKEN, "storm", "seconds", 119.0), "token, 10000 pages"),
        ("registration", "storm.time", registration, put(*DIGEST, "storm", "lost", 2500), "2500 lost"),
        ("registration", "storm.lost", registration, put(*TOKEN, "storm", "lost", 2500), "in 2 storms, digest and"),
        ("registration", "storm.lost", registration,
         put(*TOKEN, "storm", {"pages": 200, "seconds": 1.0, "lost": 3}), "only 200 pages"),
        ("first-audio", "audio.loopback", first_audio, put("cells", 0, "calls", 3, None), "1 failed, of 60 calls"),
        ("first-audio", "audio.delayed", first_audio, put("cells", 1, "calls", 3, "page_s", None), "1 silent"),
        ("first-audio", "audio.loopback", first_audio, put("cells", 0, "calls", 3, "phone_s", None), "1 silent"),
        ("first-audio", "audio.loopback", first_audio, one_kind_silent, "30 silent, of 60 calls; the worst of 2 kinds"),
        ("first-audio", "audio.loopback", first_audio, silent_everywhere, "60 failed, of 60 calls"),
        ("full-call", "web.cpu", full_call, put("runs", 0, "failures", {"503": 350}), "350 failed, of 720 calls"),
        ("full-call", "web.cpu", full_call, put("runs", 1, "silent", 1), "1 silent"),
        ("full-call", "web.cpu", full_call, put("runs", 1, "strange", 2), "2 strange packets"),
        ("full-call", "web.silent", full_call, put("redials", 0, "failures", {"503": 990}), "990 failed, of 2000"),
        ("full-call", "web.silent", full_call, put("redials", 0, "silent", 1), "of 2000"),
        ("events", "events.delay", events, unheard, "1500 answers not heard of, 1500 rings not heard of"),
        ("events", "events.delay", events, put("delays", "lost", {"call_answered": 1}), "1 answers not heard of"),
        ("events", "events.delay", events, put("held", "still_there", 1999), "1 listeners gone"),
        ("events", "events.delay", events, put("delays", "failures", {"timeout": 2}), "2 calls failed"),
        ("network-change", "network.restart", network_change, put("runs", "restart", 3, None), "1 silent for good"),
        ("network-change", "network.offered", network_change, put("runs", "offered", 3, "page_s", None), "1 silent"),
        ("node-loss", "node_loss.sound", node_loss, put("calls", 3, "phone_s", None), "1 silent for good, of 50 calls"),
        ("first-frame-firefox", "frame.firefox", first_frame, put("cases", "vp8", [None] * 20),
         "20 without a picture, of 40 calls; the slowest of 2 kinds: h264"),
        ("first-frame-chromium", "frame.chromium", first_frame, put("cases", {"vp8": [None] * 20}), "20 without"),
        ("overload", "overload.goodput", overload,
         put("rounds", "with control", 0, "emergencies_good", 29), "1 emergency calls not good, of 30"),
        ("injection", "injection.relayed", injection, put("phases", 0, "stolen", 4), "4 of a call's packets"),
        ("injection", "injection.relayed", injection, put("phases", []), "of 0"),
        ("ng", "ng.rate", ng, put("requests", 0, "result", "failed", 1), "1 failed, of 101 requests"),
    ],
)  # fmt: skip
def test_what_failed_keeps_no_bar_and_is_told(
    bench: str, figure: str, made: Callable[[], Raw], change: Callable[[Raw], None], said: str
) -> None:
    data = made()
    assert row_of(bench, figure, data).is_kept
    change(data)
    row = row_of(bench, figure, data)
    assert not row.is_kept
    assert said in row.note


def test_nothing_is_a_percentile_of_nothing() -> None:
    everything: list[tuple[str, str, Callable[[], Raw], Callable[[Raw], None]]] = [
        ("first-audio", "audio.loopback", first_audio, silent_everywhere),
        ("events", "events.delay", events, unheard),
        ("first-frame-firefox", "frame.firefox", first_frame, put("cases", {"vp8": [None] * 20})),
    ]
    for bench, figure, made, change in everything:
        data = made()
        change(data)
        assert (row_of(bench, figure, data).value, row_of(bench, figure, data).is_kept) == (None, False)


def test_peers_that_fail_are_told() -> None:
    data = full_call()
    data["redials"][2] |= {"calls": 200, "silent": 5, "failures": {"404": 9}}
    [janus] = row_of("full-call", "web.silent", data).peers
    assert (janus.value, janus.note) == (5, "of 200; 9 failed, of 200 calls")
    audio = first_audio()
    silent_everywhere(audio)
    [classic] = row_of("first-audio", "audio.loopback", audio).peers
    assert (classic.value, classic.note) == (
        None,
        "media only when the callee answers; 30 failed, of 30 calls",
    )


def test_a_ringing_that_a_worker_reads_after_the_answer_is_told_and_no_failure() -> None:
    data = events()
    data["delays"]["lost"] = {"call_ringing": 3}
    row = row_of("events", "events.delay", data)
    assert row.is_kept
    assert row.note == "2000 listeners held; 3 calls of which nobody heard that they rang"
