"""Which codecs the relays can make: asked by an offer that nobody answers, and deleted at once."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Final

from rtpengine.ng.commands import CodecRules, Delete, MediaOptions, Offer
from rtpengine.ng.errors import NgError
from rtpengine.pool import NodeAddress
from rtpengine.transport.aio import AioClient
from webapp_api.gwctl.machine.diagnosis import Diagnosis, Doctor
from webapp_api.gwctl.machine.host import Host

_SAYS: Final = Doctor("codecs")
ASKED: Final = {
    "opus": "opus/48000/2",
    "AMR-WB": "AMR-WB/16000",
    "AMR": "AMR/8000",
    "G722": "G722/8000",
    "PCMA": "PCMA/8000",
}
"""Codec -> how it stands in SDP.  PCMU is what is offered, so it comes back by itself."""
_SDP: Final = "\r\n".join(
    [
        *("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"),
        *("m=audio 9 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=inactive", ""),
    ]
)
_HINTS: Final = {
    "AMR-WB": "install libavcodec-extra (Debian 12: libavcodec-extra59), then restart rtpengine-daemon",
    "AMR": "install libavcodec-extra (Debian 12: libavcodec-extra59), then restart rtpengine-daemon",
    "opus": "libopus0 must be installed; Debian's rtpengine-daemon depends on it",
}


async def codecs(host: Host) -> AsyncIterator[Diagnosis]:
    """Ask every relay node of the gateway, and one that runs here."""
    nodes = (
        [NodeAddress(node.address, node.port) for node in host.gateway.media.nodes] if host.gateway else []
    )
    if host.relay is not None and (ng := host.relay.address("listen-ng")) and NodeAddress(*ng) not in nodes:
        nodes.append(NodeAddress(*ng))
    wanted = _wanted(host)
    for node in nodes:
        try:
            has = await codecs_of(node, with_interface=host.gateway is not None or host.relay is not None)
        except NgError as error:
            yield _SAYS.error(f"rtpengine {node}", str(error), "see the check of its port")
            continue
        yield judged(f"rtpengine {node}", has, wanted)


def judged(subject: str, has: list[str], wanted: list[str]) -> Diagnosis:
    """Judge what a relay can make."""
    if missing := [name for name in wanted if name not in has]:
        return _SAYS.error(subject, f"cannot make {', '.join(missing)}", _HINTS.get(missing[0], ""))
    others = [name for name in has if name not in wanted]
    told = f"makes {', '.join(name for name in ASKED if name in wanted)}"
    return _SAYS.ok(subject, told + (f"; also {', '.join(others)}" if others else ""))


def _wanted(host: Host) -> list[str]:
    """Return what the gateway's settings need; without them what the roles' defaults do."""
    if host.gateway is None:
        return ["opus", "AMR-WB", "PCMA"]
    media = host.gateway.media
    named = {
        name.upper().removesuffix("-OA")
        for profile in (media.default_profile, *media.profiles)
        if profile.transcoding
        for name in profile.audio_codecs
    }
    return [name for name in ASKED if name.upper() in named or name == "opus"]


async def codecs_of(node: NodeAddress, *, with_interface: bool = True) -> list[str]:
    """Return the codecs that a relay adds to an offer; raises NgError."""
    call_id = f"doctor-{secrets.token_hex(8)}"
    options = MediaOptions(
        transport_protocol="RTP/AVP",
        ice="remove",
        direction=("ims", "ims") if with_interface else None,
        codec=CodecRules(transcode=tuple(ASKED)),
    )
    client = await AioClient.connect(node)
    try:
        reply = await client.request(Offer(call_id, "doctor", _SDP, options))
        await client.request(Delete(call_id))
    finally:
        client.close()
    return [name for name, rtpmap in ASKED.items() if f" {rtpmap}".lower() in reply.sdp.lower()]
