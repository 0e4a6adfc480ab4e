"""The guess put right: what the web client is offered once the far end has answered.

The first answer to the client is written before anyone asked the far end.  Audio is pinned to one codec and the relay
transcodes; video cannot be transcoded, so the client must send what the far end took, and nothing where it took none.
"""

from __future__ import annotations

from collections.abc import Mapping

from kemi.core.sdp.build import media_description, session_description, session_section
from kemi.core.sdp.codecs import TELEPHONE_EVENT
from kemi.core.sdp.model import Codec, MediaDescription, Origin, SessionDescription

_FORMAT_ATTRIBUTES = ("rtpmap", "fmtp", "rtcp-fb")


def corrected_offer(
    current: SessionDescription, taken: Mapping[str, str | None], origin: Origin
) -> SessionDescription | None:
    """Offer the client's lines again as the far end answered, or return None when they are right already.

    Args:
        current: what the gateway described last to this client.
        taken: the far end's codec per kind, lower case; None when it refused the medium.
    """
    lines = [
        _corrected(media, taken[media.kind]) if media.kind in taken else media for media in current.media
    ]
    if all(new is old for new, old in zip(lines, current.media, strict=True)):
        return None
    gone = {line.mid for line in lines if line.rejected}
    groups = [[mid for mid in group if mid not in gone] for group in current.bundle_groups]
    attributes = ["a=ice-lite"] if current.session.flag("ice-lite") else []
    attributes += [f"a=group:BUNDLE {' '.join(group)}" for group in groups if group]
    return session_description(session_section(origin, *attributes), [_offered(line) for line in lines])


def _corrected(media: MediaDescription, codec: str | None) -> MediaDescription:
    if media.rejected:
        return media
    if codec is None:
        mid = () if media.mid is None else (f"a=mid:{media.mid}",)
        body = ["c=IN IP4 0.0.0.0", *mid, "a=inactive"]
        return media_description(media.kind, 0, media.proto, media.formats, body)
    speech = [known for known in media.codecs if known.name != TELEPHONE_EVENT]
    right = [known for known in speech if known.name == codec]
    if media.kind != "video" or not right or speech[0].name == codec:
        return media
    return _with_codecs(media, right)


def _with_codecs(media: MediaDescription, codecs: list[Codec]) -> MediaDescription:
    formats = [codec.payload_type for codec in codecs]
    body = [line for line in media.body if not _is_of_other_format(line, formats)]
    return media_description(media.kind, media.port, media.proto, formats, body)


def _is_of_other_format(line: str, formats: list[str]) -> bool:
    name, _, value = line[2:].partition(":")
    return (
        line.startswith("a=") and name in _FORMAT_ATTRIBUTES and value.split(" ", 1)[0] not in (*formats, "*")
    )


def _offered(media: MediaDescription) -> MediaDescription:
    """The DTLS role is open again in an offer (RFC 8842 §5.3)."""
    body = ["a=setup:actpass" if line.startswith("a=setup:") else line for line in media.body]
    return media_description(media.kind, media.port, media.proto, media.formats, body)
