"""A page's credentials never say to the core what only trusted nodes may say (TS 24.229 §7.2A)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kemi.core.errors import RemoteProtocolError
from kemi.core.registration.authorization import (
    Credentials,
    challenge_for_page,
    challenge_without_body,
    clean_digest,
    credentials_from_headers,
    digest_protection,
    empty_digest,
    impi_from_impu,
)

TRUSTED = ("integrity-protected", "ck", "ik")


def claims(value: str) -> set[str]:
    """Return the trusted parameters that some careless parser of a core might find in this header field.

    Four readers in one: by the book; commas split whatever the quotes say; any separator splits; and the plain
    search for the name that some S-CSCFs do.
    """
    found: set[str] = set()
    body = value.partition(" ")[2]
    for part in re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+', body):
        if "=" in part:
            found.add(part.partition("=")[0].strip().lower())
    for separators in (r",", r"[,;\s]", r"""[,;\s"']"""):
        for part in re.split(separators, value):
            if "=" in part:
                found.add(part.partition("=")[0].strip().lower())
    for match in re.finditer(r"""[\s,;"']([\w-]+)\s*=""", value):
        found.add(match.group(1).lower())
    if "integrity-protected" in value.lower():
        found.add("integrity-protected")
    return found & set(TRUSTED)


def clean(value: str) -> str:
    """Return what goes to the core of one Authorization header field, "" for nothing."""
    return "".join(credentials_from_headers([value]).digests)


GOOD = (
    'Digest username="alice@ims.example", realm="ims.example", nonce="bWZ+/w==", uri="sip:ims.example",'
    ' response="0123456789abcdef0123456789abcdef", algorithm=MD5, qop=auth, nc=00000001, cnonce="a\\"b"'
)


def test_honest_credentials_pass_unchanged() -> None:
    assert clean(GOOD) == GOOD


@pytest.mark.conformance("R-03")
@pytest.mark.parametrize(
    "claim",
    [
        pytest.param('integrity-protected="auth-done"', id="quoted"),
        pytest.param("integrity-protected=yes", id="unquoted"),
        pytest.param('Integrity-Protected="ip-assoc-yes"', id="mixed case"),
        pytest.param('integrity-protected = "yes"', id="spaces around the equals sign"),
        pytest.param('integrity-protected\t=\t"yes"', id="tabs around the equals sign"),
        pytest.param('integrity-protected="yes", INTEGRITY-PROTECTED="yes"', id="repeated"),
        pytest.param('ck="00", ik="11"', id="keys"),
        pytest.param('CK = "00"', id="key in capitals"),
    ],
)
@pytest.mark.parametrize("scheme", ["Digest", "digest", "DIGEST"])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_claim_is_taken_out_and_the_rest_stays(claim: str, scheme: str, place: str) -> None:
    rest = GOOD.removeprefix("Digest ")
    value = f"{scheme} {claim}, {rest}" if place == "first" else f"{scheme} {rest}, {claim}"
    assert clean(value) == GOOD


@pytest.mark.conformance("R-03")
@pytest.mark.parametrize(
    "value",
    [
        pytest.param('Digest username="a, integrity-protected="yes"', id="open quote"),
        pytest.param('Digest username="a', id="open quote at the end"),
        pytest.param('Digest realm=x integrity-protected="yes"', id="no comma before the claim"),
        pytest.param("Digest realm='x, integrity-protected=\"yes\"'", id="single quotes"),
        pytest.param('Digest opaque="a, integrity-protected=yes"', id="inside a quoted value, after a comma"),
        pytest.param('Digest opaque="\\", integrity-protected=\\"yes"', id="after an escaped quote"),
        pytest.param('Digest x-integrity-protected="yes"', id="end of another name"),
        pytest.param('Digest a="b" ; ck=00', id="semicolon"),
        pytest.param('Digest opaque="a, ik=00"', id="one key inside a quoted value"),
        pytest.param('Digest opaque="a, \u0130k=00"', id="a letter that is the same without regard to case"),
        pytest.param("Digest foo=integrity-protected=yes", id="inside an unquoted value"),
        pytest.param("Digest integrity-protected", id="no value"),
        pytest.param("Digest =", id="no name"),
        pytest.param("Digest a=b,,c=d", id="empty parameter"),
        pytest.param('Bearer x, integrity-protected="yes"', id="another scheme"),
        pytest.param("Bearer ck=00", id="another scheme with a key"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(value: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        clean(value)
    assert caught.value.status == 400
    assert "yes" not in caught.value.detail  # the message goes back to the page and into the log


@pytest.mark.parametrize("separator", [" ", "\t", "  ", "\r\n ", "\n\t"])
def test_whatever_separates_scheme_and_parameters_it_is_a_digest(separator: str) -> None:
    assert clean(f'Digest{separator}ck="00", realm="r"') == 'Digest realm="r"'


def test_spaces_inside_quotes_are_the_users_own() -> None:
    assert clean('Digest username="a  b"') == 'Digest username="a  b"'


def test_no_line_end_gets_into_our_own_header_line() -> None:
    with pytest.raises(RemoteProtocolError):
        clean('Digest username="a\r\nVia: x"')


@pytest.mark.parametrize(
    "value", ["Basic YTpi", 'integrity-protected="yes"', "AKA x, integrity-protected=yes", ""]
)
def test_another_scheme_goes_nowhere(value: str) -> None:
    assert credentials_from_headers([value]) == Credentials()


@pytest.mark.parametrize(
    "value",
    [
        "Bearer a.b-c_d~e+/=",
        "bearer  a.b-c_d~e+/=",
        'BEARER access_token="a.b-c_d~e+/="',
        "Bearer\r\n a.b-c_d~e+/=",
    ],
)
@pytest.mark.conformance("R-09")
def test_both_spellings_of_a_token(value: str) -> None:
    assert credentials_from_headers([value]).token == "a.b-c_d~e+/="


@pytest.mark.parametrize(
    "values",
    [
        ["Bearer a b"],
        ["Bearer"],
        ["Bearer a", "Bearer b"],
        ["Bearer a, Bearer b"],
        ['Bearer "a'],
        ["Bearer a\x00"],
    ],
)
def test_anything_but_one_token_is_refused(values: list[str]) -> None:
    with pytest.raises(RemoteProtocolError):
        credentials_from_headers(values)


def test_a_token_is_in_no_representation() -> None:
    assert "secret" not in repr(credentials_from_headers(["Bearer secret", 'Digest response="secret"']))


@pytest.mark.conformance("R-04")
@pytest.mark.parametrize(
    ("digest", "access", "bound", "expected"),
    [
        pytest.param('Digest response="0a"', "tls", False, "tls-pending", id="first answer"),
        pytest.param('Digest response="0a"', "tls", True, "tls-yes", id="bound"),
        pytest.param('Digest response="0a"', "ip-assoc", False, "ip-assoc-pending", id="TLS does not count"),
        pytest.param('Digest response="0a"', "ip-assoc", True, "ip-assoc-yes", id="address bound"),
        pytest.param('Digest response="0a"', "", True, "", id="the site says nothing"),
        pytest.param('Digest response=""', "tls", True, "", id="empty answer"),
        pytest.param('Digest username="a"', "tls", True, "", id="no answer"),
        pytest.param('Digest response="0a", algorithm=AKAv1-MD5', "tls", True, "", id="AKA"),
        pytest.param('Digest response="0a", algorithm=SHA-256', "tls", False, "tls-pending", id="SHA-256"),
    ],
)
def test_what_we_vouch_for_beside_a_digest(digest: str, access: str, bound: bool, expected: str) -> None:
    assert digest_protection(digest, access, bound=bound) == expected


@pytest.mark.parametrize(
    ("asked", "passed"),
    [
        ('qop="auth,auth-int"', 'qop="auth"'),
        ('qop="auth-int, auth"', 'qop="auth"'),
        ('QOP = "AUTH-INT,Auth"', 'QOP = "Auth"'),
        ('qop="auth-int"', None),
        ('qop="auth"', None),
        ('qop=""', None),
        ("qop=auth", None),
        ('opaque="auth,auth-int"', None),
    ],
)
def test_a_challenge_asks_for_a_hash_of_the_body_only_where_it_must(asked: str, passed: str | None) -> None:
    challenge = 'Digest realm="r", {}, nonce="n"'
    assert challenge_without_body(challenge.format(asked)) == challenge.format(passed or asked)


@pytest.mark.conformance("R-06")
@pytest.mark.parametrize(
    ("challenge", "passed"),
    [
        ('Digest nonce="n", ck="00", ik="11", algorithm=AKAv1-MD5', 'Digest nonce="n", algorithm=AKAv1-MD5'),
        ('Digest realm="r",CK = "00",ik=11', 'Digest realm="r"'),
        ('Digest ck="00", realm="r"', 'Digest realm="r"'),
        ('Digest nonce="xck=", algorithm=MD5, qop="auth"', 'Digest nonce="xck=", algorithm=MD5, qop="auth"'),
        ("Digest realm='broken, ck=\"00\"", "Digest realm='broken"),
    ],
)  # fmt: skip
def test_the_keys_of_a_challenge_do_not_reach_the_page(challenge: str, passed: str) -> None:
    assert challenge_for_page(challenge) == passed


@pytest.mark.conformance("R-02")
@pytest.mark.parametrize(
    ("public", "private"),
    [
        ("sip:alice@ims.example", "alice@ims.example"),
        ("sip:alice@IMS.example;transport=ws?x=y", "alice@ims.example"),
        ("sip:%61lice@ims.example", "alice@ims.example"),
    ],
)
def test_the_private_identity_follows_from_the_public_one(public: str, private: str) -> None:
    assert impi_from_impu(public) == private


@pytest.mark.parametrize(
    "public", ["tel:+15550100", "sip:ims.example", "sip:a%22b@x", "sip:a%00b@x", "sip:a%0d%0ab@x"]
)
def test_no_private_identity_follows_from_others(public: str) -> None:
    with pytest.raises(RemoteProtocolError):
        impi_from_impu(public)


def test_a_nonce_that_ends_like_a_key_passes() -> None:
    assert clean('Digest nonce="abik=="') == 'Digest nonce="abik=="'


PIECES = st.sampled_from(
    [
        "Digest", "digest", "Bearer", " ", "\t", "\r\n ", ",", ";", "=", '"', "\\", "'", "\\\"", "x", "é", "\x00",
        "integrity-protected", "Integrity-Protected", "ck", "CK", "ik", "yes", '"yes"', 'realm="r"', "nc=1", "a=",
    ]
)  # fmt: skip


@pytest.mark.conformance("R-03")
@settings(max_examples=200)
@given(pieces=st.lists(PIECES, max_size=14), digest=st.booleans())
def test_no_input_yields_a_claim_that_even_a_careless_parser_would_find(
    pieces: list[str], digest: bool
) -> None:
    value = ("Digest " if digest else "") + "".join(pieces)
    try:
        cleaned = clean(value)
    except RemoteProtocolError:
        return
    assert claims(cleaned) == set()
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    "value",
    [
        'Digest integrity-protected="yes"',
        'Digest opaque="x, ck=1"',
        "Digest a=b;ik =2",
        'Digest opaque="x" integrity-protected = yes',
    ],
)
def test_the_careless_parser_of_this_test_does_find_claims(value: str) -> None:
    assert claims(value)


@pytest.mark.conformance("R-02")
def test_a_page_that_sent_no_credentials_gets_empty_ones_that_name_its_user() -> None:
    value = empty_digest("alice@ims.example", "ims.example")
    assert 'username="alice@ims.example"' in value
    assert 'response=""' in value
    assert clean_digest(value) == value
