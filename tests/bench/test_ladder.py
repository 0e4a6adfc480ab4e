"""The ladder's rungs on what really runs: a twin, and Janus where it is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.bench import ladder
from tests.bench.janus_calls import JanusOrder, janus_calls
from tests.bench.ladder import NATIVE, Climber, ascend, broken, climb, climbers_of
from tests.bench.media_load import janus
from tests.bench.results import CallTimes, LoadResult
from tests.bench.runner import Mark, callee

pytestmark = pytest.mark.contract


def test_a_twin_stands_on_low_rungs_and_its_calls_are_counted() -> None:
    with callee() as far_end, climbers_of([NATIVE], far_end) as climbers:
        ascend(climbers, far_end, iter([20.0, 40.0]), 0.5)
    [climber] = climbers
    assert [rung.step.offered for rung in climber.rungs] == [20, 40]
    assert [broken(rung.step) for rung in climber.rungs] == ["", ""]
    assert climber.best is climber.rungs[1]
    assert all(rung.cpu_ms > 0 and 0 < rung.load_share < 1 for rung in climber.rungs)
    assert len(climber.rungs[0].delays_s) == 10  # plain calls keep their Call-ID


@pytest.mark.skipif(janus.PROGRAM is None, reason=janus.HOW_TO_INSTALL)
def test_calls_through_janus_are_answered(tmp_path: Path) -> None:
    with callee() as far_end, janus.running_janus(tmp_path) as running:

        def loader(rate: float, seconds: float, mark: Mark) -> LoadResult:
            return janus_calls(JanusOrder(running.port, far_end.port, rate, seconds, users=20), 2, mark)

        climber = Climber("Janus", [running.pid], loader)
        ascend([climber], far_end, iter([20.0]), 0.5)
    [rung] = climber.rungs
    assert broken(rung.step) == ""
    assert rung.cpu_ms > 0


def test_who_cannot_be_reached_any_more_climbs_no_further() -> None:
    def loader(rate: float, seconds: float, mark: Mark) -> LoadResult:
        raise RuntimeError("load client ended with 1")

    climber = Climber("gone", [], loader)
    with callee() as far_end:
        ascend([climber], far_end, iter([20.0, 40.0]), 0.5)
    assert [rung.step.done for rung in climber.rungs] == [0]
    assert (climber.best, climber.breaks) == (None, "load clients cannot connect")


_BURNS = """
import sys, time
for line in sys.stdin:
    until = time.process_time() + float(line)
    while time.process_time() < until:
        pass
    print(flush=True)
"""


@pytest.mark.parametrize("users", [0, 300])
def test_what_opening_its_users_costs_a_gateway_is_no_part_of_a_call(users: int) -> None:
    def loader(rate: float, seconds: float, mark: Mark) -> LoadResult:
        burn(users * 0.001)
        mark()
        burn(0.02)
        mark()
        burn(users * 0.001)  # they are let go, too
        now = time.monotonic()
        return LoadResult([CallTimes(f"{number}", now, now) for number in range(10)])

    with (
        callee() as far_end,
        subprocess.Popen(
            [sys.executable, "-c", _BURNS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as gateway,
    ):

        def burn(cpu_s: float) -> None:
            assert gateway.stdin is not None
            assert gateway.stdout is not None
            gateway.stdin.write(f"{cpu_s}\n")
            gateway.stdin.flush()
            gateway.stdout.readline()

        rung = climb(Climber("gateway", [gateway.pid], loader), far_end, 10.0, 1.0)
    assert rung.cpu_ms == pytest.approx(2.0, rel=0.3)


def test_load_clients_that_cannot_keep_up_say_nothing_of_a_higher_rate() -> None:
    def loader(rate: float, seconds: float, mark: Mark) -> LoadResult:
        mark()
        mark()
        return LoadResult([CallTimes(f"{number}", number / 50, number / 50) for number in range(int(rate))])

    climber = Climber("gateway", [], loader)
    with callee() as far_end:
        ascend([climber], far_end, iter([40.0, 100.0, 200.0]), 1.0)
    assert [(rung.step.offered, rung.step.done) for rung in climber.rungs] == [(40, 40), (50.5, 50.5)]
    assert climber.breaks == ""


def test_all_who_stand_have_tried_the_same_rates_when_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(ladder, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def loader(rate: float, seconds: float, mark: Mark) -> LoadResult:
        mark()
        now[0] += 10.0
        mark()
        return LoadResult([CallTimes(f"{number}", 0.0, 0.0) for number in range(int(rate))])

    climbers = [Climber("one", [], loader), Climber("other", [], loader)]
    with callee() as far_end:
        ascend(climbers, far_end, iter([20.0, 40.0]), 1.0, within_s=5.0)
    assert [[rung.step.offered for rung in climber.rungs] for climber in climbers] == [[20], [20]]


class PlayedJanus:
    """Answers as Janus' SIP plugin does, and writes down in which order it was asked what."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def serve(self, socket: ServerConnection) -> None:
        for text in socket:
            message = json.loads(text)
            what = message.get("body", {}).get("request", message["janus"])
            self.asked.append(what)
            if message["janus"] != "message":
                socket.send(json.dumps({"janus": "success", "data": {"id": 1}}))
                continue
            event = {"register": "registered", "call": "accepted", "hangup": "hangup"}[what]
            socket.send(json.dumps({"janus": "ack"}))
            socket.send(json.dumps({"janus": "event", "plugindata": {"data": {"result": {"event": event}}}}))


def test_sessions_of_janus_are_open_before_anything_is_counted() -> None:
    played = PlayedJanus()
    seen = list[list[str]]()
    with serve(played.serve, "127.0.0.1", 0, subprotocols=[Subprotocol("janus-protocol")]) as server:
        threading.Thread(target=server.serve_forever).start()
        order = JanusOrder(server.socket.getsockname()[1], 5060, 40.0, 0.5, users=10)
        result = janus_calls(order, 2, lambda: seen.append(list(played.asked)))
        server.shutdown()
    opened, over = seen
    assert sorted(opened) == ["attach"] * 10 + ["create"] * 10 + ["register"] * 10
    assert sorted(over[len(opened) :]) == ["call"] * 20 + ["hangup"] * 20
    assert (len(result.calls), result.failures) == (20, {})
