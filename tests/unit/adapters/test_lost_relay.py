"""A media node that a call still has, and that does not have the call: every change says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from kemi.adapters.relay import relay_nodes
from kemi.adapters.relay.media import MediaRelay
from kemi.core.call import actions as act
from kemi.core.call.events import MediaConnected
from kemi.core.errors import MediaUnavailable
from kemi.settings import settings_from_text
from kemi.state.nodes import NodeStore
from tests.unit.adapters.test_media import AUDIO, NODE, Daemon, answered, connection
from tests.unit.core.call import descriptions as sdp
from tests.unit.site import SETTINGS_TEXT

GONE = "192.0.2.77:2223"
LINES = (act.MediumChange("audio", sdp.chromium("audio-sendonly"), sdp.core_answer()),)
CHANGED = ("call-1", GONE, "shared", LINES)


@pytest.fixture
def media_relay(monkeypatch: pytest.MonkeyPatch, store: NodeStore) -> MediaRelay:
    monkeypatch.setattr(relay_nodes, "UdpClient", Daemon())
    return MediaRelay(settings_from_text(SETTINGS_TEXT).media, store)


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda relay: relay.statistics(GONE, "call-1", "audio"), id="statistics"),
        pytest.param(
            lambda relay: relay.connect(
                connection("shared", answered("audio", sdp.core_answer()), node=GONE)
            ),
            id="connect",
        ),
        pytest.param(lambda relay: relay.renew(act.RenewMedia(*CHANGED)), id="renew"),
        pytest.param(lambda relay: relay.reoffer_from_ims(act.ReofferFromIms(*CHANGED)), id="reoffer"),
        pytest.param(lambda relay: relay.restart_ice(act.RestartIce(*CHANGED)), id="restart ICE"),
        pytest.param(
            lambda relay: relay.gate(act.GateMedia("call-1", GONE, (act.MediumGate("audio", True, True),))),
            id="gate",
        ),
        pytest.param(
            lambda relay: relay.play_digits(act.PlayDigits("call-1", GONE, "1", 100, 8000, 6)), id="digits"
        ),
    ],
)
def test_one_that_is_no_longer_configured(
    media_relay: MediaRelay, ask: Callable[[MediaRelay], object]
) -> None:
    with pytest.raises(MediaUnavailable, match="no longer configured"):
        ask(media_relay)


@pytest.mark.parametrize("transport", ["shared", "split"])
def test_one_that_was_started_again_before_the_answer_has_other_credentials(
    media_relay: MediaRelay, transport: str
) -> None:
    """Of the offer it has made a new call, which the page knows nothing of: nobody would hear anybody."""
    media_relay.reserve(act.ReserveMedia("call-1", NODE, transport, (AUDIO,)))
    known = connection(transport, answered("audio", sdp.core_answer()))
    told = sdp.relay_answer("audio")
    ufrag = next(line for line in told.splitlines() if line.startswith("a=ice-ufrag:"))
    for text in ("", told):
        assert media_relay.connect(replace(known, told=text)) == MediaConnected(known.reply)
    with pytest.raises(MediaUnavailable, match="started again"):
        media_relay.connect(replace(known, told=told.replace(ufrag, "a=ice-ufrag:before")))
