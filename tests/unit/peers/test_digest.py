"""Digest answers of the scripted peers."""

from __future__ import annotations

import pytest

from tests.peers.digest import (
    Challenge,
    Credentials,
    NoUsableChallengeError,
    authorization,
    challenge_from_text,
    challenge_to_text,
    is_authorized,
    page_challenge,
    params_from_text,
)
from tests.peers.sip import Headers, SipRequest, SipResponse

RFC_2617 = Challenge(
    "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"
)
MUFASA = Credentials("Mufasa", "Circle Of Life")


def test_the_example_of_rfc_2617_section_3_5_comes_out() -> None:
    value = authorization(RFC_2617, MUFASA, "GET", "/dir/index.html", cnonce="0a4f113b")
    assert params_from_text(value)["response"] == "6629fae49393a05397450978507c4ef1"


def test_a_challenge_reads_back_as_written() -> None:
    assert challenge_from_text(challenge_to_text(RFC_2617)) == RFC_2617


@pytest.mark.parametrize(
    ("credentials", "accepted"),
    [
        pytest.param(MUFASA, True, id="right password"),
        pytest.param(Credentials("Mufasa", "wrong"), False, id="wrong password"),
        pytest.param(Credentials("Scar", "Circle Of Life"), False, id="other user"),
    ],
)
@pytest.mark.parametrize("qop", [pytest.param("auth", id="qop"), pytest.param(None, id="RFC 2069")])
def test_the_server_side_agrees_with_the_client_side(
    credentials: Credentials, accepted: bool, qop: str | None
) -> None:
    challenge = Challenge("r", "n", qop=qop)
    value = authorization(challenge, credentials, "REGISTER", "sip:ims.example")
    request = SipRequest("REGISTER", "sip:ims.example", headers=Headers([("Authorization", value)]))
    assert is_authorized(request, challenge, MUFASA) is accepted


def test_a_page_answers_the_last_of_several_challenges() -> None:
    first = challenge_to_text(Challenge("r", "one", "SHA-256"))
    last = challenge_to_text(Challenge("r", "two"))
    response = SipResponse(401, headers=Headers([("WWW-Authenticate", first), ("WWW-Authenticate", last)]))
    assert page_challenge(response).nonce == "two"


@pytest.mark.parametrize(
    "last",
    [
        pytest.param('Bearer realm="r"', id="Bearer"),
        pytest.param(challenge_to_text(Challenge("r", "n", "SHA-256")), id="SHA-256"),
    ],
)
def test_a_page_gives_up_on_a_last_challenge_it_does_not_know(last: str) -> None:
    with pytest.raises(NoUsableChallengeError):
        page_challenge(SipResponse(401, headers=Headers([("WWW-Authenticate", last)])))


def test_a_password_is_not_shown() -> None:
    assert "Circle" not in repr(MUFASA)
