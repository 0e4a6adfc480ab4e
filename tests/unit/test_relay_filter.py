"""Whom the relay's packet filter takes packets from, where networks are of either IP version."""

import pytest

from tests.lab.roles import render_role

FOUR, SIX = "198.51.100.0/24", "2001:db8:1::/48"


def _rules(ims_address: str, gateways: list[str], core: list[str], relays: tuple[str, ...] = ()) -> list[str]:
    text = render_role(
        "rtpengine",
        "rtpengine.nft.j2",
        {
            "rtpengine_ims_address": ims_address,
            "rtpengine_gateways": gateways,
            "rtpengine_core_networks": core,
            "rtpengine_relays": list(relays),
        },
    )
    return [line.strip() for line in text.splitlines()]


def test_the_control_port_is_for_gateways_of_both_versions() -> None:
    rules = _rules("192.0.2.9", ["192.0.2.1", "2001:db8::1", "192.0.2.2"], [])
    assert "udp dport 2223 ip saddr != { 192.0.2.1, 192.0.2.2 } drop" in rules
    assert "udp dport 2223 ip6 saddr != { 2001:db8::1 } drop" in rules


@pytest.mark.parametrize(("gateway", "nobody"), [("192.0.2.1", "ipv6"), ("2001:db8::1", "ipv4")])
def test_nobody_of_a_version_without_gateways_reaches_the_control_port(gateway: str, nobody: str) -> None:
    assert f"udp dport 2223 meta nfproto {nobody} drop" in _rules("192.0.2.9", [gateway], [])


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        (
            "192.0.2.9",
            "ip daddr 192.0.2.9 udp dport 30000-40000 ip saddr != { 198.51.100.0/24, 192.0.2.1, 192.0.2.9 } drop",
        ),
        (
            "2001:db8::9",
            "ip6 daddr 2001:db8::9 udp dport 30000-40000 ip6 saddr != { 2001:db8:1::/48, 2001:db8::9 } drop",
        ),
    ],
)
def test_media_of_the_core_comes_from_its_networks_of_that_version(address: str, rule: str) -> None:
    assert rule in _rules(address, ["192.0.2.1"], [FOUR, SIX])


def test_relays_hear_each_other_and_themselves() -> None:
    """Media of a page that calls a page goes from one port of the core's side to another."""
    relays = ("192.0.2.9", "192.0.2.10", "2001:db8::10")
    rule = (
        "ip daddr 192.0.2.9 udp dport 30000-40000 ip saddr != { 198.51.100.0/24, 192.0.2.9, 192.0.2.10 } drop"
    )
    assert rule in _rules("192.0.2.9", [], [FOUR], relays)


def test_a_gateway_on_the_relays_own_machine_is_heard() -> None:
    """It asks for key frames, and its control port on loopback needs no ``rtpengine_gateways``."""
    rules = _rules("192.0.2.9", [], [FOUR])
    assert "ip daddr 192.0.2.9 udp dport 30000-40000 ip saddr != { 198.51.100.0/24, 192.0.2.9 } drop" in rules


def test_a_core_without_networks_of_that_version_sends_nothing() -> None:
    rule = "ip daddr 192.0.2.9 udp dport 30000-40000 ip saddr != { 192.0.2.9 } drop"
    assert rule in _rules("192.0.2.9", ["2001:db8::1"], [SIX])
