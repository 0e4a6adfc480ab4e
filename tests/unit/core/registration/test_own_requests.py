"""SUBSCRIBE and REGISTER of our own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call.actions import SendRequest
from kemi.core.messages import Reply, Side, parameter
from kemi.core.registration.contact import with_flow_of
from kemi.core.registration.own_requests import (
    Subscription,
    deregister,
    forget_dialog,
    refresh,
    retry_at,
    subscribe,
    subscription_answered,
    subscription_failed,
    subscription_key,
)
from tests.unit.core.call.ladder import header_reader
from tests.unit.core.registration.bindings import ALICE, CONTACT, OURS, SETTINGS, TOKEN, binding


def subscription() -> Subscription:
    return Subscription("sub-1", ALICE, "ours", ["<sip:orig@scscf.ims.example;lr>"])


def answered(found: Subscription, status: int = 200, expires: str = "600", cseq: int = 1) -> None:
    reply = Reply(
        Side.IMS,
        "SUBSCRIBE",
        "sub-1",
        "ours",
        "theirs",
        cseq,
        contact="<sip:scscf.ims.example:6060>",
        headers=header_reader({"Expires": [expires], "Record-Route": ["<sip:a;lr>, <sip:b;lr>"]}),
        status=status,
    )
    subscription_answered(found, reply, now=100.0)


def value(request: SendRequest, name: str) -> str:
    (line,) = (line for line in request.headers if line.startswith(f"{name}: "))
    return line.partition(": ")[2]


class TestSubscribe:
    """TS 24.229 §5.2.3."""

    @pytest.mark.conformance("R-60")
    def test_the_first_one_goes_by_the_service_route_to_the_default_identity(self) -> None:
        request = subscribe(subscription(), 1200, SETTINGS, "icid-1")
        assert (request.request_uri, request.next_hop) == (ALICE, "sip:orig@scscf.ims.example;lr")
        assert value(request, "Route") == "<sip:orig@scscf.ims.example;lr>"
        assert value(request, "To") == f"<{ALICE}>"
        assert value(request, "P-Asserted-Identity") == "<sip:192.0.2.1:5060>"
        assert value(request, "Expires") == "1200"
        assert value(request, "CSeq") == "1 SUBSCRIBE"

    def test_the_next_one_is_inside_the_dialog(self) -> None:
        found = subscription()
        subscribe(found, 1200, SETTINGS, "icid-1")
        answered(found)
        request = subscribe(found, 0, SETTINGS, "icid-2")
        assert (request.request_uri, request.next_hop) == ("sip:scscf.ims.example:6060", "sip:b;lr")
        assert value(request, "To") == f"<{ALICE}>;tag=theirs"
        assert value(request, "CSeq") == "2 SUBSCRIBE"
        assert [line for line in request.headers if line.startswith("Route")] == [
            "Route: <sip:b;lr>",
            "Route: <sip:a;lr>",
        ]

    @pytest.mark.parametrize(("expires", "refresh_at"), [("600", 670.0), ("20", 110.0)])
    def test_what_the_core_granted_decides_when_it_is_refreshed(
        self, expires: str, refresh_at: float
    ) -> None:
        found = subscription()
        subscribe(found, 1200, SETTINGS, "i")
        answered(found, expires=expires)
        assert (found.expires_at, found.refresh_at) == (100.0 + int(expires), refresh_at)

    @pytest.mark.parametrize(("status", "expires"), [(403, "600"), (200, "0"), (200, ""), (408, "600")])
    def test_a_refusal_is_remembered(self, status: int, expires: str) -> None:
        found = subscription()
        subscribe(found, 1200, SETTINGS, "i")
        answered(found, status, expires)
        assert (found.failed_at, found.expires_at) == (100.0, 0.0)

    @pytest.mark.parametrize(
        ("status", "expires", "is_new"),
        [
            *((status, "", True) for status in (404, 405, 408, 410, 416, 480, 481, 485, 489, 501, 604)),
            *((status, "", False) for status in (400, 403, 423, 486, 500, 503, 603)),
            (200, "0", True),
        ],
    )
    def test_what_ends_it_makes_the_next_one_a_new_dialog(
        self, status: int, expires: str, is_new: bool
    ) -> None:
        found = subscription()
        subscribe(found, 1200, SETTINGS, "i")
        answered(found)
        before = value(subscribe(found, 1200, SETTINGS, "i"), "From")
        answered(found, status, expires, cseq=2)
        request = subscribe(found, 1200, SETTINGS, "i")
        assert (value(request, "To") == f"<{ALICE}>") is is_new
        assert (request.request_uri == ALICE) is is_new
        assert (value(request, "From") != before) is is_new

    def test_a_refusal_after_its_time_makes_a_new_dialog_too(self) -> None:
        found = subscription()
        subscribe(found, 1200, SETTINGS, "i")
        answered(found)
        subscribe(found, 1200, SETTINGS, "i")
        subscription_failed(found, 2, 503, found.expires_at - 1)
        assert found.remote_tag == "theirs"
        subscription_failed(found, 2, 503, found.expires_at)
        assert value(subscribe(found, 1200, SETTINGS, "i"), "To") == f"<{ALICE}>"

    def test_the_answer_to_an_older_one_changes_nothing(self) -> None:
        found = subscription()
        subscribe(found, 1200, SETTINGS, "i")
        subscribe(found, 1200, SETTINGS, "i")
        answered(found, cseq=1)
        assert found.remote_tag == ""

    def test_a_forgotten_dialog_takes_any_first_version(self) -> None:
        found = subscription()
        found.version = 9
        forget_dialog(found)
        assert found.version == -1

    def test_one_for_each_user(self) -> None:
        other = binding(associated_uris=["<sip:bob@ims.example>"])
        assert subscription_key(binding()) == "alice@ims.example sip:alice@ims.example"
        assert subscription_key(other) != subscription_key(binding())
        assert subscription_key(binding(grant=TOKEN)).startswith("alice-1@ims.example ")


class TestDeregister:
    """For a page we vouched for."""

    @pytest.mark.conformance("R-65", "R-67")
    def test_it_is_the_pages_own_register_with_no_time_and_our_word(self) -> None:
        request = deregister(binding(grant=TOKEN), SETTINGS, "icid-1")
        assert (request.request_uri, request.next_hop) == ("sip:ims.example", "")
        assert value(request, "Call-ID") == "reg-1"
        assert value(request, "CSeq") == "4 REGISTER"
        assert value(request, "From") == f"<{ALICE}>;tag=page-tag"
        assert value(request, "Contact") == (
            '<sip:x@page.invalid;transport=ws>;reg-id=1;+sip.instance="<urn:uuid:1>";expires=0'
        )
        assert value(request, "Expires") == "0"
        assert 'username="alice-1@ims.example"' in value(request, "Authorization")
        assert value(request, "Authorization").endswith('integrity-protected="auth-done"')
        assert value(request, "Path") == "<sip:t0ken@192.0.2.1:5060;lr;ob>"
        assert 'icid-value="icid-1"' in value(request, "P-Charging-Vector")

    def test_the_registrar_finds_what_it_got(self) -> None:
        """Its flow of this identity, not the page's own."""
        sent = replace(binding().sent, flow_by_identity=True)
        request = deregister(binding(grant=TOKEN, sent=sent), SETTINGS, "icid-1")
        flow = parameter(with_flow_of(ALICE, CONTACT), "reg-id")
        assert parameter(value(request, "Contact"), "reg-id") == flow != "1"

    def test_a_name_cannot_break_out_of_the_credentials(self) -> None:
        evil = 'a", integrity-protected="no\r\nX: y'
        grant = type(TOKEN)("bearer", evil, [], 0.0, "s")
        line = value(deregister(binding(grant=grant), SETTINGS, "i"), "Authorization")
        assert line.count('"') == 12
        assert "\r" not in line
        assert "\n" not in line


def test_a_core_that_refuses_is_asked_less_and_less_often() -> None:
    found = subscription()
    waits = []
    for _ in range(12):
        subscribe(found, 1200, SETTINGS, "icid-1")
        answered(found, 489, cseq=found.cseq)
        waits.append(retry_at(found) - 100.0)
    assert waits[:4] == [30.0, 60.0, 120.0, 240.0]
    assert waits[-1] == 3600.0
    subscribe(found, 1200, SETTINGS, "icid-1")
    answered(found, 200, cseq=found.cseq)
    subscribe(found, 1200, SETTINGS, "icid-1")
    answered(found, 489, cseq=found.cseq)
    assert retry_at(found) == 130.0


def test_a_refresh_for_a_page_uses_up_no_number_of_the_pages_own() -> None:
    """RFC 3261 §10.3 step 7."""
    request = refresh(binding(grant=TOKEN), SETTINGS, "call-1", "icid-1", 600)
    assert (value(request, "Call-ID"), value(request, "CSeq")) == ("call-1", "1 REGISTER")
    assert value(request, "Contact") == f'<{OURS}>;reg-id=1;+sip.instance="<urn:uuid:1>";expires=600'
    assert value(request, "Expires") == "600"
    assert value(request, "Path") == "<sip:t0ken@192.0.2.1:5060;lr;ob>"
    assert "integrity-protected=auth-done" in value(request, "Authorization").replace('"', "")


def test_what_the_core_knows_a_page_by_stays() -> None:
    """As the page's own REGISTER says it: TS 24.229 §7.2A.4 (whence), RFC 5626 §5.1 (no outbound without reg-id)."""
    sent = replace(binding().sent, contact_value=f"<{OURS}>")
    settings = replace(SETTINGS, access_network_info="IEEE-802.11")
    request = refresh(replace(binding(grant=TOKEN), sent=sent), settings, "call-1", "icid-1", 600)
    assert value(request, "Path") == "<sip:t0ken@192.0.2.1:5060;lr>"
    assert "IEEE-802.11" in value(request, "P-Access-Network-Info")
