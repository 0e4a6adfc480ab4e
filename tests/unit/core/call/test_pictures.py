"""When a whole picture is asked for (RFC 5168, RFC 4585)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Side
from tests.unit.core.call.incoming_ladder import KEY, Incoming, invite, offer
from tests.unit.core.call.ladder import Actions

PICTURE = (
    '<?xml version="1.0" encoding="utf-8"?>\r\n<media_control><vc_primitive><to_encoder>'
    "<picture_fast_update{}></to_encoder></vc_primitive></media_control>"
)
OTHER = "<media_control><general_error>x</general_error></media_control>"


def info(call: Incoming, body: str, content_type: str = "application/media_control+xml") -> ev.ImsRequest:
    """INFO of the core."""
    event = call.ims_request("INFO", body=body)
    return replace(event, request=replace(event.request, content_type=content_type))


def video_call() -> Incoming:
    """A call with video, answered and acknowledged."""
    return Incoming.confirmed(invite(offer(video=True)))


def test_both_ends_are_asked_once_when_the_caller_acknowledges() -> None:
    call = video_call()
    node = call.record.node
    assert call.actions.only(act.RequestKeyFrames) == act.RequestKeyFrames(KEY, node, True, True)
    assert call.on(call.ims_request("ACK", cseq=5)).all(act.RequestKeyFrames) == []
    assert Incoming.confirmed().actions.all(act.RequestKeyFrames) == []


@pytest.mark.parametrize("form", ["/", " /", "></picture_fast_update"])
def test_info_of_the_core_is_answered_here_and_asks_the_page(form: str) -> None:
    call = video_call()
    actions = call.on(info(call, PICTURE.format(form)))
    assert actions.reply[0] == 200
    assert actions.only(act.RequestKeyFrames) == act.RequestKeyFrames(KEY, call.record.node, True, False)
    assert actions.all(act.ForwardRequest) == []


def test_a_call_without_video_has_no_picture() -> None:
    call = Incoming.confirmed()
    assert call.on(info(call, PICTURE.format("/"))).names == ["SendReply"]


def test_other_media_control_is_not_for_browsers_either() -> None:
    call = video_call()
    assert call.on(info(call, OTHER)).reply[0] == 415


def test_other_info_goes_on() -> None:
    call = video_call()
    forward = call.on(info(call, "Signal=5", "application/dtmf-relay")).only(act.ForwardRequest)
    assert forward.to is Side.WIC


def asked(actions: Actions) -> list[act.SendRequest]:
    """What asks the far end by INFO."""
    return [one for one in actions.all(act.SendRequest) if (one.to, one.method) == (Side.IMS, "INFO")]


def test_a_far_end_that_accepts_media_control_is_asked_by_info_once() -> None:
    accept = {"Accept": ["application/sdp, application/media_control+xml"]}
    call = Incoming.confirmed(invite(offer(video=True), accept))
    (info_of_ours,) = asked(call.actions)
    assert "Content-Type: application/media_control+xml" in info_of_ours.headers
    assert "<picture_fast_update/>" in info_of_ours.body
    assert not asked(call.on(call.ims_request("ACK", cseq=5)))
    assert not asked(Incoming.confirmed(invite(headers=accept)).actions)


def test_one_that_has_not_shown_that_it_knows_is_not() -> None:
    call = video_call()
    assert not asked(call.actions)
    call.on(info(call, PICTURE.format("/")))
    leg = call.record.legs[call.record.confirmed_tag]
    assert leg.takes_media_control
