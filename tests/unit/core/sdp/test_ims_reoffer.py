"""What IMS is offered when a running session changes, and its answer (RFC 3264 §8)."""

from __future__ import annotations

import pytest

from kemi.core.errors import GatewayError, MediaUnavailable
from kemi.core.sdp.interwork.ims import MISSING
from kemi.core.sdp.interwork.ims_reoffer import as_offer, ims_answer_lines, ims_offer_again, is_answer
from kemi.core.sdp.model import Direction, Origin
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Call

ORIGIN = Origin(1001, 2, "192.0.2.1")
CURRENT = sdp_from_text(Call.confirmed(body=sdp.chromium("av-sendrecv")).record.ims_description)
BOTH = {0: Direction.SENDRECV, 1: Direction.SENDRECV}


@pytest.mark.parametrize("direction", [pytest.param(one, id=one.value) for one in Direction])
def test_only_the_direction_changes(direction: Direction) -> None:
    offer = ims_offer_again(CURRENT, {**BOTH, 0: direction}, ORIGIN)
    old, new = CURRENT.media[0], offer.media[0]
    assert new.lines == tuple(f"a={direction}" if line == "a=sendrecv" else line for line in old.lines)
    assert offer.media[1].lines == CURRENT.media[1].lines
    assert sdp_to_text(offer).splitlines()[1] == "o=- 1001 2 IN IP4 192.0.2.1"


def test_what_is_off_keeps_its_place() -> None:
    offer = ims_offer_again(CURRENT, {0: Direction.SENDRECV}, ORIGIN)
    assert [(line.kind, line.port) for line in offer.media] == [
        ("audio", CURRENT.media[0].port),
        ("video", 0),
    ]


@pytest.mark.parametrize(
    "place", [pytest.param(1, id="in its old place"), pytest.param(2, id="after the others")]
)
def test_what_is_added(place: int) -> None:
    added = {place: sdp.relay_offer("video", 40000)}
    offer = ims_offer_again(CURRENT, {0: Direction.SENDRECV, place: Direction.SENDONLY}, ORIGIN, added)
    assert len(offer.media) == max(2, place + 1)
    line = offer.media[place]
    assert (line.kind, line.port, line.direction) == ("video", 40000, Direction.SENDONLY)


def test_audio_is_added_in_the_operators_order() -> None:
    offer = ims_offer_again(
        CURRENT, {0: Direction.SENDRECV}, ORIGIN, {0: sdp.relay_offer("audio")}, ("PCMU", "opus")
    )
    assert [codec.name for codec in offer.media[0].codecs][:2] == ["pcmu", "opus"]


def test_a_relay_without_a_port_is_no_offer() -> None:
    with pytest.raises(MediaUnavailable):
        ims_offer_again(CURRENT, BOTH, ORIGIN, {1: sdp.relay_offer("video", 0)})


def test_the_answer_is_read_by_place() -> None:
    answers = ims_answer_lines(
        sdp_to_text(CURRENT), sdp.core_answer("audio", "video", refuse=("video",)), {"audio": 0, "video": 1}
    )
    assert answers["audio"].direction is Direction.SENDRECV
    assert answers["video"].sdp is None
    answers = ims_answer_lines(sdp_to_text(CURRENT), sdp.core_answer("audio"), {"audio": 0, "video": 1})
    assert answers["video"] == MISSING


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("", id="empty"),
        pytest.param("hello", id="no description"),
        pytest.param(sdp.core_answer("video"), id="the first line left out"),
        pytest.param(sdp.core_answer("video", "audio"), id="another order"),
        pytest.param(sdp.core_answer("audio", "video", "video"), id="more lines"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(answer: str) -> None:
    with pytest.raises(GatewayError) as caught:
        ims_answer_lines(sdp_to_text(CURRENT), answer, {"audio": 0, "video": 1})
    assert caught.value.status == 400


def test_what_only_an_answer_says_is_not_offered() -> None:
    """RFC 3312 §11, RFC 5939 §3.6."""
    text = sdp_to_text(CURRENT)
    answers = ("curr:qos local sendrecv", "des:qos mandatory local sendrecv", "conf:qos remote sendrecv")
    told = text + "".join(f"a={line}\r\n" for line in (*answers, "acfg:1 t=1"))
    assert (is_answer(text), is_answer(told)) == (False, True)
    again = as_offer(sdp_from_text(told), ORIGIN)
    assert [line.lines for line in again.media] == [line.lines for line in CURRENT.media]
    assert again.session_connection == CURRENT.session_connection
    held = ims_offer_again(sdp_from_text(told), {**BOTH, 1: Direction.SENDONLY}, ORIGIN)
    assert not is_answer(sdp_to_text(held))
