"""Which profile a page has that has not spoken yet."""

import pytest

from kemi.adapters.relay.site_profiles import SiteProfiles
from kemi.core.call.actions import MediaTerms
from kemi.settings import MediaNode, MediaSettings

NODE = MediaNode("127.0.0.1", 2223)


@pytest.mark.parametrize(
    ("encodings", "ptime_ms", "to_ims_and_wic"),
    [
        pytest.param(["AMR-WB/16000"], 10, (20, 20), id="AMR-WB"),
        pytest.param(["PCMA/8000", "amr/8000/1"], 40, (20, 20), id="AMR behind another"),
        pytest.param(["PCMA/8000"], 40, (None, None), id="PCMA"),
    ],
)
def test_amr_is_never_asked_for_in_other_packets_than_of_20_ms(
    encodings: list[str], ptime_ms: int, to_ims_and_wic: tuple[int | None, int | None]
) -> None:
    profiles = SiteProfiles(MediaSettings([NODE]), {NODE.name: (10, 5)})
    numbers = range(96, 96 + len(encodings))
    lines = [f"m=audio 5004 RTP/AVP {' '.join(map(str, numbers))}"]
    lines += [f"a=rtpmap:{number} {encoding}" for number, encoding in zip(numbers, encodings, strict=True)]
    offer = "\r\n".join([*lines, f"a=ptime:{ptime_ms}", ""])
    options = profiles.terminating(NODE.name, MediaTerms(), "audio", offer).terminating_offer()
    assert (options.ptime_reverse, options.ptime) == to_ims_and_wic
