"""Far ends whose answer to an offer of ours in an ACK leaves out the last lines: RFC 3264 §6 wants them with port 0."""

from __future__ import annotations

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Side
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming, invite, offer
from tests.unit.core.call.ladder import Actions, Call

RENEWED = {kind: ev.Renewed(sdp.relay_offer(kind), sdp.relay_answer(kind)) for kind in ("audio", "video")}


def renewed(call: Call | Incoming, asked: Actions) -> Actions:
    """The relay does what it was asked for."""
    action = asked.only(act.RenewMedia)
    return call.on(ev.MediaRenewed({one.kind: RENEWED[one.kind] for one in action.media}, action.bearer))


def test_a_call_with_video_that_is_moved_to_a_telephone_goes_on_with_audio() -> None:
    call = Call.confirmed(body=sdp.chromium("av-sendrecv"))
    renewed(call, call.on(call.ims_request("INVITE", cseq=5)))
    taken = call.on(call.ims_request("ACK", cseq=5, body=sdp.core_answer("audio", port=50000)))
    (audio,) = taken.only(act.RenewMedia).media
    assert "m=audio 50000 " in audio.ims_line
    done = renewed(call, taken)
    assert done.only(act.ReleaseMedia).kinds == ("video",)
    sent = done.only(act.SendRequest)
    assert (sent.to, [line.rejected for line in sdp_from_text(sent.body).media]) == (Side.WIC, [False, True])
    told = sdp_from_text(call.record.ims_description).media
    assert [(line.kind, line.rejected) for line in told] == [("audio", False), ("video", True)]


def test_one_that_leaves_out_all_that_runs_has_not_answered() -> None:
    """Its line is of a kind that the call has elsewhere."""
    head, audio = offer().split("m=audio")
    text = "m=text 40010 RTP/AVP 98\r\nc=IN IP4 127.0.0.1\r\na=rtpmap:98 t140/1000\r\n"
    call = Incoming.confirmed(invite(f"{head}{text}m=audio{audio}"))
    told = call.record.ims_description
    renewed(call, call.on(call.ims_request("INVITE", cseq=6)))
    refused = call.on(call.ims_request("ACK", cseq=6, body=sdp.core_answer("audio", port=50000)))
    assert (refused.only(act.Note).event, refused.names) == ("late_answer_refused", ["Unschedule"])
    assert (call.record.exchange, call.record.ims_description) == (None, told)
    assert [medium.active for medium in call.record.media] == [True]
