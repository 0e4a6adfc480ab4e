"""A slow network on one machine, which may lose packets, too: two TUN devices with a queue in between, and a network
namespace behind the far one.

Knows devices, addresses and time.  Must not know what is sent.  For kernels without netem.  Nothing can stay behind:
the devices belong to the process of the queue, the namespace to the process inside, and both end with their parent.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

_TUN: Final = Path("/dev/net/tun")
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN_NO_INFO: Final = 0x1001
_PACKET_BYTES: Final = 2048
_MOST_LINES: Final = 250
_INSIDE_WITHIN_S: Final = 5.0


class NoDelayLineError(RuntimeError):
    """This machine or this user cannot have one; the text says why."""


@dataclass(frozen=True)
class DelayLine:
    """A running line; addresses are of the range for such measurements (RFC 2544)."""

    number: int
    one_way_s: float
    orders: IO[str]

    def change(self, one_way_s: float, lost_share: float = 0.0) -> None:
        """Delay packets that come from now on so long, and lose this share of them, each way."""
        self.orders.write(f"{one_way_s} {lost_share}\n")
        self.orders.flush()

    @property
    def near(self) -> str:
        """Our end's address."""
        return self.address(1)

    @property
    def far(self) -> str:
        """The address inside the namespace."""
        return self.address(2)

    @property
    def far_device(self) -> str:
        """The device inside the namespace."""
        return f"slow{self.number}f"

    def address(self, last: int) -> str:
        """Return an address of the line's network by its last number; from 3 on they are free."""
        return f"198.18.{self.number}.{last}"

    def program(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs in a namespace of its own; `attach` gives that the far end."""
        return ["unshare", "--net", *command]

    def attach(self, pid: int) -> None:
        """Move the far end into the namespace of a process that `program` started.

        Raises:
            NoDelayLineError: the process did not get a namespace.
        """
        own = Path("/proc/self/ns/net").readlink()
        deadline = time.monotonic() + _INSIDE_WITHIN_S
        while Path(f"/proc/{pid}/ns/net").readlink() == own:
            if time.monotonic() > deadline:
                raise NoDelayLineError("no network namespace: unshare is not allowed here")
            time.sleep(0.01)
        device = self.far_device
        _run("ip", "link", "set", device, "netns", str(pid))
        inside = ("nsenter", f"--net=/proc/{pid}/ns/net", "ip")
        _run(*inside, "addr", "add", f"{self.far}/24", "dev", device)
        _run(*inside, "link", "set", device, "up")
        _run(*inside, "link", "set", "lo", "up")


@contextmanager
def delay_line(one_way_s: float) -> Iterator[DelayLine]:
    """Run a line until the block ends.

    Raises:
        NoDelayLineError: not root, or no TUN devices.
    """
    if os.geteuid() != 0:
        raise NoDelayLineError("a delay line needs root (TUN devices and a network namespace)")
    if not _TUN.exists():
        raise NoDelayLineError(f"a delay line needs {_TUN}")
    command = [sys.executable, "-m", "tests.bench.delay_line", str(one_way_s)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        number = process.stdout.readline().strip()
        if not number:
            raise NoDelayLineError("no TUN devices can be made here")
        line = DelayLine(int(number), one_way_s, process.stdin)
        _run("ip", "addr", "add", f"{line.near}/24", "dev", f"slow{number}n")
        _run("ip", "link", "set", f"slow{number}n", "up")
        yield line
    finally:
        process.terminate()
        process.communicate()


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NoDelayLineError(f"{' '.join(command)}: {done.stderr.strip()}")


def _open_pair() -> tuple[int, int, int]:
    """Return a number that is free and both devices."""
    for number in range(_MOST_LINES):
        near = _open_device(f"slow{number}n")
        if near is None:
            continue
        far = _open_device(f"slow{number}f")
        if far is not None:
            return number, near, far
        os.close(near)
    raise NoDelayLineError("all devices are taken")


def _open_device(name: str) -> int | None:
    device = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH14s", name.encode(), _IFF_TUN_NO_INFO, b""))
    except OSError:  # somebody else's
        os.close(device)
        return None
    return device


def _forward(near: int, far: int, one_way_s: float) -> None:
    """Pass packets on, each after its time, until standard input ends; a line there changes time and loss."""
    lost_share, chance = 0.0, random.Random(1)
    under_way: deque[tuple[float, int, bytes]] = deque()
    other = {near: far, far: near}
    until_end = sys.stdin.fileno()
    while True:
        wait_s = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        ready, _, _ = select.select([near, far, until_end], [], [], wait_s)
        if until_end in ready:
            order = os.read(until_end, _PACKET_BYTES).decode().splitlines()
            if not order:
                return
            one_way_s, lost_share = map(float, order[-1].split())
        now = time.monotonic()
        for device in {near, far}.intersection(ready):
            under_way.extend(
                (now + one_way_s, other[device], packet)
                for packet in _packets(device)
                if not lost_share or chance.random() >= lost_share
            )
        while under_way and under_way[0][0] <= time.monotonic():
            _, device, packet = under_way.popleft()
            try:
                os.write(device, packet)
            except OSError:  # the other end is down, as a network may be
                continue


def _packets(device: int) -> Iterator[bytes]:
    while True:
        try:
            yield os.read(device, _PACKET_BYTES)
        except OSError:  # nothing more
            return


def main() -> None:
    """Make the devices, say their number, and forward."""
    number, near, far = _open_pair()
    print(number, flush=True)
    _forward(near, far, float(sys.argv[1]))


if __name__ == "__main__":
    main()
