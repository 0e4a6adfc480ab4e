"""The words of the table, which of several rows counts, adapters, the ladder's judgement; nothing runs here."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench import rows, suite
from tests.bench.cpu import Machine
from tests.bench.figures import SPINE, Figure, Sense
from tests.bench.ladder import (
    CLASSIC,
    FULL,
    JANUS,
    NATIVE,
    OURS,
    Climber,
    Rung,
    broken,
    halves_of,
    ladder_of,
    rising,
    rows_of,
)  # fmt: skip
from tests.bench.page import kept, plots, table, text
from tests.bench.page.__main__ import taken
from tests.bench.page.adapters import ADAPTERS, TEXT_ADAPTERS
from tests.bench.results import LoadResult
from tests.bench.rows import Ladder, Peer, Row, Step, handed_over
from tests.bench.runner import callee

MACHINE = Machine(2, "a_machine", 0.1, 1700.0, 40000.0)


@pytest.fixture(autouse=True)
def nothing_is_asked_for_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "versions", lambda: {"python": "3.11"})
    monkeypatch.setattr(rows, "revision", lambda: "abc")


def handed(
    *rows: Row, date: str = "2026-11-27T01:00:00+00:00", ladders: tuple[Ladder, ...] = ()
) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(handed_over("python -m bench", rows, ladders, MACHINE)))
    return {**found, "date": date}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param(Row.of("flow.rate", 1200), "kept", id="kept"),
        pytest.param(Row.of("flow.rate", 344), "missed by 656 calls/s (66%)", id="too few"),
        pytest.param(Row.of("flow.cpu", 4.5), "missed by 3 ms (200%)", id="too much"),
        pytest.param(Row.of("web.silent", 9), "missed by 9", id="a bar of none"),
        pytest.param(Row.of("web.silent", None, note="no time"), "not measured", id="not measured"),
        pytest.param(Row.of("media.packet", 21.4), "no bar", id="printed only"),
        pytest.param(Row.of("web.cpu", 2.0, failures="9 failed"), "missed: failures", id="not of all"),
        pytest.param(Row.of("web.cpu", None, failures="all failed"), "missed: failures", id="of none"),
        pytest.param(
            Row.of("web.cpu", 5.0, failures="9 failed"), "missed by 1 ms (25%)", id="too much, and not of all"
        ),
        pytest.param(Row.of("media.packet", 2.0, failures="late"), "no bar", id="not of all, printed only"),
    ],
)
def test_a_verdict_says_by_how_much(row: Row, said: str) -> None:
    assert table.verdict(row) == said


def test_a_line_names_peers_that_cannot_and_not_those_twice_that_did() -> None:
    row = Row.median(
        "web.cpu", [3.5, 3.7, 3.6], peers=[Peer("Janus 1.1.2", 6.0)], generator=0.5, note="aiortc"
    )
    unable = [Peer("Janus", None, "no time"), Peer("native", None, "no media")]
    assert table.cells(row, unable)[1:] == [
        "≤ 4 ms", "3.60 ms (median of 3, 3.50 to 3.70; aiortc)", "Janus 1.1.2: 6 ms; native: – (no media)",
        "kept", "50%",
    ]  # fmt: skip


def test_every_figure_of_the_spine_is_in_the_table_though_nothing_was_measured() -> None:
    spine, others = kept.chosen({})
    assert [shown.row.figure for shown in spine] == list(SPINE)
    assert not others
    page = text.page({}, {}, [])
    assert page.count("| not measured |") == len(SPINE)


def test_the_value_measured_last_counts_and_one_not_measured_never_does() -> None:
    own = Figure("own", "of its own", "ms", Sense.AT_MOST)
    benches = {
        "old": handed(Row.of("web.cpu", 3.0), Row.of(own, 1.0)),
        "new": handed(Row.of("web.cpu", 3.5), date="2026-11-27T02:00:00+00:00"),
        "none": handed(Row.of("web.cpu", None), date="2026-11-27T03:00:00+00:00"),
    }
    spine, others = kept.chosen(benches)
    assert [(one.bench, one.row.value) for one in spine if one.row.figure.id == "web.cpu"] == [("new", 3.5)]
    assert [(one.bench, one.row.figure) for one in others] == [("old", own)]


def test_a_later_failure_is_not_hidden_by_what_was_measured_before_it() -> None:
    benches = {
        "old": handed(Row.of("web.cpu", 3.0)),
        "new": handed(Row.of("web.cpu", None, failures="all failed"), date="2026-11-27T02:00:00+00:00"),
    }
    page = text.page(benches, {}, [])
    assert "**0 are kept, 1 missed" in page
    assert "| missed: failures; all failed |" in page
    assert "failures  (≤ 4 ms)" in plots.pictures(benches)["bars.svg"]


def test_browsers_have_a_figure_each() -> None:
    benches = {}
    for hour, (browser, seconds) in enumerate((("chromium", 1.5), ("firefox", 0.09))):
        found, _ = ADAPTERS[f"first-frame-{browser}"](
            {"cases": {"vp8": [{"page_s": seconds, "phone_s": 0.0}]}}
        )
        benches[f"first-frame-{browser}"] = handed(*found, date=f"2026-11-27T0{hour}:00:00+00:00")
    _, others = kept.chosen(benches)
    assert [(one.row.value, one.row.is_kept) for one in others] == [(1500, False), (90, True)]
    assert "Chromium" in others[0].row.figure.what


def test_the_calls_bench_becomes_rows() -> None:
    def run(rate: float, gateway: float, media: float = 0.0) -> dict[str, Any]:
        return {"calls": 800, "failures": {}, "calls_per_s": rate, "gateway_cpu_ms": gateway, "media_cpu_ms": media,
                "generator_cpu_ms": 0.5, "callee_cpu_ms": 0.5, "added_ms": {"p50": 2.5, "p95": 6.3, "p99": 8.0},
                "page_ms": {"p50": 0.5}}  # fmt: skip

    cells = {
        ("native", "closed loop"): [run(3000, 0.3)], ("kemi", "closed loop"): [run(2970, 0.32)],
        ("full", "closed loop"): [run(230, 4.8, 2.5)], ("signalling", "closed loop"): [run(340, 4.0), run(348, 4.0)],
        ("full", "100/s"): [run(100, 5.6, 3.0)], ("full", "half load"): [run(115, 5.0, 2.0)],
    }  # fmt: skip
    data = {
        "cells": [{"target": target, "mode": mode, "runs": runs} for (target, mode), runs in cells.items()]
    }
    rows, _ = ADAPTERS["calls"](data)
    found = {row.figure.id: row for row in rows}
    assert (found["flow.rate"].value, found["flow.rate"].generator) == (344, 0.2)
    assert {peer.name: peer.value for peer in found["flow.rate"].peers} == {"native": 3000, "kemi": 2970}
    assert (found["flow.cpu"].value, found["plain.multiple"].value, found["plain.ratio"].value) == (
        4.8,
        15,
        0.99,
    )
    assert found["flow.added_p95"].value == 6.3
    assert [found[f"flow.delay_{name}"].value for name in ("p50", "p99")] == [2.0, 7.5]


def test_a_smaller_storm_is_not_the_figure() -> None:
    held = {"private_kb": 3.0, "pool_resident_kb": 90.0, "pool_reserved_kb": 100.0, "front_kb": 20.0, "pages": 5000,
            "missing": 0}  # fmt: skip
    rate = {f"{part}_cpu_ms": 0.25 for part in ("gateway", "front", "generator", "core")}
    run = {
        "rate": {**rate, "transactions_per_s": 2000.0, "transactions": 10_000, "failed": 0}, "held": held,
        "storm": {"pages": 2000, "seconds": 3.2, "lost": 0},
    }  # fmt: skip
    data = {
        "plan": {"rate_pages": 200, "held": 5000},
        "runs": {"digest, role defaults": [run], "token, x=1": [run]},
    }
    rows, _ = ADAPTERS["registration"](data)
    found = {row.figure.id: (row.value, row.generator) for row in rows}
    assert found == {
        "register.digest": (2000, 0.5), "held.memory": (123, None), "storm.time": (None, None),
        "storm.lost": (None, None),
    }  # fmt: skip


def media_step(calls: int, cores: float, received: int = 10_000, limit: str = "") -> dict[str, Any]:
    flow = {"sent": 10_000, "received": received, "jitter_ms": 0.5}
    return {
        "relay": "",
        "calls": calls,
        "to_core": flow,
        "to_page": flow,
        "relay_cores": cores,
        "generator_cores": 0.4,
        "limit": limit,
    }


def test_calls_that_lose_packets_are_not_held() -> None:
    data = {
        "machine": {"cores": 2}, "fixed": [],
        "ramps": {
            "rtpengine, Opus": [media_step(100, 0.2), media_step(400, 0.8), media_step(500, 0.9, 9998, "loss 0.020%")],
            "Janus, Opus": [media_step(100, 0.5), media_step(160, 1.3, limit="85% busy")],
        },
    }  # fmt: skip
    rows, ladders = ADAPTERS["media-load"](data)
    assert [row.value for row in rows if row.figure.id == "media.held"] == [4]
    assert [ladder.breaks for ladder in ladders] == ["0.02% of the packets lost", "cores 80 % busy"]


def test_a_rung_whose_generator_was_late_proves_nothing() -> None:
    late = media_step(700, 0.9, limit="generator 400 ms late")
    ramps = {"rtpengine, Opus": [media_step(100, 0.2), late], "Janus, Opus": [media_step(300, 0.8)]}
    data = {"machine": {"cores": 2}, "fixed": [], "ramps": ramps}
    rows, ladders = ADAPTERS["media-load"](data)
    assert [(row.value, row.is_kept) for row in rows if row.figure.id == "media.held"] == [(0.33, False)]
    assert [(step.offered, ladders[0].breaks) for step in ladders[0].steps] == [
        (100, "generator 400 ms late at 700 calls")
    ]
    ramps["rtpengine, Opus"] = [late]
    rows, ladders = ADAPTERS["media-load"](data)
    assert [(row.value, row.is_kept) for row in rows if row.figure.id == "media.held"] == [(0, False)]
    assert [ladder.who for ladder in ladders] == ["Janus, Opus"]


def well(calls: int) -> dict[str, Any]:
    return {"calls": calls, "silent": 0, "strange": 0, "failures": {}}


def test_whole_calls_are_judged_by_the_dearer_of_ours_and_by_a_thousand_redials() -> None:
    def run(case: str, total_ms: float, rate: float = 60) -> dict[str, Any]:
        return {
            "case": case,
            "offered_per_s": rate,
            "total_ms": total_ms,
            "generator_cpu_ms": total_ms,
            **well(360),
        }

    redials = [{"case": case, **well(calls), "silent": silent} for case, calls, silent in
               (("update", 600, 0), ("two-way", 600, 1), ("janus", 200, 60))]  # fmt: skip
    runs = [run("update", 3.0), run("two-way", 3.5), run("two-way", 9.0, 30), run("janus", 6.0)]
    rows, _ = ADAPTERS["full-call"]({"runs": runs, "redials": redials})
    assert [(row.value, row.generator, row.note) for row in rows] == [
        (3.5, 0.5, "two-way, 100rel, 60 calls/s"), (1, None, "of 1200"),
    ]  # fmt: skip
    assert [peer.value for row in rows for peer in row.peers] == [6.0, 60]
    few, _ = ADAPTERS["full-call"]({"runs": [], "redials": redials[:1]})
    assert [(row.value, row.note) for row in few] == [(None, "not tried"), (None, "0 of only 600")]
    silent, _ = ADAPTERS["full-call"]({"runs": [], "redials": [{**redials[0], "silent": 60}]})
    assert [(row.value, row.is_kept, row.note) for row in silent[1:]] == [(60, False, "60 of only 600")]


def test_a_cost_that_grows_with_what_is_held_is_seen() -> None:
    costs = ((10, 4.0), (5000, 6.0), (100, 4.1))
    data = {"calls": [{"held": held, "call_ms": cost, "failures": {}} for held, cost in costs]}
    [row], _ = ADAPTERS["scale"](data)
    assert (row.value, row.note) == (1.5, "10: 4.00 ms, 100: 4.10 ms, 5,000: 6.00 ms")
    assert row.figure.what == "gateway CPU of a call, 5,000 calls held, of that with 10"


def test_what_only_prints_is_read_where_it_prints() -> None:
    text = (
        "kept   audio: 75 µs of CPU an offer, bar 150 (read 20)\nBROKEN audio and video: 180 µs of CPU an offer\n"
        "1000 routes, 40 INVITEs\n  form  p50 10 µs   p99 20 µs\n"
        "kept   decisions of an INVITE at most 300 µs: p50 150, p99 190\n"
        "100000 routes, 40 INVITEs\n  form  p50 10 µs   p99 20 µs\n"
        "kept   decisions of an INVITE at most 300 µs: p50 170, p99 220\n"
    )
    found = {row.figure.id: row.value for adapter in TEXT_ADAPTERS.values() for row in adapter(text)}
    assert found == {"sdp.audio": 75, "sdp.video": 180, "decisions": 170}
    assert not [row for adapter in TEXT_ADAPTERS.values() for row in adapter("Traceback")]


def test_a_file_of_another_shape_is_not_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "OUTPUT", tmp_path)
    (tmp_path / "mixed-20261127T010000Z.json").write_text('{"machine": {}}')
    mixed = next(bench for bench in suite.BENCHES if bench.name == "mixed")
    with pytest.raises(KeyError):
        suite.collected(mixed, 0.0, "python", MACHINE)


def test_what_was_written_before_the_bench_began_is_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "OUTPUT", tmp_path)
    monkeypatch.setattr(suite, "LOGS", tmp_path)
    (tmp_path / "tokens.log").write_text("ES256 100 µs")
    path = tmp_path / "tokens-20261127T010000Z.json"
    path.write_text(json.dumps(handed(Row.of("token.check", 100.0))))
    tokens = next(bench for bench in suite.BENCHES if bench.name == "tokens")
    assert suite.collected(tokens, path.stat().st_mtime + 1, "python", MACHINE) is None
    found = suite.collected(tokens, path.stat().st_mtime, "python", MACHINE)
    assert found is not None
    assert [row["value"] for row in found["rows"]] == [100.0]


def test_the_page_takes_whole_runs_single_files_and_files_of_a_benchs_own_shape(tmp_path: Path) -> None:
    whole, single, own = (
        tmp_path / f"{name}-20261127T010000Z.json" for name in ("performance", "tokens", "mixed")
    )
    short = {**handed(Row.of("web.cpu", 9.0)), "short": True}
    kept.write(whole, {"ladder": handed(Row.of("flow.delay_p50", 2.0)), "full-call": short})
    single.write_text(json.dumps({**handed(Row.of("token.check", 100.0)), "details": [1]}))
    own.write_text(json.dumps({"machine": asdict(MACHINE), "outcome": {"ran": {"one": 5}, "failures": []}}))
    benches: kept.Document = {"ladder": handed(Row.of("flow.delay_p50", 9.0))}
    for path in (whole, single, own):
        benches = taken(benches, path)
    found = {
        name: (bench["revision"] == "", [row["value"] for row in bench["rows"]])
        for name, bench in benches.items()
    }
    assert found == {"ladder": (False, [2.0]), "tokens": (False, [100.0]), "mixed": (True, [0])}
    assert "details" not in benches["tokens"]
    own.rename(tmp_path / "else-1.json")
    with pytest.raises(ValueError, match="no adapter for else"):
        taken({}, tmp_path / "else-1.json")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        pytest.param(Step(100, 97, 900.0, 0.03), "", id="nearly all"),
        pytest.param(
            Step(100, 60, 3000.0, 0.1), "10% failed, 30% answered after more than 1 s", id="neither"
        ),
    ],
)
def test_a_rung_is_broken_where_calls_fail_or_wait(step: Step, said: str) -> None:
    assert broken(step) == said


def test_rates_rise_to_the_most() -> None:
    assert list(rising(100, 2, 500)) == [100, 200, 400]


def test_ladders_are_drawn_and_the_same_each_time() -> None:
    steps = (Step(100, 100, 5.0), Step(200, 120, 900.0, 0.4))
    benches = {
        "ladder": handed(ladders=(Ladder("calls", "calls", "calls/s", "gateway", steps, "40% failed"),))
    }
    first, again = plots.pictures(benches), plots.pictures(benches)
    assert first == again
    assert "ladder-calls.svg" in first
    assert "stood at 100 calls/s" in first["ladder-calls-dark.svg"]
    assert "| gateway | 100 calls/s | 200 | 40% failed |" in text.page(benches, {}, sorted(first))


def climber(name: str, breaks: str, *costs_ms: float) -> Climber:
    """Build one who took 100 calls/s more on each rung, and broke on the last where it says so."""
    rungs = []
    for number, cost_ms in enumerate(costs_ms, 1):
        done = 100.0 * number * (0.5 if breaks and number == len(costs_ms) else 1)
        rungs.append(Rung(Step(100.0 * number, done, 5.0), cost_ms, 0.1))
    return Climber(name, [], lambda *_: LoadResult(), rungs=rungs, breaks=breaks)


def test_who_never_broke_has_no_most_and_is_not_drawn_as_if_it_had() -> None:
    climbers = [
        climber(NATIVE, "", 0.3, 0.2, 0.1),
        climber(CLASSIC, "load clients cannot connect", 1.3, 1.2, 1.1),
        climber(OURS, "", 5.0, 4.5, 4.0),
        climber(FULL, "40% failed", 7.0, 6.0, 9.0),
        climber(JANUS, "10% failed", 3.0, 2.5, 2.0, 4.0),
    ]
    signalling, media, cpu = rows_of(climbers, [])
    assert (signalling.value, signalling.note) == (None, "at least 300 calls/s: more was not tried")
    assert (media.value, media.note) == (200, "")
    assert [(peer.name, peer.value) for peer in (*signalling.peers, *media.peers)] == [
        (NATIVE, None), (JANUS, 300), (CLASSIC, None), (JANUS, 300),
    ]  # fmt: skip
    assert table.peer_text(signalling.peers[0], "calls/s") == (
        f"{NATIVE}: – (at least 300 calls/s: more was not tried; half the messages, no media)"
    )
    # All at one rate, though Janus stood at a higher one.
    assert (cpu.value, [(peer.name, peer.value) for peer in cpu.peers]) == (
        6.0,
        [(CLASSIC, 1.2), (JANUS, 2.5)],
    )
    ladders = tuple(map(ladder_of, climbers))
    handed_bare = handed(
        Row.of("ladder.signalling", 300, peers=[Peer(NATIVE, 300), Peer(JANUS, 300)]),
        Row.of("ladder.media", 200, peers=[Peer(CLASSIC, 250)]),
        ladders=ladders,
    )
    assert "peers.svg" not in plots.pictures({"ladder": handed_bare})
    said = text.page({"ladder": handed_bare}, {}, [])
    assert "| at least 300 calls/s: more was not tried |" in said
    assert f"{CLASSIC}: – (at least 250 calls/s: load clients cannot connect)" in said
    known = handed(media, ladders=ladders)
    assert "peers.svg" in plots.pictures({"ladder": known})


def test_what_must_be_said_of_one_run_is_said_of_no_later_one_and_its_figure_is_in_no_picture() -> None:
    row = Row.of("ladder.cpu", 6.0, peers=[Peer(JANUS, 2.5)], note="small")
    measured = {"ladder.cpu": {"revision": "abc", "said": "sessions included"}}
    remarked = {"measured": measured, "calibrated_at_end": {"ladder": "abc"}}
    benches: kept.Document = {"ladder": handed(row)}
    words = text.caveats(benches, remarked)
    assert words == {"ladder.cpu": "sessions included"}
    said = text.page(benches, remarked, [])
    assert "6 ms (small; sessions included)" in said
    assert "at its end" in said
    assert ("peers.svg" in plots.pictures(benches), "peers.svg" in plots.pictures(benches, words)) == (
        True,
        False,
    )
    later = {"ladder": {**benches["ladder"], "revision": "def"}}
    said = text.page(later, remarked, [])
    assert ("sessions included" in said, "at its end" in said, text.caveats(later, remarked)) == (
        False,
        False,
        {},
    )


def test_bars_of_both_tables_are_counted() -> None:
    benches = {"own": handed(Row.of("flow.rate", 300), Row.of("token.check", 400), Row.of("ng.rate", 30000))}
    judged = sum(figure.bar is not None for figure in SPINE)
    said = text.page(benches, {}, [])
    assert f"{judged} bars **0 are kept, 1 missed and {judged - 1} not measured**" in said
    assert "2 bars **1 are kept, 1 missed and 0 not measured**" in said


def test_every_round_of_an_overload_counts() -> None:
    def run(goodput: float) -> dict[str, float]:
        return {
            "goodput": goodput,
            "sustainable": 200.0,
            "offered": 600.0,
            "emergencies": 30,
            "emergencies_good": 30,
        }

    rounds = {"with control": [run(190.0), run(170.0), run(180.0)], "without": [run(100.0)]}
    [row], _ = ADAPTERS["overload"]({"rounds": rounds})
    assert (row.value, row.runs) == (0.9, (0.95, 0.85, 0.9))
    assert [peer.value for peer in row.peers] == [0.5]


def test_an_earlier_run_takes_the_place_of_no_later_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benches: kept.Document = {name: handed(Row.of("token.check", 1.0)) for name in ("tokens", "mixed")}
    whole, single, own = (
        tmp_path / f"{name}-20261126T010000Z.json" for name in ("performance", "tokens", "mixed")
    )
    earlier = handed(Row.of("token.check", 2.0), date="2026-11-26T01:00:00+00:00")
    kept.write(whole, {"tokens": earlier, "routes": earlier})
    single.write_text(json.dumps(earlier))
    own.write_text(json.dumps({"machine": asdict(MACHINE), "outcome": {"ran": {"one": 5}, "failures": []}}))
    assert taken(benches, single) == taken(benches, own) == benches
    assert taken(benches, whole) == {**benches, "routes": earlier}
    assert "tokens of 2026-11-26T01:00:00+00:00 is left out" in capsys.readouterr().err


def test_half_of_a_rate_at_which_nothing_broke_is_not_loaded() -> None:
    whole = replace(climber(FULL, "", 7.0, 6.0), by_chance=lambda *_: LoadResult())
    with callee() as far_end:
        assert halves_of(whole, far_end, 1.0, 1) == ([], [])
