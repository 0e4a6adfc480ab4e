"""Keys of SRTP in session descriptions (SDES, RFC 4568): those that the relay may be given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kemi.core.sdp.model import MediaDescription

_LENGTHS: Final[Mapping[str, int]] = MappingProxyType(
    {
        f"{cipher}_HMAC_SHA1_{tag_bits}": length
        for cipher, length in (
            ("AES_CM_128", 40),
            ("AES_192_CM", 51),
            ("AES_256_CM", 62),
            ("F8_128", 40),
            ("NULL", 40),
        )
        for tag_bits in (80, 32)
    }
)
"""Suites that rtpengine reads -> how long a key with its salt is in base64 without padding (RFC 3711, RFC 6188).  Not
those of RFC 7714 (AEAD_AES_...): with these 10.5 decrypts SRTCP before it looks at its length or sender, and dies of 12
octets from anybody (rtpengine/legs.py offers none)."""
_TAG: Final = re.compile(r"[0-9]{1,9}")
_KEY: Final = re.compile(
    r"inline:(?P<key>[A-Z0-9+/]+)(?P<padding>=*)"
    r"(?:\|(?:2\^(?:[1-9]|[1-3][0-9]|4[0-8])|[1-9][0-9]{0,13}))?"
    r"(?:\|[0-9]+:[0-9]+(?:;inline:.*)?)?",
    re.ASCII | re.IGNORECASE,
)
"""A key with its lifetime (2^48 at most, RFC 3711 §9.2) and MKI; of several the relay reads the first one."""


def usable_keys(media: MediaDescription) -> list[str]:
    """Return the values of a line's a=crypto that the relay reads and can be trusted with, one blank between words.

    A line without one that it reads it answers without any key.
    """
    said = (value.split() for value in media.attributes("crypto"))
    return [" ".join(words) for words in said if _is_usable(*words[:3])]


def _is_usable(tag: str = "", suite: str = "", key: str = "") -> bool:
    length, found = _LENGTHS.get(suite.upper(), 0), _KEY.fullmatch(key)
    return (
        found is not None
        and len(found["key"]) == length
        and len(found["padding"]) <= -length % 4
        and _TAG.fullmatch(tag) is not None
    )
