"""Numbers in Kamailio's own configuration that hang on others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kemi.core.bans import LONGEST_WINDOW_S
from kemi.settings import MAX_WAIT_S
from kemi.state.schedule import Wait
from tests.lab.roles import role_defaults

CFG = Path("kamailio/kamailio.cfg").read_text(encoding="utf-8")
FORGOTTEN_S = 300
"""So soon firewalls forget a TCP connection that is idle."""


SMALLEST_POOL_MB = 384
"""Of kamailio_shm_mb, for transactions and calls."""
MOST_BYTES = 1024 * 1024
"""That Kamailio takes for one connection (tcp_options.c)."""
INVITE_BYTES = 3500


def kept_s(table: str) -> int:
    state = Path("kamailio/params/state.cfg").read_text(encoding="utf-8")
    (found,) = re.findall(rf'"{table}=>size=\d+;autoexpire=(\d+);"', state)
    return int(found)


def number(parameter: str) -> int:
    (found,) = re.findall(rf"^{parameter}=(\d+)\s", CFG, re.MULTILINE)
    return int(found)


def test_connections_to_the_core_are_not_idle_for_so_long_that_a_firewall_forgets_them() -> None:
    assert 0 < number("tcp_keepidle") < FORGOTTEN_S / 2


def test_one_that_is_dead_is_known_to_be_before_that() -> None:
    dead_s = number("tcp_keepidle") + number("tcp_keepintvl") * number("tcp_keepcnt")
    assert number("tcp_keepidle") < dead_s < FORGOTTEN_S


def test_what_waits_for_a_connection_has_room_and_leaves_room_for_others() -> None:
    one, all_ = number("tcp_conn_wq_max"), number("tcp_wq_max")
    assert 200 * INVITE_BYTES < one <= MOST_BYTES
    assert 16 * one < all_ < SMALLEST_POOL_MB * 1024 * 1024 / 10
    assert role_defaults("kamailio")["kamailio_shm_mb"].startswith(f"{{{{ {SMALLEST_POOL_MB} + ")


def test_a_name_that_got_no_answer_once_is_soon_asked_for_again() -> None:
    """Kamailio's own minute is twice the time that a caller waits (RFC 3261 §17.1.1.2, timer B)."""
    assert number("dns_cache_negative_ttl") <= 10


@pytest.mark.parametrize("wait", Wait)
def test_what_a_call_waits_for_is_not_forgotten_before_its_time(wait: Wait) -> None:
    """Housekeeping looks at it when it is due, and later where it has much to do."""
    assert kept_s(wait.value) >= MAX_WAIT_S + 120


@pytest.mark.parametrize(
    ("table", "longest_s"),
    [("passed_on", MAX_WAIT_S), ("waiting", MAX_WAIT_S), ("offender", LONGEST_WINDOW_S)],
)
def test_so_it_is_with_what_another_setting_lets_last(table: str, longest_s: float) -> None:
    """A request at another gateway rings as long as ``ims_answer_s`` says, and waits for a page for ``flow_wait_s``."""
    assert kept_s(table) >= longest_s + 120
