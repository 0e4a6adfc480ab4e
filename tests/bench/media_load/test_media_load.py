"""One call through the real relay: the bench hears its tones, and notices when they stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing

import pytest

from rtpengine.ng.commands import BlockMedia
from tests.bench.media_load.relays import Gateway, Relay, passing_gateway, transcoding_gateway
from tests.bench.media_load.streams import CORE_HZ, WEB_HZ, Generator, tone_of

pytestmark = pytest.mark.contract


@pytest.mark.parametrize("running", [passing_gateway, transcoding_gateway])
def test_a_call_is_heard_both_ways_and_loss_is_seen(
    running: Callable[[int], AbstractContextManager[Relay]],
) -> None:
    with running(20) as relay, closing(Generator()) as generator:
        assert isinstance(relay, Gateway)
        generator.add(relay.set_up())
        generator.run(0.2)
        generator.forget()
        generator.run(0.8)
        to_core, to_page = generator.flows()
        assert (to_core.sent, to_page.sent) == (40, 40)
        assert max(to_core.loss, to_page.loss) <= 0.1
        call = generator.calls[0]
        core, page = call.heard()
        assert abs(core - WEB_HZ) < 10
        assert abs(page - CORE_HZ) < 10
        assert call.broken == 0
        passed_on = set(call.kept_at_core or []) <= set(tone_of(call.web_codec, WEB_HZ))
        assert passed_on == (running is passing_gateway)

        relay.client.request(BlockMedia("load1"))
        generator.forget()
        generator.run(0.2)
        assert [flow.loss for flow in generator.flows()] == [1.0, 1.0]
