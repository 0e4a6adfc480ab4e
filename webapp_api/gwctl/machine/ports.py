"""Who is to listen here, and does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Final
from urllib.parse import urlsplit

from rtpengine.agent.control import ControlRefused, ControlUnreachable
from rtpengine.ng.commands import Ping
from rtpengine.ng.errors import NgError
from rtpengine.pool import NodeAddress
from rtpengine.transport.aio import AioClient
from webapp_api.gwctl.machine.control import ask_control
from webapp_api.gwctl.machine.diagnosis import Diagnosis, Doctor
from webapp_api.gwctl.machine.host import Host
from webapp_api.gwctl.machine.processes import listens_at_path, sockets_at
from webapp_api.gwctl.machine.talk import (
    HttpAnswer,
    http_get,
    options_by_tcp,
    options_by_udp,
    reach,
    reason_of,
)

_SAYS: Final = Doctor("ports")
_KAMAILIO: Final = "start it: systemctl start kamailio, and look: journalctl -u kamailio"
_WEB: Final = "start it: systemctl start webrtc-ims-web, and look: journalctl -u webrtc-ims-web"
_HAPROXY: Final = "start it: systemctl start haproxy; `gwctl check` asks HAProxy about its file"
_SHUT: Final = (
    "perhaps the node is drained: playbooks/drain.yml -e drain=false takes it back; otherwise it runs with an older "
    "haproxy.cfg: systemctl reload haproxy"
)
_RELAY: Final = "start it: systemctl start rtpengine-daemon, and look: journalctl -u rtpengine-daemon"
_OF_HAPROXY: Final = "application/problem+json"
"""What HAProxy itself refuses with (ansible/roles/haproxy); the gateway does with text/plain."""
_AGENT: Final = "start it: systemctl start webrtc-ims-media-agent; its secret must be the gateway's"


async def ports(host: Host) -> AsyncIterator[Diagnosis]:
    """Ask every program that the files name."""
    for part in (_gateway, _web, _front, _relay):
        async for found in part(host):
            yield found


async def _tried(subject: str, question: Awaitable[object], suggestion: str) -> Diagnosis:
    try:
        answer = await question
    except (OSError, TimeoutError, ValueError) as error:
        return _SAYS.error(subject, reason_of(error), suggestion)
    return _SAYS.ok(subject, f"answers: {answer}" if isinstance(answer, str) else "listens")


async def _gateway(host: Host) -> AsyncIterator[Diagnosis]:
    if host.gateway is None:
        return
    sip = host.gateway.sip
    shown = f"[{sip.address}]" if ":" in sip.address else sip.address
    uri = f"sip:{shown}:{sip.port}"
    yield await _tried(
        f"SIP over UDP {shown}:{sip.port}", options_by_udp(sip.address, sip.port, uri), _KAMAILIO
    )
    yield await _tried(
        f"SIP over TCP {shown}:{sip.port}", options_by_tcp(sip.address, sip.port, uri), _KAMAILIO
    )
    yield await _tried(
        f"WebSocket {sip.ws_address}:{sip.ws_port}", reach(sip.ws_address, sip.ws_port), _KAMAILIO
    )
    if sip.tls_port:
        yield await _tried(
            f"SIP over TLS {shown}:{sip.tls_port}", reach(sip.address, sip.tls_port), _KAMAILIO
        )
    control = host.gateway.control
    subject = f"control endpoint {control.address}:{control.port}"
    try:
        told = await ask_control(host.gateway, "GET", "/v1/nodes", timeout_s=2.0)
    except ControlRefused as error:
        suggestion = "restart Kamailio: it runs with an older gateway.toml" if error.status == 401 else ""
        yield _SAYS.error(subject, f"refuses: {error}", suggestion)
        return
    except ControlUnreachable as error:
        yield _SAYS.error(subject, str(error), _KAMAILIO)
        return
    yield _SAYS.ok(subject, "answers")
    for node in told["nodes"]:
        name = f"relay node {node['node']}"
        if node["state"] in ("down", "suspect", "returning") or node["broken"]:
            yield _SAYS.error(name, f"{node['state']} for the gateway", _start_of(node["node"], host))
        elif told["agent"]:
            yield _SAYS.ok(name, f"{node['state']} for the gateway, {node['calls']} calls")
    if told["agent"]:
        yield _SAYS.ok("media agent", "reports to the gateway")
    else:
        yield _SAYS.error(
            "media agent", "does not report: dead relay nodes are noticed by calls only", _AGENT
        )


def _start_of(node: str, host: Host) -> str:
    """Return how a relay node is started, which may be another machine's."""
    address, _, port = node.rpartition(":")
    here = host.relay is not None and host.relay.address("listen-ng") == (address.strip("[]"), int(port))
    return _RELAY if here else f"on {address}: {_RELAY}"


async def _web(host: Host) -> AsyncIterator[Diagnosis]:
    if host.web is None:
        return
    address, port = host.web.listen_address, host.web.listen_port
    subject = f"web service {address}:{port}"
    try:
        answer = await http_get(address, port, "/healthz", f"{address}:{port}")
    except (OSError, TimeoutError) as error:
        yield _SAYS.error(subject, reason_of(error), _WEB)
        return
    yield _judged(subject, answer, 200, "look into its journal")


def _judged(subject: str, answer: HttpAnswer, wanted: int, suggestion: str) -> Diagnosis:
    if answer.status == wanted:
        return _SAYS.ok(subject, f"answers {wanted}")
    if wanted == 101 and answer.status == 503 and answer.fields.get("content-type", "") != _OF_HAPROXY:
        reason = "answers 503: the gateway itself takes no new pages, it is drained or has no memory for them"
        return _SAYS.error(subject, reason, "drained: playbooks/drain.yml -e drain=false takes it back")
    return _SAYS.error(subject, f"answers {answer.status}, not {wanted}", suggestion)


async def _front(host: Host) -> AsyncIterator[Diagnosis]:
    for address, port, certificate in host.front_doors():
        subject = f"HAProxy {address}:{port}"
        door = await _tried(subject, reach(address, port), _HAPROXY)
        if door.level != "ok" and certificate and listens_at_path(host.haproxy_socket):
            door = _SAYS.error(subject, f"{door.reason}, though HAProxy runs", _SHUT)
        yield door
        if not certificate or door.level != "ok" or not host.public_origins:
            continue
        origin_of_pages = host.public_origins[0]
        name = urlsplit(origin_of_pages).netloc
        for what, path, wanted, origin, hint in (
            ("web service behind it", "/healthz", 200, "", "502, 503: it does not reach the web service"),
            (
                *("SIP behind it", "/sip", 101, origin_of_pages),
                "403: gateway_origins must have the page's origin; 502, 503: it does not reach Kamailio, or is drained",
            ),
        ):
            try:
                answer = await http_get(address, port, path, name, tls=True, websocket_of=origin)
            except (OSError, TimeoutError) as error:
                yield _SAYS.error(f"{subject}, {what}", reason_of(error), hint)
                continue
            yield _judged(f"{subject}, {what}", answer, wanted, hint)


async def _relay(host: Host) -> AsyncIterator[Diagnosis]:
    if host.relay is not None:
        for found in await _media_addresses(host):
            yield found
        if ng := host.relay.address("listen-ng"):
            subject = f"rtpengine ng {ng[0]}:{ng[1]}"
            yield await _pinged(subject, NodeAddress(*ng))
    if host.agent is not None and host.agent.metrics.port:
        metrics = host.agent.metrics
        subject = f"media agent, figures for Prometheus {metrics.address}:{metrics.port}"
        yield await _tried(subject, reach(metrics.address, metrics.port), _AGENT)
    if host.agent is not None and host.agent.dtmf.port:
        dtmf = host.agent.dtmf
        subject = f"media agent, reports of keys {dtmf.address}:{dtmf.port}"
        if await asyncio.to_thread(sockets_at, "udp", dtmf.address, dtmf.port):
            yield _SAYS.ok(subject, "listens")
        else:
            yield _SAYS.error(subject, "nobody listens: no page hears of keys that are pressed", _AGENT)


async def _pinged(subject: str, address: NodeAddress) -> Diagnosis:
    try:
        client = await AioClient.connect(address)
    except NgError as error:
        return _SAYS.error(subject, str(error), _RELAY)
    try:
        await client.request(Ping())
    except NgError as error:
        return _SAYS.error(subject, str(error), _RELAY)
    finally:
        client.close()
    return _SAYS.ok(subject, "answers")


async def _media_addresses(host: Host) -> list[Diagnosis]:
    """Whether the relay's addresses are of this machine."""
    found = []
    loop = asyncio.get_running_loop()
    assert host.relay is not None
    for part in host.relay.options.get("interface", "").split(";"):
        name, _, addresses = part.strip().partition("/")
        address = addresses.partition("!")[0]
        try:
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=(address, 0)
            )
            transport.close()
            found.append(_SAYS.ok(f"media address {name} {address}", "is of this machine"))
        except OSError as error:
            hint = f"in the inventory: rtpengine_{name}_address" if name in ("wic", "ims") else ""
            found.append(_SAYS.error(f"media address {name} {address}", reason_of(error), hint))
    return found
