"""A strict Kamailio for each test, and a gateway in it whose relay is played by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from tests.fakes.installed_ksr import installed_ksr
from tests.fakes.ksr import FakeKamailio

KSR = installed_ksr()  # before anything imports kemi.adapters.kamailio.ksr

from kemi.adapters import gateway as gateway_module  # noqa: E402
from kemi.adapters.calls.executor import Executor  # noqa: E402
from kemi.adapters.gateway import Gateway  # noqa: E402
from kemi.adapters.kamailio.htable import HtableTable  # noqa: E402
from kemi.adapters.network.entry_points import EntryPoints  # noqa: E402
from kemi.adapters.relay.media import MediaRelay  # noqa: E402
from kemi.settings import settings_from_text  # noqa: E402
from kemi.state.calls import CallStore  # noqa: E402
from kemi.state.nodes import NodeStore  # noqa: E402
from kemi.state.redis_errors import RedisUnavailable  # noqa: E402
from kemi.state.schedule import Schedule  # noqa: E402
from tests.fakes.table import MemoryTable  # noqa: E402
from tests.unit.adapters.played import connected_page  # noqa: E402
from tests.unit.adapters.relay import ScriptedRelay  # noqa: E402
from tests.unit.site import SETTINGS_TEXT  # noqa: E402


@pytest.fixture
def kamailio() -> Iterator[FakeKamailio]:
    """What the worker process sees; no lock may be left when the test ends."""
    KSR.kamailio = FakeKamailio()
    KSR.kamailio.script("tm.t_check_trans", -1)  # every request is a new one
    KSR.kamailio.script("tm.t_is_canceled", -1)
    yield KSR.kamailio
    locked = KSR.kamailio.locked
    KSR.kamailio = FakeKamailio()  # what a test has made of it is not for those that do without this fixture
    assert locked == set()


@pytest.fixture
def relay() -> ScriptedRelay:
    """The media relay of the gateway."""
    return ScriptedRelay()


@pytest.fixture
def store() -> NodeStore:
    """What the workers know of the relay nodes."""
    tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
    return NodeStore(tables.__getitem__)


@pytest.fixture
def executor(kamailio: FakeKamailio, relay: ScriptedRelay) -> Executor:
    """What carries actions out; the connection "gone" is another page's now."""
    assert kamailio.calls == []
    return Executor(
        settings_from_text(SETTINGS_TEXT),
        CallStore(HtableTable("call"), HtableTable("call_of")),
        Schedule(HtableTable),
        cast("MediaRelay", relay),
        EntryPoints(settings_from_text(SETTINGS_TEXT), HtableTable),
        lambda connection_id: connection_id != "gone",
        lambda _action: None,
    )


@pytest.fixture
def gateway(kamailio: FakeKamailio, relay: ScriptedRelay, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """One worker process."""
    assert kamailio.calls == []
    make_relay: Callable[..., ScriptedRelay] = lambda *_: relay  # noqa: E731
    monkeypatch.setattr(gateway_module, "MediaRelay", make_relay)
    monkeypatch.setattr(gateway_module, "RedisLink", lambda *_, **__: AbsentRedis())
    return Gateway(settings_from_text(SETTINGS_TEXT))


@pytest.fixture
def page(kamailio: FakeKamailio, gateway: Gateway) -> Gateway:
    """The worker process of a page that is connected and registered."""
    return connected_page(kamailio, gateway)


class AbsentRedis:
    """Redis is not there: what the gateway does without it."""

    def __getattr__(self, name: str) -> Callable[..., object]:
        def unavailable(*_: object, **__: object) -> object:
            raise RedisUnavailable(f"{name}: nobody listens")

        return unavailable
