"""What a page sees of a Contact, and to whom it may send its callers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call.from_page import core_invite, redirection
from kemi.core.call.from_page.outbound import Outbound
from kemi.core.call.towards_page import page_answer
from kemi.core.emergency import PRIORITY_LINES, with_priority
from kemi.core.messages import Reply, Side, uri_from_address
from kemi.core.policy import CallPolicy, TargetRules
from kemi.core.trunk.trunk import Trunk
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.ladder import FULL_SUPPORT, SETTINGS, Call, header_reader

TRUNK = Trunk("one", ["sip:192.0.2.7"])
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


NUMBER = "<sip:+15550100@ims.example;user=phone>"


@pytest.mark.parametrize(
    ("contacts", "shown"),
    [
        pytest.param(["<sip:elsewhere@ims.example>;q=0.5"], None, id="as it is"),
        pytest.param([], None, id="none"),
        pytest.param(["<tel:+15550100>"], [NUMBER], id="a number"),
        pytest.param(
            ["<tel:*31#030;phone-context=x.example>"],
            ["<sip:*31%23030;phone-context=x.example@ims.example;user=phone>"],
            id="a code",
        ),
        pytest.param(["tel:+15550100;q=0.5"], [f"{NUMBER};q=0.5"], id="without brackets"),
        pytest.param(
            ['"B, C" <tel:+15550100>, <SIPS:b@x>', "sip:c@x;q=0.1"],
            [f'"B, C" {NUMBER}', "<SIPS:b@x>", "<sip:c@x>;q=0.1"],
            id="one of several",
        ),
        pytest.param(["<urn:service:sos>"], [], id="a service"),
        pytest.param(["<mailto:b@x>, <sip:b@x>"], ["<sip:b@x>"], id="no call"),
    ],
)
def test_a_page_can_read_where_it_is_sent(contacts: list[str], shown: list[str] | None) -> None:
    call = Call.ringing()
    edits = call.on(call.ims_reply(302, headers={"Contact": contacts})).only(act.ForwardReply).edits
    given = [line.partition(": ")[2] for line in edits.insert if line.startswith("Contact: ")]
    assert ("Contact" in edits.remove) is (shown is not None)
    assert given == (shown or [])


@pytest.mark.parametrize(
    "target",
    [
        "tel:+15550100",
        "tel:+1-202-555-0100;npdi;rn=+12025550123",
        "tel:100;phone-context=ims.example",
        "tel:*31#030;phone-context=x.example",
    ],
)
def test_a_number_it_is_sent_to_is_known_again(target: str) -> None:
    call = Call.ringing()
    done = call.on(call.ims_reply(302, headers={"Contact": [f"<{target}>"]}))
    (name, _) = done.only(act.RememberRedirection).targets[0]
    (line,) = (one for one in done.only(act.ForwardReply).edits.insert if one.startswith("Contact: "))
    assert redirection.name_of(uri_from_address(line.partition(": ")[2])) == name


def test_whom_it_is_referred_to_it_can_read() -> None:
    call = Call.confirmed()
    edits = (
        call.on(call.ims_request("REFER", headers={"Refer-To": ["<tel:+15550100>"]}))
        .only(act.ForwardRequest)
        .edits
    )
    assert "Refer-To" in edits.remove
    assert f"Refer-To: {NUMBER}" in edits.insert


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
        ("status", "value", "passing"),
        [
            (180, "<urn:alert:service:call-waiting>", ["<urn:alert:service:call-waiting>"]),
            (183, "<urn:alert:service:call-waiting>", []),
            (180, "<https://x/ring.wav>", []),
            (180, "<urn:alert:x>, <https://x/ring.wav>", ["<urn:alert:x>"]),
            (180, "<urn:alert:x>,<urn:alert:y>", ["<urn:alert:x>", "<urn:alert:y>"]),
            (180, "<urn:alert:x>;appearance=2", ["<urn:alert:x>"]),
            (180, "urn:alert:x", []),
        ],
    )
    def test_a_page_says_that_the_caller_waits(self, status: int, value: str, passing: list[str]) -> None:
        call = Incoming.ringing()
        actions = page_answer.on_reply(
            call.record, call.wic_reply(status, headers={"Alert-Info": [value]}), SETTINGS
        )
        (forward,) = [action for action in actions if isinstance(action, act.ForwardReply)]
        told = [line for line in forward.edits.insert if line.startswith("Alert-Info:")]
        assert told == [f"Alert-Info: {one}" for one in passing]
        assert "Alert-Info" in forward.edits.remove


WITH_BODY = 'Digest realm="r", nonce="n", qop="auth,auth-int"'
WITHOUT_BODY = 'Digest realm="r", nonce="n", qop="auth"'


@pytest.mark.parametrize(
    ("method", "status", "asked", "passed"),
    [
        ("INVITE", 401, WITH_BODY, WITHOUT_BODY),
        ("UPDATE", 407, WITH_BODY, WITHOUT_BODY),
        ("INVITE", 407, WITHOUT_BODY, None),
        ("MESSAGE", 407, WITH_BODY, None),
        ("INVITE", 403, WITH_BODY, None),
    ],
)
def test_no_page_is_asked_for_a_hash_of_a_body_that_the_core_does_not_get(
    method: str, status: int, asked: str, passed: str | None
) -> None:
    fields = {"Proxy-Authenticate": [asked], "WWW-Authenticate": ['Digest realm="x"']}
    reply = Reply(Side.IMS, method, "c", "f", "t", 1, status=status, headers=header_reader(fields))
    remove, insert = boundary.towards_page(reply, SETTINGS)
    shown = ('WWW-Authenticate: Digest realm="x"', f"Proxy-Authenticate: {passed}") if passed else ()
    assert insert == shown
    assert ("Proxy-Authenticate" in remove) is (passed is not None)
    call = Call.confirmed()
    call.record.outbound = Outbound([], "+493012345678", trunk="one")
    trunk = boundary.as_of_page(call.record, act.MessageEdits(remove=remove, insert=insert))
    assert trunk.insert == ()
    assert {"Proxy-Authenticate", "WWW-Authenticate"} <= set(trunk.remove)


class TestPriority:
    """A page says how urgent a call is for whom it calls, and nothing to the network (RFC 7090)."""

    @pytest.mark.conformance("S-04", "S-24")
    @pytest.mark.parametrize(
        ("value", "left"),
        [("urgent", ["Priority: urgent"]), ("emergency", []), ("psap-callback", [])],
    )
    @pytest.mark.parametrize("trunk", [False, True])
    def test_it_is_said_anew(self, value: str, left: list[str], trunk: bool) -> None:
        call = Call.updating(headers={**FULL_SUPPORT, "Priority": [value]})
        if trunk:
            call.record.outbound = Outbound(left=["one"], number="+493012345678")
            call.record.outbound.trunk, call.record.outbound.hops = "one", ["sip:192.0.2.7"]
        edits = core_invite.invite(call.record, replace(SETTINGS, trunks={"one": TRUNK})).edits
        assert "Priority" in edits.remove
        assert [line for line in edits.insert if line.startswith("Priority:")] == left

    def test_of_an_emergency_there_is_one(self) -> None:
        lines = with_priority(["Priority: urgent", "Allow: INVITE"])
        assert lines == ["Allow: INVITE", *PRIORITY_LINES]
