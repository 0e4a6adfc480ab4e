"""What an access token must say, and what it then allows (RFC 8898; RFC 9068; TS 24.371 §6.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.core.registration import Grant
from kemi.core.registration.records import CLOCKS_APART_S
from kemi.core.registration.token import (
    CLOCK_SKEW_S,
    TokenIssuer,
    TokenRefused,
    VerifiedToken,
    challenge,
    grant_from_token,
)

ISSUER = TokenIssuer("https://issuer.test", "sip:ims.test", "https://issuer.test/authorize")
NOW = 1_800_000_000.0
CLAIMS: dict[str, Any] = {
    "iss": "https://issuer.test",
    "aud": "sip:ims.test",
    "sub": "alice",
    "iat": NOW - 10,
    "nbf": NOW - 10,
    "exp": NOW + 300,
    "jti": "t1",
    "scope": "openid sip",
    "impi": "alice@ims.test",
    "impus": ["sip:alice@ims.test", "tel:+15550100"],
    "sid": "s1",
}


def grant(issuer: TokenIssuer = ISSUER, typ: Any = "at+jwt", **changes: Any) -> Grant:
    """Give a page of https://page.test what a token with these changes to its claims allows."""
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    header = {"alg": "ES256", "kid": "k"} | ({} if typ is None else {"typ": typ})
    return grant_from_token(VerifiedToken(issuer, header, claims), origin="https://page.test", now=NOW)


@pytest.mark.conformance("R-08")
def test_a_good_token() -> None:
    assert grant() == Grant(
        scheme="bearer",
        impi="alice@ims.test",
        impus=["sip:alice@ims.test", "tel:+15550100"],
        expires_at=NOW + 300,
        session="s1",
        token_id="t1",
        issuer=ISSUER.issuer,
        issued_at=CLAIMS["iat"],
    )


@pytest.mark.conformance("R-67", "X-12")
@pytest.mark.parametrize(
    ("issued_at", "session", "ends"),
    [
        (NOW - 300, "s1", True),
        (NOW, "s1", True),
        (NOW + CLOCKS_APART_S, "s1", True),
        (NOW + CLOCKS_APART_S + 1, "s1", False),
        (NOW - 300, "s2", False),
    ],
)
def test_a_logout_ends_what_was_issued_before_and_no_later_login_of_the_same_name(
    issued_at: float, session: str, ends: bool
) -> None:
    found = replace(grant(), issued_at=issued_at, session=session)
    assert found.is_ended_by("s1", NOW) is ends


def test_a_token_was_issued_when_it_came_at_the_latest() -> None:
    """By an issuer whose clock is ahead: else a logout would leave it what it has."""
    assert grant(iat=NOW + 30).issued_at == NOW


def test_a_class_of_users_is_taken_from_the_token() -> None:
    assert grant(user_class="guest").user_class == "guest"
    assert grant().user_class == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["other", "sip:ims.test"]},
        {"typ": "application/AT+JWT"},
        {"sid": None},
        {"nbf": None},
        {"nbf": NOW + CLOCK_SKEW_S},
        {"iat": NOW + CLOCK_SKEW_S, "exp": NOW + 300},
        {"exp": NOW + 590},
        {"origin": "https://page.test"},
        {"impus": "sip:alice@ims.test"},
        {"scope": "sip"},
    ],
)
def test_others_that_are_good(changes: dict[str, Any]) -> None:
    grant(**changes)


@pytest.mark.conformance("X-12", "X-07")
@pytest.mark.parametrize(
    "changes",
    [
        {"typ": None}, {"typ": "JWT"}, {"typ": 1}, {"typ": ""},
        {"iss": "https://other.test"}, {"iss": None},
        {"aud": "sip:elsewhere"}, {"aud": []}, {"aud": None}, {"aud": "sip:ims.test.evil"},
        {"aud": [1, "sip:ims.test"]},
        {"exp": None}, {"exp": NOW}, {"exp": NOW - 1}, {"exp": str(NOW + 300)}, {"exp": True}, {"exp": float("nan")},
        {"exp": float("inf")}, {"exp": 10**20}, {"exp": -1},
        {"iat": None}, {"iat": NOW + CLOCK_SKEW_S + 1}, {"iat": NOW + 301, "exp": NOW + 300}, {"iat": "now"},
        {"nbf": NOW + CLOCK_SKEW_S + 1}, {"nbf": "soon"},
        {"exp": NOW + 600}, {"iat": NOW - 500},
        {"scope": None}, {"scope": "sips"}, {"scope": ["sip"]}, {"scope": ""},
        {"origin": "https://evil.test"}, {"origin": ["https://page.test"]}, {"origin": ""}, {"origin": 0},
        {"impi": None}, {"impi": ""}, {"impi": "alice"}, {"impi": "@x"}, {"impi": "a@"}, {"impi": 'a"@x'},
        {"impi": "a\r\n@x"}, {"impi": "a\\@x"}, {"impi": "a b@x"}, {"impi": "a" * 300 + "@x"}, {"impi": 7},
        {"impus": None}, {"impus": []}, {"impus": ["alice"]}, {"impus": ["sip:a@x\r\nX: y"]}, {"impus": {}},
        {"impus": ["sip:alice@ims.test", 1]}, {"impus": [f"sip:u{n}@x" for n in range(33)]},
        {"impus": ["sip:alice@ims.test", "http://x"]},
        {"jti": None}, {"jti": ""}, {"jti": 1}, {"jti": "x" * 300}, {"sid": 5}, {"sid": "a\n"},
    ],
)  # fmt: skip
def test_others_that_are_not(changes: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused) as caught:
        grant(**changes)
    assert caught.value.status == 401


def test_an_operators_names_for_claims() -> None:
    operator = replace(ISSUER, impi_claim="ims/impi", impus_claim="ims/impus", types=("jwt",), scope="voice")
    found = grant(operator, "JWT", scope="voice", **{"ims/impi": "bob@x", "ims/impus": ["sip:bob@x"]})
    assert (found.impi, found.impus) == ("bob@x", ["sip:bob@x"])


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(st.dictionaries(st.sampled_from(list(CLAIMS)), ANYTHING))
def test_whatever_the_claims_are_a_grant_fits_into_a_header_or_is_refused(changes: dict[str, Any]) -> None:
    try:
        found = grant(ISSUER, "at+jwt", **changes)
    except TokenRefused:
        return
    assert found.impi.isprintable()
    assert '"' not in found.impi
    assert found.expires_at > NOW


@pytest.mark.conformance("R-10")
def test_the_challenge_names_where_tokens_come_from() -> None:
    plain = 'Bearer realm="ims.test", scope="sip", authz_server="https://issuer.test/authorize"'
    assert challenge("ims.test", ISSUER) == plain
    assert challenge("ims.test", ISSUER, "invalid_token") == f'{plain}, error="invalid_token"'
