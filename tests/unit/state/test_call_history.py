"""Which calls that are over have failed."""

from __future__ import annotations

from typing import Any

import pytest

from kemi.state.call_history import FinishedCall, has_failed, is_asked_about

TALKED = {"answered_at": 2.0, "duration_s": 58.0, "by": "page", "why": "BYE"}
PACKETS = {"packets": 2900}


def call(**changes: Any) -> FinishedCall:
    fields: dict[str, Any] = {
        "id": "1", "key": "k", "call_id": "c", "impu": "sip:a@b", "peer": "sip:c@d", "direction": "to_page",
        "began_at": 1.0, "answered_at": 0.0, "ended_at": 60.0, "duration_s": 0.0, "by": "core", "why": "refused",
        "status": 486, "relay": "", "node": "gw1", "media": {},
    }  # fmt: skip
    return FinishedCall(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        pytest.param({}, True, id="the core refuses"),
        pytest.param({"by": "page", "status": 603}, True, id="the page refuses"),
        pytest.param({"by": "gateway", "why": "nobody answered", "status": 480}, True, id="nobody answers"),
        pytest.param({"why": "CANCEL", "status": 487}, False, id="the caller gives up"),
        pytest.param({"by": "page", "why": "CANCEL", "status": 408}, False, id="given up as nobody answers"),
        pytest.param({"why": "answered elsewhere", "status": 487}, False, id="another device answers"),
        pytest.param(
            {"by": "gateway", "why": "ended by the user", "status": 487}, False, id="ended while it rings"
        ),
        pytest.param({**TALKED, "by": "gateway", "why": "no media for 60 s"}, True, id="the gateway ends it"),
        pytest.param({**TALKED, "by": "gateway", "why": "ended by the operator"}, False, id="by command"),
        pytest.param(TALKED, False, id="hung up"),
    ],
)
def test_history_and_traces_have_one_rule(changes: dict[str, Any], failed: bool) -> None:
    assert (has_failed(call(**changes)), is_asked_about(call(**changes))) == (failed, failed)


@pytest.mark.parametrize(
    ("kind", "asked"), [pytest.param("audio", True, id="sound"), pytest.param("video", False, id="no camera")]
)
def test_a_leg_without_sound_is_asked_about(kind: str, asked: bool) -> None:
    media = {"audio": {"wic": PACKETS, "ims": PACKETS}, "video": {"wic": PACKETS, "ims": PACKETS}}
    media[kind] = {"wic": {"packets": 0}, "ims": PACKETS}
    assert is_asked_about(call(**TALKED, status=0, media=media)) is asked
    assert not has_failed(call(**TALKED, status=0, media=media))
