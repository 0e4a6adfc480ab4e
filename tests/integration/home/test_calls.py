"""Pages call pages of the same gateway, which has no core behind it."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import warning_of
from tests.integration.home.stage import HomeStage
from tests.lab.subscribers import BY_NAME, REALM
from tests.peers.aiortc_wic import TONE_HZ, AiortcWic

pytestmark = pytest.mark.lab

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
BOB = BY_NAME["bob"]
CALLER_HZ = 700.0


async def test_both_hear_each_other(stage: HomeStage) -> None:
    caller: AiortcWic = await stage.user("alice", real=True)
    callee: AiortcWic = await stage.user("bob", real=True)
    call, media = await caller.dial(BOB.impu, tone_hz=CALLER_HZ)
    incoming = await callee.wait_incoming()
    await incoming.ring()
    await call.wait_status(180)
    await incoming.answer()
    await call.wait_answer()
    await callee.media[0].until_heard(CALLER_HZ, mid="0")
    await media.until_heard(TONE_HZ, mid=media.mids[-1])
    assert (await incoming.bye()).status == 200
    await call.wait_request("BYE")


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(BOB.impu, id="name"),
        pytest.param(BOB.tel, id="tel"),
        pytest.param(f"sip:{BOB.number}@{REALM};user=phone", id="number"),
        pytest.param(f"sip:{BOB.number}@{REALM}", id="identity of a number"),
        pytest.param(f"tel:{BOB.number[:2]}-{BOB.number[2:]}", id="written otherwise"),
    ],
)
async def test_a_user_is_reached_by_each_identity(stage: HomeStage, target: str) -> None:
    caller, callee = await stage.user("alice"), await stage.user("bob")
    call = await caller.invite(target, AUDIO)
    incoming = await callee.wait_incoming()
    assert "alice" in (incoming.invite.headers.get("P-Asserted-Identity") or "")
    await incoming.respond(486)
    await call.wait_status(486)


async def test_all_pages_ring_one_answers_and_the_others_are_told(stage: HomeStage) -> None:
    caller = await stage.user("alice")
    pages = [await stage.user("bob") for _ in range(3)]
    call = await caller.invite(BOB.impu, AUDIO)
    incoming = [await page.wait_incoming() for page in pages]
    for leg in incoming:
        await leg.ring()
    await call.wait_status(180)
    await incoming[1].answer()
    await call.wait_answer()
    for leg in (incoming[0], incoming[2]):
        cancel = await leg.wait_request("CANCEL")
        assert ELSEWHERE in cancel.headers.all("Reason")
    assert (await call.info()).status == 200
    assert (await call.bye()).status == 200
    await incoming[1].wait_request("BYE")


async def test_the_caller_gives_up_and_all_pages_stop(stage: HomeStage) -> None:
    caller = await stage.user("alice")
    pages = [await stage.user("bob") for _ in range(2)]
    call = await caller.invite(BOB.impu, AUDIO)
    incoming = [await page.wait_incoming() for page in pages]
    for leg in incoming:
        await leg.ring()
    await call.wait_status(180)
    await call.cancel()
    for leg in incoming:
        await leg.wait_request("CANCEL")
    await call.wait_status(487)


async def test_a_refusal_comes_once(stage: HomeStage) -> None:
    """tm gets the ACK to it: without, it would repeat it for ten seconds."""

    def refusals() -> int:
        (told,) = stage.lab.gateway_rpc("stats.get_statistics", "rcv_replies_4xx_invite")
        return int(told.rpartition("=")[2])

    caller, callee = await stage.user("alice"), await stage.user("bob")
    before = refusals()
    call = await caller.invite(BOB.impu, AUDIO)
    await (await callee.wait_incoming()).respond(486)
    await call.wait_status(486)
    await asyncio.sleep(4)  # it would come again 0.5, 1.5 and 3.5 s later
    assert refusals() - before == 3, "of the page, of the proxy part, of the home part"
    assert [answer.status for answer in call.trace.responses("INVITE")].count(486) == 1


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        pytest.param((486, 486), 486, id="busy"),
        pytest.param((480, 486), 480, id="the lowest of a class"),
        pytest.param((500, 486), 486, id="the lowest class"),
        pytest.param((486, 603), 603, id="declined, which ends it everywhere"),
    ],
)
async def test_of_several_refusals_the_best_counts(
    stage: HomeStage, answers: tuple[int, ...], status: int
) -> None:
    """RFC 3261 §16.7."""
    caller = await stage.user("alice")
    pages = [await stage.user("bob") for _ in answers]
    call = await caller.invite(BOB.impu, AUDIO)
    for page, answer in zip(pages, answers, strict=True):
        await (await page.wait_incoming()).respond(answer)
    await call.wait_status(status)


async def test_a_decline_ends_the_ringing_everywhere(stage: HomeStage) -> None:
    caller = await stage.user("alice")
    pages = [await stage.user("bob") for _ in range(2)]
    call = await caller.invite(BOB.impu, AUDIO)
    incoming = [await page.wait_incoming() for page in pages]
    await incoming[0].ring()
    await call.wait_status(180)
    await incoming[1].respond(603)
    await incoming[0].wait_request("CANCEL")
    await call.wait_status(603)


async def test_nobody_answers(stage: HomeStage) -> None:
    caller, callee = await stage.user("alice"), await stage.user("bob")
    call = await caller.invite(BOB.impu, AUDIO)
    incoming = await callee.wait_incoming()
    await incoming.ring()
    await call.wait_status(range(400, 500), timeout_s=8)
    await incoming.wait_request("CANCEL")


@pytest.mark.parametrize(
    ("target", "status", "reason"),
    [
        pytest.param(BY_NAME["dave"].impu, 480, "the user is not here now", id="offline"),
        pytest.param(BY_NAME["dave"].tel, 480, "the user is not here now", id="offline, by number"),
        pytest.param(f"sip:nobody@{REALM}", 404, "there is no such user or number", id="unknown"),
        pytest.param("tel:+4930123456", 404, "there is no such user or number", id="unknown number"),
        pytest.param("tel:+49", 484, "digits are missing", id="number cut short"),
        pytest.param(
            "tel:0301234567",
            404,
            "without a country only +E.164 and short codes are numbers here",
            id="local",
        ),
    ],
)
async def test_who_is_not_there_and_who_is_nobody(
    stage: HomeStage, target: str, status: int, reason: str
) -> None:
    caller = await stage.user("alice")
    call = await caller.invite(target, AUDIO)
    refused = await call.wait_status(range(300, 700))
    assert (refused.status, warning_of(refused)) == (status, reason)


async def test_a_page_that_is_gone_does_not_speak_for_one_that_is_busy(stage: HomeStage) -> None:
    caller = await stage.user("alice")
    gone, busy = await stage.user("bob"), await stage.user("bob")
    gone.lose()
    call = await caller.invite(BOB.impu, AUDIO)
    await (await busy.wait_incoming()).respond(486)
    await call.wait_status(486)


async def test_only_pages_that_are_gone(stage: HomeStage) -> None:
    caller, gone = await stage.user("alice"), await stage.user("bob")
    gone.lose()
    await asyncio.wait_for(gone.lost.wait(), 15)
    call = await caller.invite(BOB.impu, AUDIO)
    await call.wait_status(480)


async def test_a_message_reaches_every_page_of_a_user(stage: HomeStage) -> None:
    caller = await stage.user("alice")
    pages = [await stage.user("bob") for _ in range(2)]
    text = "hello " * 1500  # more than a datagram of Ethernet
    answer = await caller.request("MESSAGE", BOB.tel, body=text)
    assert answer.status == 200
    for page in pages:
        assert (await page.trace.wait_request("MESSAGE")).body == text
    assert (await caller.request("MESSAGE", BY_NAME["dave"].impu, body="hello")).status == 480
    assert (await caller.request("MESSAGE", f"sip:nobody@{REALM}", body="hello")).status == 404
    assert (await caller.request("OPTIONS", BOB.impu)).status == 200
