"""The stub counts what it carries out, and both shells get every reply through a network that loses datagrams."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rtpengine.ng.commands import Answer, Command, Delete, MediaOptions, Offer, Ping, Query
from rtpengine.ng.protocol import RetransmissionSchedule
from rtpengine.ng.replies import Pong
from rtpengine.transport.aio import AioClient
from rtpengine.transport.udp import UdpClient
from tests.bench.ng.__main__ import LOSSY, Measured, bars
from tests.bench.ng.load import LoadResult
from tests.bench.ng.stub import StubReport, key_of, running_stub
from tests.bench.results import Percentiles

PONG = b"d6:result4:ponge"
REPLIES = {key_of(Ping()): PONG, key_of(Query("call")): b"d7:createdi1ee"}
OPTIONS = MediaOptions()
HASTY = RetransmissionSchedule(first_s=0.01, longest_s=0.02)
LOSS = 0.3


def test_a_cookie_is_carried_out_once_and_answered_each_time() -> None:
    with running_stub(REPLIES) as stub, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        raw.settimeout(3.0)
        raw.connect((stub.address.host, stub.address.port))
        for cookie in (b"a", b"a", b"b"):
            raw.send(cookie + b" d7:command4:pinge")
            assert raw.recv(100) == cookie + b" " + PONG
        assert stub.report() == StubReport(executed=2, repeated=1, lost_commands=0, lost_replies=0)
        assert stub.report().executed == 0


def test_neither_shell_loses_or_doubles_anything_when_datagrams_are_lost() -> None:
    commands: tuple[Command[Pong], ...] = (Ping(),) * 25
    with running_stub(REPLIES, LOSS) as stub:

        async def all_at_once() -> int:
            client = await AioClient.connect(stub.address, deadline_s=10.0, schedule=HASTY)
            replies = await asyncio.gather(*map(client.request, commands * 4))
            client.close()
            return len(replies)

        def one_by_one(_number: int) -> int:
            client = UdpClient(stub.address, deadline_s=10.0, schedule=HASTY)
            replies = [client.request(command) for command in commands]
            client.close()
            return len(replies)

        answered = asyncio.run(all_at_once())
        with ThreadPoolExecutor(4) as workers:
            answered += sum(workers.map(one_by_one, range(4)))
        report = stub.report()
    assert answered == 200
    assert report.executed == answered
    assert min(report.lost_commands, report.lost_replies, report.repeated) > 0


def test_the_stub_knows_every_command_of_a_call_from_the_others() -> None:
    commands: tuple[Command[Any], ...] = (
        Ping(),
        Query("c"),
        Delete("c"),
        Offer("c", "t", "", OPTIONS),
        Answer("c", "t", "u", "", OPTIONS),
    )
    assert len({key_of(command) for command in commands}) == len(commands)
    assert key_of(Query("one")) == key_of(Query("another"))


@pytest.mark.parametrize(
    ("executed", "failed", "kept"),
    [
        pytest.param(100, 0, True, id="each once"),
        pytest.param(101, 0, False, id="one twice"),
        pytest.param(100, 1, False, id="one lost"),
    ],
)
def test_the_bar_of_a_lossy_run(executed: int, failed: int, kept: bool) -> None:
    result = LoadResult(100, failed, 1.0, 1.0, Percentiles(0.0, 0.0, 0.0), 0.0, 9, 0)
    (bar,) = bars([Measured(LOSSY[0], 0.05, result, StubReport(executed, 5, 5, 5))], [])
    assert bar.kept is kept
