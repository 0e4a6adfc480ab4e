"""Media actions become ng commands: one rtpengine call for each medium, and no port is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from kemi.adapters import media
from kemi.adapters.media import MediaRelay
from kemi.core.call import actions as act
from kemi.core.call.events import (
    IncomingConnected,
    IncomingReserved,
    MediaConnected,
    Reserved,
    ReverseAccepted,
)
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Reply, Side
from kemi.core.sdp.text import sdp_from_text
from kemi.settings import settings_from_text
from rtpengine.ng.commands import Answer, Command, Delete, Offer
from rtpengine.ng.errors import NgError, NgErrorReply, NgTimeout
from rtpengine.ng.replies import DeleteReply, Done, SdpReply, SubscribeRequestReply
from rtpengine.pool import NodeAddress
from tests.unit.core.call import descriptions as sdp
from tests.unit.site import SETTINGS_TEXT

NODE = "192.0.2.9:2223"
REPLY = Reply(Side.IMS, "INVITE", "call-1", "page", "core1", 1)
AUDIO = act.MediumRequest("audio", sdp.chromium("audio-sendonly"), True)
VIDEO = act.MediumRequest("video", sdp.chromium("av-sendonly"), True)


def _kind(command: Any) -> str:
    return "video" if command.call_id.endswith("-v") else "audio"


ANSWERS: dict[str, Callable[[Any], object]] = {
    "offer": lambda command: SdpReply(sdp.relay_offer(_kind(command))),
    "answer": lambda command: SdpReply(sdp.relay_answer(_kind(command))),
    "subscribe request": lambda command: SubscribeRequestReply(
        sdp.relay_reverse_offer(_kind(command)), "wic-in", ("ims",)
    ),
    "delete": lambda _: DeleteReply(None),
}


class Daemon:
    """Stands where UdpClient stands: a healthy rtpengine, but for the commands it was told to fail."""

    def __init__(self) -> None:
        self.commands: list[Command[Any]] = []
        self.failures: dict[tuple[str, str], NgError] = {}
        """Command and medium -> what it raises."""

    def __call__(self, address: NodeAddress, *, deadline_s: float) -> Daemon:
        assert (str(address), deadline_s) == (NODE, 1.0)
        return self

    def request(self, command: Command[Any]) -> object:
        """Record a command and answer it."""
        self.commands.append(command)
        error = self.failures.get((command.command, _kind(command)))
        if error is not None:
            raise error
        return ANSWERS.get(command.command, lambda _: Done())(command)

    @property
    def said(self) -> list[str]:
        """The commands with their call-ids."""
        return [f"{command.command} {cast('Any', command).call_id}" for command in self.commands]

    def only(self, kind: type[Any]) -> Any:
        """Return the one command of this kind."""
        (found,) = [command for command in self.commands if isinstance(command, kind)]
        return found


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    found = Daemon()
    monkeypatch.setattr(media, "UdpClient", found)
    return found


@pytest.fixture
def media_relay(daemon: Daemon) -> MediaRelay:
    assert daemon.commands == []
    return MediaRelay(settings_from_text(SETTINGS_TEXT).media)


def reservation(transport: str, *media_: act.MediumRequest) -> act.ReserveMedia:
    return act.ReserveMedia("call-1", NODE, transport, media_)


def connection(transport: str, *media_: act.MediumAnswer, node: str = NODE) -> act.ConnectMedia:
    return act.ConnectMedia("call-1", node, transport, media_, REPLY)


def answered(kind: str, ims_answer: str | None) -> act.MediumAnswer:
    return act.MediumAnswer(kind, "wic offer", True, ims_answer, "wic answer")


class TestReserve:
    """Ports for every medium, or for none."""

    @pytest.mark.parametrize(
        ("transport", "codec"),
        [
            pytest.param("shared", "opus", id="shared: the page's own codec, nothing to transcode yet"),
            pytest.param("split", "pcma", id="split: another one, or the far end's type would be the page's"),
        ],
    )
    def test_the_stand_in_for_the_answer_suits_the_transport(
        self, daemon: Daemon, media_relay: MediaRelay, transport: str, codec: str
    ) -> None:
        media_relay.reserve(reservation(transport, AUDIO))
        assert sdp_from_text(daemon.only(Answer).sdp).media[0].codecs[0].name == codec

    def test_each_medium_is_a_call_of_its_own_and_what_the_relay_says_comes_back(
        self, daemon: Daemon, media_relay: MediaRelay
    ) -> None:
        reserved = media_relay.reserve(reservation("split", AUDIO, VIDEO))
        assert reserved.reserved == {
            kind: Reserved(sdp.relay_offer(kind), sdp.relay_answer(kind), sdp.relay_reverse_offer(kind))
            for kind in ("audio", "video")
        }
        steps = ["offer", "answer", "block media", "subscribe request"]
        assert daemon.said == [f"{step} {name}" for name in ("call-1", "call-1-v") for step in steps]

    def test_one_medium_that_fails_gives_the_others_back(
        self, daemon: Daemon, media_relay: MediaRelay
    ) -> None:
        daemon.failures["offer", "video"] = NgErrorReply("offer", "no ports")
        with pytest.raises(MediaUnavailable, match="no ports"):
            media_relay.reserve(reservation("shared", AUDIO, VIDEO))
        assert {command.call_id for command in daemon.commands if isinstance(command, Delete)} == {
            "call-1",
            "call-1-v",
        }


class TestConnect:
    """The far end's answer, per medium."""

    def test_a_medium_the_far_end_refused_is_given_back(
        self, daemon: Daemon, media_relay: MediaRelay
    ) -> None:
        action = connection("shared", answered("audio", "ims answer"), answered("video", None))
        assert media_relay.connect(action) == MediaConnected(REPLY)
        assert daemon.said == ["offer call-1", "answer call-1", "unblock media call-1", "delete call-1-v"]
        assert (daemon.only(Offer).sdp, daemon.only(Answer).sdp) == ("wic offer", "ims answer")

    def test_the_pages_answer_is_handed_in_again_where_it_has_a_transport_of_its_own(
        self, daemon: Daemon, media_relay: MediaRelay
    ) -> None:
        media_relay.connect(connection("split", answered("audio", "ims answer")))
        assert "subscribe answer call-1" in daemon.said

    @pytest.mark.parametrize(
        ("transport", "said"),
        [
            pytest.param("split", ["subscribe answer call-1"], id="split"),
            pytest.param("shared", [], id="shared"),
        ],
    )
    def test_the_reverse_line_is_accepted_where_it_has_its_own_transport(
        self, daemon: Daemon, media_relay: MediaRelay, transport: str, said: list[str]
    ) -> None:
        action = act.AcceptReverse("call-1", NODE, transport, (answered("audio", None),))
        assert media_relay.accept_reverse(action) == ReverseAccepted()
        assert daemon.said == said


class TestIncoming:
    """A call of the core: its offer first, the page's answer then."""

    RESERVE = act.ReserveIncoming("c;gw-in-1", NODE, {"audio": "a", "video": "v"}, act.MessageEdits())

    def test_each_medium_is_offered_to_the_page(self, daemon: Daemon, media_relay: MediaRelay) -> None:
        reserved = media_relay.reserve_incoming(self.RESERVE)
        assert reserved == IncomingReserved(
            {kind: sdp.relay_offer(kind) for kind in ("audio", "video")}, act.MessageEdits()
        )
        assert daemon.said == ["offer c;gw-in-1", "offer c;gw-in-1-v"]

    def test_one_that_fails_gives_the_others_back(self, daemon: Daemon, media_relay: MediaRelay) -> None:
        daemon.failures["offer", "video"] = NgErrorReply("offer", "no ports")
        with pytest.raises(MediaUnavailable, match="no ports"):
            media_relay.reserve_incoming(self.RESERVE)
        assert {command.call_id for command in daemon.commands if isinstance(command, Delete)} == {
            "c;gw-in-1",
            "c;gw-in-1-v",
        }

    def test_the_page_s_answer_and_what_it_refused(self, daemon: Daemon, media_relay: MediaRelay) -> None:
        action = act.ConnectIncoming("c;gw-in-1", NODE, {"audio": "wic answer", "video": None}, REPLY)
        connected = media_relay.connect_incoming(action)
        assert connected == IncomingConnected({"audio": sdp.relay_answer("audio")}, REPLY)
        assert daemon.said == ["answer c;gw-in-1", "delete c;gw-in-1-v"]
        assert daemon.only(Answer).sdp == "wic answer"


class TestTrouble:
    """What a node does wrong becomes MediaUnavailable; a silent one gets no new calls."""

    def test_a_node_that_refuses_stays_in_use(self, daemon: Daemon, media_relay: MediaRelay) -> None:
        daemon.failures["offer", "audio"] = NgErrorReply("offer", "no")
        with pytest.raises(MediaUnavailable, match=f"{NODE}: .*no"):
            media_relay.connect(connection("shared", answered("audio", "x")))
        assert media_relay.choose_node("call-2") == NODE

    def test_a_silent_node_is_not_chosen_until_it_answers_again(
        self, daemon: Daemon, media_relay: MediaRelay
    ) -> None:
        daemon.failures["offer", "audio"] = NgTimeout("offer", 1.0)
        with pytest.raises(MediaUnavailable, match="does not answer"):
            media_relay.connect(connection("shared", answered("audio", "x")))
        with pytest.raises(MediaUnavailable):
            media_relay.choose_node("call-2")
        media_relay.release(act.ReleaseMedia("call-1", NODE, ("audio",)))
        assert media_relay.choose_node("call-2") == NODE

    def test_a_node_that_is_no_longer_configured(self, media_relay: MediaRelay) -> None:
        with pytest.raises(MediaUnavailable, match="no longer configured"):
            media_relay.accept_reverse(
                act.AcceptReverse("call-1", "192.0.2.77:2223", "split", (answered("audio", None),))
            )

    def test_a_dead_node_is_asked_once_at_the_end_of_a_call(
        self, daemon: Daemon, media_relay: MediaRelay, caplog: pytest.LogCaptureFixture
    ) -> None:
        daemon.failures["delete", "audio"] = NgTimeout("delete", 1.0)
        media_relay.release(act.ReleaseMedia("call-1", NODE, ("audio", "video")))
        assert daemon.said == ["delete call-1"]
        assert f"event=media_not_released call_id=call-1 medium=audio node={NODE}" in caplog.text
