"""How a forwarded INVITE ended without an answer, as tm tells it."""

from __future__ import annotations

import pytest

from kemi.adapters.calls.executor import Executor
from kemi.core.call import events as ev
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.messages import invite


@pytest.mark.parametrize(
    ("silent", "cancelled", "heard", "event"),
    [
        pytest.param(-1, -1, 1, ev.ImsFailed(408), id="refused"),
        pytest.param(1, -1, -1, ev.ImsFailed(408, local=True, timed_out=True), id="not a word"),
        pytest.param(1, -1, 1, ev.ImsFailed(408, local=True, heard=True, timed_out=True), id="it rang"),
        pytest.param(-1, 1, 1, ev.ImsFailed(408), id="refused after CANCEL"),
        pytest.param(1, 1, 1, ev.ImsFailed(408, heard=True, timed_out=True), id="silent after CANCEL"),
    ],
)
def test_what_tm_says_of_it(
    kamailio: FakeKamailio,
    executor: Executor,
    silent: int,
    cancelled: int,
    heard: int,
    event: ev.Event,
) -> None:
    kamailio.receive(invite(), transaction=(11, 22))
    kamailio.failure_status = 408
    kamailio.script("tm.t_branch_timeout", silent)
    kamailio.script("tm.t_is_canceled", cancelled)
    kamailio.script("tm.t_branch_replied", heard)
    assert executor.ims_failure() == event
