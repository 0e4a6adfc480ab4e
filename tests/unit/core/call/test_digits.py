"""Digits of a page: the relay is told with the first one, and what the page sends itself is minded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.events import Continuation
from kemi.core.call.record import Exchange, Offerer
from kemi.core.errors import MediaUnavailable
from kemi.core.sdp.model import Direction
from tests.unit.core.call.ladder import Actions, Call

RELAY = {"Content-Type": ["application/dtmf-relay"]}
OPUS_LINE = (
    "m=audio 40000 RTP/AVP 111 110\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:110 telephone-event/48000\r\n"
)


def press(call: Call, cseq: int) -> Actions:
    """Let the page press a key."""
    event = call.wic_request("INFO", cseq=cseq, headers=RELAY, body="Signal=5\r\n")
    return call.on(replace(event, request=replace(event.request, content_type="application/dtmf-relay")))


def confirmed(*, same_codec: bool = False) -> Call:
    """Return a call whose far end takes telephone-events."""
    call = Call.confirmed()
    medium = call.record.media[0]
    line = (
        OPUS_LINE
        if same_codec
        else ("m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n")
    )
    head = medium.ims_answer.partition("m=")[0]
    medium.ims_answer = call.record.ims_description = head + line
    return call


def renewed(call: Call, actions: Actions) -> Actions:
    """Say that the relay is ready."""
    then = actions.only(act.RenewMedia).bearer
    assert isinstance(then, Continuation)
    return call.on(ev.MediaRenewed({}, then))


def test_the_relay_is_told_once() -> None:
    call = confirmed()
    first = press(call, 12)
    assert first.names == ["RenewMedia"]
    assert first.only(act.RenewMedia).terms == act.MediaTerms("", digits=True)
    assert renewed(call, first).only(act.PlayDigits).digits == "5"
    assert press(call, 13).names == ["PlayDigits"]


def refused(call: Call, actions: Actions) -> Actions:
    """Say that the relay is not."""
    then = actions.only(act.RenewMedia).bearer
    assert isinstance(then, Continuation)
    return call.on(ev.MediaFailed(MediaUnavailable("no answer"), None, then))


def test_a_relay_that_could_not_be_told_is_told_with_the_next_one() -> None:
    """It would say ok to digits that nobody hears."""
    call = confirmed()
    assert refused(call, press(call, 12)).reply[0] == 480
    again = press(call, 13)
    assert not again.only(act.RenewMedia).new_encoder
    assert renewed(call, again).names == ["PlayDigits"]
    call.on(ev.PageSentEvents())
    assert refused(call, press(call, 14)).reply[0] == 480
    assert press(call, 15).only(act.RenewMedia).new_encoder


def test_after_events_of_the_page_it_is_told_again_with_a_new_encoder() -> None:
    call = confirmed()
    renewed(call, press(call, 12))
    call.on(ev.PageSentEvents())
    again = press(call, 13)
    assert again.only(act.RenewMedia).new_encoder
    assert renewed(call, again).names == ["PlayDigits"]
    assert press(call, 14).names == ["PlayDigits"]


def test_with_one_codec_at_both_ends_they_are_refused_then() -> None:
    call = confirmed(same_codec=True)
    assert renewed(call, press(call, 12)).names == ["PlayDigits"]
    call.on(ev.PageSentEvents())
    assert press(call, 13).reply == (480, "Temporarily Unavailable")
    assert press(call, 14).reply == (480, "Temporarily Unavailable")


@pytest.mark.parametrize("same_codec", [False, True])
def test_a_relay_that_keeps_them_apart_plays_on(same_codec: bool) -> None:
    call = confirmed(same_codec=same_codec)
    apart = frozenset({call.record.node})
    call.settings = replace(call.settings, nodes_with_digits_after_events=apart)
    assert renewed(call, press(call, 12)).names == ["PlayDigits"]
    call.on(ev.PageSentEvents())
    assert press(call, 13).names == ["PlayDigits"]


@pytest.mark.parametrize("same_codec", [False, True])
def test_while_the_session_changes_the_relay_is_not_told(same_codec: bool) -> None:
    """Where it transcodes it can play events all the same."""
    call = confirmed(same_codec=same_codec)
    call.record.exchange = Exchange(Offerer.WIC, "INVITE", 2)
    assert press(call, 13).names == (["SendReply"] if same_codec else ["PlayDigits"])
    call.record.exchange = None
    assert press(call, 14).names == ["RenewMedia"]


def test_a_far_end_without_events_has_a_relay_that_is_ready() -> None:
    call = confirmed()
    medium = call.record.media[0]
    medium.ims_answer = call.record.ims_description = medium.ims_answer.partition("a=rtpmap:101")[0].replace(
        " 101", ""
    )
    (played,) = press(call, 12).all(act.PlayDigits)
    assert (played.event_clock_hz, played.settle) == (None, False)


@pytest.mark.parametrize("direction", [Direction.SENDONLY, Direction.INACTIVE])
def test_a_far_end_that_holds_the_call_is_sent_no_digits(direction: Direction) -> None:
    call = confirmed()
    call.record.media[0].ims_direction = direction
    assert press(call, 12).reply == (480, "Temporarily Unavailable")
    assert not call.actions.all(act.PlayDigits)
    assert any("on hold" in line for line in call.actions.only(act.SendReply).headers)


@pytest.mark.parametrize("direction", list(Direction))
def test_so_it_is_where_the_page_itself_keeps_the_call_quiet(direction: Direction) -> None:
    call = confirmed()
    call.record.media[0].wic_direction = direction
    refused = press(call, 12).all(act.SendReply)
    assert [reply.status for reply in refused] == ([] if direction.sends else [480])


@pytest.mark.parametrize(("early", "status"), [("sendonly", 480), ("inactive", 480), ("sendrecv", 0)])
def test_an_announcement_before_the_answer_hears_no_digits(early: str, status: int) -> None:
    call = confirmed()
    call.record.early_gates = [early]
    pressed = press(call, 12)
    assert [reply.status for reply in pressed.all(act.SendReply)] == ([status] if status else [])
