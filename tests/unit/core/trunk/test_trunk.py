"""A trunk as an operator writes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kemi.core.trunk.trunk import NumberForm, Trunk, check_trunks, hop_parts

GOOD = Trunk(
    "carrier-a",
    ["sip:192.0.2.1:5060", "sips:sbc.carrier.example", "sip:192.0.2.3:5061;transport=tls"],
    profile="pstn",
    user="us",
    password="never shown",
)


def test_a_good_trunk_is_taken() -> None:
    check_trunks([GOOD, Trunk("b", ["sip:carrier.example"])], {"pstn"})
    assert GOOD.host == "192.0.2.1"
    assert replace(GOOD, domain="carrier.example").host == "carrier.example"


def test_a_password_is_not_shown() -> None:
    assert "never shown" not in repr(GOOD)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "Carrier A"}, "name"),
        ({"uris": []}, "uris"),
        ({"uris": ["sip:192.0.2.1", "sip:192.0.2.1"]}, "uris"),
        ({"uris": ["192.0.2.1"]}, "uris"),
        ({"uris": ["sip:user@192.0.2.1"]}, "uris"),
        ({"uris": ["sip:192.0.2.1:99999"]}, "uris"),
        ({"uris": ["sip:192.0.2.1", "sip:[2001:db8::1]:5060"]}, "uris: .* IPv4"),
        ({"uris": ["sips:192.0.2.1;transport=udp"]}, "uris"),
        ({"domain": "no host"}, "domain"),
        ({"profile": "isdn"}, "profile"),
        ({"numbers": NumberForm.NATIONAL}, "country"),
        ({"caller": "03012345"}, "caller"),
        ({"user": "us", "password": ""}, "user"),
        ({"user": 'u"s'}, "user"),
        ({"register": True, "user": "", "password": ""}, "register"),
        ({"expires_s": 10}, "expires_s"),
        ({"options_s": 1.0}, "options_s"),
        ({"most_calls": -1}, "most_calls"),
        ({"networks": ["192.0.2.1/24"]}, "networks"),
    ],
)
def test_a_bad_trunk_is_named_with_its_key(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=f"trunks: .*: {problem}"):
        check_trunks([replace(GOOD, **changes)], {"pstn"})


def test_two_trunks_of_one_name() -> None:
    with pytest.raises(ValueError, match="two of this name"):
        check_trunks([GOOD, GOOD], {"pstn"})


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("sip:192.0.2.1", ("192.0.2.1", 0, "udp")),
        ("sip:sbc.example:5070;transport=tcp", ("sbc.example", 5070, "tcp")),
        ("sips:sbc.example", ("sbc.example", 0, "tls")),
    ],
)
def test_parts_of_a_next_hop(uri: str, parts: tuple[str, int, str]) -> None:
    assert hop_parts(uri) == parts
