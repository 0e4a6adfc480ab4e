"""Digest as a client, against the examples of the RFCs."""

from __future__ import annotations

import re

import pytest

from kemi.core.errors import RemoteProtocolError
from kemi.core.trunk.digest import Challenge, Credentials, authorization, challenge_from_values

MUFASA = Credentials("Mufasa", "Circle of Life")
REALM = 'realm="http-auth@example.org", qop="auth, auth-int"'
NONCE = 'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    challenge = challenge_from_values([f"Digest {REALM}, algorithm={algorithm}, {NONCE}"])
    value = authorization(challenge, MUFASA, "GET", "/dir/index.html", cnonce=CNONCE)
    assert f'response="{response}"' in value
    assert "nc=00000001" in value
    assert 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"' in value


def test_the_example_of_rfc_2069_without_qop() -> None:
    challenge = Challenge(
        "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "MD5", None, False, False
    )
    value = authorization(
        challenge, Credentials("Mufasa", "CircleOfLife"), "GET", "/dir/index.html", cnonce="x"
    )
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in value
    assert "nc=" not in value


def test_the_strongest_challenge_is_answered() -> None:
    values = [
        f'Digest realm="r", nonce="{name}", algorithm={name}' for name in ("MD5", "SHA-256", "SHA-512-256")
    ]
    assert challenge_from_values(values).nonce == "SHA-512-256"
    assert challenge_from_values(values[:2]).nonce == "SHA-256"
    assert challenge_from_values(['Digest realm="r", nonce="n"']).algorithm == "MD5"


def test_what_is_quoted_stays_quoted() -> None:
    challenge = challenge_from_values([r'Digest realm="a \"b\" \\c", nonce="n", stale=TRUE'])
    assert (challenge.realm, challenge.stale) == (r'a "b" \c', True)
    assert r'realm="a \"b\" \\c"' in authorization(challenge, MUFASA, "INVITE", "sip:a@b", cnonce="c")


@pytest.mark.parametrize(
    "value",
    [
        "Basic realm=x",
        'Digest realm="r"',
        'Digest realm="r", nonce="n", algorithm=MD5-sess',
        'Digest realm="r", nonce="n", qop="auth-int"',
        'Digest realm="r" nonce="n"',
        'Digest realm="r, nonce="n"',
        "",
    ],
)
def test_what_cannot_be_answered_is_refused(value: str) -> None:
    with pytest.raises(RemoteProtocolError):
        challenge_from_values([value])


def test_a_password_is_not_shown() -> None:
    assert not re.search("Circle", repr(MUFASA))
