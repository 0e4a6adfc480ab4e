"""Relay nodes as an operator sees them."""

from __future__ import annotations

from typing import Any

from kemi.settings import MediaSettings
from kemi.state.nodes import NodeStore


def views(store: NodeStore, settings: MediaSettings, now: float) -> list[dict[str, Any]]:
    """Return each configured node with its state, its weight and what it has."""
    found = store.view([node.name for node in settings.nodes], now)
    return [
        {
            "node": node.name,
            "state": view.state,
            "calls": view.calls,
            "weight": node.weight,
            "drained": view.drained,
            "broken": view.broken,
            "version": node.version,
        }
        for node, view in zip(settings.nodes, found, strict=True)
    ]
