"""What a lab service reads from a request and a session description: user, codec, address, session timer.

Pure functions over text; which call they belong to is the caller's business.
"""

from typing import Final

from tests.lab.services.g711_stream import StreamFormat
from tests.peers.addresses import sip_uri_from_text
from tests.peers.device_sdp import NoCommonCodecError
from tests.peers.sdp import MediaSection, Sdp, sdp_from_text
from tests.peers.sip import SipRequest

CODECS: Final = ("PCMA", "PCMU")
VIDEO_CODECS: Final = ("VP8", "H264")
_EVENTS: Final = "telephone-event/8000"
"""The codec's own clock (RFC 4733 §2.1)."""


def user_of(uri: str) -> str:
    """Return the user part of a SIP URI or the number of a tel URI."""
    if uri.startswith("tel:"):
        return uri.removeprefix("tel:").partition(";")[0]
    return sip_uri_from_text(uri).user.partition(";")[0]


def first_codec(offer: str) -> str:
    """Return the codec of ours that the caller likes best; raise NoCommonCodecError."""
    for section in sdp_from_text(offer).media:
        if section.kind == "audio" and section.port and section.protocol == "RTP/AVP":
            offered = {section.payload_type(codec): codec for codec in CODECS}
            for payload_type in section.formats:
                if int(payload_type) in offered:
                    return offered[int(payload_type)]
    raise NoCommonCodecError("no G.711 over RTP/AVP in the offer")


def stream_format(sdp: str) -> StreamFormat:
    """Read codec, payload types and address from the far end's description."""
    parsed = sdp_from_text(sdp)
    section = parsed.section("audio")
    codec = first_codec(sdp)
    payload_type = section.payload_type(codec)
    assert payload_type is not None
    events = (value.split() for value in section.attributes("rtpmap"))
    event_type = next((int(number) for number, name in events if name == _EVENTS), None)
    return StreamFormat(codec, payload_type, event_type, _address_of(parsed, section))


def video_codec(sdp: str) -> str | None:
    """Return the codec of ours, in our order, that a description has for pictures; None without one."""
    for section in sdp_from_text(sdp).media:
        if section.kind == "video" and section.port and section.protocol == "RTP/AVP":
            return next((codec for codec in VIDEO_CODECS if section.payload_type(codec) is not None), None)
    return None


def video_format(sdp: str) -> StreamFormat | None:
    """Read what `stream_format` reads of sound, of pictures; None where a description has none."""
    codec = video_codec(sdp)
    if codec is None:
        return None
    parsed = sdp_from_text(sdp)
    section = parsed.section("video")
    payload_type = section.payload_type(codec)
    assert payload_type is not None
    return StreamFormat(codec, payload_type, None, _address_of(parsed, section))


def _address_of(sdp: Sdp, section: MediaSection) -> tuple[str, int]:
    connection = next((line for line in section.lines if line.startswith("c=")), None)
    return (connection.split()[2] if connection else sdp.address), section.port


def session_timer(request: SipRequest) -> tuple[tuple[str, str], ...]:
    """Accept a requested session timer and leave the refreshes to the caller (RFC 4028 §9)."""
    wanted = request.headers.get("Session-Expires")
    if wanted is None:
        return ()
    return (("Session-Expires", f"{wanted.partition(';')[0]};refresher=uac"), ("Require", "timer"))
