"""Events over WebSocket: the real HTTP server, a real Redis, real WebSocket clients."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from kemi.state import keys
from kemi.state.web.client import digest
from kemi.state.web.sessions import LoginMethod
from tests.contract.web.client import NAME, ORIGIN, PASSWORD, WebPage
from tests.contract.web.operator import Operator
from tests.contract.web.server import Server, gunicorn
from tests.lab.waiting import wait_until
from webapp_api.services import Services
from webapp_api.settings import Settings

ALICE, BOB = "sip:alice@ims.example.com", "sip:bob@ims.example.com"
SOON_S = 3.0


@pytest.fixture(scope="module")
def server_on(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, for all tests of this file."""
    settings = Settings(
        public_origin=ORIGIN, domain="ims.example.com", redis_url=redis_url, key_secret="0123456789abcdef" * 2
    )
    with gunicorn(
        settings, tmp_path_factory.mktemp("web"), quick=True, event_listeners_per_user=3
    ) as running:
        yield running


class Ear:
    """One listener."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._began = False

    def next(self, timeout_s: float = SOON_S) -> dict[str, Any]:
        """Return the first message, then the next one that is more than a sign of life."""
        while True:
            found: dict[str, Any] = json.loads(self.socket.recv(timeout_s))
            if found["type"] != "position" or found["gap"] or not self._began:
                self._began = True
                return found

    def many(self, number: int) -> list[dict[str, Any]]:
        """Return the next messages."""
        return [self.next() for _ in range(number)]

    def end(self, timeout_s: float = 3 * SOON_S) -> tuple[int, str]:
        """Wait for the end and return its code and reason; other messages, signs of life too, are passed over."""
        last = time.monotonic() + timeout_s
        with pytest.raises(ConnectionClosed) as error:
            while True:
                self.socket.recv(max(0.0, last - time.monotonic()))
        assert error.value.rcvd is not None, "it ended without a word"
        return error.value.rcvd.code, error.value.rcvd.reason


class Ears:
    """Opens connections; all are closed with the test."""

    def __init__(self, server: Server, opening_s: float = SOON_S) -> None:
        self.server = server
        self.opening_s = opening_s
        self.sockets: list[ClientConnection] = []

    def open(
        self,
        cookie: str | None,
        path: str = "/api/events",
        *,
        after: str = "",
        origin: str | None = ORIGIN,
        **fields: str,
    ) -> Ear:
        """Begin to listen."""
        query = f"?after={after}" if after else ""
        headers = {**fields, **({"Cookie": f"__Host-session={cookie}"} if cookie else {})}
        socket = connect(
            f"ws://127.0.0.1:{self.server.port}{path}{query}",
            origin=None if origin is None else Origin(origin),
            additional_headers=headers,
            proxy=None,
            open_timeout=self.opening_s,
            legacy=True,
        )
        self.sockets.append(socket)
        return Ear(socket)

    def refused(self, cookie: str | None, path: str = "/api/events", **options: Any) -> dict[str, Any]:
        """Try to listen; return the problem document."""
        with pytest.raises(InvalidStatus) as error:
            self.open(cookie, path, **options)
        response = error.value.response
        assert response.headers["Content-Type"] == "application/problem+json"
        problem: dict[str, Any] = json.loads(response.body or b"{}")
        assert problem["status"] == response.status_code
        return problem


@pytest.fixture
def ears(server_on: Server, store: redis.Redis) -> Iterator[Ears]:
    """Listeners on an empty Redis."""
    opened = Ears(server_on)
    yield opened
    for one in opened.sockets:
        one.close()


@pytest.fixture
def cookie(page: WebPage) -> str:
    """Alice's session."""
    assert page.log_in().status_code == 201
    found = page.cookie()
    assert found
    return found


@pytest.fixture
def operators_cookie(page: WebPage, services: Services, cookie: str) -> str:
    """The same, and she is an operator."""
    account = services.accounts.get(NAME)
    assert account is not None
    services.accounts.put(msgspec.structs.replace(account, operator=True))
    return cookie


def happen(store: redis.Redis, kind: str, impu: str = ALICE, **fields: Any) -> str:
    """Let a gateway tell something; return its sequence number."""
    event = {"type": kind, "impu": impu, "node": "gw1", "at": time.time(), **fields}
    return str(store.xadd(keys.EVENTS, {"json": json.dumps(event)}))


def test_a_user_hears_of_own_calls_and_registrations_and_of_nothing_else(
    ears: Ears, cookie: str, store: redis.Redis
) -> None:
    ear = ears.open(cookie)
    first = ear.next()
    assert (first["type"], first["gap"]) == ("position", False)
    happen(store, "call_ringing", BOB, call_id="b")
    happen(store, "fraud_alarm", what="denied")
    happen(store, "registered", impi="alice@ims.example.com", sid="another")
    seq = happen(
        store,
        "call_ringing",
        "sip:alice@IMS.example.com;x=y",
        call_id="a",
        key="k",
        peer=BOB,
        direction="to_page",
    )
    sound = {"audio": {"wic": None, "ims": {"rating": "poor", "mos": 2.1, "packets": 250}}}
    happen(
        store,
        "call_quality",
        call_id="a",
        key="k",
        peer=BOB,
        direction="to_page",
        began_at=1.0,
        quality=sound,
    )
    media = {"audio": {"wic": None, "ims": {"codec": "PCMA/8000", "heard": {"mos": 4.3}}}}
    happen(store, "call_ended", call_id="a", why="answered elsewhere", by="core", status=487, relay="10.0.0.1:2223",
           direction="to_page", began_at=1.0, answered_at=0.0, ended_at=2.0, duration_s=0.0, media=media)  # fmt: skip
    registered, ringing, heard, ended = ear.many(4)
    assert (registered["type"], registered["impu"], registered["this_session"]) == (
        "registered",
        ALICE,
        False,
    )
    assert "sid" not in registered
    assert ringing == {
        "type": "call_ringing", "seq": seq, "at": ringing["at"], "call_id": "a", "peer": BOB, "direction": "in",
        "impu": "sip:alice@IMS.example.com;x=y", "fork": ringing["fork"],
    }  # fmt: skip
    assert (heard["type"], heard["direction"], heard["quality"]) == ("call_quality", "in", sound)
    assert heard["fork"] == ringing["fork"]
    assert not {"key", "node"} & heard.keys()
    assert (ended["elsewhere"], ended["status"], ended["quality"]) == (True, 487, media)
    assert not {"relay", "node", "media", "key"} & ended.keys()


def test_an_operator_hears_everything_and_no_user_listens_there(
    ears: Ears, operators_cookie: str, store: redis.Redis, services: Services
) -> None:
    ear = ears.open(operators_cookie, "/api/operator/events")
    ear.next()
    happen(store, "call_ringing", BOB, call_id="b", key="k", direction="from_page")
    happen(store, "fraud_alarm", what="denied", sid="secret")
    ringing, alarm = ear.many(2)
    assert (ringing["impu"], ringing["node"], ringing["key"], ringing["direction"]) == (
        BOB,
        "gw1",
        "k",
        "out",
    )
    assert alarm["what"] == "denied"
    assert "sid" not in alarm
    account = services.accounts.get(NAME)
    assert account is not None
    services.accounts.put(msgspec.structs.replace(account, operator=False))
    assert ears.refused(operators_cookie, "/api/operator/events")["status"] == 403


def test_digits_reach_their_user_alone_and_are_kept_nowhere(
    ears: Ears, operators_cookie: str, store: redis.Redis
) -> None:
    user, operator = ears.open(operators_cookie), ears.open(operators_cookie, "/api/operator/events")
    user.next()
    operator.next()
    wait_until(
        lambda: dict(store.pubsub_numsub(keys.UNKEPT_EVENTS))[keys.UNKEPT_EVENTS] == 2, "both processes", 3
    )
    told = {"type": "dtmf", "call_id": "a", "digit": "#", "duration_ms": 160, "at": 1.0}
    store.publish(keys.UNKEPT_EVENTS, json.dumps({**told, "impu": BOB}))
    store.publish(keys.UNKEPT_EVENTS, json.dumps({**told, "impu": ALICE}))
    assert user.next() == {**told, "impu": ALICE}
    assert [(one["type"], one["impu"]) for one in operator.many(2)] == [("dtmf", BOB), ("dtmf", ALICE)]
    assert store.exists(keys.EVENTS) == 0


def test_who_comes_back_hears_what_was_missed_once_and_in_order(
    ears: Ears, cookie: str, store: redis.Redis
) -> None:
    ear = ears.open(cookie)
    ear.next()
    known = happen(store, "call_started", call_id="0")
    assert ear.next()["seq"] == known
    ear.socket.close()
    missed = [
        happen(store, "call_started", ALICE if number % 2 else BOB, call_id=str(number))
        for number in range(1, 300)
    ]
    again = ears.open(cookie, after=known)
    later = happen(store, "call_started", call_id="300")
    first, *rest = again.many(152)
    assert first == {"type": "position", "seq": known, "gap": False}
    assert [one["seq"] for one in rest] == [*missed[::2], later]


def test_who_pings_without_end_is_cut_off(ears: Ears, cookie: str) -> None:
    ear, other = ears.open(cookie), ears.open(cookie)
    for _ in range(5):
        assert ear.socket.ping().wait(SOON_S), "now and then is right"
    with suppress(ConnectionClosed):
        for _ in range(1000):
            ear.socket.ping()
    assert ear.end()[0] == 1008
    assert other.next()["type"] == "position"


def test_what_a_gateway_wrote_twice_is_told_once(ears: Ears, cookie: str, store: redis.Redis) -> None:
    known = happen(store, "call_started", call_id="0")
    ear = ears.open(cookie)
    ear.next()
    for number in (1, 1, 2, 1, 3):
        happen(store, "call_started", call_id=str(number), at=float(number))
    again = ears.open(cookie, after=known)
    assert again.next()["seq"] == known
    for one in (ear, again):
        assert [event["call_id"] for event in one.many(3)] == ["1", "2", "3"]


def test_a_redis_that_fails_as_somebody_begins_to_listen(ears: Ears, cookie: str, store: redis.Redis) -> None:
    assert ears.open(cookie).next()["type"] == "position"
    store.set(keys.EVENTS, "no stream")
    try:
        assert ears.open(cookie, after="1-1").end()[0] == 1001
    finally:
        store.delete(keys.EVENTS)


def test_a_gap_is_told(ears: Ears, cookie: str, store: redis.Redis) -> None:
    old = happen(store, "call_started", call_id="old")
    kept = [happen(store, "call_started", call_id=str(number)) for number in range(3)]
    store.xtrim(keys.EVENTS, maxlen=2, approximate=False)
    ear = ears.open(cookie, after=old)
    assert ear.next() == {"type": "position", "seq": old, "gap": True}
    assert [one["seq"] for one in ear.many(2)] == kept[1:]


@pytest.mark.parametrize("origin", [None, "https://evil.example.com", "null", ORIGIN + ".evil.com"])
def test_a_page_of_another_origin_is_refused(ears: Ears, cookie: str, origin: str | None) -> None:
    assert ears.refused(cookie, origin=origin)["status"] == 403


def test_nobody_else_is_let_in(ears: Ears, cookie: str) -> None:
    assert ears.refused(None)["status"] == 401
    assert ears.refused("A" * 43)["status"] == 401
    assert ears.refused(cookie, "/api/operator/events")["status"] == 403
    assert ears.refused(cookie, after="yesterday")["status"] == 400


def test_what_is_no_websocket_is_refused(server_on: Server) -> None:
    assert server_on.get("/api/events") == 400


@pytest.mark.parametrize("how", ["logged out", "removed", "expired"])
def test_the_end_of_the_session_is_the_end_of_listening(
    ears: Ears, page: WebPage, cookie: str, operator: Operator, how: str, store: redis.Redis
) -> None:
    ear = ears.open(cookie)
    ear.next()
    if how == "logged out":
        page.log_out()
    elif how == "removed":
        assert operator("accounts", "remove", NAME).returncode == 0
    else:  # as its idle time does, which nobody tells
        store.delete(*store.keys("gw:web:session:*"))
    assert ear.end() == (4401, "logged out")
    assert ears.refused(cookie)["status"] == 401


def test_a_guest_hears_nothing_of_the_former_holder(
    ears: Ears, services: Services, store: redis.Redis
) -> None:
    impu = "sip:guest1@ims.example.com"
    before = happen(store, "call_started", impu, call_id="former")
    time.sleep(0.01)
    secret, session = services.logins.as_guest("198.51.100.9")
    while session.impus != [impu]:
        secret, session = services.logins.as_guest("198.51.100.9")
    assert session.method is LoginMethod.GUEST
    happen(store, "call_ended", impu, call_id="former", began_at=time.time() - 60)
    happen(store, "deregistered", impu, sid="former")
    own = happen(store, "call_started", impu, call_id="own")
    ear = ears.open(secret, after=before)
    assert ear.next()["seq"] == before
    assert ear.next()["seq"] == own


def test_who_begins_to_listen_without_end_has_to_wait(ears: Ears, cookie: str, store: redis.Redis) -> None:
    """Each time the whole stream may be read."""
    name = keys.web_attempts("listen", digest("password:alice"))
    store.set(name, 59, ex=60)
    ears.open(cookie, after="0-0").next()
    assert ears.refused(cookie, after="0-0")["status"] == 429
    store.delete(name)
    ears.open(cookie, after="0-0").next()


def test_one_person_has_so_many_listeners(ears: Ears, cookie: str) -> None:
    opened = [ears.open(cookie, **{"X-Forwarded-For": f"198.51.100.{number}"}) for number in range(3)]
    assert ears.refused(cookie)["status"] == 429
    opened[0].socket.close()
    wait_until(lambda: _opens(ears, cookie), "a place that is free again", 3)


def _opens(ears: Ears, cookie: str) -> bool:
    try:
        ears.open(cookie)
    except InvalidStatus:
        return False
    return True


def test_whoever_talks_is_sent_away(ears: Ears, cookie: str) -> None:
    ear = ears.open(cookie)
    ear.next()
    ear.socket.send("hello")
    assert ear.end()[0] == 1008


def test_a_slow_listener_is_cut_off_and_no_other_waits(
    ears: Ears, operators_cookie: str, store: redis.Redis, server_on: Server
) -> None:
    fast = ears.open(operators_cookie, "/api/operator/events")
    fast.next()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", server_on.port))
        slow.sendall(
            f"GET /api/operator/events HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {ORIGIN}\r\n"
            f"Cookie: __Host-session={operators_cookie}\r\n\r\n".encode()
        )
        assert slow.recv(12) == b"HTTP/1.1 101"
        number, worst_s = 4000, 0.0
        for count in range(number // 100):
            began = time.monotonic()
            with store.pipeline(transaction=False) as pipe:
                for one in range(100):
                    event = {"type": "x", "count": count * 100 + one, "why": "w" * 4000}
                    pipe.xadd(keys.EVENTS, {"json": json.dumps(event)})
                pipe.execute()
            assert [fast.next()["count"] for _ in range(100)] == [*range(count * 100, count * 100 + 100)]
            worst_s = max(worst_s, time.monotonic() - began)
        assert worst_s < 10
        slow.settimeout(10)
        received = bytearray()
        while data := _received(slow):
            received += data
        sent = len(received) // 4000
        assert sent < number - 1500, "it was cut off while it was behind"
        assert received.endswith(b"\x88\x0a\x03\xf5too slow")  # Close, 1013


def _received(slow: socket.socket) -> bytes:
    with suppress(ConnectionResetError):
        return slow.recv(65536)
    return b""


def test_the_rest_is_served_while_many_listen_and_all_are_told_when_it_ends(
    settings: Settings, store: redis.Redis, services: Services, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {
        "threads": 2,
        "workers": 1,
        "event_listeners": 40,
        "event_listeners_per_user": 100,
    }
    with gunicorn(settings, tmp_path, **changes) as server:
        ears = Ears(server)
        secret, _ = services.logins.with_password(NAME, PASSWORD, "198.51.100.7")
        opened = [ears.open(secret) for _ in range(40)]
        assert {one.next()["type"] for one in opened} == {"position"}
        assert ears.refused(secret)["status"] == 503
        began = time.monotonic()
        assert [server.get("/healthz") for _ in range(20)] == [200] * 20
        assert time.monotonic() - began < 10
        os.kill(server.process.pid, signal.SIGTERM)
        assert {one.end() for one in opened} == {(1001, "the server restarts")}
        assert server.process.wait(5) == 0
