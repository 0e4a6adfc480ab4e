"""Strings of sixteen random digits through the relay alone: `play DTMF` of the gateway's own sequence, real RTP.

    python -m tests.bench.dtmf_relay [--strings 1000] [--calls 10]

As tests.bench.dtmf, without SIP, ICE and DTLS: what is measured is rtpengine and rtpengine/dtmf.py.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rtpengine.dtmf import DIGITS, DigitPath, play
from rtpengine.sessions import run
from rtpengine.transport.udp import UdpClient
from tests.bench.dtmf import Tally, random_keys
from tests.contract.rtpengine.daemon import Daemon, media_ports
from tests.contract.rtpengine.test_media import AMR_WB, OPUS, PCMA, SHARED, Call, FarEnd
from tests.peers.rtp import RtpPacket, key_presses

PORTS: Final = 1000
WAYS: Final[tuple[tuple[FarEnd, int, int], ...]] = (
    (PCMA, 126, 8000),
    (AMR_WB, 98, 16000),
    (OPUS, 110, 48000),
)
PATIENCE_S: Final = 60.0


def measure(daemon: Daemon, number: int, strings: int, tally: Tally) -> None:
    """Play strings in one call."""
    far_end, event_type, clock_hz = WAYS[number % len(WAYS)]
    client = UdpClient(daemon.address, deadline_s=5.0)
    rng = random.Random(number)
    with ExitStack() as peers:
        call = Call(client, SHARED, peers, name=f"call{number}")
        call.connect(far_end)
        over = threading.Event()

        def speak() -> None:
            while not over.is_set():
                call.speak()

        def heard() -> list[tuple[str, float]]:
            packets = [
                RtpPacket(event_type, 0, one.timestamp, 0, one.payload)
                for one in list(call.ims.packets)
                if one.payload_type == event_type
            ]
            return [(one.digit, one.duration_ms) for one in key_presses(packets, clock_hz) if one.ended]

        thread = threading.Thread(target=speak)
        thread.start()
        try:
            assert call.ims.wait_for(far_end.payload_type, 5, PATIENCE_S)
            for _ in range(strings):
                before = len(heard())
                keys = random_keys(rng, 5)
                for digit, ms in keys:
                    run(play(call.session, DigitPath(clock_hz), digit, ms), client)
                deadline = time.monotonic() + PATIENCE_S
                while len(heard()) < before + len(keys) and time.monotonic() < deadline:
                    time.sleep(0.1)
                tally.count(keys, heard()[before:])
        finally:
            over.set()
            thread.join()
    client.close()


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--strings", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=10)
    options = parser.parse_args()
    tally = Tally("page to core")
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as directory,
        media_ports(PORTS) as ports,
        Daemon(Path(directory), ports) as daemon,
        ThreadPoolExecutor(options.calls) as pool,
    ):
        share = options.strings // options.calls
        for one in [pool.submit(measure, daemon, number, share, tally) for number in range(options.calls)]:
            one.result()
    print(tally)
    print(f"{options.calls} calls at the same time, {time.monotonic() - started:.0f} s, digits of {DIGITS}")
    return 0 if tally.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
