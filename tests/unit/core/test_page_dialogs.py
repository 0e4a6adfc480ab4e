"""Dialogs outside calls: what they are named by, and what they learn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call.from_page.forks import MOST_FORKS
from kemi.core.errors import SipReject
from kemi.core.messages import Message, Reply, Side
from kemi.core.page_dialogs import (
    LINGER_S,
    LONGEST_S,
    UNANSWERED_S,
    FarEnd,
    begin_by_core,
    begin_by_page,
    dialog_keys,
    end_with_registration,
    learn_from_core_request,
    learn_from_page_request,
    learn_from_reply,
)
from kemi.core.registration import Flow
from tests.unit.core.outside_calls import NOW, begun_with, dialog, reply, request
from tests.unit.core.registration.bindings import OURS, binding


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

    @pytest.mark.parametrize("status", [401, 407, 481])
    def test_a_late_copy_of_a_challenge_leaves_what_was_begun_again(self, status: int) -> None:
        """RFC 3261 §22.2: with the same Call-ID and tag; over UDP the challenge comes once more for each copy."""
        again = replace(request(Side.WIC, "SUBSCRIBE", "a"), cseq=2)
        begun = begin_by_page(again, binding(), "user", NOW)
        late = reply(Side.IMS, "SUBSCRIBE", "a", "b", status)
        assert learn_from_reply(begun, late, NOW)
        assert not learn_from_reply(begun, replace(late, cseq=2), NOW)

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

    @pytest.mark.parametrize(("begun", "other"), [("presence", "refer;id=7"), ("refer", "presence")])
    @pytest.mark.parametrize("state", ["terminated;reason=noresource", "active;expires=60"])
    def test_what_is_told_of_something_else_in_the_dialog_leaves_it(
        self, begun: str, other: str, state: str
    ) -> None:
        """RFC 6665 §4.5.2 advises against a REFER inside a subscription, and yet some send one."""
        asked = request(Side.WIC, "SUBSCRIBE", "a", Event=[begun])
        found = begin_by_page(asked, binding(), "user", NOW)
        learn_from_reply(found, reply(Side.IMS, "SUBSCRIBE", "a", "b"), NOW)
        told = request(Side.IMS, "NOTIFY", "b", "a", Event=[other], Subscription_State=[state])
        learn_from_core_request(found, told, NOW)
        assert (set(found.far_ends), found.expires_at) == ({"b"}, NOW + 600 + LINGER_S)
        last = request(Side.IMS, "NOTIFY", "b", "a", Event=[begun], Subscription_State=["terminated"])
        learn_from_core_request(found, last, NOW)
        assert found.expires_at == NOW + LINGER_S

    def test_a_refer_inside_takes_no_time_away_and_ends_no_fork(self) -> None:
        found = begun_with("600")
        for tag in "bc":
            learn_from_reply(found, reply(Side.IMS, "SUBSCRIBE", "a", tag), NOW)
        told = request(
            Side.IMS, "NOTIFY", "c", "a", Event=["refer"], Subscription_State=["terminated;reason=noresource"]
        )
        learn_from_core_request(found, told, NOW)
        assert set(found.far_ends) == set("bc")
        del found.far_ends["c"]
        taken = reply(Side.IMS, "REFER", "a", "b", 202)
        taken.headers = lambda name: ["60"] if name == "Expires" else []
        assert learn_from_reply(found, taken, NOW)
        assert found.expires_at == NOW + 600 + LINGER_S

    def test_a_refer_ends_with_its_last_notify(self) -> None:
        begun = begin_by_page(request(Side.WIC, "REFER", "a"), binding(), "user", NOW)
        learn_from_reply(begun, reply(Side.IMS, "REFER", "a", "b", 202), NOW)
        last = request(
            Side.IMS, "NOTIFY", "b", "a", Event=["refer"], Subscription_State=["terminated;reason=noresource"]
        )
        learn_from_core_request(begun, last, NOW)
        assert begun.expires_at == NOW + LINGER_S

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
