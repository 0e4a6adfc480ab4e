"""Whose a message is by its source, and the names that only we can make."""

from __future__ import annotations

import pytest

from kemi.core.trunk.names import is_own_call_id, own_call_id, trunk_user, trunks_by_user
from kemi.core.trunk.sources import TrunkSources, hosts_of
from kemi.core.trunk.trunk import Trunk

SECRET = "s" * 32
BY_HOP = Trunk("hop", ["sip:192.0.2.1:5070", "sip:[2001:db8::1];transport=tcp", "sip:trunk.example"])
BY_NETWORK = Trunk("network", ["sip:192.0.2.9"], networks=["203.0.113.0/24"])
TWIN = Trunk("twin", ["sip:192.0.2.1:5080"])


@pytest.mark.parametrize(
    ("address", "port", "protocol", "name"),
    [
        ("192.0.2.1", 5070, "udp", "hop"),
        ("192.0.2.1", 5080, "udp", "twin"),
        ("192.0.2.1", 40_000, "tcp", "hop"),
        ("2001:db8::1", 40_000, "tcp", "hop"),
        ("[2001:db8:0::1]", 40_000, "tcp", "hop"),
        ("203.0.113.77", 1, "udp", "network"),
        ("192.0.2.9", 5060, "udp", ""),
        ("198.51.100.1", 5060, "udp", ""),
        ("not an address", 5060, "udp", ""),
    ],
)
def test_a_source_is_a_trunk_s(address: str, port: int, protocol: str, name: str) -> None:
    found = TrunkSources([BY_HOP, BY_NETWORK, TWIN]).trunk_of(address, port, protocol)
    assert (found.name if found else "") == name


@pytest.mark.parametrize(
    ("port", "protocol", "is_trunk"),
    [(5070, "udp", True), (5071, "udp", False), (5070, "tcp", False), (40_000, "tcp", False)],
)
def test_on_a_machine_of_everything_the_port_has_to_fit(port: int, protocol: str, is_trunk: bool) -> None:
    others = hosts_of(["sip:192.0.2.1:4060"])
    found = TrunkSources([BY_HOP], others).trunk_of("192.0.2.1", port, protocol)
    assert (found is not None) is is_trunk


def test_names_are_known_again_and_not_made_by_others() -> None:
    trunk = Trunk("acme", ["sip:192.0.2.1"], user="u", password="p", register=True)
    user = trunk_user(SECRET, "acme")
    assert user.startswith("acme.")
    assert trunks_by_user([trunk, BY_HOP], SECRET) == {user: trunk}
    assert trunk_user("t" * 32, "acme") != user
    call_id = own_call_id(SECRET, "0123")
    assert is_own_call_id(SECRET, call_id)
    assert not is_own_call_id("t" * 32, call_id)
    assert not is_own_call_id(SECRET, f"{call_id}0")
    assert not is_own_call_id(SECRET, "0123")


@pytest.mark.parametrize(
    ("networks", "uri", "are_neighbours"),
    [
        (["192.0.2.0/24"], "sip:192.0.2.1", True),
        (["192.0.2.0/25"], "sip:192.0.2.1", True),
        (["192.0.2.1"], "sip:192.0.2.1", True),
        ([], "sip:192.0.2.1:5080;transport=tcp", True),
        ([], "sip:192.0.2.2", False),
        (["2001:db8::/32"], "sip:192.0.2.1", False),
        ([], "sip:sip.carrier.example", False),
    ],
)
def test_neighbours_need_not_be_spelt_alike(networks: list[str], uri: str, are_neighbours: bool) -> None:
    trunk = Trunk("any", [uri], networks=networks)
    for other in (
        Trunk("other", ["sip:192.0.2.1"]),
        Trunk("other", ["sip:SIP.far.example"], networks=["192.0.2.1/32"]),
    ):
        sources = TrunkSources([trunk, other])
        assert sources.are_neighbours("any", "other") is are_neighbours
        assert sources.are_neighbours("other", "any") is are_neighbours
    assert not sources.are_neighbours("any", "gone")


def test_so_are_those_with_a_next_hop_of_one_name() -> None:
    names = {"one": "sip.carrier.example", "two": "SIP.Carrier.example", "three": "far.example"}
    sources = TrunkSources([Trunk(name, [f"sip:{host}"]) for name, host in names.items()])
    assert sources.are_neighbours("one", "two")
    assert not sources.are_neighbours("one", "three")


def test_several_trunks_of_one_carrier_are_neighbours() -> None:
    places = {"one": "192.0.2.1", "two": "192.0.2.1", "three": "192.0.2.3"}
    one, two, three = (Trunk(name, [f"sip:{host}:5070"]) for name, host in places.items())
    sources = TrunkSources([one, two, three])
    assert sources.are_neighbours("one", "two")
    assert not sources.are_neighbours("one", "three")
