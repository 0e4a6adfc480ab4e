"""Numbers in Kamailio's own configuration that hang on others."""

from __future__ import annotations

import re
from pathlib import Path

CFG = Path("kamailio/kamailio.cfg").read_text(encoding="utf-8")
FORGOTTEN_S = 300
"""So soon firewalls forget a TCP connection that is idle."""


def number(parameter: str) -> int:
    (found,) = re.findall(rf"^{parameter}=(\d+)\s", CFG, re.MULTILINE)
    return int(found)


def test_connections_to_the_core_are_not_idle_for_so_long_that_a_firewall_forgets_them() -> None:
    assert 0 < number("tcp_keepidle") < FORGOTTEN_S / 2


def test_one_that_is_dead_is_known_to_be_before_that() -> None:
    dead_s = number("tcp_keepidle") + number("tcp_keepintvl") * number("tcp_keepcnt")
    assert number("tcp_keepidle") < dead_s < FORGOTTEN_S
