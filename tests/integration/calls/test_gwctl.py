"""`gwctl` beside real calls: who is registered, which calls run, their end, their trace, and why one failed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, Stage, until
from tests.integration.calls.traced import trace_of
from tests.lab.lab import Lab
from tests.peers.core_script import answers, rejects
from tests.peers.device_sdp import DeviceMedia
from webapp_api.gwctl.main import main

pytestmark = pytest.mark.lab

Gwctl = Callable[..., Awaitable[Result]]


@pytest.fixture(scope="module")
def gateway_lab(outbound_lab: Lab) -> Lab:
    """The one with trunks and Redis."""
    return outbound_lab


@pytest.fixture
def gwctl(gateway_lab: Lab, tmp_path: Path) -> Gwctl:
    """Type a command at the lab's Redis, while the ends of the calls go on."""
    file = tmp_path / "webapp_api.toml"
    file.write_text(
        f'public_origin = "https://a.example"\ndomain = "a.example"\nredis_url = "{gateway_lab.info.redis_url}"\n'
    )

    async def typed(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["--config", str(file), *arguments])

    return typed


def document(done: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def registrations(gwctl: Gwctl, number: int) -> list[dict[str, Any]]:
    """Wait until so many pages are there, and return their registrations; pages of other tests may be waited for."""
    found: list[dict[str, Any]] = []
    for _ in range(50):  # Redis is told a moment later
        listed = await gwctl("registrations", "list", "--impu", ALICE, "--state", "registered", "--json")
        found = document(listed)["registrations"]
        if len(found) == number:
            break
        await asyncio.sleep(0.1)
    assert len(found) == number
    return found


async def test_a_running_call_is_shown_and_ended(stage: Stage, gwctl: Gwctl) -> None:
    stage.core.script = answers(DeviceMedia())
    call = await stage.answered(await stage.page())
    registered = await registrations(gwctl, 1)
    assert [(one["state"], one["scheme"]) for one in registered] == [("registered", "digest")]
    (running,) = document(await gwctl("calls", "list", "--json"))["calls"]
    assert (running["call_id"], running["impu"], running["peer"]) == (call.call_id, ALICE, BOB)
    status = document(await gwctl("status", "--json"))
    assert (status["calls"], status["gateways"][0]["calls"]) == (1, 1)
    assert (await gwctl("call", "end", "--call-id", call.call_id)).exit_code == 0
    for side in (call.ims, call.wic):
        assert "ended by the operator" in ((await side.wait_request("BYE")).headers.get("Reason") or "")
    trace = await trace_of(stage, call.call_id, ends="BYE")
    shown = await gwctl("calls", "trace", call.call_id)
    assert (shown.exit_code, shown.stdout.count("INVITE") > 1) == (0, True)
    assert document(await gwctl("calls", "trace", call.call_id, "--json"))["key"] == trace.key
    past = document(await gwctl("calls", "history", "--impu", ALICE, "--limit", "1", "--json"))["calls"]
    assert (past[0]["call_id"], past[0]["by"]) == (call.call_id, "gateway")


async def test_a_call_that_failed_is_explained(stage: Stage, gwctl: Gwctl) -> None:
    stage.core.script = rejects(486)
    wic = await (await stage.page()).invite(BOB, AUDIO)
    assert (await wic.wait_status(486)).status == 486
    verdicts: list[dict[str, Any]] = []
    for _ in range(100):  # what is known grows until the record is gone
        told = await gwctl("call", "explain", wic.call_id, "--json")
        if verdicts := document(told).get("verdicts", []):
            break
        await asyncio.sleep(0.1)
    assert verdicts
    assert told.exit_code == int(verdicts[0]["gravity"] == "cause")
    text = (await gwctl("call", "explain", wic.call_id)).stdout
    assert all(verdict["says"] in text for verdict in verdicts)


async def test_a_registration_is_ended(stage: Stage, gwctl: Gwctl) -> None:
    await registrations(gwctl, 0)  # or the page of the test before would be ended
    page = await stage.page()
    (shown,) = await registrations(gwctl, 1)
    told = document(await gwctl("registrations", "end", "--id", shown["id"], "--json"))
    assert [one["impu"] for one in told["ended"]] == [ALICE]
    await until(lambda: page.socket.close_code is not None, lambda: "the page is still connected", 15)
    assert await registrations(gwctl, 0) == []
