"""rtpengine.ng.commands and rtpengine.ng.replies: what is written and read for each command."""

import json
from typing import Any

import pytest

from rtpengine.ng.bencode import Encodable, decode, encode
from rtpengine.ng.commands import (
    Answer,
    BlockDtmf,
    BlockMedia,
    CodecRules,
    Command,
    Delete,
    List,
    MediaOptions,
    Offer,
    Ping,
    PlayDtmf,
    Query,
    RawQuery,
    SubscribeAnswer,
    SubscribeRequest,
    UnblockDtmf,
    UnblockMedia,
    Unsubscribe,
    command_to_bytes,
    command_to_ng,
    reply_from_ng,
)
from rtpengine.ng.errors import NgBadDatagram, NgErrorReply, NgOverloaded, NgUnknownCall
from rtpengine.ng.replies import Done, ListReply, Pong, Reply, SdpReply
from rtpengine.ng.statistics import Counters, QualitySample, RawStatistics, reply_from_payload
from rtpengine.profiles import MediaProfile, audio_profile, video_profile

OPTIONS = MediaOptions(
    transport_protocol="RTP/AVP",
    ice="remove",
    ice_lite="backward",
    dtls="passive",
    dtls_reverse="passive",
    sdes=("off",),
    rtcp_mux=("demux",),
    direction=("wic", "ims"),
    interface="wic",
    address_family="IP4",
    replace=("origin",),
    codec=CodecRules(accept=("a",), mask=("m",), transcode=("t",)),
    flags=("strip-extmap",),
)
OPTIONS_IN_NG: dict[str, Encodable] = {
    "transport-protocol": "RTP/AVP",
    "ICE": "remove",
    "ICE-lite": "backward",
    "DTLS": "passive",
    "DTLS-reverse": "passive",
    "SDES": ("off",),
    "rtcp-mux": ("demux",),
    "direction": ("wic", "ims"),
    "interface": "wic",
    "address-family": "IP4",
    "replace": ("origin",),
    "codec": {"accept": ("a",), "mask": ("m",), "transcode": ("t",)},
    "flags": ("strip-extmap",),
}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(Ping(), {"command": "ping"}, id="ping"),
        pytest.param(
            Offer("c", "wic", "v=0", OPTIONS),
            {"command": "offer", "call-id": "c", "from-tag": "wic", "sdp": "v=0", **OPTIONS_IN_NG},
            id="offer",
        ),
        pytest.param(
            Offer("c", "wic", "v=0", MediaOptions(), "ims"),
            {"command": "offer", "call-id": "c", "from-tag": "wic", "to-tag": "ims", "sdp": "v=0"},
            id="offer to a known participant",
        ),
        pytest.param(
            Answer("c", "wic", "ims", "v=0", MediaOptions()),
            {"command": "answer", "call-id": "c", "from-tag": "wic", "to-tag": "ims", "sdp": "v=0"},
            id="answer",
        ),
        pytest.param(
            SubscribeRequest("c", "ims", "in", MediaOptions()),
            {"command": "subscribe request", "call-id": "c", "from-tag": "ims", "to-tag": "in"},
            id="subscribe request",
        ),
        pytest.param(
            SubscribeAnswer("c", "in", "v=0", MediaOptions()),
            {"command": "subscribe answer", "call-id": "c", "to-tag": "in", "sdp": "v=0"},
            id="subscribe answer",
        ),
        pytest.param(
            Unsubscribe("c", "wic"),
            {"command": "unsubscribe", "call-id": "c", "to-tag": "wic"},
            id="unsubscribe",
        ),
        pytest.param(BlockMedia("c"), {"command": "block media", "call-id": "c"}, id="block media of all"),
        pytest.param(
            UnblockMedia("c", "wic"),
            {"command": "unblock media", "call-id": "c", "from-tag": "wic"},
            id="unblock media of one",
        ),
        pytest.param(
            PlayDtmf("c", "wic", "#", 250),
            {
                "command": "play DTMF",
                "call-id": "c",
                "from-tag": "wic",
                "code": "#",
                "duration": 250,
                "pause": 100,
                "volume": 8,
            },
            id="play DTMF",
        ),
        pytest.param(
            BlockDtmf("c", "ims"),
            {"command": "block DTMF", "call-id": "c", "from-tag": "ims"},
            id="block DTMF",
        ),
        pytest.param(
            BlockDtmf("c", "wic", "silence"),
            {"command": "block DTMF", "call-id": "c", "from-tag": "wic", "DTMF-security": "silence"},
            id="block DTMF, transcoded",
        ),
        pytest.param(
            UnblockDtmf("c", "wic"),
            {"command": "unblock DTMF", "call-id": "c", "from-tag": "wic"},
            id="unblock DTMF",
        ),
        pytest.param(Query("c"), {"command": "query", "call-id": "c"}, id="query"),
        pytest.param(Delete("c"), {"command": "delete", "call-id": "c"}, id="delete"),
        pytest.param(
            Delete("c", 5),
            {"command": "delete", "call-id": "c", "delete-delay": 5},
            id="delete after a while",
        ),
        pytest.param(List(7), {"command": "list", "limit": 7}, id="list"),
    ],
)
def test_a_command_is_written_with_its_ng_keys(command: Command[Any], expected: dict[str, Encodable]) -> None:
    assert command_to_ng(command) == expected
    written = command_to_bytes(command)
    if command.in_json:
        assert json.loads(written) == expected
    else:
        assert written == encode(expected)


@pytest.mark.parametrize("profile", [audio_profile(), video_profile()], ids=["audio", "video"])
def test_what_is_kept_of_one_call_does_not_show_in_the_next(profile: MediaProfile) -> None:
    options = (profile.offer(), profile.answer(), profile.subscribe_request(), MediaOptions())
    for call_id in ("a", "a longer one", "ü"):
        for option in options:
            command = Offer(call_id, "wic", f"v=0 of {call_id}", option)
            assert command_to_bytes(command) == encode(command_to_ng(command))


def test_neither_sdp_nor_a_dtmf_digit_shows_in_a_command_s_repr() -> None:
    assert "secret" not in repr(Offer("c", "wic", "a=ice-pwd:secret", OPTIONS))
    assert "#" not in repr(PlayDtmf("c", "wic", "#"))


def payload(reply: dict[str, Encodable]) -> bytes:
    """Write JSON as rtpengine does."""
    return json.dumps(reply, separators=(",", ":")).encode()


def read(command: Command[Any], reply: dict[str, Encodable]) -> Any:
    """Read a reply as if it came off the wire."""
    if command.in_json:
        return reply_from_payload(command.command, command.reply_type, payload(reply))
    dictionary = decode(encode(reply))
    assert isinstance(dictionary, dict)
    return reply_from_ng(command, dictionary)


STREAM: dict[str, Encodable] = {
    "local port": 30282,
    "local address": "192.0.2.1",
    "endpoint": {"family": "IPv4", "address": "192.0.2.9", "port": 49808},
    "last packet": 1795362045,
    "flags": ["RTP", "filled"],
    "SSRC": 4021324182,
    "stats": {"packets": 684, "bytes": 63295, "errors": 1},
}
SAMPLE: dict[str, Encodable] = {
    "MOS": 43,
    "round-trip time": 4986,
    "round-trip time leg": 626,
    "jitter": 1,
    "packet loss": 2,
    "samples": 2,
}
STATISTICS: dict[str, Encodable] = {
    "created": 1795362031,
    "created_us": 967146,
    "last signal": 1795362033,
    "SSRC": {"4021324182": {"cumulative loss": 3, "average MOS": SAMPLE, "lowest MOS": SAMPLE}},
    "tags": {
        "wic": {
            "tag": "wic",
            "created": 1795362031,
            "medias": [
                {
                    "index": 1,
                    "type": "audio",
                    "protocol": "UDP/TLS/RTP/SAVPF",
                    "codec": "opus/48000/2",
                    "streams": [STREAM, {**STREAM, "endpoint": {}}],
                    "flags": ["ICE"],
                }
            ],
        }
    },
    "totals": {
        "RTP": {"packets": 1295, "bytes": 168387, "errors": 1},
        "RTCP": {"packets": 9, "bytes": 612, "errors": 0},
    },
    "result": "ok",
}


class TestReplies:
    def test_pong_is_a_success(self) -> None:
        assert read(Ping(), {"result": "pong"}) == Pong()

    def test_an_offer_is_answered_with_sdp(self) -> None:
        assert read(Offer("c", "wic", "", OPTIONS), {"result": "ok", "sdp": "v=0"}) == SdpReply("v=0")

    def test_a_list_has_call_ids(self) -> None:
        assert read(List(), {"result": "ok", "calls": ["a", "b"]}) == ListReply(("a", "b"))

    def test_statistics_have_participants_ports_packets_and_quality(self) -> None:
        call = read(Query("c"), STATISTICS)
        media = call.tags["wic"].medias[0]
        assert (call.created_s, call.rtp) == (1795362031, Counters(packets=1295, bytes=168387, errors=1))
        assert (media.codec, media.streams[0].local_port) == ("opus/48000/2", 30282)
        assert [stream.endpoint for stream in call.tags["wic"].streams()] == [("192.0.2.9", 49808), None]
        expected = QualitySample(
            mos=4.3,
            round_trip_time_ms=4.986,
            round_trip_time_leg_ms=0.626,
            jitter_ms=1,
            packet_loss_percent=2,
            samples=2,
            reported_at_s=0,
        )
        assert (call.ssrcs[4021324182].average, call.ssrcs[4021324182].highest) == (expected, None)

    @pytest.mark.parametrize(
        ("told", "lost"), [(7, 7), (2**24 - 1, 0), (2**23, 0), (2**23 - 1, 2**23 - 1), (-3, 0)]
    )
    def test_more_packets_than_were_sent_are_no_loss(self, told: int, lost: int) -> None:
        """RFC 3550 §6.4.1: with duplicates the number is negative; rtpengine takes 24 bits without sign."""
        found = read(Query("c"), STATISTICS | {"SSRC": {"1": {"cumulative loss": told}}})
        assert found.ssrcs[1].cumulative_loss == lost

    def test_deleting_an_unknown_call_is_a_success_without_statistics(self) -> None:
        reply: dict[str, Encodable] = {"result": "ok", "warning": "Call-ID not found or tags didn't match"}
        assert read(Delete("c"), reply) == Done()

    def test_statistics_may_wait_for_somebody_with_time(self) -> None:
        found = read(RawQuery("c"), STATISTICS)
        assert found == RawStatistics(payload(STATISTICS))
        assert found.read().rtcp.packets == 9

    @pytest.mark.parametrize(
        ("reply", "error", "reason"),
        [
            pytest.param(
                {"result": "error", "error-reason": "Unknown call-id"},
                NgUnknownCall,
                "Unknown call-id",
                id="query",
            ),
            pytest.param(
                {"result": "error", "error-reason": "Unknown call-ID"},
                NgUnknownCall,
                "Unknown call-ID",
                id="block",
            ),
            pytest.param(
                {"result": "error", "error-reason": "Failed to parse"},
                NgErrorReply,
                "Failed to parse",
                id="sdp",
            ),
            pytest.param(
                {"result": "load limit", "message": "Session limit"},
                NgOverloaded,
                "Session limit",
                id="load limit",
            ),
            pytest.param({"result": "strange"}, NgErrorReply, "strange", id="unknown result"),
        ],
    )
    def test_a_refusal_becomes_the_error_it_means(
        self, reply: dict[str, Encodable], error: type[NgErrorReply], reason: str
    ) -> None:
        with pytest.raises(NgErrorReply) as caught:
            read(Query("c"), reply)
        assert (type(caught.value), caught.value.command, caught.value.error_reason) == (
            error,
            "query",
            reason,
        )

    @pytest.mark.parametrize(
        ("command", "reply"),
        [
            pytest.param(Ping(), {}, id="no result"),
            pytest.param(Ping(), {"result": 1}, id="result is a number"),
            pytest.param(Offer("c", "wic", "", OPTIONS), {"result": "ok"}, id="no sdp"),
            pytest.param(
                Offer("c", "wic", "", OPTIONS), {"result": "ok", "sdp": b"\xff"}, id="sdp is not UTF-8"
            ),
            pytest.param(List(), {"result": "ok", "calls": [1]}, id="call-id is a number"),
            pytest.param(Query("c"), {**STATISTICS, "tags": []}, id="tags is a list"),
            pytest.param(Query("c"), {**STATISTICS, "SSRC": {"x": {}}}, id="SSRC is no number"),
            pytest.param(Query("c"), {**STATISTICS, "tags": {"wic": {"tag": "wic"}}}, id="no medias"),
        ],
    )
    def test_a_reply_that_breaks_the_protocol_is_a_bad_datagram(
        self, command: Command[Reply], reply: dict[str, Encodable]
    ) -> None:
        with pytest.raises(NgBadDatagram):
            read(command, reply)
