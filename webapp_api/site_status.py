"""How the site is, and what is wrong with it: the one place that judges, for `gwctl status` and for the console.

It judges what the gateways wrote to Redis, and what they answer to a question.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from kemi.state.call_questions import CallQuestion
from kemi.state.web.client import StateRefused
from kemi.state.web.nodes import OLD_S, GatewayNodes, SeenNode
from kemi.state.web.running_calls import CallPage

if TYPE_CHECKING:
    from kemi.state.trunks import GatewayTrunks, TrunkView
    from kemi.state.web.server import ServerFacts
    from webapp_api.services import Services

GONE_S: Final = 86_400.0
"""A gateway that was silent for longer has been taken out of service."""
_CLOCK_S: Final = 5.0
"""More than what the way to Redis takes."""
_FULL: Final = 0.9


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway node."""

    gateway: str
    seen_s: float
    """How long ago it has written to Redis; it does so every two seconds."""
    clock_s: float
    """How far its clock is before that of Redis."""
    agent: bool
    """Whether a media agent runs beside it."""
    registrations: int
    calls: int | None
    """None: it does not say."""


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """The site at a moment."""

    redis: ServerFacts
    gateways: list[Gateway]
    """Also those that are silent, for a day."""
    registrations: int
    running: CallPage | None
    """Without calls, with how many each gateway has; None: Redis refuses the question."""
    wrong: list[str]
    """In words; empty: all is well."""

    @property
    def calls(self) -> int | None:
        """Of the gateways that say; None: nobody could be asked, or nobody has answered."""
        if self.running is None or (self.gateways and not self.running.totals):
            return None
        return sum(total for total, _ in self.running.totals.values())


def site_status(
    parts: Services, now: float, while_asking: AbstractContextManager[None] | None = None
) -> SiteStatus:
    """Look at everything; takes up to `ANSWER_S` (kemi/state/call_questions.py), within ``while_asking``."""
    running, refused = None, ""
    try:
        with while_asking or nullcontext():
            running = parts.running_calls.page(now, CallQuestion(limit=1))
    except StateRefused as error:
        refused = str(error)
    redis = parts.server.facts()
    registered = Counter(one.node for one in parts.registrations.all(now))
    seen = {name: one for name, one in parts.relay_nodes.all(now).items() if one[1] < GONE_S}
    gateways = [
        Gateway(
            gateway=name,
            seen_s=round(max(0.0, age), 1),
            clock_s=round(one.clock_s, 1),
            agent=one.agent,
            registrations=registered[name],
            calls=None if running is None or age >= OLD_S else running.totals.get(name, (None,))[0],
        )
        for name, (one, age) in seen.items()
    ]
    runs = {name: one for name, (one, age) in seen.items() if age < OLD_S}
    return SiteStatus(
        redis=redis,
        gateways=gateways,
        registrations=registered.total(),
        running=running,
        wrong=[
            *((f"Redis refuses what is written to it: {refused}",) if refused else ()),
            *_wrong_gateways(gateways, [] if running is None else running.silent),
            *_wrong_nodes(runs, parts.relay_nodes.drained()),
            *_wrong_trunks(parts.trunks.seen(now)),
            *_wrong_redis(redis),
        ],
    )


def node_state(state: str, *, drained: bool, broken: bool) -> str:
    """Write the state of a relay node in a word or two."""
    return ",".join(filter(None, (state, "drained" if drained else "", "broken" if broken else "")))


def trouble_of(trunk: TrunkView) -> str:
    """Return what is wrong with a trunk, "" for nothing."""
    if trunk.state == "down":
        return "down: " + ("; ".join(filter(None, (hop.why for hop in trunk.hops))) or "no next hop answers")
    if trunk.registration not in ("", "registered", "asking"):
        return f"registration {trunk.registration}" + (f": {trunk.why}" if trunk.why else "")
    down = [hop for hop in trunk.hops if hop.state == "down"]
    return "; ".join(f"{hop.uri} is down" + (f": {hop.why}" if hop.why else "") for hop in down)


def _wrong_gateways(gateways: list[Gateway], silent: list[str]) -> list[str]:
    wrong = [] if gateways else ["no gateway has written to this Redis within a day"]
    for one in gateways:
        if one.seen_s >= OLD_S:
            wrong.append(f"gateway {one.gateway} is silent for {one.seen_s:.0f} s")
        elif one.gateway in silent:
            wrong.append(f"gateway {one.gateway} does not answer which calls it has")
        if one.seen_s < OLD_S and not one.agent:
            wrong.append(f"gateway {one.gateway} hears no media agent: dead relay nodes are noticed late")
        if abs(one.clock_s) >= _CLOCK_S:
            where = "before" if one.clock_s > 0 else "behind"
            wrong.append(
                f"the clock of gateway {one.gateway} is {abs(one.clock_s):.0f} s {where} that of Redis"
            )
    return wrong


def _wrong_nodes(runs: dict[str, GatewayNodes], drained: set[str]) -> list[str]:
    nodes = [(gateway, node) for gateway, seen in runs.items() for node in seen.nodes]
    wrong = [
        f"relay node {node.node} is {_state(node, drained)} (gateway {gateway})"
        for gateway, node in nodes
        if node.state in ("down", "suspect", "returning") or node.broken
    ]
    if nodes and not any(
        node.weight and node.state != "down" and node.node not in drained for _, node in nodes
    ):
        wrong.append("no relay node takes new calls")
    return wrong


def _state(node: SeenNode, drained: set[str]) -> str:
    return node_state(node.state, drained=node.node in drained, broken=node.broken)


def _wrong_trunks(seen: dict[str, GatewayTrunks]) -> list[str]:
    return [
        f"trunk {trunk.trunk} (gateway {gateway}): {why}"
        for gateway, one in seen.items()
        for trunk in one.trunks
        if (why := trouble_of(trunk))
    ]


def _wrong_redis(redis: ServerFacts) -> list[str]:
    if not redis.most_bytes or redis.used_bytes <= _FULL * redis.most_bytes:
        return []
    return [f"Redis is full to {redis.used_bytes / redis.most_bytes:.0%}: it will refuse new state"]
