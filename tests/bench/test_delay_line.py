"""The delay line delays, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.delay_line import DelayLine, NoDelayLineError, delay_line

ONE_WAY_S = 0.03
ECHO = """
import socket, sys
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.bind((sys.argv[1], 9))
print("ready", flush=True)
while True:
    data, source = line.recvfrom(2048)
    line.sendto(data, source)
"""
ASK = """
import socket, sys, time
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.settimeout(5)
sys.stdin.readline()
for _ in range(5):
    began = time.monotonic()
    line.sendto(b"x", (sys.argv[1], 9))
    line.recv(10)
    print(time.monotonic() - began, flush=True)
"""


def devices() -> set[str]:
    """Return the network devices of this namespace that a line made."""
    return {path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith("slow")}


@pytest.fixture
def line() -> Iterator[DelayLine]:
    """A line, or a skip where there can be none."""
    try:
        with delay_line(ONE_WAY_S) as line:
            yield line
    except NoDelayLineError as error:
        pytest.skip(str(error))


def test_a_round_trip_takes_twice_the_delay(line: DelayLine) -> None:
    echo = subprocess.Popen([sys.executable, "-c", ECHO, line.near], stdout=subprocess.PIPE, text=True)
    command = line.program([sys.executable, "-c", ASK, line.near])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as inside:
        line.attach(inside.pid)
        assert echo.stdout is not None
        assert echo.stdout.readline() == "ready\n"
        took_s = [float(text) for text in inside.communicate("go\n")[0].split()]
    echo.kill()
    echo.communicate()
    assert min(took_s) == pytest.approx(2 * ONE_WAY_S, abs=0.01)


def test_a_killed_parent_leaves_nothing() -> None:
    if os.geteuid() != 0:
        pytest.skip("a delay line needs root (TUN devices and a network namespace)")
    before = devices()
    holder = (
        "import sys, time\n"
        "from tests.bench.delay_line import delay_line\n"
        "with delay_line(0.01) as line:\n"
        "    print(line.far_device, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        name = parent.stdout.readline().strip()
        assert name in devices()
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while name in devices() - before:
        assert time.monotonic() < deadline, f"{name} is still there"
        time.sleep(0.05)
