"""The table of what daemons of a version do, and what follows from it."""

from dataclasses import asdict

import pytest

from rtpengine.capabilities import OLDEST, Version, capabilities
from rtpengine.ng.commands import BlockMedia, UnblockMedia
from rtpengine.profiles import audio_profile
from rtpengine.running import gate
from rtpengine.sessions import MediaSession, WicTransport

SESSION = MediaSession("call", "audio", "", WicTransport.SHARED)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        pytest.param(OLDEST, set(), id="10.5"),
        pytest.param((11, 4), {"opus_takes_all_rates", "asymmetric_learns"}, id="11.4"),
        pytest.param(
            (12, 5),
            {
                "opus_takes_all_rates",
                "asymmetric_learns",
                "knows_directional",
                "keeps_srtp_index",
                "event_as_long_as_asked",
                "offer_takes_over",
                "digits_after_events",
                "passes_while_armed",
            },
            id="12.5",
        ),
        pytest.param((26, 0), set(asdict(capabilities(OLDEST))), id="26.0"),
    ],
)
def test_what_a_version_does(version: Version, expected: set[str]) -> None:
    assert {name for name, found in asdict(capabilities(version)).items() if found} == expected


@pytest.mark.parametrize(
    ("version", "flags"),
    [pytest.param((10, 5), None, id="10.5"), pytest.param((26, 0), ("directional",), id="26.0")],
)
def test_one_side_is_blocked_alone(version: Version, flags: tuple[str, ...] | None) -> None:
    step = next(gate(SESSION, wic_to_ims=False, ims_to_wic=True, daemon_version=version))
    assert step == (BlockMedia("call", "wic", flags), UnblockMedia("call", "ims", flags))


@pytest.mark.parametrize("wic_codec", ["opus", "evs"])
def test_every_profile_knows_its_daemon(wic_codec: str) -> None:
    old, new = (audio_profile(wic_codec=wic_codec, daemon_version=version) for version in (OLDEST, (12, 5)))
    assert "asymmetric" in old.answer().flags
    assert "asymmetric" not in new.answer().flags
