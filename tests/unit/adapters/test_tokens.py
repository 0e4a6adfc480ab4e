"""Signatures of access tokens, and whose a token is (RFC 7515, RFC 8725)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from kemi.adapters.pages.tokens import KeySets, TokenUse, TokenVerifier
from kemi.core.registration.records import Grant
from kemi.core.registration.token import TokenIssuer, TokenRefused
from tests.fakes.table import MemoryTable
from tests.peers.access_token import ALGORITHMS, Issuer, SigningKey, base64url, key_set, tampered

ISSUER = Issuer()
CONFIGURED = TokenIssuer(ISSUER.url, ISSUER.audience, "https://issuer.test/authorize")


def table(*keys: SigningKey) -> MemoryTable:
    """Return a table with this key set of our issuer."""
    found = MemoryTable()
    found.set(ISSUER.url, key_set(*keys))
    return found


def verifier(*keys: SigningKey, configured: TokenIssuer = CONFIGURED) -> TokenVerifier:
    """Return a verifier that knows these keys."""
    return TokenVerifier([configured], KeySets(table(*(keys or (ISSUER.key,)))))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_right_signature(algorithm: str) -> None:
    key = SigningKey(algorithm, algorithm)
    issuer = replace(ISSUER, key=key)
    found = verifier(ISSUER.key, key).verified(issuer.token("alice"))
    assert found.issuer is CONFIGURED
    assert found.claims["impi"] == "alice@ims.test"
    assert found.header["kid"] == algorithm
    assert "alice" not in repr(found)


@pytest.mark.conformance("X-12")
@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda: ISSUER.unsigned("alice"), id="none"),
        pytest.param(lambda: ISSUER.unsigned("alice", alg="nOnE"), id="nOnE"),
        pytest.param(lambda: ISSUER.signed_with_the_public_key("alice"), id="HMAC by the public key"),
        pytest.param(lambda: tampered(ISSUER.token("alice"), impi="bob@ims.test"), id="changed"),
        pytest.param(lambda: replace(ISSUER, key=SigningKey("ES256", "x")).token("alice"), id="kid unknown"),
        pytest.param(lambda: ISSUER.assembled({"alg": "ES256", "kid": None}), id="no kid"),
        pytest.param(lambda: ISSUER.assembled({"alg": "ES256", "kid": 7}), id="kid no text"),
        pytest.param(lambda: ISSUER.assembled({"alg": ["ES256"]}), id="alg no text"),
        pytest.param(lambda: ISSUER.sign(ISSUER.claims("alice", "x"), crit=["exp"]), id="crit"),
        pytest.param(lambda: ISSUER.sign(ISSUER.claims("alice", "x"), x5u="https://x"), id="x5u"),
        pytest.param(lambda: ISSUER.sign(ISSUER.claims("alice", "x"), zip="DEF"), id="zip"),
        pytest.param(lambda: ISSUER.token("alice", iss="https://other.test"), id="issuer unknown"),
        pytest.param(lambda: ISSUER.assembled({"alg": "ES256"}, {"iss": ["x"]}), id="issuer no text"),
        pytest.param(lambda: ISSUER.token("alice", filler="x" * 8200), id="too long"),
        pytest.param(lambda: "", id="empty"),
        pytest.param(lambda: "a.b.c", id="no base64"),
        pytest.param(lambda: f"{base64url(b'[' * 100_000)}.e30.", id="deep header"),
        pytest.param(lambda: f"{base64url(b'{}')}.{base64url(b'[1]')}.", id="claims no object"),
    ],
)
def test_anything_else_is_refused(token: Callable[[], str]) -> None:
    with pytest.raises(TokenRefused):
        verifier().verified(token())


def test_a_payload_as_deep_as_the_parser_goes() -> None:
    deep = b'{"iss":' + b"[" * 3000 + b"]" * 3000 + b"}"
    with pytest.raises(TokenRefused):
        verifier().verified(f"{base64url(b'{}')}.{base64url(deep)}.")


@given(st.text(alphabet='abcdefgh.=-_0123{}[]"\\ é\x00', max_size=60))
def test_no_text_is_a_token(text: str) -> None:
    with pytest.raises(TokenRefused):
        verifier().verified(text)


def test_an_algorithm_that_is_not_allowed_for_the_issuer() -> None:
    only_rsa = replace(CONFIGURED, algorithms=("RS256",))
    with pytest.raises(TokenRefused, match="not allowed"):
        verifier(configured=only_rsa).verified(ISSUER.token("alice"))


def test_an_algorithm_that_does_not_fit_the_key() -> None:
    """An RSA key says RS256: a token that says ES256 with its kid is not even tried."""
    rsa = SigningKey("RS256", ISSUER.key.kid)
    with pytest.raises(TokenRefused, match="does not fit"):
        verifier(rsa).verified(ISSUER.token("alice"))


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("", 0),
        ("nonsense", 0),
        ("[]", 0),
        ('{"keys": 1}', 0),
        ('{"keys": [1]}', 0),
        (json.dumps({"keys": [{"kty": "oct", "kid": "a", "k": base64url(b"x" * 32)}]}), 0),
        (json.dumps({"keys": [{**ISSUER.key.jwk(), "use": "enc"}]}), 0),
        (json.dumps({"keys": [{**ISSUER.key.jwk(), "kid": ""}]}), 0),
        (json.dumps({"keys": [{**ISSUER.key.jwk(), "d": "AAAA"}]}), 0),
        (json.dumps({"keys": [ECAlgorithm.to_jwk(ISSUER.key.private, as_dict=True) | ISSUER.key.jwk()]}), 0),
        (json.dumps({"keys": [{**ISSUER.key.jwk(), "alg": "HS256"}]}), 0),
        (json.dumps({"keys": [{**ISSUER.key.jwk(), "crv": "P-999"}, SigningKey("EdDSA", "b").jwk()]}), 1),
    ],
)
def test_of_a_key_set_only_public_signature_keys_count(text: str, usable: int) -> None:
    keys = MemoryTable()
    keys.set(ISSUER.url, text)
    assert len(KeySets(keys).current(ISSUER.url)) == usable


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_short_rsa_key_is_not_used() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    public = rsa.generate_private_key(65537, 1024).public_key()
    entry: dict[str, Any] = {**jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True), "kid": "short"}
    keys = MemoryTable()
    keys.set(ISSUER.url, json.dumps({"keys": [entry]}))
    assert KeySets(keys).current(ISSUER.url) == {}


def test_keys_are_parsed_once_and_again_when_the_set_changes() -> None:
    other = SigningKey("ES256", "next")
    keys = table(ISSUER.key)
    sets = KeySets(keys)
    first = sets.current(ISSUER.url)
    assert sets.current(ISSUER.url) is first
    keys.set(ISSUER.url, key_set(other))
    assert set(sets.current(ISSUER.url)) == {"next"}


@pytest.mark.conformance("X-12")
def test_a_token_seen_before_counts_only_as_long_as_its_key() -> None:
    keys = table(ISSUER.key)
    checker = TokenVerifier([CONFIGURED], KeySets(keys))
    token = ISSUER.token("alice")
    assert checker.verified(token) is checker.verified(token)
    keys.set(ISSUER.url, key_set(SigningKey("ES256", "next")))
    with pytest.raises(TokenRefused):
        checker.verified(token)
    keys.remove(ISSUER.url)
    with pytest.raises(TokenRefused):
        checker.verified(token)


@pytest.mark.conformance("X-12")
def test_a_token_belongs_to_the_page_that_used_it_first() -> None:
    use = TokenUse(MemoryTable(), MemoryTable())
    use.claim("https://a", "1", "page")
    use.claim("https://a", "1", "page")
    use.claim("https://b", "1", "thief")
    with pytest.raises(TokenRefused):
        use.claim("https://a", "1", "thief")


@pytest.mark.conformance("X-12")
def test_a_page_that_nobody_knows_takes_no_token_and_uses_nobodys() -> None:
    use = TokenUse(MemoryTable(), MemoryTable())
    use.claim("https://a", "1", "")
    use.claim("https://a", "1", "page")
    with pytest.raises(TokenRefused):
        use.claim("https://a", "1", "")


def test_of_two_pages_at_the_same_moment_one_gets_it() -> None:
    used = MemoryTable()
    use = TokenUse(used, MemoryTable())
    used.before("locked", lambda: TokenUse(used, MemoryTable()).claim("https://a", "1", "first"))
    with pytest.raises(TokenRefused):
        use.claim("https://a", "1", "second")


@pytest.mark.conformance("R-67", "X-12")
def test_a_web_session_that_ended() -> None:
    revoked = MemoryTable()
    use = TokenUse(MemoryTable(), revoked)
    nobodys, before, after = (
        Grant("bearer", session=session, issued_at=issued_at)
        for session, issued_at in (("", 90.0), ("s", 90.0), ("s", 110.0))
    )
    for grant in (nobodys, before, after):
        use.check(grant)
    revoked.set("s", "100.000")
    for grant in (nobodys, after):
        use.check(grant)
    with pytest.raises(TokenRefused):
        use.check(before)
