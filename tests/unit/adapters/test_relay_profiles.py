"""Nodes of different versions side by side: each medium has the profile of its own node."""

from kemi.adapters.relay_profiles import RelayProfiles
from kemi.settings import MediaNode, MediaSettings
from rtpengine.capabilities import OLDEST
from tests.unit.core.call import descriptions as sdp

OLD, NEW, GONE = "192.0.2.9:2223", "192.0.2.10:2223", "192.0.2.11:2223"
SETTINGS = MediaSettings(
    [MediaNode("192.0.2.9", 2223), MediaNode("192.0.2.10", 2223, "12.5")], audio_codecs=["PCMA", "opus"]
)
PROFILES = RelayProfiles(SETTINGS, {OLD: OLDEST, NEW: (12, 5)})


def test_each_node_has_its_own() -> None:
    line = sdp.chromium("audio-sendonly")
    old, new = (PROFILES.of_page(node, "audio", line) for node in (OLD, NEW))
    assert (old.daemon_version, new.daemon_version) == (PROFILES.version(OLD), PROFILES.version(NEW))
    assert (PROFILES.version(OLD), PROFILES.version(NEW)) == ((10, 5), (12, 5))
    assert old.offer().flags != new.offer().flags


def test_a_node_that_is_no_longer_configured_counts_as_the_oldest() -> None:
    assert PROFILES.of_page(GONE, "video") is PROFILES.of_page(OLD, "video")


def test_a_page_that_has_not_spoken_speaks_what_the_operator_wants_first_if_the_core_does() -> None:
    offers = [f"v=0\r\nm=audio 9 RTP/AVP 8\r\na=rtpmap:8 {name}/8000\r\n" for name in ("PCMA", "PCMU")]
    pcma, opus = (PROFILES.of_core(NEW, "audio", offer) for offer in offers)
    assert pcma.codec.mask == ("PCMA",)
    assert opus.codec.mask == ("opus",)
