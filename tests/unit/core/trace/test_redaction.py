"""A secret that is planted anywhere it may stand does not survive, and nothing else is lost."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.core.flow_token import token_from_flow
from kemi.core.trace.redaction import MASK, address_of, redact_sdp, redact_sip, redact_values
from kemi.core.trunk.names import trunk_user

TOKEN_TEXT = string.ascii_letters + string.digits + "-._~+/"
SECRETS = st.text(TOKEN_TEXT, min_size=12, max_size=60).map(lambda text: f"{text}~7")
"""Never what a message says by itself: constants of the code, such as names of header fields, are tried, too."""
HEX = st.text(string.hexdigits.lower(), min_size=16, max_size=32)
SDP = (
    "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
    "a=ice-ufrag:8mon\r\na=ice-pwd:{pwd}\r\na=fingerprint:sha-256 07:62:83\r\na=setup:actpass\r\n"
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^31|1:1 UNENCRYPTED_SRTCP\r\na=key-mgmt:mikey {mikey}\r\n"
)


def message(lines: str = "", body: str = "", method: str = "INVITE") -> str:
    """Return a request; what is beside the planted secret has to come through."""
    return (
        f"{method} sip:+49301@ims.example;user=phone SIP/2.0\r\nVia: SIP/2.0/WSS x.invalid;branch=z9hG4bK1\r\n"
        f"From: <sip:alice@ims.example>;tag=a\r\nTo: <sip:bob@ims.example>\r\nCall-ID: c1\r\nCSeq: 7 {method}\r\n"
        f"{lines}Content-Length: {len(body)}\r\n\r\n{body}"
    )


def cases(text: str) -> st.SearchStrategy[str]:
    """Return spellings of a name that parsers take for the same."""
    return st.sampled_from([text, text.lower(), text.upper(), text.swapcase()])


@given(
    SECRETS,
    cases("Authorization"),
    st.sampled_from(["", "Proxy-"]),
    cases("Bearer"),
    st.sampled_from([" ", "", "\t"]),
)
def test_an_access_token(secret: str, name: str, proxy: str, scheme: str, space: str) -> None:
    kept = redact_sip(message(f"{proxy}{name}{space}: {scheme} {secret}\r\nAllow: ACK\r\n"))
    assert secret not in kept
    assert f"{scheme} {MASK}" in kept
    assert "Allow: ACK\r\nContent-Length" in kept


@given(
    st.fixed_dictionaries(
        dict.fromkeys(["nonce", "response", "cnonce", "opaque", "ck", "ik", "auts", "nextnonce", "rspauth"], SECRETS)
    ),
    st.sampled_from(
        ["Authorization", "Proxy-Authorization", "WWW-Authenticate", "Proxy-Authenticate", "Authentication-Info"]
    ),
    st.sampled_from([", ", ",\r\n ", " ,\t"]),
    st.booleans(),
)  # fmt: skip
def test_credentials_and_challenges(secrets: dict[str, str], name: str, comma: str, quoted: bool) -> None:
    planted = {key: f"Z{value}Z" for key, value in secrets.items()}
    params = [f'{key}="{value}"' if quoted else f"{key}={value}" for key, value in planted.items()]
    scheme = "" if name == "Authentication-Info" else "Digest "
    value = comma.join(['realm="ims.example"', *params, "algorithm=AKAv1-MD5", "nc=00000001"])
    kept = redact_sip(message(f"{name}: {scheme}{value}\r\nAllow: ACK\r\n"))
    assert not [key for key, secret in planted.items() if secret in kept]
    for harmless in (f'{name}: {scheme}realm="ims.example"', "AKAv1-MD5", "00000001", "\r\nAllow: ACK\r\n"):
        assert harmless in kept


@given(SECRETS)
def test_a_header_of_credentials_without_a_known_scheme(secret: str) -> None:
    planted = f"Z{secret}Z"
    for value in (planted, f"Secret {planted}", f"{planted} x=y", f"Basic {planted}", f'Digest "{planted}'):
        assert planted not in redact_sip(message(f"Authorization: {value}\r\n")), value


@given(SECRETS, SECRETS, SECRETS, cases("a=ice-pwd"), st.booleans())
def test_keys_of_media(pwd: str, key: str, mikey: str, name: str, alone: bool) -> None:
    planted = {"pwd": f"Z{pwd}Z", "key": f"Z{key}Z", "mikey": f"Z{mikey}Z"}
    sdp = SDP.format(**planted).replace("a=ice-pwd", name)
    kept = redact_sdp(sdp) if alone else redact_sip(message("Content-Type: application/sdp\r\n", sdp))
    assert not [one for one in planted.values() if one in kept]
    for line in (
        "a=fingerprint:sha-256 07:62:83",
        "a=ice-ufrag:8mon",
        "a=setup:actpass",
        "AES_CM_128_HMAC_SHA1_80",
    ):
        assert line in kept
    assert kept.count("\r\n") == (sdp if alone else message("Content-Type: application/sdp\r\n", sdp)).count(
        "\r\n"
    )


@given(
    st.text("0123456789*#ABCD", min_size=1, max_size=16),
    st.sampled_from(
        [
            ("application/dtmf-relay", "Signal={}\r\nDuration=160\r\n"),
            ("application/dtmf", "{}"),
            ("application/session-info", "<dtmf>{}</dtmf>"),
            ("multipart/mixed;boundary=b", "--b\r\nContent-Type: application/dtmf\r\n\r\n{}\r\n--b--\r\n"),
        ]
    ),
    st.sampled_from(["INFO", "info", "Info"]),
)
def test_digits(digits: str, how: tuple[str, str], method: str) -> None:
    kind, body = how
    text = message(
        f"Content-Type: {kind}\r\nInfo-Package: infoDtmf\r\n", body.format(f"<<{digits}>>"), method
    )
    kept = redact_sip(text)
    assert f"<<{digits}>>" not in kept
    assert f"of {kind.partition(';')[0]}, not kept" in kept
    assert "Info-Package: infoDtmf" in kept
    assert redact_values({"code": digits, "duration": 100}) == {"code": MASK, "duration": 100}


@pytest.mark.parametrize("method", ["NOTIFY", "INVITE", "PUBLISH"])
@pytest.mark.parametrize(
    "kind",
    ["application/kpml-response+xml", "Application/DTMF-Relay;x=y", "application/vnd.nortelnetworks.digits"],
)
def test_digits_in_whatever_message(method: str, kind: str) -> None:
    body = "<kpml-response version='1.0' code='200' text='OK' digits='SECRET7'/>"
    for name in ("Content-Type", "c"):
        assert "SECRET7" not in redact_sip(message(f"{name}: {kind}\r\n", body, method))


USSD = (
    "application/vnd.3gpp.ussd+xml",
    "<ussd-data><language>en</language><ussd-string>*123*SECRET7#</ussd-string></ussd-data>",
)


@pytest.mark.parametrize("start", ["INVITE", "BYE", "INFO", "SIP/2.0 200 OK"])
def test_ussd_in_whatever_message(start: str) -> None:
    """What is dialled, and what the network answers (TS 24.390)."""
    kind, body = USSD
    method = start if start.isupper() else "INVITE"
    text = message(f"Content-Type: {kind}\r\n", body, method)
    if start != method:
        text = f"{start}{text[text.index(chr(13)) :]}"
    assert redact_sip(text) == text.replace(body, f"[{len(body)} characters of {kind}, not kept]\r\n")


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        (
            "sip:*123*SECRET7%23;phone-context=ims.example@ims.example;user=dialstring",
            "sip:*123****;phone-context=ims.example@ims.example;user=dialstring",
        ),
        ("sip:%2a123%2aSECRET7%23%3Bx=y@ims.example", "sip:%2a123****@ims.example"),
        ("sip:%23123%2ASECRET7%23@ims.example", "sip:%23123****@ims.example"),
        ("sip:*123%2ASECRET7%23@ims.example", "sip:*123****@ims.example"),
        ("SIP:**03*SECRET7*SECRET7*SECRET7#@ims.example;user=phone", "SIP:**03****@ims.example;user=phone"),
        ("sips:*%2303*SECRET7@ims.example", "sips:*%2303****@ims.example"),
        ("tel:*123*SECRET7%23;phone-context=ims.example", "tel:*123****;phone-context=ims.example"),
        ("Tel:%2A123%2ASECRET7;phone-context=ims.example", "Tel:%2A123****;phone-context=ims.example"),
    ],
)
def test_what_follows_a_service_code(uri: str, kept: str) -> None:
    """The code itself and where it is dialled stay."""
    text = f"INVITE {uri} SIP/2.0\r\nTo: <{uri}>;tag=x\r\nAllow: ACK\r\n\r\n"
    assert redact_sip(text) == text.replace(uri, kept)


PLACE = "<presence><gml:pos>48.2082 16.3738</gml:pos></presence>"
PERSONAL = [
    "application/pidf+xml",
    "application/pidf-diff+xml",
    "application/dtmf-relay",
    USSD[0],
    "text/plain",
    "Message/CPIM",
]


@pytest.mark.parametrize("method", ["INVITE", "NOTIFY", "PUBLISH", "UPDATE"])
@pytest.mark.parametrize("kind", ["application/pidf+xml", "Application/PIDF-Diff+xml;charset=utf-8"])
@pytest.mark.parametrize("name", ["Content-Type", "c", "Content-Type: x/y\r\nContent-Type"])
def test_where_a_caller_is_in_whatever_message(method: str, kind: str, name: str) -> None:
    kept = redact_sip(message(f"{name}: {kind}\r\n", PLACE, method))
    assert "48.2" not in kept
    assert f"[{len(PLACE)} characters of " in kept


def parts(*bodies: tuple[str, str], mark: str = "b--1") -> str:
    """Return a body of several parts."""
    told = [
        f"--{mark}\r\n{f'Content-Type: {kind}' if kind else 'X: y'}\r\n\r\n{body}\r\n"
        for kind, body in bodies
    ]
    return "".join(told) + f"--{mark}--\r\n"


@pytest.mark.parametrize("kind", [*PERSONAL, "text/html;charset=utf-8", ""])
@pytest.mark.parametrize("boundary", ["b--1", '"b--1"', '"b--1";x=y'])
@pytest.mark.parametrize("nested", [False, True])
def test_parts_that_are_personal(kind: str, boundary: str, nested: bool) -> None:
    """The description beside them stays, and so does what the gateway has nothing to do with."""
    body = parts(
        ("application/sdp", "v=0\r\na=ice-pwd:SECRET1\r\na=mid:0"),
        (kind, "SECRET7\r\n--\r\nSECRET7\r\n\r\n-- b\r\nSECRET7"),
        ("application/resource-lists+xml", "<list/>"),
    )
    if nested:
        body = parts(("multipart/related;boundary=b--1", body), mark="outer")
    head = f"Content-Type: multipart/mixed;boundary={'outer' if nested else boundary}\r\n"
    for line_end in ("\r\n", "\n"):
        kept = redact_sip(message(head, body).replace("\r\n", line_end))
        assert "SECRET" not in kept
        for left in ("v=0", "a=mid:0", "<list/>", "--b--1--", "characters of "):
            assert left in kept


@pytest.mark.parametrize("head", ["multipart/mixed", "multipart/mixed;boundary=other"])
@pytest.mark.parametrize(
    "body", [parts(("text/plain", "SECRET7")), "--b--1\r\nContent-Type: text/plain\r\nSECRET7"]
)
def test_parts_that_cannot_be_told_apart(head: str, body: str) -> None:
    assert "SECRET7" not in redact_sip(message(f"Content-Type: {head}\r\n", body))
    assert "SECRET7" not in redact_sip(message("Content-Type: multipart/mixed;boundary=b--1\r\n", body))


def test_parts_within_parts_without_end() -> None:
    body = "SECRET7"
    for depth in range(40):
        body = parts(
            (f"multipart/mixed;boundary=m{depth - 1}" if depth else "text/plain", body), mark=f"m{depth}"
        )
    assert "SECRET7" not in redact_sip(message("Content-Type: multipart/mixed;boundary=m39\r\n", body))


@pytest.mark.parametrize("empty", ["\r\n\r\n", "\n\n", "\n\r\n", "\r\n\n"])
@pytest.mark.parametrize("body", ["Signal=SECRET7\r\n", "Signal=SECRET7\r\n\r\nSECRET7", "x\n\nSECRET7"])
def test_digits_behind_any_end_of_the_head(empty: str, body: str) -> None:
    head = message("Content-Type: application/dtmf-relay\r\n", "", "INFO").removesuffix("\r\n\r\n")
    for text in (head, head.replace("\r\n", "\n")):
        assert "SECRET7" not in redact_sip(text + empty + body)


@given(SECRETS)
def test_what_people_write_to_each_other(text: str) -> None:
    assert f"Z{text}Z" not in redact_sip(message("Content-Type: text/plain\r\n", f"Z{text}Z", "MESSAGE"))


@given(SECRETS, st.integers(1, 10**6), HEX)
def test_names_that_let_in_whoever_knows_them(secret: str, connection: int, nonce: str) -> None:
    token = token_from_flow(secret, str(connection), nonce[:16])
    user = trunk_user(secret, "acme")
    lines = f"Route: <sip:{token}@gw.example;lr>,<sip:orig@scscf.example;lr>\r\nContact: <sip:{user}@gw.example>\r\n"
    kept = redact_sip(message(lines))
    assert token not in kept
    assert user not in kept
    for left in (
        f"Route: <sip:{MASK}@gw.example;lr>,<sip:orig@scscf.example;lr>",
        f"<sip:acme.{MASK}@gw.example>",
    ):
        assert left in kept


@pytest.mark.parametrize(
    "line",
    [
        "Contact: <sip:alice:SECRETPASS@host.example>",
        "Refer-To: <sip:bob@ims.example?Authorization=Bearer%20SECRETPASS>",
        "Refer-To: <sip:bob@ims.example?Proxy-Authorization=SECRETPASS&Subject=x>",
        "Call-Info: <https://web.example/x?access_token=SECRETPASS&y=1>",
        "To: <tel:+49301;postd=SECRETPASS>",
        "P-Access-Network-Info: IEEE-802.11;i-wlan-node-id=SECRETPASS",
        "P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=SECRETPASS\r\n ;network-provided",
        "Cellular-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=SECRETPASS;cell-info-age=5",
        "Geolocation: <geo:48.2,SECRETPASS;u=40>",
        "Geolocation: <cid:a@b>, <https://held.example/SECRETPASS>",
        "X-Any: bearer SECRETPASS",
    ],
)  # fmt: skip
def test_secrets_in_other_places(line: str) -> None:
    kept = redact_sip(message(f"{line}\r\nAllow: ACK\r\n"))
    assert "SECRETPASS" not in kept
    assert line.partition(":")[0] in kept
    assert "\r\nAllow: ACK\r\n" in kept


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sip:+49301;postd=p4711@ims.example;user=phone", "sip:+49301@ims.example;user=phone"),
        ("sip:+49301@ims.example;postd=p47&11;user=phone", "sip:+49301@ims.example;user=phone"),
        ("SIP:+49301@ims.example;POSTD=ww4711", "SIP:+49301@ims.example"),
        ("tel:+49301;phone-context=+49;postd=1p2;isub=3", "tel:+49301;phone-context=+49;isub=3"),
        ("sips:alice:4711@ims.example:5061;transport=tls", "sips:alice@ims.example:5061;transport=tls"),
        ("sip:conf@ims.example;token=abc;pin%3d1", "sip:conf@ims.example"),
        ("sip:[2001:db8::1]:5060;lr", "sip:[2001:db8::1]:5060;lr"),
        ("sip:+49301;npdi;rn=+49302@ims.example;pinned=1", "sip:+49301;npdi;rn=+49302@ims.example;pinned=1"),
        ("sip:*33*4711%23@ims.example;user=phone", "sip:*33****@ims.example;user=phone"),
        ("tel:*33****", "tel:*33****"),
        ("urn:service:sos", "urn:service:sos"),
        ("", ""),
    ],
)
def test_an_address_is_what_can_be_called_back(uri: str, address: str) -> None:
    assert address_of(uri) == address


def test_credentials_in_a_body_that_is_a_message() -> None:
    inner = 'SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm="r", nonce="SECRETPASS"\r\n'
    kept = redact_sip(message("Content-Type: message/sipfrag\r\n", inner, "NOTIFY"))
    assert "SECRETPASS" not in kept
    assert 'SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm="r"' in kept


HARMLESS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n=:&?;@"), max_size=60)


@given(st.lists(HARMLESS, max_size=6), st.binary(max_size=40))
def test_everything_else_stays(values: list[str], body: bytes) -> None:
    lines = "".join(
        f"X-{number}: {value}\r\n" for number, value in enumerate(values) if "bearer" not in value.lower()
    )
    text = message(lines, body.decode("latin-1").replace("=", "-").replace("k", "-"))
    assert redact_sip(text) == text


@pytest.mark.parametrize(
    "text",
    [
        message("Content-Type: application/media_control+xml\r\n", "<picture_fast_update/>", "INFO"),
        message("Geolocation: <cid:target@ims.example>\r\nGeolocation-Routing: yes\r\n"),
        message(
            "Content-Type: multipart/mixed;boundary=b\r\n",
            "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\nContent-Type: a/isup\r\n\r\n\x01\r\n--b--",
        ),
        message("To: <sip:*100%23;phone-context=ims.example@ims.example;user=dialstring>\r\nContact: *\r\n"),
        message("To: <tel:%2331%23+4930123>\r\nAccept: */*\r\n", "v=0\r\na=rtcp-fb:* nack\r\n"),
        message("Contact: <sip:[2001:db8::1]:5060;transport=udp>\r\nRoute: <sip:h.example:5060;lr>,<sip:o@s;lr>\r\n"),
        message("Contact: <sip:550e8400-e29b-41d4-a716-446655440000@h.invalid;transport=ws>\r\n"),
        message('P-Charging-Vector: icid-value="1";orig-ioi=home\r\nAllow: INFO, MESSAGE\r\n'),
        "no message at all",
        "",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_and_is_none(text: str) -> None:
    assert redact_sip(text) == text


def test_characters_that_grow_in_lower_case_uncover_nothing_of_a_key() -> None:
    kept = redact_sdp("a=crypto:1 " + "\u0130" * 8 + " inline:0123456789\r\n")
    assert kept == "a=crypto:1 " + "\u0130" * 8 + " inline:***\r\n"
