"""Video orientation in later descriptions for the core. Both sides know it; the relay leaves it out once it has a
participant of its own (12.5)."""

from __future__ import annotations

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Call


class TestOrientation:
    LINE = "a=extmap:13 urn:3gpp:video-orientation"

    def running(self) -> Call:
        call = Call.forwarded(sdp.chromium("av-sendrecv"))
        call.answer(body=sdp.core_answer("audio", "video") + f"{self.LINE}\r\n")
        call.on(call.wic_request("ACK", cseq=1))
        told = call.record.exchange
        if told is not None:
            call.on(ev.UpdateAnswered(200, sdp.page_answer(told.wic_description)))
        assert self.LINE in call.record.media[1].wic_offer
        return call

    def test_it_stays_in_our_answer(self) -> None:
        call = self.running()
        offer = sdp.core_answer("audio", "video", port=41000) + f"{self.LINE}\r\n"
        asked = call.on(call.ims_request("INVITE", cseq=5, body=offer)).only(act.ReofferFromIms)
        answers = {kind: sdp.relay_offer(kind) for kind in ("audio", "video")}
        answer = call.on(ev.ImsReoffered(answers, asked.bearer)).only(act.SendReply)
        assert (answer.status, self.LINE in answer.body) == (200, True)

    def test_it_stays_in_our_offer(self) -> None:
        call = self.running()
        asked = call.on(call.ims_request("INVITE", cseq=5)).only(act.RenewMedia)
        renewed = {
            kind: ev.Renewed(sdp.relay_offer(kind), sdp.relay_answer(kind)) for kind in ("audio", "video")
        }
        offer = call.on(ev.MediaRenewed(renewed, asked.bearer)).only(act.SendReply)
        assert self.LINE in offer.body
