"""Calls that trunks begin: who is let in, where they go, and what the home network sees of them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from kemi.core.metrics.catalogue import TRUNK_ENDED
from kemi.core.metrics.of_calls import ANSWERED, CANCELLED, FAILED, REFUSED
from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.table import Route, Target
from kemi.state import keys
from kemi.state.routing_document import RoutingDocument
from kemi.state.trunks import GatewayTrunks, TrunkView
from kemi.state.web.client import connect
from tests.integration.calls.routes import load
from tests.integration.calls.stage import ALICE, CLEAN_WITHIN_S, CORE_PORT, Stage, until
from tests.integration.calls.traced import ladder, reversed_ladder, trace_of
from tests.integration.calls.trunk_site import gateway_address, trunk_options, trunk_view
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.proof import wait_clean
from tests.lab.subscribers import REALM
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import CoreScript, Final, Provisional, rejects, rings_for_ever
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.sip import SipRequest, response_to
from tests.peers.trace import NothingMatchedError
from tests.peers.trunk import CallOfTrunk, ScriptedTrunk

pytestmark = pytest.mark.lab

PORT, SILENT_PORT = own_port(), own_port()
TRUNK_HOST = "127.0.0.2"
STRANGER_HOST = "127.0.0.9"
ROOM = f"sip:weekly@conference.{REALM}"
DID = "+493012345"
NOTHING_CAME_S = 0.5
RESULTS = (ANSWERED, REFUSED, FAILED, CANCELLED)
SILENT_S = 1.2
"""Longer than the first retransmission: who is not answered until then is not answered."""
TRUNKS = [
    {
        "name": "acme",
        "uris": [f"sip:{TRUNK_HOST}:{PORT}", f"sip:{TRUNK_HOST}:{PORT};transport=tcp"],
        "domain": "acme.example",
        "country": "DE",
        "numbers": "national",
        "most_calls": 2,
        "options_s": 0,
    }
]
DOCUMENT = RoutingDocument(
    routes=[
        Route("all", "*", Target.CORE),
        Route("out", "+49*", Target.TRUNK, name="carriers", realm=REALM),
        Route("did", DID, Target.USER, realm="trunk:acme", name=ALICE),
        Route("block", "+493077*", Target.CORE, realm="trunk:acme"),
        Route("room", "+493012346", Target.CONFERENCE, realm="trunk:acme", name="weekly"),
        Route("old", "+493012347", Target.REFUSE, realm="trunk:acme", status=604, reason="moved"),
    ],
    plans={REALM: DialPlan(country="DE")},
    trunk_groups={"carriers": ["acme"]},
    conferences={"weekly": ROOM},
)


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """With a trunk, a table, and an entry point that is silent: the first call finds that out."""
    entry_points = [f"sip:{LOOPBACK}:{SILENT_PORT}", f"sip:{LOOPBACK}:{CORE_PORT}"]
    with Lab(trunk_options(TRUNKS, gateway_icscf_uris=entry_points)) as lab:
        load(lab, DOCUMENT)
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@pytest.fixture
async def trunk() -> AsyncIterator[ScriptedTrunk]:
    """The carrier, over UDP."""
    peer = ScriptedTrunk()
    await peer.open(TRUNK_HOST, PORT)
    try:
        yield peer
    finally:
        await peer.close()


@pytest.fixture(autouse=True)
async def no_call_left(stage: Stage) -> AsyncIterator[None]:
    """Nothing of a trunk's call stays, either."""
    yield
    table = stage.lab.gateway_rpc.htable
    await until(lambda: not table("trunk_call"), lambda: f"left: {table('trunk_call')}", 15)


async def talking(
    stage: Stage, trunk: ScriptedTrunk, number: str = "03012345", **how: object
) -> tuple[CallOfTrunk, CalledDevice]:
    """Let the trunk call and be answered."""
    own = (
        ("P-Asserted-Identity", f"<{ALICE}>"),
        ("Privacy", "id"),
        ("P-Charging-Vector", "icid-value=1"),
        ("X-Charge-Number", "7"),
    )
    stage.core.script = CoreScript((Provisional(180), Final(200, DeviceMedia(), headers=own)))
    call = await trunk.call(number, gateway_address(stage.lab), **how)  # type: ignore[arg-type]
    await call.wait_status(200)
    called = await stage.core.wait_call()
    await called.wait_ack()
    return call, called


@pytest.mark.parametrize(
    ("number", "target"),
    [
        ("03012345", ALICE),
        (DID, ALICE),
        ("00493012345", ALICE),
        ("03077123", f"sip:+493077123@{REALM};user=phone"),
        ("03012346", ROOM),
    ],
)
async def test_a_number_is_somebody_here(
    stage: Stage, trunk: ScriptedTrunk, number: str, target: str
) -> None:
    call, called = await talking(stage, trunk, number)
    assert called.invite.request_uri == target
    for name in ("P-Asserted-Identity", "P-Charging-Vector", "Record-Route", "From"):
        assert len(called.invite.headers.fields(name)) == 1, name  # also after the entry point that is silent
    assert (await called.bye()).status == 200
    bye = await call.wait_request("BYE")
    assert bye.headers.get("Reason") == "Q.850;cause=16"
    assert "P-Charging-Vector" not in bye.headers


async def test_its_trace_has_both_ways_through_us(stage: Stage, trunk: ScriptedTrunk) -> None:
    call, called = await talking(stage, trunk)
    assert (await called.bye()).status == 200
    await call.wait_request("BYE")
    trace = await trace_of(stage, called.call_id)
    assert ladder(trace, "trunk:acme") == reversed_ladder(call.ladder())
    seen = reversed_ladder(called.ladder())
    assert ladder(trace, "core")[-len(seen) :] == seen  # before it, the entry point that is silent
    assert (trace.direction, trace.impu, trace.by, trace.why) == ("to_page", ALICE, "core", "BYE")
    assert trace.began_at < trace.answered_at < trace.ended_at
    call = await trunk.call("03012347", gateway_address(stage.lab))
    await call.wait_status(604)
    refused = await trace_of(stage, call.call_id, ends="ACK", times=1)
    assert (refused.status, refused.by, refused.why) == (604, "gateway", "moved")
    assert ladder(refused, "trunk:acme") == reversed_ladder(call.ladder())


async def test_the_home_network_sees_a_clean_request(stage: Stage, trunk: ScriptedTrunk) -> None:
    lies = [
        ("P-Asserted-Identity", "<sip:089555@carrier.example;user=phone;verstat=TN-Validation-Passed>"),
        ("P-Charging-Vector", 'icid-value="theirs"'),
        ("P-Served-User", "<sip:bob@ims.test>"),
        ("P-Preferred-Service", "urn:urn-7:3gpp-service.ims.icsi.mmtel"),
        ("X-Account", "7"),
        ("Identity", "abc;info=<https://carrier.example/cert>;alg=ES256"),
        ("Diversion", "<sip:+4940111@carrier.example>;reason=user-busy"),
    ]
    caller = '"Carol" <sip:089555@carrier.example;user=phone;verstat=TN-Validation-Passed>'
    call, called = await talking(stage, trunk, headers=lies, caller=caller)
    seen = called.invite.headers
    assert seen.all("P-Asserted-Identity") == ["<sip:+4989555@acme.example;user=phone>"]
    assert called.invite.from_.uri == "sip:+4989555@acme.example;user=phone"
    assert "theirs" not in (seen.get("P-Charging-Vector") or "")
    for name in ("P-Served-User", "P-Preferred-Service", "X-Account", "Diversion"):
        assert name not in seen
    assert seen.get("Identity")
    assert seen.all("History-Info") == [
        "<sip:+4940111@carrier.example>;index=1",
        f"<{ALICE};cause=486>;index=1.1",
    ]
    answer = await call.wait_status(200)
    withheld = {"P-Asserted-Identity", "P-Charging-Vector", "X-Charge-Number"}
    assert not withheld & {name for name, _ in answer.headers}
    assert answer.from_.uri == "sip:089555@carrier.example;user=phone;verstat=TN-Validation-Passed"
    assert (await call.bye()).status == 200
    assert (await called.wait_request("BYE")).from_.uri == "sip:+4989555@acme.example;user=phone"


async def test_whoever_withholds_a_number_stays_unknown(stage: Stage, trunk: ScriptedTrunk) -> None:
    asserted = [("P-Asserted-Identity", "<tel:+4989555>"), ("Privacy", "id")]
    call, called = await talking(stage, trunk, headers=asserted)
    assert called.invite.from_.uri == "sip:anonymous@anonymous.invalid"
    assert called.invite.headers.all("P-Asserted-Identity") == ["<sip:+4989555@acme.example;user=phone>"]
    assert called.invite.headers.get("Privacy") == "id"
    assert (await call.bye()).status == 200
    call, called = await talking(stage, trunk, caller="<sip:anonymous@anonymous.invalid>")
    assert called.invite.headers.all("P-Asserted-Identity") == ["<sip:acme.example>"]
    assert called.invite.headers.get("Privacy") == "id"
    assert (await call.bye()).status == 200


@pytest.mark.parametrize(
    ("number", "status"),
    [("030999", 404), ("03012347", 604), ("04912", 404), ("030", 484), ("112", 404), ("bob", 404)],
)
async def test_a_number_of_nobody_is_refused(
    stage: Stage, trunk: ScriptedTrunk, number: str, status: int
) -> None:
    call = await trunk.call(number, gateway_address(stage.lab))
    await call.wait_status(status)
    assert not stage.core.calls


async def test_a_stranger_is_nobody_s_trunk(stage: Stage) -> None:
    stranger = ScriptedTrunk()
    await stranger.open(STRANGER_HOST, 0)
    try:
        call = await stranger.call(DID, gateway_address(stage.lab))
        with pytest.raises(NothingMatchedError):
            await call.wait_status(range(100, 700), timeout_s=SILENT_S)
        assert not stage.core.calls
    finally:
        await stranger.close()


async def test_a_trunk_has_no_more_calls_than_it_may(stage: Stage, trunk: ScriptedTrunk) -> None:
    calls = [(await talking(stage, trunk))[0] for _ in range(2)]
    refused = await trunk.call("03012345", gateway_address(stage.lab))
    answer = await refused.wait_status(503)
    assert answer.headers.get("Reason") == "Q.850;cause=34"
    await until(lambda: trunk_view(stage.lab, "acme")["calls"] == 2, lambda: "not two calls shown", 15)
    for call in calls:
        assert (await call.bye()).status == 200
    call, _ = await talking(stage, trunk)
    assert (await call.bye()).status == 200


async def test_calls_at_other_gateways_count(stage: Stage, trunk: ScriptedTrunk) -> None:
    client = connect(stage.lab.info.redis_url)

    def elsewhere(calls: int) -> None:
        view = TrunkView("acme", "up", 0.0, "", 0.0, "", calls, 2, [])
        text = msgspec.json.encode(GatewayTrunks(time.time() + 5, [view])).decode()
        client.hset(keys.TRUNKS, "another gateway", text)

    async def known(calls: int) -> None:
        table = stage.lab.gateway_rpc.htable
        await until(lambda: table("trunk_elsewhere").get("acme") == str(calls), lambda: "not heard of", 15)

    elsewhere(2)
    await known(2)
    refused = await trunk.call("03012345", gateway_address(stage.lab))
    await refused.wait_status(503)
    client.hdel(keys.TRUNKS, "another gateway")
    await known(0)


async def test_a_redirection_of_the_home_network_is_the_trunk_s_to_follow(
    stage: Stage, trunk: ScriptedTrunk
) -> None:
    stage.core.script = rejects(302, ("Contact", "<sip:+4940111@acme.example>"), ringing=False)
    call = await trunk.call("03012345", gateway_address(stage.lab))
    answer = await call.wait_status(302)
    assert answer.contact_uri == "sip:+4940111@acme.example"
    assert "Reason" not in answer.headers
    await stage.core.wait_call()


async def test_a_refusal_has_a_cause_for_the_telephone_network(stage: Stage, trunk: ScriptedTrunk) -> None:
    for status, headers, reason in (
        (486, (), "Q.850;cause=17"),
        (480, (("Reason", "Q.850;cause=20"),), "Q.850;cause=20"),
    ):
        stage.core.script = rejects(status, *headers)
        call = await trunk.call("03012345", gateway_address(stage.lab))
        answer = await call.wait_status(status)
        assert answer.headers.all("Reason") == [reason]
        await stage.core.wait_call()


async def test_the_trunk_gives_up(stage: Stage, trunk: ScriptedTrunk) -> None:
    stage.core.script = rings_for_ever()
    call = await trunk.call("03012345", gateway_address(stage.lab))
    await call.wait_status(180)
    called = await stage.core.wait_call()
    call.cancel()
    await call.wait_status(487)
    await called.wait_request("CANCEL")


async def test_how_its_calls_ended_is_counted(stage: Stage, trunk: ScriptedTrunk) -> None:
    def ended() -> dict[str, int]:
        table = stage.lab.gateway_rpc.htable("metric")
        found = {result: f"{TRUNK_ENDED.name}\x1facme\x1ffrom_trunk\x1f{result}" for result in RESULTS}
        return {result: int(table.get(name, 0)) for result, name in found.items()}

    before = ended()
    call, called = await talking(stage, trunk)
    assert (await called.bye()).status == 200
    call, _ = await talking(stage, trunk)
    assert (await call.bye()).status == 200
    stage.core.script = rejects(486)
    await (await trunk.call("03012345", gateway_address(stage.lab))).wait_status(486)
    await (await trunk.call("0301999", gateway_address(stage.lab))).wait_status(404)
    stage.core.script = rejects(503, ringing=False)
    await (await trunk.call("03012345", gateway_address(stage.lab))).wait_status(503)
    stage.core.script = rings_for_ever()
    call = await trunk.call("03012345", gateway_address(stage.lab))
    await call.wait_status(180)
    call.cancel()
    await call.wait_status(487)
    wanted = {"answered": 2, "refused": 2, "failed": 1, "cancelled": 1}
    assert {result: number - before[result] for result, number in ended().items()} == wanted


async def test_a_trunk_does_nothing_but_call(stage: Stage, trunk: ScriptedTrunk) -> None:
    call, called = await talking(stage, trunk)
    request = call.dialogs["a"].request("MESSAGE", via=trunk.new_via())
    request.headers.replace("To", "<sip:alice@ims.test>")
    request.headers.replace("Call-ID", "another")
    request.headers.remove("Route")
    assert (await trunk.ask(request, gateway_address(stage.lab))).status == 405
    unknown = call.dialogs["a"].request("BYE", via=trunk.new_via())
    unknown.headers.replace("Call-ID", "unknown")
    assert (await trunk.ask(unknown, gateway_address(stage.lab))).status == 481
    assert (await call.info("text/plain", "hello")).status == 200
    assert (await called.info("text/plain", "hello")).status == 200
    assert (await call.bye()).status == 200


async def test_nobody_else_speaks_in_a_trunk_s_call(stage: Stage, trunk: ScriptedTrunk) -> None:
    call, _ = await talking(stage, trunk)
    stranger = ScriptedTrunk()
    await stranger.open(STRANGER_HOST, 0)
    try:
        bye = call.dialogs["a"].request("BYE", via=stranger.new_via())
        with pytest.raises(NothingMatchedError):
            await stranger.ask(bye, gateway_address(stage.lab), timeout_s=SILENT_S)
    finally:
        await stranger.close()
    again = SipRequest("INVITE", call.invite.request_uri, headers=call.invite.headers.copy())
    again.headers.replace("Via", trunk.new_via())
    trunk.send(again, gateway_address(stage.lab))
    await call.wait_status(482)
    assert (await call.bye()).status == 200


async def test_a_trunk_does_not_say_where_its_requests_go(stage: Stage, trunk: ScriptedTrunk) -> None:
    call, called = await talking(stage, trunk)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((STRANGER_HOST, 0))
        stranger.setblocking(False)
        somewhere = f"sip:{STRANGER_HOST}:{stranger.getsockname()[1]}"
        dialog = call.dialogs["a"]
        for target, routes in (
            (somewhere, dialog.route_set),
            (dialog.remote_target, [*dialog.route_set[:1], f"<{somewhere};lr>"]),
            (somewhere, dialog.route_set[:1]),
        ):
            forged = replace(dialog, remote_target=target, route_set=list(routes))
            request = forged.request("INFO", via=trunk.new_via())
            dialog.local_cseq = forged.local_cseq
            assert (await trunk.ask(request, gateway_address(stage.lab))).status == 200
            seen = called.trace.requests("INFO")[-1]
            assert (seen.cseq, seen.request_uri) == (request.cseq, dialog.remote_target)
            assert seen.headers.all("Route") == dialog.route_set[1:]
        unknown = replace(dialog, remote=f"{dialog.remote}-of-nobody", remote_target=somewhere)
        for method in ("INFO", "INVITE", "BYE"):
            request = unknown.request(method, via=trunk.new_via())
            assert (await trunk.ask(request, gateway_address(stage.lab))).status == 481
        with pytest.raises(BlockingIOError):
            stranger.recv(1)
    assert (await call.bye()).status == 200


async def test_nor_where_its_responses_go(stage: Stage, trunk: ScriptedTrunk) -> None:
    call, _ = await talking(stage, trunk)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((STRANGER_HOST, 0))
        stranger.setblocking(False)
        for call_id in (call.call_id, "of-no-call"):
            for method, status in (("INFO", 200), ("INVITE", 486), ("OPTIONS", 200)):
                asked = call.dialogs["a"].request(method, via=trunk.new_via())
                asked.headers.replace("Call-ID", call_id)
                asked.headers.add("Via", f"SIP/2.0/UDP {STRANGER_HOST}:{stranger.getsockname()[1]}")
                trunk.send(response_to(asked, status), gateway_address(stage.lab))
        await asyncio.sleep(NOTHING_CAME_S)
        with pytest.raises(BlockingIOError):
            stranger.recv(1)
    assert (await call.bye()).status == 200


async def test_the_home_network_is_away(stage: Stage, trunk: ScriptedTrunk) -> None:
    stage.core.script = rejects(503, ringing=False)
    call = await trunk.call("03012345", gateway_address(stage.lab))
    answer = await call.wait_status(503)
    assert answer.headers.get("Reason") == "Q.850;cause=38"
    await stage.core.wait_call()


async def test_a_restart_of_the_gateway_is_not_noticed(stage: Stage, trunk: ScriptedTrunk) -> None:
    first = await talking(stage, trunk)
    second = await talking(stage, trunk)
    store: Any = connect(stage.lab.info.redis_url)

    def kept() -> set[str]:
        return {name for found in store.keys(keys.call_records("*")) for name in store.hgetall(found)}

    names = {f"trunk {call.call_id}" for call, _ in (first, second)}
    await until(lambda: kept() == names, lambda: f"kept: {kept()}", 15)
    stage.lab.kill("gateway")
    stage.lab.start_again("gateway", Part.GATEWAY)
    # As many as it may have are running.
    third = await trunk.call("03012345", gateway_address(stage.lab))
    assert (await third.wait_status(503)).headers.get("Retry-After") is None
    for call, called in (first, second):
        for end, far in ((call, called), (called, call)):
            assert (await end.reinvite(device_offer(DeviceMedia(version=2)))).status == 200
            await far.wait_request("INVITE", count=1 if far is call else 2)
            assert (await end.info("text/plain", "hello")).status == 200
        changed = called.trace.requests("INVITE")[-1]
        assert changed.from_.uri == called.invite.from_.uri != call.invite.from_.uri
    assert (await first[0].bye()).status == 200
    bye = await first[1].wait_request("BYE")
    assert bye.from_.uri == first[1].invite.from_.uri
    assert (await second[1].bye()).status == 200
    bye = await second[0].wait_request("BYE")
    assert bye.headers.get("Reason") == "Q.850;cause=16"
    await until(lambda: not kept(), lambda: f"kept: {kept()}", 15)
