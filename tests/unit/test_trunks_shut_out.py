"""Which trunks the relay's packet filter would drop the media of, as far as their SIP tells."""

import json
import runpy
import subprocess
import sys
from typing import Any

import pytest

from tests.lab.roles import ROLES

SCRIPT = ROLES / "rtpengine/files/trunks_shut_out.py"
shut_out = runpy.run_path(str(SCRIPT))["shut_out"]
CORE = ["198.51.100.0/24", "2001:db8:1::/48", "192.0.2.20-192.0.2.29"]
BY_ADDRESS = {"name": "carrier", "uris": ["sip:203.0.113.10:5060"]}


@pytest.mark.parametrize(
    ("trunk", "networks"),
    [
        pytest.param(BY_ADDRESS, [], id="everybody is heard"),
        pytest.param(BY_ADDRESS, [*CORE, "203.0.113.0/24"], id="network"),
        pytest.param(BY_ADDRESS, [*CORE, "203.0.113.10"], id="address"),
        pytest.param({"name": "carrier", "uris": ["sip:x@192.0.2.21"]}, CORE, id="range"),
        pytest.param({**BY_ADDRESS, "networks": ["2001:db8:1:7::/64"]}, CORE, id="IPv6"),
        pytest.param(
            {**BY_ADDRESS, "networks": ["198.51.0.0/16"]}, CORE, id="networks count, and a part is enough"
        ),
        pytest.param(
            {"name": "carrier", "uris": ["sip:carrier.example", "sip:10.carrier.example"]}, CORE, id="names"
        ),
    ],
)
def test_nothing_is_said(trunk: dict[str, Any], networks: list[str]) -> None:
    assert shut_out([trunk], networks) == []


@pytest.mark.parametrize(
    ("trunk", "addresses"),
    [
        (BY_ADDRESS, ["203.0.113.10"]),
        ({"name": "carrier", "uris": ["sip:x@203.0.113.7;transport=tcp", "sip:b.example"]}, ["203.0.113.7"]),
        ({**BY_ADDRESS, "networks": ["2001:db8:2::/48"]}, ["2001:db8:2::/48"]),
        (
            {"name": "carrier", "uris": ["sip:198.51.100.7"], "networks": ["203.0.113.0/24"]},
            ["203.0.113.0/24"],
        ),
    ],
)
def test_a_trunk_from_elsewhere_is_named(trunk: dict[str, Any], addresses: list[str]) -> None:
    assert shut_out([trunk], CORE) == [("carrier", addresses)]


@pytest.mark.parametrize(
    ("trunks", "networks", "said"),
    [
        ([BY_ADDRESS], CORE, "carrier (203.0.113.10)\n"),
        ([BY_ADDRESS], ["192.0.2.0/33"], ""),
        (5, CORE, ""),
        ([{"uris": ["sip:203.0.113.10"]}], CORE, ""),
    ],
    ids=["a line", "no network", "no list", "no name"],
)
def test_what_is_wrong_otherwise_is_left_to_others(trunks: Any, networks: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT],
        input=json.dumps([trunks, networks]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == said
