"""Dialogs outside calls: what they are named by, and what they learn."""

from __future__ import annotations

import pytest

from kemi.core.call.from_page.forks import MOST_FORKS
from kemi.core.call.settings import CallSettings
from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.messages import Message, Reply, Request, Side
from kemi.core.registration import Flow, Registration
from kemi.core.standalone import (
    LINGER_S,
    LONGEST_NAME,
    LONGEST_S,
    UNANSWERED_S,
    FarEnd,
    PageDialog,
    begin_by_core,
    begin_by_page,
    check_method,
    dialog_keys,
    end_with_registration,
    for_page,
    inside_for_core,
    learn_from_core_request,
    learn_from_page_request,
    learn_from_reply,
    outside_for_core,
    reply_for_core,
    reply_for_page,
)
from tests.unit.core.registration.bindings import OURS, binding

NOW = 1000.0
SETTINGS = CallSettings("ims.example", "192.0.2.1:5060", "192.0.2.1", ("opus",), ("H264",))
HEADERS = {
    "Contact": ["<sip:there@core>"],
    "Record-Route": ["<sip:one;lr>, <sip:two;lr>"],
    "Expires": ["600"],
    "Subscription-State": ["active;expires=60"],
}


def request(side: Side, method: str, from_tag: str, to_tag: str = "", **headers: list[str]) -> Request:
    found = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Request(
        side, method, "call-1", from_tag, to_tag, 1,
        contact=found["Contact"][0] if found["Contact"] else "",
        headers=lambda name: found.get(name, []),
        request_uri="sip:bob@ims.example", from_uri="sip:alice@ims.example", connection_id="7",
    )  # fmt: skip


def reply(side: Side, method: str, from_tag: str, to_tag: str, status: int = 200) -> Reply:
    contact = HEADERS["Contact"][0]
    return Reply(
        side, method, "call-1", from_tag, to_tag, 1, contact=contact,
        headers=lambda name: HEADERS.get(name, []), status=status,
    )  # fmt: skip


def dialog(**far_ends: FarEnd) -> PageDialog:
    return PageDialog("sip:alice@ims.example", "sip:a@x", "7", "user", True, NOW + UNANSWERED_S, far_ends)


class TestNames:
    """Who began tells two dialogs with the same Call-ID and tags apart: alice and bob may both be pages here."""

    @pytest.mark.parametrize(
        ("message", "by_page"),
        [
            pytest.param(request(Side.WIC, "SUBSCRIBE", "a"), "page call-1 a", id="begins"),
            pytest.param(request(Side.IMS, "NOTIFY", "b", "a"), "page call-1 a", id="told"),
            pytest.param(reply(Side.IMS, "SUBSCRIBE", "a", "b"), "page call-1 a", id="taken"),
            pytest.param(reply(Side.WIC, "NOTIFY", "b", "a"), "page call-1 a", id="heard"),
        ],
    )
    def test_are_the_same_in_every_message(self, message: Message, by_page: str) -> None:
        assert dialog_keys(message)[0] == by_page

    @pytest.mark.parametrize(
        "message",
        [
            pytest.param(reply(Side.WIC, "SUBSCRIBE", "a", "b"), id="takes"),
            pytest.param(request(Side.IMS, "SUBSCRIBE", "a", "b"), id="watched"),
            pytest.param(request(Side.WIC, "NOTIFY", "b", "a"), id="tells"),
            pytest.param(reply(Side.IMS, "NOTIFY", "b", "a"), id="was heard"),
        ],
    )
    def test_that_the_core_began_are_the_same_too(self, message: Message) -> None:
        assert dialog_keys(message)[1] == "core call-1 a b"

    def test_until_a_page_answers_its_connection_tells_the_forks_of_one_request_apart(self) -> None:
        asked = request(Side.IMS, "SUBSCRIBE", "a")
        names = [dialog_keys(asked, connection)[2] for connection in ("7", "8")]
        assert names == ["fork call-1 a 7", "fork call-1 a 8"]
        assert dialog_keys(reply(Side.WIC, "SUBSCRIBE", "a", "b"), "7")[2] == names[0]
        assert dialog_keys(request(Side.WIC, "NOTIFY", "b", "a"), "8")[2] == names[1]


class TestLearning:
    def test_a_2xx_tells_the_way_to_the_far_end(self) -> None:
        found = dialog()
        assert learn_from_reply(found, reply(Side.IMS, "SUBSCRIBE", "a", "b"), NOW)
        assert found.far_ends == {"b": FarEnd("sip:there@core", ["<sip:two;lr>", "<sip:one;lr>"])}
        assert found.expires_at == NOW + 600 + LINGER_S

    @pytest.mark.parametrize("status", [302, 403, 481, 489, 503])
    def test_a_refusal_ends_what_has_not_begun(self, status: int) -> None:
        assert not learn_from_reply(dialog(), reply(Side.IMS, "SUBSCRIBE", "a", "b", status), NOW)

    @pytest.mark.parametrize(("status", "stays"), [(481, False), (403, True), (500, True)])
    def test_a_refused_refresh_ends_it_only_where_the_far_end_knows_nothing(
        self, status: int, stays: bool
    ) -> None:
        found = dialog(b=FarEnd("sip:b"))
        assert learn_from_reply(found, reply(Side.IMS, "SUBSCRIBE", "a", "b", status), NOW) is stays

    def test_a_notify_of_another_fork_is_another_far_end(self) -> None:
        found = dialog(b=FarEnd("sip:b"))
        learn_from_core_request(found, request(Side.IMS, "NOTIFY", "c", "a"), NOW)
        assert found.far_ends["c"] == FarEnd("sip:there@core", ["<sip:one;lr>", "<sip:two;lr>"])
        assert found.expires_at == NOW + 60 + LINGER_S

    def test_the_last_notify_leaves_a_little_time(self) -> None:
        found = dialog(b=FarEnd("sip:b"))
        found.expires_at = NOW + 5000
        last = request(Side.IMS, "NOTIFY", "b", "a", Subscription_State=["Terminated ;reason=timeout"])
        learn_from_core_request(found, last, NOW)
        assert found.expires_at == NOW + LINGER_S

    @pytest.mark.parametrize(
        "refusal", [reply(Side.WIC, "NOTIFY", "c", "a", 481), reply(Side.IMS, "SUBSCRIBE", "a", "c", 481)]
    )
    def test_a_fork_that_one_side_does_not_know_leaves_the_others(self, refusal: Reply) -> None:
        """RFC 6665 §5.4.9: a page may take one fork only; SIP.js and JsSIP answer the NOTIFYs of all others so."""
        found = dialog(b=FarEnd("sip:b"), c=FarEnd("sip:c"))
        found.expires_at = NOW + 600
        assert learn_from_reply(found, refusal, NOW)
        assert (set(found.far_ends), found.expires_at) == ({"b"}, NOW + 600)

    def test_the_fork_that_a_page_takes_may_answer_after_one_that_it_refused(self) -> None:
        found = begun_with("600")
        learn_from_core_request(found, request(Side.IMS, "NOTIFY", "c", "a"), NOW)
        assert learn_from_reply(found, reply(Side.WIC, "NOTIFY", "c", "a", 481), NOW)
        assert (found.far_ends, found.expires_at) == ({}, NOW + UNANSWERED_S)
        assert learn_from_reply(found, reply(Side.IMS, "SUBSCRIBE", "a", "b"), NOW)
        assert (set(found.far_ends), found.expires_at) == ({"b"}, NOW + 600 + LINGER_S)

    def test_one_that_the_core_began_ends_with_its_only_far_end(self) -> None:
        begun = begin_by_core(
            request(Side.IMS, "SUBSCRIBE", "b"), binding(), Flow("7", "n", "a", "b"), "u", NOW
        )
        assert not learn_from_reply(begun, reply(Side.WIC, "SUBSCRIBE", "b", "a", 481), NOW)

    def test_what_one_fork_shortens_or_ends_leaves_the_others(self) -> None:
        found = begun_with("600")
        for tag in "bc":
            learn_from_reply(found, reply(Side.IMS, "SUBSCRIBE", "a", tag), NOW)
        learn_from_core_request(found, request(Side.IMS, "NOTIFY", "c", "a"), NOW)  # for 60 s
        ends = request(Side.WIC, "SUBSCRIBE", "a", "c", Expires=["0"])
        learn_from_page_request(found, ends, binding(), NOW)
        last = request(Side.IMS, "NOTIFY", "c", "a", Subscription_State=["terminated;reason=timeout"])
        learn_from_core_request(found, last, NOW)
        assert (set(found.far_ends), found.expires_at) == ({"b"}, NOW + 600 + LINGER_S)
        told = request(Side.IMS, "NOTIFY", "b", "a", Subscription_State=["active;expires=500"])
        learn_from_core_request(found, told, NOW + 100)
        assert found.expires_at == NOW + 600 + LINGER_S

    @pytest.mark.parametrize("method", ["SUBSCRIBE", "REFER"])
    def test_nothing_else_comes_from_a_stranger(self, method: str) -> None:
        with pytest.raises(SipReject):
            learn_from_core_request(dialog(), request(Side.IMS, method, "c", "a"), NOW)

    def test_forks_are_counted(self) -> None:
        found = dialog()
        for number in range(MOST_FORKS):
            learn_from_core_request(found, request(Side.IMS, "NOTIFY", f"f{number}", "a"), NOW)
        with pytest.raises(SipReject) as caught:
            learn_from_core_request(found, request(Side.IMS, "NOTIFY", "one more", "a"), NOW)
        assert caught.value.status == 481
        learn_from_core_request(found, request(Side.IMS, "NOTIFY", "f0", "a"), NOW)
        assert learn_from_reply(found, reply(Side.IMS, "SUBSCRIBE", "a", "one more"), NOW)
        assert len(found.far_ends) == MOST_FORKS


class TestHowLong:
    """Whoever is watched says how long, within what was asked for and what any dialog may last."""

    FOR_EVER = "9" * 20

    def test_nobody_says_for_ever(self) -> None:
        begun = begun_with(self.FOR_EVER)
        told = request(Side.IMS, "NOTIFY", "b", "a", Subscription_State=[f"active;expires={self.FOR_EVER}"])
        learn_from_core_request(begun, told, NOW)
        assert begun.expires_at == NOW + LONGEST_S + LINGER_S
        answer = reply(Side.IMS, "SUBSCRIBE", "a", "b")
        answer.headers = lambda name: [self.FOR_EVER] if name == "Expires" else []
        learn_from_reply(begun, answer, NOW + 1)
        assert begun.expires_at == NOW + 1 + LONGEST_S + LINGER_S

    @pytest.mark.parametrize(
        ("asked", "lasts"), [("60", 60), ("0", 0), ("600", 600), ("x", 600), ("", 600), ("700", 600)]
    )
    def test_an_answer_shortens_only_what_was_asked_for(self, asked: str, lasts: int) -> None:
        begun = begun_with(asked)
        learn_from_reply(begun, reply(Side.IMS, "SUBSCRIBE", "a", "b"), NOW)
        assert begun.expires_at == NOW + lasts + LINGER_S

    def test_a_refresh_asks_anew(self) -> None:
        begun = begun_with("60")
        again = request(Side.WIC, "SUBSCRIBE", "a", "b", Expires=["500"], Contact=["<sip:gruu;gr>"])
        learn_from_page_request(begun, again, binding(), NOW)
        assert (begun.page_contact, begun.contact_of_binding) == ("sip:gruu;gr", OURS)
        learn_from_reply(begun, reply(Side.IMS, "SUBSCRIBE", "a", "b"), NOW)
        assert begun.expires_at == NOW + 500 + LINGER_S

    def test_after_the_registration_the_last_notify_passes_and_nothing_makes_it_longer(self) -> None:
        begun = begun_with("600")
        learn_from_reply(begun, reply(Side.IMS, "SUBSCRIBE", "a", "b"), NOW)
        end_with_registration(begun, NOW)
        assert (begun.owner, begun.expires_at) == ("", NOW + LINGER_S)
        learn_from_core_request(begun, request(Side.IMS, "SUBSCRIBE", "b", "a"), NOW)
        learn_from_core_request(begun, request(Side.IMS, "NOTIFY", "b", "a"), NOW)
        assert begun.expires_at == NOW + LINGER_S

    @pytest.mark.parametrize(
        ("asked", "passes"),
        [("600000", False), (FOR_EVER, False), (str(LONGEST_S), True), ("0", True), ("x", True), ("", True)],
    )
    def test_both_sides_hear_of_it(self, asked: str, passes: bool) -> None:
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
    asks = request(Side.WIC, "MESSAGE", "a", Priority=[value])
    edits = outside_for_core(asks, registration, None, SETTINGS, "icid")
    assert "Priority" in edits.remove
    assert (f"Priority: {value}" in edits.insert) is passes


def begun_with(expires: str) -> PageDialog:
    registration = Registration("sip:alice@ims.example", "sip:a@x", NOW + 60)
    asked = request(Side.WIC, "SUBSCRIBE", "a", Expires=[expires] if expires else [])
    return begin_by_page(asked, registration, "user", NOW)


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
