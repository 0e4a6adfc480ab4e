"""Every fault with its promise, one row each.

A new fault is a row here; what it does to a process is in `strikes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.faults import strikes
from tests.faults.rows import Promise
from tests.faults.run import Fault
from tests.faults.sites import Kind

STOPPED_S: Final = 5.0

_RESTARTED: Final = Promise(
    "media never stops; calls that stand go on once their pages are back; who dials meanwhile sees that there is no "
    "connection",
    recovery_s=8.0,
)
_STOPPED: Final = Promise(
    "media never stops; calls go on; whoever dials meanwhile waits and is served when it goes on",
    recovery_s=2.0,
)

_NETWORKS: Final = {
    "page": "between page and front",
    "core": "between gateway and core",
    "relay": "before the relay node (media of both sides, ng)",
    "redis": "between gateway and Redis",
}
_LINE_S: Final = 8.0


def _lines() -> Iterator[Fault]:
    promise = Promise("calls go on, new ones come about", 0.5, silence_s=1.0, new_calls_told=False)
    for network, where in _NETWORKS.items():
        for name, what, one_way_s, lost_share in (
            ("loss", "5 % of the packets are lost", 0.0, 0.05),
            ("delay", "packets take 100 ms longer", 0.1, 0.0),
        ):
            yield Fault(
                f"{network}-{name}",
                f"{what} {where}, {_LINE_S:g} s",
                promise,
                strikes.spoil_line(network, one_way_s, lost_share),
                strikes.mend_line(network),
                _LINE_S,
                kind=Kind.LINES,
            )


_HOUR: Final = 3600
_EXPIRED: Final = "Times are told by the clock: registrations and sessions of less than an hour are over"


def _clocks() -> Iterator[Fault]:
    promise = Promise("calls go on, new ones come about", 2.0)
    for name, what, offset_s in (
        ("clock-ahead", "the clock jumps ahead by 5 s, as a correction may do", 5),
        ("clock-back", "the clock jumps back by 5 s", 0),
        ("clock-hour-ahead", "the clock jumps ahead by an hour", _HOUR),
        ("clock-hour-back", "the clock jumps back by an hour", 0),
    ):
        known = _EXPIRED if offset_s == _HOUR else ""
        yield Fault(name, what, promise, strikes.set_clock(offset_s), kind=Kind.CLOCK, known=known)


_CLOCK_OF_KAMAILIO: Final = (
    "Kamailio sets its own clock right every five seconds only: when it has stood still its timers then leap by that "
    "time, and calls that are just being set up get 504"
)

FAULTS: Final = (
    Fault("worker-killed", "a Kamailio worker is killed", _RESTARTED, strikes.kill_worker("tcp receiver")),
    Fault(
        "udp-worker-killed",
        "a Kamailio worker towards the core is killed",
        _RESTARTED,
        strikes.kill_worker("udp receiver"),
    ),
    Fault("kamailio-killed", "Kamailio is killed", _RESTARTED, strikes.kill("gateway")),
    Fault(
        "worker-stopped",
        f"a Kamailio worker stands still for {STOPPED_S:g} s",
        _STOPPED,
        strikes.stop_worker("tcp receiver"),
        strikes.let_workers_go_on,
        STOPPED_S,
    ),
    Fault(
        "udp-worker-stopped",
        f"a Kamailio worker towards the core stands still for {STOPPED_S:g} s",
        _STOPPED,
        strikes.stop_worker("udp receiver"),
        strikes.let_workers_go_on,
        STOPPED_S,
    ),
    Fault(
        "kamailio-stopped",
        f"Kamailio stands still for {STOPPED_S:g} s",
        _STOPPED,
        strikes.stop("gateway"),
        strikes.go_on("gateway"),
        STOPPED_S,
        known=_CLOCK_OF_KAMAILIO,
    ),
    Fault(
        "relay-killed",
        "one of two relay nodes is killed",
        Promise(
            "its calls move to the other one, and are heard again; new calls go there", 2.0, silence_s=4.0
        ),
        strikes.kill_node,
    ),
    Fault(
        "relay-stopped",
        f"one of two relay nodes stands still for {STOPPED_S:g} s",
        Promise(
            "its calls move to the other one, and are heard again; new calls go there", 2.0, silence_s=4.0
        ),
        strikes.stop_node,
        strikes.let_node_go_on,
        STOPPED_S,
    ),
    Fault(
        "redis-killed",
        "Redis is killed",
        Promise(
            "SIP waits for nobody: calls stand, new ones come about; what was not written is written later",
            1.0,
            new_calls_told=False,
        ),
        strikes.kill("redis"),
        afterwards=strikes.redis_has_all_calls,
    ),
    Fault(
        "redis-stopped",
        f"Redis stands still for {STOPPED_S:g} s",
        Promise(
            "SIP waits for nobody: calls stand, new ones come about; what was not written is written later",
            1.0,
            new_calls_told=False,
        ),
        strikes.stop_redis_with_too_much,
        strikes.go_on("redis"),
        STOPPED_S,
        afterwards=strikes.redis_has_all_calls,
    ),
    Fault(
        "agent-killed",
        "the media agent is killed",
        Promise(
            "calls stand, new ones come about; workers notice dead nodes themselves until it is back",
            1.0,
            new_calls_told=False,
        ),
        strikes.kill("media_agent"),
    ),
    Fault(
        "agent-stopped",
        f"the media agent stands still for {STOPPED_S:g} s",
        Promise(
            "calls stand, new ones come about; workers notice dead nodes themselves until it is back",
            1.0,
            new_calls_told=False,
        ),
        strikes.stop("media_agent"),
        strikes.go_on("media_agent"),
        STOPPED_S,
    ),
    Fault(
        "web-killed",
        "the web API is killed",
        Promise("calls stand, new ones come about; the API's users are told 503", 8.0, new_calls_told=False),
        strikes.kill("web_api"),
        of_web=True,
    ),
    Fault(
        "web-stopped",
        f"the web API stands still for {STOPPED_S:g} s",
        Promise("calls stand, new ones come about; the API's users wait", 2.0, new_calls_told=False),
        strikes.stop("web_api"),
        strikes.go_on("web_api"),
        STOPPED_S,
        of_web=True,
    ),
    Fault("haproxy-killed", "HAProxy is killed", _RESTARTED, strikes.kill("haproxy")),
    Fault(
        "haproxy-stopped",
        f"HAProxy stands still for {STOPPED_S:g} s",
        _STOPPED,
        strikes.stop("haproxy"),
        strikes.go_on("haproxy"),
        STOPPED_S,
    ),
    Fault(
        "core-killed",
        f"the core is gone for {STOPPED_S:g} s",
        Promise("calls that stand go on; callers are told 504", 2.0),
        strikes.kill_core,
        strikes.start_core_again,
        STOPPED_S,
    ),
    Fault(
        "core-stopped",
        f"the core stands still for {STOPPED_S:g} s",
        Promise("calls that stand go on; callers wait, or are told 504", 2.0),
        strikes.stop_core,
        strikes.let_core_go_on,
        STOPPED_S,
    ),
    Fault(
        "logs-full",
        f"the log folder is full for {STOPPED_S:g} s",
        Promise("nobody notices but who reads logs", 1.0, new_calls_told=False),
        strikes.fill_log_folder,
        strikes.empty_log_folder,
        STOPPED_S,
        meanwhile=strikes.log_folder_is_full,
    ),
    Fault(
        "no-ports",
        f"the relay has no ports left for {STOPPED_S:g} s",
        Promise("calls that stand go on; callers are told 503, and why", 2.0),
        strikes.take_all_ports,
        strikes.give_ports_back,
        STOPPED_S,
        kind=Kind.FEW_PORTS,
        meanwhile=strikes.callers_are_told_why,
    ),
    *_lines(),
    *_clocks(),
)
BY_NAME: Final = {fault.name: fault for fault in FAULTS}
