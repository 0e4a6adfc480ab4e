"""What an operator reads of real calls: each message on both legs, in order, as the ends saw it; what was decided and
why; what the relay was asked; how good the call was. And no secret."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from kemi.core.trace.entries import CallTrace, What
from kemi.core.trace.redaction import MASK
from kemi.state import keys
from kemi.state.web.client import connect
from kemi.state.web.traces import TracesView
from tests.integration.calls import incoming
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.outbound_site import SECRET, Carriers, answered
from tests.integration.calls.stage import ALICE, BOB, Call, Stage, until
from tests.integration.calls.traced import decision, ladder, lines, of, reversed_ladder, trace_of
from tests.lab.lab import Lab
from tests.lab.log_secrets import leaks_in_trace
from tests.peers.core_script import answers, rejects, rings_for_ever
from tests.peers.device_sdp import DeviceMedia

pytestmark = pytest.mark.lab

UNREGISTERED = "this connection has no registration: REGISTER first"


@pytest.fixture(scope="module")
def gateway_lab(outbound_lab: Lab) -> Lab:
    """The one with trunks and Redis."""
    return outbound_lab


def raw(stage: Stage, key: str) -> bytes:
    """Return what Redis has of a call, decompressed."""
    database: Any = connect(stage.lab.info.redis_url)
    portions = database.execute_command("LRANGE", keys.trace(key), 0, -1, NEVER_DECODE=True)
    head = str(database.get(keys.trace_head(key)))
    return b"".join(map(zlib.decompress, portions)) + head.encode()


def both_legs(trace: CallTrace, call: Call | incoming.PageCall, far: str = "core") -> None:
    """The trace has each message that the two ends have seen, in their order."""
    assert ladder(trace, "page") == reversed_ladder(call.wic.ladder()), "\n".join(lines(trace))
    assert ladder(trace, far) == reversed_ladder(call.ims.ladder()), "\n".join(lines(trace))


async def test_answer_then_update(stage: Stage) -> None:
    stage.core.script = answers(DeviceMedia())
    call = await stage.answered(await stage.page())
    await call.hang_up()
    trace = await trace_of(stage, call.call_id)
    both_legs(trace, call)
    assert (trace.impu, trace.peer, trace.direction) == (ALICE, BOB, "from_page")
    assert (trace.by, trace.why, trace.status, trace.left_out) == ("page", "BYE", 0, 0)
    assert trace.began_at < trace.answered_at < trace.ended_at
    # Messages as they were on the wire: what Kamailio changes after Python, too.
    (invite,) = [one for one in of(trace, What.SIP, "INVITE") if one.leg == "core"]
    start, _, rest = invite.text.partition("\r\n")
    assert start == f"INVITE {call.ims.invite.request_uri} SIP/2.0"
    assert f"\r\nVia: {call.ims.invite.headers.get('Via')}\r\n" in f"\r\n{rest}"
    assert rest.endswith(f"\r\n\r\n{call.ims.invite.body}")
    # Decided, with reasons.
    assert decision(trace, "flow").values["flow"] == "answer_then_update"
    medium = decision(trace, "medium")
    assert (medium.values["medium"], medium.values["reverse"]) == ("audio", True)
    assert "opus" in medium.values["codecs"]
    assert all(decision(trace, name).why for name in ("flow", "medium", "call_offered"))
    assert decision(trace, "call_offered").values["transport"] == "shared"
    assert decision(trace, "media").values["audio"]["codec"] == "pcma"
    assert decision(trace, "media_node_chosen").values["node"] == trace.relay
    assert [entry.values["dialog"] for entry in of(trace, What.STATE)][-1] == "terminated"
    # The relay, with descriptions before and after.
    commands = [entry.name for entry in of(trace, What.RELAY)]
    assert commands[:2] == ["offer", "answer"]
    assert commands[-1] == "delete"
    assert {"block media", "unblock media"} <= set(commands)
    offer = of(trace, What.RELAY, "offer")[0]
    assert offer.text.startswith("v=0")
    assert offer.result.startswith("v=0")
    assert (offer.values["ICE"], offer.values["call-id"]) == ("remove", call.call_id)
    assert 0 < offer.values["ms"] < 10_000


async def test_a_call_towards_a_page(stage: Stage) -> None:
    call = await incoming.answered(stage, await stage.page())
    assert (await call.wic.bye()).status == 200
    trace = await trace_of(stage, call.call_id)
    assert trace.key.startswith(f"{call.call_id};gw-in-")
    both_legs(trace, call)
    assert (trace.impu, trace.direction, trace.by) == (ALICE, "to_page", "page")
    assert decision(trace, "call_towards_page").why
    (offer,) = of(trace, What.RELAY, "offer")
    assert "UDP/TLS/RTP/SAVPF" in offer.result
    assert "UDP/TLS/RTP/SAVPF" not in offer.text


async def test_a_call_by_a_trunk_that_asks_who_calls_and_the_next_one(
    stage: Stage, carriers: Carriers
) -> None:
    carriers.do(rejects(503, ringing=False), second=answers(DeviceMedia()))
    carriers.first.credentials = carriers.spare.credentials = SECRET
    call = await answered(stage, carriers.second)
    await call.hang_up()
    trace = await trace_of(stage, call.call_id)
    both_legs(trace, call, "trunk:two")
    tried = [*carriers.first.calls[call.call_id].ladder(), *carriers.spare.calls[call.call_id].ladder()]
    assert ladder(trace, "trunk:one") == reversed_ladder(tried)
    assert not ladder(trace, "core")
    assert decision(trace, "call_routed").values["route"] == "germany"
    assert [entry.values["trunk"] for entry in of(trace, What.DECISION, "trunk_failed")] == ["one", "one"]
    assert [entry.values["trunk"] for entry in of(trace, What.DECISION, "call_sent")] == ["one", "one", "two"]
    kept = raw(stage, trace.key).decode("latin-1")
    assert f"nonce={MASK}" in kept
    assert f"response={MASK}" in kept
    assert SECRET.password not in kept


async def test_a_call_that_the_core_refuses_is_among_the_failed(stage: Stage) -> None:
    stage.core.script = rejects(486)
    call = await (await stage.page()).invite(BOB, AUDIO)
    await call.wait_status(486)
    trace = await trace_of(stage, call.call_id, ends="ACK", times=2)
    assert (trace.by, trace.why, trace.status, trace.answered_at) == ("core", "refused", 486, 0.0)
    both_legs(trace, Call(call, await stage.core.wait_call()))
    view = TracesView(connect(stage.lab.info.redis_url))
    assert trace.key in {head.key for head in view.list(failed=True, impu=ALICE)[0]}
    assert trace.key not in {head.key for head in view.list(failed=False)[0]}


async def test_calls_that_were_refused_before_they_had_a_record(stage: Stage) -> None:
    page = await stage.page(registered=False)
    call = await page.invite(BOB, AUDIO)
    await call.wait_status(403)
    trace = await trace_of(stage, call.call_id, ends="ACK", times=1)
    assert (trace.by, trace.status, trace.why) == ("gateway", 403, UNREGISTERED)
    assert (trace.impu, trace.peer, trace.direction) == (ALICE, BOB, "from_page")
    assert ladder(trace, "page") == reversed_ladder(call.ladder())
    rejected = decision(trace, "request_rejected")
    assert (rejected.why, rejected.values["status"]) == (UNREGISTERED, "403")
    page = await stage.page()
    call = await page.invite("tel:+819012345678", AUDIO)
    response = await call.wait_status(range(400, 700))
    trace = await trace_of(stage, call.call_id, ends="ACK", times=1)
    assert (trace.impu, trace.status) == (ALICE, response.status)
    assert trace.why
    await page.close()
    ims = stage.core.call(ALICE)
    response = await ims.wait_status(range(400, 700))
    trace = await trace_of(stage, ims.call_id, ends="INVITE", times=2)
    assert (trace.direction, trace.status, trace.by) == ("to_page", response.status, "gateway")
    assert ladder(trace, "core")[:2] == ["<- INVITE", f"-> {response.status} INVITE"]


async def test_a_call_that_was_given_up(stage: Stage) -> None:
    stage.core.script = rings_for_ever()
    call = await stage.ringing(await stage.page())
    await call.wic.cancel()
    await call.wic.wait_status(487)
    trace = await trace_of(stage, call.call_id, ends="ACK", times=2)
    both_legs(trace, call)
    assert (trace.by, trace.why, trace.status) == ("page", "CANCEL", 487)
    view = TracesView(connect(stage.lab.info.redis_url))
    assert trace.key in {head.key for head in view.list(failed=False)[0]}


async def test_digits_texts_and_keys_are_in_no_trace(stage: Stage) -> None:
    stage.core.script = answers(DeviceMedia())
    page = await stage.page()
    call = await stage.answered(page)
    for digit in "4711":
        await call.wic.info_dtmf(digit)
    assert (await call.wic.info("a-secret-text", "text/plain")).status == 200
    await call.hang_up()
    trace = await trace_of(stage, call.call_id)
    both_legs(trace, call)
    kept = raw(stage, trace.key).decode("latin-1")
    assert "fingerprint:sha-256" in kept
    assert "of application/dtmf-relay, not kept" in kept
    for secret in ("Signal=", "a-secret-text", *_passwords(call)):
        assert secret not in kept
    assert not list(leaks_in_trace(kept))


async def test_how_good_a_running_call_is(stage: Stage) -> None:
    stage.core.script = answers(DeviceMedia())
    call = await stage.answered(await stage.page())
    view = TracesView(connect(stage.lab.info.redis_url))

    def figures() -> list[str]:
        trace = view.get(call.call_id)
        return [f"{entry.name} {entry.leg}" for entry in of(trace, What.QUALITY)] if trace is not None else []

    await until(lambda: len(figures()) >= 2, lambda: f"figures: {figures()}", 10)
    assert set(figures()) == {"audio wic", "audio ims"}
    trace = view.get(call.call_id)
    assert trace is not None
    assert (trace.ended_at, trace.answered_at > 0) == (0.0, True)
    assert "packets" in of(trace, What.QUALITY)[0].values
    await call.hang_up()
    await trace_of(stage, call.call_id)


def _passwords(call: Call) -> list[str]:
    """ICE passwords of the descriptions that the page has sent and got."""
    bodies = [entry.message.body for entry in call.wic.trace.of_call(call.call_id)]
    found = [line.partition(":")[2] for body in bodies for line in body.splitlines() if "ice-pwd" in line]
    assert len(found) >= 3
    return found
