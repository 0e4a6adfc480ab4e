"""A trunk's call: its number, its caller, and what the home network is told."""

from __future__ import annotations

import time
from dataclasses import replace

import phonenumbers
import pytest

from kemi.core.errors import SipReject
from kemi.core.identity import ANONYMOUS
from kemi.core.messages import Request, Side
from kemi.core.routing.lookup import Entry, entries_of
from kemi.core.routing.numbers import BadNumber, DialPlan
from kemi.core.routing.table import Route, RoutingTable, TableError, Target, check_table
from kemi.core.trunk.incoming import (
    NOT_FOR_TRUNKS,
    Caller,
    WayIn,
    called_text,
    caller_of,
    from_value,
    home_routes,
    identity_lines,
    invite_edits,
    names_not_believed,
    names_withheld,
    number_read,
    routes_left,
    way_in,
)
from kemi.core.trunk.numbers import written
from kemi.core.trunk.trunk import NumberForm, Trunk
from tests.unit.core.call.ladder import header_reader

TRUNK = Trunk("acme", ["sip:192.0.2.1"], domain="acme.example", country="DE", numbers=NumberForm.NATIONAL)
HEADERS = {
    "From": ['"Carol" <sip:089555@192.0.2.1;user=phone;verstat=TN-Validation-Passed>;tag=t'],
    "X-Account": ["7"],
}


def invite(headers: dict[str, list[str]] | None = None, **changes: str) -> Request:
    found = {**HEADERS, **(headers or {})}
    request = Request(
        Side.IMS,
        "INVITE",
        "call",
        "t",
        "",
        1,
        headers=lambda name: found.get(name, []),
        request_uri="sip:03012345@198.51.100.1;user=phone",
        from_uri="sip:089555@192.0.2.1;user=phone",
        to_uri="sip:03012345@198.51.100.1",
    )
    for name, value in changes.items():
        setattr(request, name, value)
    return request


class Table:
    """Rows as a gateway has them."""

    def __init__(self, *routes: Route) -> None:
        self._entries = [entry for route in routes for entry in entries_of(route)]

    def entries(self, realm: str, beginnings: list[str]) -> list[Entry]:
        return [
            entry
            for entry in self._entries
            if entry.route.realm in (realm, "*") and entry.beginning in beginnings
        ]


def way(
    text: str, *routes: Route, plans: dict[str, DialPlan] | None = None, trunk: Trunk | None = None
) -> WayIn:
    return way_in(
        Table(*routes),  # type: ignore[arg-type]
        plans or {},
        {"weekly": "sip:weekly@conf.example"},
        trunk or TRUNK,
        text,
        home="home.example",
        now=0.0,
        spin=0.5,
    )


@pytest.mark.parametrize(
    ("form", "text", "number"),
    [
        (NumberForm.PLUS, "+493012345", "+493012345"),
        (NumberForm.PLUS, "%2B49-30-12345", "+493012345"),
        (NumberForm.PLUS, "+493012345;npdi", "+493012345"),
        (NumberForm.DIGITS, "493012345", "+493012345"),
        (NumberForm.DIGITS, "+493012345", "+493012345"),
        (NumberForm.NATIONAL, "03012345", "+493012345"),
        (NumberForm.NATIONAL, "00442071234567", "+442071234567"),
        (NumberForm.NATIONAL, "+442071234567", "+442071234567"),
    ],
)
def test_a_number_is_read_in_the_trunk_s_form(form: NumberForm, text: str, number: str) -> None:
    assert number_read(text, Trunk("a", ["sip:192.0.2.1"], country="DE", numbers=form)) == number


@pytest.mark.parametrize(
    ("form", "country", "text", "number"),
    [
        (NumberForm.PLUS, "", "123456;phone-context=+4930", "+4930123456"),
        (NumberForm.PLUS, "", "30123456;npdi;Phone-Context=+49", "+4930123456"),
        (NumberForm.NATIONAL, "DE", "2015550123;phone-context=+1", "+12015550123"),
        (NumberForm.NATIONAL, "DE", "030123456;phone-context=+49", "+4930123456"),
        (NumberForm.NATIONAL, "DE", "00442079460000;phone-context=+49", "+442079460000"),
        (NumberForm.NATIONAL, "DE", "030123456;phone-context=carrier.example", "+4930123456"),
        (NumberForm.NATIONAL, "DE", "+442079460000;phone-context=+49", "+442079460000"),
        (NumberForm.DIGITS, "", "4930123456;phone-context=+49", "+4930123456"),
    ],
)
def test_a_number_is_read_in_its_context(form: NumberForm, country: str, text: str, number: str) -> None:
    trunk = Trunk("a", ["sip:192.0.2.1"], country=country, numbers=form)
    assert number_read(text, trunk) == number
    row = Route("r", f"{number[:4]}*", Target.CORE, realm="trunk:a")
    for uri in (f"tel:{text}", f"sip:{text}@gw.example;user=phone"):
        called = called_text(invite(request_uri=uri), "")
        assert way(called, row, trunk=trunk).request_uri == f"sip:{number}@home.example;user=phone"
        assert caller_of(invite(from_uri=uri), trunk).number == number
        assert caller_of(invite({"P-Asserted-Identity": [f"<{uri}>"]}), trunk).number == number


def test_a_plan_of_the_trunk_comes_before_a_context() -> None:
    assert number_read("12;phone-context=+4930", TRUNK, DialPlan(extension_digits=2)) == "12"
    assert number_read("*21#;phone-context=+49", TRUNK, DialPlan(short_codes={"*21#": ""})) == "*21#"
    outside = DialPlan(country="DE", outside="9")
    assert number_read("9030123456;phone-context=+49", TRUNK, outside) == "+4930123456"


@pytest.mark.parametrize("country", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_what_is_written_for_a_trunk_is_read_back(country: str) -> None:
    trunk = Trunk("a", ["sip:192.0.2.1"], country=country, numbers=NumberForm.NATIONAL)
    own = phonenumbers.example_number(country)
    numbers = ["+12015550123", "+493012345678", "+442079460000", "+6834002", "+5511987654321", "+79161234567"]
    if own is not None:
        numbers.append(phonenumbers.format_number(own, phonenumbers.PhoneNumberFormat.E164))
    for number in numbers:
        digits = written(number, trunk)
        assert number_read(digits, trunk) == number
        caller = caller_of(invite(from_uri=f"sip:{digits}@192.0.2.1"), trunk)
        assert caller.number == number


def test_extensions_come_before_numbers_of_other_countries() -> None:
    trunk = replace(TRUNK, country="SG")
    plan = DialPlan(country="SG", extension_digits=4, short_codes={"0012345": ""})
    assert number_read("0012", trunk, plan) == "0012"
    assert number_read("0012345", trunk, plan) == "0012345"


@pytest.mark.parametrize("text", ["", "bob", "+", "+4912345678901234567", "#31#", "999999999999999999"])
def test_what_is_no_number_is_none(text: str) -> None:
    with pytest.raises(BadNumber):
        number_read(text, TRUNK)


def test_a_plan_of_the_trunk_s_realm_knows_extensions() -> None:
    row = Route("desk", "12", Target.USER, realm="trunk:acme", name="sip:alice@home.example")
    plans = {"trunk:acme": DialPlan(extension_digits=3)}
    assert way("12", row, plans=plans).request_uri == "sip:alice@home.example"


@pytest.mark.parametrize(
    ("row", "target"),
    [
        (Route("r", "+4930*", Target.USER, realm="trunk:acme", name="sip:a@h"), "sip:a@h"),
        (Route("r", "+4930*", Target.CORE, realm="trunk:acme"), "sip:+493012345@home.example;user=phone"),
        (
            Route("r", "+4930*", Target.CONFERENCE, realm="trunk:acme", name="weekly"),
            "sip:weekly@conf.example",
        ),
    ],
)
def test_a_row_of_the_trunk_says_where_it_goes(row: Route, target: str) -> None:
    assert way("03012345", row) == WayIn("r", target)


PORTED = replace(TRUNK, portability=True)


@pytest.mark.parametrize(
    ("trunk", "text", "target"),
    [
        (TRUNK, "03012345;npdi;rn=+4930999", "+493012345"),
        (PORTED, "03012345;npdi;rn=+4930999", "+493012345;npdi;rn=+4930999"),
        (PORTED, "03012345;NPDI;verstat=x;isub=7;cic=+49123", "+493012345;npdi;cic=+49123"),
        (PORTED, "03012345", "+493012345"),
        (PORTED, "03012345;rn=1;rn=2", "+493012345"),
        (replace(PORTED, numbers=NumberForm.DIGITS), "493012345;npdi", "+493012345;npdi"),
        (replace(PORTED, numbers=NumberForm.PLUS), "+493012345;npdi", "+493012345;npdi"),
    ],
)
def test_where_a_number_is_ported_to_goes_on_to_the_core_if_wanted(
    trunk: Trunk, text: str, target: str
) -> None:
    rows = [
        Route("core", "+4930*", Target.CORE, realm="trunk:acme"),
        Route("page", "+4930*", Target.USER, realm="trunk:acme", name="sip:a@h"),
    ]
    assert way(text, rows[0], trunk=trunk).request_uri == f"sip:{target}@home.example;user=phone"
    assert way(text, rows[1], trunk=trunk).request_uri == "sip:a@h"


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("sip:+4930;npdi;rn=+49@x.example;user=phone", "+4930;npdi;rn=+49"),
        ("sip:+4930@x.example;user=phone;npdi", "+4930"),
        ("tel:+4930;npdi;rn=+49", "+4930;npdi;rn=+49"),
        ("sip:203.0.113.7:5060;user=phone", ""),
    ],
)
def test_the_number_is_read_with_its_parameters(uri: str, text: str) -> None:
    assert called_text(invite(request_uri=uri), "") == text


@pytest.mark.parametrize(
    "said",
    [
        {"Diversion": ["<sip:+4940111@c>;reason=user-busy"]},
        {"History-Info": ["<sip:+4940111@c>;index=1"]},
    ],
    ids=["Diversion", "History-Info"],
)
def test_what_a_trunk_says_of_diversions_goes_on_if_it_is_believed(said: dict[str, list[str]]) -> None:
    request = invite(said)
    for trunk in (TRUNK, replace(TRUNK, believes_diversion=False)):
        caller = caller_of(request, trunk)
        edits = invite_edits(request, trunk, caller, "sip:a@h", head="", record_route=(), charging="x")
        removed = "History-Info" in edits.remove
        told = any(line.startswith("History-Info") for line in edits.insert)
        assert "Diversion" in edits.remove
        assert (removed, told) == (
            not trunk.believes_diversion,
            trunk.believes_diversion and "Diversion" in said,
        )


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (Route("r", "*", Target.CORE), 404),
        (Route("r", "+4930*", Target.CORE, realm="home.example"), 404),
        (Route("r", "+4930*", Target.CORE, realm="trunk:other"), 404),
        (Route("r", "+4930*", Target.TRUNK, realm="trunk:acme", name="carriers"), 482),
        (Route("r", "+4930*", Target.REFUSE, realm="trunk:acme", status=603), 603),
    ],
)
def test_every_other_row_lets_nobody_in(row: Route, status: int) -> None:
    with pytest.raises(SipReject) as refused:
        way("03012345", row)
    assert refused.value.status == status
    assert refused.value.route == ("r" if row.to is Target.REFUSE else "")


@pytest.mark.parametrize("text", ["112", "911"])
def test_emergencies_do_not_come_in(text: str) -> None:
    short = DialPlan(country="DE", short_codes={"112": "", "911": ""})
    for plan in (DialPlan(country="DE"), DialPlan(country="DE", extension_digits=3), short):
        with pytest.raises(BadNumber):
            way(text, Route("r", "*", Target.CORE, realm="trunk:acme"), plans={"trunk:acme": plan})


def test_a_table_never_leads_from_trunk_to_trunk() -> None:
    row = Route("r", "+4930*", Target.TRUNK, realm="trunk:acme", name="carriers")
    with pytest.raises(TableError, match="never goes to a trunk again"):
        check_table(RoutingTable((row,), frozenset({"carriers"})))
    check_table(RoutingTable((Route("r", "+4930*", Target.CORE, realm="trunk:acme"),)))


def test_a_call_to_our_contact_is_for_whom_to_names() -> None:
    request = invite(request_uri="sip:acme.0123@198.51.100.1", to_uri="sip:03077@acme.example")
    assert called_text(request, "acme.0123") == "03077"
    assert called_text(request, "") == "acme.0123"
    request = invite({"P-Called-Party-ID": ["<sip:03088@acme.example>"]}, request_uri="sip:acme.0123@x")
    assert called_text(request, "acme.0123") == "03088"


@pytest.mark.parametrize(
    ("headers", "from_uri", "caller"),
    [
        ({}, "sip:089555@192.0.2.1", Caller("+4989555", False)),
        ({}, "sip:bob@192.0.2.1", Caller("", False)),
        ({}, "sip:10.0.0.1:5060", Caller("", False)),
        ({}, "sip:0301234567", Caller("", False)),
        ({"P-Asserted-Identity": ["<sip:203.0.113.7>"]}, "sip:089555@x", Caller("+4989555", False)),
        ({"P-Asserted-Identity": ["<sip:203.0.113.7;user=phone>"]}, ANONYMOUS, Caller("", True)),
        ({"P-Asserted-Identity": ["<tel:089777>"]}, "sip:089555@x", Caller("+4989777", False)),
        ({"P-Asserted-Identity": ["<tel:+4940111>"]}, "sip:089555@x", Caller("+4940111", False)),
        ({"P-Asserted-Identity": ["<sip:bob@x>"]}, "sip:089555@x", Caller("+4989555", False)),
        ({}, ANONYMOUS, Caller("", True)),
        ({"Privacy": ["id"]}, "sip:089555@x", Caller("+4989555", True)),
        ({"Privacy": ["user;Id"]}, "sip:089555@x", Caller("+4989555", True)),
        ({"Privacy": ["critical; header"]}, "sip:089555@x", Caller("+4989555", True)),
        ({"P-Asserted-Identity": ["<tel:+4940111>"]}, ANONYMOUS, Caller("+4940111", True)),
        ({"Privacy": ["none"]}, "sip:089555@x", Caller("+4989555", False)),
        *(
            ({"Remote-Party-ID": [value]}, "sip:089555@x", Caller("+4989555", withheld))
            for value, withheld in (
                ("<sip:089555@x>;party=calling;privacy=off", False),
                ("<sip:089555@x>;party=calling;privacy=full", True),
                ("<sip:+4930@x>;party=called;privacy=full", False),
                ('<sip:+4930@x>;privacy;party="Called"', False),
                ("<sip:089555@x>;party=calling;privacy=none", False),
                ('<sip:089555@x>;privacy="None"', False),
                ("<sip:089555@x>;privacy", True),
                ("<sip:089555@x>;privacy=full;screen=yes", True),
                ("<sip:089555@x>;Party=Calling;privacy=name", True),
                ("<sip:+4930@x>;party=called;privacy=off, <sip:089555@x>;party=calling;privacy=uri", True),
                ("<sip:+4930@x>;party=called;privacy=full, <sip:089555@x>;party=calling;privacy=off", False),
            )
        ),
    ],
)
def test_who_calls(headers: dict[str, list[str]], from_uri: str, caller: Caller) -> None:
    assert caller_of(invite(headers, from_uri=from_uri), TRUNK) == caller


def test_what_is_asserted_and_shown() -> None:
    request = invite()
    known, hidden, nobody = Caller("+4989555", False), Caller("+4989555", True), Caller("", False)
    assert identity_lines(request, known, TRUNK) == (
        "P-Asserted-Identity: <sip:+4989555@acme.example;user=phone>",
    )
    assert identity_lines(request, hidden, TRUNK)[1] == "Privacy: id"
    assert identity_lines(request, nobody, TRUNK) == ("P-Asserted-Identity: <sip:acme.example>",)
    assert from_value(request, known, TRUNK) == '"Carol" <sip:+4989555@acme.example;user=phone>;tag=t'
    assert from_value(request, hidden, TRUNK) == f'"Anonymous" <{ANONYMOUS}>;tag=t'
    assert from_value(request, nobody, TRUNK) == '"Carol" <sip:unknown@acme.example>;tag=t'


def test_blanks_in_from_cost_no_time() -> None:
    began = time.thread_time()
    blanks, open_quote = " " * 60_000, '"' + r"\a" * 30_000
    for value in (blanks, f'"Carol"{blanks}', f"Carol{blanks}", open_quote):
        shown = from_value(invite({"From": [value]}), Caller("+4989555", False), TRUNK)
        assert shown == "<sip:+4989555@acme.example;user=phone>;tag=t"
    assert time.thread_time() - began < 0.5


def test_what_a_page_adds_goes_to_no_trunk() -> None:
    head = (
        "SIP/2.0 200 OK\r\nX-Charge-Number: 7\r\np-anything : 1\r\nP-Early-Media: sendrecv\r\nSubject: X-Not: this\r\n"
        "p-asserted-identity: <sip:a@h>\r\nX-charge-number: 8"
    )
    left = set(names_withheld(header_reader({}), head)) - set(NOT_FOR_TRUNKS)
    assert left == {"X-Charge-Number", "X-charge-number", "p-anything"}


def test_routes_into_the_home_network() -> None:
    record_route = [
        "<sip:s@[2001:db8::1];lr>, <sip:p.ims.example;lr>",
        "<sip:trunk@198.51.100.1:5060;lr>",
        "<sip:trunk@198.51.100.1:5061;transport=tls;lr>",
    ]
    own = ["198.51.100.1:5060", "198.51.100.1:5061"]
    assert home_routes(record_route, own) == ["<sip:p.ims.example;lr>", "<sip:s@[2001:db8::1];lr>"]
    assert home_routes(record_route[1:], own) == home_routes([], own) == []


def test_what_a_trunk_says_is_not_believed() -> None:
    head = "INVITE sip:a SIP/2.0\r\nX-Account: 7\r\nx-other : 1\r\nSubject: X-Not: this"
    assert names_not_believed(head)[-2:] == ("X-Account", "x-other")
    edits = invite_edits(
        invite({"Diversion": ["<sip:+4940111@x>;reason=no-answer"], "Priority": ["emergency", "urgent"]}),
        TRUNK,
        Caller("+4989555", False),
        "sip:a@h",
        head=head,
        record_route=["<sip:trunk@198.51.100.1:5060;lr>"],
        charging="icid-value=1",
    )
    assert {"P-Charging-Vector", "Route", "Diversion", "X-Account", "Priority"} <= set(edits.remove)
    assert [line for line in edits.insert if line.startswith("Priority")] == ["Priority: urgent"]
    assert "Identity" not in edits.remove
    assert any(
        line.startswith("History-Info: <sip:+4940111@x>;index=1, <sip:a@h;cause=408>")
        for line in edits.insert
    )


@pytest.mark.parametrize(
    ("form", "uri", "shown"),
    [
        (NumberForm.NATIONAL, "sip:03012345@carrier.example", "sip:+493012345@acme.example;user=phone"),
        (NumberForm.NATIONAL, "tel:00442079460000", "sip:+442079460000@acme.example;user=phone"),
        (NumberForm.DIGITS, "sip:493012345@carrier.example", "sip:+493012345@acme.example;user=phone"),
        (NumberForm.NATIONAL, "sip:+493012345@carrier.example", "sip:+493012345@carrier.example"),
        (NumberForm.NATIONAL, "tel:+493012345", "sip:+493012345@acme.example;user=phone"),
        (NumberForm.PLUS, "TEL:+49-30-12345", "sip:+493012345@acme.example;user=phone"),
        (NumberForm.NATIONAL, "sip:bob@carrier.example", "sip:bob@carrier.example"),
    ],
)
def test_who_has_diverted_a_call_is_named_as_its_caller_is(form: NumberForm, uri: str, shown: str) -> None:
    trunk = replace(TRUNK, numbers=form)
    request = invite({"Diversion": [f"<{uri}>;reason=no-answer"]})
    edits = invite_edits(
        request, trunk, caller_of(request, trunk), "sip:a@h", head="", record_route=(), charging="x"
    )
    assert f"History-Info: <{shown}>;index=1, <sip:a@h;cause=408>;index=1.1" in edits.insert


def test_who_has_diverted_a_call_privately_is_so_by_a_tel_uri_too() -> None:
    request = invite({"Diversion": ["<tel:+493012345>;reason=no-answer;privacy=full"]})
    caller = caller_of(request, TRUNK)
    edits = invite_edits(request, TRUNK, caller, "sip:a@h", head="", record_route=(), charging="x")
    shown = "<sip:+493012345@acme.example;user=phone?Privacy=history>;index=1"
    assert f"History-Info: {shown}, <sip:a@h;cause=408>;index=1.1" in edits.insert


@pytest.mark.parametrize(
    ("routes", "ours", "left"),
    [
        ([], False, []),
        (["<sip:trunk@198.51.100.1:5060;lr>"], True, []),
        (
            [
                "<sip:trunk@198.51.100.1:5061;transport=tls;lr>, <sip:trunk@198.51.100.1:5060;lr>",
                "<sip:scscf;lr>",
            ],
            True,
            ["<sip:scscf;lr>"],
        ),
        (["<sip:scscf;lr>", "<sip:trunk@198.51.100.1:5060;lr>"], False, None),
        (["<sip:token@198.51.100.1:5060;lr>"], False, None),
        (["<sip:trunk@203.0.113.9:5060;lr>"], False, None),
        (["<sip:198.51.100.1:5060;lr>"], False, None),
    ],
)
def test_our_own_routes(routes: list[str], ours: bool, left: list[str] | None) -> None:
    found = routes_left(routes, ["198.51.100.1:5060", "198.51.100.1:5061"])
    assert found[0] is ours
    if left is not None:
        assert found[1] == left
