"""What a page sees of a Contact, and to whom it may send its callers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call.towards_page import page_answer
from kemi.core.messages import Reply, Side
from kemi.core.policy import CallPolicy, TargetRules
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.ladder import SETTINGS

OURS = "<sip:gateway@ims.example;transport=ws>"


@pytest.mark.parametrize(
    ("contact", "seen"),
    [
        pytest.param("<sip:bob@192.0.2.9:5060;ob>;x=y", OURS, id="address and what is unknown stay"),
        pytest.param("sip:bob@192.0.2.9;audio;expires=4", f"{OURS};audio", id="without brackets"),
        pytest.param(
            '"B" <sip:b@x>;Audio;video;+g.3gpp.icsi-ref="a,b;c";+sip.instance="<urn:x>";q=0.5',
            f'{OURS};Audio;video;+g.3gpp.icsi-ref="a,b;c"',
            id="features pass, the device does not",
        ),
        pytest.param(
            "<sip:conf1@conf.ims.example>;isfocus;q=1", "<sip:conf1@conf.ims.example>;isfocus", id="focus"
        ),
        pytest.param("<sip:conf1@x;isfocus>", OURS, id="a parameter of the address is no feature"),
        pytest.param("", OURS, id="none"),
    ],
)
def test_contact(contact: str, seen: str) -> None:
    reply = Reply(Side.IMS, "INVITE", "c", "f", "t", 1, contact=contact, status=200)
    assert boundary.contact_for_page(reply, SETTINGS) == f"Contact: {seen}"


RULES = replace(SETTINGS, targets=TargetRules(CallPolicy(denied_numbers=["+1900"]), "ims.example"))


class TestDeflection:
    @pytest.mark.parametrize(
        ("contact", "refused"),
        [
            pytest.param("<sip:carol@ims.example>", False, id="home"),
            pytest.param("<tel:+1900555>", True, id="number"),
            pytest.param("<sip:carol@ims.example>, <tel:+1-900-555>", True, id="one of two"),
            pytest.param("<mailto:carol@ims.example>", True, id="no call at all"),
        ],
    )
    def test_a_page_deflects_to_whom_it_may_call(self, contact: str, refused: bool) -> None:
        call = Incoming.ringing()
        event = call.wic_reply(302, headers={"Contact": [contact]})
        actions = page_answer.on_reply(call.record, event, RULES)
        names = [type(action).__name__ for action in actions]
        assert names == (["Note", "DropReply", "AnswerForPage"] if refused else ["ForwardReply"])
        if refused:
            (answer,) = [action for action in actions if isinstance(action, act.AnswerForPage)]
            assert answer.status == 480

    @pytest.mark.parametrize(
        ("status", "value", "passes"),
        [
            (180, "<urn:alert:service:call-waiting>", True),
            (183, "<urn:alert:service:call-waiting>", False),
            (180, "<https://x/ring.wav>", False),
            (180, "<urn:alert:x>, <https://x/ring.wav>", False),
        ],
    )
    def test_a_page_says_that_the_caller_waits(self, status: int, value: str, passes: bool) -> None:
        call = Incoming.ringing()
        actions = page_answer.on_reply(
            call.record, call.wic_reply(status, headers={"Alert-Info": [value]}), SETTINGS
        )
        (forward,) = [action for action in actions if isinstance(action, act.ForwardReply)]
        assert (f"Alert-Info: {value}" in forward.edits.insert) is passes
        assert "Alert-Info" in forward.edits.remove
