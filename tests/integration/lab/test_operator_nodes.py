"""A relay node is drained on the web and on the gateway's command line: every way leads to every other one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from kemi.state.web.accounts import AccountStore
from kemi.state.web.client import connect
from rtpengine.cli import main
from tests.integration.lab.web import Browser
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.lab

PARTS = frozenset({Part.REDIS, Part.GATEWAY, Part.RTPENGINE, Part.MEDIA_AGENT, Part.WEB_API, Part.HAPROXY})
SOON_S = 5.0


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """Web API, gateway, media agent and one relay node; alice is an operator."""
    with Lab(LabOptions(parts=PARTS, phones=())) as lab:
        accounts = AccountStore(connect(lab.info.redis_url))
        alice = accounts.get("alice")
        assert alice is not None
        accounts.put(msgspec.structs.replace(alice, operator=True))
        yield lab


def test_drained_on_the_web_undrained_at_the_gateway_and_back_after_a_restart(world: Lab) -> None:
    browser = Browser(world)
    browser.log_in("alice", world.info.web.accounts["alice"])
    node = f"{world.info.rtpengine.ng_address}:{world.info.rtpengine.ng_port}"
    url = f"{browser.origin}/api/operator/nodes"

    def on_the_web() -> tuple[bool, set[str]]:
        (shown,) = browser.http.get(url, timeout=5).json()["nodes"]
        return shown["drained"], {seen["state"] for seen in shown["gateways"]}

    def at_the_gateway() -> bool:
        _, answer = world.control("GET", "/v1/nodes")
        return bool(answer["nodes"][0]["drained"])

    wait_until(lambda: browser.http.get(url, timeout=5).json()["nodes"] != [], "the gateway's view", SOON_S)
    wait_until(lambda: on_the_web() == (False, {"up"}), "a node that is up", SOON_S)
    assert browser.http.put(f"{url}/{node}", json={"drain": True}, timeout=5).status_code == 200
    wait_until(at_the_gateway, "drained at the gateway", SOON_S)
    world.kill("gateway")
    world.start_again("gateway", Part.GATEWAY)
    assert at_the_gateway()  # known before the first message
    config = str(Path(world.info.run_dir) / "media_agent.toml")
    assert CliRunner().invoke(main, ["undrain", node, "--config", config]).exit_code == 0
    wait_until(lambda: not on_the_web()[0], "undrained on the web", SOON_S)
    assert not at_the_gateway()
