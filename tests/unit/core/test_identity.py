"""Who a page is to the network, and whom it calls (TS 24.229 §5.2.6.3, §5.1.2A.1; RFC 3325 §9.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.core.errors import SipReject
from kemi.core.identity import (
    ANONYMOUS,
    asserted_identity,
    canonical,
    check_from,
    known_as,
    number_for_core,
    target_for_core,
)

ALICE = '"Alice" <sip:alice@ims.example>'
WORK = "<sip:alice.work@ims.example>"
TEL = "<tel:+15550100>"
NUMBER = "<sip:+15550100@ims.example;user=phone>"
REGISTERED = [ALICE, WORK, TEL]
FROM = "sip:alice@ims.example"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:alice@IMS.Example", "sip:alice@ims.example"),
        ("SIP:%61lice@ims.example;transport=ws", "sip:alice@ims.example"),
        ("sip:alice@ims.example?Subject=x", "sip:alice@ims.example"),
        ("tel:+1-555-0100", "tel:+15550100;ext=1"),
        ("tel:7042;phone-context=EXAMPLE.com", "tel:70-42;phone-context=example.com"),
        ("tel:7042;phone-context=+1-555", "tel:7042;ext=1;phone-context=+1555;x=y"),
    ],
)
def test_two_spellings_of_one_identity(one: str, other: str) -> None:
    assert canonical(one) == canonical(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:alice@ims.example", "sip:Alice@ims.example"),
        ("sip:alice@ims.example", "sips:alice@ims.example"),
        ("sip:alice@ims.example", "sip:alice@ims.example:5080"),
        ("sip:alice@ims.example", "sip:alice%00bob@ims.example"),
        ("tel:+15550100", "tel:15550100;phone-context=x"),
    ],
)
def test_two_identities(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    "uri",
    [
        "", "sip:", "sip:ims.example", "sip:alice@", "sip:a@b@c", "sip:alice:secret@ims.example", "tel:", "tel:+x",
        "tel:7042", "tel:7042;phone-context=  ", "tel:7042;phone-context=a b", "tel:7042;phone-context=+x",
        "mailto:a@b", "sip:a%00b@x", "sip:a%0d%0ab@x", "sip:a%40b@x", "sip:a\r\n@x", "sip:a@x y",
        "sip:a@x>;verstat=1", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_what_is_no_identity(uri: str) -> None:
    assert canonical(uri) is None
    assert known_as(uri, [f"<{uri}>", ALICE]) is None


@given(st.text())
def test_no_identity_holds_a_line_end_or_a_quotation(text: str) -> None:
    for uri in (text, f"sip:{text}@x", f"sip:a@{text}", f"tel:+{text}"):
        found = canonical(uri)
        assert found is None or found.isprintable()


@pytest.mark.conformance("S-03")
@pytest.mark.parametrize(
    ("preferred", "from_counts", "expected"),
    [
        pytest.param([], False, [ALICE], id="b: none: the default identity"),
        pytest.param([], True, [WORK], id="b: none, From counts: From's"),
        pytest.param(["<sip:alice.work@IMS.example>"], False, [WORK], id="a: registered"),
        pytest.param(
            ['"President" <tel:+1-555-0100>'], False, [TEL], id="a: registered, without the page's name"
        ),
        pytest.param(
            ["<sip:president@ims.example>"], False, [ALICE], id="c: not registered: the default identity"
        ),
        pytest.param(["nonsense"], False, [ALICE], id="c: unreadable: the default identity"),
        pytest.param([f"{WORK}, {TEL}"], False, [WORK, TEL], id="d: sip and tel in one field"),
        pytest.param([TEL, WORK], False, [TEL, WORK], id="d: sip and tel in two fields"),
        pytest.param([f"{WORK}, <tel:+1999>"], False, [WORK], id="d: one of them registered"),
        pytest.param(["<sip:x@y>, <tel:+1999>"], False, [ALICE], id="d: none of them registered"),
    ],
)
def test_what_is_asserted(preferred: list[str], from_counts: bool, expected: list[str]) -> None:
    found = asserted_identity(preferred, "sip:alice.work@ims.example", REGISTERED, from_counts=from_counts)
    assert found.identities == expected
    assert all(identity in REGISTERED for identity in found.identities)


@pytest.mark.conformance("S-03")
@pytest.mark.parametrize(
    "preferred",
    [
        [f"{ALICE}, {WORK}"],
        [ALICE, WORK],
        ["<tel:+1>, <tel:+2>"],
        [f"{ALICE}, {TEL}, {WORK}"],
        ["nonsense", ALICE],
    ],
)
def test_a_choice_nobody_can_make_is_refused(preferred: list[str]) -> None:
    with pytest.raises(SipReject) as caught:
        asserted_identity(preferred, FROM, REGISTERED)
    assert caught.value.status == 403


@pytest.mark.conformance("S-03")
def test_the_same_number_as_tel_goes_with_a_sip_identity() -> None:
    assert asserted_identity([], FROM, [NUMBER, TEL]).identities == [NUMBER, TEL]
    assert asserted_identity([], FROM, [NUMBER, "<tel:+1999>"]).identities == [NUMBER]


def test_the_log_hears_of_a_preference_that_did_not_count() -> None:
    assert asserted_identity(["<sip:president@x>"], FROM, REGISTERED).remark
    assert not asserted_identity([TEL], FROM, REGISTERED).remark


@pytest.mark.conformance("R-14", "X-09")
@pytest.mark.parametrize(
    "uri", [FROM, "sip:ALICE@ims.example", "sip:president@ims.example", "sip:a@b@c", "tel:+1999"]
)
def test_from_is_an_identity_of_the_registration(uri: str) -> None:
    if uri == FROM:
        check_from(uri, REGISTERED)
        return
    with pytest.raises(SipReject) as caught:
        check_from(uri, REGISTERED)
    assert caught.value.status == 403


def test_from_may_be_withheld() -> None:
    check_from(ANONYMOUS, REGISTERED)
    with pytest.raises(SipReject):
        check_from("sip:boss@anonymous.invalid", REGISTERED)


@pytest.mark.conformance("S-13")
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:bob@ims.example", None),
        ("sip:+15550100@ims.example;user=phone", None),
        ("tel:+15550100", None),
        ("tel:+1-555-0100;ext=5", None),
        ("tel:7042", "tel:7042;phone-context=ims.example"),
        ("tel:7042;ext=5", "tel:7042;phone-context=ims.example;ext=5"),
        ("tel:7042;phone-context=+1555", None),
        ("tel:*21#", "tel:*21#;phone-context=ims.example"),
        ("sip:7042@ims.example;user=phone", "sip:7042;phone-context=ims.example@ims.example;user=phone"),
        (
            "sip:7042@IMS.example;user=phone;x=1",
            "sip:7042;phone-context=ims.example@IMS.example;user=phone;x=1",
        ),
        ("sip:7042;phone-context=x.test@ims.example;user=phone", None),
        # as SIP.js and JsSIP write what they are given
        (
            "sip:7042%3Bphone-context%3Dx.test@ims.example;user=phone",
            "sip:7042;phone-context=x.test@ims.example;user=phone",
        ),
        (
            "sip:*100%23%3bphone-context%3dims.example@ims.example;user=dialstring",
            "sip:*100%23;phone-context=ims.example@ims.example;user=dialstring",
        ),
        ("sips:+49301%3Bisub%3D1%40x@ims.example", "sips:+49301;isub=1%40x@ims.example"),
        (
            "sip:7042%3Bext%3D5@ims.example;user=phone",
            "sip:7042;ext=5@ims.example;user=phone",
        ),
        ("sip:%2A21%3Bx%3D1@ims.example", None),
        ("sip:bob%3Bx%3D1@ims.example", None),
        ("sip:7042@ims.example;x=%3Bphone-context%3D1", None),
        (
            "sip:*21*030123%23@ims.example;user=phone",
            "sip:*21*030123%23;phone-context=ims.example@ims.example;user=phone",
        ),
        ("sip:7042@ims.example", None),
        ("sip:7042@elsewhere.test;user=phone", None),
        ("urn:service:sos", None),
        ("tel:+49301;npdi;rn=+491715;isub=1", "tel:+49301;isub=1"),
        ("tel:+49301;RN=+491715;rn-context=+49;cic=+1288", "tel:+49301"),
        ("sip:+49301;npdi;rn=+49900@ims.example;user=phone", "sip:+49301@ims.example;user=phone"),
        ("sip:+49301%3Bnpdi%3Brn=+49900@ims.example;user=phone", "sip:+49301@ims.example;user=phone"),
        ("sip:+49301@ims.example;user=phone;%72n=+49900", "sip:+49301@ims.example;user=phone"),
        ("sip:+49301;tgrp=a;trunk-context=b.example@ims.example", "sip:+49301@ims.example"),
        ("sip:+49301;npdi;rn%3D%2B49900@ims.example;user=phone", "sip:+49301@ims.example;user=phone"),
        ("sip:+49301%3Bnpdi%3Brn%3d%2B49900@ims.example;user=phone", "sip:+49301@ims.example;user=phone"),
        ("tel:+49301;rn%3D+49900;isub=1", "tel:+49301;isub=1"),
        ("tel:+49301;c%69c%3D+1288", "tel:+49301"),
        ("sip:+49301;tgrp%3Da;trunk-context%3Db@ims.example", "sip:+49301@ims.example"),
        ("tel:030;rn=+49900", "tel:030;phone-context=ims.example"),
        ("sip:arn;x=1@ims.example", None),
        ("sip:rn@ims.example", None),
    ],
)
def test_a_local_number_says_whose(uri: str, expected: str | None) -> None:
    assert target_for_core(uri, "ims.example") == (expected or uri)


def test_the_number_of_an_address_is_readable_to_the_core() -> None:
    fields = "?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc"
    written = f'"1%3Bx" <sip:7042%3Bphone-context%3Dx.test@ims.example;user=phone{fields}>;y=1%3B2'
    wanted = f'"1%3Bx" <sip:7042;phone-context=x.test@ims.example;user=phone{fields}>;y=1%3B2'
    assert number_for_core(written) == wanted
    assert number_for_core(wanted) == wanted
