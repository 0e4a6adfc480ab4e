"""The files beside each other: what one program is told of another must be what the other one is told of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from kemi.state.connection import sentinel_address_from_url
from webapp_api.check.finding import Finding, Level
from webapp_api.check.own_files import OwnFile
from webapp_api.check.relay_file import RelayFile, address_of
from webapp_api.settings import Settings

_EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104
_SERVER: Final = re.compile(r"\s*server (\w+) (\S+)")


@dataclass(frozen=True)
class Node:
    """The files of one node; None: it has none, or it cannot be used."""

    gateway: OwnFile | None = None
    web: OwnFile | None = None
    agent: OwnFile | None = None
    relay: RelayFile | None = None
    haproxy: str | None = None
    redis: str | None = None


def findings_across(node: Node) -> Iterator[Finding]:
    """Compare them."""
    yield from _gateway_and_web(node)
    yield from _gateway_and_agent(node)
    yield from _relay(node)
    yield from _front(node)
    yield from _ports(node)
    yield from _redis(node)


def _gateway_and_web(node: Node) -> Iterator[Finding]:
    if node.gateway is None or node.web is None:
        return
    gateway, web = node.gateway.settings, node.web.settings
    if web.domain.lower() != gateway.realm:
        yield node.web.finding(("domain",), f"{web.domain!r} is not the gateway's realm {gateway.realm!r}")
    if web.public_origin not in gateway.origins:
        reason = f"{web.public_origin} is not here: pages of it get 403 for their WebSocket"
        yield node.gateway.finding(("origins",), reason)
    if web.redis_url != gateway.redis_url:
        reason = (
            "is another Redis than the gateway's: tokens, logins and calls would not be known to each other"
        )
        yield node.web.finding(("redis_url",), reason)
    if web.web_login:
        yield from _tokens(node.gateway, node.web)
    for server in web.stun_servers:
        host, _, port = server.rpartition(":")
        if port != str(gateway.sip.port):
            reason = f"{server}: the gateway answers STUN at its SIP port, {gateway.sip.port}"
            found = node.web.finding(("stun_servers",), reason)
            # Another host may be a STUN server of its own, or a name of the gateway.
            yield found if host.strip("[]") == gateway.sip.address else replace(found, level=Level.WARNING)


def _tokens(gateway: OwnFile, web: OwnFile) -> Iterator[Finding]:
    if "bearer" not in gateway.settings.registration.schemes:
        reason = "has no bearer: pages that log in at the web API cannot register"
        yield gateway.finding(("registration", "schemes"), reason)
        return
    issuers = {one.issuer: one for one in gateway.settings.tokens.issuers}
    own = issuers.get(web.settings.issuer)
    if web.settings.oidc is not None and web.settings.oidc.tokens_from == "oidc":
        if web.settings.oidc.issuer not in issuers:
            yield gateway.finding(("tokens", "issuers"), f"{web.settings.oidc.issuer} is not among them")
    elif own is None:
        reason = f"{web.settings.issuer}, which the web API signs as, is not among them: its tokens get 403"
        yield gateway.finding(("tokens", "issuers"), reason)
    else:
        place = list(issuers).index(own.issuer)
        if own.audience != web.settings.audience:
            reason = f"{own.audience!r} is not {web.settings.audience!r}, which the web API's tokens are for"
            yield gateway.finding(("tokens", "issuers", place, "audience"), reason)
        if web.settings.token_algorithm not in own.algorithms:
            reason = f"{web.settings.token_algorithm} is none of the issuer's {', '.join(own.algorithms)}"
            yield web.finding(("token_algorithm",), reason)
        if web.settings.token_lifetime_s > own.max_lifetime_s:
            reason = f"{web.settings.token_lifetime_s} s; the gateway takes {own.max_lifetime_s} s at most"
            yield web.finding(("token_lifetime_s",), reason)


def _gateway_and_agent(node: Node) -> Iterator[Finding]:
    if node.gateway is None or node.agent is None:
        return
    gateway, agent = node.gateway.settings, node.agent.settings
    for key in ("address", "port", "secret"):
        if getattr(agent.control, key) != getattr(gateway.control, key):
            reason = "is not the gateway's: the agent is not heard, dead nodes stay in use"
            yield node.agent.finding(("control", key), reason)
    if gateway.sip.peers and agent.reconcile.exclusive:
        reason = (
            f"the relays are those of {', '.join(gateway.sip.peers)}, too: their running calls would be ended"
        )
        yield node.agent.finding(("reconcile", "exclusive"), reason)
    known = {one.name: one for one in gateway.media.nodes}
    watched = {one.name: one for one in agent.nodes}
    for place, name in enumerate(known):
        if name not in watched:
            reason = f"{name} is not among the media agent's nodes: nobody notices when it dies"
            yield node.gateway.finding(("media", "nodes", place), reason)
    for place, one in enumerate(agent.nodes):
        if one.name not in known:
            yield node.agent.finding(("nodes", place), f"{one.name} is no node of the gateway")
        elif one.version != known[one.name].version:
            reason = f"{one.version}, and {known[one.name].version} in gateway.toml"
            yield node.agent.finding(("nodes", place, "version"), reason)


def _relay(node: Node) -> Iterator[Finding]:
    if node.relay is None:
        return
    listens = node.relay.address("listen-ng")
    if node.gateway is not None and listens is not None:
        asked = {(one.address, one.port) for one in node.gateway.settings.media.nodes}
        if listens not in asked:
            reason = f"{listens[0]}:{listens[1]} is none of the gateway's media.nodes"
            yield node.relay.finding("listen-ng", reason)
    if node.agent is not None:
        dtmf = node.agent.settings.dtmf
        told = node.relay.address("dtmf-log-dest")
        if dtmf.port and told is None:
            reason = "missing: the media agent waits for keys that are pressed, and no page will hear of them"
            yield node.relay.finding("dtmf-log-dest", reason)
        elif told is not None and told != (dtmf.address, dtmf.port):
            yield node.relay.finding(
                "dtmf-log-dest", f"the media agent listens at {dtmf.address}:{dtmf.port}"
            )


def _front(node: Node) -> Iterator[Finding]:
    if node.haproxy is None:
        return
    servers = {}
    for number, written in enumerate(node.haproxy.splitlines(), 1):
        if (match := _SERVER.match(written)) and (told := address_of(match[2])):
            servers[match[1]] = (told, number)
    if node.gateway is not None and "kamailio" in servers:
        sip = node.gateway.settings.sip
        yield from _served({"kamailio": servers["kamailio"]}, (sip.ws_address, sip.ws_port), node.gateway)
    if node.web is not None:
        web = node.web.settings
        listens = (web.listen_address, web.listen_port)
        services = {name: place for name, place in servers.items() if name.startswith("web_api")}
        # The others are of other machines, unless nobody but this machine can reach its web service.
        own = {
            name: place
            for name, place in services.items()
            if ip_address(place[0][0]).is_loopback or place[0][0] == listens[0]
        }
        if not own and ip_address(listens[0]).is_loopback:
            own = services
        yield from _served(own, listens, node.web)


def _served(
    servers: dict[str, tuple[tuple[str, int], int]], listens: tuple[str, int], file: OwnFile
) -> Iterator[Finding]:
    """Find that none of HAProxy's servers (name -> address and line) is a program's socket."""
    if any(_meet(told, listens) for told, _ in servers.values()):
        return
    for name, (told, line) in [*servers.items()][:1]:
        reason = f"server {name}: {_shown(told)}, but it listens at {_shown(listens)} ({file.name})"
        yield Finding("haproxy.cfg", line, "", reason)


def _meet(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether two sockets, address and port, cannot be beside each other, or one is reached by the other's."""
    return one[1] == other[1] and (one[0] == other[0] or bool({one[0], other[0]} & _EVERY_ADDRESS))


def _shown(socket: tuple[str, int]) -> str:
    return f"[{socket[0]}]:{socket[1]}" if ":" in socket[0] else f"{socket[0]}:{socket[1]}"


def _ports(node: Node) -> Iterator[Finding]:
    """Find two programs with one socket, and programs in the range of media."""
    taken: dict[tuple[str, int], str] = {}
    for file, name, socket in _own_sockets(node):
        if same := next((other for at, other in taken.items() if _meet(at, socket)), ""):
            yield file.finding(tuple(name.split(".")), f"{socket[1]} is {same}, too")
        taken.setdefault(socket, f"{name} of {file.name}")
    if node.relay is None:
        return
    try:
        media = range(int(node.relay.options["port-min"]), int(node.relay.options["port-max"]) + 1)
    except (KeyError, ValueError):
        return
    parts = node.relay.options.get("interface", "").split(";")
    places = {part.partition("/")[2].partition("!")[0].strip() for part in parts}
    for (address, port), name in taken.items():
        if port in media and (address in places or address in _EVERY_ADDRESS):
            reason = f"{media.start} to {media.stop - 1} have {name} in them ({port})"
            yield node.relay.finding("port-min", reason)


def _own_sockets(node: Node) -> Iterator[tuple[OwnFile, str, tuple[str, int]]]:
    if node.gateway is not None:
        sip, control = node.gateway.settings.sip, node.gateway.settings.control
        yield node.gateway, "sip.port", (sip.address, sip.port)
        if sip.tls_port:
            yield node.gateway, "sip.tls_port", (sip.address, sip.tls_port)
        yield node.gateway, "sip.ws_port", (sip.ws_address, sip.ws_port)
        yield node.gateway, "control.port", (control.address, control.port)
    if node.web is not None:
        yield node.web, "listen_port", (node.web.settings.listen_address, node.web.settings.listen_port)


def _redis(node: Node) -> Iterator[Finding]:
    if node.redis is None or node.gateway is None:
        return
    options = dict(re.findall(r"^(\w+) (.+)$", node.redis, re.MULTILINE))
    if sentinel_address_from_url(node.gateway.settings.redis_url) is not None:
        return  # the Sentinels say which server it is
    url = urlsplit(node.gateway.settings.redis_url)
    here = url.hostname in options.get("bind", "").split()
    if here and str(url.port or 6379) != options.get("port", "6379"):
        reason = f"port {url.port or 6379}; Redis of this node listens at {options.get('port', '6379')}"
        yield node.gateway.finding(("redis_url",), reason)
    if here and "requirepass" in options and not url.password:
        yield node.gateway.finding(("redis_url",), "has no password, and Redis of this node wants one")


def _keyless(gateway: OwnFile, web: Settings) -> Iterator[Finding]:
    """Find issuers whose keys the web API neither makes nor fetches."""
    shown = {web.issuer, *(service.issuer for service in web.token_services)} if web.web_login else set()
    if web.oidc is not None:
        shown.add(web.oidc.issuer)
    for place, one in enumerate(gateway.settings.tokens.issuers):
        if one.issuer not in shown:
            reason = f"nobody shows the gateway the keys of {one.issuer}: its tokens get 401"
            advice = "in the inventory: webapp_api_token_services, with webapp_api_key_secret"
            found = gateway.finding(("tokens", "issuers", place, "issuer"), reason)
            yield Finding(found.file, found.line, found.key, reason, advice, Level.WARNING)


def remarks(node: Node) -> Iterator[Finding]:
    """Say what works and is hardly meant."""
    if node.gateway is None:
        return
    if node.web is not None and "bearer" in node.gateway.settings.registration.schemes:
        yield from _keyless(node.gateway, node.web.settings)
    settings = node.gateway.settings
    if settings.home is not None:
        return  # without a core, nobody is believed to be it
    if not settings.sip.core_networks and settings.sip.address not in ("127.0.0.1", "::1"):
        found = node.gateway.finding(
            ("sip", "core_networks"), "empty: whoever reaches the SIP port is believed to be the core"
        )
        yield Finding(found.file, found.line, found.key, found.reason, found.suggestion, Level.WARNING)
