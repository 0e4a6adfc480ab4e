"""Thousands of connections from one address, against a whole front: `python -m tests.hostile.flood`.

HAProxy and Kamailio have the roles' own limits; only bans are shorter, so that their end is seen.  A page at another
address registers, calls and has others connect, before, meanwhile and afterwards.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import socket
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from tests.bench.cpu import process_tree
from tests.hostile.bystander import Bystander, Told
from tests.hostile.flooder import KINDS, WEBSOCKET, Flood, FloodOrder, order_to_text
from tests.integration.calls.stage import ALICE, CORE_PORT, gateway_options
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.ports import LOOPBACK
from tests.lab.roles import role_variables
from tests.lab.subscribers import REALM
from tests.peers.core import RegistrarScript, ScriptedCore
from tests.peers.digest import Credentials
from tests.peers.websocket import Handshake
from tests.peers.wic import WicIdentity

OUTPUT: Final = Path(__file__).parents[2] / "build" / "hostile"
ATTACKER: Final = "127.68.0.1"
OTHERS: Final = "127.69.0.1"
CREDENTIALS: Final = Credentials(ALICE.removeprefix("sip:"), "right")
SAMPLE_S: Final = 0.25
REST_S: Final = 40.0
"""So long after the attack everything may take to be as before: silent connections have ended, Kamailio has noticed."""
MAX_CONNECTIONS: Final = 9000
"""Of HAProxy: two files each, where a process may have 20,000."""
_HAPROXY_LIMITS: Final = (
    "haproxy_client_connections", "haproxy_client_connections_per_10s", "haproxy_client_requests_per_10s",
    "haproxy_client_errors_per_10s", "haproxy_new_connections_per_s",
)  # fmt: skip
_GATEWAY_LIMITS: Final = (
    "gateway_limits_connection", "gateway_limits_identity", "gateway_limits_address", "gateway_limits_burst_s",
    "gateway_limits_unrefused",
    "gateway_calls_per_identity", "gateway_failed_logins_per_identity", "gateway_failed_logins_per_address",
    "gateway_unregistered_timeout_s", "gateway_ban_points", "gateway_flow_recovery_s", "gateway_ims_response_timeout_s",
    "gateway_overload_control",
)  # fmt: skip


def flood_options(*, ban_s: int, mark_s: int, overload_control: bool = True, **haproxy: Any) -> LabOptions:
    """Return a site with the roles' own limits."""
    kamailio, front = role_variables("kamailio", {}), role_variables("haproxy", {})
    of_gateway = {name: kamailio[name] for name in _GATEWAY_LIMITS}
    options = gateway_options(
        **{
            **of_gateway,
            "gateway_overload_control": overload_control,
            "gateway_ban_s": ban_s,
            "gateway_core_networks": [f"{LOOPBACK}/32"],
        }
    )
    own = {name: front[name] for name in _HAPROXY_LIMITS}
    own |= {"haproxy_max_connections": MAX_CONNECTIONS, "haproxy_ban_mark_s": mark_s, **haproxy}
    return dataclasses.replace(
        options,
        parts=options.parts | {Part.HAPROXY},
        role_variables={**options.role_variables, "haproxy": own},
    )


# ---------------------------------------------------------------- what the site is like


@dataclass(frozen=True)
class State:
    """Front and gateway at one moment; memory in megabytes."""

    sessions: int
    """Connections HAProxy has."""
    of_attacker: int
    """Those that it counts as the attacker's."""
    connections: int
    """Connections Kamailio has."""
    flows: int
    """Pages' connections the gateway remembers."""
    haproxy_mb: float
    shared_mb: float
    private_mb: float


class Site:
    """The running site."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._socket = str(Path(lab.info.run_dir) / "haproxy.sock")

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect(self._socket)
            line.sendall(f"{command}\n".encode())
            found = b""
            while more := line.recv(65536):
                found += more
        return found.decode()

    def state(self) -> State:
        """Look."""
        rpc, processes = self.lab.gateway_rpc, self.lab.info.processes
        sessions = re.search(r"^CurrConns: (\d+)", self._ask("show info"), re.MULTILINE)
        table = self._ask("show table public")
        of_attacker = re.search(rf"key=\S*{re.escape(ATTACKER)} .*?conn_cur=(\d+)", table)
        return State(
            sessions=int(sessions.group(1)) if sessions else 0,
            of_attacker=int(of_attacker.group(1)) if of_attacker else 0,
            connections=int(rpc("core.tcp_info")["opened_connections"]),
            flows=len(rpc.htable("flow")),
            haproxy_mb=_private_mb(processes["haproxy"]),
            shared_mb=int(rpc("core.shmmem")["real_used"]) / 1e6,
            private_mb=_private_mb(processes["gateway"]),
        )

    def log(self) -> str:
        """Return what the gateway has written."""
        return (Path(self.lab.info.log_dir) / "gateway.log").read_text(errors="replace")

    def lets_in(self, source: str) -> bool:
        """Whether the front takes a connection of this address: one that it refuses ends at once."""
        place = (LOOPBACK, urlsplit(self.lab.info.web.origin).port or 443)
        try:
            with socket.create_connection(place, 3, source_address=(source, 0)) as line:
                line.settimeout(0.2)
                return line.recv(1) != b""
        except TimeoutError:
            return True
        except OSError:
            return False


def _private_mb(pid: int) -> float:
    total = 0
    for one in process_tree([pid]):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:  # it has ended
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))
    return total / 1000


# ---------------------------------------------------------------- the run


@dataclass
class Outcome:
    """One attack."""

    flood: Flood
    before: State
    most: State
    after: State
    told: dict[str, Told]
    """What others saw, before, meanwhile and afterwards."""
    rest_s: float
    """From the end of the attack until nothing was left of it; infinite: something was."""
    banned: bool
    """Whether the gateway banned the address."""
    shut_out_s: float
    """From the end of the attack until the address was let in again."""
    faults: list[str]


async def attack(lab: Lab, connections: int, *, speaks: bool, calm_s: float = 5.0) -> Outcome:
    """Let one address open so many connections; ``speaks``: over each WebSocket it asks for two users."""
    site, web = Site(lab), lab.info.web
    port = urlsplit(web.origin).port or 443
    order = FloodOrder(
        ATTACKER, LOOPBACK, port, web.origin, connections,
        kinds=(WEBSOCKET,) if speaks else KINDS, realm=REALM if speaks else "", held_s=1.0,
    )  # fmt: skip
    handshake = Handshake(web.wss_url, web.origin, forwarded_for=None, source_address=OTHERS)
    identity = WicIdentity(ALICE, credentials=CREDENTIALS)
    told: dict[str, Told] = {}
    states = []
    async with ScriptedCore(LOOPBACK, CORE_PORT) as core:
        core.registrar = RegistrarScript(realm=REALM, associated_uris=(ALICE,), credentials=CREDENTIALS)
        async with Bystander(handshake, identity, core).at_work() as told["before"]:
            await asyncio.sleep(calm_s)
        before = await _calm(site)
        bystander = Bystander(handshake, identity, core)
        async with bystander.at_work() as told["meanwhile"]:
            flooding = asyncio.create_task(_flooded(order))
            while not flooding.done():
                states.append(await asyncio.to_thread(site.state))
                await asyncio.wait((flooding,), timeout=SAMPLE_S)
            flood = flooding.result()
        ended = time.monotonic()
        (rest_s, after), shut_out_s = await asyncio.gather(
            _rest(site, before, ended), _let_in_again(site, ended)
        )
        banned = f"address_banned address={ATTACKER} " in site.log()
        async with Bystander(handshake, identity, core).at_work() as told["afterwards"]:
            await asyncio.sleep(calm_s)
    most = State(*(max(getattr(one, field.name) for one in states) for field in dataclasses.fields(State)))
    outcome = Outcome(flood, before, most, after, told, rest_s, banned, shut_out_s, [])
    outcome.faults = list(_faults(lab, outcome, speaks=speaks))
    return outcome


async def _flooded(order: FloodOrder) -> Flood:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hostile.flooder"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate((order_to_text(order) + "\n").encode())
    return Flood(**json.loads(out))


async def _calm(site: Site) -> State:
    """Return what the site is like when no page is there; the gateway's own connections are."""
    until = time.monotonic() + REST_S
    while (state := await asyncio.to_thread(site.state)).flows and time.monotonic() < until:
        await asyncio.sleep(0.1)
    return state


async def _let_in_again(site: Site, ended: float) -> float:
    """Return how long after the end of the attack the address is let in; infinite: not at all.

    Whoever is refused is counted, too: it is not asked more often than the front forgives.
    """
    while not await asyncio.to_thread(site.lets_in, ATTACKER):
        if time.monotonic() - ended > REST_S:
            return float("inf")
        await asyncio.sleep(0.5)
    return time.monotonic() - ended


async def _rest(site: Site, before: State, ended: float) -> tuple[float, State]:
    """Wait until the front and the gateway have no connection of the attack any more."""
    while True:
        state = await asyncio.to_thread(site.state)
        left = max(
            state.of_attacker, state.connections - before.connections, state.flows - before.flows,
            state.sessions - before.sessions,
        )  # fmt: skip
        passed_s = time.monotonic() - ended
        if left <= 0:
            return passed_s, state
        if passed_s > REST_S:
            return float("inf"), state
        await asyncio.sleep(0.5)


def _faults(lab: Lab, outcome: Outcome, *, speaks: bool) -> Iterator[str]:
    effective = role_variables("haproxy", lab.options.role_variables["haproxy"])
    if outcome.most.of_attacker > effective["haproxy_client_connections"] + 1:
        yield f"{outcome.most.of_attacker} connections of one address"
    let_in = sum(
        count
        for what, count in outcome.flood.outcomes.items()
        if what.startswith(WEBSOCKET) and not what.endswith("refused")
    )
    tens = 1 + int(outcome.flood.seconds / 10)
    if let_in > tens * effective["haproxy_client_connections_per_10s"]:
        yield f"{let_in} WebSockets of one address within {outcome.flood.seconds:.0f} s"
    for when, told in outcome.told.items():
        if told.failures:
            yield f"{when}: {len(told.failures)} failures of others: {told.failures[0]}"
        if not (told.registers and told.calls and told.connections):
            yield f"{when}: others did nothing"
    if outcome.rest_s == float("inf"):
        yield f"left behind: {outcome.after}"
    if outcome.shut_out_s == float("inf"):
        yield "the address is shut out for ever"
    if speaks and not outcome.banned:
        yield "who asks for user after user was not banned"
    if words := [word for word in ("Traceback", "callback_failed", "BUG:") if word in Site(lab).log()]:
        yield f"in the log: {words}"


# ---------------------------------------------------------------- the command


def lines(outcome: Outcome) -> Iterator[str]:
    """Say an outcome for people."""
    flood = outcome.flood
    total = sum(flood.outcomes.values())
    rate = total / max(flood.seconds, 0.001)
    yield f"{total} connections in {flood.seconds:.1f} s ({rate:.0f}/s), at most {flood.most} at a time"
    yield "  " + ", ".join(f"{what} {count}" for what, count in sorted(flood.outcomes.items()))
    if flood.statuses:
        yield "  handshakes answered: " + ", ".join(f"{one} {count}" for one, count in flood.statuses.items())
    yield f"{'':28}{'before':>10}{'most':>10}{'after':>10}"
    for field in dataclasses.fields(State):
        values = [getattr(one, field.name) for one in (outcome.before, outcome.most, outcome.after)]
        yield f"{field.name.replace('_', ' '):28}" + "".join(f"{value:>10.0f}" for value in values)
    for when, told in outcome.told.items():
        yield f"others {when}:"
        for what, times in (
            ("connected", told.connections),
            ("registered", told.registers),
            ("called", told.calls),
        ):
            if times:
                median, longest = 1000 * statistics.median(times), 1000 * max(times)
                yield f"  {what:11}{len(times):4} times, median {median:.0f} ms, longest {longest:.0f} ms"
        yield f"  failed     {len(told.failures):4} times"
    yield f"nothing left after {outcome.rest_s:.1f} s; banned: {'yes' if outcome.banned else 'no'}"
    yield f"let in again after {outcome.shut_out_s:.1f} s"
    yield from (f"FAULT: {fault}" for fault in outcome.faults)


@contextmanager
def flood_lab(options: LabOptions) -> Iterator[Lab]:
    """Run the site."""
    with Lab(options) as lab:
        yield lab


def run(lab: Lab, connections: int, *, speaks: bool, calm_s: float = 5.0) -> Outcome:
    """Attack a site."""
    return asyncio.run(attack(lab, connections, speaks=speaks, calm_s=calm_s))


@click.command()
@click.option("--connections", default=10_000, show_default=True)
@click.option("--ban-s", default=15, show_default=True, help="How long the gateway bans an address.")
@click.option("--mark-s", default=5, show_default=True, help="How long HAProxy does without asking again.")
def main(connections: int, ban_s: int, mark_s: int) -> None:
    """Flood a site with silent connections, then with WebSockets that ask for users; exit status 1 on a fault."""
    found: Sequence[tuple[str, bool]] = (("silent", False), ("asking for users", True))
    documents, failed = {}, False
    for name, speaks in found:
        with flood_lab(flood_options(ban_s=ban_s, mark_s=mark_s)) as lab:
            outcome = run(lab, connections, speaks=speaks)
        click.echo(f"{name}: " + "\n".join(lines(outcome)))
        documents[name] = dataclasses.asdict(outcome)
        failed |= bool(outcome.faults)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "flood.json").write_text(json.dumps(documents, indent=1))
    if failed:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
