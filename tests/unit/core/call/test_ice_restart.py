"""A page whose connection was lost comes back, perhaps over another network: its ICE begins anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.renegotiation.ice_restart import RELAY_PAUSE_S
from kemi.core.call.renegotiation.own_offer import LOOK_AGAIN_S, MAX_ATTEMPTS
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Side
from kemi.core.registration import Flow
from kemi.core.sdp.text import sdp_from_text
from tests.peers.sdp import offer_again
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.ladder import SETTINGS, Actions, Call

NODE, NEW_PORT = "192.0.2.9:2223", 31200
BACK = Flow("8", "n", "192.0.2.77", "127.0.0.1:40777", "https://page.example")
DUE = ev.Due.ICE_RESTART
ERROR = MediaUnavailable("no such call")


def waits(actions: Actions) -> list[float]:
    """Return when ICE will be looked at."""
    return [one.delay_s for one in actions.all(act.Schedule) if one.due is DUE]


def lost(call: Call | Incoming) -> None:
    """The page's connection is gone, and there is another one a little later."""
    assert waits(call.on(ev.FlowClosed())) == [LOOK_AGAIN_S]
    assert waits(call.on(ev.TimerFired(DUE, flow_alive=False))) == [LOOK_AGAIN_S]
    assert waits(call.on(ev.TimerFired(DUE, successor=BACK))) == [SETTINGS.ice_restart_s]
    assert (call.record.connection_id, call.record.source) == (BACK.connection_id, BACK.source)


def restarted(call: Call | Incoming) -> act.SendRequest:
    """The page has had its time, and the relay begins; return what the page is sent."""
    action = call.on(ev.TimerFired(DUE)).only(act.RestartIce)
    given = {medium.kind: sdp.relay_answer(medium.kind, NEW_PORT) for medium in action.media}
    return call.on(ev.IceRestarted(given, action.bearer)).only(act.SendRequest)


def answered(call: Call | Incoming, status: int, retry_after_s: float | None = None) -> Actions:
    """The page answers our offer."""
    opened = call.record.exchange
    assert opened is not None
    body = ""
    if status == 200:
        body = sdp.page_answer(opened.wic_description).replace("a=ice-ufrag:page", "a=ice-ufrag:anew")
    if opened.method == "UPDATE":
        return call.on(ev.UpdateAnswered(status, body, retry_after_s, jitter=0.5))
    reply = call.wic_reply(status, method="INVITE", cseq=opened.cseq).reply
    reply.body, reply.content_type = body, "application/sdp" if body else ""
    return call.on(
        ev.OwnRequestAnswered(Side.WIC, "INVITE", opened.cseq, status, reply, retry_after_s, jitter=0.5)
    )


def goodbyes(actions: Actions) -> list[tuple[Side, str]]:
    """Return who is sent a BYE, with the cause that its Reason names."""
    byes = [one for one in actions.all(act.SendRequest) if one.method == "BYE"]
    return [(bye.to, "".join(bye.headers).partition("SIP;cause=")[2].partition(";")[0]) for bye in byes]


def restarts_itself(call: Call) -> None:
    """The page restarts ICE by a re-INVITE, over its new connection."""
    offer = offer_again(sdp.page_answer(call.record.wic_description), ice="fresh")
    call.on(call.wic_request("INVITE", cseq=20, body=offer, connection_id=BACK.connection_id))
    renew = call.actions.only(act.RenewMedia)
    renewed = {"audio": ev.Renewed(sdp.relay_offer("audio"), sdp.relay_answer("audio"))}
    call.on(ev.MediaRenewed(renewed, renew.bearer))
    call.on(call.wic_request("ACK", cseq=20, connection_id=BACK.connection_id))


def moves_later(actions: Actions) -> bool:
    """Whether all that is waited for is the next try to move the call to another node."""
    return [one.due for one in actions.all(act.Schedule)] == [ev.Due.RECOVERY]


def held(call: Call) -> act.ReofferFromIms:
    """The core holds the call, and the page takes it; return what the relay is told."""
    body = sdp.core_answer().replace("a=sendrecv", "a=inactive").replace("4711 1", "4711 2")
    asked = call.on(call.ims_request("INVITE", cseq=5, body=body)).only(act.ForwardRequest)
    number = asked.edits.cseq
    assert number is not None
    reply = call.wic_reply(200, method="INVITE", cseq=number).reply
    reply.body, reply.content_type = sdp.page_answer(asked.edits.body or ""), "application/sdp"
    return call.on(ev.WicReply(reply)).only(act.ReofferFromIms)


class TestTheWay:
    """Nothing goes wrong."""

    @pytest.mark.parametrize("make", [Call.confirmed, Incoming.confirmed])
    def test_the_page_is_offered_what_it_has_with_another_ice(
        self, make: Callable[[], Call | Incoming]
    ) -> None:
        call = make()
        before = sdp_from_text(call.record.wic_description)
        lost(call)
        offer = restarted(call)
        assert offer.to is Side.WIC
        lines = sdp_from_text(offer.body).media
        fresh = sdp_from_text(sdp.relay_answer("audio", NEW_PORT)).media[0]
        for line, old in zip(lines, before.media, strict=True):
            assert (line.port, line.ice_ufrag, line.ice_pwd) == (NEW_PORT, fresh.ice_ufrag, fresh.ice_pwd)
            assert (line.mid, line.direction, line.formats, line.codecs) == (
                old.mid,
                old.direction,
                old.formats,
                old.codecs,
            )
            assert line.setup == "actpass"

    @pytest.mark.parametrize("make", [Call.confirmed, Incoming.confirmed])
    def test_the_relay_works_with_the_answer_and_the_core_hears_nothing(
        self, make: Callable[[], Call | Incoming]
    ) -> None:
        call = make()
        version = call.record.ims_version
        lost(call)
        restarted(call)
        done = answered(call, 200)
        join = done.only(act.ReofferFromIms)
        (medium,) = join.media
        assert sdp_from_text(medium.wic_line).media[0].ice_ufrag == "anew"
        assert medium.wic_line == call.record.media[0].wic_offer
        assert call.on(ev.ImsReoffered({}, join.bearer)).names == []
        assert call.record.exchange is None
        assert not call.record.ice_before
        assert call.record.ims_version == version
        assert not any(one.to is Side.IMS for one in done.all(act.SendRequest))

    def test_video_that_the_page_refuses_with_it_is_given_back(self) -> None:
        call = Call.confirmed(body=sdp.chromium("av-sendrecv"))
        lost(call)
        offer = restarted(call).body
        video = tuple(line.mid or "" for line in sdp_from_text(offer).media if line.kind == "video")
        done = call.on(ev.UpdateAnswered(200, sdp.page_answer(offer, refuse=video)))
        assert [medium.kind for medium in done.only(act.ReofferFromIms).media] == ["audio"]
        assert done.only(act.ReleaseMedia).kinds == ("video",)

    def test_a_page_without_update_gets_an_invite_and_its_ack(self) -> None:
        call = Call.confirmed()
        call.record.wic_takes_update = False
        lost(call)
        assert restarted(call).method == "INVITE"
        done = answered(call, 200)
        assert done.only(act.SendRequest).method == "ACK"
        assert done.only(act.ReofferFromIms)

    def test_a_page_that_is_lost_again_right_after_it_restarted_ice_is_offered_it_again(self) -> None:
        call = Call.confirmed()
        lost(call)
        restarts_itself(call)
        call.on(ev.FlowClosed())
        assert call.on(ev.TimerFired(DUE)).only(act.RestartIce)

    def test_a_request_over_the_new_connection_says_that_the_page_is_back(self) -> None:
        call = Call.confirmed()
        call.on(ev.FlowClosed())
        assert waits(call.on(call.wic_request("INFO", connection_id="8"))) == [SETTINGS.ice_restart_s]
        assert call.on(ev.TimerFired(DUE)).only(act.RestartIce)

    def test_a_page_that_was_lost_before_it_could_acknowledge_an_offer_of_its_own(self) -> None:
        """Whoever lost our 2xx, or its ACK, sends neither again."""
        call = Call.confirmed()
        offer = offer_again(sdp.page_answer(call.record.wic_description), ice="fresh")
        renew = call.on(call.wic_request("INVITE", cseq=20, body=offer)).only(act.RenewMedia)
        renewed = {"audio": ev.Renewed(sdp.relay_offer("audio"), sdp.relay_answer("audio"))}
        assert call.on(ev.MediaRenewed(renewed, renew.bearer)).only(act.SendReply).status == 200
        lost(call)
        assert call.on(ev.TimerFired(DUE)).only(act.RestartIce)


class TestNoNeed:
    """Nothing is offered."""

    def test_a_page_that_restarts_ice_itself(self) -> None:
        call = Call.confirmed()
        lost(call)
        restarts_itself(call)
        assert call.on(ev.TimerFired(DUE)) == []
        assert not call.record.ice_before

    def test_many_that_lose_their_connections_at_once(self) -> None:
        assert waits(Call.confirmed().on(ev.FlowClosed(with_many=True))) == []

    def test_a_site_that_does_not_want_it(self) -> None:
        call = Call.confirmed()
        call.settings = replace(SETTINGS, ice_restart_s=0.0)
        assert waits(call.on(ev.FlowClosed())) == []

    def test_a_page_whose_line_has_a_transport_of_its_own(self) -> None:
        call = Call.confirmed()
        call.record.media[0].reverse_answer = "v=0\r\n"
        assert waits(call.on(ev.FlowClosed())) == []

    def test_a_call_that_a_restart_of_the_gateway_has_left(self) -> None:
        call = Call.confirmed()
        call.record.connection_id = ""
        assert waits(call.on(ev.FlowClosed())) == []

    def test_but_for_one_whose_page_has_come_from_another_gateway(self) -> None:
        call = Call.confirmed()
        call.record.connection_id = ""
        assert waits(call.on(ev.FlowClosed(came_here=True))) == [LOOK_AGAIN_S]

    def test_a_call_that_moves_to_another_node(self) -> None:
        call = Call.confirmed()
        lost(call)
        call.on(ev.NodeLost(NODE))
        assert call.on(ev.TimerFired(DUE)).all(act.RestartIce) == []

    def test_a_call_that_is_over(self) -> None:
        call = Call.confirmed()
        lost(call)
        call.on(call.wic_request("BYE"))
        assert call.on(ev.TimerFired(DUE)) == []


class TestTrouble:
    """What may go wrong."""

    def test_it_waits_for_another_offer(self) -> None:
        call = Call.confirmed()
        lost(call)
        call.on(call.ims_request("INVITE", cseq=5, body=sdp.core_answer(port=41000)))
        assert waits(call.on(ev.TimerFired(DUE))) == [LOOK_AGAIN_S]

    @pytest.mark.parametrize(("status", "retry_after_s", "pause_s"), [(491, None, 1.0), (500, 3.0, 3.0)])
    def test_a_page_that_is_busy_is_asked_again(
        self, status: int, retry_after_s: float | None, pause_s: float
    ) -> None:
        call = Call.confirmed()
        lost(call)
        restarted(call)
        assert waits(answered(call, status, retry_after_s)) == [pause_s]
        assert call.record.exchange is None
        restarted(call)
        assert answered(call, 200).only(act.ReofferFromIms)

    def test_not_for_ever(self) -> None:
        call = Call.confirmed()
        lost(call)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            restarted(call)
            assert bool(waits(answered(call, 491))) is (attempt < MAX_ATTEMPTS)
        assert goodbyes(call.actions) == [(Side.IMS, "491"), (Side.WIC, "491")]

    @pytest.mark.parametrize("status", [408, 488, 501])
    def test_a_page_that_refuses_has_lost_its_media_and_is_told(self, status: int) -> None:
        """The relay has forgotten its former credentials: the call would be up and silent."""
        call = Call.confirmed()
        lost(call)
        for _ in range(MAX_ATTEMPTS if status == 408 else 1):
            restarted(call)
            answered(call, status)
        assert goodbyes(call.actions) == [(Side.IMS, str(status)), (Side.WIC, str(status))]
        assert call.actions.all(act.Note)[0].fields["status"] == status
        assert call.actions.only(act.ReleaseMedia)

    def test_a_page_that_does_not_know_the_call_ends_it(self) -> None:
        call = Call.confirmed()
        lost(call)
        restarted(call)
        (bye,) = answered(call, 481).all(act.SendRequest)
        assert (bye.to, bye.method) == (Side.IMS, "BYE")

    def test_a_relay_that_cannot_is_asked_again(self) -> None:
        call = Call.confirmed(body=sdp.chromium("av-sendrecv"))
        lost(call)
        action = call.on(ev.TimerFired(DUE)).only(act.RestartIce)
        assert waits(call.on(ev.MediaFailed(ERROR, bearer=action.bearer))) == [RELAY_PAUSE_S]
        restarted(call)
        join = answered(call, 200).only(act.ReofferFromIms)
        assert waits(call.on(ev.MediaFailed(ERROR, bearer=join.bearer))) == [RELAY_PAUSE_S]
        restarted(call)
        join = answered(call, 200).only(act.ReofferFromIms)
        assert call.on(ev.ImsReoffered({}, join.bearer)).names == []
        assert (call.record.update_attempts, call.record.ice_before) == (0, "")

    def test_a_relay_that_never_can_ends_the_call(self) -> None:
        call = Call.confirmed()
        lost(call)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            action = call.on(ev.TimerFired(DUE)).only(act.RestartIce)
            failed = call.on(ev.MediaFailed(ERROR, bearer=action.bearer))
            assert bool(waits(failed)) is (attempt < MAX_ATTEMPTS)
        assert goodbyes(failed) == [(Side.IMS, "503"), (Side.WIC, "503")]

    def test_a_node_that_died_meanwhile_leaves_it_to_the_move(self) -> None:
        call = Call.confirmed()
        lost(call)
        action = call.on(ev.TimerFired(DUE)).only(act.RestartIce)
        call.on(ev.MediaFailed(ERROR, bearer=action.bearer))
        call.on(ev.NodeLost(NODE))
        assert waits(call.on(ev.TimerFired(DUE))) == []
        assert not call.record.ended

    def test_a_relay_that_fails_keeps_the_wake_up_of_a_call_that_moves(self) -> None:
        """Both have one place (kemi/state/schedule.py): a call whose page is away has nothing else to move it."""
        call = Call.confirmed()
        lost(call)
        action = call.on(ev.TimerFired(DUE)).only(act.RestartIce)
        call.on(ev.FlowClosed())
        assert moves_later(call.on(ev.NodeLost(NODE, flow_alive=False)))
        failed = call.on(ev.MediaFailed(ERROR, bearer=action.bearer))
        assert failed.all(act.Schedule) == []
        assert call.on(ev.TimerFired(ev.Due.RECOVERY)).only(act.MoveMedia)

    def test_so_does_one_that_fails_to_join_while_no_other_takes_the_call(self) -> None:
        call = Call.confirmed()
        lost(call)
        restarted(call)
        join = answered(call, 200).only(act.ReofferFromIms)
        move = call.on(ev.NodeLost(NODE)).only(act.MoveMedia)
        assert moves_later(call.on(ev.MediaFailed(ERROR, bearer=move.bearer)))
        assert call.on(ev.MediaFailed(ERROR, bearer=join.bearer)).all(act.Schedule) == []
        assert call.on(ev.TimerFired(ev.Due.RECOVERY)).only(act.MoveMedia)

    def test_and_a_page_that_does_not_answer(self) -> None:
        call = Call.confirmed()
        lost(call)
        restarted(call)
        call.on(ev.FlowClosed())
        assert moves_later(call.on(ev.NodeLost(NODE, flow_alive=False)))
        assert answered(call, 408).all(act.Schedule) == []
        assert call.on(ev.TimerFired(ev.Due.RECOVERY)).only(act.MoveMedia)

    def test_a_call_that_stays_is_looked_at_whichever_came_first(self) -> None:
        call = Call.confirmed()
        lost(call)
        move = call.on(ev.NodeLost(NODE)).only(act.MoveMedia)
        assert call.on(ev.TimerFired(DUE)) == []
        assert waits(call.on(ev.MediaStays(move.bearer))) == [LOOK_AGAIN_S]
        assert call.on(ev.TimerFired(DUE)).only(act.RestartIce)

    @pytest.mark.parametrize("order", ["the hold first", "the hold last"])
    def test_a_hold_that_the_relay_has_perhaps_carried_out_before_is_told_again(self, order: str) -> None:
        """The command that lets it work with the page's answer opens what a later one has closed."""
        call = Call.confirmed(body=sdp.chromium("audio-sendrecv"))
        lost(call)
        restarted(call)
        join = answered(call, 200).only(act.ReofferFromIms)
        assert [(one.wic_to_ims, one.ims_to_wic) for one in join.media] == [(True, True)]
        done = [held(call), join]
        for one in done if order == "the hold first" else reversed(done):
            assert call.actions.all(act.RenewMedia) == []
            call.on(ev.ImsReoffered({"audio": sdp.relay_offer("audio")}, one.bearer))
        (told,) = call.actions.only(act.RenewMedia).media
        assert (told.wic_to_ims, told.ims_to_wic) == (False, False)

    def test_an_answer_that_makes_no_sense(self) -> None:
        call = Call.confirmed()
        lost(call)
        restarted(call)
        assert goodbyes(call.on(ev.UpdateAnswered(200, "rubbish"))) == [(Side.IMS, "488"), (Side.WIC, "488")]

    def test_a_call_that_ends_while_the_relay_is_at_it(self) -> None:
        call = Call.confirmed()
        lost(call)
        action = call.on(ev.TimerFired(DUE)).only(act.RestartIce)
        call.on(call.wic_request("BYE"))
        given = {"audio": sdp.relay_answer("audio", NEW_PORT)}
        assert call.on(ev.IceRestarted(given, action.bearer)).names == ["ReleaseMedia"]


@pytest.mark.parametrize(("how", "delay_s"), [(Call.confirmed, 1.0), (Incoming.confirmed, 3.05)])
def test_who_made_the_call_id_waits_longer_after_glare(
    how: Callable[[], Call | Incoming], delay_s: float
) -> None:
    """RFC 3261 §14.1; of a call towards the page that is the gateway."""
    call = how()
    lost(call)
    restarted(call)
    assert waits(answered(call, 491)) == [pytest.approx(delay_s)]
