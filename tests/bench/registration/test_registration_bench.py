"""The registration benchmark measures what it says: pages, registrar, sums, bars, and one small round for real."""

from __future__ import annotations

import dataclasses
import itertools
import json
import resource
import socket
import socketserver
import threading
import time

import click
import jwt
import pytest
import redis
from click.testing import CliRunner

from kemi.state.keys import jwks
from tests.bench.frames import BINARY, CLOSE, PING, PONG, TEXT, Frame, FrameReader
from tests.bench.registration import __main__ as main_module
from tests.bench.registration.__main__ import Case, Variant, measure, variant_from_text
from tests.bench.registration.measure import Held, Plan, Rate, Round, Storm
from tests.bench.registration.memory import resident_from_text
from tests.bench.registration.page import Happening, PageIdentity, RegisteringPage
from tests.bench.registration.pages import Outcome, PagesOrder, Task
from tests.bench.registration.registrar import Registrar
from tests.bench.registration.report import bars, table
from tests.bench.registration.site import fronts_for
from tests.bench.registration.swarm import sum_of, swarm
from tests.bench.registration.tokens import ALGORITHM, Credentials, Issuer, available
from tests.bench.targets import free_port
from tests.lab.roles import role_defaults

ALICE = PageIdentity("page7", "ims.test")
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


class RecordingRegistrar(Registrar):
    """The registrar without a socket."""

    def __init__(self) -> None:
        super().__init__("ims.test")
        self.sent: list[tuple[int, bytes]] = []

    def send_response(
        self, status: int, fields: list[tuple[bytes, bytes]], extra: bytes, sdp: bytes, addr: tuple[str, int]
    ) -> None:
        self.sent.append((status, b"CSeq: %s\r\n%s" % (dict(fields)[b"CSeq"], extra)))

    def answer(self, request: bytes) -> tuple[int, bytes]:
        """Return status and frame of the response to a masked frame's request."""
        self.datagram_received(payload_of(request), ("127.0.0.1", 5060))
        status, lines = self.sent[-1]
        return status, server_frame(b"SIP/2.0 %d X\r\n%s\r\n" % (status, lines))


def payload_of(frame: bytes) -> bytes:
    """Return the payload of one masked client frame, whose mask is zero."""
    return frame[frame.index(b"\0\0\0\0") + 4 :]


def server_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return an unmasked frame."""
    size = len(payload)
    head = bytes((0x80 | opcode, size)) if size < 126 else bytes((0x80 | opcode, 126, size >> 8, size & 255))
    return head + payload


def upgraded_page(identity: PageIdentity = ALICE) -> tuple[RegisteringPage, bytes]:
    """Return a page and the REGISTER it sent first."""
    page = RegisteringPage(identity, "https://page.example", {})
    request = page.upgrade("127.0.0.1:443", "/sip")
    assert b"Origin: https://page.example\r\n" in request
    sent, happening = page.received(UPGRADED)
    assert happening is None
    return page, sent


class TestPage:
    """The page's side."""

    def test_it_answers_the_challenge_and_counts_both_transactions(self) -> None:
        page, first = upgraded_page()
        registrar = RecordingRegistrar()
        status, challenge = registrar.answer(first)
        second, happening = page.received(challenge)
        assert (status, happening) == (401, None)
        status, granted = registrar.answer(second)
        assert (status, page.received(granted)) == (200, (b"", Happening.REGISTERED))
        assert (page.transactions, page.successes) == (2, 1)

    def test_given_credentials_are_sent_and_no_challenge_is_answered(self) -> None:
        page, first = upgraded_page(dataclasses.replace(ALICE, authorizations=("Bearer abc", "Bearer def")))
        assert b"\r\nAuthorization: Bearer abc\r\n" in first
        assert b"\r\nAuthorization: Bearer def\r\n" in page.register()
        _, challenge = RecordingRegistrar().answer(first)
        assert page.received(challenge) == (b"", Happening.REFUSED)
        assert page.refusal == "401 X"

    @pytest.mark.parametrize(
        ("challenges", "answered"),
        [
            pytest.param(("Bearer scope=sip", 'Digest realm="r", nonce="last"'), True, id="the last one"),
            pytest.param(("Bearer scope=sip",), False, id="none it could answer"),
        ],
    )
    def test_of_several_challenges_it_answers_a_digest(
        self, challenges: tuple[str, ...], answered: bool
    ) -> None:
        page, _ = upgraded_page()
        lines = "".join(f"WWW-Authenticate: {challenge}\r\n" for challenge in challenges)
        response = f"SIP/2.0 401 X\r\nCSeq: 1 REGISTER\r\n{lines}\r\n".encode()
        sent, happening = page.received(server_frame(response))
        assert (b'nonce="last"' in sent) is answered
        assert happening is (None if answered else Happening.REFUSED)

    def test_a_refused_upgrade_is_a_refusal(self) -> None:
        page = RegisteringPage(ALICE, "https://page.example", {})
        page.upgrade("127.0.0.1:443", "/sip")
        assert page.received(b"HTTP/1.1 403 Forbidden\r\n\r\n") == (b"", Happening.REFUSED)
        assert page.refusal == "HTTP/1.1 403 Forbidden"

    def test_pings_are_answered_and_a_close_is_noticed(self) -> None:
        page, _ = upgraded_page()
        pong, _ = page.received(server_frame(b"abc", PING))
        assert (pong[0] & 15, payload_of(pong)) == (PONG, b"abc")
        assert page.received(server_frame(b"", CLOSE))[1] is Happening.REFUSED

    def test_bytes_may_come_one_by_one(self) -> None:
        page, first = upgraded_page()
        _, challenge = RecordingRegistrar().answer(first)
        sent = b"".join(page.received(bytes((byte,)))[0] for byte in challenge)
        assert payload_of(sent).startswith(b"REGISTER ")

    def test_other_messages_mean_nothing(self) -> None:
        page, _ = upgraded_page()
        assert page.received(server_frame(b"OPTIONS sip:x SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n", BINARY)) == (
            b"",
            None,
        )


class TestRegistrar:
    """Who is let in."""

    def test_a_nonce_is_good_for_the_next_number_only(self) -> None:
        page, first = upgraded_page()
        registrar = RecordingRegistrar()
        second, _ = page.received(registrar.answer(first)[1])
        assert registrar.answer(second.replace(b"CSeq: 2", b"CSeq: 3"))[0] == 401
        assert registrar.answer(second)[0] == 200

    def test_another_users_password_does_not_open(self) -> None:
        page, first = upgraded_page()
        registrar = RecordingRegistrar()
        second, _ = page.received(registrar.answer(first)[1])
        assert registrar.answer(second.replace(b'username="page7@', b'username="page8@'))[0] == 401

    def test_whom_the_gateway_vouches_for_is_let_in_and_told_its_identities(self) -> None:
        _, first = upgraded_page()
        vouched = first.replace(
            b"Allow:", b'Authorization: Digest username="a", integrity-protected="auth-done"\r\nAllow:'
        )
        status, answer = RecordingRegistrar().answer(vouched)
        assert status == 200
        assert b"P-Associated-URI: <sip:page7@ims.test>, <tel:" in answer


def test_proportional_sizes_are_read() -> None:
    text = "55d0-7ff rw-p 0 [rollup]\nRss: 90 kB\nPss: 60 kB\nPss_Anon: 30 kB\nPss_File: 10 kB\nPss_Shmem: 20 kB\n"
    found = resident_from_text(text)
    assert (found.private, found.shared, found.files, found.total) == (30720, 20480, 10240, 61440)
    assert resident_from_text("").total == 0


def outcome(**changes: object) -> Outcome:
    return dataclasses.replace(Outcome(1, 2, 1, 10.0, 11.0, 0.5, 0, {"reset": 1}), **changes)  # type: ignore[arg-type]


def test_what_processes_did_side_by_side_is_added_up() -> None:
    total = sum_of([outcome(), outcome(began_at_s=9.0, ended_at_s=12.0, failures={"reset": 2, "403": 1})])
    assert (total.registered, total.transactions, total.successes) == (2, 4, 2)
    assert (total.began_at_s, total.ended_at_s, total.cpu_s) == (9.0, 12.0, 1.0)
    assert total.failures == {"reset": 3, "403": 1}


ROUND = Round(
    Rate(1000, 200.0, 100.0, 0.4, 0.1, 0.1, 0.1, 0),
    Held(5000, 0, 1.0, 60.0, 98.0, 20.0, 200.0, 10011, {}),
    Storm(2000, 3.0, 0, 5, {}),
)


class TestBars:
    """When a promise is broken."""

    def kept(self, **changes: object) -> list[bool]:
        return [bar.kept for bar in bars({"x": [dataclasses.replace(ROUND, **changes)]})]  # type: ignore[arg-type]

    def test_all_kept(self) -> None:
        assert self.kept() == [True, True]

    def test_the_larger_of_given_out_and_written_to_counts(self) -> None:
        assert ROUND.held.total_kb == 119.0
        assert dataclasses.replace(ROUND.held, pool_resident_kb=140.0).total_kb == 161.0
        assert self.kept(held=dataclasses.replace(ROUND.held, pool_resident_kb=140.0)) == [False, True]

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"storm": Storm(2000, 3.0, 1, 0, {})}, id="lost in the storm"),
            pytest.param({"held": dataclasses.replace(ROUND.held, missing=1)}, id="never held"),
            pytest.param({"rate": dataclasses.replace(ROUND.rate, failed=1)}, id="failed REGISTER"),
        ],
    )
    def test_one_lost_page_breaks_it(self, changes: dict[str, object]) -> None:
        assert self.kept(**changes) == [True, False]

    @pytest.mark.parametrize(
        ("name", "rate", "storm", "kept"),
        [
            pytest.param("digest, role defaults", 4000.0, Storm(10_000, 30.0, 0, 0, {}), True, id="all kept"),
            pytest.param(
                "digest, role defaults", 3999.0, Storm(10_000, 30.0, 0, 0, {}), False, id="digest, slow"
            ),
            pytest.param("token, role defaults", 3000.0, Storm(2000, 99.0, 0, 0, {}), True, id="small storm"),
            pytest.param(
                "token, role defaults", 3000.0, Storm(10_000, 30.1, 0, 0, {}), False, id="long storm"
            ),
        ],
    )
    def test_rate_and_storm(self, name: str, rate: float, storm: Storm, kept: bool) -> None:
        changed = dataclasses.replace(
            ROUND, rate=dataclasses.replace(ROUND.rate, transactions_per_s=rate), storm=storm
        )
        assert all(bar.kept for bar in bars({name: [changed]})) is kept

    def test_the_table_has_a_column_for_each_case(self) -> None:
        lines = table({"digest": [ROUND], "token": [ROUND, ROUND, ROUND]}).splitlines()
        assert lines[0].split()[-2:] == ["digest", "token"]
        assert lines[1].split()[-2:] == ["200", "200"]


def test_a_variant_is_read() -> None:
    assert variant_from_text("kamailio_tcp_rd_buf_size=16384,x=y").variables == {
        "kamailio_tcp_rd_buf_size": 16384,
        "x": "y",
    }
    with pytest.raises(click.BadParameter):
        variant_from_text("kamailio_tcp_rd_buf_size")


def test_too_few_files_are_said_with_their_number() -> None:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert fronts_for(10) == 1
    with pytest.raises(OSError, match=rf"{allowed} pages need \d+ file descriptors, .* allows {allowed}"):
        fronts_for(allowed)


def test_pages_too_many_for_one_haproxy_get_another_one() -> None:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert fronts_for(allowed * 3 // 10) == 1
    assert fronts_for(allowed // 2) == 2


@pytest.mark.contract
def test_the_issuers_tokens_fit_the_key_it_publishes(redis_url: str) -> None:
    issuer = Issuer("https://bench.example", "sip:ims.test")
    issuer.publish(redis_url)
    token = issuer.token("page7", "ims.test", "https://page.example")
    with redis.Redis.from_url(redis_url) as store:
        (key,) = json.loads(store.get(jwks("https://bench.example")) or "{}")["keys"]
    header = jwt.get_unverified_header(token)
    assert (header["kid"], header["alg"], header["typ"]) == (key["kid"], ALGORITHM, "at+jwt")
    claims = jwt.decode(token, jwt.PyJWK(key).key, [ALGORITHM], audience="sip:ims.test")
    assert claims["impus"] == ["sip:page7@ims.test"]


@pytest.fixture
def nobody() -> PagesOrder:
    """A port that nobody listens on."""
    return PagesOrder("127.0.0.1", free_port(socket.SOCK_STREAM), "https://page.example", "ims.test")


def test_pages_that_cannot_connect_are_counted_and_tried_again(nobody: PagesOrder) -> None:
    with swarm(nobody, 4, 2) as pages:
        opened = pages.run(Task("open", 4))
        assert (opened.registered, opened.failures) == (0, {"ConnectionRefusedError": 4})
        back = pages.run(Task("back", at_once=4, seconds=1.5))
        assert back.registered == 0
        assert back.retries >= 4


def test_a_socket_that_does_not_open_in_time_is_given_up_and_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        order = PagesOrder("127.0.0.1", port, "https://page.example", "ims.test")
        with swarm(order, 2, 1) as pages:
            pages.run(Task("open", 2, seconds=0.2))
            back = pages.run(Task("back", at_once=2, seconds=2.5, patience_s=0.3))
    assert back.registered == 0
    assert set(back.failures) == {"did not open in time"}
    assert back.retries >= 4  # of each page after 0.3 s, and again after a wait of 1 s at most


class ForgetfulGateway(socketserver.ThreadingTCPServer):
    """Registers everybody; of two pages that come back it drops one while the other still waits for its answer."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ForgetfulAnswer)
        self.pages = itertools.count()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class ForgetfulAnswer(socketserver.BaseRequestHandler):
    server: ForgetfulGateway

    def handle(self) -> None:
        number = next(self.server.pages)
        self.request.recv(4096)
        self.request.sendall(UPGRADED)
        self.request.recv(4096)
        time.sleep(0.6 if number == 3 else 0)
        self.request.sendall(server_frame(b"SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\n\r\n"))
        if number == 2:
            time.sleep(0.2)
        else:
            self.request.recv(4096)


def test_a_page_that_is_dropped_while_others_still_register_comes_back_too() -> None:
    with ForgetfulGateway() as gateway:
        port = gateway.server_address[1]
        order = PagesOrder("127.0.0.1", port, "https://page.example", "ims.test", tls=False)
        with swarm(order, 2, 1) as pages:
            assert pages.run(Task("open", 2)).registered == 2
            pages.run(Task("drop", 2))
            back = pages.run(Task("back", at_once=2, seconds=10, patience_s=0.4))
        gateway.shutdown()
    assert (back.registered, back.retries) == (2, 1)
    assert back.failures == {"connection ended": 1}


KINDS = [
    pytest.param(Credentials.DIGEST, id="digest"),
    pytest.param(
        Credentials.TOKEN,
        id="token",
        marks=pytest.mark.skipif(
            Credentials.TOKEN not in available(),
            reason="this gateway has no access tokens",
        ),
    ),
]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Credentials:
    """How the pages of a small round authenticate."""
    return Credentials(request.param)


@pytest.fixture(scope="module")
def small_round(kind: Credentials) -> Round:
    """One round with few pages on a real gateway behind a real HAProxy."""
    plan = Plan(rate_pages=10, rate_s=0.5, held=60, storm=20)
    return measure(Case(Variant(), kind), plan)


@pytest.mark.lab
class TestSmallRound:
    """What `make bench` does, in seconds."""

    def test_a_challenge_doubles_the_transactions(self, small_round: Round, kind: Credentials) -> None:
        rate = small_round.rate
        times = 2 if kind is Credentials.DIGEST else 1
        assert rate.failed == 0
        assert rate.registrations_per_s > 20
        assert rate.transactions_per_s == pytest.approx(times * rate.registrations_per_s, rel=0.01)
        assert min(rate.gateway_cpu_ms, rate.front_cpu_ms, rate.generator_cpu_ms, rate.core_cpu_ms) > 0

    def test_pages_are_held_through_haproxy_and_kamailios_buffers_are_seen(self, small_round: Round) -> None:
        held = small_round.held
        assert (held.pages, held.missing) == (60, 0)
        assert held.most_files > 2 * 60
        buffers_kb = (65536 + int(role_defaults("kamailio")["kamailio_tcp_rd_buf_size"])) / 1000
        assert buffers_kb < held.pool_reserved_kb < buffers_kb + 20

    def test_all_come_back_after_the_storm(self, small_round: Round) -> None:
        assert (small_round.storm.pages, small_round.storm.lost) == (20, 0)
        assert small_round.storm.seconds < 10


def test_frames_made_here_are_frames() -> None:
    assert FrameReader().feed(server_frame(b"x" * 200)) == [Frame(TEXT, b"x" * 200)]


@pytest.mark.parametrize("options", ["--held 100", "--held 200", "--held 1000 --storm 2000"])
def test_fewer_pages_than_take_part_are_refused_before_anything_starts(
    options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(main_module, "measure")
    done = CliRunner().invoke(main_module.main, options.split())
    assert (done.exit_code, "--held counts all pages" in done.output) == (2, True)
