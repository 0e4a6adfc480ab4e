"""Who a request of the core may be delivered to: the live connection that its Path token names, and nobody else."""

from __future__ import annotations

import time
from collections.abc import Callable

from kemi.core.errors import SipReject
from kemi.core.flow_token import FlowName, flow_from_token
from kemi.core.registration import Flow
from kemi.state.flows import FlowStore


class LiveFlows:
    """Checks tokens against the connections of this moment."""

    def __init__(self, flow_secret: str, flows: FlowStore, stands: Callable[[str], bool]) -> None:
        """``stands``: whether Kamailio still has the connection of this id."""
        self._stands = stands
        self._secret = flow_secret
        self._flows = flows

    def deliverable(self, route_token: str) -> Flow:
        """Return the connection a request with this Path token goes to (RFC 5626 §5.3.1).

        Raises SipReject: 403 for a token that is not ours, 430 when its connection is gone, is another one by now
        (numbers count from 1 after a restart, ports are used again) or is registered no more.
        """
        name = flow_from_token(self._secret, route_token)
        flow = self._flow(name)
        if flow is None or self._flows.registration(name.connection_id, time.time()) is None:
            raise SipReject("the page's connection is gone", status=430, reason_phrase="Flow Failed")
        return flow

    def stands(self, name: FlowName) -> bool:
        """Whether the connection that a token names is still the page's."""
        return self._flow(name) is not None

    def _flow(self, name: FlowName) -> Flow | None:
        flow = self._flows.flow(name.connection_id) if self._stands(name.connection_id) else None
        return flow if flow is not None and flow.nonce == name.nonce else None
