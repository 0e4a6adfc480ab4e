"""Keys of SRTP in session descriptions (SDES, RFC 4568): those that the relay may be given."""

from __future__ import annotations

from kemi.core.sdp.model import MediaDescription

_GALOIS = "AEAD_AES_"
"""RFC 7714.  With these rtpengine 10.5 decrypts SRTCP before it looks at its length or sender, and dies of 12 octets
from anybody (rtpengine/legs.py offers none)."""


def usable_keys(media: MediaDescription) -> list[str]:
    """Return the values of a line's a=crypto whose suite is one that the relay can be trusted with."""
    return [value for value in media.attributes("crypto") if not _is_galois(value)]


def _is_galois(value: str) -> bool:
    _, _, rest = value.partition(" ")
    return rest.lstrip(" ").upper().startswith(_GALOIS)
