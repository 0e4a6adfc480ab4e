"""Adapters of the benches in which ends hear and see each other; see ``adapters``.

Knows the shapes of these benches' JSON. Must not run anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from tests.bench.figures import Figure, Sense
from tests.bench.first_audio.cases import CASES_BY_NAME, Through
from tests.bench.page.failures import Found, Raw, failures_of, joined, largest, p95_ms
from tests.bench.rows import Ladder, Peer, Row, Step

MEDIA_LOSS: Final = 0.0001
"""Of a call that counts as held."""
MEDIA_BUSY: Final = 0.8
_PACKETS_PER_CALL_S: Final = 100
_DELAYS: Final = {"loopback": "audio.loopback", "50 ms each way": "audio.delayed"}
_REDIALS: Final = 1000
_OUR_CALLS: Final = {"update": "answer, then UPDATE", "two-way": "two-way, 100rel"}
_THEIR_CALLS: Final = {"classic": "classic recipe", "janus": "Janus"}


def first_audio(data: Raw) -> Found:
    """``python -m tests.bench.first_audio``: the worst of the cases whose media path stands before the answer."""
    rows = []
    for network, figure in _DELAYS.items():
        cells = [(CASES_BY_NAME[cell["case"]], cell) for cell in data["cells"]
                 if cell["case"] in CASES_BY_NAME and cell["network"] == network]  # fmt: skip
        judged = [cell for case, cell in cells if case.judged]
        peers = [
            Peer(
                "classic recipe", _heard(cell), joined("media only when the callee answers", _unheard([cell]))
            )
            for case, cell in cells
            if case.through is Through.CLASSIC
        ]
        note = f"the worst of {len(judged)} kinds of call" if judged else "not tried"
        rows.append(Row.of(figure, largest(map(_heard, judged)), peers=peers, note=note,
                           failures=_unheard(judged)))  # fmt: skip
    return rows, []


def _heard(cell: Raw) -> float | None:
    return p95_ms(
        [call["page_s"] - cell["one_way_s"] for call in cell["calls"] if call and call["page_s"] is not None]
    )


def _unheard(cells: Sequence[Raw]) -> str:
    calls = [call for cell in cells for call in cell["calls"]]
    failed = sum(call is None for call in calls)
    silent = sum(call is not None and None in (call["page_s"], call["phone_s"]) for call in calls)
    return failures_of(f"{len(calls)} calls", {"failed": failed, "silent": silent})


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
    cores = data["machine"]["cores"]
    most = {name: max((step["calls"] for step in steps if not step["limit"]), default=0)
            for name, steps in data["ramps"].items()}  # fmt: skip
    limits = {
        name: ", ".join(sorted({step["limit"] for step in data["fixed"] if step["relay"] == name} - {""}))
        for name in packets
    }
    others = [Peer(name, median(runs), limits[name]) for name, runs in packets.items() if name != ours]
    number = max((step["calls"] for step in data["fixed"]), default=0)
    rows = [
        Row.median("media.packet", packets.get(ours, []), peers=others,
                   generator=median(shares[ours]) if ours in shares else None, note=f"{number} calls",
                   failures=limits.get(ours, ""))
    ]  # fmt: skip
    if ours not in most or not most.get(janus):
        note = "Janus held nothing" if janus in most else "not tried beside Janus"
        rows.append(Row.of("media.held", None, note=note))
    else:
        note = f"{most[ours]} calls against {most[janus]}, load generator on the same cores"
        rows.append(
            Row.of("media.held", round(most[ours] / most[janus], 2), peers=[Peer("Janus", 1.0)], note=note)
        )
    if ours in most:
        figure = Figure(
            "media.calls", "calls held, load generator on the same cores", "calls", Sense.AT_LEAST
        )
        others = [Peer(name, held) for name, held in most.items() if name != ours]
        rows.append(
            Row.of(figure, most[ours], peers=others, note="below 80 % of the cores, loss below 0.01 %")
        )
    ladders = [
        Ladder("media", "running calls, each with DTLS-SRTP and 50 packets/s both ways", "calls", name,
               tuple(rungs), _media_end(steps[-1], cores))
        for name, steps in data["ramps"].items()
        if (rungs := [_media_step(step, cores) for step in steps if not _is_late(step)])
    ]  # fmt: skip
    return rows, ladders


def _media_step(step: Raw, cores: int) -> Step:
    loss = max(
        1 - flow["received"] / flow["sent"] if flow["sent"] else 1.0 for flow in (step["to_core"], step["to_page"])
    )  # fmt: skip
    busy = min(1.0, (step["relay_cores"] + step["generator_cores"]) / cores)
    loss = max(0.0, loss)
    return Step(step["calls"], step["calls"] * (1 - loss), None, round(loss, 6), round(busy, 4))


def _is_late(step: Raw) -> bool:
    """Whether the generator did not keep its pace: of the relay such a rung proves nothing."""
    return "late" in str(step["limit"])


def _media_end(last: Raw, cores: int) -> str:
    rung = _media_step(last, cores)
    if _is_late(last):
        return f"{last['limit']} at {last['calls']} calls"
    if rung.failed >= MEDIA_LOSS:
        return f"{rung.failed:.2%} of the packets lost"
    return "cores 80 % busy" if (rung.busy or 0) >= MEDIA_BUSY else ""


def full_call(data: Raw) -> Found:
    """``python -m tests.bench.full_call``: the dearer of our two kinds of call, at the highest rate."""
    fastest = max((run["offered_per_s"] for run in data["runs"]), default=0)
    runs = [run for run in data["runs"] if run["offered_per_s"] == fastest]
    costs: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}
    for run in runs:
        costs.setdefault(run["case"], []).append(run["total_ms"])
        share = run["generator_cpu_ms"] / (run["generator_cpu_ms"] + run["total_ms"])
        shares.setdefault(run["case"], []).append(share)
    ours = max(
        (case for case in _OUR_CALLS if case in costs), key=lambda case: median(costs[case]), default=""
    )
    peers = [
        Peer(name, median(costs[case]), _broken(runs, case))
        for case, name in _THEIR_CALLS.items()
        if case in costs
    ]
    rows = [
        Row.median("web.cpu", costs.get(ours, []), peers=peers,
                   generator=round(median(shares[ours]), 3) if ours else None,
                   note=f"{_OUR_CALLS[ours]}, {fastest:g} calls/s" if ours else "not tried",
                   failures=_broken(runs, *_OUR_CALLS))
    ]  # fmt: skip
    again = {one["case"]: one for one in data["redials"]}
    own = [again[case] for case in _OUR_CALLS if case in again]
    peers = [
        Peer(
            name,
            again[case]["silent"],
            joined(f"of {again[case]['calls']}", _broken([again[case]], case, silent=False)),
        )
        for case, name in _THEIR_CALLS.items()
        if case in again
    ]
    redialled, silent = sum(one["calls"] for one in own), sum(one["silent"] for one in own)
    enough = redialled >= _REDIALS
    rows.append(Row.of("web.silent", silent if enough or silent else None, peers=peers,
                       note=f"of {redialled}" if enough else f"{silent} of only {redialled}",
                       failures=_broken(own, *_OUR_CALLS, silent=False)))  # fmt: skip
    return rows, []


def _broken(found: Sequence[Raw], *cases: str, silent: bool = True) -> str:
    """Say what went wrong in runs or redials of some cases; without silent calls where they are the figure."""
    own = [one for one in found if one["case"] in cases]
    bad = {
        "failed": sum(sum(one["failures"].values()) for one in own),
        "silent": sum(one["silent"] for one in own) if silent else 0,
        "strange packets": sum(one["strange"] for one in own),
    }
    return failures_of(f"{sum(one['calls'] for one in own)} calls", bad)


def network_change(data: Raw) -> Found:
    """``python -m tests.bench.network_change``."""
    rows = []
    for way in ("restart", "offered"):
        runs = [run for name, runs in data["runs"].items() if name.startswith(way) for run in runs]
        note = f"{data['delay_ms']:g} ms each way, {len(runs)} changes"
        rows.append(_longest(f"network.{way}", runs, "changes", note))
    return rows, []


def _longest(figure: str, found: Sequence[Raw], what: str, note: str) -> Row:
    """Return the longest time until both ends hear again; none where they never did."""
    ends = [(one["page_s"], one["phone_s"]) if one else (None, None) for one in found]
    never = sum(None in both for both in ends)
    value = None if never else largest(map(max, ends))
    return Row.of(
        figure, value, note=note, failures=failures_of(f"{len(found)} {what}", {"silent for good": never})
    )


def node_loss(data: Raw) -> Found:
    """``python -m tests.bench.node_loss``."""
    note = f"{len(data['calls'])} calls, from the moment the gateway knows"
    return [_longest("node_loss.sound", data["calls"], "calls", note)], []


def first_frame(browser: str, data: Raw) -> Found:
    """``python -m tests.bench.first_frame``: the slowest case of one browser."""
    cases: Mapping[str, Sequence[Raw]] = data["cases"]
    slowest = {
        name: p95_ms([max(call["page_s"], call["phone_s"]) for call in calls if call])
        for name, calls in cases.items()
    }
    every = [call for calls in cases.values() for call in calls]
    name = max(slowest, key=lambda case: slowest[case] or 0.0, default="none")
    unseen = failures_of(f"{len(every)} calls", {"without a picture": every.count(None)})
    note = f"the slowest of {len(slowest)} kinds: {name}"
    return [Row.of(f"frame.{browser}", slowest.get(name), note=note, failures=unseen)], []
