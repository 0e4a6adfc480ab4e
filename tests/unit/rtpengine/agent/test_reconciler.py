"""rtpengine.agent.reconciler: what Prometheus is shown before anything was deleted or lost."""

from __future__ import annotations

from prometheus_client import REGISTRY

from rtpengine.agent.control import ControlClient
from rtpengine.agent.reconciler import Reconciler
from rtpengine.agent.settings import HealthSettings, NodeSettings, ReconcileSettings
from rtpengine.agent.watch import NodeWatch


async def test_a_node_shows_zeros_before_its_first_orphan() -> None:
    node = NodeSettings("192.0.2.77", 2223)
    watch = NodeWatch(node, HealthSettings(), lambda _: None, lambda: None)
    Reconciler([watch], ReconcileSettings(), ControlClient("127.0.0.1", 1, "secret"), [])
    for name in ("media_agent_orphans_deleted_total", "media_agent_calls_lost_total"):
        assert REGISTRY.get_sample_value(name, {"node": node.name}) == 0.0
