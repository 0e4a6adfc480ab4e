"""A site of two signalling nodes, a media node and a Redis, each a machine, with HAProxy as the address in front.

Knows addresses and settings, and what an upgrade does to a node.  Must not know calls.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.rolling.machine import REDIS_PORT
from tests.bench.rolling.machines import HUB, Machine, make_hub
from tests.lab.options import NO_LIMITS
from tests.lab.relay_program import relay_version
from tests.lab.subscribers import REALM

CORE_PORT: Final = 5060
HTTPS_PORT: Final = 443
ORIGIN: Final = f"https://{HUB}"
_PASSWORD: Final = "of-this-bench"
_SECRET: Final = "0123456789abcdef" * 4
_EMPTY_WITHIN_S: Final = 60.0
_FRONT: Final = """
defaults
    mode tcp
    timeout connect 1s
    timeout client 120s
    timeout server 120s
listen front
    bind {hub}:443
    balance roundrobin
    option redispatch 1
    retries 3
    default-server check inter 200ms fall 1 rise 1
{servers}
"""


@dataclass(frozen=True)
class Upgraded:
    """What an upgrade of one node took, in seconds."""

    node: str
    pages: int
    """That it had."""
    pages_gone_s: float
    empty_s: float
    restart_s: float


class Site:
    """The running site."""

    def __init__(self, nodes: list[Machine]) -> None:
        self.nodes = nodes
        self.url = f"wss://{HUB}/sip"

    def upgrade(self, node: Machine, say: Callable[[str], None]) -> Upgraded:
        """Do to a node what playbooks/upgrade.yml does: drain, restart, back."""
        began = time.monotonic()
        # roles/haproxy/tasks/drain.yml
        node.ask(do="haproxy", words="set server sip/kamailio state maint")
        node.ask(do="haproxy", words="disable frontend public")
        # roles/kamailio/tasks/drain.yml
        pages = node.ask(do="control", method="PUT", path="/v1/drain", body={"drain": True})[1]["pages"]
        gone_s = self._until_none(node, began, "pages")
        empty_s = self._until_none(node, began, "calls", "pages", "requests")
        restart_s = node.ask(do="restart")
        # roles/haproxy/tasks/undrain.yml
        node.ask(do="haproxy", words="set server sip/kamailio state ready")
        node.ask(do="haproxy", words="enable frontend public")
        found = Upgraded(node.name, pages, gone_s, empty_s, restart_s)
        say(f"{found}")
        return found

    @staticmethod
    def _until_none(node: Machine, began: float, *what: str) -> float:
        while any((left := node.ask(do="control", method="GET", path="/v1/drain")[1])[one] for one in what):
            if time.monotonic() > began + _EMPTY_WITHIN_S:
                raise TimeoutError(f"{node.name} is not empty: {left}")
            time.sleep(0.1)
        return time.monotonic() - began

    def logged(self, words: str) -> int:
        """Count lines in the logs of both gateways."""
        return sum(node.ask(do="logged", words=words) for node in self.nodes)


@contextmanager
def site() -> Iterator[Site]:
    """Start it; the caller's namespace is the network between the machines, where core and pages are."""
    make_hub()
    with ExitStack() as stack:
        state, media = Machine("state", 31), Machine("media", 21, 22)
        nodes = [Machine("sig1", 11), Machine("sig2", 12)]
        for machine in (state, media, *nodes):
            stack.enter_context(machine)
        state.ask(do="redis", address=state.address, password=_PASSWORD)
        relay = media.ask(
            do="start",
            parts=["rtpengine"],
            variables={
                "rtpengine": {
                    "rtpengine_ng_address": "0.0.0.0",
                    "rtpengine_wic_address": media.addresses[0],
                    "rtpengine_ims_address": media.addresses[1],
                    "rtpengine_dtmf_log_dest": "",
                }
            },
        )
        for node in nodes:
            (peer,) = (other.address for other in nodes if other is not node)
            node.ask(do="start", parts=["gateway", "haproxy", "media_agent"], variables=_variables(
                node, peer, state, media, relay["ng_port"]
            ))  # fmt: skip
        stack.enter_context(_front(nodes))
        yield Site(nodes)


def _variables(
    node: Machine, peer: str, state: Machine, media: Machine, ng_port: int
) -> dict[str, dict[str, Any]]:
    """Return what an inventory of such a site says (ansible/inventories/example)."""
    return {
        "kamailio": {
            **NO_LIMITS,
            "kamailio_sip_address": node.address,
            "kamailio_sip_port": 5060,
            "kamailio_udp_mtu": 0,  # the scripted core speaks UDP only
            "gateway_node": node.name,
            "gateway_peers": [peer],
            "gateway_core_networks": [f"{HUB}/32"],
            "gateway_realm": REALM,
            "gateway_icscf_uris": [f"sip:{HUB}:{CORE_PORT}"],
            "gateway_origins": [ORIGIN],
            "gateway_registration_schemes": ["digest"],
            "gateway_token_issuers": [],
            "gateway_flow_secret": _SECRET,
            "gateway_redis_url": f"redis://:{_PASSWORD}@{state.address}:{REDIS_PORT}/0",
            "gateway_rtpengine_nodes": [
                {"address": media.address, "port": ng_port, "version": relay_version()}
            ],
        },
        "haproxy": {"haproxy_address": node.address, "haproxy_https_port": HTTPS_PORT},
        "media_agent": {"media_agent_exclusive_nodes": False},
    }


@contextmanager
def _front(nodes: list[Machine]) -> Iterator[None]:
    """The address in front: TCP alone, and it sees who takes connections."""
    servers = "\n".join(f"    server {node.name} {node.address}:{HTTPS_PORT}" for node in nodes)
    with tempfile.TemporaryDirectory(prefix="rolling-front-") as folder:
        file = Path(folder) / "haproxy.cfg"
        file.write_text(_FRONT.format(hub=HUB, servers=servers))
        process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-q", "-f", str(file)])
        try:
            _until_listening()
            yield
        finally:
            process.terminate()
            process.wait()


def _until_listening() -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            socket.create_connection((HUB, HTTPS_PORT), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
