"""Fixtures: one rtpengine for the whole session, and further ones for tests that hurt theirs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import aioice.ice
import pytest

from rtpengine.ng.commands import Delete, List
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import Daemon, media_ports
from tests.fakes.installed_ksr import installed_ksr
from tests.fakes.ksr import FakeKamailio

KSR: Final = installed_ksr()
"""The gateway counts in Kamailio's memory what the relay does."""
SHARED_PORTS: Final = 1000
OWN_PORTS: Final = 200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder as contract test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.contract)


@pytest.fixture(autouse=True)
def kamailio() -> None:
    """Let each test have a memory of its own."""
    KSR.kamailio = FakeKamailio()


@pytest.fixture
def media_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let live pages listen on 127.0.0.1, which they leave out by default, and nowhere else."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """An rtpengine that all tests share; it must live through all of them."""
    with (
        media_ports(SHARED_PORTS) as ports,
        Daemon(tmp_path_factory.mktemp("rtpengine"), ports) as running,
    ):
        yield running
        assert running.alive, "rtpengine crashed:\n" + "".join(running.log)


@pytest.fixture
def client(daemon: Daemon) -> Iterator[UdpClient]:
    """A blocking client of the shared daemon; calls a test leaves behind are deleted."""
    connected = UdpClient(daemon.address, deadline_s=3.0)
    yield connected
    for call_id in connected.request(List()).call_ids:
        connected.request(Delete(call_id))
    connected.close()


@pytest.fixture
def own_daemon(tmp_path: Path) -> Iterator[Daemon]:
    """An rtpengine that a test may stop, pause and start again."""
    with media_ports(OWN_PORTS) as ports, Daemon(tmp_path, ports) as running:
        yield running
