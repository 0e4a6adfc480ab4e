"""After which end of its call a page has to register again."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from tests.unit.core.call.ladder import Call


@pytest.mark.parametrize(
    ("stage", "event", "renews"),
    [
        pytest.param("forwarded", ev.ImsFailed(408, local=True), True, id="not a word of the core"),
        pytest.param(
            "forwarded", ev.ImsFailed(504, unknown=True), True, id="the core does not know it any more"
        ),
        pytest.param("forwarded", ev.ImsFailed(504), False, id="somebody farther away is silent"),
        pytest.param("forwarded", ev.ImsFailed(408, local=True, heard=True), False, id="the core said 100"),
        pytest.param("ringing", ev.ImsFailed(408, local=True), False, id="nobody answered"),
    ],
)
def test_only_where_the_server_it_has_is_dead(stage: str, event: ev.ImsFailed, renews: bool) -> None:
    call: Call = getattr(Call, stage)()
    found = call.on(event).all(act.RenewRegistration)
    assert found == ([act.RenewRegistration(call.record.key, call.record.connection_id)] if renews else [])


def test_not_where_the_page_has_hung_up() -> None:
    call = Call.forwarded()
    call.on(ev.CancelReceived())
    assert not call.on(ev.ImsFailed(408, timed_out=True)).all(act.RenewRegistration)
