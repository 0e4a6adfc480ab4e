"""A call whose media node is dead, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.exchange import is_open
from kemi.core.call.node_loss.recovery import MOST_ATTEMPTS, MOST_LOOKS, MOST_NODES
from kemi.core.call.states import Moving, Telling
from kemi.core.errors import MediaUnavailable, NotAcceptableHere
from kemi.core.messages import Side
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.ladder import Actions, Call

NODE, OTHER, THIRD = "192.0.2.9:2223", "192.0.2.10:2223", "192.0.2.11:2223"
ERROR = MediaUnavailable("no media relay is available")


def moved(call: Call | Incoming, node: str = OTHER) -> Actions:
    """Another node takes the call."""
    action = call.actions.only(act.MoveMedia)
    given = {
        medium.kind: ev.MovedMedium(
            sdp.relay_offer(medium.kind, 31000 + 2 * number),
            sdp.relay_answer(medium.kind, 31100 + 2 * number),
        )
        for number, medium in enumerate(action.media)
    }
    return call.on(ev.MediaMoved(node, given, action.bearer))


def offered(node: str = OTHER) -> Call:
    """Both sides have been sent their offers."""
    call = Call.confirmed()
    call.on(ev.NodeLost(NODE))
    moved(call, node)
    return call


def page_takes(call: Call) -> Actions:
    """The page answers 200, and the node learns it."""
    assert call.record.exchange is not None
    body = sdp.page_answer(call.record.exchange.wic_description)
    join = call.on(ev.UpdateAnswered(200, body)).only(act.ReofferFromIms)
    assert join.first
    return call.on(ev.ImsReoffered({}, join.bearer))


def page_says(call: Call, direction: str = "sendrecv", *, refuse: tuple[str, ...] = ()) -> Actions:
    """The page answers 200, but not as it was; the node learns it."""
    assert call.record.exchange is not None
    body = sdp.page_answer(call.record.exchange.wic_description, refuse=refuse)
    answer = ev.UpdateAnswered(200, body.replace("a=sendrecv", f"a={direction}"))
    return call.on(ev.ImsReoffered({}, call.on(answer).only(act.ReofferFromIms).bearer))


def lines_for_core(actions: Actions) -> list[tuple[int, str]]:
    """Return port and direction of each line in the one offer that the core is sent."""
    (offer,) = (one for one in actions.all(act.SendRequest) if one.to is Side.IMS and one.body)
    return [(line.port, line.direction.value) for line in sdp_from_text(offer.body).media]


def core_says(
    call: Call,
    status: int,
    *,
    port: int = 40000,
    retry_after_s: float | None = None,
    kinds: tuple[str, ...] = (),
) -> Actions:
    """The core answers our INVITE."""
    assert call.record.recovery is not None
    cseq = call.record.recovery.core_cseq
    body = sdp.core_answer(*kinds, port=port) if status == 200 else ""
    reply = call.ims_reply(status, method="INVITE", cseq=cseq, body=body).reply
    return call.on(ev.OwnRequestAnswered(Side.IMS, "INVITE", cseq, status, reply, retry_after_s, jitter=0.5))


def reason_of(actions: Actions) -> list[str]:
    """Return the Reason of each BYE."""
    return [
        line
        for action in actions.all(act.SendRequest)
        if action.method == "BYE"
        for line in action.headers
        if line.startswith("Reason:")
    ]


class TestTheWay:
    """Nothing goes wrong."""

    def test_both_sides_are_told_at_once_with_the_new_ports(self) -> None:
        call = Call.confirmed()
        assert call.on(ev.NodeLost(NODE)).only(act.MoveMedia).lost == NODE
        to_page, to_core = moved(call).all(act.SendRequest)
        assert (to_page.to, to_page.method) == (Side.WIC, "UPDATE")
        assert (to_core.to, to_core.method) == (Side.IMS, "INVITE")
        assert {line.port for line in sdp_from_text(to_page.body).media} == {31100}
        assert {line.port for line in sdp_from_text(to_core.body).media} == {31000}
        assert call.record.node == OTHER

    def test_the_other_node_keeps_events_from_a_page_that_gets_info(self) -> None:
        """It would have each digit twice."""
        call = Call.confirmed()
        call.record.wic_takes_digits = "application/dtmf-relay"
        assert call.on(ev.NodeLost(NODE)).only(act.WithholdDigits).node == NODE
        assert moved(call).only(act.WithholdDigits).node == OTHER
        assert not page_takes(call).all(act.WithholdDigits)

    @pytest.mark.parametrize("page_first", [True, False])
    def test_it_is_done_when_both_have_answered(self, page_first: bool) -> None:
        call = offered()
        if page_first:
            page_takes(call)
            assert call.record.recovery is not None
            core_says(call, 200)
        else:
            core_says(call, 200)
            page_takes(call)
        assert (call.record.recovery, call.record.exchange) == (None, None)
        assert [medium.active for medium in call.record.media] == [True]

    def test_another_line_of_the_core_is_told_to_the_node_once_it_has_the_pages_answer(self) -> None:
        call = offered()
        page_takes(call)
        again = core_says(call, 200, port=40100).only(act.ReofferFromIms)
        assert "m=audio 40100 " in again.media[0].ims_line
        assert call.record.recovery is not None
        call.on(ev.ImsReoffered({}, again.bearer))
        assert call.record.recovery is None

    def test_another_line_of_the_core_waits_until_the_node_knows_the_page(self) -> None:
        call = offered()
        core_says(call, 200, port=40100)
        again = page_takes(call).only(act.ReofferFromIms)
        assert not again.first
        assert "m=audio 40100 " in again.media[0].ims_line
        call.on(ev.ImsReoffered({}, again.bearer))
        assert call.record.recovery is None

    def test_a_2xx_that_comes_again_is_acknowledged_again_and_changes_nothing(self) -> None:
        call = offered()
        for _ in range(2):
            assert core_says(call, 200).only(act.SendRequest).method == "ACK"
        page_takes(call)
        assert call.record.recovery is None

    def test_a_node_the_call_is_not_on_is_no_matter(self) -> None:
        call = Call.confirmed()
        assert call.on(ev.NodeLost(THIRD)) == []
        assert call.record.recovery is None

    def test_a_call_that_ended_meanwhile_gives_its_new_ports_back(self) -> None:
        call = Call.confirmed()
        action = call.on(ev.NodeLost(NODE)).only(act.MoveMedia)
        call.on(call.wic_request("BYE"))
        late = call.on(ev.MediaMoved(OTHER, {"audio": ev.MovedMedium("", "")}, action.bearer))
        assert late.only(act.ReleaseMedia).node == OTHER


class TestWhatThePageSaysOtherwise:
    """Its answer to the move is not what the core was told: the core hears of it once both have answered."""

    @pytest.mark.parametrize("page_first", [True, False])
    def test_a_page_that_holds(self, page_first: bool) -> None:
        call = Call.confirmed(body=sdp.chromium("audio-sendrecv"))
        call.on(ev.NodeLost(NODE))
        moved(call)
        if page_first:
            assert not page_says(call, "sendonly").all(act.SendRequest)
            core_says(call, 200)
        else:
            core_says(call, 200)
            page_says(call, "sendonly")
        assert lines_for_core(call.actions) == [(31000, "sendonly")]

    def test_a_page_that_refuses_video(self) -> None:
        call = Call.confirmed(body=sdp.chromium("av-sendrecv"))
        call.on(ev.NodeLost(NODE))
        moved(call)
        page_says(call, refuse=("1",))
        core_says(call, 200, kinds=("audio", "video"))
        assert call.actions.only(act.ReleaseMedia).kinds == ("video",)
        assert [port for port, _ in lines_for_core(call.actions)] == [31000, 0]

    def test_a_page_that_wants_again_what_it_has_not_told_the_core(self) -> None:
        """It took the far end's resume with a hold of its own."""
        call = Call.confirmed(body=sdp.chromium("audio-sendrecv"))
        call.record.media[0].wic_direction = Direction.SENDONLY
        call.record.ims_description = call.record.ims_description.replace("a=sendrecv", "a=sendonly")
        call.on(ev.NodeLost(NODE))
        moved(call)
        page_says(call)
        core_says(call, 200)
        assert lines_for_core(call.actions) == [(31000, "sendrecv")]


class TestTrouble:
    """It goes on, or ends on both sides."""

    def test_what_no_node_can_make_ends_the_call(self) -> None:
        call = Call.confirmed()
        action = call.on(ev.NodeLost(NODE)).only(act.MoveMedia)
        ended = call.on(ev.MediaFailed(NotAcceptableHere("bad line"), bearer=action.bearer))
        assert reason_of(ended) == ['Reason: SIP;cause=503;text="bad line"'] * 2

    def test_glare_is_tried_again_a_few_times(self) -> None:
        call = offered()
        for _ in range(MOST_ATTEMPTS - 1):
            pause = call.on(ev.UpdateAnswered(491, jitter=0.5)).only(act.Schedule)
            assert (pause.due, pause.delay_s) == (ev.Due.RECOVERY, 1.0)
            (again,) = call.on(ev.TimerFired(ev.Due.RECOVERY)).all(act.SendRequest)
            assert again.to is Side.WIC
        assert len(reason_of(call.on(ev.UpdateAnswered(491)))) == 2

    def test_the_owner_of_the_call_id_waits_longer(self) -> None:
        call = offered()
        assert core_says(call, 491).only(act.Schedule).delay_s == pytest.approx(3.05)  # 2.1 to 4 s
        (again,) = call.on(ev.TimerFired(ev.Due.RECOVERY)).all(act.SendRequest)
        assert again.to is Side.IMS

    def test_of_a_call_towards_the_page_that_is_we(self) -> None:
        call = Incoming.confirmed()
        call.on(ev.NodeLost(NODE))
        moved(call)
        opened = call.record.exchange
        assert opened is not None
        glare = ev.OwnRequestAnswered(Side.WIC, opened.method, opened.cseq, 491, jitter=0.5)
        assert call.on(glare).only(act.Schedule).delay_s == pytest.approx(3.05)
        assert call.record.recovery is not None
        glare = ev.OwnRequestAnswered(Side.IMS, "INVITE", call.record.recovery.core_cseq, 491, jitter=0.5)
        assert call.on(glare).only(act.Schedule).delay_s == pytest.approx(1.0)

    @pytest.mark.parametrize(("alive", "ends"), [(True, True), (False, False)])
    def test_a_page_that_did_not_answer_is_waited_for_if_it_is_away(self, alive: bool, ends: bool) -> None:
        call = offered()
        call.on(ev.UpdateAnswered(408))
        actions = call.on(ev.TimerFired(ev.Due.RECOVERY, flow_alive=alive))
        assert bool(reason_of(actions)) == ends
        if not ends:
            assert call.record.recovery is not None
            assert call.record.recovery.page is Telling.UNREACHED

    @pytest.mark.parametrize("status", [481, 488, 603])
    def test_what_the_page_refuses_ends_the_call(self, status: int) -> None:
        ended = offered().on(ev.UpdateAnswered(status))
        reasons = reason_of(ended)
        assert len(reasons) == (1 if status == 481 else 2)
        assert all(f"cause={status};" in reason for reason in reasons)

    def test_the_new_node_fails_as_well(self) -> None:
        call = offered()
        for number in range(MOST_NODES):
            core_says(call, 200)
            assert call.record.exchange is not None
            body = sdp.page_answer(call.record.exchange.wic_description)
            join = call.on(ev.UpdateAnswered(200, body)).only(act.ReofferFromIms)
            actions = call.on(ev.MediaFailed(ERROR, bearer=join.bearer))
            if number < MOST_NODES - 1:
                assert actions.only(act.MoveMedia).lost == call.record.node
                moved(call, f"192.0.2.{20 + number}:2223")
        assert len(reason_of(actions)) == 2


def searched(call: Call) -> Actions:
    """No node takes the call."""
    action = call.actions.only(act.MoveMedia)
    return call.on(ev.MediaFailed(ERROR, bearer=action.bearer))


class TestNoNode:
    """Perhaps only our network to the nodes is broken: media do not pass us."""

    def test_a_call_waits_for_a_node_half_a_minute(self) -> None:
        call = Call.confirmed()
        call.on(ev.NodeLost(NODE))
        waited_s = 0.0
        while not reason_of(searched(call)):
            waited_s += call.actions.only(act.Schedule).delay_s
            assert not is_open(call.record)
            assert call.on(ev.TimerFired(ev.Due.RECOVERY)).only(act.MoveMedia).may_stay
        assert reason_of(call.actions) == ['Reason: SIP;cause=503;text="no media relay is available"'] * 2
        assert 30 < waited_s < 36

    def test_a_node_that_is_back_keeps_its_call(self) -> None:
        call = Call.confirmed()
        call.on(ev.NodeLost(NODE))
        searched(call)
        action = call.on(ev.TimerFired(ev.Due.RECOVERY)).only(act.MoveMedia)
        back = call.on(ev.MediaStays(action.bearer))
        assert back.only(act.Note).event == "media_node_back"
        assert not back.all(act.SendRequest)
        assert (call.record.recovery, call.record.exchange, call.record.node) == (None, None, NODE)
        assert call.on(call.wic_request("INVITE", body=sdp.chromium("audio-sendrecv"))).reply != (
            491,
            "Request Pending",
        )

    def test_an_ice_restart_that_was_due_is_due_again(self) -> None:
        call = Call.confirmed()
        action = call.on(ev.NodeLost(NODE)).only(act.MoveMedia)
        call.record.ice_before = "page"
        assert call.on(ev.MediaStays(action.bearer)).only(act.Schedule).due is ev.Due.ICE_RESTART

    def test_one_that_was_started_again_takes_it_anew(self) -> None:
        call = Call.confirmed()
        call.on(ev.NodeLost(NODE))
        searched(call)
        call.on(ev.TimerFired(ev.Due.RECOVERY))
        moved(call, NODE)
        core_says(call, 200)
        page_takes(call)
        assert (call.record.recovery, call.record.node) == (None, NODE)

    def test_nobody_asks_before_the_time_and_the_agent_may_repeat_itself(self) -> None:
        call = Call.confirmed()
        call.on(ev.NodeLost(NODE))
        searched(call)
        assert call.on(ev.NodeLost(NODE)) == []
        assert call.on(call.ims_request("INVITE", body="v=0")).reply == (491, "Request Pending")
        assert not call.actions.all(act.MoveMedia)

    def test_a_page_that_leaves_meanwhile_is_waited_for(self) -> None:
        call = Call.confirmed()
        call.on(ev.NodeLost(NODE))
        searched(call)
        away = call.on(ev.TimerFired(ev.Due.RECOVERY, flow_alive=False))
        assert not away.all(act.MoveMedia)
        assert away.only(act.Schedule).due is ev.Due.RECOVERY

    def test_what_a_node_was_told_of_a_call_that_it_was_to_take_is_not_known(self) -> None:
        call = offered()
        call.on(ev.NodeLost(OTHER))
        core_says(call, 200)
        page_takes(call)
        assert not call.actions.only(act.MoveMedia).may_stay

    def test_a_call_that_ended_meanwhile_stays_ended(self) -> None:
        call = Call.confirmed()
        action = call.on(ev.NodeLost(NODE)).only(act.MoveMedia)
        call.on(call.wic_request("BYE"))
        late = call.on(ev.MediaStays(action.bearer))
        assert late.only(act.ReleaseMedia).node == NODE


class TestNotNow:
    """Something is in the way."""

    def test_an_open_offer_is_settled_first(self) -> None:
        call = Call.confirmed()
        body = replace(call.wic_request("INVITE").request, body="")
        call.on(ev.WicRequest(replace(body, cseq=10)))
        assert call.record.exchange is not None
        waiting = call.on(ev.NodeLost(NODE))
        assert waiting.only(act.Schedule).due is ev.Due.RECOVERY
        assert not waiting.all(act.MoveMedia)
        assert call.record.recovery is not None
        assert call.record.recovery.state is Moving.WAITING

    def test_it_may_take_as_long_as_a_transaction(self) -> None:
        """The far end has no coverage for a moment."""
        call = Call.confirmed()
        body = replace(call.wic_request("INVITE").request, body="")
        call.on(ev.WicRequest(replace(body, cseq=10)))
        waited_s = call.on(ev.NodeLost(NODE)).only(act.Schedule).delay_s
        while waited_s < 33.0:
            waited_s += call.on(ev.TimerFired(ev.Due.RECOVERY)).only(act.Schedule).delay_s
        assert not call.record.ended

    def test_a_call_that_can_never_move_is_ended(self) -> None:
        call = Call.confirmed()
        call.record.acknowledged = False
        call.on(ev.NodeLost(NODE))
        for _ in range(MOST_LOOKS):
            assert call.on(ev.TimerFired(ev.Due.RECOVERY)).only(act.Schedule).due is ev.Due.RECOVERY
        assert len(reason_of(call.on(ev.TimerFired(ev.Due.RECOVERY)))) == 2

    def test_a_page_that_is_away_is_waited_for_however_long(self) -> None:
        call = Call.confirmed()
        call.on(ev.NodeLost(NODE, flow_alive=False))
        for _ in range(2 * MOST_LOOKS):
            call.on(ev.TimerFired(ev.Due.RECOVERY, flow_alive=False))
        assert call.on(ev.TimerFired(ev.Due.RECOVERY)).only(act.MoveMedia).lost == NODE

    def test_offers_of_both_sides_get_491_meanwhile(self) -> None:
        call = Call.confirmed()
        call.on(ev.NodeLost(NODE, flow_alive=False))
        assert call.on(call.wic_request("INVITE", body="v=0")).reply == (491, "Request Pending")
        assert call.on(call.ims_request("INVITE", body="v=0")).reply == (491, "Request Pending")

    @pytest.mark.parametrize("stage", ["answered_early", "updating", "forwarded", "ringing"])
    def test_a_call_that_is_not_answered_is_refused(self, stage: str) -> None:
        call: Call = getattr(Call, stage)()
        actions = call.on(ev.NodeLost(NODE))
        assert not actions.all(act.MoveMedia)
        assert call.record.cancelled or call.record.rejection is not None or call.record.ended
