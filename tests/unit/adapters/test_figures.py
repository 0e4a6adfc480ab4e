"""What Kamailio counts of itself, through its own narrow integers."""

from __future__ import annotations

import json

import pytest

from kemi.adapters.doors.overload import OverloadWatch, overload_store
from kemi.adapters.kamailio import figures
from kemi.adapters.monitoring.metrics import metrics_text
from kemi.settings import settings_from_text
from kemi.state.counters import Counters
from kemi.state.metrics import Metrics
from tests.fakes.ksr import FakeKamailio
from tests.fakes.table import MemoryTable
from tests.unit.site import SETTINGS_TEXT

KIB = 1024


def pool(kamailio: FakeKamailio, *, free: int, used: int) -> None:
    """Let Kamailio tell of a pool of so many KiB."""
    result = {"total": free + used, "free": free, "used": used - 1, "real_used": used, "max_used": used}
    kamailio.script("jsonrpcs.exec", 1)
    kamailio.script(
        "jsonrpcs.response", json.dumps({"jsonrpc": "2.0", "result": {**result, "fragments": 1}, "id": 1})
    )


def test_statistics_beyond_a_c_integer(kamailio: FakeKamailio) -> None:
    kamailio.statistics["rcv_requests"] = -(2**31)
    assert figures.statistic("core:rcv_requests") == 2**31
    assert figures.statistic("core:unknown") is None
    assert figures.growth(2**32 - 5, 7) == 12


def test_a_pool_of_four_gigabytes(kamailio: FakeKamailio) -> None:
    pool(kamailio, free=1_943_552, used=2_103_984)
    memory = figures.shared_memory()
    assert memory == figures.SharedMemory(1_943_552 * KIB, 2_103_984 * KIB, 2_103_984 * KIB)
    assert memory.free_share == pytest.approx(0.48, abs=0.001)
    (asked,) = kamailio.called("jsonrpcs.exec")[0]
    assert json.loads(str(asked))["params"] == ["k"]


@pytest.mark.parametrize("answer", ["", "{", "null", '{"error":{}}', '{"result":{"free":1}}'])
def test_an_answer_that_cannot_be_read_is_none(kamailio: FakeKamailio, answer: str) -> None:
    kamailio.script("jsonrpcs.exec", 1)
    kamailio.script("jsonrpcs.response", answer)
    assert figures.shared_memory() is None


def test_nor_is_no_answer(kamailio: FakeKamailio) -> None:
    kamailio.script("jsonrpcs.exec", -1)
    assert figures.shared_memory() is None


def test_the_metrics_have_it_in_bytes(kamailio: FakeKamailio) -> None:
    pool(kamailio, free=3_000_000, used=2_000_000)
    text = metrics_text(Metrics(MemoryTable()), Counters(MemoryTable()))
    assert 'gateway_shared_memory_bytes{state="free"} 3.072e+09' in text
    assert 'gateway_shared_memory_bytes{state="used"} 2.048e+09' in text


def test_a_node_is_full_and_has_room_again(kamailio: FakeKamailio, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = OverloadWatch(settings_from_text(SETTINGS_TEXT))
    now = [1000.0]

    def look(free: int, used: int) -> bool:
        pool(kamailio, free=free, used=used)
        now[0] += 1
        watch._look_at_memory(now[0])
        return overload_store().is_full()

    assert not look(50, 50)
    assert kamailio.tables["overload"]["memory"].isspace(), "there already, when memory is short"
    assert look(9, 91)
    assert look(10, 90), "a little more than too little is not enough"
    assert not look(30, 70)
