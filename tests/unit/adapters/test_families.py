"""kemi.adapters.relay.families: an offer of the core with IPv6, and the relay's own port."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from kemi.adapters.relay.families import check_families
from kemi.core.errors import NotAcceptableHere, WarnCode
from rtpengine.sessions import MediaSession, WicTransport
from tests.unit.core.sdp.test_address_family import audio

SESSION = MediaSession("call-1", "audio", "", WicTransport.SHARED)


@pytest.mark.parametrize(
    ("offered", "own", "asked", "refused"),
    [
        ("IP6 2001:db8::5", "192.0.2.9", 1, True),
        ("IP6 2001:db8::5", "2001:db8::9", 1, False),
        ("IP6 2001:db8::5", None, 1, False),
        ("IP6 ::", "192.0.2.9", 0, False),
        ("IP4 192.0.2.5", "192.0.2.9", 0, False),
    ],
)
def test_the_relay_is_asked_of_ipv6_alone(offered: str, own: str | None, asked: int, refused: bool) -> None:
    questions: list[Any] = []
    tag = SimpleNamespace(streams=lambda: [SimpleNamespace(local_address=own)])

    def run(sequence: Any) -> Any:
        questions.append(next(sequence))
        return SimpleNamespace(tags={"ims": tag})

    with pytest.raises(NotAcceptableHere) if refused else nullcontext() as error:
        check_families(run, SESSION, audio(offered))
    assert len(questions) == asked
    if refused:
        assert error is not None
        assert error.value.warn_code is WarnCode.INCOMPATIBLE_ADDRESSES
