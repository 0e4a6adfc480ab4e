"""The stub and the strict fake say what a real Kamailio does."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kemi.typings.make_ksr import stub_from_api
from tests.contract.kamailio.api_list import API_LIST
from tests.contract.kamailio.exercise import MESSAGE, exercise
from tests.contract.kamailio.running import PROBE, Kamailio, running
from tests.fakes.ksr import FakeKsr
from tests.fakes.ksr_api import STUB
from tests.fakes.sip import FakeMessage
from tests.lab.kamailio import BINARY
from tests.lab.ports import LOOPBACK
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.contract


def test_the_stub_is_what_the_running_kamailio_exports(kamailio: Kamailio) -> None:
    if not kamailio.rpc("core.version").startswith("kamailio 5.6"):
        pytest.skip("the stub is of Debian 12's Kamailio")
    methods = kamailio.rpc(API_LIST)["methods"]
    assert stub_from_api(methods) == STUB.read_text(encoding="utf-8"), "run: make ksr-api"


def test_the_configuration_passes_kamailios_own_check(kamailio: Kamailio) -> None:
    checked = subprocess.run(
        [BINARY, "-c", "-f", str(kamailio.config)],
        env=kamailio.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def answer_of(kamailio: Kamailio, request: bytes) -> Any:
    """Return what the probe answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as page:
        page.settimeout(5)
        page.connect((LOOPBACK, kamailio.sip_port))
        page.send(request.replace(b"\n", b"\r\n"))
        reply = page.recv(65536)
    assert reply.startswith(b"SIP/2.0 200 "), reply
    return json.loads(reply.partition(b"\r\n\r\n")[2])


def test_what_is_written_for_a_time_is_gone_then_whatever_was_there_before(
    probed_kamailio: Kamailio,
) -> None:
    written, still_there = (MESSAGE.replace(b"MESSAGE", method) for method in (b"PUBLISH", b"INFO"))
    assert answer_of(probed_kamailio, written) == ["longer", "shorter", "equal", "once"]
    wait_until(lambda: not answer_of(probed_kamailio, still_there), "all of them are gone", 4)


def test_a_pool_larger_than_a_c_integer_is_told_as_it_is(run_dir: Path) -> None:
    mega = 1024 * 1024
    with running(run_dir, PROBE, shm_mb=5000) as kamailio:
        request = MESSAGE.replace(b"MESSAGE", b"NOTIFY")
        first = answer_of(kamailio, request)
        (before,) = kamailio.rpc("pkg.stats", "pid", first["pid"])
        told = answer_of(kamailio, request)
        (after,) = kamailio.rpc("pkg.stats", "pid", first["pid"])
        free_mb = kamailio.rpc("core.shmmem", "m")["free"]
    assert abs(told["free"] / mega - free_mb) < 2
    assert 4900 < (told["free"] + told["used"]) / mega < 5100
    assert told["requests"] > first["requests"] > 0
    assert abs(after["used"] - before["used"]) < 10_000, "asking leaves memory behind"


def test_the_fake_reads_and_changes_a_message_as_the_real_one_does(probed_kamailio: Kamailio) -> None:
    real = answer_of(probed_kamailio, MESSAGE)
    ksr: Any = FakeKsr()
    ksr.kamailio.receive(FakeMessage.from_bytes(MESSAGE))
    assert exercise(ksr) == real
