"""What Homer or sngrep hear of a gateway: every message of the chosen realms, on both legs, and no secret."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kemi.core.trace.redaction import MASK
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.outbound_site import (
    DOCUMENT,
    PORTS,
    PROFILES,
    SECRET,
    TRUNKS,
    Carriers,
    answered,
)
from tests.integration.calls.routes import load
from tests.integration.calls.stage import ALICE, BOB, CORE_PORT, Stage, gateway_options, until
from tests.lab.lab import Lab
from tests.lab.log_secrets import leaks_in_trace
from tests.lab.options import Part
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.subscribers import REALM
from tests.lab.waiting import wait_until
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.hep import Collector, HepPacket
from tests.peers.wic import ScriptedWic
from tests.peers.wic_call import OutgoingCall

pytestmark = pytest.mark.lab

PORT = own_port()
PASSWORD = "for-homer"
PAGE_ADDRESS = "198.51.100.7"
"""As the TLS front says (Handshake.forwarded_for)."""
DAVE = "sip:dave@elsewhere.example"
WAIT_S = 3.0


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """A gateway that keeps no traces and tells a collector of its own realm."""
    options = gateway_options(
        gateway_trunks=TRUNKS,
        gateway_media_profiles=PROFILES,
        gateway_trace=False,
        gateway_node="gw-hep",
        gateway_hep_collector=f"{LOOPBACK}:{PORT}",
        gateway_hep_realms=[REALM],
        gateway_hep_capture_id=77,
        gateway_hep_password=PASSWORD,
    )
    with Lab(replace(options, parts=options.parts | {Part.REDIS})) as lab:
        load(lab, DOCUMENT)
        yield lab


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """It listens, and nothing that came was broken or held a secret."""
    found = Collector()
    await found.listen(LOOPBACK, PORT)
    try:
        yield found
        assert not found.broken, found.broken
        for packet in found.packets:
            leaks = list(leaks_in_trace(packet.payload.decode()))
            assert not leaks, leaks
    finally:
        found.close()


async def copied(collector: Collector, call_id: str, count: int) -> list[HepPacket]:
    """Wait for so many messages of a call; they are in the order of their times, as a collector shows them."""

    def names() -> list[str]:
        return [packet.message.start_line for packet in collector.of_call(call_id)]

    await until(
        lambda: len(names()) >= count, lambda: "\n".join([f"{len(names())} of {count}", *names()]), WAIT_S
    )
    return sorted(collector.of_call(call_id), key=lambda packet: packet.at)


def between(packets: list[HepPacket], end: tuple[str, int] | str) -> list[str]:
    """Return what passed between the gateway and an end, or whoever is at an address, as the gateway sees it."""
    found = []
    for packet in packets:
        source = end in (packet.source, packet.source[0])
        if source or end in (packet.destination, packet.destination[0]):
            message = packet.message
            status = message.start_line.split()[1] if message.start_line.startswith("SIP/2.0") else ""
            found.append(f"{'<-' if source else '->'} {f'{status} ' if status else ''}{message.cseq.method}")
    return found


def seen_by(ladder: list[str]) -> list[str]:
    """Return a peer's ladder as the gateway sees it, in no order but each end's own."""
    turned = {"->": "<-", "<-": "->"}
    return [f"{turned[line[:2]]}{line[2:]}".removesuffix(" (SDP)") for line in ladder]


async def test_both_legs_of_a_call_with_their_addresses(stage: Stage, collector: Collector) -> None:
    stage.core.script = answers(DeviceMedia())
    page = await stage.page()
    call = await stage.answered(page)
    for digit in "4711":
        await call.wic.info_dtmf(digit)
    assert (await call.wic.info("a-secret-text", "text/plain")).status == 200
    await call.hang_up()
    pages, cores = seen_by(call.wic.ladder()), seen_by(call.ims.ladder())
    packets = await copied(collector, call.call_id, len(pages) + len(cores))
    assert between(packets, PAGE_ADDRESS) == pages
    assert between(packets, (LOOPBACK, CORE_PORT)) == cores
    gateway = stage.lab.info.gateway
    for packet in packets:
        of_page = PAGE_ADDRESS in (packet.source[0], packet.destination[0])
        ours = (LOOPBACK, gateway.ws_port if of_page else gateway.sip_port)
        assert ours in (packet.source, packet.destination), packet
        assert packet.protocol == (6 if of_page else 17)
        assert (packet.capture_id, packet.node, packet.password) == (77, "gw-hep", PASSWORD)
        assert packet.correlation == call.call_id
    # As they were on the wire, but for what is masked.
    (invite,) = [one.message for one in packets if one.destination == (LOOPBACK, CORE_PORT) and
                 one.message.start_line.startswith("INVITE")]  # fmt: skip
    assert invite.headers.fields("Via") == call.ims.invite.headers.fields("Via")
    assert invite.body == call.ims.invite.body
    everything = b"".join(packet.payload for packet in packets).decode()
    assert "fingerprint:sha-256" in everything
    assert f"ice-pwd:{MASK}" in everything
    assert "of application/dtmf-relay, not kept" in everything
    for secret in ("Signal=", "a-secret-text"):
        assert secret not in everything


async def test_registrations_without_credentials(stage: Stage, collector: Collector) -> None:
    page = await stage.page()
    (register,) = (one.message for one in page.trace.entries if one.message.start_line.startswith("REGISTER"))
    packets = await copied(collector, register.call_id, 4)
    assert between(packets, PAGE_ADDRESS) == ["<- REGISTER", "-> 200 REGISTER"]
    assert between(packets, (LOOPBACK, CORE_PORT)) == ["-> REGISTER", "<- 200 REGISTER"]


async def test_a_call_by_a_trunk_that_asks_who_calls(
    stage: Stage, carriers: Carriers, collector: Collector
) -> None:
    """From and To on the trunk's leg are of no realm of ours."""
    carriers.do(answers(DeviceMedia()))
    carriers.first.credentials = SECRET
    call = await answered(stage, carriers.first)
    await call.hang_up()
    pages, trunks = seen_by(call.wic.ladder()), seen_by(call.ims.ladder())
    packets = await copied(collector, call.call_id, len(pages) + len(trunks))
    assert between(packets, PAGE_ADDRESS) == pages
    assert between(packets, (LOOPBACK, PORTS["first"])) == trunks
    everything = b"".join(packet.payload for packet in packets).decode()
    assert f"nonce={MASK}" in everything
    assert f"response={MASK}" in everything
    assert SECRET.password not in everything


async def test_other_realms_are_left_alone(stage: Stage, collector: Collector) -> None:
    stage.core.script = answers(DeviceMedia())
    stranger = await stage.page(DAVE, registered=False)
    refused = await stranger.invite("tel:+4930123", AUDIO)
    await refused.wait_status(403)
    call = await stage.answered(await stage.page(ALICE))
    await call.hang_up()
    await copied(collector, call.call_id, 10)
    assert not collector.of_call(refused.call_id)
    # Whom it wanted to call is of the realm.
    wanted: OutgoingCall = await stranger.invite(BOB, AUDIO)
    await wanted.wait_status(403)
    assert between(await copied(collector, wanted.call_id, 3), PAGE_ADDRESS) == [
        "<- INVITE",
        "-> 403 INVITE",
        "<- ACK",
    ]
    assert isinstance(stranger, ScriptedWic)


async def test_sngrep_takes_it_for_what_it_is(stage: Stage, tmp_path: Path) -> None:
    """A collector of somebody else's: what it writes down as captured is read by Wireshark's dissector."""
    stage.core.script = answers(DeviceMedia())
    kept = tmp_path / "heard.pcap"
    with sngrep(kept):
        call = await stage.answered(await stage.page())
        await call.wic.info_dtmf("5")
        await call.hang_up()
        count = len(call.wic.ladder()) + len(call.ims.ladder())
        rows: list[list[str]] = []

        def heard() -> bool:
            rows[:] = [row for row in dissected(kept) if row[0] == call.call_id]
            return len(rows) >= count

        await until(heard, lambda: f"{len(rows)} of {count}: {rows}", WAIT_S)
    ws, sip = stage.lab.info.gateway.ws_port, stage.lab.info.gateway.sip_port
    assert not [row for row in rows if row[6]], rows  # malformed
    invite, *_ = rows
    assert invite[1:6] == ["INVITE", PAGE_ADDRESS, LOOPBACK, invite[4], str(ws)]
    core = [row for row in rows if str(CORE_PORT) in row[4:6]]
    assert len(core) == len(call.ims.ladder())
    assert {tuple(sorted(row[4:6])) for row in core} == {tuple(sorted((str(CORE_PORT), str(sip))))}


@contextmanager
def sngrep(kept: Path) -> Iterator[None]:
    """Let sngrep listen, without its screen."""
    command = [
        "sngrep",
        "--no-interface",
        "--quiet",
        "--eep-listen",
        f"udp:{LOOPBACK}:{PORT}",
        "--output",
        str(kept),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            wait_until(lambda: is_bound(PORT), "sngrep listens", WAIT_S)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=5)


def is_bound(port: int) -> bool:
    """Whether somebody has this UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def dissected(path: Path) -> list[list[str]]:
    """Return the SIP messages of a capture: Call-ID, method, addresses, ports, and what is wrong with them."""
    fields = (
        "sip.Call-ID",
        "sip.CSeq.method",
        "ip.src",
        "ip.dst",
        "udp.srcport",
        "udp.dstport",
        "_ws.malformed",
    )
    names = [word for name in fields for word in ("-e", name)]
    command = ["tshark", "-r", str(path), "-Y", "sip", "-T", "fields", *names]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return [line.split("\t") for line in told.stdout.splitlines()]
