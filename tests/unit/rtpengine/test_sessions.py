"""rtpengine.sessions: which commands are sent, in which order, and what an error does to them."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from rtpengine.ng.commands import Answer, BlockMedia, Command, Offer, R, SubscribeAnswer, Unsubscribe
from rtpengine.ng.errors import NgBadDatagram, NgError, NgErrorReply, NgTimeout, NgUnknownCall
from rtpengine.ng.replies import Done, Reply, SdpReply, SubscribeRequestReply
from rtpengine.ng.statistics import CallStatistics, Counters
from rtpengine.profiles import audio_profile, video_profile
from rtpengine.sessions import (
    MediaSession,
    Reservation,
    WicTransport,
    accept_reverse,
    answer_ahead,
    connect,
    connect_terminating,
    release,
    reserve,
    reserve_terminating,
    run,
    run_async,
)

NO_PACKETS = Counters(packets=0, bytes=0, errors=0)
STATISTICS = CallStatistics(created_s=1, last_signal_s=2, tags={}, ssrcs={}, rtp=NO_PACKETS, rtcp=NO_PACKETS)
REPLIES: dict[str, Reply] = {
    "offer": SdpReply("relay offer"),
    "answer": SdpReply("relay answer"),
    "subscribe request": SubscribeRequestReply("reverse offer", "wic-in", ("ims",)),
    "query": STATISTICS,
    "delete": Done(),
}


class ScriptedClient:
    """Answers every command as a healthy daemon would, except for the ones it was told to fail."""

    def __init__(self, **failures: NgError) -> None:
        self.failures = {command.replace("_", " "): error for command, error in failures.items()}
        self.commands: list[Command[Any]] = []

    def request(self, command: Command[R]) -> R:
        """Record the command and answer it."""
        self.commands.append(command)
        if command.command in self.failures:
            raise self.failures[command.command]
        return cast("R", REPLIES.get(command.command, Done()))

    def request_all(self, commands: tuple[Command[Any], ...]) -> list[Reply]:
        """Do them one after the other."""
        return [self.request(command) for command in commands]

    @property
    def names(self) -> list[str]:
        """The commands so far."""
        return [command.command for command in self.commands]


def session(transport: WicTransport, medium: str = "audio") -> MediaSession:
    """A session of call "call"."""
    return MediaSession("call", medium, "wic offer", transport)


def placeholder(relay_offer: str) -> str:
    """Make a recognisable answer."""
    return f"placeholder for {relay_offer}"


AUDIO = audio_profile()
SHARED, SPLIT = WicTransport.SHARED, WicTransport.SPLIT


def test_audio_and_video_of_a_call_are_calls_of_their_own() -> None:
    assert session(SHARED, "audio").ng_call_id == "call"
    assert session(SHARED, "video").ng_call_id == "call-v"


class TestReserve:
    @pytest.mark.parametrize(
        ("transport", "reverse", "expected", "reverse_offer"),
        [
            pytest.param(SHARED, True, ["offer", "answer", "block media"], None, id="shared"),
            pytest.param(SHARED, False, ["offer", "answer", "block media"], None, id="shared, one way"),
            pytest.param(
                SPLIT,
                True,
                ["offer", "answer", "block media", "subscribe request"],
                "reverse offer",
                id="split",
            ),
            pytest.param(SPLIT, False, ["offer", "answer", "block media"], None, id="split, one way"),
        ],
    )
    def test_media_is_blocked_before_anything_else_is_made(
        self, transport: WicTransport, reverse: bool, expected: list[str], reverse_offer: str | None
    ) -> None:
        client = ScriptedClient()
        reservation = run(reserve(session(transport), AUDIO, placeholder, reverse=reverse), client)
        assert client.names == expected
        assert reservation == Reservation("relay offer", "relay answer", reverse_offer)

    def test_the_placeholder_answers_the_offer_to_ims(self) -> None:
        client = ScriptedClient()
        run(reserve(session(SHARED), AUDIO, placeholder, reverse=True), client)
        offer, answer = client.commands[:2]
        assert isinstance(offer, Offer)
        assert isinstance(answer, Answer)
        assert (offer.sdp, offer.from_tag, offer.to_tag) == ("wic offer", "wic", None)
        assert (answer.sdp, answer.from_tag, answer.to_tag) == ("placeholder for relay offer", "wic", "ims")

    @pytest.mark.parametrize("command", ["offer", "answer", "block_media", "subscribe_request"])
    def test_a_refused_reservation_is_cleaned_up(self, command: str) -> None:
        client = ScriptedClient(**{command: NgErrorReply(command, "no")})
        with pytest.raises(NgErrorReply, match="no"):
            run(reserve(session(SPLIT), AUDIO, placeholder, reverse=True), client)
        assert client.names[-1] == "delete"

    def test_a_silent_daemon_is_not_asked_again(self) -> None:
        client = ScriptedClient(offer=NgTimeout("offer", 1.0))
        with pytest.raises(NgTimeout):
            run(reserve(session(SPLIT), AUDIO, placeholder, reverse=True), client)
        assert client.names == ["offer"]


class TestConnect:
    @pytest.mark.parametrize(
        ("transport", "reverse_answer", "version", "between"),
        [
            pytest.param(SHARED, None, (10, 5), [], id="shared"),
            pytest.param(SPLIT, None, (10, 5), [], id="split without reverse line"),
            pytest.param(
                SPLIT,
                "ra",
                (10, 5),
                ["unsubscribe", "subscribe request", "subscribe answer"],
                id="split, 10.5",
            ),
            pytest.param(
                SPLIT,
                "ra",
                (12, 5),
                ["unsubscribe", "subscribe request", "subscribe answer"],
                id="split, 12.5",
            ),
            pytest.param(SPLIT, "ra", (26, 0), ["subscribe request", "subscribe answer"], id="split, 26.0"),
        ],
    )
    def test_an_answer_follows_an_offer_and_the_gate_opens_last(
        self,
        transport: WicTransport,
        reverse_answer: str | None,
        version: tuple[int, int],
        between: list[str],
    ) -> None:
        client = ScriptedClient()
        steps = connect(session(transport), AUDIO, "ims answer", reverse_answer, daemon_version=version)
        assert run(steps, client) == "relay answer"
        assert client.names == ["offer", "answer", *between, "unblock media"]

    def test_video_keeps_the_subscription_its_key_frame_requests_come_by(self) -> None:
        client = ScriptedClient()
        run(connect(session(SPLIT, "video"), AUDIO, "ims answer", "ra", daemon_version=(10, 5)), client)
        assert "unsubscribe" not in client.names

    def test_the_offer_names_ims_because_the_daemon_would_crash_otherwise(self) -> None:
        client = ScriptedClient()
        run(connect(session(SPLIT), AUDIO, "ims answer", "ra", daemon_version=(10, 5)), client)
        offer, answer = client.commands[:2]
        assert isinstance(offer, Offer)
        assert isinstance(answer, Answer)
        assert (offer.to_tag, offer.sdp, answer.sdp) == ("ims", "wic offer", "ims answer")

    def test_the_reverse_answer_is_handed_in_again(self) -> None:
        client = ScriptedClient()
        run(accept_reverse(session(SPLIT), AUDIO, "ra"), client)
        run(connect(session(SPLIT), AUDIO, "ims answer", "ra", daemon_version=(10, 5)), client)
        answers = [command for command in client.commands if isinstance(command, SubscribeAnswer)]
        assert [(answer.sdp, answer.to_tag) for answer in answers] == [("ra", "wic-in")] * 2


class TestTerminating:
    SESSION = MediaSession("call;gw-in-1", "video", "", WicTransport.SHARED)

    def test_the_offer_of_ims_and_the_answer_of_the_wic(self) -> None:
        client = ScriptedClient()
        profile = video_profile()
        assert run(reserve_terminating(self.SESSION, profile, "ims offer"), client) == "relay offer"
        assert run(connect_terminating(self.SESSION, profile, "wic answer"), client) == "relay answer"
        offer, deafen, answer = client.commands
        assert isinstance(offer, Offer)
        assert isinstance(answer, Answer)
        assert deafen == Unsubscribe("call;gw-in-1-v", "ims")  # nobody is heard before the WIC has answered
        assert (offer.call_id, offer.from_tag, offer.sdp) == ("call;gw-in-1-v", "ims", "ims offer")
        assert (answer.from_tag, answer.to_tag, answer.sdp) == ("ims", "wic", "wic answer")
        assert offer.options.direction == ("ims", "wic")
        assert (offer.options.ice, offer.options.ice_lite) == ("force", "forward")

    def test_a_placeholder_answers_before_the_wic_without_ice_and_as_somebody_else(self) -> None:
        client = ScriptedClient()
        made = run(answer_ahead(self.SESSION, video_profile(), "ims offer", lambda sdp: f"for {sdp}"), client)
        assert made == ("relay answer", "relay offer")
        plain, stand_in, block, offer, deafen = client.commands
        assert isinstance(plain, Offer)
        assert isinstance(stand_in, Answer)
        assert isinstance(block, BlockMedia)
        assert isinstance(deafen, Unsubscribe)
        assert isinstance(offer, Offer)
        assert (plain.options.ice, plain.options.transport_protocol) == ("remove", "RTP/AVP")
        assert (plain.to_tag, stand_in.to_tag, block.from_tag) == ("stand-in", "stand-in", "stand-in")
        assert (stand_in.sdp, deafen.to_tag) == ("for relay offer", "ims")
        assert (offer.sdp, offer.to_tag) == ("ims offer", "wic")
        assert (offer.options.ice, offer.options.transport_protocol) == ("force", "UDP/TLS/RTP/SAVPF")

    def test_a_refused_placeholder_is_cleaned_up(self) -> None:
        client = ScriptedClient(answer=NgErrorReply("answer", "no"))
        with pytest.raises(NgErrorReply):
            run(answer_ahead(self.SESSION, video_profile(), "ims offer", str), client)
        assert client.names == ["offer", "answer", "delete"]

    def test_audio_hides_everything_but_opus_from_the_wic(self) -> None:
        rules = audio_profile().terminating_offer().codec
        assert set(rules.mask) == {"AMR-WB", "AMR", "G722", "PCMA", "PCMU"}
        assert rules.transcode == ("opus/48000/2", "telephone-event/48000")

    def test_a_refused_offer_is_cleaned_up(self) -> None:
        client = ScriptedClient(offer=NgErrorReply("offer", "no"))
        with pytest.raises(NgErrorReply):
            run(reserve_terminating(self.SESSION, video_profile(), "ims offer"), client)
        assert client.names == ["offer", "delete"]

    def test_a_silent_daemon_is_not_asked_again(self) -> None:
        client = ScriptedClient(offer=NgTimeout("offer", 1.0))
        with pytest.raises(NgTimeout):
            run(reserve_terminating(self.SESSION, video_profile(), "ims offer"), client)
        assert client.names == ["offer"]


class TestRelease:
    def test_the_last_statistics_come_back(self) -> None:
        client = ScriptedClient()
        assert run(release(session(SHARED), with_statistics=True), client) == STATISTICS
        assert client.names == ["query", "delete"]

    def test_nobody_waits_for_statistics_that_are_not_wanted(self) -> None:
        client = ScriptedClient()
        assert run(release(session(SHARED)), client) is None
        assert client.names == ["delete"]

    def test_a_call_that_is_gone_already_is_released(self) -> None:
        client = ScriptedClient(query=NgUnknownCall("query", "Unknown call-id"))
        assert run(release(session(SHARED), with_statistics=True), client) is None

    def test_a_call_that_goes_in_between_is_released(self) -> None:
        client = ScriptedClient(delete=NgUnknownCall("delete", "Unknown call-id"))
        assert run(release(session(SHARED), with_statistics=True), client) == STATISTICS

    @pytest.mark.parametrize(
        "error", [NgErrorReply("query", "no"), NgBadDatagram("odd")], ids=["refused", "odd"]
    )
    def test_missing_statistics_do_not_keep_the_call(self, error: NgError) -> None:
        client = ScriptedClient(query=error)
        assert run(release(session(SHARED), with_statistics=True), client) is None
        assert client.names == ["query", "delete"]


@pytest.mark.parametrize(
    "failing", [ScriptedClient, lambda: ScriptedClient(answer=NgErrorReply("answer", "no"))]
)
async def test_an_asyncio_client_sends_the_same_commands(failing: Callable[[], ScriptedClient]) -> None:
    blocking, scripted = failing(), failing()

    class AsyncClient:
        async def request(self, command: Command[R]) -> R:
            return scripted.request(command)

        async def request_all(self, commands: tuple[Command[Any], ...]) -> list[Reply]:
            return scripted.request_all(commands)

    steps = [reserve(session(SPLIT), video_profile(), placeholder, reverse=True) for _ in range(2)]
    outcomes: list[object] = []
    for attempt in (0, 1):
        try:
            outcomes.append(
                run(steps[0], blocking) if attempt == 0 else await run_async(steps[1], AsyncClient())
            )
        except NgErrorReply as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]
    assert blocking.commands == scripted.commands
