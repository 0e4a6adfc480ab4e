"""Encrypts what must not be readable in Redis: signing keys, and the tokens of a provider.

AES-256-GCM with a key derived from the operator's secret (HKDF-SHA256, RFC 5869). The context is authenticated, so that
a sealed text cannot be moved to another place.
"""

import base64
import binascii
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES: Final = 12
_INFO: Final = b"webrtc-ims-gateway web API, version 1"


class SealError(ValueError):
    """A sealed text cannot be opened: another secret, another context, or not a sealed text."""


class Seal:
    """Seals and opens texts with one secret."""

    def __init__(self, secret: str) -> None:
        """`secret`: 32 characters and more, from a random generator."""
        self._cipher = AESGCM(
            HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret.encode())
        )

    def seal(self, text: str, context: str) -> str:
        """Encrypt a text; the same text gives another result each time."""
        nonce = os.urandom(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), context.encode())).decode()

    def open(self, sealed: str, context: str) -> str:
        """Decrypt; raises SealError."""
        try:
            data = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode()).decode()
        except (binascii.Error, ValueError, InvalidTag) as error:
            raise SealError(f"cannot open what was sealed for {context}") from error
