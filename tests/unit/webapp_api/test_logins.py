"""Who counts as one client of the web service."""

from __future__ import annotations

import pytest

from webapp_api.logins import party_of


@pytest.mark.parametrize(
    ("address", "party"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:0db8:0001:0002::/64"),
        ("", "unknown"),
    ],
)
def test_one_ipv4_address_or_one_ipv6_network(address: str, party: str) -> None:
    assert party_of(address) == party
