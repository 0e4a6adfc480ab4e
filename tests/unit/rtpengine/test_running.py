"""rtpengine.running: which commands change a running medium, in which order."""

from __future__ import annotations

import pytest

from rtpengine.ng.commands import Answer, BlockMedia, Offer, SubscribeAnswer, UnblockMedia
from rtpengine.ng.errors import NgErrorReply, NgTimeout
from rtpengine.profiles import audio_profile
from rtpengine.running import Renewal, closed_during, gate, renew, reoffer_from_ims
from rtpengine.sessions import MediaSession, WicTransport, run
from tests.unit.rtpengine.test_sessions import ScriptedClient

AUDIO = audio_profile()
SHARED, SPLIT = WicTransport.SHARED, WicTransport.SPLIT
RESTART = ["offer", "unsubscribe"]
REVERSE = ["subscribe request", "subscribe answer"]


def session(transport: WicTransport, medium: str = "audio") -> MediaSession:
    """A session whose WIC speaks anew."""
    return MediaSession("call", medium, "new wic line", transport)


class TestRenew:
    @pytest.mark.parametrize(
        ("transport", "reverse_line", "medium", "version", "expected"),
        [
            pytest.param(SHARED, None, "audio", (10, 5), ["offer", "answer"], id="shared"),
            pytest.param(SHARED, "reverse", "audio", (10, 5), ["offer", "answer"], id="shared, two lines"),
            pytest.param(SPLIT, None, "audio", (10, 5), ["offer", "answer"], id="split, one line"),
            pytest.param(
                SPLIT,
                "reverse",
                "audio",
                (10, 5),
                [*RESTART, "offer", "answer", "unsubscribe", *REVERSE],
                id="split",
            ),
            pytest.param(
                SPLIT,
                "reverse",
                "video",
                (10, 5),
                [*RESTART, "offer", "answer", *REVERSE],
                id="split, key frame requests keep their way",
            ),
            pytest.param(
                SPLIT,
                "reverse",
                "audio",
                (26, 0),
                ["offer", "offer", "answer", *REVERSE],
                id="26.0: unsubscribe would remove IMS",
            ),
        ],
    )
    def test_both_sides_are_told_again(
        self,
        transport: WicTransport,
        reverse_line: str | None,
        medium: str,
        version: tuple[int, int],
        expected: list[str],
    ) -> None:
        client = ScriptedClient()
        steps = renew(session(transport, medium), AUDIO, "ims line", reverse_line, daemon_version=version)
        renewal = run(steps, client)
        reverse = "reverse offer" if REVERSE[0] in expected else None
        assert renewal == Renewal("relay offer", "relay answer", reverse)
        assert client.names == expected

    def test_the_reverse_port_offers_first_so_that_it_begins_ice_anew(self) -> None:
        client = ScriptedClient()
        run(renew(session(SPLIT), AUDIO, "ims line", "reverse line", daemon_version=(10, 5)), client)
        restart, offer = (command for command in client.commands if isinstance(command, Offer))
        (answer,) = (command for command in client.commands if isinstance(command, Answer))
        (reverse,) = (command for command in client.commands if isinstance(command, SubscribeAnswer))
        assert (restart.from_tag, restart.to_tag, restart.sdp) == ("wic-in", "ims", "reverse line")
        assert (offer.from_tag, offer.to_tag, offer.sdp) == ("wic", "ims", "new wic line")
        assert (answer.from_tag, answer.to_tag, answer.sdp) == ("wic", "ims", "ims line")
        assert (reverse.to_tag, reverse.sdp) == ("wic-in", "reverse line")

    @pytest.mark.parametrize("version", [(10, 5), (12, 5)])
    def test_another_association_begins_to_count_anew(self, version: tuple[int, int]) -> None:
        """10.5 does by itself."""
        client = ScriptedClient()
        line = "c=IN IP4 0.0.0.0\r\na=ice-ufrag:x\r\na=fingerprint:y\r\na=setup:active\r\na=tls-id:z\r\na=mid:0\r\n"
        steps = renew(
            MediaSession("call", "audio", line, SPLIT),
            AUDIO,
            "ims line",
            line,
            daemon_version=version,
            another_association=True,
        )
        run(steps, client)
        offers = [command for command in client.commands if isinstance(command, Offer)]
        *forgetting, restart, offer = offers
        assert (restart.sdp, offer.sdp) == (line, line)
        without = [f"c=IN {zeros}\r\na=mid:0\r\n" for zeros in ("IP6 ::", "IP4 0.0.0.0")]
        told = [(one.from_tag, one.to_tag, one.sdp) for one in forgetting]
        if version == (10, 5):
            assert told == []
        else:
            assert told == [(tag, "ims", sdp) for tag in ("wic", "wic-in") for sdp in without]
            assert all("port-latching" in one.options.flags for one in forgetting)

    def test_a_refusal_leaves_the_medium_as_it_is(self) -> None:
        client = ScriptedClient(answer=NgErrorReply("answer", "no"))
        with pytest.raises(NgErrorReply):
            run(renew(session(SHARED), AUDIO, "ims line", None, daemon_version=(10, 5)), client)
        assert client.names == ["offer", "answer"]


class TestReofferFromIms:
    @pytest.mark.parametrize(
        ("transport", "reverse_line", "between"),
        [
            pytest.param(SHARED, None, [], id="shared"),
            pytest.param(SPLIT, "reverse line", ["unsubscribe", *REVERSE], id="split"),
        ],
    )
    def test_ims_offers_and_the_wic_answers_as_it_did(
        self, transport: WicTransport, reverse_line: str | None, between: list[str]
    ) -> None:
        client = ScriptedClient()
        steps = reoffer_from_ims(session(transport), AUDIO, "ims offer", reverse_line, daemon_version=(10, 5))
        assert run(steps, client) == "relay answer"
        assert client.names == ["offer", "answer", *between]
        offer, answer = client.commands[:2]
        assert isinstance(offer, Offer)
        assert isinstance(answer, Answer)
        assert (offer.from_tag, offer.to_tag, offer.sdp) == ("ims", "wic", "ims offer")
        assert (answer.from_tag, answer.to_tag, answer.sdp) == ("ims", "wic", "new wic line")


@pytest.mark.parametrize("wic_to_ims", [True, False])
@pytest.mark.parametrize("ims_to_wic", [True, False])
def test_the_gate_of_each_direction_is_at_its_source(wic_to_ims: bool, ims_to_wic: bool) -> None:
    client = ScriptedClient()
    run(gate(session(SHARED, "video"), wic_to_ims=wic_to_ims, ims_to_wic=ims_to_wic), client)
    assert client.commands == [
        (UnblockMedia if wic_to_ims else BlockMedia)("call-v", "wic"),
        (UnblockMedia if ims_to_wic else BlockMedia)("call-v", "ims"),
    ]


class TestClosedDuring:
    GATES: tuple[str, ...] = ("block media", "block media")

    def test_both_directions_are_closed_and_then_as_wanted(self) -> None:
        client = ScriptedClient()
        change = renew(session(SHARED), AUDIO, "ims line", None, daemon_version=(10, 5))
        steps = closed_during(session(SHARED), change, wic_to_ims=True, ims_to_wic=False)
        assert run(steps, client) == Renewal("relay offer", "relay answer")
        assert client.names == [*self.GATES, "offer", "answer", "unblock media", "block media"]

    def test_a_refused_change_leaves_nothing_closed_that_was_not(self) -> None:
        client = ScriptedClient(answer=NgErrorReply("answer", "no"))
        change = renew(session(SHARED), AUDIO, "ims line", None, daemon_version=(10, 5))
        with pytest.raises(NgErrorReply):
            run(closed_during(session(SHARED), change, wic_to_ims=True, ims_to_wic=True), client)
        assert client.names[-2:] == ["unblock media", "unblock media"]

    def test_a_silent_daemon_is_not_asked_again(self) -> None:
        client = ScriptedClient(offer=NgTimeout("offer", 1.0))
        change = renew(session(SHARED), AUDIO, "ims line", None, daemon_version=(10, 5))
        with pytest.raises(NgTimeout):
            run(closed_during(session(SHARED), change, wic_to_ims=True, ims_to_wic=True), client)
        assert client.names == [*self.GATES, "offer"]
