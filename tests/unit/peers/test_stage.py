"""The stage of the tests on a real gateway: whatever went wrong, its ports are free for the next one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tests import outcome
from tests.integration.calls.stage import Stage
from tests.lab.ports import LOOPBACK, own_port
from tests.peers.core import ScriptedCore

PORT = own_port()


class Unclosable:
    """A page that cannot be closed."""

    def __init__(self) -> None:
        self.closed = 0
        self.calls: dict[str, Any] = {}

    async def close(self) -> None:
        self.closed += 1
        raise ConnectionError("lost already")


class CleanStage(Stage):
    """Before a gateway where nothing is left, unless told otherwise."""

    def __init__(self, *pages: Any) -> None:
        lab: Any = SimpleNamespace(gateway_rpc=SimpleNamespace(htable=lambda name: {}))
        super().__init__(lab, PORT)
        self.pages = list(pages)
        self._relay_killed = True


def report(when: str, outcome: str) -> Any:
    return SimpleNamespace(nodeid="tests/test_it.py::test_it", when=when, failed=outcome == "failed")


async def port_is_free() -> None:
    async with ScriptedCore(LOOPBACK, PORT) as core:
        assert core.address[1] == PORT


async def test_a_page_that_cannot_be_closed_keeps_nobody_else_open() -> None:
    pages = Unclosable(), Unclosable()
    stage = CleanStage(*pages)
    await stage.open()
    with pytest.raises(ConnectionError):
        await stage.close()
    assert [page.closed for page in pages] == [1, 1]
    await port_is_free()


def test_a_core_that_nobody_closed_has_its_port_no_longer_than_its_test() -> None:
    kept: list[Stage] = []

    async def first() -> None:
        kept.append(CleanStage())
        await kept[0].open()

    asyncio.run(first())
    kept.clear()
    asyncio.run(port_is_free())


async def test_what_a_peer_found_wrong_is_told_though_nobody_waited_for_it() -> None:
    stage = CleanStage()
    await stage.open()
    stage.core.datagram_received(b"garbage that is no SIP\r\n\r\n", (LOOPBACK, 5060))
    with pytest.raises(AssertionError, match="core: "):
        await stage.close()
    await port_is_free()


async def test_what_calls_of_another_core_or_an_earlier_one_of_the_same_name_saw_is_told() -> None:
    stage = CleanStage()
    stage.other_cores.append(ScriptedCore())
    stage.core.earlier_calls.append(SimpleNamespace(violations=["of the first"]))  # type: ignore[arg-type]
    stage.other_cores[0].calls["x"] = SimpleNamespace(violations=["elsewhere"])  # type: ignore[assignment]
    await stage.open()
    with pytest.raises(AssertionError, match=r"of the first.*elsewhere"):
        await stage.close()


async def test_the_calls_of_a_test_that_failed_end_with_its_pages() -> None:
    left = {"call": "1"}

    class Page(Unclosable):
        async def close(self) -> None:
            self.closed += 1
            left.clear()

    page = Page()
    stage = CleanStage(page)
    stage.lab.gateway_rpc.htable = lambda name: left  # type: ignore[method-assign]
    await stage.open()
    outcome.note(report("call", "failed"))
    try:
        await stage.close()
    finally:
        outcome.note(report("teardown", "passed"))
    assert page.closed
    assert not outcome.has_failed()
