"""Requests outside calls: what each side gets of the other's."""

from __future__ import annotations

import pytest

from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.messages import Side
from kemi.core.page_dialogs import (
    LONGEST_NAME,
    LONGEST_S,
    FarEnd,
    begin_by_core,
    begin_by_page,
    learn_from_reply,
)
from kemi.core.registration import Flow, Registration
from kemi.core.standalone import (
    check_method,
    for_page,
    inside_for_core,
    outside_for_core,
    reply_for_core,
    reply_for_page,
)
from tests.unit.core.outside_calls import NOW, SETTINGS, begun_with, dialog, reply, request
from tests.unit.core.registration.bindings import OURS, binding


@pytest.mark.parametrize(
    ("asked", "passes"),
    [("600000", False), ("9" * 20, False), (str(LONGEST_S), True), ("0", True), ("x", True), ("", True)],
)
def test_both_sides_hear_how_long_a_subscription_may_be(asked: str, passes: bool) -> None:
    registration = Registration("sip:alice@ims.example", "sip:a@x", NOW + 60)
    ends = dialog(b=FarEnd("sip:b"))
    asks = request(Side.WIC, "SUBSCRIBE", "a", "b", Expires=[asked] if asked else [])
    asked_too = request(Side.IMS, "SUBSCRIBE", "b", "a", Expires=[asked] if asked else [])
    for edits in (
        outside_for_core(asks, registration, None, SETTINGS, "icid"),
        inside_for_core(asks, registration, ends, SETTINGS, "icid"),
        for_page(asked_too, Flow("7", "n", "192.0.2.1", "127.0.0.1:7"), "sip:a@x", SETTINGS),
    ):
        assert ("Expires" not in edits.remove) is passes
        assert (f"Expires: {LONGEST_S}" not in edits.insert) is passes


@pytest.mark.conformance("S-04", "S-24")
@pytest.mark.parametrize(("value", "passes"), [("urgent", True), ("emergency", False)])
def test_a_page_does_not_say_that_a_message_comes_first(value: str, passes: bool) -> None:
    registration = Registration("sip:alice@ims.example", "sip:a@x", NOW + 60)
    begins = request(Side.WIC, "MESSAGE", "a", Priority=[value])
    inside = request(Side.WIC, "NOTIFY", "a", "b", Priority=[value])
    for edits in (
        outside_for_core(begins, registration, None, SETTINGS, "icid"),
        inside_for_core(inside, registration, dialog(b=FarEnd("sip:b")), SETTINGS, "icid"),
    ):
        assert "Priority" in edits.remove
        assert edits.insert.count(f"Priority: {value}") == passes


def test_nobody_asks_the_core_without_a_registration() -> None:
    with pytest.raises(SipReject) as refused:
        outside_for_core(request(Side.WIC, "MESSAGE", "a"), None, None, SETTINGS, "icid")
    assert (refused.value.status, refused.value.reason_phrase) == (403, "Not Registered")


def test_a_page_asks_no_far_end_that_it_has_no_dialog_with() -> None:
    inside = request(Side.WIC, "NOTIFY", "a", "stranger")
    with pytest.raises(SipReject) as refused:
        inside_for_core(inside, binding(), dialog(b=FarEnd("sip:b")), SETTINGS, "icid")
    assert refused.value.status == 481


@pytest.mark.parametrize(
    "name",
    ["Route", "Contact", "P-Asserted-Identity", "P-Preferred-Identity", "P-Charging-Vector", "Record-Route"],
)
def test_what_a_page_says_of_its_way_and_of_itself_goes_nowhere(name: str) -> None:
    registration = binding()
    begins = request(Side.WIC, "MESSAGE", "a")
    inside = request(Side.WIC, "NOTIFY", "a", "b")
    answer = reply(Side.WIC, "MESSAGE", "b", "a")
    for edits in (
        outside_for_core(begins, registration, None, SETTINGS, "icid"),
        inside_for_core(inside, registration, dialog(b=FarEnd("sip:b")), SETTINGS, "icid"),
        reply_for_core(answer, registration, "", None, SETTINGS),
    ):
        assert name in edits.remove
    redirects = reply(Side.WIC, "MESSAGE", "b", "a", 302)
    assert name == "Contact" or name in reply_for_core(redirects, registration, "", None, SETTINGS).remove


def test_it_goes_by_the_route_set_that_is_known() -> None:
    registration = binding(service_route=["<sip:orig@scscf;lr>", "<sip:as;lr>"])
    edits = outside_for_core(request(Side.WIC, "MESSAGE", "a"), registration, None, SETTINGS, "icid")
    assert edits.next_hop == "sip:orig@scscf;lr"
    assert edits.insert[:2] == ("Route: <sip:orig@scscf;lr>", "Route: <sip:as;lr>")
    ends = dialog(b=FarEnd("sip:b", ["<sip:one;lr>", "<sip:two;lr>"]), c=FarEnd("sip:c"))
    edits = inside_for_core(request(Side.WIC, "NOTIFY", "a", "b"), registration, ends, SETTINGS, "icid")
    assert (edits.request_uri, edits.next_hop) == ("sip:b", "sip:one;lr")
    assert edits.insert[:2] == ("Route: <sip:one;lr>", "Route: <sip:two;lr>")
    edits = inside_for_core(request(Side.WIC, "NOTIFY", "a", "c"), registration, ends, SETTINGS, "icid")
    assert (edits.request_uri, edits.next_hop) == ("sip:c", "sip:c")
    assert not any(line.startswith("Route") for line in edits.insert)


def test_a_page_hears_nothing_of_the_core_but_our_contact() -> None:
    flow = Flow("7", "n", "192.0.2.1", "127.0.0.1:7")
    for contact in (True, False):
        asked = request(Side.IMS, "MESSAGE", "b", Contact=["<sip:there@core>"] if contact else [])
        edits = for_page(asked, flow, "sip:a@x", SETTINGS)
        assert (edits.request_uri, edits.next_hop) == ("sip:a@x", "sip:127.0.0.1:7;transport=ws")
        assert {"Route", "Contact", "Record-Route", "P-Charging-Vector", "Server"} <= set(edits.remove)
        assert any(line.startswith("Contact: ") for line in edits.insert) is contact
        assert not any("core" in line for line in edits.insert)
    edits = reply_for_page(reply(Side.IMS, "SUBSCRIBE", "a", "b"), SETTINGS)
    assert {"Contact", "Record-Route", "P-Charging-Vector", "Server"} <= set(edits.remove)
    (line,) = [one for one in edits.insert if one.startswith("Contact: ")]
    assert "core" not in line


class TestTowardsTheCore:
    def test_without_service_route_an_entry_point_takes_it(self) -> None:
        registration = Registration("sip:alice@ims.example", "sip:a@x", NOW + 60)
        asked = request(Side.WIC, "SUBSCRIBE", "a")
        begun = begin_by_page(asked, registration, "user", NOW)
        edits = outside_for_core(asked, registration, begun, SETTINGS, "icid")
        assert edits.next_hop is None
        assert "Contact: <sip:user@192.0.2.1:5060>" in edits.insert
        assert "P-Asserted-Identity: <sip:alice@ims.example>" in edits.insert

    @pytest.mark.parametrize(
        ("method", "by_page", "status", "routes"),
        [
            pytest.param("SUBSCRIBE", False, 200, 2, id="SUBSCRIBE"),
            pytest.param("REFER", False, 202, 2, id="REFER"),
            pytest.param("SUBSCRIBE", False, 403, 0, id="refused"),
            pytest.param("NOTIFY", False, 200, 0, id="begins none"),
            pytest.param("NOTIFY", True, 200, 0, id="the page began it"),
        ],
    )
    def test_who_begins_a_dialog_with_a_page_gets_the_routes_of_its_request_back(
        self, method: str, by_page: bool, status: int, routes: int
    ) -> None:
        asked = request(Side.IMS, method, "a")
        begun = begin_by_core(asked, binding(), Flow("7", "n", "a", "b"), "user", NOW)
        assert begun.contact_of_binding == OURS
        begun.by_page = by_page
        edits = reply_for_core(reply(Side.WIC, method, "a", "b", status), None, "", begun, SETTINGS)
        inserted = [line for line in edits.insert if line.startswith("Record-Route")]
        assert inserted == ["Record-Route: <sip:one;lr>", "Record-Route: <sip:two;lr>"][:routes]

    @pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE"])
    def test_who_is_redirected_hears_where_to(self, method: str) -> None:
        sends = reply(Side.WIC, method, "a", "b", 302)
        edits = reply_for_core(sends, binding(), "", None, SETTINGS)
        assert "Contact" not in edits.remove
        assert not any(line.startswith(("Contact", "Warning")) for line in edits.insert)
        edits = reply_for_core(sends, binding(), "", None, SETTINGS, "not there")
        assert "Contact" in edits.remove
        assert edits.insert[-1] == 'Warning: 399 ims.example "not there"'

    @pytest.mark.parametrize(
        ("preferred", "called", "begun_with", "asserted"),
        [
            pytest.param([], "", "", "alice", id="the default one"),
            pytest.param([], "<sip:sales@ims.example>", "", "sales", id="who was asked"),
            pytest.param(
                ["<sip:sales@ims.example>"], "<sip:alice@ims.example>", "", "sales", id="who it prefers"
            ),
            pytest.param(
                ["<sip:bob@ims.example>"], "<sip:sales@ims.example>", "", "sales", id="somebody else"
            ),
            pytest.param(["<sip:bob@x>, <sip:carol@x>"], "x", "", "alice", id="nobody of its own"),
            pytest.param([], "", "sip:sales@ims.example", "sales", id="who it is in the dialog"),
        ],
    )
    def test_a_page_answers_as_who_was_asked(
        self, preferred: list[str], called: str, begun_with: str, asserted: str
    ) -> None:
        """TS 24.229 §5.2.6.4; in calls it is the same."""
        registration = binding(associated_uris=["<sip:alice@ims.example>", "<sip:sales@ims.example>"])
        answer = reply(Side.WIC, "NOTIFY", "b", "a")
        answer.headers = lambda name: preferred if name == "P-Preferred-Identity" else []
        inside = dialog(b=FarEnd("sip:b")) if begun_with else None
        if inside is not None:
            inside.by_page, inside.page_uri = False, begun_with
        edits = reply_for_core(answer, registration, called, inside, SETTINGS)
        found = [line for line in edits.insert if line.startswith("P-Asserted-Identity")]
        assert found == [f"P-Asserted-Identity: <sip:{asserted}@ims.example>"]

    def test_a_dialog_needs_a_contact(self) -> None:
        with pytest.raises(RemoteProtocolError):
            check_method(request(Side.WIC, "SUBSCRIBE", "a", Contact=[]))

    def test_nobody_makes_it_remember_long_names(self) -> None:
        begun = begun_with("600")
        begun.by_page = False
        assert not learn_from_reply(begun, reply(Side.WIC, "SUBSCRIBE", "a", "b" * (LONGEST_NAME + 1)), NOW)
        check_method(request(Side.WIC, "SUBSCRIBE", "a" * (LONGEST_NAME - len("call-1"))))
        check_method(request(Side.WIC, "MESSAGE", "a" * LONGEST_NAME))
        for side in (Side.WIC, Side.IMS):
            with pytest.raises(RemoteProtocolError):
                check_method(request(side, "REFER", "a" * LONGEST_NAME))

    @pytest.mark.parametrize(
        ("side", "method"), [(Side.WIC, "INFO"), (Side.IMS, "PUBLISH"), (Side.IMS, "INFO"), (Side.WIC, "X")]
    )
    def test_what_does_not_pass(self, side: Side, method: str) -> None:
        with pytest.raises(SipReject) as caught:
            check_method(request(side, method, "a"))
        assert caught.value.status == 405
        assert any(line.startswith("Allow: ") for line in caught.value.lines)


@pytest.mark.parametrize("written", ["sip:+15550100@ims.example;user=phone", "sip:somebody@else.example"])
@pytest.mark.parametrize(
    ("called", "identity"),
    [
        ("tel:+15550100", "tel:+15550100"),
        (
            "sip:+15550100@ims.example;user=phone",
            "sip:alice@ims.example",
        ),  # not among its own as it is: the default
    ],
)
def test_who_the_core_asked_by_its_number_answers_by_it(called: str, identity: str, written: str) -> None:
    """RFC 3261 §12.2.1.1; the page knows the number as the SIP URI that it was told, and names nobody else."""
    registration = binding(associated_uris=["<sip:alice@ims.example>", "<tel:+15550100>"])
    asked = request(Side.IMS, "REFER", "core")
    asked.to_uri, asked.from_uri = called, "tel:+15551"
    begun = begin_by_core(asked, registration, Flow("7", "n", "a", "b"), "user", NOW)
    tells = request(Side.WIC, "NOTIFY", "page", "core")
    tells.from_uri = written
    edits = inside_for_core(tells, registration, begun, SETTINGS, "icid")
    assert edits.from_value == f"<{called}>;tag=page"
    assert edits.to_value == "<tel:+15551>;tag=core"
    asserted = [line for line in edits.insert if line.startswith("P-Asserted-Identity")]
    assert asserted == [f"P-Asserted-Identity: <{identity}>"]
    begun.far_uri = "sip:watcher@ims.example"
    assert inside_for_core(tells, registration, begun, SETTINGS, "icid").to_value is None
    begun.page_uri = ""  # of the release before
    with pytest.raises(SipReject):
        inside_for_core(tells, registration, begun, SETTINGS, "icid")


def test_a_page_reads_no_tel_uri_in_from_and_to() -> None:
    """SIP.js and JsSIP drop such a message; the number stays the same (RFC 3261 §19.1.6)."""
    fields = {"From": ['"Bob" <tel:+15551;verstat=x>;tag=b'], "To": ["tel:+15550100"]}
    asks = request(Side.IMS, "MESSAGE", "b", "", **fields)
    edits = for_page(asks, Flow("7", "n", "192.0.2.1", "127.0.0.1:7"), "sip:a@x", SETTINGS)
    realm = SETTINGS.realm
    assert edits.from_value == f'"Bob" <sip:+15551;verstat=x@{realm};user=phone>;tag=b'
    assert edits.to_value == f"<sip:+15550100@{realm};user=phone>"


def test_nor_in_refer_to_and_in_the_contacts_of_a_redirection() -> None:
    number = f"<sip:+15550100@{SETTINGS.realm};user=phone>"
    asks = request(Side.IMS, "REFER", "b", "", Refer_To=["<tel:+15550100>"])
    edits = for_page(asks, Flow("7", "n", "192.0.2.1", "127.0.0.1:7"), "sip:a@x", SETTINGS)
    assert f"Refer-To: {number}" in edits.insert
    sent = reply(Side.IMS, "MESSAGE", "a", "b", 302)
    sent.contact = "<tel:+15550100>"
    sent.headers = lambda name: [sent.contact] if name == "Contact" else []
    edits = reply_for_page(sent, SETTINGS)
    assert "Contact" in edits.remove
    assert f"Contact: {number}" in edits.insert
