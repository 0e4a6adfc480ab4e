"""Identities: what is let in."""

from __future__ import annotations

import pytest

from webapp_api.identities import Identity, IdentityError, identity_from_claims


@pytest.mark.parametrize(
    ("impi", "impus"),
    [
        pytest.param("alice@ims.example.com", ["sip:alice@ims.example.com"], id="plain"),
        pytest.param(
            "001010000000001@ims.mnc001.mcc001.3gppnetwork.org", ["tel:+15550100"], id="from an ISIM"
        ),
        pytest.param("a@b", ["sip:+15550100@b", "sip:600@b", "sip:a.b-c_d~e%20@b"], id="several"),
        pytest.param("a@b", "sip:a@b", id="one as text"),
    ],
)
def test_a_proper_identity_is_taken(impi: str, impus: object) -> None:
    identity = identity_from_claims(impi, impus)
    assert identity.impi == impi
    assert list(identity.impus) == ([impus] if isinstance(impus, str) else impus)


@pytest.mark.conformance("X-07")
@pytest.mark.parametrize(
    ("impi", "impus"),
    [
        pytest.param(None, ["sip:a@b"], id="no IMPI"),
        pytest.param(["a@b"], ["sip:a@b"], id="a list for an IMPI"),
        pytest.param("alice", ["sip:a@b"], id="no domain"),
        pytest.param("a@b\r\nEvil: 1", ["sip:a@b"], id="line break in the IMPI"),
        pytest.param("a@b\n", ["sip:a@b"], id="line break at the end"),
        pytest.param('a",realm="x@b', ["sip:a@b"], id="quotes in the IMPI"),
        pytest.param("a@b", None, id="no IMPU"),
        pytest.param("a@b", [], id="empty list"),
        pytest.param("a@b", {"sip:a@b": 1}, id="an object"),
        pytest.param("a@b", ["sip:a@b", 7], id="a number among them"),
        pytest.param("a@b", ["sip:a@b"] * 2, id="one twice"),
        pytest.param("a@b", [f"sip:{i}@b" for i in range(17)], id="too many"),
        pytest.param("a@b", ["sip:a@b\n"], id="line break in the IMPU"),
        pytest.param("a@b", ["sip:a@b>,<sip:boss@b"], id="two in one"),
        pytest.param("a@b", ["sip:a@b;maddr=evil"], id="parameter"),
        pytest.param("a@b", ["sip:a:pw@b"], id="password"),
        pytest.param("a@b", ["sips:a@b"], id="sips"),
        pytest.param("a@b", ["sip:a@b:5060"], id="port"),
        pytest.param("a@b", ["tel:+1-555"], id="visual separators"),
        pytest.param("a@b", ["sip:a@b", "tel:600"], id="a local number, of whom nobody says"),
        pytest.param("a@b", ["sip:a%40b@b"], id="two at signs"),
        pytest.param("a@b", ["sip:\u0430@b"], id="a letter that looks like a"),
        pytest.param("a" * 65 + "@b", ["sip:a@b"], id="long"),
    ],
)
def test_anything_else_is_refused(impi: object, impus: object) -> None:
    with pytest.raises(IdentityError):
        identity_from_claims(impi, impus)


def test_a_fault_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(IdentityError) as caught:
        Identity("evil\r\n", ("sip:a@b",))
    assert "evil" not in str(caught.value)
