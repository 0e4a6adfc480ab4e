"""The core and the trunks: names that resolve, and somebody who answers."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator, Iterable
from typing import Final

import msgspec

from rtpengine.agent.control import ControlRefused, ControlUnreachable
from webapp_api.gwctl.machine.control import ask_control
from webapp_api.gwctl.machine.diagnosis import Diagnosis, Doctor, Level
from webapp_api.gwctl.machine.host import Host
from webapp_api.gwctl.machine.talk import options_by_tcp, options_by_udp, reason_of

_SAYS: Final = Doctor("core")
_URI: Final = re.compile(r"sips?:(?:[^@]*@)?(\[[0-9A-Fa-f:.]+\]|[^:;?>]+)(?::(\d+))?(.*)")
_SHORT_ALONE: Final = (
    "open TCP between: most INVITEs go over it; or kamailio_udp_mtu: 0, for a core of UDP alone"
)
_LONG_ALONE: Final = "open UDP between, or name it with ;transport=tcp in gateway_icscf_uris"
_INVENTORY: Final = "in the inventory: gateway_icscf_uris"
_NOBODY: Final = "does the core know this node's address, and is there a way and no packet filter between?"


async def core(host: Host) -> AsyncIterator[Diagnosis]:
    """Ask the entry points of the home network; how the trunks are, the gateway knows."""
    if host.gateway is None:
        return
    if host.gateway.home is not None:
        yield _SAYS.ok("home network", "is this gateway's own, there is no core")
    else:
        for uri in host.gateway.icscf_uris:
            async for found in _entry_point(uri, is_alone=len(host.gateway.icscf_uris) == 1):
                yield found
    if host.gateway.trunks:
        for found in await _trunks(host):
            yield found


async def _entry_point(uri: str, *, is_alone: bool) -> AsyncIterator[Diagnosis]:
    match = _URI.fullmatch(uri)
    if match is None:
        yield _SAYS.error(uri, "cannot be read as a SIP URI")
        return
    name, port = match[1].strip("[]"), int(match[2] or 5060)
    by_records = not match[2] and not _is_address(name)
    if by_records:
        service = "_sip._tcp" if "transport=tcp" in match[3].lower() else "_sip._udp"
        reason = "has no port: Kamailio goes by its best SRV record alone, if it has one, which is not looked at here"
        yield _SAYS.warning(
            f"name {name}",
            reason,
            f"dig SRV {service}.{name}",
        )
    try:
        addresses = _of_ipv4([name] if _is_address(name) else await _addresses(name))
    except OSError as error:
        if not by_records:
            yield _SAYS.error(f"name {name}", f"does not resolve: {reason_of(error)}", _INVENTORY)
        return
    if not addresses:
        reason = "is IPv6 alone, and the gateway speaks IPv4 with the core"
        yield _SAYS.error(f"name {name}", reason, _INVENTORY)
    elif len(addresses) > 1 and is_alone and not by_records:
        reason = f"is {', '.join(addresses)}: Kamailio goes to one of them, and to no other when that is dead"
        yield _SAYS.warning(f"name {name}", reason, "name them one by one: gateway_icscf_uris")
    elif addresses != [name] and not by_records:
        yield _SAYS.ok(f"name {name}", f"is {', '.join(addresses)}")
    for address in addresses:
        found = await _answers(f"entry point {uri} at {address}", address, port, uri, match[3])
        if by_records and found.level is Level.ERROR:  # the name's own address may be somebody else's
            found = msgspec.structs.replace(found, level=Level.WARNING)
        yield found


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _addresses(name: str) -> set[str]:
    """Return the addresses of a name; raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(name, None)
    return {str(one[4][0]) for one in found}


def _of_ipv4(addresses: Iterable[str]) -> list[str]:
    """Leave out those that Kamailio does not ask for."""
    return sorted(one for one in addresses if ipaddress.ip_address(one).version == 4)


async def _answers(subject: str, address: str, port: int, uri: str, parameters: str) -> Diagnosis:
    answers: dict[str, str] = {}
    failures: dict[str, str] = {}
    only_tcp = "transport=tcp" in parameters.lower()
    for name, ask in (("UDP", options_by_udp), ("TCP", options_by_tcp)):
        if name == "UDP" and only_tcp:
            continue
        try:
            answers[name] = await ask(address, port, uri)
        except (OSError, TimeoutError) as error:
            failures[name] = reason_of(error)
    why = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
    if not answers:
        return _SAYS.error(subject, f"does not answer OPTIONS ({why})", _NOBODY)
    if "UDP" in failures:
        return _SAYS.error(subject, f"answers OPTIONS over TCP alone ({why})", _LONG_ALONE)
    if "TCP" in failures:
        return _SAYS.warning(subject, f"answers OPTIONS over UDP alone ({why})", _SHORT_ALONE)
    return _SAYS.ok(subject, f"answers OPTIONS over {' and '.join(answers)}: {next(iter(answers.values()))}")


async def _trunks(host: Host) -> list[Diagnosis]:
    assert host.gateway is not None
    try:
        told = await ask_control(host.gateway, "GET", "/v1/trunks", timeout_s=2.0)
    except (ControlRefused, ControlUnreachable) as error:
        return [
            _SAYS.error(
                "trunks", f"the gateway does not say how they are: {error}", "see the check of its ports"
            )
        ]
    found = []
    for trunk in told["trunks"]:
        name = f"trunk {trunk['trunk']}"
        down = [hop for hop in trunk["hops"] if hop["state"] == "down"]
        reasons = "; ".join(f"{hop['uri']}: {hop['why'] or 'down'}" for hop in down)
        if trunk["state"] == "down":
            found.append(_SAYS.error(name, f"down: {reasons or 'no next hop is up'}", "ask the carrier"))
        elif trunk["registration"] not in ("", "registered", "asking"):
            found.append(
                _SAYS.error(name, f"registration {trunk['registration']}: {trunk['why'] or 'not there'}")
            )
        elif down:
            found.append(_SAYS.warning(name, reasons))
        else:
            found.append(_SAYS.ok(name, " ".join(filter(None, (trunk["state"], trunk["registration"])))))
    return found
