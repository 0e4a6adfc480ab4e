"""The trust boundary's tables and what is read from them (TS 24.229 §4.4; RFC 3323; RFC 3325)."""

from __future__ import annotations

import pytest

from kemi.core.messages import Reply, Side
from kemi.core.trunk.incoming import names_withheld
from kemi.core.trust import (
    FROM_PAGE,
    NOT_FOR_TRUNKS,
    TOPOLOGY,
    TOWARDS_PAGE,
    UNTRUSTED_PARAMETERS,
    CoreNetworks,
    has_routing_parameters,
    priority_lines,
    warnings_for_page,
    withheld_from_page,
    without_parameters,
    without_routing_parameters,
)
from tests.unit.core.call.ladder import header_reader


def message(headers: dict[str, list[str]]) -> Reply:
    return Reply(Side.IMS, "INVITE", "c", "a", "b", 1, headers=header_reader(headers))


@pytest.mark.conformance("R-20", "S-04")
@pytest.mark.parametrize(
    "name",
    [
        "P-Asserted-Identity", "P-Visited-Network-ID", "P-Charging-Vector", "P-Charging-Function-Addresses",
        "P-Access-Network-Info", "P-Served-User", "P-Profile-Key", "P-Associated-URI", "Service-Route", "Path",
        "Feature-Caps", "Resource-Priority", "Restoration-Info", "Relayed-Charge", "Cellular-Network-Info",
        "Attestation-Info", "Origination-Id", "P-Private-Network-Indication", "History-Info", "P-Asserted-Service",
        "P-Early-Media", "Identity", "Alert-Info", "Diversion", "Remote-Party-ID", "Security-Client", "Record-Route",
        "P-Charge-Info", "P-DCS-Billing-Info", "P-DCS-LAES", "P-DCS-OSPS", "P-DCS-Redirect", "P-DCS-Trace-Party-ID",
        "P-Preferred-Identity", "P-Called-Party-ID", "P-User-Database", "Identity-Info", "Additional-Identity",
        "P-Preferred-Service", "P-Media-Authorization", "Priority-Share", "Priority-Verstat",
        "Service-Interact-Info", "Response-Source", "Security-Server", "Security-Verify", "Authorization",
        "Proxy-Authorization", "Session-Expires", "Min-SE",
    ],
)  # fmt: skip
def test_what_a_page_may_not_say(name: str) -> None:
    assert name in FROM_PAGE


@pytest.mark.parametrize(
    "name", ["Privacy", "Accept-Contact", "Reject-Contact", "Request-Disposition", "P-*", "X-*"]
)
def test_what_no_trunk_hears_beside_that(name: str) -> None:
    assert name in NOT_FOR_TRUNKS


@pytest.mark.parametrize(
    "name",
    ["npdi", "rn", "rn-context", "cic", "cic-context", "cpc", "oli", "tgrp", "trunk-context", "verstat"],
)
def test_a_page_leads_no_number_elsewhere(name: str) -> None:
    uri = f"tel:+15550100;isub=1;{name}=+15550199"
    assert has_routing_parameters(uri)
    assert without_routing_parameters(uri) == "tel:+15550100;isub=1"
    assert without_routing_parameters(f"sip:+15550100%3B{name.upper()}=1@x;user=phone") == (
        "sip:+15550100@x;user=phone"
    )


@pytest.mark.parametrize("name", ["verstat", "cpc", "oli", "iotl"])
def test_a_page_vouches_for_no_number(name: str) -> None:
    assert (
        without_parameters(f"<sip:+1@x;{name}=a>;{name}=b;tag=1", UNTRUSTED_PARAMETERS) == "<sip:+1@x>;tag=1"
    )


@pytest.mark.conformance("S-21", "S-50")
@pytest.mark.parametrize(
    "name",
    [
        "P-Charging-Vector", "P-Charging-Function-Addresses", "P-Access-Network-Info", "P-Visited-Network-ID",
        "P-Served-User", "P-Profile-Key", "Resource-Priority", "Restoration-Info", "Relayed-Charge",
        "Service-Interact-Info", "P-Private-Network-Indication", "Attestation-Info", "Origination-Id",
        "Record-Route", "Service-Route", "Server", "P-DCS-LAES", "Identity", "Identity-Info", "P-Preferred-Identity",
        "P-Charge-Info", "P-DCS-Billing-Info", "P-DCS-OSPS", "P-DCS-Redirect", "P-DCS-Trace-Party-ID",
        "P-User-Database", "P-Early-Media", "P-Asserted-Service", "Additional-Identity", "Cellular-Network-Info",
        "Priority-Share", "Response-Source", "Session-Expires", "Min-SE",
    ],
)  # fmt: skip
def test_what_the_network_keeps_to_itself(name: str) -> None:
    assert name in (*TOWARDS_PAGE, *TOPOLOGY)
    assert name in withheld_from_page(message({}))


def test_no_name_is_twice_in_a_table() -> None:
    for table in (FROM_PAGE, (*TOWARDS_PAGE, *TOPOLOGY)):
        assert len({name.lower() for name in table}) == len(table)


@pytest.mark.conformance("S-22")
@pytest.mark.parametrize(
    ("privacy", "identity_hidden", "history_hidden"),
    [
        pytest.param([], False, False, id="nothing said"),
        pytest.param(["none"], False, False, id="none"),
        pytest.param(["id"], True, True, id="id"),
        pytest.param(["user; ID ;critical"], True, True, id="id among others"),
        pytest.param(["header,id"], True, True, id="comma"),
        pytest.param(["user", "id"], True, True, id="two fields"),
        pytest.param(["history"], False, True, id="history"),
        pytest.param(["header"], False, True, id="header"),
        pytest.param(["user"], False, False, id="user: done upstream"),
    ],
)
def test_a_caller_who_asks_for_privacy_gets_it(
    privacy: list[str], identity_hidden: bool, history_hidden: bool
) -> None:
    hidden = withheld_from_page(message({"Privacy": privacy}))
    for name in ("P-Asserted-Identity", "Remote-Party-ID"):
        assert (name in hidden) is identity_hidden
    beyond = names_withheld(header_reader({"Privacy": privacy}), "SIP/2.0 200 OK")
    assert ("P-Asserted-Identity" in beyond) is identity_hidden
    for name in ("Identity", "Identity-Info"):
        assert (name in beyond) is history_hidden  # it may name either
    assert ("History-Info" in hidden) is history_hidden
    assert ("Diversion" in hidden) is history_hidden
    assert "Privacy" not in hidden


@pytest.mark.parametrize(
    ("name", "values", "hidden"),
    [
        ("History-Info", ["<sip:+49301@r>;index=1, <sip:+49302@r;cause=302>;index=1.1"], False),
        ("History-Info", ["<sip:+49301@r?Privacy=none>;index=1"], False),
        ("History-Info", ["<sip:+49301@r?Privacy=history>;index=1"], True),
        ("History-Info", ["<sip:+49301@r?Reason=SIP%3Bcause%3D302&privacy=history>;index=1"], True),
        ("History-Info", ["<sip:a@r?Privacy=none>;index=1, <sip:b@r?Priv%61cy=session>;index=1.1"], True),
        ("History-Info", ["<sip:a@r>;index=1", "<tel:+49301?Privacy=history>;index=1.1"], True),
        ("Diversion", ["<sip:+49301@r>;reason=user-busy"], False),
        ("Diversion", ["<sip:+49301@r>;privacy=off;counter=1", '<sip:+49302@r>;privacy = "off"'], False),
        ("Diversion", ["<sip:+49301@r>;privacy=full"], True),
        ("Diversion", ["<sip:+49301@r>;reason=away; Privacy = name"], True),
        ("Diversion", ['<sip:+49301@r>;privacy="uri"'], True),
        ("Diversion", ["<sip:+49301@r>;privacy=off, <sip:+49302@r>;privacy=offline;counter=1"], True),
        ("Diversion", ["<sip:+49301@r>;privacy;counter=1"], True),
        ("Diversion", ["sip:+49301@r;privacy"], True),
        ("Remote-Party-ID", ['"Bob" <sip:+49301@r>;party=called;screen=yes;privacy=off'], False),
        (
            "Remote-Party-ID",
            ["<sip:+49301@r>;privacy=none;screen=yes", "<sip:+49302@r>;privacy=nonesuch"],
            True,
        ),
        ("Remote-Party-ID", ["<sip:+49301@r>;privacy=none;screen=yes"], False),
        ("Remote-Party-ID", ['"Bob" <sip:+49301@r>;party=called;screen=yes;privacy=full'], True),
        ("Remote-Party-ID", ["<sip:+49301@r>;privacy=off", '<sip:+49302@r>;Privacy="name"'], True),
    ],
)
def test_whom_a_call_was_for_before_may_be_private_too(name: str, values: list[str], hidden: bool) -> None:
    assert (name in withheld_from_page(message({name: values}))) is hidden
    assert "P-Asserted-Identity" not in withheld_from_page(message({name: values}))


@pytest.mark.conformance("S-50")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('399 10.0.0.7:5060 "busy here"', ('Warning: 399 gw "busy here"',)),
        ('370 scscf.core.test "say \\"hi\\""', ('Warning: 370 gw "say \\"hi\\""',)),
        ("nonsense", ()),
        ('399 a "one", 399 b "two"', ()),
    ],
)
def test_a_warning_does_not_say_which_node_wrote_it(value: str, expected: tuple[str, ...]) -> None:
    assert warnings_for_page([value], "gw") == expected


@pytest.mark.conformance("S-04", "N-06")
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("<sip:a@x>;tag=1", "<sip:a@x>;tag=1"),
        ("<sip:a@x;cpc=payphone;user=phone>;tag=1", "<sip:a@x;user=phone>;tag=1"),
        ("<sip:+1;CPC=operator@x;user=phone>;tag=1", "<sip:+1@x;user=phone>;tag=1"),
        ("<tel:+1;oli=70>;tag=1;verstat=TN-Validation-Passed", "<tel:+1>;tag=1"),
        ('"x;verstat=1" <sip:a@x>;tag=1', '"x;verstat=1" <sip:a@x>;tag=1'),
        ('"x;verstat=1" <sip:a@x;verstat=1>;tag=1', '"x;verstat=1" <sip:a@x>;tag=1'),
        ("sip:a@x;verstat=1;tag=1", "sip:a@x;tag=1"),
        ("<sip:a@x;%76erstat=1>;tag=1", "<sip:a@x>;tag=1"),
        ("<sip:a@x;verstat>;tag=1", "<sip:a@x>;tag=1"),
        ('<sip:a@x>;verstat="a;b";tag=1', "<sip:a@x>;tag=1"),
        ("<sip:a@x ; verstat = 1 >;tag=1", "<sip:a@x  >;tag=1"),
    ],
)
def test_parameters_of_the_network_are_taken_out(address: str, expected: str) -> None:
    assert without_parameters(address, UNTRUSTED_PARAMETERS) == expected


@pytest.mark.conformance("X-16")
def test_the_core_is_where_the_networks_are() -> None:
    core = CoreNetworks(["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"])
    assert core.contains("192.0.2.9")
    assert core.contains("2001:db8::1")
    assert core.contains("[2001:db8::1]")
    assert core.contains("198.51.100.7")
    assert not core.contains("192.0.3.9")
    assert not core.contains("nonsense")
    assert CoreNetworks([]).contains("203.0.113.5")


@pytest.mark.conformance("S-04", "S-24")
@pytest.mark.parametrize(
    ("values", "left"),
    [
        (["urgent"], ("Priority: urgent",)),
        ([" Non-Urgent "], ("Priority: Non-Urgent",)),
        (["x-of-ours"], ("Priority: x-of-ours",)),
        (["emergency"], ()),
        (["PSAP-Callback "], ()),
        (["urgent", "emergency"], ("Priority: urgent",)),
        (["urgent, emergency"], ()),
        (["emergency;x"], ()),
        ([""], ()),
    ],
)
def test_nobody_outside_says_that_a_request_comes_first(values: list[str], left: tuple[str, ...]) -> None:
    assert priority_lines(header_reader({"Priority": values})) == left
