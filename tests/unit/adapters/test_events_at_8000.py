"""What the relay is told of a page that knows telephone-events at 8 kHz alone, beside Opus."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kemi.adapters.relay import relay_nodes
from kemi.adapters.relay.media import MediaRelay
from kemi.core.call import actions as act
from kemi.settings import settings_from_text
from kemi.state.nodes import NodeStore
from rtpengine.ng.commands import Answer, Offer
from rtpengine.sessions import WIC_TAG
from tests.unit.adapters.test_media import NODE, Daemon, change
from tests.unit.site import SETTINGS_TEXT

OWN = "a=rtpmap:101 telephone-event/8000\r\n"
LINE = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 X 109 101\r\n"
    f"c=IN IP4 0.0.0.0\r\na=rtpmap:109 opus/48000/2\r\n{OWN}a=sendrecv\r\n"
)
MEDIA = (replace(change("audio"), wic_line=LINE),)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    found = Daemon()
    monkeypatch.setattr(relay_nodes, "UdpClient", found)
    return found


@pytest.fixture
def media_relay(daemon: Daemon, store: NodeStore) -> MediaRelay:
    assert daemon.commands == []
    return MediaRelay(settings_from_text(SETTINGS_TEXT).media, store)


def test_as_an_answer_its_line_has_events_at_48_khz_too(daemon: Daemon, media_relay: MediaRelay) -> None:
    media_relay.reoffer_from_ims(act.ReofferFromIms("c", NODE, "shared", MEDIA))
    media_relay.restart_ice(act.RestartIce("c", NODE, "shared", MEDIA))
    answers: list[Any] = [one for one in daemon.commands if isinstance(one, Answer)]
    assert [one.to_tag for one in answers] == [WIC_TAG] * 2
    for answer in answers:
        assert OWN in answer.sdp
        assert "a=rtpmap:127 telephone-event/48000\r\n" in answer.sdp


def test_as_an_offer_it_is_left_alone(daemon: Daemon, media_relay: MediaRelay) -> None:
    """Or our answer to the page would have what it has not offered."""
    media_relay.renew(act.RenewMedia("c", NODE, "shared", MEDIA))
    assert daemon.only(Offer).sdp == LINE
