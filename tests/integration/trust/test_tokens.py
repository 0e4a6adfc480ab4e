"""Registering with an access token (RFC 8898; TS 24.371 §6): what counts, what the core and the page hear."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, CAROL, Stage, warning_of
from tests.integration.trust.issuers import (
    AUTHZ_SERVER,
    ISSUER,
    OPERATOR,
    bearer,
    publish,
    register,
    token_for,
)
from tests.lab.subscribers import REALM
from tests.peers.access_token import SigningKey, tampered
from tests.peers.digest import Credentials
from tests.peers.sip import SipRequest, SipResponse
from tests.peers.trace import Entry
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

BEARER_CHALLENGE = f'Bearer realm="{REALM}", scope="sip", authz_server="{AUTHZ_SERVER}"'
INVALID = f'{BEARER_CHALLENGE}, error="invalid_token"'
REFUSAL = "the access token is missing or not valid"
AUTH_DONE = (
    f'Digest username="alice@{REALM}", realm="{REALM}", nonce="", uri="sip:{REALM}", response="", '
    'integrity-protected="auth-done"'
)


def at_core(stage: Stage, method: str = "REGISTER", number: int = -1) -> SipRequest:
    """Return a request the core got."""
    return stage.core.trace.requests(method)[number]


def refused(response: SipResponse) -> None:
    """Check that this is how every bad token is refused."""
    assert (response.status, response.reason_phrase) == (401, "Unauthorized")
    assert response.headers.fields("WWW-Authenticate") == [INVALID]
    assert warning_of(response) == REFUSAL


def at_core_of(stage: Stage, page: ScriptedWic) -> list[Entry]:
    """Return what of a page has reached the core; the gateway may be signing off pages of earlier tests meanwhile."""
    return stage.core.trace.select(
        lambda entry: page.contact_uri in (entry.message.headers.get("Contact") or "")
    )


class TestGoodTokens:
    @pytest.mark.conformance("R-08", "R-01")
    async def test_the_core_hears_of_a_trusted_node_and_nothing_of_the_token(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        token = token_for()
        assert (await register(page, token)).status == 200
        assert at_core(stage).headers.fields("Authorization") == [AUTH_DONE]
        assert not any(token[-40:] in value for _, value in at_core(stage).headers)
        await (await stage.answered(page)).hang_up()

    @pytest.mark.conformance("R-09")
    async def test_the_spelling_of_ts_24_371_counts_too(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        fields = [("Authorization", f'bEaReR access_token="{token_for()}"')]
        assert (await page.register(headers=fields)).status == 200
        assert at_core(stage).headers.fields("Authorization") == [AUTH_DONE]

    @pytest.mark.conformance("R-08")
    async def test_an_operators_own_issuer_with_its_own_names_for_claims(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        assert (await register(page, OPERATOR.token("alice", REALM))).status == 200
        assert at_core(stage).headers.fields("Authorization") == [AUTH_DONE]

    @pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
    @pytest.mark.conformance("X-12")
    async def test_keys_rotate_by_kid(self, stage: Stage, algorithm: str) -> None:
        old, new = ISSUER.key, SigningKey(algorithm, f"next-{algorithm}")
        rotated = replace(ISSUER, key=new)
        page = await stage.page(registered=False)
        refused(await register(page, rotated.token("alice", REALM)))
        publish(stage.lab, ISSUER.url, old, new)
        try:
            assert (await register(page, rotated.token("alice", REALM))).status == 200
            assert (await register(page, token_for())).status == 200
            publish(stage.lab, ISSUER.url, new)
            refused(await register(page, token_for()))
        finally:
            publish(stage.lab, ISSUER.url, old)

    @pytest.mark.conformance("R-45")
    async def test_a_registration_never_outlives_its_token(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        end = int(time.time()) + 60
        assert (await register(page, token_for(exp=end), expires_s=3600)).status == 200
        request = at_core(stage)
        granted = int(request.headers.get("Expires") or "")
        assert 50 <= granted <= 60
        assert f";expires={granted}" in (request.headers.get("Contact") or "")
        stored = [json.loads(text) for text in stage.lab.gateway_rpc.htable("registration").values()]
        (mine,) = [one for one in stored if one["grant"]["expires_at"] == end]
        assert mine["expires_at"] <= end + 1

    @pytest.mark.conformance("R-46")
    async def test_a_new_token_refreshes_on_the_same_connection(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        for _ in range(2):
            assert (await register(page, token_for())).status == 200

    @pytest.mark.conformance("R-12")
    async def test_a_page_signs_off_without_a_token_as_stock_libraries_do(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        await register(page, token_for())
        assert (await page.unregister()).status == 200
        request = at_core(stage)
        assert request.headers.fields("Authorization") == [AUTH_DONE]
        assert request.headers.get("Expires") == "0"
        await stage.logged(request.call_id, "event=deregistered")


class TestRefusedTokens:
    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"exp": -1}, id="expired"),
            pytest.param({"exp": None}, id="no end"),
            pytest.param({"iat": 120}, id="from the future"),
            pytest.param({"nbf": 240}, id="not valid yet"),
            pytest.param({"exp": 4000}, id="lives too long"),
            pytest.param({"aud": "sip:elsewhere.test"}, id="another audience"),
            pytest.param({"aud": None}, id="no audience"),
            pytest.param({"iss": "https://evil.test"}, id="issuer unknown here"),
            pytest.param({"iss": OPERATOR.url}, id="another issuer's name"),
            pytest.param({"jti": None}, id="no jti"),
            pytest.param({"impi": None}, id="no private identity"),
            pytest.param({"impus": []}, id="no public identity"),
            pytest.param({"origin": "https://evil.test"}, id="made for another web origin"),
            pytest.param(
                {"impi": f'alice@{REALM}", integrity-protected="auth-done'}, id="quotation mark in the impi"
            ),
            pytest.param({"impi": "alice@x\r\nP-Asserted-Identity: <sip:bob@x>"}, id="line end in the impi"),
            pytest.param({"impus": [f"sip:alice@{REALM}\r\nX: y"]}, id="line end in an impu"),
        ],
    )
    @pytest.mark.conformance("R-10", "X-12", "X-20", "X-07")
    async def test_claims(self, stage: Stage, changes: dict[str, Any]) -> None:
        page = await stage.page(registered=False)
        now = int(time.time())
        absolute: dict[str, Any] = {
            key: value + now if isinstance(value, int) else value for key, value in changes.items()
        }
        response = await register(page, token_for(**absolute))
        refused(response)
        await stage.logged(response.call_id, "event=token_refused")
        assert not at_core_of(stage, page)

    @pytest.mark.parametrize(
        "token",
        [
            pytest.param(lambda: ISSUER.unsigned("alice", REALM), id="alg none"),
            pytest.param(lambda: ISSUER.unsigned("alice", REALM, "None"), id="alg None"),
            pytest.param(lambda: ISSUER.signed_with_the_public_key("alice", REALM), id="HS256 by the EC key"),
            pytest.param(
                lambda: OPERATOR.signed_with_the_public_key("alice", REALM), id="HS256 by the RSA key"
            ),
            pytest.param(lambda: tampered(token_for("bob"), impi=f"alice@{REALM}"), id="changed claims"),
            pytest.param(lambda: token_for()[:-4] + "AAAA", id="changed signature"),
            pytest.param(
                lambda: replace(ISSUER, key=SigningKey("ES256", "other")).sign(
                    ISSUER.claims("alice", REALM), kid=ISSUER.key.kid
                ),
                id="another key under our kid",
            ),
            pytest.param(
                lambda: replace(ISSUER, key=OPERATOR.key).token("alice", REALM), id="the other issuer's key"
            ),
            pytest.param(lambda: ISSUER.sign(ISSUER.claims("alice", REALM), typ="JWT"), id="an ID token"),
            pytest.param(
                lambda: ISSUER.sign(ISSUER.claims("alice", REALM), jwk=ISSUER.key.jwk()), id="brings its key"
            ),
            pytest.param(
                lambda: ISSUER.sign(ISSUER.claims("alice", REALM), jku="https://evil.test"), id="key by URL"
            ),
            pytest.param(lambda: ISSUER.sign(ISSUER.claims("alice", REALM), kid="../../dev/null"), id="kid"),
            pytest.param(lambda: "abc", id="no JWT"),
            pytest.param(lambda: "e30.e30.", id="empty objects"),
            pytest.param(lambda: token_for(padding="x" * 9000), id="longer than any token"),
        ],
    )
    @pytest.mark.conformance("X-12", "X-20", "R-10")
    async def test_forgeries(self, stage: Stage, token: Any) -> None:
        page = await stage.page(registered=False)
        refused(await register(page, token()))
        assert not at_core_of(stage, page)

    @pytest.mark.conformance("R-10")
    async def test_a_token_without_the_scope(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        response = await register(page, token_for(scope="mail calendar"))
        assert response.status == 401
        assert response.headers.fields("WWW-Authenticate") == [f'{BEARER_CHALLENGE}, error="invalid_scope"']

    @pytest.mark.conformance("X-20")
    @pytest.mark.parametrize("status", [403, 404])
    async def test_a_user_the_core_does_not_know_looks_like_a_bad_token(
        self, stage: Stage, status: int
    ) -> None:
        stage.core.registrar = replace(stage.core.registrar, status=status)
        refused(await register(await stage.page(registered=False), token_for()))

    @pytest.mark.conformance("R-14")
    async def test_an_identity_that_the_token_does_not_name(self, stage: Stage) -> None:
        page = await stage.page(CAROL, registered=False)
        response = await register(page, token_for("alice"))
        assert response.status == 403
        assert not at_core_of(stage, page)

    @pytest.mark.conformance("X-12")
    async def test_a_replayed_token(self, stage: Stage) -> None:
        token = token_for()
        first, thief = (
            await stage.page(registered=False),
            await stage.join(
                ScriptedWic(stage.handshake, WicIdentity(ALICE, instance="urn:uuid:thief")), registered=False
            ),
        )
        assert (await register(first, token)).status == 200
        refused(await register(thief, token))
        assert (await register(first, token)).status == 200

    @pytest.mark.conformance("R-67", "X-12")
    async def test_a_token_of_a_web_session_that_ended(self, stage: Stage) -> None:
        sid = secrets.token_hex(4)
        page = await stage.page(registered=False)
        token = token_for(sid=sid)
        assert (await register(page, token)).status == 200
        stage.lab.gateway_rpc("htable.sets", "revoked", sid, f"{time.time():.3f}")
        refused(await register(page, token))
        refused(await page.register())

    @pytest.mark.conformance("X-12")
    async def test_the_origin_claim_is_that_of_the_handshake(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        assert (await register(page, token_for(origin=stage.handshake.origin))).status == 200

    async def test_two_tokens_in_one_request(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        response = await page.register(headers=[*bearer(token_for()), *bearer(token_for("bob"))])
        assert response.status == 400
        assert not at_core_of(stage, page)


class TestBothSchemes:
    @pytest.mark.conformance("R-11")
    async def test_the_cores_challenge_gets_ours_before_it(self, stage: Stage) -> None:
        secret = Credentials(f"alice@{REALM}", "secret-alice")
        stage.core.registrar = replace(stage.core.registrar, credentials=secret)
        page = await stage.join(
            ScriptedWic(stage.handshake, WicIdentity(ALICE, credentials=secret)), registered=False
        )
        assert (await page.register()).status == 200
        first, _ = page.trace.responses("REGISTER")
        ours, theirs = first.headers.fields("WWW-Authenticate")
        assert ours == BEARER_CHALLENGE
        assert theirs.startswith("Digest ")

    async def test_with_a_token_a_digest_beside_it_is_not_passed(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        digest = ("Authorization", f'Digest username="bob@{REALM}", realm="{REALM}", response="0"')
        assert (await page.register(headers=[digest, *bearer(token_for())])).status == 200
        assert at_core(stage).headers.fields("Authorization") == [AUTH_DONE]


class TestOtherRequests:
    @pytest.mark.conformance("R-12")
    @pytest.mark.parametrize("name", ["Authorization", "Proxy-Authorization"])
    async def test_a_token_goes_no_further(self, stage: Stage, name: str) -> None:
        page = await stage.page(registered=False)
        await register(page, token_for())
        token = token_for()
        carried = [(name, f"Bearer {token}")]
        wic = await page.invite(BOB, AUDIO, headers=carried)
        await wic.wait_answer()
        ims = await stage.core.wait_call()
        await ims.wait_ack()
        info = await wic.ask(wic.request("INFO", headers=carried))
        assert info.status == 200
        await wic.send(wic.request("ACK", cseq=wic.invite.cseq.number, headers=carried))
        assert (await wic.ask(wic.request("BYE", headers=carried))).status == 200
        for entry in stage.core.trace.entries:
            assert token not in str(entry.message)
            assert not entry.message.headers.fields(name) or entry.message.cseq.method == "REGISTER"

    @pytest.mark.conformance("R-10", "R-12")
    @pytest.mark.parametrize(
        "token",
        [
            pytest.param(lambda: token_for("bob"), id="of somebody else"),
            pytest.param(lambda: token_for(exp=int(time.time()) - 5), id="expired"),
            pytest.param(lambda: ISSUER.unsigned("alice", REALM), id="unsigned"),
        ],
    )
    async def test_a_bad_token_in_an_invite(self, stage: Stage, token: Any) -> None:
        page = await stage.page(registered=False)
        await register(page, token_for())
        wic = await page.invite(BOB, AUDIO, headers=bearer(token()))
        response = await wic.wait_status(range(300, 700))
        assert response.status == 407
        assert response.headers.fields("Proxy-Authenticate") == [INVALID]
        assert not stage.core.trace.requests("INVITE")
