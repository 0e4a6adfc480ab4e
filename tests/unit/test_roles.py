"""Every variable of a role has a type that stops a play, and is in the role's README where that lists variables."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.roles import REPOSITORY, ROLES, role_defaults, template_environment

LIST_OF_VARIABLES = "| variable | default | meaning |"


def _types(role: str) -> dict[str, Any]:
    specs = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]
    # Before anything is changed the same types are looked at as when the role runs.
    assert specs.get("preflight", specs["main"]) == specs["main"]
    options: dict[str, Any] = specs["main"]["options"]
    return options


@pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir()))
def test_every_variable_of_a_role_is_described(role: str) -> None:
    variables = role_defaults(role).keys()
    assert _types(role).keys() == variables
    readme = Path(ROLES / role / "README.md").read_text()
    if LIST_OF_VARIABLES in readme:
        assert not variables - set(re.findall(r"`([a-z_0-9]+)`", readme))


@pytest.mark.parametrize("silence", ["rtpengine_timeout_s", "rtpengine_silent_timeout_s"])
def test_the_relay_drops_no_silent_call_before_the_gateway_ends_it(silence: str) -> None:
    """A call on hold may have neither RTP nor RTCP."""
    assert role_defaults("rtpengine")[silence] >= role_defaults("kamailio")["gateway_longest_call_s"] > 0


def test_as_many_pages_as_operators_are_told_of_pass_the_preflight() -> None:
    """Which wants a port between HAProxy and Kamailio for each connection."""
    page = (REPOSITORY / "docs/operators.md").read_text()
    (pages,) = re.findall(r"25,000 to ([0-9,]+) pages a node", page)
    (connections,) = re.findall(r"`haproxy_max_connections` \| ([0-9.]+) × `N`", page)
    (first, last) = re.findall(r"ip_local_port_range` \| `(\d+) (\d+)`", page)[0]
    assert int(pages.replace(",", "")) * float(connections) <= int(last) - int(first)


@pytest.mark.parametrize(
    ("interval_s", "passes"), [(0, False), (1, True), (20, True), (21, False), (60, False)]
)
def test_prometheus_reads_as_often_as_the_alert_rules_need(interval_s: int, passes: bool) -> None:
    """A rate is of two values at least, one lost reading allowed for."""
    rules = (ROLES / "monitoring/files/gateway.rules.yml").read_text()
    shortest_s = 60 * min(map(int, re.findall(r"\[(\d+)m\]", rules)))
    (task,) = yaml.safe_load((ROLES / "monitoring/tasks/preflight.yml").read_text())
    told = template_environment(ROLES).compile_expression(task["ansible.builtin.assert"]["that"])
    assert told(monitoring_interval_s=interval_s) is passes
    assert not passes or 3 * interval_s <= shortest_s
    play = (REPOSITORY / "ansible/playbooks/preflight.yml").read_text()
    assert "name: monitoring\n        tasks_from: preflight" in play
