"""Connections of pages come to Kamailio from an address that nobody else connects from.

Kamailio 5.6 finds a connection by address and port of its far end, whichever of its own ports it came to: the newest
takes the place of the one before (TCP_ALIAS_REPLACE), and when it ends nothing is found. HAProxy's connections to the
WebSocket port and those of the node's own programs to the control port may have the same port on loopback.
"""

from __future__ import annotations

import pytest

from kemi.core.trust import is_on_this_machine
from tests.lab.roles import render_role, role_defaults
from webapp_api.settings import SIP_PATH


@pytest.mark.parametrize(
    ("address", "source"),
    [
        pytest.param("127.0.0.1", "source 127.0.0.2", id="on this machine"),
        pytest.param("192.0.2.1", "", id="elsewhere"),
    ],
)
def test_the_front_connects_from_an_address_of_its_own(address: str, source: str) -> None:
    values = {"haproxy_certificate": "/x", "haproxy_sip_address": address}
    text = render_role("haproxy", "haproxy.cfg.j2", values)
    (line,) = (line for line in text.splitlines() if line.strip().startswith("server kamailio"))
    assert line.partition("maxconn ")[2].partition(" ")[2] == source


@pytest.mark.parametrize(
    ("address", "binds"),
    [
        pytest.param("*", ["*:443"], id="IPv4"),
        pytest.param("2001:db8::1", ["2001:db8::1:443"], id="one address"),
        pytest.param(
            "::", ["0.0.0.0:443", ":::443 v6only"], id="both, apart: else all of IPv4 is one client"
        ),
    ],
)
def test_where_the_front_listens(address: str, binds: list[str]) -> None:
    text = render_role("haproxy", "haproxy.cfg.j2", {"haproxy_certificate": "/x", "haproxy_address": address})
    lines = [
        line.strip() for line in text.splitlines() if line.strip().startswith("bind ") and " ssl " in line
    ]
    assert [line.removeprefix("bind ").partition(" ssl ")[0] for line in lines] == binds


def test_the_front_may_come_from_any_loopback_address_and_nobody_from_elsewhere() -> None:
    assert is_on_this_machine("127.0.0.2", "127.0.0.1")
    assert is_on_this_machine("192.0.2.1", "192.0.2.1")
    assert not is_on_this_machine("192.0.2.2", "192.0.2.1")
    assert not is_on_this_machine("192.0.2.2", "127.0.0.1")
    assert not is_on_this_machine("127.0.0.2", "192.0.2.1")


def test_the_path_of_the_websocket_is_the_one_that_pages_are_told() -> None:
    """Kamailio knows no other, either: it is no variable."""
    assert not [name for name in role_defaults("haproxy") if name.endswith("_path")]
    front = render_role("haproxy", "haproxy.cfg.j2", {"haproxy_certificate": "/dev/null"})
    assert f"acl is_sip path {SIP_PATH}\n" in front
