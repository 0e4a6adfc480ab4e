"""Password hashes: argon2id (RFC 9106), the same work whether an account exists or not, and not too many at once."""

import threading
import unicodedata
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from werkzeug.exceptions import ServiceUnavailable

from webapp_api.cores import anywhere

MIN_LENGTH: Final = 8
MAX_LENGTH: Final = 256
# The smaller of the settings that OWASP calls equal: what an unknown client may make us spend is bounded.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Each takes 19 MiB and some 20 ms of one core; more at once would only be slower.
_AT_ONCE: Final = 4
_PATIENCE_S: Final = 3.0
_running = threading.BoundedSemaphore(_AT_ONCE)


def password_hash(password: str) -> str:
    """Hash a password; a new salt each time."""
    with anywhere():
        return _HASHER.hash(_normal(password))


def password_fits(stored_hash: str | None, password: str) -> bool:
    """Whether a password belongs to a hash. Without a hash (no such account): never, but after the same time.

    Raises:
        ServiceUnavailable: too many are being checked at once.
    """
    if not _running.acquire(timeout=_PATIENCE_S):
        raise ServiceUnavailable("Too many logins at once; try again.", retry_after=5)
    try:
        known = stored_hash or hash_of_nobody()
        with anywhere():
            return _HASHER.verify(known, _normal(password)) and stored_hash is not None
    except (VerificationError, InvalidHashError):
        return False
    finally:
        _running.release()


@cache
def hash_of_nobody() -> str:
    """The hash that passwords of unknown accounts are checked against; made before the first login."""
    return password_hash("nobody has this password")


def _normal(password: str) -> str:
    # What looks the same is the same, however a keyboard composed it (RFC 8265 §4.2.2).
    return unicodedata.normalize("NFC", password)
