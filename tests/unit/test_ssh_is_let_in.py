"""Who would be locked out by the packet filter's role is told so before, and nobody else is."""

import runpy

import pytest

from tests.lab.roles import ROLES

fault = runpy.run_path(str(ROLES / "firewall/files/ssh_is_let_in.py"))["fault"]
OWN = ["192.0.2.10", "2001:db8::10"]
HERE = "203.0.113.7 50022 192.0.2.10 22"


@pytest.mark.parametrize(
    ("connection", "admins", "open_ports"),
    [
        pytest.param(HERE, [], [], id="everybody"),
        pytest.param(HERE, ["203.0.113.0/24"], [], id="network"),
        pytest.param(HERE, ["203.0.113.9/24"], [], id="network by an address of it"),
        pytest.param(HERE, ["2001:db8::/32", "203.0.113.7"], [], id="address"),
        pytest.param(HERE, ["203.0.113.1-203.0.113.9"], [], id="range"),
        pytest.param("2001:db8::7 50022 2001:db8::10 22", ["2001:db8::/32"], [], id="IPv6"),
        pytest.param("203.0.113.7 50022 192.0.2.10 2222", ["198.51.100.0/24"], ["2222"], id="open port"),
        pytest.param("", ["198.51.100.0/24"], [], id="no SSH"),
        pytest.param("UNKNOWN 65535 UNKNOWN 65535", ["198.51.100.0/24"], [], id="over no network"),
        pytest.param("127.0.0.1 50022 192.0.2.10 2222", ["198.51.100.0/24"], [], id="by loopback"),
        pytest.param("203.0.113.7 50022 192.0.2.99 2222", ["198.51.100.0/24"], [], id="to another machine"),
        pytest.param(HERE, ["no network"], [], id="not understood"),
    ],
)
def test_nothing_is_said(connection: str, admins: list[str], open_ports: list[str]) -> None:
    assert fault(connection, "22", admins, open_ports, OWN) == ""


@pytest.mark.parametrize(
    ("connection", "admins", "said"),
    [
        ("203.0.113.7 50022 192.0.2.10 2222", [], "SSH is on port 2222 there"),
        (HERE, ["198.51.100.0/24", "2001:db8::/32"], "this play comes from 203.0.113.7"),
        (HERE, ["203.0.113.1-203.0.113.6"], "this play comes from 203.0.113.7"),
        ("fe80::7%eth0 50022 2001:db8::10 22", ["2001:db8::/32"], "this play comes from fe80::7"),
    ],
)
def test_who_would_be_dropped_is_told_why(connection: str, admins: list[str], said: str) -> None:
    assert said in fault(connection, "22", admins, [], OWN)
