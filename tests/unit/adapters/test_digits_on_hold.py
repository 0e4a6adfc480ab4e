"""What the relay is told of digits that wait as a call is held."""

from __future__ import annotations

import pytest

from kemi.adapters.relay import relay_nodes
from kemi.adapters.relay.media import MediaRelay
from kemi.core.call import actions as act
from kemi.settings import settings_from_text
from kemi.state.nodes import NodeStore
from tests.unit.adapters.test_media import NODE, Daemon, change
from tests.unit.site import SETTINGS_TEXT


@pytest.mark.parametrize("action", [act.RenewMedia, act.ReofferFromIms])
def test_they_are_dropped_before_the_change(
    monkeypatch: pytest.MonkeyPatch,
    store: NodeStore,
    action: type[act.RenewMedia] | type[act.ReofferFromIms],
) -> None:
    daemon = Daemon()
    monkeypatch.setattr(relay_nodes, "UdpClient", daemon)
    media_relay = MediaRelay(settings_from_text(SETTINGS_TEXT).media, store)
    asked = action("c", NODE, "shared", (change("audio", wic_to_ims=False),), new_encoder=True)
    if isinstance(asked, act.RenewMedia):
        media_relay.renew(asked)
    else:
        media_relay.reoffer_from_ims(asked)
    assert daemon.said[:3] == ["block DTMF c", "unblock DTMF c", "block media c"]
    assert not any("DTMF" in said for said in daemon.said[3:])


def test_video_has_none(monkeypatch: pytest.MonkeyPatch, store: NodeStore) -> None:
    daemon = Daemon()
    monkeypatch.setattr(relay_nodes, "UdpClient", daemon)
    media = (change("video"), change("audio", wic_to_ims=False))
    asked = act.ReofferFromIms("c", NODE, "shared", media, new_encoder=True)
    MediaRelay(settings_from_text(SETTINGS_TEXT).media, store).reoffer_from_ims(asked)
    assert [said for said in daemon.said if "DTMF" in said] == ["block DTMF c", "unblock DTMF c"]
