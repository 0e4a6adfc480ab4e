"""A relay that was too slow at a change is told again what holds, until it has heard it."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.lifetime.revival import revive
from kemi.core.call.media.relay_told import MOST_ATTEMPTS
from kemi.core.call.renegotiation.own_offer import LOOK_AGAIN_S
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Side
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.ladder import SETTINGS, Actions, Call
from tests.unit.core.call.test_core_offer import HOLD, MOVED, cseq_of, page_answers, relay_knows
from tests.unit.core.call.test_ice_restart import BACK, restarts_itself, waits
from tests.unit.core.call.test_page_offer import RESTART, TWO_WAY, asked, done, failed, reply, running
from tests.unit.core.call.test_recovery import NODE, moved, offered, page_takes

MUSIC = HOLD.replace("40000", "42000")
"""A hold with another address: of the server that plays it."""


def told(actions: Actions) -> tuple[int, bool, bool]:
    """The far end's port, and what may pass from the page and to it, as the relay is told at once."""
    (change,) = actions.only(act.RenewMedia).media
    line = next(line for line in change.ims_line.splitlines() if line.startswith("m="))
    return int(line.split()[1]), change.wic_to_ims, change.ims_to_wic


def refused(method: str = "INVITE", body: str = MOVED) -> Call:
    """The relay has failed at an offer of the core, which got 503."""
    call = Call.confirmed()
    failed(call, call.on(call.ims_request(method, body=body)).only(act.ReofferFromIms))
    assert call.actions.reply[0] == 503
    return call


@pytest.mark.parametrize(
    ("method", "alive", "body"),
    [
        pytest.param("UPDATE", True, HOLD, id="hold, of a page that takes no UPDATE"),
        pytest.param("INVITE", False, HOLD, id="hold, while the page is away"),
        pytest.param("INVITE", True, MOVED, id="another address"),
    ],
)
def test_a_change_that_was_refused_is_taken_back(method: str, alive: bool, body: str) -> None:
    call = Call.confirmed()
    call.record.wic_takes_update = False
    change = call.on(call.ims_request(method, body=body, alive=alive)).only(act.ReofferFromIms)
    back = failed(call, change)
    assert back.names == ["SendReply", "RenewMedia"]  # the core does not wait for it
    assert told(back) == (40000, True, True)


def test_a_resume_that_was_refused_leaves_the_hold() -> None:
    call = Call.confirmed()
    call.record.wic_takes_update = False
    relay_knows(call, call.on(call.ims_request("UPDATE", body=HOLD)))
    call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", call.record.gateway_cseq, 488))
    resume = call.on(call.ims_request("UPDATE", cseq=2, body=sdp.core_answer())).only(act.ReofferFromIms)
    assert told(failed(call, resume)) == (40000, False, True)


def test_what_the_page_has_agreed_to_the_relay_follows_later() -> None:
    call = Call.confirmed()
    change = call.on(call.ims_request("INVITE", body=MUSIC))
    answered = failed(call, page_answers(call, change, cseq_of(change)).only(act.ReofferFromIms))
    assert answered.names == ["ForwardReply", "RenewMedia"]
    assert told(answered) == (42000, False, True)


def test_an_answer_of_the_core_in_its_ack_holds_and_the_relay_follows_later() -> None:
    """Nobody can refuse it."""
    call = Call.confirmed()
    done(call, call.on(call.ims_request("INVITE")).only(act.RenewMedia))
    lost = failed(call, call.on(call.ims_request("ACK", body=MOVED)).only(act.RenewMedia))
    assert told(lost) == (41000, True, True)
    assert call.record.exchange is None


def test_so_does_an_answer_of_the_page() -> None:
    call = running()
    offer = call.on(call.wic_request("INVITE", cseq=7)).only(act.SendReply).body
    answer = sdp.page_answer(offer).replace("a=sendrecv", "a=sendonly")
    held = call.on(call.wic_request("ACK", cseq=7, body=answer)).only(act.RenewMedia)
    assert told(failed(call, held)) == (40000, True, False)
    core = call.actions.only(act.SendRequest)
    assert (core.to, "a=sendonly" in core.body) == (Side.IMS, True)


def test_a_change_of_the_page_that_the_relay_could_not_carry_out_is_taken_back() -> None:
    call = running()
    asked(call)
    failed(call, reply(call, 200, sdp.core_answer()).only(act.GateMedia))
    assert told(reply(call, 488)) == (40000, True, True)


def test_the_gates_of_early_media_are_opened_later() -> None:
    call = Call.forwarded(TWO_WAY)
    early = call.ims_reply(183, body=sdp.core_answer(), early_media="sendonly")
    call.on(early)
    call.on(ev.MediaConnected(early.reply))
    gate = call.on(call.ims_reply(200, body=sdp.core_answer())).only(act.GateMedia)
    assert told(failed(call, gate)) == (40000, True, True)


def test_before_the_answer_nothing_passes_that_may_not() -> None:
    call = Call.forwarded(TWO_WAY)
    early = call.ims_reply(183, body=sdp.core_answer(), early_media="sendrecv")
    call.on(early)
    call.on(ev.MediaConnected(early.reply))
    gate = call.on(call.ims_reply(183, early_media="sendonly")).only(act.GateMedia)
    assert told(failed(call, gate)) == (40000, False, True)


def test_of_video_it_has_no_ports_for_it_is_told_nothing() -> None:
    """Another renegotiation would do no good to the sound that runs."""
    call = Call.confirmed()
    adds = sdp.core_answer() + "m=video 40010 RTP/AVP 99\r\na=rtpmap:99 VP8/90000\r\na=sendrecv\r\n"
    reserve = call.on(call.ims_request("INVITE", body=adds)).only(act.ReserveIncoming)
    assert call.on(ev.MediaFailed(MediaUnavailable("no"), None, reserve.bearer)).names == [
        "ReleaseMedia",
        "SendReply",
    ]


def test_while_an_offer_is_open_it_waits() -> None:
    call = Call.confirmed()
    call.record.relay_behind = True
    change = call.on(call.ims_request("INVITE", body=HOLD))
    assert change.names == ["ForwardRequest"]
    assert told(relay_knows(call, page_answers(call, change, cseq_of(change)))) == (40000, False, True)


def test_it_is_told_after_a_while_where_it_does_not_answer_then_either() -> None:
    call = refused()
    waited_s = []
    for _ in range(MOST_ATTEMPTS - 1):
        later = failed(call, call.actions.only(act.RenewMedia)).only(act.Schedule)
        assert later.due is ev.Due.TELL_RELAY
        waited_s.append(later.delay_s)
        assert told(call.on(ev.TimerFired(ev.Due.TELL_RELAY))) == (40000, True, True)
    assert waited_s == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert failed(call, call.actions.only(act.RenewMedia)).names == []
    assert not call.record.ended


def test_once_it_knows_there_is_no_more_to_be_told() -> None:
    call = refused()
    failed(call, call.actions.only(act.RenewMedia))
    again = call.on(ev.TimerFired(ev.Due.TELL_RELAY)).only(act.RenewMedia)
    assert done(call, again).only(act.Note).event == "relay_told"
    assert call.on(ev.TimerFired(ev.Due.TELL_RELAY)) == []


class TestChangesMeanwhile:
    """While the relay is told no exchange is open."""

    def test_one_that_failed_is_told_though_the_older_one_is_done(self) -> None:
        call = refused()
        failed(call, call.actions.only(act.RenewMedia))
        older = call.on(ev.TimerFired(ev.Due.TELL_RELAY)).only(act.RenewMedia)
        ask = call.on(call.ims_request("INVITE", cseq=5, body=MUSIC))
        newer = failed(call, page_answers(call, ask, cseq_of(ask)).only(act.ReofferFromIms))
        failed(call, newer.only(act.RenewMedia))
        assert told(done(call, older)) == (42000, False, True)
        assert done(call, call.actions.only(act.RenewMedia)).only(act.Note).event == "relay_told"

    def test_one_that_is_done_is_told_again_after_the_older_one(self) -> None:
        """Which of the two the relay has carried out last nobody knows."""
        call = refused()
        older = call.actions.only(act.RenewMedia)
        call.record.wic_takes_update = False
        relay_knows(call, call.on(call.ims_request("UPDATE", cseq=3, body=HOLD)))
        call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", call.record.gateway_cseq, 488))
        assert told(done(call, older)) == (40000, False, True)

    def test_one_that_is_under_way_is_told_when_it_is_settled(self) -> None:
        call = refused()
        older = call.actions.only(act.RenewMedia)
        ask = call.on(call.ims_request("INVITE", cseq=5, body=HOLD))
        assert done(call, older).names == []
        assert told(relay_knows(call, page_answers(call, ask, cseq_of(ask)))) == (40000, False, True)

    def test_another_node_has_no_part_in_it(self) -> None:
        call = refused()
        older = call.actions.only(act.RenewMedia)
        call.on(ev.NodeLost(NODE))
        moved(call)
        page_takes(call)
        assert done(call, older) == []
        assert not call.record.relay_behind


class TestIce:
    """The page has restarted ICE, and got 503 from a relay that was slow, not dead."""

    def told(self, ufrag: str, call: Call | None = None) -> tuple[Call, Actions]:
        """The relay knows what holds, and says by what it is known itself."""
        call = call or refused()
        line = sdp.relay_answer("audio").replace("a=ice-ufrag:relay1", f"a=ice-ufrag:{ufrag}")
        bearer = call.actions.only(act.RenewMedia).bearer
        return call, call.on(ev.MediaRenewed({"audio": ev.Renewed("", line)}, bearer))

    def test_one_that_the_page_does_not_know_begins_anew_with_it(self) -> None:
        call, actions = self.told("another")
        wait = actions.only(act.Schedule)
        assert (wait.due, wait.delay_s) == (ev.Due.ICE_RESTART, SETTINGS.ice_restart_s)
        assert call.on(ev.TimerFired(ev.Due.ICE_RESTART)).names == ["RestartIce"]

    def test_one_that_it_knows_goes_on(self) -> None:
        assert self.told("relay1")[1].names == []

    def test_a_page_that_restarts_it_again_meanwhile_is_left_alone(self) -> None:
        call, _ = self.told("another")
        restarts_itself(call)
        assert call.on(ev.TimerFired(ev.Due.ICE_RESTART)) == []

    def test_one_that_the_relay_has_not_taken_is_offered_once_it_works(self) -> None:
        """The page began anew because it had to; where it does not try again, nobody would."""
        call = running()
        refused = failed(call, call.on(call.wic_request("INVITE", cseq=7, body=RESTART)).only(act.RenewMedia))
        assert (refused.reply[0], waits(refused)) == (503, [SETTINGS.ice_restart_s])
        failed(call, refused.only(act.RenewMedia))
        assert waits(call.on(ev.TimerFired(ev.Due.ICE_RESTART))) == [LOOK_AGAIN_S]
        call.on(ev.TimerFired(ev.Due.TELL_RELAY))
        self.told("relay1", call)
        assert call.on(ev.TimerFired(ev.Due.ICE_RESTART)).names == ["RestartIce"]

    def test_so_is_one_that_the_core_has_agreed_to(self) -> None:
        call = running()
        asked(call, RESTART.replace("a=sendrecv", "a=sendonly"))
        answer = sdp.core_answer().replace("a=sendrecv", "a=recvonly")
        refused = failed(call, reply(call, 200, answer).only(act.RenewMedia))
        assert waits(refused) == [SETTINGS.ice_restart_s]
        failed(call, reply(call, 488).only(act.RenewMedia))
        call.on(ev.OwnRequestAnswered(Side.IMS, "INVITE", call.record.own_ims_offer, 488))
        call.on(ev.TimerFired(ev.Due.TELL_RELAY))
        self.told("relay1", call)
        assert call.on(ev.TimerFired(ev.Due.ICE_RESTART)).names == ["RestartIce"]

    def test_one_that_the_page_has_tried_again_is_not(self) -> None:
        call = running()
        failed(call, call.on(call.wic_request("INVITE", cseq=7, body=RESTART)).only(act.RenewMedia))
        self.told("relay1", call)
        restarts_itself(call)
        assert call.on(ev.TimerFired(ev.Due.ICE_RESTART)) == []

    def test_what_else_the_page_has_changed_in_vain_needs_none(self) -> None:
        call = running()
        asked(call)
        assert waits(failed(call, reply(call, 200, sdp.core_answer()).only(act.GateMedia))) == []

    def test_before_the_answer_there_is_nothing_to_restart(self) -> None:
        call = Call.forwarded(TWO_WAY)
        early = call.ims_reply(183, body=sdp.core_answer(), early_media="sendrecv")
        call.on(early)
        call.on(ev.MediaConnected(early.reply))
        failed(call, call.on(call.ims_reply(183, early_media="sendonly")).only(act.GateMedia))
        assert self.told("another", call)[1].names == []


def test_that_the_page_is_back_is_left_to_those_who_wait_for_it() -> None:
    """A page that does not answer and has its connection from before is given up."""
    call = refused()
    failed(call, call.actions.only(act.RenewMedia))
    call.on(ev.NodeLost(NODE))
    moved(call)
    call.on(ev.UpdateAnswered(408))
    call.on(ev.TimerFired(ev.Due.RECOVERY, flow_alive=False))
    for due in (ev.Due.TELL_RELAY, ev.Due.RECOVERY):
        is_new = call.record.connection_id != BACK.connection_id
        call.on(ev.TimerFired(due, successor=BACK if is_new else None))
    assert not call.record.ended
    assert call.actions.only(act.SendRequest).to is Side.WIC


def test_a_call_that_ended_meanwhile_is_told_no_more() -> None:
    call = refused()
    again = call.actions.only(act.RenewMedia)
    call.on(call.wic_request("BYE"))
    assert failed(call, again).names == ["ReleaseMedia"]


class TestAnotherNode:
    """The node is taken for dead."""

    def lost(self) -> Call:
        """A change was under way when it was."""
        call = Call.confirmed()
        change = call.on(call.ims_request("INVITE", body=MOVED)).only(act.ReofferFromIms)
        call.on(ev.NodeLost(NODE))
        assert failed(call, change).names == ["SendReply", "MoveMedia"]
        return call

    def test_one_that_is_back_is_told(self) -> None:
        call = self.lost()
        assert told(call.on(ev.MediaStays(call.actions.only(act.MoveMedia).bearer))) == (40000, True, True)

    def test_another_one_knows(self) -> None:
        call = self.lost()
        moved(call)
        assert page_takes(call).all(act.RenewMedia) == []
        assert call.on(ev.TimerFired(ev.Due.TELL_RELAY)) == []

    def test_a_gate_that_fails_after_the_move_is_no_end(self) -> None:
        call = offered()
        page_takes(call)
        recovery = call.record.recovery
        assert recovery is not None
        answer = call.ims_reply(200, cseq=recovery.core_cseq, body=HOLD).reply
        own = ev.OwnRequestAnswered(Side.IMS, "INVITE", recovery.core_cseq, 200, answer)
        gate = call.on(own).only(act.GateMedia)
        assert "ResumeInvite" not in failed(call, gate).names
        assert call.record.rejection is None


def test_a_gateway_that_was_restarted_meanwhile_tells_it() -> None:
    """What was due is lost with it."""
    call = refused()
    failed(call, call.actions.only(act.RenewMedia))
    assert revive(call.record)
    assert call.record.relay_behind


def test_of_a_call_towards_the_page_it_is_the_same() -> None:
    call = Incoming.confirmed()
    change = call.on(call.ims_request("INVITE", cseq=8, body=sdp.core_answer(port=43000))).only(
        act.ReofferFromIms
    )
    before = call.record.media[0].ims_answer
    back = call.on(ev.MediaFailed(MediaUnavailable("no"), None, change.bearer))
    (change_back,) = back.only(act.RenewMedia).media
    assert (change_back.ims_line, "43000" in change_back.ims_line) == (before, False)
