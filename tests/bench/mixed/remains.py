"""What a run of calls may leave behind: nothing in tables, relay and transactions, and no growth of memory.

Knows where to look.  Must not know what ran.
"""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kemi.state.web.calls import FinishedCalls
from kemi.state.web.client import connect
from tests.bench.cpu import process_tree
from tests.lab.lab import Lab

KEPT_TABLES: Final = frozenset(
    {
        "closed",
        "notice",
        "jwks",
        "tally",
        "node",
        "unreleased",
        "metric",
        "redirected",
        "offender",
        "bans",
        "challenge",
        "passed_on",
        "moved",
        "handed_over",
        "overload",
        "early_cancel",
    }
)
"""What stays for a while by design: connection ids that must not be taken for new ones, events on their way, the
issuers' keys, counts by user and address, what an address did wrong and how many are banned, how the core asks for
passwords, what is known of relay nodes, what is measured, whom the core has sent elsewhere a moment ago, what went to
another gateway, how much new work is let in, and for a moment whose CANCEL came before its INVITE."""


@dataclass(frozen=True)
class Remains:
    """Counts and sizes at one moment."""

    tables: Mapping[str, int]
    transactions: int
    connections: int
    relay_calls: int
    relay_sockets: int
    shared_bytes: int
    worker_rss_bytes: Mapping[int, int]

    @property
    def left(self) -> dict[str, int]:
        """Everything that must be zero, and is not."""
        counts = {
            **{f"table {name}": count for name, count in self.tables.items() if name not in KEPT_TABLES},
            "transactions": self.transactions,
            "relay calls": self.relay_calls,
        }
        return {name: count for name, count in counts.items() if count}


def look(lab: Lab) -> Remains:
    """Look at gateway and relay."""
    rpc = lab.gateway_rpc
    tables = {table["name"]: int(table["all"]) for table in rpc("htable.stats")}
    return Remains(
        tables=tables,
        transactions=int(rpc("tm.stats")["current"]),
        connections=int(rpc("core.tcp_info")["opened_connections"]),
        relay_calls=len(lab.relay_calls()),
        relay_sockets=_sockets(lab.info.processes["rtpengine"]),
        shared_bytes=int(rpc("core.shmmem")["used"]),
        worker_rss_bytes={pid: _rss_bytes(pid) for pid in process_tree([lab.info.processes["gateway"]])},
    )


@dataclass(frozen=True)
class Recorded:
    """What is known of the calls afterwards."""

    calls: int
    """Calls the gateway's log tells of."""
    missing: int
    """Those without a record in Redis, or with more than one."""
    without_figures: int
    """Records of media of which the relay said nothing."""


def recorded(lab: Lab) -> Recorded:
    """Compare what Redis keeps of finished calls with the gateway's log."""
    log = (Path(lab.info.log_dir) / "gateway.log").read_text(errors="replace")
    calls = set(re.findall(r"event=call_state_changed call_id=(\S+)", log))
    kept = FinishedCalls(connect(lab.info.redis_url)).page(1_000_000)[0]
    times = Counter(call.key for call in kept)
    return Recorded(
        calls=len(calls),
        missing=sum(1 for call in calls if times[call] != 1),
        without_figures=sum(1 for call in kept if any("why" in figures for figures in call.media.values())),
    )


def relay_totals(lab: Lab) -> str:
    """Return rtpengine's own totals."""
    with socket.create_connection((lab.info.rtpengine.ng_address, lab.info.rtpengine.cli_port), 5) as line:
        line.sendall(b"list totals\n")
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(65536), b"")).decode(errors="replace")


def _sockets(pid: int) -> int:
    found = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += str(entry.readlink()).startswith("socket:")
        except OSError:  # closed meanwhile
            continue
    return found


def _rss_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    private = (line.split()[1] for line in text.splitlines() if line.startswith("Private_"))
    return 1024 * sum(map(int, private))
