"""What comes in at all, before anything reads it."""

from __future__ import annotations

from collections.abc import Callable

from kemi.adapters import ksr
from kemi.core.errors import SipReject
from kemi.core.messages import Side
from kemi.core.screening import check_branch, check_head, check_no_nul, check_one_message, check_whole
from kemi.core.trust import CoreNetworks
from kemi.settings import Settings


class Border:
    """The sides of this node: pages on one socket, the core on the other."""

    def __init__(self, settings: Settings, is_of_trunk: Callable[[], bool]) -> None:
        """``is_of_trunk``: whether a trunk has sent the current message."""
        self._is_of_trunk = is_of_trunk
        self._no_sip = {settings.sip.ws_port, settings.control.port}
        self._core_networks = CoreNetworks(_networks(settings))

    def admit(self, method: str) -> None:
        """Raise SipReject or RemoteProtocolError unless this is one well-formed message of a page, or of the core.

        ``method`` is "" for responses.
        """
        if method:
            check_branch(ksr.branch())
        if ksr.side() is Side.WIC:
            check_head(ksr.head())
            check_one_message(
                ksr.body_length(),
                ksr.headers("Content-Length"),
                has_content_type=bool(ksr.headers("Content-Type")),
            )
        elif ksr.received_port() in self._no_sip:
            raise SipReject("SIP comes in WebSocket messages here, or not at all")
        elif method != "OPTIONS" and not self.is_of_core():
            raise SipReject("not a node of the core")
        else:
            check_no_nul(ksr.head())
            check_whole(ksr.body_length(), ksr.headers("Content-Length"))

    def is_of_core(self) -> bool:
        """Whether the sender of the current message, which is no page's, is a node of the core or a trunk."""
        return self._core_networks.contains(ksr.source_address()) or self._is_of_trunk()


def _networks(settings: Settings) -> list[str]:
    """Return whose SIP is taken on the side of the core, beside that of trunks; none means everybody's."""
    networks, home = settings.sip.core_networks, settings.home
    site = [settings.sip.address, *settings.sip.peers]  # ours, too: we cancel by a message to ourselves
    if home is not None:
        return [*networks, *site, home.address]
    return [*networks, *site] if networks else []
