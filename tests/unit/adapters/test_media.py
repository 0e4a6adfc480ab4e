"""Media actions become ng commands: one rtpengine call for each medium, and no port is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from kemi.adapters.relay import relay_nodes
from kemi.adapters.relay.media import MediaRelay
from kemi.core.call import actions as act
from kemi.core.call.events import (
    ImsReoffered,
    IncomingConnected,
    IncomingReserved,
    MediaConnected,
    MediaGated,
    MediaRenewed,
    Renewed,
    Reserved,
    ReverseAccepted,
)
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Reply, Side
from kemi.core.sdp.interwork import repertoire
from kemi.core.sdp.text import sdp_from_text
from kemi.settings import settings_from_text
from kemi.state.nodes import NodeStore
from rtpengine.ng.commands import Answer, Command, Delete, Offer
from rtpengine.ng.errors import NgError, NgErrorReply, NgTimeout
from rtpengine.ng.replies import Done, SdpReply, SubscribeRequestReply
from rtpengine.ng.statistics import CallStatistics, Counters
from rtpengine.pool import NodeAddress
from tests.unit.adapters.relay import heard_of
from tests.unit.core.call import descriptions as sdp
from tests.unit.site import SETTINGS_TEXT

NODE = "192.0.2.9:2223"
REPLY = Reply(Side.IMS, "INVITE", "call-1", "page", "core1", 1)
AUDIO = act.MediumRequest("audio", sdp.chromium("audio-sendonly"), True)
TWO_WAY = act.MediumRequest("audio", sdp.chromium("audio-sendonly"), False)
EVENTS_8000 = "a=rtpmap:126 telephone-event/8000"
AS_FIREFOX = f"v=0\r\nm=audio 9 X 109 126\r\na=rtpmap:109 opus/48000/2\r\n{EVENTS_8000}\r\n"
OF_PCMA = "v=0\r\nm=audio 9 X 8\r\na=rtpmap:8 PCMA/8000\r\n"
VIDEO = act.MediumRequest("video", sdp.chromium("av-sendonly"), True)


def _kind(command: Any) -> str:
    return "video" if command.call_id.endswith("-v") else "audio"


ANSWERS: dict[str, Callable[[Any], object]] = {
    "offer": lambda command: SdpReply(sdp.relay_offer(_kind(command))),
    "answer": lambda command: SdpReply(sdp.relay_answer(_kind(command))),
    "subscribe request": lambda command: SubscribeRequestReply(
        sdp.relay_reverse_offer(_kind(command)), "wic-in", ("ims",)
    ),
    "delete": lambda _: Done(),
    # nobody has sent anything
    "query": lambda _: CallStatistics(0, 0, {}, {}, Counters(0, 0, 0), Counters(0, 0, 0)),
}


class Daemon:
    """Stands where UdpClient stands: a healthy rtpengine, but for the commands it was told to fail."""

    def __init__(self) -> None:
        self.commands: list[Command[Any]] = []
        self.failures: dict[tuple[str, str], NgError] = {}
        """Command and medium -> what it raises."""
        self.thrown: list[str] = []

    def __call__(self, address: NodeAddress, *, deadline_s: float, give_up: Callable[[], bool]) -> Daemon:
        assert (str(address), deadline_s in (1.0, 0.25), give_up()) == (NODE, True, False)
        return self

    def request(self, command: Command[Any]) -> object:
        """Record a command and answer it."""
        self.commands.append(command)
        error = self.failures.get((command.command, _kind(command)))
        if error is not None:
            raise error
        return ANSWERS.get(command.command, lambda _: Done())(command)

    def send_only(self, commands: tuple[Command[Any], ...]) -> None:
        """Record commands nobody waits for."""
        deletes: Any = commands
        self.thrown += [f"{command.command} {command.call_id}" for command in deletes]

    def request_all(self, commands: tuple[Command[Any], ...]) -> list[object]:
        """Do them one after the other."""
        return [self.request(command) for command in commands]

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
    monkeypatch.setattr(relay_nodes, "UdpClient", found)
    return found


@pytest.fixture
def media_relay(daemon: Daemon, store: NodeStore) -> MediaRelay:
    assert daemon.commands == []
    return MediaRelay(settings_from_text(SETTINGS_TEXT).media, store)


def reservation(transport: str, *media_: act.MediumRequest) -> act.ReserveMedia:
    return act.ReserveMedia("call-1", NODE, transport, media_)


def connection(transport: str, *media_: act.MediumAnswer, node: str = NODE) -> act.ConnectMedia:
    return act.ConnectMedia("call-1", node, transport, media_, REPLY)


def answered(kind: str, ims_answer: str | None) -> act.MediumAnswer:
    return act.MediumAnswer(kind, "wic offer", True, ims_answer, "wic answer")


class TestReserve:
    @pytest.mark.parametrize(
        ("transport", "medium", "codec"),
        [
            pytest.param(
                "shared", AUDIO, "opus", id="shared: the page's own codec, nothing to transcode yet"
            ),
            pytest.param(
                "split", AUDIO, "pcma", id="split: another one, or the far end's type would be the page's"
            ),
            pytest.param("split", TWO_WAY, "opus", id="no line to add: the page's own codec"),
        ],
    )
    def test_the_stand_in_for_the_answer_suits_the_transport(
        self,
        daemon: Daemon,
        media_relay: MediaRelay,
        transport: str,
        medium: act.MediumRequest,
        codec: str,
    ) -> None:
        media_relay.reserve(reservation(transport, medium))
        assert sdp_from_text(daemon.only(Answer).sdp).media[0].codecs[0].name == codec

    @pytest.mark.parametrize(
        ("transport", "medium"),
        [pytest.param("shared", AUDIO, id="shared"), pytest.param("split", TWO_WAY, id="two-way")],
    )
    def test_what_a_node_makes_of_a_browsers_codecs_is_learned_once(
        self, daemon: Daemon, media_relay: MediaRelay, transport: str, medium: act.MediumRequest
    ) -> None:
        for _ in range(2):
            media_relay.reserve(reservation(transport, medium))
        first, second = (command for command in daemon.commands if isinstance(command, Offer))
        assert (first.sdp, bool(first.options.codec.transcode)) == (AUDIO.wic_offer, True)
        assert (repertoire(second.sdp), second.options.codec.transcode) == (
            repertoire(sdp.relay_offer("audio")),
            (),
        )

    @pytest.mark.parametrize(
        ("transport", "medium"),
        [
            pytest.param("split", AUDIO, id="a line of its own needs a placeholder that is transcoded"),
            pytest.param("shared", act.MediumRequest("audio", OF_PCMA, True), id="no Opus"),
            pytest.param(
                "shared",
                act.MediumRequest("audio", AS_FIREFOX, True),
                id="events the node would have to number",
            ),
        ],
    )
    def test_elsewhere_the_node_is_asked_each_time(
        self, daemon: Daemon, media_relay: MediaRelay, transport: str, medium: act.MediumRequest
    ) -> None:
        for _ in range(2):
            media_relay.reserve(reservation(transport, medium))
        assert {command.sdp for command in daemon.commands if isinstance(command, Offer)} == {
            medium.wic_offer
        }

    def test_a_node_that_failed_is_asked_anew(
        self, daemon: Daemon, media_relay: MediaRelay, store: NodeStore
    ) -> None:
        media_relay.reserve(reservation("shared", AUDIO))
        daemon.failures["answer", "audio"] = NgTimeout("answer", 1.0)
        with pytest.raises(MediaUnavailable):
            media_relay.reserve(reservation("shared", AUDIO))
        del daemon.failures["answer", "audio"]
        heard_of(store, NODE)
        media_relay.reserve(reservation("shared", AUDIO))
        assert [command.sdp for command in daemon.commands if isinstance(command, Offer)][
            -1
        ] == AUDIO.wic_offer

    def test_each_medium_is_a_call_of_its_own_and_what_the_relay_says_comes_back_but_for_ptime(
        self, daemon: Daemon, media_relay: MediaRelay, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        timed = {kind: SdpReply(f"{sdp.relay_answer(kind)}a=ptime:10\r\n") for kind in ("audio", "video")}
        monkeypatch.setitem(ANSWERS, "answer", lambda command: timed[_kind(command)])
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

    @pytest.mark.parametrize(
        ("events", "ims_events", "transcoded"),
        [
            pytest.param(EVENTS_8000, EVENTS_8000, ("PCMA",), id="only what the far end took"),
            pytest.param(EVENTS_8000, "a=rtpmap:99 telephone-event/16000", ("PCMA",), id="goes with AMR-WB"),
            pytest.param(
                EVENTS_8000,
                "a=rtpmap:99 telephone-event/48000",
                ("opus", "PCMA"),
                id="numbered by the node: all",
            ),
            pytest.param(
                "a=rtpmap:110 telephone-event/48000", EVENTS_8000, ("opus", "PCMA"), id="and so is this one"
            ),
            pytest.param("a=sendrecv", "a=sendrecv", ("PCMA",), id="nobody has events"),
        ],
    )
    def test_the_node_makes_ready_for(
        self,
        daemon: Daemon,
        media_relay: MediaRelay,
        events: str,
        ims_events: str,
        transcoded: tuple[str, ...],
    ) -> None:
        wic_offer = f"v=0\r\nm=audio 9 X 111\r\na=rtpmap:111 opus/48000/2\r\n{events}\r\n"
        ims_answer = f"v=0\r\nm=audio 9 X 8\r\na=rtpmap:8 PCMA/8000\r\n{ims_events}\r\n"
        media_relay.connect(
            connection("shared", act.MediumAnswer("audio", wic_offer, True, ims_answer, None))
        )
        assert daemon.only(Offer).options.codec.transcode == transcoded

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
            {kind: sdp.relay_offer(kind) for kind in ("audio", "video")}, act.MessageEdits(), node=NODE
        )
        calls = ("c;gw-in-1", "c;gw-in-1-v")
        assert daemon.said == [f"{command} {name}" for name in calls for command in ("offer", "unsubscribe")]

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


OFFERED = "v=0\r\nm=audio 9 X 97 8\r\na=rtpmap:97 AMR-WB/16000\r\na=rtpmap:8 PCMA/8000\r\n"


def change(kind: str, ims_line: str = OF_PCMA, **more: Any) -> act.MediumChange:
    return act.MediumChange(kind, "a=setup:actpass of the page", ims_line, **more)


class TestRunning:
    """Changes of a running call."""

    @pytest.mark.parametrize(
        ("transport", "reverse_line", "last", "reverse"),
        [
            pytest.param("", None, "answer", None, id="a call of the core has no transport of its own"),
            pytest.param(
                "split", sdp.relay_reverse_offer("audio"), "subscribe answer", "subscription", id="split"
            ),
        ],
    )
    def test_both_sides_as_they_spoke_last(
        self,
        daemon: Daemon,
        media_relay: MediaRelay,
        transport: str,
        reverse_line: str | None,
        last: str,
        reverse: str | None,
    ) -> None:
        medium = change("audio", sdp.relay_offer("audio"), reverse_line=reverse_line)
        event = media_relay.renew(act.RenewMedia("c", NODE, transport, (medium,), "bearer"))
        offered = None if reverse is None else sdp.relay_reverse_offer("audio")
        assert event == MediaRenewed(
            {"audio": Renewed(sdp.relay_offer("audio"), sdp.relay_answer("audio"), offered)}, "bearer"
        )
        assert daemon.said[-3] == f"{last} c"
        assert "actpass" not in "".join(getattr(command, "sdp", "") for command in daemon.commands)

    @pytest.mark.parametrize(
        ("ims_line", "offers"),
        [
            pytest.param(OF_PCMA, ["wic"], id="as it was offered"),
            pytest.param(OFFERED.replace("97", "104"), ["wic", "ims"], id="numbers of its own"),
        ],
    )
    def test_a_far_end_with_payload_types_of_its_own_is_heard_as_offerer(
        self,
        daemon: Daemon,
        media_relay: MediaRelay,
        monkeypatch: pytest.MonkeyPatch,
        ims_line: str,
        offers: list[str],
    ) -> None:
        monkeypatch.setitem(ANSWERS, "offer", lambda _: SdpReply(OFFERED))
        media_relay.renew(act.RenewMedia("c", NODE, "shared", (change("audio", ims_line),)))
        assert [command.from_tag for command in daemon.commands if isinstance(command, Offer)] == offers

    def test_the_core_s_offer_and_the_page_s_answer_of_before(
        self, daemon: Daemon, media_relay: MediaRelay
    ) -> None:
        action = act.ReofferFromIms("c", NODE, "shared", (change("audio"), change("video")), "bearer")
        event = media_relay.reoffer_from_ims(action)
        assert event == ImsReoffered({kind: sdp.relay_answer(kind) for kind in ("audio", "video")}, "bearer")
        assert [command.from_tag for command in daemon.commands if isinstance(command, Offer)] == ["ims"] * 2
        assert {command.sdp for command in daemon.commands if isinstance(command, Answer)} == {
            "a=setup:active of the page"
        }

    def test_nothing_passes_during_a_change(self, daemon: Daemon, media_relay: MediaRelay) -> None:
        medium = change("audio", wic_to_ims=False)
        media_relay.reoffer_from_ims(act.ReofferFromIms("c", NODE, "shared", (medium,)))
        blocks, unblocks = ["block media c"] * 2, ["block media c", "unblock media c"]
        assert daemon.said == [*blocks, "offer c", "answer c", *unblocks]
        assert [command.from_tag for command in cast("Any", daemon.commands[-2:])] == ["wic", "ims"]
        daemon.failures["offer", "audio"] = NgTimeout("offer", 1.0)
        with pytest.raises(
            MediaUnavailable
        ):  # perhaps it is only slow: it hears of the gate when it wakes up
            media_relay.reoffer_from_ims(act.ReofferFromIms("c", NODE, "shared", (medium,)))
        assert daemon.thrown == ["block media c", "unblock media c"]

    def test_media_is_gated_by_direction(self, daemon: Daemon, media_relay: MediaRelay) -> None:
        media = (act.MediumGate("audio", True, False), act.MediumGate("video", False, False))
        assert media_relay.gate(act.GateMedia("c", NODE, media, "bearer")) == MediaGated("bearer")
        assert daemon.said == ["unblock media c", "block media c", "block media c-v", "block media c-v"]


class TestTrouble:
    """What a node does wrong becomes MediaUnavailable; a silent one gets no new calls."""

    def test_a_node_that_refuses_stays_in_use(self, daemon: Daemon, media_relay: MediaRelay) -> None:
        daemon.failures["offer", "audio"] = NgErrorReply("offer", "no")
        with pytest.raises(MediaUnavailable, match=f"{NODE}: .*no"):
            media_relay.connect(connection("shared", answered("audio", "x")))
        assert media_relay.choose_node("call-2") == NODE

    def test_a_silent_node_is_left_alone_until_the_agent_has_heard_of_it(
        self, daemon: Daemon, media_relay: MediaRelay, store: NodeStore
    ) -> None:
        daemon.failures["offer", "audio"] = NgTimeout("offer", 1.0)
        with pytest.raises(MediaUnavailable, match="does not answer"):
            media_relay.connect(connection("shared", answered("audio", "x")))
        with pytest.raises(MediaUnavailable):
            media_relay.choose_node("call-2")
        asked = len(daemon.said)
        with pytest.raises(MediaUnavailable, match="known to be down"):
            media_relay.accept_reverse(act.AcceptReverse("call-1", NODE, "split", (answered("audio", "x"),)))
        assert len(daemon.said) == asked
        heard_of(store, NODE)
        assert media_relay.choose_node("call-2") == NODE

    def test_a_node_that_is_no_longer_configured(self, media_relay: MediaRelay) -> None:
        with pytest.raises(MediaUnavailable, match="no longer configured"):
            media_relay.statistics("192.0.2.77:2223", "call-1", "audio")

    def test_a_dead_node_is_waited_for_once_at_the_end_of_a_call(
        self, daemon: Daemon, media_relay: MediaRelay, store: NodeStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        daemon.failures["delete", "audio"] = NgTimeout("delete", 1.0)
        media_relay.release(act.ReleaseMedia("call-1", NODE, ("audio", "video")))
        assert f"event=media_not_released call_id=call-1 medium=audio+video node={NODE}" in caplog.text
        assert daemon.said.count("delete call-1") == 1
        assert daemon.thrown == ["delete call-1", "delete call-1-v"]
        assert sorted(store.unreleased(NODE)) == ["call-1", "call-1-v"]
        media_relay.release(act.ReleaseMedia("call-2", NODE, ("audio",)))
        assert "delete call-2" not in daemon.said
        assert daemon.thrown[2:] == ["delete call-2"]
