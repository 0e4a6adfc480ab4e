"""Whoever misspells a variable is told; of those of the shipped inventories nothing is said."""

import importlib.util
from pathlib import Path

import pytest
import yaml

from tests.provision.operator import ANSIBLE

SPEC = importlib.util.spec_from_file_location(
    "variable_names", ANSIBLE / "roles/common/filter_plugins/variable_names.py"
)
assert SPEC is not None
assert SPEC.loader is not None
PLUGIN = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(PLUGIN)
ROLES = str(ANSIBLE / "roles")
OWN = yaml.safe_load((ANSIBLE / "roles/common/defaults/main.yml").read_text(encoding="utf-8"))[
    "common_own_names"
]
INVENTORIES = sorted((ANSIBLE / "inventories").glob("*/group_vars/**/*.yml"))


def test_a_misspelt_name_is_told_with_the_one_that_may_be_meant() -> None:
    names = ["firewall_admin_network", "gateway_realm", "ansible_host", "kamailio_udp_mtuu", "gateway_color"]
    assert PLUGIN.unknown_names(names, ROLES) == [
        "firewall_admin_network (perhaps firewall_admin_networks)",
        "gateway_color",
        "kamailio_udp_mtuu (perhaps kamailio_udp_mtu)",
    ]


def test_names_of_the_inventorys_own_can_be_named() -> None:
    assert PLUGIN.unknown_names(["gateway_color"], ROLES, ["gateway_color"]) == []


@pytest.mark.parametrize("path", INVENTORIES, ids=lambda path: str(path.relative_to(ANSIBLE)))
def test_the_shipped_inventories_have_no_such_names(path: Path) -> None:
    names = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    assert PLUGIN.unknown_names(names, ROLES, OWN) == []


def test_there_are_inventories() -> None:
    assert len(INVENTORIES) > 2


def test_what_our_tasks_find_out_is_no_variable_of_the_inventorys() -> None:
    assert PLUGIN.unknown_names(["haproxy_told", "redis_acting_master", "redis_clip"], ROLES) == [
        "redis_clip"
    ]
