"""Whether both sides of a call speak one codec."""

from __future__ import annotations

import pytest

from kemi.core.call.media.session import passes
from kemi.core.call.record import Medium
from tests.unit.core.call import descriptions as sdp


@pytest.mark.parametrize(
    ("page", "far", "same"),
    [
        pytest.param("PCMA/8000", "PCMA/8000", True, id="the same"),
        pytest.param("PCMA/8000/1", "PCMA/8000", True, id="one channel, named or not (RFC 8866 §6.6)"),
        pytest.param("PCMU/8000", "PCMA/8000", False, id="another"),
    ],
)
def test_both_sides_speak_one_codec(page: str, far: str, same: bool) -> None:
    line = sdp.core_answer("audio")
    own, theirs = (line.replace("PCMA/8000", encoding) for encoding in (page, far))
    assert passes(Medium(kind="audio", wic_offer=own, ims_answer=theirs)) is same
