"""Tokens, challenges and the trust boundary on the strict fake of Kamailio."""

from __future__ import annotations

import json
import time

import pytest

from kemi.adapters.gateway import Gateway
from kemi.core.flow_token import flow_from_token
from kemi.settings import settings_from_text
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.peers.access_token import Issuer, key_set
from tests.unit.adapters.messages import from_core, from_page, handshake, invite, register, registered
from tests.unit.adapters.played import MESSAGE
from tests.unit.adapters.relay import ScriptedRelay
from tests.unit.site import SETTINGS_TEXT

ISSUER = Issuer(audience="sip:ims.example")
TOKENS = f"""
[registration]
schemes = ["digest", "bearer"]

[[tokens.issuers]]
issuer = "{ISSUER.url}"
audience = "sip:ims.example"
authz_server = "https://issuer.test/authorize"
"""
CHALLENGE = 'Bearer realm="ims.example", scope="sip", authz_server="https://issuer.test/authorize"'


def connected(kamailio: FakeKamailio, text: str) -> Gateway:
    """Return a gateway of this site with one connected page."""
    gateway = Gateway(settings_from_text(text))
    for name in ("websocket.handle_handshake", "tcpops.tcp_enable_closed_event", "tmx.t_suspend"):
        kamailio.script(name, 1)
    kamailio.tables["jwks"] = {ISSUER.url: key_set(ISSUER.key)}
    kamailio.receive(handshake())
    gateway.ksr_xhttp_event(MESSAGE, "xhttp:request")
    return gateway


@pytest.fixture
def site(kamailio: FakeKamailio, gateway: Gateway) -> Gateway:
    """A gateway that takes passwords and tokens (the fixture ``gateway`` gives it its relay)."""
    assert gateway
    return connected(kamailio, SETTINGS_TEXT + TOKENS)


def token(**changes: object) -> str:
    return ISSUER.token("alice", "ims.example", **changes)


def test_a_good_token_registers_as_trusted_node(kamailio: FakeKamailio, site: Gateway) -> None:
    message = kamailio.receive(register(f"Authorization: Bearer {token(origin='https://page.example')}"))
    site.ksr_request_route(MESSAGE)
    assert kamailio.relayed == [message]
    (value,) = message.sent_values("Authorization")
    assert value.endswith('integrity-protected="auth-done"')
    assert '"scheme":"bearer"' in next(iter(kamailio.tables["registering"].values()))


def test_the_path_leads_back_to_the_very_connection_and_does_not_tell_the_secret(
    kamailio: FakeKamailio, site: Gateway
) -> None:
    message = kamailio.receive(register())
    site.ksr_request_route(MESSAGE)
    (path,) = message.sent_values("Path")
    settings = settings_from_text(SETTINGS_TEXT)
    found = flow_from_token(settings.flow_secret, path.removeprefix("<sip:").partition("@")[0])
    assert (found.connection_id, found.host) == ("7", f"{settings.sip.address}:{settings.sip.port}")
    assert settings.flow_secret not in message.sent()


def test_a_bad_token_is_challenged_and_the_reason_is_in_the_log_only(
    kamailio: FakeKamailio, site: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    bad = token(origin="https://evil.example")
    kamailio.receive(register(f"Authorization: Bearer {bad}"))
    with caplog.at_level("INFO"):
        site.ksr_request_route(MESSAGE)
    (reply,) = kamailio.replies
    assert reply.status == 401
    assert f'WWW-Authenticate: {CHALLENGE}, error="invalid_token"' in reply.headers
    assert "another web origin" in caplog.text
    assert "another web origin" not in "".join(reply.headers)
    assert bad not in caplog.text
    assert kamailio.relayed == []


def test_the_cores_challenge_gets_ours_before_it(kamailio: FakeKamailio, site: Gateway) -> None:
    kamailio.receive(register())
    site.ksr_request_route(MESSAGE)
    message = kamailio.receive(registered(401))
    message.headers.append(("WWW-Authenticate", 'Digest realm="r", nonce="n", ck="00", ik="11"'))
    site.ksr_reply_route(MESSAGE)
    assert message.sent_values("WWW-Authenticate") == [CHALLENGE, 'Digest realm="r", nonce="n"']


@pytest.mark.parametrize("status", [403, 404])
def test_a_user_the_core_does_not_know_is_challenged(
    kamailio: FakeKamailio, site: Gateway, status: int
) -> None:
    kamailio.script("tm.t_branch_timeout", -1)
    kamailio.receive(register(f"Authorization: Bearer {token()}"), transaction=(1, 2))
    kamailio.failure_status = status
    site.ksr_failure_register(MESSAGE)
    assert [reply.status for reply in kamailio.replies] == [401]


@pytest.mark.parametrize(
    ("wanted_s", "answers"),
    [
        pytest.param(600, [401], id="the token lasts for less than the page asked"),
        pytest.param(60, [], id="the page itself asked for less"),
    ],
)
def test_a_time_too_brief_for_the_core_asks_for_another_token_where_that_helps(
    kamailio: FakeKamailio, site: Gateway, wanted_s: int, answers: list[int]
) -> None:
    kamailio.script("tm.t_branch_timeout", -1)
    brief = register(f"Authorization: Bearer {token(exp=int(time.time()) + 300)}")
    brief.headers = [
        (name, value.replace("expires=600", f"expires={wanted_s}")) for name, value in brief.headers
    ]
    kamailio.receive(brief)
    site.ksr_request_route(MESSAGE)
    assert kamailio.relayed == [brief]
    kamailio.receive(brief, transaction=(1, 2))
    kamailio.failure_status = 423
    site.ksr_failure_register(MESSAGE)
    assert [reply.status for reply in kamailio.replies] == answers
    assert all("lasts" in "".join(reply.headers) for reply in kamailio.replies)


def register_without(contact: str, bearer: str) -> FakeMessage:
    """Return the page's REGISTER with ``Contact: *``, or with none."""
    found = register(f"Authorization: Bearer {bearer}")
    found.headers = [(name, value) for name, value in found.headers if name != "Contact"]
    found.headers += [("Contact", contact)] if contact else []
    return found


@pytest.mark.parametrize("contact", ["*", ""])
def test_who_has_registered_with_a_token_may_ask_about_all_its_contacts(
    kamailio: FakeKamailio, site: Gateway, contact: str
) -> None:
    bearer = token()
    for message in (register(f"Authorization: Bearer {bearer}"), register_without(contact, bearer)):
        kamailio.receive(message)
        site.ksr_request_route(MESSAGE)
        kamailio.receive(registered())
        site.ksr_reply_route(MESSAGE)
    assert len(kamailio.relayed) == 2
    assert kamailio.replies == []
    assert bool(kamailio.tables["registration"]) is not bool(contact)


def test_a_refresh_without_a_token_after_one_that_is_over_removes_no_registration(
    kamailio: FakeKamailio, site: Gateway
) -> None:
    """While tokens cannot be renewed a registration outlives its own: there is no time to ask the core for."""
    kamailio.receive(register(f"Authorization: Bearer {token()}"))
    site.ksr_request_route(MESSAGE)
    kamailio.receive(registered())
    site.ksr_reply_route(MESSAGE)
    ((key, text),) = kamailio.tables["registration"].items()
    kept = json.loads(str(text))
    kept["grant"]["expires_at"] = time.time() - 1
    kamailio.tables["registration"][key] = json.dumps(kept)
    kamailio.receive(register())
    site.ksr_request_route(MESSAGE)
    assert [reply.status for reply in kamailio.replies] == [401]
    kamailio.receive(register(expires=0))
    site.ksr_request_route(MESSAGE)
    assert len(kamailio.relayed) == 2, "it may sign off"


@pytest.mark.parametrize("status", [200, 408])
def test_the_answer_to_our_own_deregistration_leaves_the_pages_own_register_alone(
    kamailio: FakeKamailio, site: Gateway, status: int
) -> None:
    """Both have one Call-ID and CSeq: who registers again meanwhile has to find its binding."""
    kamailio.receive(register(f"Authorization: Bearer {token(origin='https://page.example')}"))
    site.ksr_request_route(MESSAGE)
    (key,) = kamailio.tables["registering"]
    call_id, cseq = key.split(" ")
    site._registrar.answered_on_behalf(call_id, int(cseq), status)
    assert list(kamailio.tables["registering"]) == [key]


def test_a_query_takes_no_token_and_a_removal_of_all_is_refused_before_the_registration(
    kamailio: FakeKamailio, site: Gateway
) -> None:
    bearer = token()
    asked = (
        register_without("*", bearer),
        register_without("", bearer),
        register(f"Authorization: Bearer {bearer}"),
    )
    for message in asked:
        kamailio.receive(message)
        site.ksr_request_route(MESSAGE)
    assert kamailio.relayed == list(asked[1:])
    assert [reply.status for reply in kamailio.replies] == [403]


@pytest.mark.parametrize("status", [403, 404])
def test_strangers_do_not_learn_which_users_the_core_knows(
    kamailio: FakeKamailio, site: Gateway, status: int
) -> None:
    kamailio.script("tm.t_branch_timeout", -1)
    kamailio.receive(register(), transaction=(1, 2))
    kamailio.failure_status = status
    site.ksr_failure_register(MESSAGE)
    (reply,) = kamailio.replies
    ours, like_the_cores = (line for line in reply.headers if line.startswith("WWW-Authenticate"))
    assert (reply.status, ours) == (401, f"WWW-Authenticate: {CHALLENGE}")
    assert like_the_cores.startswith("WWW-Authenticate: Digest realm=")


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        pytest.param("", 500, id="a password: 500"),
        pytest.param(f"Authorization: Bearer {token()}", 500, id="500"),
    ],
)
def test_other_refusals_of_the_core_stay(
    kamailio: FakeKamailio, site: Gateway, extra: str, status: int
) -> None:
    kamailio.script("tm.t_branch_timeout", -1)
    kamailio.receive(register(extra), transaction=(1, 2))
    kamailio.failure_status = status
    site.ksr_failure_register(MESSAGE)
    assert kamailio.replies == []


def test_where_only_tokens_count_a_page_without_one_is_told_so(
    kamailio: FakeKamailio, gateway: Gateway
) -> None:
    assert gateway
    site = connected(kamailio, SETTINGS_TEXT + TOKENS.replace('"digest", ', ""))
    kamailio.receive(register('Authorization: Digest username="alice", response="0a"'))
    site.ksr_request_route(MESSAGE)
    (reply,) = kamailio.replies
    assert f"WWW-Authenticate: {CHALLENGE}" in reply.headers


def test_where_tokens_do_not_count_one_is_not_passed_on(kamailio: FakeKamailio, gateway: Gateway) -> None:
    assert gateway
    site = connected(kamailio, SETTINGS_TEXT)
    message = kamailio.receive(register(f"Authorization: Bearer {token()}"))
    site.ksr_request_route(MESSAGE)
    (value,) = message.sent_values("Authorization")
    assert value.startswith("Digest ")
    assert "integrity-protected" not in value


def test_a_bad_token_in_an_invite_is_challenged(
    kamailio: FakeKamailio, site: Gateway, relay: ScriptedRelay
) -> None:
    assert relay
    kamailio.receive(register(f"Authorization: Bearer {token()}"))
    site.ksr_request_route(MESSAGE)
    kamailio.receive(registered())
    site.ksr_reply_route(MESSAGE)
    message = invite()
    message.headers.append(("Authorization", f"Bearer {ISSUER.unsigned('alice')}"))
    kamailio.receive(message)
    site.ksr_request_route(MESSAGE)
    assert [reply.status for reply in kamailio.replies] == [407]
    assert kamailio.tables.get("call", {}) == {}


@pytest.mark.parametrize("sends_the_same", [True, False])
def test_the_token_of_the_register_is_not_verified_again_in_an_invite(
    kamailio: FakeKamailio, site: Gateway, relay: ScriptedRelay, sends_the_same: bool
) -> None:
    assert relay
    first, second = token(), token()
    kamailio.receive(register(f"Authorization: Bearer {first}"))
    site.ksr_request_route(MESSAGE)
    kamailio.receive(registered())
    site.ksr_reply_route(MESSAGE)
    kamailio.tables["jwks"].clear()  # nothing can be verified any more
    message = invite()
    message.headers.append(("Authorization", f"Bearer {first if sends_the_same else second}"))
    kamailio.receive(message)
    site.ksr_request_route(MESSAGE)
    assert [reply.status for reply in kamailio.replies] == [183 if sends_the_same else 407]


def invites_with(kamailio: FakeKamailio, site: Gateway, given: str) -> list[int]:
    """Let the page call with a token; return what it is told."""
    message = invite()
    message.headers.append(("Authorization", f"Bearer {given}"))
    kamailio.receive(message)
    site.ksr_request_route(MESSAGE)
    return [reply.status for reply in kamailio.replies]


def registers_with(kamailio: FakeKamailio, site: Gateway, given: str) -> None:
    kamailio.receive(register(f"Authorization: Bearer {given}"))
    site.ksr_request_route(MESSAGE)
    kamailio.receive(registered())
    site.ksr_reply_route(MESSAGE)


def test_the_token_of_somebody_else_is_none_in_an_invite(
    kamailio: FakeKamailio, site: Gateway, relay: ScriptedRelay
) -> None:
    assert relay
    registers_with(kamailio, site, token())
    assert invites_with(kamailio, site, ISSUER.token("bob", "ims.example")) == [407]
    assert kamailio.tables.get("call", {}) == {}


class TestAWebSessionThatHasEnded:
    """Its tokens are over before their time."""

    @staticmethod
    def end(kamailio: FakeKamailio) -> None:
        kamailio.tables.setdefault("revoked", {})["session-alice"] = str(time.time() + 1)

    def test_registers_nobody(self, kamailio: FakeKamailio, site: Gateway) -> None:
        self.end(kamailio)
        kamailio.receive(register(f"Authorization: Bearer {token()}"))
        site.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [401]
        assert not kamailio.relayed

    def test_refreshes_nothing_without_a_token(self, kamailio: FakeKamailio, site: Gateway) -> None:
        for ends, answers in ((False, []), (True, [401])):
            registers_with(kamailio, site, token())
            if ends:
                self.end(kamailio)
            signs_off = register(expires=0)
            kamailio.receive(signs_off)
            kamailio.relayed.clear()
            site.ksr_request_route(MESSAGE)
            assert [reply.status for reply in kamailio.replies] == answers
            assert kamailio.relayed == ([] if ends else [signs_off])

    @pytest.mark.parametrize("sends_the_same", [True, False])
    def test_calls_nobody(
        self, kamailio: FakeKamailio, site: Gateway, relay: ScriptedRelay, sends_the_same: bool
    ) -> None:
        assert relay
        first = token()
        registers_with(kamailio, site, first)
        self.end(kamailio)
        assert invites_with(kamailio, site, first if sends_the_same else token()) == [407]
        assert kamailio.tables.get("call", {}) == {}


class TestTheCoresSide:
    """X-16: who may speak there."""

    NETWORKS = SETTINGS_TEXT.replace("ws_port = 8080", 'ws_port = 8080\ncore_networks = ["203.0.113.0/24"]')

    @pytest.mark.parametrize("method", ["INVITE", "BYE", "OPTIONS"])
    def test_strangers_get_no_answer(self, kamailio: FakeKamailio, gateway: Gateway, method: str) -> None:
        assert gateway
        site = Gateway(settings_from_text(self.NETWORKS))
        kamailio.receive(from_core(f"{method} sip:x SIP/2.0\nCall-ID: 1\n"))
        site.ksr_request_route(MESSAGE)
        assert kamailio.replies == []

    @pytest.mark.parametrize(("method", "answers"), [("INVITE", []), ("OPTIONS", [200])])
    def test_whoever_is_trusted_may_ask_how_we_are(
        self, kamailio: FakeKamailio, gateway: Gateway, method: str, answers: list[int]
    ) -> None:
        assert gateway
        site = Gateway(settings_from_text(self.NETWORKS + '\n[bans]\ntrusted = ["198.51.100.0/24"]\n'))
        kamailio.receive(from_core(f"{method} sip:x SIP/2.0\nCall-ID: 1\n"))
        site.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == answers

    def test_a_trunk_registers_nobody(self, kamailio: FakeKamailio, gateway: Gateway) -> None:
        assert gateway
        trunk = '\n[[trunks]]\nname = "carrier"\nuris = ["sip:198.51.100.7"]\n'
        site = connected(kamailio, self.NETWORKS + trunk)
        kamailio.receive(register())
        site.ksr_request_route(MESSAGE)
        message = kamailio.receive(registered())
        site.ksr_reply_route(MESSAGE)
        assert kamailio.dropped
        assert kamailio.tables.get("registration", {}) == {}
        message.source = ("203.0.113.1", 5060)
        kamailio.receive(message)
        site.ksr_reply_route(MESSAGE)
        assert kamailio.tables["registration"]

    @pytest.mark.parametrize("branch", ["", ";branch=1"])
    def test_a_stranger_without_a_branch_hears_nothing_and_the_core_why(
        self, kamailio: FakeKamailio, gateway: Gateway, branch: str
    ) -> None:
        assert gateway
        site = Gateway(settings_from_text(self.NETWORKS))
        message = from_core(f"INVITE sip:x SIP/2.0\nVia: SIP/2.0/UDP x{branch}\nCall-ID: 1\n")
        kamailio.receive(message)
        site.ksr_request_route(MESSAGE)
        assert kamailio.replies == []
        message.source = ("203.0.113.1", 5060)
        kamailio.receive(message)
        site.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [400]

    def test_a_strangers_response_is_dropped(self, kamailio: FakeKamailio, gateway: Gateway) -> None:
        assert gateway
        site = Gateway(settings_from_text(self.NETWORKS))
        kamailio.receive(registered())
        site.ksr_reply_route(MESSAGE)
        assert kamailio.dropped

    def test_sip_without_a_websocket_is_refused_on_the_pages_port(
        self, kamailio: FakeKamailio, gateway: Gateway
    ) -> None:
        message = from_core("INVITE sip:x SIP/2.0\nCall-ID: 1\n")
        message.received_port = 8080
        kamailio.receive(message)
        gateway.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [403]

    def test_a_handshake_on_the_cores_port_is_refused(self, kamailio: FakeKamailio, gateway: Gateway) -> None:
        message = handshake()
        message.received_port = 5060
        kamailio.receive(message)
        gateway.ksr_xhttp_event(MESSAGE, "xhttp:request")
        assert kamailio.http_replies[0][0] == 403


class TestBeforeParsing:
    """X-19: what Kamailio cannot parse it would log."""

    def test_a_good_message_passes(self, kamailio: FakeKamailio, gateway: Gateway) -> None:
        kamailio.receive(register("Authorization: Bearer abc"))
        assert gateway.ksr_received(MESSAGE) == 1
        assert not kamailio.dropped

    def test_one_that_does_not_parse_is_dropped_if_it_holds_credentials(
        self, kamailio: FakeKamailio, gateway: Gateway
    ) -> None:
        kamailio.receive(from_page("GARBAGE\nAuthorization: Bearer abc\n"))
        gateway.ksr_received(MESSAGE)
        assert kamailio.dropped
