"""How we keep in touch with trunks, over UDP, TCP and TLS: OPTIONS, registration, certificates."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.outbound_site import PROFILES
from tests.integration.calls.routes import load
from tests.integration.calls.stage import ALICE, CLEAN_WITHIN_S, Stage, until
from tests.integration.calls.trunk_site import (
    OPTIONS_S,
    UP_WITHIN_S,
    gateway_address,
    hop_state,
    trunk_options,
    trunk_view,
)
from tests.lab.lab import Lab
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.proof import wait_released
from tests.lab.subscribers import REALM
from tests.peers.aiortc_wic import TONE_HZ, AiortcWic
from tests.peers.authority import Authority
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.digest import Credentials
from tests.peers.sdp import sdp_from_text
from tests.peers.srtp import SrtpEndpoint
from tests.peers.trace import NothingMatchedError
from tests.peers.trunk import ScriptedTrunk
from webapp_api.gwctl.machine.host import Host
from webapp_api.gwctl.machine.run import examine

pytestmark = pytest.mark.lab

PORT, SILENT_PORT, TLS_PORT = own_port(), own_port(), own_port()
HOSTS = {
    "udp": "127.0.0.2",
    "tcp": "127.0.0.3",
    "tls": "127.0.0.4",
    "md5": "127.0.0.5",
    "sha256": "127.0.0.6",
}
WRONG_HOST = "127.0.0.7"
USER = {"user": "gw", "password": "open sesame", "register": True, "options_s": 0}
URIS = {
    "udp": [f"sip:{HOSTS['udp']}:{PORT}"],
    "tcp": [f"sip:{HOSTS['tcp']}:{PORT};transport=tcp"],
    "tls": [f"sip:{WRONG_HOST}:{PORT};transport=tls", f"sips:{HOSTS['tls']}:{PORT}"],
    "md5": [f"sip:{HOSTS['md5']}:{PORT}"],
    "sha256": [f"sip:{HOSTS['sha256']}:{SILENT_PORT}", f"sip:{HOSTS['sha256']}:{PORT}"],
}
TRUNKS: list[dict[str, Any]] = [
    *({"name": name, "uris": URIS[name], "options_s": OPTIONS_S} for name in ("udp", "tcp")),
    {"name": "tls", "uris": URIS["tls"], "options_s": OPTIONS_S, "profile": "safe"},
    *({"name": name, "uris": URIS[name], **USER} for name in ("md5", "sha256")),
]
DID = "+493012345"
SILENT_S = 1.2
"""Longer than the first retransmission: who is not answered until then is not answered."""
TABLE = RoutingDocument(
    routes=[
        Route("out", "+4989*", Target.TRUNK, realm=REALM, name="secure"),
        *(Route(name, DID, Target.USER, realm=f"trunk:{name}", name=ALICE) for name in HOSTS),
    ],
    plans={REALM: DialPlan(country="DE")},
    trunk_groups={"secure": ["tls"]},
)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Authority]:
    """One that the gateway knows, and another one."""
    folder = tmp_path_factory.mktemp("tls")
    return {name: Authority(folder, name) for name in ("carriers", "others")}


@pytest.fixture(scope="module")
def gateway_lab(authorities: dict[str, Authority]) -> Iterator[Lab]:
    """With trunks of every kind; none of them is there when it starts."""
    certificate, key = authorities["carriers"].certify(LOOPBACK)
    options = trunk_options(
        TRUNKS,
        gateway_media_profiles=PROFILES,
        kamailio_tls_port=TLS_PORT,
        kamailio_tls_certificate=str(certificate),
        kamailio_tls_key=str(key),
        kamailio_tls_ca=str(authorities["carriers"].path),
    )
    with Lab(options) as lab:
        load(lab, TABLE)
        yield lab
        wait_released(lab, CLEAN_WITHIN_S)  # OPTIONS go on, so that there is always a transaction


@pytest.fixture
async def carriers(authorities: dict[str, Authority]) -> AsyncIterator[dict[str, ScriptedTrunk]]:
    """All of them, and somebody with a certificate that nobody knows."""
    good, others = authorities["carriers"], authorities["others"]
    server, client = good.contexts(HOSTS["tls"])
    peers = {
        "udp": ScriptedTrunk(),
        "tcp": ScriptedTrunk("tcp"),
        "tls": ScriptedTrunk("tls", server=server, client=client),
        "md5": ScriptedTrunk(),
        "sha256": ScriptedTrunk(),
    }
    wrong = ScriptedTrunk("tls", server=others.contexts(WRONG_HOST, good)[0])
    for name, peer in peers.items():
        peer.registrar.credentials = Credentials("gw", "open sesame")
        await peer.open(HOSTS[name], PORT)
    await wrong.open(WRONG_HOST, PORT)
    try:
        yield peers
    finally:
        for peer in (*peers.values(), wrong):
            await peer.close()


async def shown(lab: Lab, name: str, **wanted: object) -> None:
    """Wait until the control endpoint shows a trunk so."""
    await until(
        lambda: trunk_view(lab, name).items() >= wanted.items(),
        lambda: f"not {wanted}: {trunk_view(lab, name)}",
        UP_WITHIN_S,
    )


async def test_nobody_is_there_yet(stage: Stage) -> None:
    for name in ("udp", "tcp", "tls"):
        await shown(stage.lab, name, state="down")
    assert stage.lab.gateway_rpc.htable("trunks")[f"udp {URIS['udp'][0]}"].startswith("down ")


async def test_they_come_are_registered_with_renewed_and_left(
    stage: Stage, carriers: dict[str, ScriptedTrunk]
) -> None:
    lab = stage.lab
    carriers["md5"].registrar.shortest_s = 900
    carriers["sha256"].registrar.algorithm = "SHA-256"
    carriers["sha256"].registrar.granted_s = 4
    for name in ("udp", "tcp", "tls"):
        await shown(lab, name, state="up")
    assert hop_state(lab, "tls", URIS["tls"][0]) == "down"  # its certificate is somebody else's
    assert hop_state(lab, "tls", URIS["tls"][1]) == "up"
    for name in ("md5", "sha256"):
        await shown(lab, name, registration="registered")
    assert list(carriers["md5"].registrar.contacts.values()) == [600]
    assert carriers["md5"].trace.requests("REGISTER")[-1].headers.get("Expires") == "900"
    first = len(carriers["sha256"].trace.requests("REGISTER"))
    await until(lambda: len(carriers["sha256"].trace.requests("REGISTER")) > first, lambda: "not renewed", 15)
    renewal = carriers["sha256"].trace.requests("REGISTER")[-1]
    assert "algorithm=SHA-256" in (renewal.headers.get("Authorization") or "")
    carriers["md5"].registrar.leave_status = 503
    assert await signed_off(stage) == (1, "still registered at md5\n")
    carriers["md5"].registrar.leave_status = 200
    await asyncio.to_thread(lab.control, "PUT", "/v1/trunks/leave", {"leave": False})
    for name in ("md5", "sha256"):
        await shown(lab, name, registration="registered")
    assert await signed_off(stage) == (0, "")
    for name in ("md5", "sha256"):
        assert trunk_view(lab, name)["registration"] == "gone"
        assert not carriers[name].registrar.contacts
    await asyncio.to_thread(lab.control, "PUT", "/v1/trunks/leave", {"leave": False})
    await shown(lab, "md5", registration="registered")
    page = await stage.page()
    await (await page.invite(f"sip:+4989555@{REALM};user=phone", AUDIO)).wait_status(486)
    (invite,) = carriers["tls"].trace.requests(
        "INVITE"
    )  # past the next hop whose certificate is not the carrier's
    assert invite.headers.all("Via")[0].startswith("SIP/2.0/TLS")
    carriers["udp"].options_status, carriers["udp"].options_headers = 503, [("Retry-After", "3600")]
    await shown(lab, "udp", state="down")
    why = trunk_view(lab, "udp")["hops"][0]["why"]
    assert why == "it answered 503"


async def test_sound_over_tls_with_keys_by_sdes(
    stage: Stage, page: AiortcWic, carriers: dict[str, ScriptedTrunk]
) -> None:
    carrier = carriers["tls"]
    await shown(stage.lab, "tls", state="up")
    with SrtpEndpoint() as phone:
        carrier.script = answers(DeviceMedia(audio_port=phone.port, crypto=phone.crypto))
        wic, real = await page.dial(f"sip:+4989555@{REALM};user=phone")
        await wic.wait_answer(timeout_s=10)
        invite = carrier.trace.requests("INVITE")[-1]
        assert invite.headers.all("Via")[0].startswith("SIP/2.0/TLS")
        offered = sdp_from_text(invite.body).section("audio")
        assert (offered.protocol, bool(offered.attributes("crypto"))) == ("RTP/SAVP", True)
        phone.send_to_sdp(invite.body)
        phone.start_tone(440.0)
        await real.until_connected()
        await phone.until_tone(TONE_HZ, timeout_s=10)
        await real.until_heard(440.0, mid="r0")
        assert not phone.strange
        call = carrier.calls[wic.call_id]
        assert (await wic.bye()).status == 200
        bye = await call.wait_request("BYE")
        assert bye.headers.all("Via")[0].startswith("SIP/2.0/TLS")


async def signed_off(stage: Stage) -> tuple[int, str]:
    """Do what the unit of Kamailio does when it is stopped."""
    environment = os.environ | {"GATEWAY_SETTINGS": str(stage.gateway_log.parent.parent / "gateway.toml")}
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kemi.leave_trunks", env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await program.communicate()
    return program.returncode or 0, said.decode()


@pytest.mark.parametrize("name", ["tcp", "tls"])
async def test_a_call_over_a_connection(stage: Stage, carriers: dict[str, ScriptedTrunk], name: str) -> None:
    host, port = gateway_address(stage.lab)
    stage.core.script = answers()
    call = await carriers[name].call(DID, (host, TLS_PORT if name == "tls" else port))
    await call.wait_status(200)
    called = await stage.core.wait_call()
    await called.wait_ack()
    assert (await called.info("text/plain", "hello")).status == 200
    assert (await call.info("text/plain", "hello")).status == 200
    assert (await called.bye()).status == 200
    await call.wait_request("BYE")


async def test_a_call_to_our_contact_is_the_trunk_s_wherever_it_comes_from(
    stage: Stage, carriers: dict[str, ScriptedTrunk]
) -> None:
    await shown(stage.lab, "md5", registration="registered")
    (contact,) = carriers["md5"].registrar.contacts or await registered_again(stage.lab, carriers["md5"])
    elsewhere = ScriptedTrunk()
    await elsewhere.open("127.0.0.8", 0)
    try:
        stage.core.script = answers()
        call = await elsewhere.call(DID, gateway_address(stage.lab), uri=contact)
        await call.wait_status(200)
        called = await stage.core.wait_call()
        await called.wait_ack()
        assert (await called.info("text/plain", "hello")).status == 200
        assert (await call.bye()).status == 200
        guessed = contact.replace("md5.", "md5.0")
        call = await elsewhere.call(DID, gateway_address(stage.lab), uri=guessed)
        with pytest.raises(NothingMatchedError):  # a stranger is not answered
            await call.wait_status(range(100, 700), timeout_s=SILENT_S)
    finally:
        await elsewhere.close()


async def registered_again(lab: Lab, peer: ScriptedTrunk) -> dict[str, int]:
    """Let the gateway register anew at a carrier that has forgotten it."""
    await asyncio.to_thread(lab.control, "PUT", "/v1/trunks/leave", {"leave": True})
    await shown(lab, "md5", registration="gone")
    await asyncio.to_thread(lab.control, "PUT", "/v1/trunks/leave", {"leave": False})
    await until(lambda: bool(peer.registrar.contacts), lambda: "not registered", UP_WITHIN_S)
    return peer.registrar.contacts


async def test_only_certificates_of_the_carriers_authority_come_in(
    stage: Stage, authorities: dict[str, Authority]
) -> None:
    _, known = authorities["carriers"].contexts(HOSTS["tls"])
    _, unknown = authorities["others"].contexts(HOSTS["tls"], authorities["carriers"])
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname = False
    nobody.load_verify_locations(authorities["carriers"].path)

    async def is_taken(context: ssl.SSLContext) -> bool:
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, TLS_PORT, ssl=context)
        except (ssl.SSLError, OSError):
            return False
        try:
            writer.write(b"\r\n\r\n")
            return await asyncio.wait_for(reader.read(2), 1) == b"\r\n"
        except TimeoutError:
            return True  # it stands, and has nothing to say
        except (ssl.SSLError, OSError):
            return False
        finally:
            writer.close()

    assert not await is_taken(unknown)
    assert not await is_taken(nobody)
    assert all(await asyncio.gather(*(is_taken(known) for _ in range(30))))


def test_the_doctor_finds_what_kamailio_shows(gateway_lab: Lab, tmp_path: Path) -> None:
    """As after a certificate was renewed, and Kamailio not restarted."""
    here = Path(gateway_lab.info.run_dir)
    subject = f"Kamailio {LOOPBACK}:{TLS_PORT}, what it shows"
    as_it_is = (here / "tls.cfg").read_text()
    certificate, key = Authority(tmp_path, "new").certify(LOOPBACK)
    renewed = re.sub(r"(?m)^certificate = .*", f"certificate = {certificate}", as_it_is)
    renewed = re.sub(r"(?m)^private_key = .*", f"private_key = {key}", renewed)
    for tls, reason in ((as_it_is, "the one in the file"), (renewed, "another certificate than in the file")):
        (tmp_path / "gateway.toml").write_text((here / "gateway.toml").read_text())
        (tmp_path / "tls.cfg").write_text(tls)
        found = {one.subject: one.reason for one in examine(Host.read(tmp_path), ("certificates",))}
        assert found[subject].startswith(reason)
