"""What each side hears of the other's H.264 through a real rtpengine: formats, levels and modes as they were said."""

from __future__ import annotations

from kemi.adapters.relay.media import MediaRelay
from kemi.core.call import actions as act
from kemi.core.edits import MessageEdits
from kemi.core.messages import Reply, Side
from kemi.core.sdp.interwork import relay_offer
from kemi.core.sdp.judge import judge_offer
from kemi.core.sdp.text import sdp_from_text
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import Daemon
from tests.contract.rtpengine.relay import relay_of
from tests.contract.rtpengine.sdp import section
from tests.unit.core.sdp.samples import OUR_SDK, golden

CALL_ID = "h264"
REPLY = Reply(Side.WIC, "INVITE", CALL_ID, "page", "core", 1)
OFFER = golden("chromium-156-av-sendonly")


def relay(daemon: Daemon) -> tuple[MediaRelay, str]:
    return relay_of(daemon), str(daemon.address)


def page_line() -> str:
    offer = sdp_from_text(OFFER)
    plan = judge_offer(offer, OUR_SDK).medium("video")
    assert plan is not None
    return relay_offer(offer, plan)


def formats(text: str) -> dict[str, str]:
    """Each payload type with its fmtp."""
    return {codec.payload_type: codec.fmtp for codec in sdp_from_text(text).media[0].codecs}


def test_the_core_is_offered_both_packetization_modes_as_the_page_named_them(
    daemon: Daemon, client: UdpClient
) -> None:
    media, node = relay(daemon)
    reserve = act.ReserveMedia(CALL_ID, node, "shared", (act.MediumRequest("video", page_line(), False),))
    reserved = media.reserve(reserve).reserved["video"]
    fmtp = "level-asymmetry-allowed=1;packetization-mode={};profile-level-id=42e01f"
    assert formats(reserved.relay_offer) == {"108": fmtp.format(1), "114": fmtp.format(0), "96": ""}
    assert formats(reserved.relay_answer) == formats(reserved.relay_offer)
    feedback = [codec.feedback for codec in sdp_from_text(reserved.relay_offer).media[0].codecs]
    assert feedback == [("ccm fir", "nack", "nack pli")] * 3


def test_the_levels_of_a_call_towards_a_page_pass_both_ways(daemon: Daemon, client: UdpClient) -> None:
    media, node = relay(daemon)
    ims = (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\n"
        "m=video 5000 RTP/AVP 99 100\r\nb=AS:384\r\n"
        "a=rtpmap:99 H264/90000\r\na=fmtp:99 packetization-mode=1;profile-level-id=42c00c\r\n"
        "a=rtpmap:100 H264/90000\r\na=fmtp:100 packetization-mode=0;profile-level-id=42c00c\r\na=sendrecv\r\n"
    )
    offer = media.reserve_incoming(act.ReserveIncoming(CALL_ID, node, {"video": ims}, MessageEdits())).offers[
        "video"
    ]
    assert formats(offer) == {
        "99": "packetization-mode=1;profile-level-id=42c00c",
        "100": "packetization-mode=0;profile-level-id=42c00c",
    }
    assert sdp_from_text(offer).media[0].bandwidth == {"AS": 384}
    own = "packetization-mode=1;profile-level-id=42e00c"
    answer = [
        line for line in page_line().split("\r\n") if not line.startswith(("a=rtpmap", "a=rtcp-fb", "a=fmtp"))
    ]
    answer = [
        line.replace("SAVPF 108 114 96", "SAVPF 99").replace("actpass", "active") for line in answer if line
    ]
    answer += ["a=rtpmap:99 H264/90000", "a=rtcp-fb:99 nack pli", f"a=fmtp:99 {own}", ""]
    connect = act.ConnectIncoming(CALL_ID, node, {"video": "\r\n".join(answer)}, REPLY)
    told = media.connect_incoming(connect).answers["video"]
    assert formats(told) == {"99": own}
    assert section(told).protocol == "RTP/AVP"
