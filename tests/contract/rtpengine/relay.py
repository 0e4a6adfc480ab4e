"""The gateway's relay, with the daemons of a test as its nodes."""

from __future__ import annotations

from collections import defaultdict

from kemi.adapters.relay.media import MediaRelay
from kemi.settings import MediaNode, MediaSettings
from kemi.state.nodes import NodeStore
from tests.contract.rtpengine.daemon import Daemon
from tests.fakes.table import MemoryTable
from tests.lab.relay_program import relay_version


def relay_of(*daemons: Daemon) -> MediaRelay:
    """Return one that knows these daemons, as a worker of Kamailio has it."""
    tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
    nodes = [MediaNode(daemon.address.host, daemon.address.port, relay_version()) for daemon in daemons]
    return MediaRelay(MediaSettings(nodes), NodeStore(tables.__getitem__))
