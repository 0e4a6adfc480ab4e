"""Tells the relay to look at sources before anybody has sent (see rtpengine.transport.knock)."""

from __future__ import annotations

import logging

from kemi.adapters.log import log_event
from kemi.core.errors import GatewayError
from kemi.core.sdp.interwork.feedback import media_port
from rtpengine.pool import NodeAddress
from rtpengine.transport.knock import knock


def knock_at(relay_text: str) -> None:
    """Knock at the relay's port that this one-line text for the core names; it must not hurt the call."""
    try:
        knock(NodeAddress(*media_port(relay_text)))
    except (GatewayError, OSError, ValueError) as error:
        log_event(logging.WARNING, "sources_not_pinned", detail=str(error))
