"""Pages register at a gateway that is its own home network."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from kemi.core.home.registering import MOST_PAGES
from kemi.core.registration.states import GONE
from kemi.state import keys
from kemi.state.web.client import connect
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import until, warning_of
from tests.integration.home.stage import KNOWN_S, PEOPLE, SOON_S, HomeStage, add_account, remove_account
from tests.integration.trust.issuers import ISSUER, bearer, publish_in_redis, register
from tests.lab.options import Part
from tests.lab.ports import LOOPBACK
from tests.lab.subscribers import BY_NAME, REALM
from tests.peers.trace import Direction
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

ALICE = BY_NAME["alice"]


async def test_the_page_learns_its_identities_and_nothing_of_the_way(stage: HomeStage) -> None:
    page = await stage.user("alice")
    answer = page.trace.responses("REGISTER")[-1]
    associated = ", ".join(answer.headers.all("P-Associated-URI"))
    assert [uri in associated for uri in ALICE.impus] == [True] * 3
    assert not answer.headers.all("Path")
    assert len(stage.contacts("alice")) == 1


async def test_a_page_signs_off(stage: HomeStage) -> None:
    first, second = await stage.user("alice"), await stage.user("alice")
    await stage.has_contacts("alice", 2)
    assert (await first.unregister()).status == 200
    await stage.has_contacts("alice", 1)
    assert (await second.unregister()).status == 200
    caller = await stage.user("bob")
    await (await caller.invite(ALICE.impu, AUDIO)).wait_status(480)


async def test_who_signs_all_pages_off_signs_off_those_of_other_identities(stage: HomeStage) -> None:
    """They hear of it, and register again: where pages are is kept for the user as a whole."""
    page = await stage.user("alice")
    number = WicIdentity(f"sip:{ALICE.number}@{REALM}")
    other = await stage.join(ScriptedWic(stage.handshake, number), registered=False)
    assert (await register(other, stage.token("alice"))).status == 200
    request = page._register_request(0, bearer(stage.token("alice")))
    request.headers.replace("Contact", "*")
    await page.send(request)
    await page.trace.wait_response(200, "REGISTER", cseq=request.cseq.number)
    assert stage.contacts("alice") == []
    await asyncio.wait_for(other.lost.wait(), SOON_S)
    assert other.socket.close_code == GONE


async def test_a_registration_runs_out(stage: HomeStage) -> None:
    await stage.user("alice", expires_s=2)
    caller = await stage.user("bob")
    await asyncio.sleep(3.1)
    await (await caller.invite(ALICE.impu, AUDIO)).wait_status(480)


async def test_a_page_that_is_loaded_again_takes_the_place_of_itself(stage: HomeStage) -> None:
    instance = "urn:uuid:00000000-0000-4000-8000-000000000001"
    await stage.user("alice", instance=instance)
    await stage.user("alice", instance=instance)
    assert len(stage.contacts("alice")) == 1
    await stage.user("alice")
    assert len(stage.contacts("alice")) == 2


async def test_a_page_that_is_loaded_again_may_sign_off_before_it_registers(stage: HomeStage) -> None:
    instance = "urn:uuid:00000000-0000-4000-8000-000000000004"
    before = await stage.user("alice", instance=instance)
    again = WicIdentity(ALICE.impu, instance=instance)
    page = await stage.join(ScriptedWic(stage.handshake, again), registered=False)
    assert page.contact_uri != before.contact_uri
    assert (await register(page, stage.token("alice"), expires_s=0)).status == 200
    assert stage.contacts("alice") == []


async def test_a_page_that_stays_away_is_signed_off(stage: HomeStage) -> None:
    page = await stage.user("alice")
    page.lose()
    await stage.has_contacts("alice", 0)


async def test_a_page_that_is_loaded_again_as_another_identity_outlasts_what_it_was(stage: HomeStage) -> None:
    """The registrar knows it by its instance, and the end of the one is not that of the other."""
    instance = "urn:uuid:00000000-0000-4000-8000-000000000002"
    before = await stage.user("alice", instance=instance)
    before.lose()
    again = WicIdentity(f"sip:{ALICE.number}@{REALM}", instance=instance)
    page = await stage.join(ScriptedWic(stage.handshake, again), registered=False)
    assert (await register(page, stage.token("alice"))).status == 200
    await stage.logged(
        before.trace.requests("REGISTER", Direction.SENT)[-1].call_id, "event=deregistered_on_behalf"
    )
    assert len(stage.contacts("alice")) == 1
    call = await (await stage.user("bob")).invite(ALICE.impu, AUDIO)
    await (await page.wait_incoming()).respond(486)
    await call.wait_status(486)


async def test_two_identities_of_one_page_are_registered_side_by_side(stage: HomeStage) -> None:
    """As by two phones of the SDK: the registrar knows both by one instance."""
    instance = "urn:uuid:00000000-0000-4000-8000-000000000003"
    first = await stage.user("alice", instance=instance)
    number = WicIdentity(f"sip:{ALICE.number}@{REALM}", instance=instance)
    other = await stage.join(ScriptedWic(stage.handshake, number), registered=False)
    assert (await register(other, stage.token("alice"))).status == 200
    await stage.has_contacts("alice", 2)
    assert (await other.unregister()).status == 200
    await stage.has_contacts("alice", 1)
    call = await (await stage.user("bob")).invite(ALICE.impu, AUDIO)
    await (await first.wait_incoming()).respond(486)
    await call.wait_status(486)


async def test_whom_the_operator_removes_is_signed_off(stage: HomeStage) -> None:
    """As ``accounts remove`` does: the account is gone, and its web session is over."""
    add_account(stage.lab, "web1")
    page = await stage.user("web1", sid="sid-of-web1")
    caller = await stage.user("bob")
    redis = connect(stage.lab.info.redis_url)
    remove_account(stage.lab, "web1")
    redis.xadd(keys.COMMANDS, {keys.STREAM_FIELD: '{"type": "logout", "sid": "sid-of-web1"}'})
    await asyncio.wait_for(page.lost.wait(), SOON_S)
    assert page.socket.close_code == 4401
    await stage.has_contacts("web1", 0)
    await (await caller.invite(BY_NAME["web1"].impu, AUDIO)).wait_status(range(404, 481))


async def test_who_gets_an_account_is_known_and_who_loses_it_is_not(stage: HomeStage) -> None:
    caller, web2 = await stage.user("bob"), BY_NAME["web2"]

    async def answer() -> int:
        response = await caller.request("MESSAGE", web2.impu, body="hello")
        return int(response.status)

    assert await answer() == 404
    add_account(stage.lab, "web2")
    await until(lambda: web2.impu in stage.lab.gateway_rpc.htable("person"), lambda: "no account", KNOWN_S)
    assert await answer() == 480
    remove_account(stage.lab, "web2")
    await until(
        lambda: web2.impu not in stage.lab.gateway_rpc.htable("person"), lambda: "still there", KNOWN_S
    )
    assert await answer() == 404


async def test_a_user_without_an_account_is_known_from_the_first_login_on(stage: HomeStage) -> None:
    caller, carol = await stage.user("bob"), BY_NAME["carol"]
    page = await stage.user("carol")
    call = await caller.invite(carol.tel, AUDIO)
    await (await page.wait_incoming()).respond(486)
    await call.wait_status(486)
    await page.unregister()
    await (await caller.invite(carol.impu, AUDIO)).wait_status(480)


@pytest.mark.parametrize("name", ["jürgen", "x" * 65])
async def test_a_private_identity_may_be_long_and_of_any_letters(stage: HomeStage, name: str) -> None:
    caller = await stage.user("bob")
    page = await stage.user("carol", impi=f"{name}@{REALM}")
    call = await caller.invite(BY_NAME["carol"].impu, AUDIO)
    await (await page.wait_incoming()).respond(486)
    await call.wait_status(486)


async def test_a_password_is_refused_and_a_token_is_asked_for(stage: HomeStage) -> None:
    page = await stage.join(ScriptedWic(stage.handshake, WicIdentity(ALICE.impu)), registered=False)
    digest = f'Digest username="{ALICE.impi}", realm="{REALM}", nonce="x", uri="sip:{REALM}", response="{"0" * 32}"'
    refused = await page.register(headers=[("Authorization", digest)])
    assert refused.status == 401
    assert (refused.headers.get("WWW-Authenticate") or "").startswith("Bearer ")
    assert "password" in warning_of(refused)


async def test_somebody_elses_identity_is_refused(stage: HomeStage) -> None:
    page = await stage.join(ScriptedWic(stage.handshake, WicIdentity(BY_NAME["bob"].impu)), registered=False)
    assert (await page.register(headers=bearer(stage.token("alice")))).status == 403
    assert stage.contacts("bob") == []
    assert (await register(page, stage.token("bob"))).status == 200


def test_nobody_but_the_gateway_itself_is_heard_at_the_home_part(stage: HomeStage) -> None:
    """Another program of this machine says of itself what only the proxy part may say."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((LOOPBACK, 0))
        stranger.settimeout(2)
        host, port = stranger.getsockname()
        for method in ("REGISTER", "INVITE", "OPTIONS"):
            stranger.sendto(
                "\r\n".join(
                    (
                        f"{method} sip:{REALM} SIP/2.0",
                        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{method}",
                        "Max-Forwards: 70",
                        f"From: <{ALICE.impu}>;tag=x",
                        f"To: <{ALICE.impu}>",
                        f"Call-ID: stranger-{method}",
                        f"CSeq: 1 {method}",
                        f"Contact: <sip:x@{host}:{port}>",
                        f"Path: <sip:x@{host}:{port};lr>",
                        f'Authorization: Digest username="{ALICE.impi}", integrity-protected="auth-done"',
                        "Content-Length: 0",
                        "",
                        "",
                    )
                ).encode(),
                (LOOPBACK, stage.lab.info.gateway.home_port),
            )
            assert stranger.recv(4096).startswith(b"SIP/2.0 403 ")
    assert stage.contacts("alice") == []


async def test_after_a_restart_pages_come_back_and_are_reached(stage: HomeStage) -> None:
    """Who exists is known at once; where they are, when they have registered again."""
    page, carol = await stage.user("alice"), await stage.user("carol")
    redis = connect(stage.lab.info.redis_url)
    kept = keys.registrations("*")
    await until(lambda: sum(map(redis.hlen, redis.scan_iter(kept))) == 2, lambda: "not in Redis", SOON_S)
    stage.lab.kill("gateway")
    stage.lab.start_again("gateway", Part.GATEWAY)
    await asyncio.wait_for(page.lost.wait(), SOON_S)
    await asyncio.wait_for(carol.lost.wait(), SOON_S)
    await until(
        lambda: ALICE.impu in stage.lab.gateway_rpc.htable("person"), lambda: "accounts not read", KNOWN_S
    )
    caller = await stage.user("bob")
    for who in ("alice", "carol"):
        await (await caller.invite(BY_NAME[who].impu, AUDIO)).wait_status(480)
    await page.connect()
    assert (await register(page, stage.token("alice"))).status == 200
    call = await caller.invite(ALICE.impu, AUDIO)
    await (await page.wait_incoming()).respond(486)
    await call.wait_status(486)


async def test_who_is_registered_is_reached_while_redis_is_away_and_when_it_is_empty(
    stage: HomeStage,
) -> None:
    """Nobody gets tokens meanwhile: the one there is counts on, at our own registrar, too."""
    page, caller = await stage.user("alice", exp=int(time.time()) + 10), await stage.user("bob")

    async def reached() -> None:
        call = await caller.invite(ALICE.impu, AUDIO)
        await (await page.wait_incoming()).respond(486)
        await call.wait_status(486)

    stage.lab.kill("redis")
    try:
        await asyncio.sleep(13)
        assert len(stage.contacts("alice")) == 1
        await reached()
    finally:
        stage.lab.start_again("redis", Part.REDIS)
    connect(stage.lab.info.redis_url).flushall()
    try:
        await until(
            lambda: BY_NAME["dave"].impu not in stage.lab.gateway_rpc.htable("person"),
            lambda: "accounts not read",
            KNOWN_S,
        )
        await reached()
    finally:
        for name in PEOPLE:
            add_account(stage.lab, name)
        publish_in_redis(stage.lab, ISSUER.url, ISSUER.key)


async def test_one_page_more_than_ring_together_is_refused(stage: HomeStage) -> None:
    for _ in range(MOST_PAGES):
        await stage.user("alice")
    page = await stage.join(ScriptedWic(stage.handshake, WicIdentity(ALICE.impu)), registered=False)
    refused = await register(page, stage.token("alice"))
    assert (refused.status, warning_of(refused)) == (480, f"this user has {MOST_PAGES} pages already")
    await stage.user("alice", instance=stage.pages[1].identity.instance)  # loaded again
    await stage.pages[0].unregister()
    assert (await register(page, stage.token("alice"))).status == 200
