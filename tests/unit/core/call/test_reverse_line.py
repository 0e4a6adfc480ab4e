"""One-way pages without early UPDATE: the stream of the far end is offered once they have acknowledged."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.record import CallRecord
from kemi.core.call.states import Dialog
from kemi.core.messages import Reply, Side
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import NO_100REL, Actions, Call

SIP_JS = {"Allow": ["INVITE, ACK, CANCEL, BYE"], "Supported": ["outbound"]}
SIP_JS_100REL = {"Allow": ["INVITE, ACK, CANCEL, BYE"], "Supported": ["100rel"]}
JSSIP = NO_100REL
AUDIO, AV = sdp.chromium("audio-sendonly"), sdp.chromium("av-sendonly")


def acknowledged(
    headers: dict[str, list[str]], body: str = AUDIO, answer: str | None = None
) -> tuple[Call, Actions]:
    """A call of such a page, and what its ACK leads to."""
    call = Call.offered(body, headers)
    call.reserved()
    if headers is SIP_JS_100REL:
        call.on(call.prack(1))
        call.on(ev.InviteResumed())
    kinds = [medium.kind for medium in call.record.media]
    call.answer(body=answer or sdp.core_answer(*kinds))
    return call, call.on(call.wic_request("ACK", cseq=1))


def answered(call: Call, status: int, body: str = "") -> Actions:
    """The page answers our offer."""
    if call.record.exchange is not None and call.record.exchange.method == "UPDATE":
        return call.on(ev.UpdateAnswered(status, body))
    cseq = call.record.gateway_cseq
    reply = Reply(Side.WIC, "INVITE", "call-1", "ours", "page", cseq, body=body, status=status)
    return call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", cseq, status, reply))


def audio(record: CallRecord) -> tuple[Direction, bool, int | None]:
    """Where the page's audio stands: direction, whether a stream is still wanted, its line."""
    (medium,) = [medium for medium in record.media if medium.kind == "audio"]
    return medium.wic_direction, medium.reverse_wanted, medium.reverse_line


@pytest.mark.parametrize("headers", [SIP_JS, SIP_JS_100REL, JSSIP])
def test_the_call_goes_to_the_core_at_once_and_both_ways(headers: dict[str, list[str]]) -> None:
    call = Call.offered(AUDIO, headers)
    actions = call.reserved()
    gate = actions.only(act.GateMedia)
    assert gate.media == (act.MediumGate("audio", wic_to_ims=True, ims_to_wic=False),)
    assert actions.names.index("GateMedia") < actions.names.index("SendReply")
    if headers is SIP_JS_100REL:
        call.on(call.prack(1))
        actions = call.on(ev.InviteResumed())
    offer = sdp_from_text(actions.only(act.ForwardInvite).edits.body or "")
    assert [line.direction for line in offer.media] == [Direction.SENDRECV]


@pytest.mark.parametrize(
    ("headers", "method", "directions"),
    [
        pytest.param(SIP_JS, "INVITE", ["sendrecv"], id="its own line is turned"),
        pytest.param(SIP_JS_100REL, "INVITE", ["sendrecv"], id="with 100rel too"),
        pytest.param(JSSIP, "UPDATE", ["recvonly", "sendonly"], id="it gets a line"),
    ],
)
def test_after_its_ack(headers: dict[str, list[str]], method: str, directions: list[str]) -> None:
    call, actions = acknowledged(headers)
    sent = actions.only(act.SendRequest)
    assert (sent.to, sent.method) == (Side.WIC, method)
    assert [line.direction.value for line in sdp_from_text(sent.body).media] == directions
    gate = answered(call, 200, sdp.page_answer(sent.body)).only(act.GateMedia)
    assert gate.media == (act.MediumGate("audio", wic_to_ims=True, ims_to_wic=True),)
    line = 1 if method == "UPDATE" else None
    assert audio(call.record) == (Direction.SENDRECV, False, line)


@pytest.mark.parametrize("headers", [SIP_JS, JSSIP])
def test_a_page_that_refuses_keeps_its_one_way_call(headers: dict[str, list[str]]) -> None:
    call, _ = acknowledged(headers)
    assert answered(call, 488).names == []
    assert call.record.dialog is Dialog.CONFIRMED
    assert audio(call.record) == (Direction.SENDONLY, False, None)


def test_a_page_that_switches_the_new_line_off_keeps_its_one_way_call() -> None:
    call, actions = acknowledged(JSSIP)
    body = sdp.page_answer(actions.only(act.SendRequest).body, refuse=("r0",))
    gate = answered(call, 200, body).only(act.GateMedia)
    assert gate.media == (act.MediumGate("audio", wic_to_ims=True, ims_to_wic=False),)
    assert audio(call.record) == (Direction.SENDONLY, False, None)


def test_the_place_of_a_line_that_was_switched_off_is_used_anew() -> None:
    """RFC 8829 §5.2.2: under another mid."""
    call, actions = acknowledged(JSSIP)
    told = sdp.page_answer(actions.only(act.SendRequest).body, refuse=("r0",))
    of_core = answered(call, 200, told).all(act.SendRequest)[0]
    assert call.record.exchange is not None
    call.on(ev.OwnRequestAnswered(Side.IMS, of_core.method, call.record.exchange.cseq, 488))
    call.record.media[0].reverse_wanted = True
    again = call.on(ev.TimerFired(ev.Due.TELL_PAGE)).only(act.SendRequest).body
    offer = sdp_from_text(again)
    assert [(line.mid, line.direction) for line in offer.media] == [("0", "recvonly"), ("r1", "sendonly")]
    assert offer.bundle_groups == (("0", "r1"),)
    answered(call, 200, sdp.page_answer(again))
    assert audio(call.record) == (Direction.SENDRECV, False, 1)


@pytest.mark.parametrize("headers", [SIP_JS, JSSIP])
def test_after_glare_it_is_offered_again(headers: dict[str, list[str]]) -> None:
    call, first = acknowledged(headers)
    assert answered(call, 491).only(act.Schedule).due is ev.Due.TELL_PAGE
    again = call.on(ev.TimerFired(ev.Due.TELL_PAGE)).only(act.SendRequest)
    one, two = (sdp_from_text(body) for body in (first.only(act.SendRequest).body, again.body))
    assert [line.lines for line in one.media] == [line.lines for line in two.media]


def test_lines_with_a_transport_each_are_told_to_the_relay() -> None:
    call, actions = acknowledged(JSSIP, AV)
    offer = actions.only(act.SendRequest).body
    assert [line.direction.value for line in sdp_from_text(offer).media] == [
        "recvonly",
        "recvonly",
        "sendonly",
        "sendonly",
    ]
    first = answered(call, 200, sdp.page_answer(offer)).only(act.AcceptReverse)
    assert first.media[0].reverse_answer is not None
    renew = call.on(ev.ReverseAccepted(first.bearer)).only(act.RenewMedia)
    assert renew.media[0].reverse_line == first.media[0].reverse_answer


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "the relay is being told"])
@pytest.mark.parametrize("moved", [False, True], ids=["as before", "from elsewhere"])
def test_what_the_far_end_wants_meanwhile_counts_when_the_relay_is_ready(moved: bool, settled: bool) -> None:
    """Nothing is open while the relay is at it, and the far end is handled by another process."""
    call, actions = acknowledged(JSSIP, AV)
    accept = answered(call, 200, sdp.page_answer(actions.only(act.SendRequest).body)).only(act.AcceptReverse)
    assert [line.kind for line in accept.media] == ["audio", "video"]
    hold = sdp.core_answer("audio", "video", port=41000 if moved else 40000).replace(
        "sendrecv", "sendonly", 1
    )
    asked = call.on(call.ims_request("INVITE", body=hold)).only(act.ForwardRequest).edits
    reply = call.wic_reply(200, method="INVITE", cseq=asked.cseq or 0)
    reply.reply.body, reply.reply.content_type = sdp.page_answer(asked.body or ""), "application/sdp"
    told = call.on(reply).only(act.ReofferFromIms)
    if settled:
        call.on(ev.ImsReoffered({kind: sdp.relay_offer(kind) for kind in ("audio", "video")}, told.bearer))
    assert (call.record.exchange is None) is settled
    renew = call.on(ev.ReverseAccepted(accept.bearer)).only(act.RenewMedia)
    assert [change.ims_line for change in renew.media] == [change.ims_line for change in told.media]
    assert [(change.wic_to_ims, change.ims_to_wic) for change in renew.media] == [(False, True), (True, True)]
    assert call.on(ev.MediaRenewed({}, renew.bearer)).only(act.GateMedia).media == (
        act.MediumGate("audio", wic_to_ims=False, ims_to_wic=True),
        act.MediumGate("video", wic_to_ims=True, ims_to_wic=True),
    )


def test_our_offer_to_the_core_that_is_answered_meanwhile_counts_as_well() -> None:
    """The page wants less in its answer, which the core is told at once."""
    call, actions = acknowledged(JSSIP, AV)
    head, line, rest = sdp.page_answer(actions.only(act.SendRequest).body).partition("m=audio")
    taken = answered(call, 200, head + line + rest.replace("a=sendonly", "a=inactive", 1))
    accept, sent = taken.only(act.AcceptReverse), taken.only(act.SendRequest)
    assert sdp_from_text(sent.body).media[0].direction is Direction.RECVONLY
    answer = sdp.core_answer("audio", "video").replace("sendrecv", "inactive", 1)
    cseq = call.record.own_ims_offer
    reply = Reply(Side.IMS, sent.method, "call-1", "page", "core1", cseq, body=answer, status=200)
    reply.content_type = "application/sdp"
    gate = call.on(ev.OwnRequestAnswered(Side.IMS, sent.method, cseq, 200, reply)).only(act.GateMedia)
    assert gate.media[0] == act.MediumGate("audio", wic_to_ims=False, ims_to_wic=False)
    call.on(ev.MediaGated(gate.bearer))
    renew = call.on(ev.ReverseAccepted(accept.bearer)).only(act.RenewMedia)
    assert call.on(ev.MediaRenewed({}, renew.bearer)).only(act.GateMedia).media == gate.media


def test_refused_video_is_switched_off_and_gets_no_stream() -> None:
    _call, actions = acknowledged(JSSIP, AV, sdp.core_answer("audio", "video", refuse=("video",)))
    offer = sdp_from_text(actions.only(act.SendRequest).body)
    assert [(line.kind, line.rejected) for line in offer.media] == [
        ("audio", False),
        ("video", True),
        ("audio", False),
    ]


def test_video_that_the_page_refuses_with_it_is_given_back() -> None:
    call, actions = acknowledged(JSSIP, AV)
    offer = actions.only(act.SendRequest).body
    video = tuple(line.mid or "" for line in sdp_from_text(offer).media if line.kind == "video")
    taken = answered(call, 200, sdp.page_answer(offer, refuse=video))
    assert taken.only(act.ReleaseMedia).kinds == ("video",)
    assert [medium.active for medium in call.record.media] == [True, False]


def test_so_does_an_update_of_the_far_end_that_is_answered_without_the_page() -> None:
    call, actions = acknowledged(JSSIP, AV)
    accept = answered(call, 200, sdp.page_answer(actions.only(act.SendRequest).body)).only(act.AcceptReverse)
    call.record.wic_takes_update = False
    hold = sdp.core_answer("audio", "video").replace("sendrecv", "sendonly", 1)
    assert call.on(call.ims_request("UPDATE", body=hold)).names == ["ReofferFromIms"]
    renew = call.on(ev.ReverseAccepted(accept.bearer)).only(act.RenewMedia)
    gate = call.on(ev.MediaRenewed({}, renew.bearer)).only(act.GateMedia)
    assert gate.media[0] == act.MediumGate("audio", wic_to_ims=False, ims_to_wic=True)


def test_of_two_changes_while_the_relay_is_told_the_last_one_counts() -> None:
    call, actions = acknowledged(JSSIP, AV)
    accept = answered(call, 200, sdp.page_answer(actions.only(act.SendRequest).body)).only(act.AcceptReverse)
    # X: the core holds; the page is asked
    hold = sdp.core_answer("audio", "video").replace("sendrecv", "sendonly", 1)
    asked = call.on(call.ims_request("INVITE", cseq=7, body=hold)).only(act.ForwardRequest).edits
    assert call.record.exchange is not None and not call.record.exchange.settling
    renew = call.on(ev.ReverseAccepted(accept.bearer)).only(act.RenewMedia)
    # X settles while the RenewMedia is out
    reply = call.wic_reply(200, method="INVITE", cseq=asked.cseq or 0)
    reply.reply.body, reply.reply.content_type = sdp.page_answer(asked.body or ""), "application/sdp"
    told = call.on(reply).only(act.ReofferFromIms)
    call.on(ev.ImsReoffered({k: sdp.relay_offer(k) for k in ("audio", "video")}, told.bearer))
    assert call.record.exchange is None
    # Y: it resumes, without the page
    call.record.wic_takes_update = False
    back = sdp.core_answer("audio", "video")
    y = call.on(call.ims_request("UPDATE", cseq=8, body=back))
    told2 = y.only(act.ReofferFromIms)
    gate = call.on(ev.MediaRenewed({}, renew.bearer)).only(act.GateMedia)
    call.on(ev.ImsReoffered({k: sdp.relay_offer(k) for k in ("audio", "video")}, told2.bearer))
    assert gate.media[0] == act.MediumGate("audio", wic_to_ims=True, ims_to_wic=True)
