"""Which REFER a report is about: ``Event: refer;id=`` is its CSeq, another one on either side (RFC 3515 §2.4.6)."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call.in_dialog.referral import Referral
from kemi.core.call.in_dialog.transfers import MOST_REFERRALS, removes_participant
from kemi.state.calls import record_from_text, record_to_text
from tests.unit.core.call.ladder import Call

AT_THE_PAGE, AT_THE_CORE = 9, 21


def shifted() -> Call:
    """Return a call in which we have sent requests of our own to both sides."""
    call = Call.confirmed()
    call.record.ims_cseq, call.record.gateway_cseq = AT_THE_CORE - 1, AT_THE_CORE - 1
    return call


def told(call: Call, method: str, event: str, *, by_page: bool) -> list[str]:
    """Send a NOTIFY or SUBSCRIBE and return the Event it has at the other side; [] is as it was."""
    fields = {"Event": [event], "Subscription-State": ["active;expires=60"]}
    if by_page:
        done = call.on(call.wic_request(method, cseq=call.record.wic_cseq + 1, headers=fields))
    else:
        done = call.on(call.ims_request(method, cseq=50 + call.record.gateway_cseq, headers=fields))
    edits = done.only(act.ForwardRequest).edits
    lines = [line for line in edits.insert if line.startswith("Event:")]
    assert ("Event" in edits.remove) == bool(lines)
    return lines


def refer_of_page(call: Call, cseq: int = AT_THE_PAGE) -> int:
    """The page sends a REFER; return its CSeq at the core."""
    call.on(call.wic_request("REFER", cseq=cseq))
    return call.record.ims_cseq


def refer_of_core(call: Call) -> int:
    """The core sends a REFER whose CSeq is AT_THE_PAGE; return its CSeq at the page."""
    call.on(call.ims_request("REFER", cseq=AT_THE_PAGE))
    return call.record.gateway_cseq


@pytest.mark.parametrize("answered", [True, False], ids=["after the 202", "before the 202"])
class TestReports:
    """They may come before the response to the REFER (RFC 3515 §2.4.4)."""

    def test_on_the_pages_transfer(self, answered: bool) -> None:
        call = shifted()
        assert refer_of_page(call) == AT_THE_CORE
        if answered:
            call.on(call.ims_reply(202, method="REFER", cseq=AT_THE_CORE))
        event = f"refer;id={AT_THE_CORE};x=y"
        assert told(call, "NOTIFY", event, by_page=False) == [f"Event: refer;id={AT_THE_PAGE};x=y"]

    def test_on_the_cores_transfer(self, answered: bool) -> None:
        call = shifted()
        assert refer_of_core(call) == AT_THE_CORE
        if answered:
            call.on(call.wic_reply(202, method="REFER", cseq=AT_THE_CORE))
        event = f"refer ; id = {AT_THE_CORE}"
        assert told(call, "NOTIFY", event, by_page=True) == [f"Event: refer ;id={AT_THE_PAGE}"]


def accepted_both_ways() -> Call:
    call = shifted()
    refer_of_page(call)
    call.on(call.ims_reply(202, method="REFER", cseq=AT_THE_CORE))
    refer_of_core(call)
    call.on(call.wic_reply(202, method="REFER", cseq=AT_THE_CORE))
    return call


def test_the_subscription_may_be_refreshed_by_who_asked() -> None:
    call = accepted_both_ways()
    by_page = told(call, "SUBSCRIBE", f"refer;id={AT_THE_PAGE}", by_page=True)
    by_core = told(call, "SUBSCRIBE", f"refer;id={AT_THE_PAGE}", by_page=False)
    assert by_page == by_core == [f"Event: refer;id={AT_THE_CORE}"]


def test_requests_of_ours_that_come_later_change_nothing() -> None:
    call = accepted_both_ways()
    call.record.next_ims_cseq()
    call.record.next_gateway_cseq()
    for by_page in (True, False):
        event = f"refer;id={AT_THE_CORE}"
        assert told(call, "NOTIFY", event, by_page=by_page) == [f"Event: refer;id={AT_THE_PAGE}"]


@pytest.mark.parametrize(
    "event", ["refer", "refer;id=", "refer;id=8", "refer;id=x", "refer;id=\u0663", f"dialog;id={AT_THE_CORE}"]
)
@pytest.mark.parametrize("by_page", [True, False])
def test_what_names_none_of_them_passes_as_it_is(event: str, by_page: bool) -> None:
    assert told(accepted_both_ways(), "NOTIFY", event, by_page=by_page) == []


def test_numbers_that_are_the_same_on_both_sides_are_not_kept() -> None:
    call = Call.confirmed()
    cseq = refer_of_page(call)
    call.on(call.ims_reply(202, method="REFER", cseq=cseq))
    assert (cseq, call.record.referrals) == (AT_THE_PAGE, [])


def test_only_the_newest_are_kept_and_travel_with_the_record() -> None:
    call = shifted()
    for number in range(MOST_REFERRALS + 2):
        cseq = refer_of_page(call, AT_THE_PAGE + number)
        call.on(call.ims_reply(202, method="REFER", cseq=cseq))
    kept = [
        Referral(by_page=True, page=AT_THE_PAGE + number, core=AT_THE_CORE + number)
        for number in range(2, MOST_REFERRALS + 2)
    ]
    assert record_from_text(record_to_text(call.record)).referrals == kept


@pytest.mark.parametrize(
    ("targets", "removes"),
    [
        pytest.param(["<sip:bob@other.example;method=BYE>"], True, id="SIP"),
        pytest.param(['"Bob" <sip:bob@other.example;user=phone;METHOD=BYE?Subject=x>;a=b'], True, id="more"),
        pytest.param(["<sips:%2B881@other.example;method=BYE>"], True, id="a number with an escape"),
        pytest.param(["<tel:+881;method=BYE>"], False, id="tel"),
        pytest.param(["<tel:+881;method%3DBYE>"], False, id="tel, = escaped"),
        pytest.param(["<sip:+881@other.example;method%3DBYE>"], False, id="= escaped"),
        pytest.param(["<sip:+881@other.example;method=%42YE>"], False, id="value escaped"),
        pytest.param(["<sip:+881@other.example;method=bye>"], False, id="another method"),
        pytest.param(["<sip:+881;method=BYE?@other.example;user=phone>"], False, id="@ behind ?"),
        pytest.param(["<sip:+881?x@other.example;method=BYE>"], False, id="? before @"),
        pytest.param(["<sip:+881%3Fx@other.example;method=BYE>"], False, id="? before @, escaped"),
        pytest.param(["<sip:+881@other.example;method=INVITE;x=@y;method=BYE>"], False, id="two @"),
        pytest.param(["<sip:+881;method=INVITE@other.example;method=BYE>"], False, id="two, one of the user"),
        pytest.param(["<sip:+881@other.example;x=%3Bmethod=INVITE;method=BYE>"], False, id="two, ; escaped"),
        pytest.param(["<sip:+881@other.example;method=BYE;method>"], False, id="two, one without a value"),
        pytest.param(
            ["<sip:+881@other.example;method=BYE?method=INVITE>"], False, id="two, one a header field"
        ),
        pytest.param(["<sip:bob@other.example>"], False, id="invited"),
        pytest.param(["<sip:bob@other.example>;method=BYE"], False, id="no parameter of the URI"),
        pytest.param(["<sip:bob;method=BYE@other.example>"], False, id="of the user's name"),
        pytest.param(["<sip:bob@other.example?method=BYE>"], False, id="a header field of the URI"),
        pytest.param(["<sip:bob@other.example;method=BYE;%6dethod=INVITE>"], False, id="two"),
        pytest.param(["<sip:bob@other.example;method=BYE>, <sip:eve@x>"], False, id="two targets"),
        pytest.param([], False, id="nobody"),
    ],
)
def test_who_is_removed_from_a_conference(targets: list[str], removes: bool) -> None:
    call = Call.confirmed()
    request = call.wic_request("REFER", headers={"Refer-To": targets}).request
    assert not removes_participant(call.record, request)  # a telephone
    call.on(call.ims_request("UPDATE", contact="<sip:conf1@conf.ims.example>;isfocus"))
    assert removes_participant(call.record, request) is removes
    stranger = call.wic_request("REFER", headers={"Refer-To": targets}, to_tag="another").request
    assert not removes_participant(call.record, stranger)


@pytest.mark.parametrize(("event", "left"), [("Refer;id=9", 0), ("conference", 1), ("presence;refer", 1)])
def test_only_a_report_on_it_is_the_last_one(event: str, left: int) -> None:
    call = Call.confirmed()
    call.on(call.ims_reply(202, method="REFER", cseq=refer_of_page(call)))
    ended = {"Event": [event], "Subscription-State": ["terminated;reason=noresource"]}
    call.on(call.ims_request("NOTIFY", cseq=30, headers=ended))
    assert call.record.reports_due == left


@pytest.mark.parametrize(
    ("contact", "shown"),
    [
        pytest.param("<sip:bob@198.51.100.7>;text", "<sip:gateway@ims.example;transport=ws>;text", id="ours"),
        pytest.param("<sip:conf1@x>;isfocus", "<sip:conf1@x>;isfocus", id="a conference"),
    ],
)
@pytest.mark.parametrize(("method", "status"), [("REFER", 202), ("SUBSCRIBE", 200)])
def test_a_2xx_that_makes_a_subscription_has_a_contact(
    method: str, status: int, contact: str, shown: str
) -> None:
    """RFC 3515 §2.2, RFC 6665."""
    call = Call.confirmed()
    call.on(call.wic_request(method, cseq=AT_THE_PAGE))
    number = call.record.ims_cseq
    answered = call.on(call.ims_reply(status, method=method, cseq=number, contact=contact))
    edits = answered.only(act.ForwardReply).edits
    assert "Contact" in edits.remove
    assert [line for line in edits.insert if line.startswith("Contact:")] == [f"Contact: {shown}"]
    call.on(call.wic_request(method, cseq=AT_THE_PAGE + 1))
    refused = call.on(call.ims_reply(481, method=method, cseq=call.record.ims_cseq, contact=contact))
    assert not [line for line in refused.only(act.ForwardReply).edits.insert if line.startswith("Contact:")]
