"""Password hashes."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher
from werkzeug.exceptions import ServiceUnavailable

from webapp_api import passwords
from webapp_api.passwords import needs_rehash, password_fits, password_hash


def test_a_password_fits_its_hash_and_no_other() -> None:
    stored = password_hash("correct horse")
    assert stored.startswith("$argon2id$")
    assert password_fits(stored, "correct horse")
    assert not password_fits(stored, "correct horse ")
    assert password_hash("correct horse") != stored, "salted"


def test_nobody_has_no_password() -> None:
    assert not password_fits(None, "nobody has this password")
    assert not password_fits(None, "")


def test_the_same_word_typed_on_another_keyboard_fits() -> None:
    assert password_fits(password_hash("caf\u00e9 noir"), "cafe\u0301 noir")


@pytest.mark.parametrize("stored", ["", "plain text", "$argon2id$v=19$broken"])
def test_a_broken_hash_fits_nothing(stored: str) -> None:
    assert not password_fits(stored, "plain text")


def test_a_hash_of_weaker_times_is_to_be_made_anew() -> None:
    assert needs_rehash(PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("x"))
    assert not needs_rehash(password_hash("correct horse"))


@pytest.mark.conformance("X-18")
def test_a_flood_does_not_take_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many hashes at once; the others wait, and then are told to come back."""
    monkeypatch.setattr(passwords, "_PATIENCE_S", 0.05)
    taken = 0
    try:
        while passwords._running.acquire(blocking=False):
            taken += 1
        with pytest.raises(ServiceUnavailable):
            password_fits(None, "x")
    finally:
        for _ in range(taken):
            passwords._running.release()
    assert 1 <= taken <= 8
    assert not password_fits(None, "x")
