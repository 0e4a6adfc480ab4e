"""Media actions become calls of the relay, and what it says becomes an event."""

from __future__ import annotations

import pytest

from kemi.adapters.calls.dispatcher import Dispatcher
from kemi.adapters.calls.executor import Executor
from kemi.adapters.kamailio.htable import HtableTable
from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Reply, Side
from kemi.state.calls import CallStore
from kemi.state.waiting import WaitingStore
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.messages import invite
from tests.unit.adapters.relay import ScriptedRelay
from tests.unit.core.call.ladder import SETTINGS, record_at

REPLY = Reply(Side.IMS, "INVITE", "call-1", "page", "core1", 1)


class TestRelay:
    """What the relay says becomes the next event; what it refuses too."""

    ACTIONS = (
        ("reserve", act.ReserveMedia("c", "n", "shared", ())),
        ("accept_reverse", act.AcceptReverse("c", "n", "shared", ())),
        ("connect", act.ConnectMedia("c", "n", "shared", (), REPLY)),
        ("renew", act.RenewMedia("c", "n", "shared", (), "bearer")),
        ("reoffer_from_ims", act.ReofferFromIms("c", "n", "shared", (), "bearer")),
        ("gate", act.GateMedia("c", "n", (), "bearer")),
    )

    @pytest.mark.parametrize(("method", "action"), ACTIONS)
    def test_success(self, executor: Executor, method: str, action: act.Action) -> None:
        event = executor.perform("c", action)
        assert (
            type(event).__name__
            == {
                "reserve": "MediaReserved",
                "accept_reverse": "ReverseAccepted",
                "connect": "MediaConnected",
                "renew": "MediaRenewed",
                "reoffer_from_ims": "ImsReoffered",
                "gate": "MediaGated",
            }[method]
        )

    @pytest.mark.parametrize(("method", "action"), ACTIONS)
    def test_failure(self, executor: Executor, relay: ScriptedRelay, method: str, action: act.Action) -> None:
        error = MediaUnavailable("late")
        relay.fail(method, error)
        reply = action.reply if isinstance(action, act.ConnectMedia) else None
        bearer = getattr(action, "bearer", None)
        assert executor.perform("c", action) == ev.MediaFailed(error, reply, bearer)

    def test_a_call_that_a_change_brought_back_is_given_back(
        self, kamailio: FakeKamailio, executor: Executor, relay: ScriptedRelay
    ) -> None:
        assert kamailio.tables == {}
        change = act.MediumChange("audio", "wic", "ims")
        action = act.RenewMedia("ended", "node", "shared", (change,))
        assert isinstance(executor.perform("ended", action), ev.MediaRenewed)
        assert relay.asked[-1] == act.ReleaseMedia("ended", "node", ("audio",))

    def test_one_that_another_gateway_has_taken_meanwhile_stays_at_the_relay(
        self, kamailio: FakeKamailio, executor: Executor, relay: ScriptedRelay
    ) -> None:
        assert kamailio.tables == {}
        WaitingStore(HtableTable).handed_over("moved", "192.0.2.2:5060")
        change = act.MediumChange("audio", "wic", "ims")
        action = act.RenewMedia("moved", "node", "shared", (change,))
        assert isinstance(executor.perform("moved", action), ev.MediaRenewed)
        assert not [asked for asked in relay.asked if isinstance(asked, act.ReleaseMedia)]

    @pytest.mark.parametrize(
        ("known", "released"),
        [pytest.param(True, [], id="running"), pytest.param(False, ["audio"], id="ended and forgotten")],
    )
    def test_what_was_connected_for_a_call_that_is_gone_is_given_back(
        self,
        kamailio: FakeKamailio,
        executor: Executor,
        relay: ScriptedRelay,
        known: bool,
        released: list[str],
    ) -> None:
        assert kamailio.tables == {}
        if known:
            CallStore(HtableTable("call"), HtableTable("call_of")).create(record_at("forwarded"))
        medium = act.MediumAnswer("audio", "offer", True, "answer", None)
        action = act.ConnectMedia("call-1", "node", "shared", (medium,), REPLY)
        assert executor.perform("call-1", action) == ev.MediaConnected(REPLY)
        found = [asked for asked in relay.asked if isinstance(asked, act.ReleaseMedia)]
        assert [kind for asked in found for kind in asked.kinds] == released
        assert all((asked.call_id, asked.node) == ("call-1", "node") for asked in found)

    @pytest.mark.parametrize(
        "event",
        [
            ev.IncomingReserved({"audio": "offer"}, act.MessageEdits(), node="node"),
            ev.AnsweredAhead({"audio": "answer"}, {"audio": "offer"}, node="node"),
        ],
    )
    def test_what_was_reserved_for_a_call_that_is_gone_is_given_back(
        self, kamailio: FakeKamailio, executor: Executor, relay: ScriptedRelay, event: ev.Event
    ) -> None:
        kamailio.receive(invite())
        calls = CallStore(HtableTable("call"), HtableTable("call_of"))
        assert not Dispatcher(SETTINGS, calls, executor).dispatch("ended", event)
        assert relay.asked == [act.ReleaseMedia("ended", "node", ("audio",))]
        assert [reply.status for reply in kamailio.replies] == [487]

    def test_release(self, executor: Executor, relay: ScriptedRelay) -> None:
        action = act.ReleaseMedia("c", "n", ("audio",))
        assert executor.perform("c", action) is None
        assert relay.asked == [action]
