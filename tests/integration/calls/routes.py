"""The routing table of a lab."""

from __future__ import annotations

from kemi.state.routing_document import RoutingDocument
from kemi.state.web.client import connect
from kemi.state.web.routes import RoutesStore
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until


def load(lab: Lab, document: RoutingDocument) -> None:
    """Load a table and wait until the gateway has taken or refused it."""
    version = RoutesStore(connect(lab.info.redis_url)).put(document)

    def seen() -> bool:
        table = lab.gateway_rpc.htable("routing")
        return table.get("current") == str(version) or str(table.get("refused", "")).startswith(f"{version} ")

    wait_until(seen, f"routing table {version} is known", 30)
