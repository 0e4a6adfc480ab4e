"""Rows out of the JSON of benches that write a shape of their own; a bench that hands rows over needs none.

Knows those shapes. Must not run anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any, Final

from tests.bench.figures import Figure, Sense
from tests.bench.first_audio.cases import CASES_BY_NAME, Through
from tests.bench.results import percentiles
from tests.bench.rows import Ladder, Peer, Row, Step

Found = tuple[list[Row], list[Ladder]]
Raw = Any
"""JSON of a bench."""

MEDIA_LOSS: Final = 0.0001
"""Of a call that counts as held."""
MEDIA_BUSY: Final = 0.8
STORM_PAGES: Final = 10_000
_PACKETS_PER_CALL_S: Final = 100
_DELAYS: Final = {"loopback": "audio.loopback", "50 ms each way": "audio.delayed"}
_CLOSED: Final = "closed loop"
_FIXED: Final = "100/s"
_HALF: Final = "half load"
_REDIALS: Final = 1000
_OUR_CALLS: Final = {"update": "answer, then UPDATE", "two-way": "two-way, 100rel"}
_THEIR_CALLS: Final = {"classic": "classic recipe", "janus": "Janus"}
_PLAIN: Final = "passes a plain call on: half the messages, no media"


def calls(data: Raw) -> Found:
    """``python -m tests.bench``: the full flow beside the twins."""
    cells = {(cell["target"], cell["mode"]): cell["runs"] for cell in data["cells"]}

    def runs(target: str, mode: str, value: Callable[[Raw], float]) -> list[float]:
        return [value(run) for run in cells.get((target, mode), ())]

    def peers(mode: str, key: str, notes: Mapping[str, str]) -> list[Peer]:
        found = {name: runs(name, mode, lambda run: run[key]) for name in notes}
        return [Peer(name, median(found[name]), note) for name, note in notes.items() if found[name]]

    twins = {"native": _PLAIN, "kemi": f"KEMI, {_PLAIN}"}
    rows = [
        Row.median("flow.rate", runs("signalling", _CLOSED, _rate), peers=peers(_CLOSED, "calls_per_s", twins),
                   generator=_share(cells.get(("signalling", _CLOSED), ())), note="closed loop, 20 pages"),
        Row.median("flow.cpu", runs("full", _CLOSED, lambda run: run["gateway_cpu_ms"]),
                   peers=peers(_CLOSED, "gateway_cpu_ms", twins), generator=_share(cells.get(("full", _CLOSED), ())),
                   note="closed loop, Kamailio alone"),
        Row.median("flow.media_rate", runs("full", _CLOSED, _rate), generator=_share(cells.get(("full", _CLOSED), ())),
                   note="closed loop, 20 pages"),
        Row.median("flow.media_cpu", runs("full", _CLOSED, lambda run: run["media_cpu_ms"])),
        Row.median("flow.transcoding_cpu", runs("transcoding", _CLOSED, lambda run: run["media_cpu_ms"])),
        Row.median("flow.transcoding_rate", runs("transcoding", _CLOSED, _rate), note="closed loop, 20 pages"),
        Row.median("flow.added_p95", runs("full", _FIXED, lambda run: run["added_ms"]["p95"]),
                   peers=[Peer(name, median(found), _PLAIN) for name in ("native",)
                          if (found := runs(name, _FIXED, lambda run: run["added_ms"]["p95"]))]),
    ]  # fmt: skip
    for name in ("p50", "p99"):
        # The page's own part differs from call to call: its median is taken off both.
        delays = runs("full", _HALF, lambda run, name=name: run["added_ms"][name] - run["page_ms"]["p50"])  # type: ignore[misc]
        if delays:
            rows.append(Row.median(f"flow.delay_{name}", delays, note="with rtpengine",
                                   generator=_share(cells.get(("full", _HALF), ()))))  # fmt: skip
    native, kemi = (runs(name, _CLOSED, _rate) for name in ("native", "kemi"))
    plain, full = (runs(name, _CLOSED, lambda run: run["gateway_cpu_ms"]) for name in ("kemi", "full"))
    rows.append(Row.median("plain.ratio", [own / twin for own, twin in zip(kemi, native, strict=False)]))
    rows.append(Row.median("plain.multiple", [own / twin for own, twin in zip(full, plain, strict=False)]))
    return rows, []


def _rate(run: Raw) -> float:
    return float(run["calls_per_s"])


def _share(runs: Sequence[Raw]) -> float | None:
    shares = []
    for run in runs:
        load = run["generator_cpu_ms"] + run["callee_cpu_ms"]
        shares.append(load / (load + run["gateway_cpu_ms"] + run["media_cpu_ms"]))
    return round(median(shares), 3) if shares else None


def registration(data: Raw) -> Found:
    """``python -m tests.bench.registration``; only the role's defaults are rows."""
    found = {name.partition(",")[0]: runs for name, runs in data["runs"].items() if "role defaults" in name}
    rows = []
    for kind, runs in found.items():
        shares = [
            (rate["generator_cpu_ms"] + rate["core_cpu_ms"])
            / sum(rate[f"{part}_cpu_ms"] for part in ("gateway", "front", "generator", "core"))
            for rate in (run["rate"] for run in runs)
        ]
        rows.append(
            Row.median(f"register.{kind}", [run["rate"]["transactions_per_s"] for run in runs],
                       generator=round(median(shares), 3), note=f"{data['plan']['rate_pages']} pages")
        )  # fmt: skip
    digest: list[Raw] = found.get("digest") or next(iter(found.values()), [])
    sizes = [
        held["private_kb"] + max(held["pool_resident_kb"], held["pool_reserved_kb"]) + held["front_kb"]
        for held in (run["held"] for run in digest)
    ]
    rows.append(Row.median("held.memory", sizes, note=f"{data['plan']['held']} pages held, HAProxy included"))
    storms = [run["storm"] for run in digest]
    pages, lost = max((one["pages"] for one in storms), default=0), sum(one["lost"] for one in storms)
    seconds = [one["seconds"] for one in storms]
    if pages >= STORM_PAGES:
        rows += [Row.median("storm.time", seconds, note=f"{pages} pages"), Row.of("storm.lost", lost)]
    elif storms:
        note = f"only {pages} pages: {median(seconds):g} s, {lost} lost"
        rows += [Row.of("storm.time", None, note=note), Row.of("storm.lost", None, note=note)]
    return rows, []


def first_audio(data: Raw) -> Found:
    """``python -m tests.bench.first_audio``: the worst of the cases whose media path stands before the answer."""
    rows = []
    for network, figure in _DELAYS.items():
        judged, classic = [], None
        for cell in data["cells"]:
            case = CASES_BY_NAME.get(cell["case"])
            times = [call["page_s"] - cell["one_way_s"] for call in cell["calls"] if call and call["page_s"]]
            if case is None or cell["network"] != network or not times:
                continue
            p95 = percentiles(times).p95
            if case.judged:
                judged.append(p95)
            if case.through is Through.CLASSIC:
                classic = p95
        peers = [Peer("classic recipe", classic, "media only when the callee answers")] if classic else []
        value = max(judged) if judged else None
        rows.append(Row.of(figure, value, peers=peers, note=f"the worst of {len(judged)} kinds of call"))
    return rows, []


def media_load(data: Raw) -> Found:
    """``python -m tests.bench.media_load``: ours is rtpengine with Opus passed on, the peer Janus with the same."""
    packets: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}
    for step in data["fixed"]:
        own = step["relay_cores"] / step["calls"] / _PACKETS_PER_CALL_S * 1e6
        packets.setdefault(step["relay"], []).append(round(own, 2))
        share = step["generator_cores"] / (step["generator_cores"] + step["relay_cores"])
        shares.setdefault(step["relay"], []).append(round(share, 3))
    ours, janus = "rtpengine, Opus", "Janus, Opus"
    most = {name: _held(steps, data["machine"]["cores"]) for name, steps in data["ramps"].items()}
    others = [Peer(name, median(runs)) for name, runs in packets.items() if name != ours]
    number = max((step["calls"] for step in data["fixed"]), default=0)
    rows = [
        Row.median("media.packet", packets.get(ours, []), peers=others,
                   generator=median(shares[ours]) if ours in shares else None, note=f"{number} calls")
    ]  # fmt: skip
    if most.get(ours) and most.get(janus):
        note = f"{most[ours]} calls against {most[janus]}, load generator on the same cores"
        rows.append(
            Row.of("media.held", round(most[ours] / most[janus], 2), peers=[Peer("Janus", 1.0)], note=note)
        )
        figure = Figure(
            "media.calls", "calls held, load generator on the same cores", "calls", Sense.AT_LEAST
        )
        others = [Peer(name, held) for name, held in most.items() if name != ours]
        rows.append(
            Row.of(figure, most[ours], peers=others, note="below 80 % of the cores, loss below 0.01 %")
        )
    ladders = [
        Ladder("media", "running calls, each with DTLS-SRTP and 50 packets/s both ways", "calls", name,
               tuple(_media_step(step, data["machine"]["cores"]) for step in steps), _media_end(steps))
        for name, steps in data["ramps"].items()
    ]  # fmt: skip
    return rows, ladders


def _media_step(step: Raw, cores: int) -> Step:
    loss = max(
        1 - flow["received"] / flow["sent"] if flow["sent"] else 1.0 for flow in (step["to_core"], step["to_page"])
    )  # fmt: skip
    busy = min(1.0, (step["relay_cores"] + step["generator_cores"]) / cores)
    loss = max(0.0, loss)
    return Step(step["calls"], step["calls"] * (1 - loss), None, round(loss, 6), round(busy, 4))


def _held(steps: Sequence[Raw], cores: int) -> int:
    rungs = [_media_step(step, cores) for step in steps]
    good = [rung.offered for rung in rungs if rung.failed < MEDIA_LOSS and (rung.busy or 0) < MEDIA_BUSY]
    return int(max(good, default=0))


def _media_end(steps: Sequence[Raw]) -> str:
    last = _media_step(steps[-1], 2)
    if last.failed >= MEDIA_LOSS:
        return f"{last.failed:.2%} of the packets lost"
    return "cores 80 % busy" if (last.busy or 0) >= MEDIA_BUSY else ""


def full_call(data: Raw) -> Found:
    """``python -m tests.bench.full_call``: the dearer of our two kinds of call, at the highest rate."""
    fastest = max((run["offered_per_s"] for run in data["runs"]), default=0)
    costs: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}
    for run in data["runs"]:
        if run["offered_per_s"] == fastest:
            costs.setdefault(run["case"], []).append(run["total_ms"])
            share = run["generator_cpu_ms"] / (run["generator_cpu_ms"] + run["total_ms"])
            shares.setdefault(run["case"], []).append(share)
    ours = max(
        (case for case in _OUR_CALLS if case in costs), key=lambda case: median(costs[case]), default=""
    )
    peers = [Peer(name, median(costs[case])) for case, name in _THEIR_CALLS.items() if case in costs]
    rows = [
        Row.median("web.cpu", costs.get(ours, []), peers=peers,
                   generator=round(median(shares[ours]), 3) if ours else None,
                   note=f"{_OUR_CALLS[ours]}, {fastest:g} calls/s" if ours else "not tried")
    ]  # fmt: skip
    again = {one["case"]: one for one in data["redials"]}
    own = [again[case] for case in _OUR_CALLS if case in again]
    peers = [
        Peer(name, again[case]["silent"], f"of {again[case]['calls']}")
        for case, name in _THEIR_CALLS.items()
        if case in again
    ]
    redialled, silent = sum(one["calls"] for one in own), sum(one["silent"] for one in own)
    enough, note = redialled >= _REDIALS, f"of {redialled}"
    rows.append(Row.of("web.silent", silent if enough else None, peers=peers,
                       note=note if enough else f"{silent} of only {redialled}"))  # fmt: skip
    return rows, []


def scale(data: Raw) -> Found:
    """``python -m tests.bench.scale``: a cost with most held, of that with fewest."""
    rows = []
    for held, key, what in (("calls", "call_ms", "a call"), ("registrations", "register_ms", "a REGISTER")):
        costs = {step["held"]: step[key] for step in data.get(held, ())}
        if len(costs) < 2:
            continue
        least, most = min(costs), max(costs)
        figure = Figure(f"scale.{held}", f"gateway CPU of {what}, {most:,} {held} held, of that with {least:,}",
                        f"× with {least:,}", Sense.AT_MOST)  # fmt: skip
        note = ", ".join(f"{number:,}: {cost:.2f} ms" for number, cost in sorted(costs.items()))
        rows.append(Row.of(figure, round(costs[most] / costs[least], 2), note=note))
    return rows, []


def events(data: Raw) -> Found:
    """``python -m tests.bench.events``."""
    delays = data["delays"]
    p95 = percentiles([*delays["ringing_s"], *delays["answered_s"]]).p95
    return [Row.of("events.delay", p95, note=f"{data['held']['listeners']} listeners held")], []


def network_change(data: Raw) -> Found:
    """``python -m tests.bench.network_change``."""
    rows = []
    for way in ("restart", "offered"):
        runs = [run for name, runs in data["runs"].items() if name.startswith(way) for run in runs]
        note = f"{data['delay_ms']:g} ms each way, {len(runs)} changes"
        worst = None
        if not all(runs):
            note = f"{runs.count(None)} of {len(runs)} did not come back"
        else:
            worst = max((max(run["page_s"], run["phone_s"]) for run in runs), default=None)
        rows.append(Row.of(f"network.{way}", worst, note=note))
    return rows, []


def node_loss(data: Raw) -> Found:
    """``python -m tests.bench.node_loss``."""
    both = [(one["page_s"], one["phone_s"]) for one in data["calls"]]
    silent = sum(None in pair for pair in both)
    if silent:
        return [Row.of("node_loss.sound", None, note=f"{silent} of {len(both)} calls stayed silent")], []
    note = f"{len(both)} calls, from the moment the gateway knows"
    return [Row.of("node_loss.sound", max((max(pair) for pair in both), default=None), note=note)], []


def overload(data: Raw) -> Found:
    """``python -m tests.bench.overload``; the peer is the gateway without its control."""
    ratios = {name: run["goodput"] / run["sustainable"] for name, run in data["runs"].items()}
    peers = [Peer("without control", ratios["without"])] if "without" in ratios else []
    run = data["runs"]["with control"]
    note = (
        f"{run['offered']:.0f} calls/s asked for, {run['sustainable']:.0f} the most, one core for the gateway"
    )
    return [Row.of("overload.goodput", ratios["with control"], peers=peers, note=note)], []


def mixed(data: Raw) -> Found:
    """``python -m tests.bench.mixed``."""
    outcome = data["outcome"]
    note = f"of {sum(outcome['ran'].values())} calls"
    return [Row.of("mixed.failed", len(outcome["failures"]), note=note)], []


def injection(data: Raw) -> Found:
    """``python -m tests.bench.injection``."""
    sent = sum(sum(phase["injected"].values()) for phase in data["phases"])
    relayed = sum(phase["relayed"] for phase in data["phases"])
    return [Row.of("injection.relayed", relayed, note=f"of {sent}")], []


def ng(data: Raw) -> Found:
    """``python -m tests.bench.ng``: four blocking workers against the stub, nothing lost."""
    rates = [
        one["result"]["per_s"]
        for one in data["requests"]
        if one["loss"] == 0
        and (one["setting"]["peer"], one["setting"]["shell"]) == ("stub", "blocking")
        and (one["setting"]["clients"], one["setting"]["commands"]) == (4, "call")
    ]
    return [Row.median("ng.rate", rates)], []


def first_frame(browser: str, data: Raw) -> Found:
    """``python -m tests.bench.first_frame``: the slowest case of one browser."""
    slowest = {
        name: percentiles([max(call["page_s"], call["phone_s"]) for call in calls if call]).p95
        for name, calls in data["cases"].items()
    }
    if not slowest:
        return [], []
    name = max(slowest, key=lambda case: slowest[case])
    return [
        Row.of(f"frame.{browser}", slowest[name], note=f"the slowest of {len(slowest)} kinds: {name}")
    ], []


def rolling(data: Raw) -> Found:
    """``python -m tests.bench.rolling``."""
    begun = sum(data["outcome"]["begun"].values())
    return [Row.of("rolling.failed", len(data["outcome"]["failed"]), note=f"of {begun} calls")], []


def restart(data: Raw) -> Found:
    """``python -m tests.bench.restart``: the worse of the ways to end Kamailio."""
    kept = {one["how"]: 1 - len(one["failed"]) / one["calls"] for one in data["restarts"]}
    note = ", ".join(f"{how}: {share:.3f}" for how, share in kept.items())
    return [Row.of("restart.working", min(kept.values(), default=None), note=note)], []


ADAPTERS: Final[Mapping[str, Callable[[Raw], Found]]] = {
    "calls": calls,
    "registration": registration,
    "first-audio": first_audio,
    "media-load": media_load,
    "full-call": full_call,
    "scale": scale,
    "events": events,
    "network-change": network_change,
    "node-loss": node_loss,
    "overload": overload,
    "mixed": mixed,
    "injection": injection,
    "ng": ng,
    "first-frame-chromium": partial(first_frame, "chromium"),
    "first-frame-firefox": partial(first_frame, "firefox"),
    "rolling": rolling,
    "restart": restart,
}
"""By the beginning of the file's name; the calls' own is a bare time."""


def descriptions_text(text: str) -> list[Row]:
    """``python -m tests.bench.descriptions``, which only prints."""
    figures = {"audio": "sdp.audio", "audio and video": "sdp.video"}
    found = re.findall(r"^(?:kept|BROKEN) +(audio(?: and video)?): (\d+) µs", text, re.MULTILINE)
    return [Row.of(figures[case], float(cost)) for case, cost in found]


def decisions_text(text: str) -> list[Row]:
    """``python -m tests.bench.decisions``, which only prints; its longest routing table counts."""
    found = re.findall(
        r"^(\d+) routes, .*?INVITE at most .*?: p50 (\d+), p99 (\d+)$", text, re.MULTILINE | re.DOTALL
    )
    if not found:
        return []
    routes, p50, p99 = max(((int(routes), p50, p99) for routes, p50, p99 in found), key=lambda one: one[0])
    return [Row.of("decisions", float(p50), note=f"p50; p99 {p99} µs; {routes:,} routes")]


TEXT_ADAPTERS: Final[Mapping[str, Callable[[str], list[Row]]]] = {
    "descriptions": descriptions_text,
    "decisions": decisions_text,
}
"""Of benches that write no file."""
