"""What the web tells of calls and registrations while they happen: real gateway, relay, web API and TLS front; each
listener is a WebSocket through the front with a session's cookie.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from kemi.state.web.accounts import AccountStore
from kemi.state.web.client import DEADLINE_S
from kemi.state.web.client import connect as connect_to_redis
from tests.integration.calls.incoming import ringing
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, Call, Stage, gateway_options
from tests.integration.calls.test_quality import redis_asleep
from tests.integration.calls.traced import trace_of
from tests.integration.lab.web import Browser
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.subscribers import REALM
from tests.peers.core_script import answers, rejects

pytestmark = pytest.mark.lab

SOON_S: Final = 3.0
ELSEWHERE: Final = (("Reason", 'SIP;cause=200;text="Call completed elsewhere"'),)


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """With Redis, the web API and the TLS front; alice is an operator."""
    options = gateway_options()
    web = {"webapp_api": {"webapp_api_event_listeners_per_user": 30}}
    parts = options.parts | {Part.REDIS, Part.WEB_API, Part.HAPROXY}
    with Lab(replace(options, parts=parts, role_variables={**options.role_variables, **web})) as lab:
        accounts = AccountStore(connect_to_redis(lab.info.redis_url))
        alice = accounts.get("alice")
        assert alice is not None
        accounts.put(msgspec.structs.replace(alice, operator=True))
        yield lab


class Ear:
    """One listener."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def next(self, *kinds: str) -> dict[str, Any]:
        """Return the next event of these kinds."""
        while True:
            event: dict[str, Any] = json.loads(await asyncio.wait_for(self._socket.recv(), SOON_S))
            if event["type"] in kinds:
                return event

    async def of_call(self, call_id: str, until_kind: str = "call_ended") -> list[dict[str, Any]]:
        """Return what is told of a call, in order."""
        found: list[dict[str, Any]] = []
        while not found or found[-1]["type"] != until_kind:
            event = json.loads(await asyncio.wait_for(self._socket.recv(), SOON_S))
            if event.get("call_id") == call_id:
                found.append(event)
        return found

    async def end(self) -> int:
        """Wait for the end; return the code."""
        with pytest.raises(ConnectionClosed) as error:
            while True:
                await asyncio.wait_for(self._socket.recv(), SOON_S)
        assert error.value.rcvd is not None
        return error.value.rcvd.code


class Web:
    """Somebody's browser, as far as it is not the page."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.browser = Browser(lab)
        response = self.browser.log_in(name, lab.info.web.accounts[name])
        assert response.status_code == 201, response.text
        self._tls = ssl.create_default_context(cafile=str(lab.info.web.certificate))
        self._sockets: list[ClientConnection] = []

    async def listen(self, path: str = "/api/events", after: str = "") -> Ear:
        """Listen."""
        origin = self.browser.origin
        socket = await connect(
            f"{origin.replace('https', 'wss')}{path}" + (f"?after={after}" if after else ""),
            origin=Origin(origin),
            additional_headers={"Cookie": f"__Host-session={self.browser.cookie}"},
            ssl=self._tls,
            proxy=None,
        )
        self._sockets.append(socket)
        ear = Ear(socket)
        await ear.next("position")
        return ear

    def get(self, path: str) -> Any:
        """Ask the web API."""
        response = self.browser.http.get(f"{self.browser.origin}{path}", timeout=5)
        assert response.status_code == 200, response.text
        return response.json()

    def end_call(self, call_id: str) -> int:
        """End a call; return the status."""
        return self.browser.http.delete(
            f"{self.browser.origin}/api/calls", params={"call_id": call_id}, timeout=5
        ).status_code

    async def close(self) -> None:
        """Leave."""
        for socket in self._sockets:
            await socket.close()
        self.browser.http.close()


@pytest.fixture
async def alice(gateway_lab: Lab) -> AsyncIterator[Web]:
    """Alice, who is an operator as well."""
    web = Web(gateway_lab, "alice")
    yield web
    await web.close()


@pytest.fixture
async def other(gateway_lab: Lab) -> AsyncIterator[Web]:
    """Somebody else."""
    name = next(name for name in gateway_lab.info.web.accounts if name != "alice")
    web = Web(gateway_lab, name)
    yield web
    await web.close()


async def test_a_call_of_the_page_from_its_beginning_to_its_end(stage: Stage, alice: Web, other: Web) -> None:
    user, operator, stranger = (
        await alice.listen(), await alice.listen("/api/operator/events"), await other.listen()
    )  # fmt: skip
    page = await stage.page()
    registered = await user.next("registered")
    assert (registered["impu"], registered["this_session"]) == (
        ALICE,
        False,
    )  # with a SIP password, not our token
    stage.core.script = answers()
    call = await stage.answered(page)
    await call.hang_up()
    told = await user.of_call(call.call_id)
    kinds = ["call_started", "call_ringing", "call_answered", "call_ended"]
    assert [one["type"] for one in told] == kinds
    assert [one["at"] for one in told] == sorted(one["at"] for one in told)
    assert {(one["impu"], one["peer"], one["direction"]) for one in told} == {(ALICE, BOB, "out")}
    ended = told[-1]
    assert (ended["by"], ended["why"], ended["status"], ended["elsewhere"]) == ("page", "BYE", 0, False)
    assert ended["quality"]["audio"]["wic"]["packets"] == 0
    assert [one["type"] for one in await operator.of_call(call.call_id)] == kinds
    again = await alice.listen(after=told[1]["seq"])
    assert [one["seq"] for one in await again.of_call(call.call_id)] == [one["seq"] for one in told[2:]]
    (past,) = [one for one in alice.get("/api/calls")["calls"] if one["call_id"] == call.call_id]
    assert (past["why"], past["quality"]) == ("BYE", ended["quality"])
    assert other.get("/api/calls")["calls"] == []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stranger.next("registered", *kinds), 0.3)
    await page.unregister()
    await user.next("deregistered")


async def test_a_call_that_is_refused(stage: Stage, alice: Web) -> None:
    ear = await alice.listen()
    stage.core.script = rejects(486)
    call = await (await stage.page()).invite(BOB, AUDIO)
    await call.wait_status(486)
    told = await ear.of_call(call.call_id)
    assert [one["type"] for one in told] == ["call_started", "call_ringing", "call_ended"]
    assert (told[-1]["by"], told[-1]["status"]) == ("core", 486)


async def test_a_page_cannot_say_whom_its_call_was_for(stage: Stage, alice: Web) -> None:
    ear = await alice.listen()
    stage.core.script = rejects(486)
    dialled = f"sip:600@{REALM};user=phone"
    call = await (await stage.page()).invite(dialled, AUDIO, to=BOB)
    await call.wait_status(486)
    told = await ear.of_call(call.call_id)
    assert {one["peer"] for one in told} == {dialled}
    (past,) = [one for one in alice.get("/api/calls")["calls"] if one["call_id"] == call.call_id]
    assert past["peer"] == dialled


async def test_what_is_dialled_once_the_far_end_has_answered_is_kept_nowhere(
    stage: Stage, alice: Web
) -> None:
    user, operator = await alice.listen(), await alice.listen("/api/operator/events")
    stage.core.script = answers()
    pin = "4711471147114711"
    wic = await (await stage.page()).invite(f"sip:+49301234567;postd=p{pin}@{REALM};user=phone", AUDIO)
    await wic.wait_answer()
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    told = await user.of_call(call.call_id, "call_answered")
    live = stage.lab.control("GET", "/v1/calls")[1]["calls"]
    await call.hang_up()
    told += await user.of_call(call.call_id)
    told += await operator.of_call(call.call_id)
    past = [one for one in alice.get("/api/calls")["calls"] if one["call_id"] == call.call_id]
    trace = await trace_of(stage, call.call_id)
    named = [*told, *live, *past, msgspec.to_builtins(trace)]
    assert {one["peer"] for one in named} == {f"sip:+49301234567@{REALM};user=phone"}
    assert pin not in json.dumps(named)


async def test_a_call_that_another_device_answers(stage: Stage, alice: Web) -> None:
    ear = await alice.listen()
    call = await ringing(stage, await stage.page())
    call.ims.cancel(ELSEWHERE)
    await call.ims.wait_status(487)
    told = await ear.of_call(call.call_id)
    assert [one["type"] for one in told] == ["call_started", "call_ringing", "call_ended"]
    ended = told[-1]
    assert (ended["elsewhere"], ended["why"], ended["status"]) == (True, "answered elsewhere", 487)
    assert (ended["by"], ended["direction"]) == ("core", "in")


async def test_a_caller_who_gives_up(stage: Stage, alice: Web) -> None:
    ear = await alice.listen()
    call = await ringing(stage, await stage.page())
    call.ims.cancel()
    await call.ims.wait_status(487)
    ended = (await ear.of_call(call.call_id))[-1]
    assert (ended["elsewhere"], ended["by"], ended["why"]) == (False, "core", "CANCEL")


async def test_the_far_ends_keys_are_told_to_their_user_and_written_nowhere(stage: Stage, alice: Web) -> None:
    user, operator = await alice.listen(), await alice.listen("/api/operator/events")
    stage.core.script = answers()
    call = await stage.answered(await stage.page())
    body = {"call_id": call.call_id, "source_tag": "ims", "event": 11, "duration": 160, "volume": 10}
    await user.next("call_answered")  # so that nothing else is on its way
    assert stage.lab.control("POST", "/v1/dtmf", body)[0] == 200
    told = await user.next("dtmf")
    assert (told["digit"], told["call_id"], told["duration_ms"], "seq" in told) == (
        "#",
        call.call_id,
        160,
        False,
    )
    assert "digit" not in await operator.next("dtmf")
    await call.hang_up()
    logs = "".join(path.read_text(errors="replace") for path in Path(stage.lab.info.log_dir).glob("*.log"))
    assert '"digit"' not in logs


async def test_a_user_sees_and_ends_own_calls_only(stage: Stage, alice: Web, other: Web) -> None:
    ear = await alice.listen()
    stage.core.script = answers()
    call = await stage.answered(await stage.page())
    await ear.of_call(call.call_id, "call_answered")
    ((current,), complete) = alice.get("/api/calls/current").values()
    assert (current["call_id"], current["answered"], current["kinds"], complete) == (
        call.call_id, True, ["audio"], True,
    )  # fmt: skip
    assert other.get("/api/calls/current") == {"calls": [], "complete": True}
    assert other.end_call(call.call_id) == 204
    await asyncio.sleep(0.8)  # more than a gateway takes to hear of it
    assert stage.record(call.call_id)
    assert alice.end_call(call.call_id) == 204
    await call.ims.wait_request("BYE", timeout_s=SOON_S)
    await call.wic.wait_request("BYE", timeout_s=SOON_S)
    ended = (await ear.of_call(call.call_id))[-1]
    assert (ended["by"], ended["why"]) == ("gateway", "ended by the user")
    assert alice.end_call(call.call_id) == 204


async def test_redis_is_away_and_no_event_is_lost(stage: Stage, alice: Web) -> None:
    ear, page = await alice.listen(), await stage.page()
    stage.core.script = answers()
    with redis_asleep(stage):
        call = await stage.answered(page)
        await call.hang_up()
        await asyncio.sleep(DEADLINE_S + 0.5)  # the reader has given up once
    told = await ear.of_call(call.call_id)
    kinds = ["call_started", "call_ringing", "call_answered", "call_ended"]
    assert [one["type"] for one in told] == kinds


async def test_who_logs_out_hears_nothing_any_more(alice: Web) -> None:
    ear, operator = await alice.listen(), await alice.listen("/api/operator/events")
    alice.browser.log_out()
    assert [await ear.end(), await operator.end()] == [4401, 4401]
