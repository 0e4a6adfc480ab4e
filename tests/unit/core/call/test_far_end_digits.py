"""Digits as INFO: who hears of a far end's, which of a page's are ours, and what is refused of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.media import digits
from kemi.core.dtmf import RELAY, SESSION_INFO
from kemi.core.messages import Message, Request, Side
from tests.unit.core.call.ladder import Actions, Call
from tests.unit.core.call.test_digits import confirmed

WANTS = {"Recv-Info": ["infoDtmf"]}
PACKAGE = {"Info-Package": ["infoDtmf"]}
NUMBERS = count(12)


def hears(call: Call, **fields: list[str]) -> None:
    """The page says that it wants to hear of digits."""
    headers = {name.replace("_", "-"): values for name, values in fields.items()}
    call.on(call.wic_request("OPTIONS", cseq=next(NUMBERS), headers=headers))


class TestTheFarEnds:
    def test_go_to_who_listens_and_to_a_page_that_asked(self) -> None:
        call = confirmed()
        pressed = ev.DigitReceived("5", 160)
        told = act.TellDigit(call.record.call_id, call.record.owner, "5", 160)
        assert call.on(pressed) == [told]
        hears(call, Recv_Info=["infoDtmf"])
        actions = call.on(pressed)
        sent = actions.only(act.SendRequest)
        assert actions.only(act.TellDigit) == told
        assert (sent.to, sent.method) == (Side.WIC, "INFO")
        assert {
            "Info-Package: infoDtmf",
            "Content-Disposition: Info-Package",
            f"Content-Type: {RELAY}",
        } <= set(sent.headers)
        assert "Signal=5" in sent.body
        assert "Duration=160" in sent.body
        later = call.on(pressed).only(act.SendRequest)
        assert next(line for line in later.headers if line.startswith("CSeq")) not in sent.headers

    @pytest.mark.parametrize(("same_codec", "lasted_ms"), [(True, 1000), (False, 960)])
    def test_last_by_the_clock_of_the_codec(self, same_codec: bool, lasted_ms: int) -> None:
        """The relay reckons in whole microseconds."""
        call = confirmed(same_codec=same_codec)
        assert call.on(ev.DigitReceived("5", 960)).only(act.TellDigit).duration_ms == lasted_ms

    def test_not_before_the_answer_and_not_without_audio(self) -> None:
        call = Call.ringing()
        assert call.on(ev.DigitReceived("5", 160)) == []
        call = confirmed()
        call.record.media[0].active = False
        assert call.on(ev.DigitReceived("5", 160)) == []

    def test_a_page_that_does_not_want_them_any_more_gets_none(self) -> None:
        call = confirmed()
        hears(call, Recv_Info=["infoDtmf"])
        hears(call)  # says nothing of it
        assert call.on(ev.DigitReceived("5", 160)).all(act.SendRequest)
        hears(call, Recv_Info=[""])
        assert not call.on(ev.DigitReceived("5", 160)).all(act.SendRequest)

    def test_telephone_events_are_kept_from_a_page_that_asked_once(self) -> None:
        call = confirmed()
        event = call.wic_request("OPTIONS", cseq=next(NUMBERS), headers=WANTS)
        assert call.on(event).only(act.WithholdDigits) == act.WithholdDigits(
            call.record.key, call.record.node
        )
        assert not call.on(event).all(act.WithholdDigits)


def press(call: Call, body: str = "Signal=5\r\n", content_type: str = RELAY, **fields: list[str]) -> Actions:
    headers = {name.replace("_", "-"): values for name, values in fields.items()}
    event = call.wic_request(
        "INFO", cseq=next(NUMBERS), headers={"Content-Type": [content_type], **headers}, body=body
    )
    return call.on(replace(event, request=replace(event.request, content_type=content_type)))


class TestThePages:
    @pytest.mark.parametrize("takes", [False, True])
    def test_go_on_to_a_far_end_that_takes_them_as_info(self, takes: bool) -> None:
        call = confirmed()
        asked = WANTS if takes else {"Recv-Info": ["foo"]}
        call.on(call.ims_request("OPTIONS", cseq=3, headers=asked))
        assert call.record.legs["core1"].takes_digits is takes
        for actions in (press(call), press(call, Info_Package=["infoDtmf"])):
            assert bool(actions.all(act.ForwardRequest)) is takes

    @pytest.mark.parametrize(
        ("method", "fields", "content_type", "ours"),
        [
            ("INFO", {}, RELAY, True),
            ("INFO", {}, "application/dtmf", True),
            ("INFO", {}, "text/plain", False),
            ("INFO", PACKAGE, "text/plain", True),
            ("INFO", {"Info-Package": ["infoDtmf;x=1"]}, RELAY, True),
            ("INFO", {"Info-Package": ["other"]}, RELAY, False),
            ("MESSAGE", {}, RELAY, False),
        ],
    )
    def test_which_are_ours(
        self, method: str, fields: dict[str, list[str]], content_type: str, ours: bool
    ) -> None:
        call = confirmed()
        event = call.wic_request(method, headers={**fields, "Content-Type": [content_type]})
        for request in (event.request, replace(event.request, content_type=content_type)):
            assert digits.is_ours(call.record, request) is ours

    def test_that_have_nowhere_to_go_are_refused(self) -> None:
        call = confirmed()
        call.record.media[0].active = False
        assert press(call).reply == (415, "Unsupported Media Type")
        refused = press(call, Info_Package=["infoDtmf"])
        assert refused.reply == (469, "Bad Info Package")
        assert "Recv-Info:" in refused.only(act.SendReply).headers

    def test_of_another_type_or_none_are_refused(self) -> None:
        call = confirmed()
        refused = press(call, content_type="text/plain", Info_Package=["infoDtmf"])
        assert refused.reply == (415, "Unsupported Media Type")
        assert refused.only(act.SendReply).headers[0].startswith(f"Accept: {RELAY}")
        assert press(call, body="Signal=z\r\n").reply == (400, "Bad Request")
        assert refused.all(act.PlayDigits) == []

    def test_before_somebody_is_there_come_too_early(self) -> None:
        call = Call.ringing()
        assert press(call).reply == (480, "Temporarily Unavailable")

    def test_of_a_call_that_is_over_have_no_dialog(self) -> None:
        call = confirmed()
        call.on(call.wic_request("BYE", cseq=next(NUMBERS)))
        assert press(call).reply[0] == 481

    def test_that_were_played_are_answered(self) -> None:
        call = confirmed()
        then = press(call).only(act.RenewMedia).bearer
        assert isinstance(then, ev.Continuation)
        play = call.on(ev.MediaRenewed({}, then)).only(act.PlayDigits)
        assert isinstance(play.bearer, ev.Continuation)
        assert call.on(ev.DigitsPlayed(play.bearer)).reply == (200, "OK")


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([], "infoDtmf"),
        (["foo, bar"], "infoDtmf, foo, bar"),
        (["foo", ""], "infoDtmf, foo"),
        (["foo, infoDtmf"], ""),
    ],
)
def test_a_page_may_send_them_as_info_whatever_the_far_end_takes(values: list[str], shown: str) -> None:
    message: Message = Request(Side.IMS, "INVITE", "c", "a", "b", 1, headers=lambda _name: values)
    remove, insert = digits.packages_for_page(message)
    assert remove == (("Recv-Info",) if shown else ())
    assert insert == ((f"Recv-Info: {shown}",) if shown else ())


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ([], RELAY),
        ([RELAY], RELAY),
        ([SESSION_INFO], SESSION_INFO),
        (["application/x-session-info"], SESSION_INFO),
        ([f"{SESSION_INFO}, {RELAY}"], RELAY),
    ],
)
def test_in_which_form_a_page_gets_them(accept: list[str], kind: str) -> None:
    call = confirmed()
    hears(call, Recv_Info=["infoDtmf"], Accept=accept)
    assert call.record.wic_takes_digits == kind
    sent = call.on(ev.DigitReceived("5", 160)).only(act.SendRequest)
    assert f"Content-Type: {kind}" in sent.headers
