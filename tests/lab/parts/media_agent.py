"""The media agent of this working copy, configured by its Ansible role."""

import sys
from typing import Any, Final

from tests.lab.kamailio import KamailioRpc
from tests.lab.parts import gateway
from tests.lab.ports import LOOPBACK
from tests.lab.relay_program import relay_version
from tests.lab.roles import REPOSITORY
from tests.lab.site import Site

NAME: Final = "media_agent"


def start(site: Site) -> None:
    nodes: list[dict[str, Any]] = [{"address": LOOPBACK, "port": site.plan.ng, "version": relay_version()}]
    of_gateway = site.options.role_variables.get("kamailio", {})
    settings = site.render(
        "media_agent",
        "media_agent.toml.j2",
        {
            "media_agent_control_address": LOOPBACK,
            "media_agent_control_port": site.plan.gateway_control,
            "media_agent_control_secret": site.control_secret,
            "media_agent_nodes": of_gateway.get("gateway_rtpengine_nodes", nodes),
            "media_agent_exclusive_nodes": True,
            "media_agent_dtmf_address": LOOPBACK,
            "media_agent_dtmf_port": site.plan.rtpengine_dtmf,
            "media_agent_metrics_port": site.plan.agent_metrics,
        },
    )
    argv = [sys.executable, "-m", "rtpengine.agent", "--config", str(settings), "--verbose"]
    site.processes.spawn(NAME, argv, cwd=REPOSITORY)


def ready(site: Site) -> bool:
    """It has reported to the gateway, which believes a report for three seconds."""
    return "report" in KamailioRpc(gateway.rpc_socket(site.run_dir)).htable("node")
