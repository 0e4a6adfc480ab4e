"""Which key signs and which are needed: decisions about times. (With Redis: tests/contract/web/test_tokens.py.)"""

from __future__ import annotations

import pytest

from kemi.state.web.signing_keys import SigningKey
from webapp_api.keyring import CLOCK_SKEW_S, needed_keys, rotation_is_due, signing_key
from webapp_api.sealing import Seal, SealError

LIFETIME_S = 600.0


def key(kid: str, created_at: float, signs_from: float | None = None) -> SigningKey:
    """A key pair whose material does not matter."""
    return SigningKey(
        kid=kid,
        algorithm="ES256",
        public_jwk={},
        encrypted_private_key="",
        created_at=created_at,
        signs_from=created_at if signs_from is None else signs_from,
    )


OLD, NEW, NEXT = key("old", 0), key("new", 1000, 1100), key("next", 2000, 2100)


@pytest.mark.conformance("X-12")
class TestDecisions:
    """The life of a key."""

    @pytest.mark.parametrize(
        ("now", "kid"),
        [(1099.0, "old"), (1100.0, "new"), (2099.0, "new"), (2100.0, "next"), (9e9, "next")],
    )
    def test_the_newest_that_may_signs(self, now: float, kid: str) -> None:
        found = signing_key([OLD, NEW, NEXT], now)
        assert found is not None
        assert found.kid == kid

    def test_one_that_must_wait_signs_when_there_is_no_other(self) -> None:
        assert signing_key([NEW], 0) == NEW
        assert signing_key([], 0) is None

    @pytest.mark.parametrize(
        ("now", "kids"),
        [
            pytest.param(1100.0, ["old", "new", "next"], id="just replaced"),
            pytest.param(1100 + LIFETIME_S + CLOCK_SKEW_S - 1, ["old", "new", "next"], id="last second"),
            pytest.param(1100 + LIFETIME_S + CLOCK_SKEW_S, ["new", "next"], id="its last token has run out"),
            pytest.param(9e9, ["next"], id="long after"),
        ],
    )
    def test_a_key_is_needed_until_its_last_token_has_run_out(self, now: float, kids: list[str]) -> None:
        assert [found.kid for found in needed_keys([OLD, NEW, NEXT], now, LIFETIME_S)] == kids

    @pytest.mark.parametrize(
        ("keys", "now", "algorithm", "due"),
        [
            pytest.param([], 0.0, "ES256", True, id="no key"),
            pytest.param([OLD], 86_399.0, "ES256", False, id="young"),
            pytest.param([OLD], 86_400.0, "ES256", True, id="a day old"),
            pytest.param([OLD], 1.0, "EdDSA", True, id="another algorithm"),
        ],
    )
    def test_when_a_new_one_is_made(
        self, keys: list[SigningKey], now: float, algorithm: str, due: bool
    ) -> None:
        assert rotation_is_due(keys, now, algorithm, rotation_days=1) is due


class TestSeal:
    """What is kept in Redis."""

    SEAL = Seal("0123456789abcdef0123456789abcdef")

    def test_it_can_be_opened_with_the_same_secret_and_context(self) -> None:
        sealed = self.SEAL.seal("the key", "key 1")
        assert "the key" not in sealed
        assert self.SEAL.open(sealed, "key 1") == "the key"
        assert self.SEAL.seal("the key", "key 1") != sealed

    @pytest.mark.parametrize(
        ("secret", "context", "change"),
        [
            pytest.param("another secret, another secret, yes", "key 1", "", id="another secret"),
            pytest.param("0123456789abcdef0123456789abcdef", "key 2", "", id="moved to another place"),
            pytest.param("0123456789abcdef0123456789abcdef", "key 1", "AAAA", id="changed"),
        ],
    )
    def test_otherwise_not(self, secret: str, context: str, change: str) -> None:
        sealed = self.SEAL.seal("the key", "key 1")
        with pytest.raises(SealError):
            Seal(secret).open(change + sealed[len(change) :], context)

    @pytest.mark.parametrize("text", ["", "?", "AAAA", "é"])
    def test_something_else_is_not_opened(self, text: str) -> None:
        with pytest.raises(SealError):
            self.SEAL.open(text, "key 1")
