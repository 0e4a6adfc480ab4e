"""Rows out of the JSON of benches that write a shape of their own; a bench that hands rows over needs none.

Knows those shapes. Must not run anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from types import MappingProxyType
from typing import Final

from tests.bench.figures import Figure, Sense
from tests.bench.page.failures import Found, Raw, failures_of, joined, p95_ms
from tests.bench.page.media_adapters import (
    first_audio,
    first_frame,
    full_call,
    media_load,
    network_change,
    node_loss,
)
from tests.bench.rows import Peer, Row

STORM_PAGES: Final = 10_000
_CLOSED: Final = "closed loop"
_FIXED: Final = "100/s"
_HALF: Final = "half load"
_PLAIN: Final = "passes a plain call on: half the messages, no media"


def calls(data: Raw) -> Found:
    """``python -m tests.bench``: the full flow beside the twins."""
    cells = {(cell["target"], cell["mode"]): cell["runs"] for cell in data["cells"]}

    def runs(target: str, mode: str, value: Callable[[Raw], float]) -> list[float]:
        return [value(run) for run in cells.get((target, mode), ())]

    def failures(mode: str, *targets: str) -> str:
        found = [run for target in targets for run in cells.get((target, mode), ())]
        failed = sum(sum(run["failures"].values()) for run in found)
        return failures_of(f"{sum(run['calls'] for run in found) + failed} calls", {"failed": failed})

    def peers(mode: str, value: Callable[[Raw], float], notes: Mapping[str, str]) -> list[Peer]:
        return [Peer(name, median(found), joined(note, failures(mode, name))) for name, note in notes.items()
                if (found := runs(name, mode, value))]  # fmt: skip

    def row(figure: str, target: str, mode: str, value: Callable[[Raw], float], note: str = "",
            twins: Mapping[str, str] = MappingProxyType({}), *, share: bool = False) -> Row:  # fmt: skip
        return Row.median(figure, runs(target, mode, value), peers=peers(mode, value, twins),
                          generator=_share(cells.get((target, mode), ())) if share else None, note=note,
                          failures=failures(mode, target))  # fmt: skip

    twins, pages = {"native": _PLAIN, "kemi": f"KEMI, {_PLAIN}"}, "closed loop, 20 pages"
    rows = [
        row("flow.rate", "signalling", _CLOSED, _rate, pages, twins, share=True),
        row("flow.cpu", "full", _CLOSED, lambda run: run["gateway_cpu_ms"], "closed loop, Kamailio alone", twins,
            share=True),
        row("flow.media_rate", "full", _CLOSED, _rate, pages, share=True),
        row("flow.media_cpu", "full", _CLOSED, lambda run: run["media_cpu_ms"]),
        row("flow.transcoding_cpu", "transcoding", _CLOSED, lambda run: run["media_cpu_ms"]),
        row("flow.transcoding_rate", "transcoding", _CLOSED, _rate, pages),
        row("flow.added_p95", "full", _FIXED, lambda run: run["added_ms"]["p95"], twins={"native": _PLAIN}),
    ]  # fmt: skip
    for name in ("p50", "p99"):
        # The page's own part differs from call to call: its median is taken off both.
        def added(run: Raw, name: str = name) -> float:
            return float(run["added_ms"][name] - run["page_ms"]["p50"])

        if ("full", _HALF) in cells:
            rows.append(row(f"flow.delay_{name}", "full", _HALF, added, "with rtpengine", share=True))
    native, kemi = (runs(name, _CLOSED, _rate) for name in ("native", "kemi"))
    plain, full = (runs(name, _CLOSED, lambda run: run["gateway_cpu_ms"]) for name in ("kemi", "full"))
    rows.append(Row.median("plain.ratio", [own / twin for own, twin in zip(kemi, native, strict=False)],
                           failures=failures(_CLOSED, "kemi", "native")))  # fmt: skip
    rows.append(Row.median("plain.multiple", [own / twin for own, twin in zip(full, plain, strict=False)],
                           failures=failures(_CLOSED, "full", "kemi")))  # fmt: skip
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
    """``python -m tests.bench.registration``; only the role's defaults are rows, and where a row names no credentials,
    the dearer ones.
    """
    found: dict[str, list[Raw]] = {
        name.partition(",")[0]: runs for name, runs in data["runs"].items() if "role defaults" in name
    }
    rows = []
    for kind, runs in found.items():
        shares = [
            (rate["generator_cpu_ms"] + rate["core_cpu_ms"])
            / sum(rate[f"{part}_cpu_ms"] for part in ("gateway", "front", "generator", "core"))
            for rate in (run["rate"] for run in runs)
        ]
        rows.append(
            Row.median(f"register.{kind}", [run["rate"]["transactions_per_s"] for run in runs],
                       generator=round(median(shares), 3), note=f"{data['plan']['rate_pages']} pages",
                       failures=failures_of(f"{sum(run['rate']['transactions'] for run in runs)} REGISTERs",
                                            {"failed": sum(run["rate"]["failed"] for run in runs)}))
        )  # fmt: skip
    every = [run for runs in found.values() for run in runs]
    if not every:
        return rows, []
    sizes = {kind: [_held_kb(run["held"]) for run in runs] for kind, runs in found.items()}
    kind = max(sizes, key=lambda kind: median(sizes[kind]))
    held = min(run["held"]["pages"] for run in every)
    missing = {"missing": sum(run["held"]["missing"] for run in every)}
    rows.append(Row.median("held.memory", sizes[kind], note=f"{kind}, {held} pages held, HAProxy included",
                           failures=failures_of(f"{data['plan']['held'] * len(every)} pages", missing)))  # fmt: skip
    times = {kind: [run["storm"]["seconds"] for run in runs] for kind, runs in found.items()}
    kind = max(times, key=lambda kind: median(times[kind]))
    pages, lost = min(run["storm"]["pages"] for run in every), sum(run["storm"]["lost"] for run in every)
    enough, few = pages >= STORM_PAGES, f"only {pages} pages: {kind} {median(times[kind]):g} s, {lost} lost"
    gone = failures_of(f"{data['plan']['held'] * len(every)} pages", {"lost": lost})
    rows += [
        Row.median("storm.time", times[kind] if enough else [], note=f"{kind}, {pages} pages" if enough else few,
                   failures=gone),
        Row.of("storm.lost", lost if enough or lost else None,
               note=f"in {len(every)} storms, {' and '.join(found)}" if enough else few),
    ]  # fmt: skip
    return rows, []


def _held_kb(held: Raw) -> float:
    pool = max(held["pool_resident_kb"], held["pool_reserved_kb"])
    return float(held["private_kb"] + pool + held["front_kb"])


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
        failed = sum(sum(step["failures"].values()) for step in data[held])
        rows.append(Row.of(figure, round(costs[most] / costs[least], 2), note=note,
                           failures=f"{failed} requests failed" if failed else ""))  # fmt: skip
    return rows, []


def events(data: Raw) -> Found:
    """``python -m tests.bench.events``; a 180 that nobody hears of is no failure where a worker read the 200 first."""
    held, delays = data["held"], data["delays"]
    ringing, answered, lost = delays["ringing_s"], delays["answered_s"], delays["lost"]
    bad = {
        "calls failed": sum(delays["failures"].values()),
        "answers not heard of": lost.get("call_answered", 0),
        "rings not heard of": 0 if ringing else lost.get("call_ringing", 0),
        "listeners failed": sum(held["failures"].values()),
        "listeners gone": held["listeners"] - held["still_there"],
    }
    tried = f"{len(answered) + lost.get('call_answered', 0)} calls and {held['listeners']} listeners"
    unrung = (
        f"{lost['call_ringing']} calls of which nobody heard that they rang" if "call_ringing" in lost else ""
    )
    return [Row.of("events.delay", p95_ms([*ringing, *answered]), failures=failures_of(tried, bad),
                   note=joined(f"{held['listeners']} listeners held", unrung))], []  # fmt: skip


def overload(data: Raw) -> Found:
    """``python -m tests.bench.overload``; the peer is the gateway without its control, overloaded once."""
    ratios = {
        name: [run["goodput"] / run["sustainable"] for run in runs] for name, runs in data["rounds"].items()
    }
    peers = [Peer("without control", ratios["without"][0])] if "without" in ratios else []
    run = data["rounds"]["with control"][0]
    note = (
        f"{run['offered']:.0f} calls/s asked for, {run['sustainable']:.0f} the most, one core for the gateway"
    )
    tried = [(one["emergencies"], one["emergencies_good"]) for one in data["rounds"]["with control"]]
    emergencies = {"emergency calls not good": sum(made - good for made, good in tried)}
    return [Row.median("overload.goodput", ratios["with control"], peers=peers, note=note,
                       failures=failures_of(f"{sum(made for made, _ in tried)}", emergencies))], []  # fmt: skip


def mixed(data: Raw) -> Found:
    """``python -m tests.bench.mixed``."""
    outcome = data["outcome"]
    ran = sum(outcome["ran"].values())
    return [Row.of("mixed.failed", len(outcome["failures"]) if ran else None, note=f"of {ran} calls")], []


def injection(data: Raw) -> Found:
    """``python -m tests.bench.injection``."""
    sent = sum(sum(phase["injected"].values()) for phase in data["phases"])
    relayed, stolen = (sum(phase[what] for phase in data["phases"]) for what in ("relayed", "stolen"))
    return [Row.of("injection.relayed", relayed if sent else None, note=f"of {sent}",
                   failures=f"{stolen} of a call's packets sent to a stranger" if stolen else "")], []  # fmt: skip


def ng(data: Raw) -> Found:
    """``python -m tests.bench.ng``: four blocking workers against the stub, nothing lost."""
    results = [
        one["result"]
        for one in data["requests"]
        if one["loss"] == 0
        and (one["setting"]["peer"], one["setting"]["shell"]) == ("stub", "blocking")
        and (one["setting"]["clients"], one["setting"]["commands"]) == (4, "call")
    ]
    bad = {how: sum(result[how] for result in results) for how in ("failed", "unexpected")}
    tried = f"{sum(result['answered'] + result['failed'] for result in results)} requests"
    return [
        Row.median("ng.rate", [result["per_s"] for result in results], failures=failures_of(tried, bad))
    ], []


def rolling(data: Raw) -> Found:
    """``python -m tests.bench.rolling``."""
    begun = sum(data["outcome"]["begun"].values())
    failed = len(data["outcome"]["failed"])
    return [Row.of("rolling.failed", failed if begun else None, note=f"of {begun} calls")], []


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
