"""A request of the core goes to the page its Path token names, or to nobody (RFC 5626 §5.3.1)."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from tests.integration.calls.stage import ALICE, CAROL, warning_of
from tests.integration.registration.registering import GRACE_S, RegistrationStage
from tests.lab.ports import LOOPBACK
from tests.peers.sip import SipRequest
from tests.peers.websocket import Loss

pytestmark = pytest.mark.lab

METHODS = [pytest.param(method, id=method) for method in ("INVITE", "OPTIONS", "MESSAGE", "NOTIFY")]
AT_ONCE_S = 0.8 * GRACE_S


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@pytest.mark.conformance("R-66")
@pytest.mark.parametrize("method", METHODS)
async def test_a_dead_flow_is_430_at_once(stage: RegistrationStage, method: str) -> None:
    page = await stage.registered_page()
    path = stage.path_of(page)
    page.lose()
    await stage.state_of(page, "away")
    began = time.monotonic()
    answer = await stage.ask_along(path, page, method)
    assert time.monotonic() - began < AT_ONCE_S
    assert (answer.status, answer.reason_phrase) == (430, "Flow Failed")
    await asyncio.sleep(GRACE_S + 0.3)
    assert (await stage.ask_along(path, page, method)).status == 430


@pytest.mark.conformance("R-66")
@pytest.mark.parametrize("method", METHODS)
async def test_a_token_that_was_changed_is_403(stage: RegistrationStage, method: str) -> None:
    page = await stage.registered_page()
    path = stage.path_of(page)
    token = path.partition(":")[2].partition("@")[0]
    for forged in (("B" if token[0] != "B" else "C") + token[1:], "x", "AAAAAAAAAAAAAAAAAAAAAAAA"):
        answer = await stage.ask_along(path.replace(token, forged), page, method)
        assert answer.status == 403
        assert "flow token" in warning_of(answer)


@pytest.mark.conformance("R-66")
async def test_a_flow_that_signed_off_is_430_although_its_connection_stands(stage: RegistrationStage) -> None:
    page = await stage.registered_page()
    path = stage.path_of(page)
    assert (await stage.ask_along(path, page)).status == 200
    assert (await page.unregister()).status == 200
    assert (await stage.ask_along(path, page)).status == 430


@pytest.mark.conformance("R-68", "R-66")
@pytest.mark.parametrize("loss", [pytest.param(loss, id=loss.name.lower()) for loss in Loss])
async def test_another_user_whose_connection_has_the_port_now_gets_nothing(
    stage: RegistrationStage, loss: Loss
) -> None:
    port = free_port()
    alice = await stage.registered_page(ALICE, source_port=port)
    path = stage.path_of(alice)
    assert alice.socket.local_address[1] == port
    alice.lose(Loss.RESET)
    await alice.lost.wait()
    carol = stage.new_page(CAROL, source_port=port)
    await stage.join(carol)
    assert carol.socket.local_address[1] == port
    for _ in range(3):
        for method in ("INVITE", "MESSAGE", "OPTIONS"):
            assert (await stage.ask_along(path, alice, method)).status == 430
    received = [entry.message for entry in carol.trace.entries if isinstance(entry.message, SipRequest)]
    assert [message.method for message in received] == ["REGISTER"]  # her own
    assert (await stage.ask_along(stage.path_of(carol), carol)).status == 200
    assert loss


@pytest.mark.conformance("R-68")
async def test_even_before_the_end_of_the_old_connection_was_noticed(stage: RegistrationStage) -> None:
    """The port's owner decides, not the order in which ends and beginnings are worked on."""
    port = free_port()
    alice = await stage.registered_page(ALICE, source_port=port)
    path = stage.path_of(alice)
    answers = []
    alice.lose(Loss.RESET)
    carol = stage.new_page(CAROL, source_port=port)
    joining = asyncio.create_task(stage.join(carol))
    while not joining.done():
        answers.append((await stage.ask_along(path, alice)).status)
    await joining
    answers.append((await stage.ask_along(path, alice)).status)
    assert answers[-1] == 430
    assert not carol.trace.requests("MESSAGE")
