"""Lines of the core whose address family the relay does not have."""

from __future__ import annotations

import pytest

from kemi.core.errors import NotAcceptableHere, WarnCode
from kemi.core.sdp.interwork.core_reoffer import read_core_reoffer
from kemi.core.sdp.interwork.ims import ims_answer_media
from kemi.core.sdp.text import sdp_from_text


def audio(connection: str, port: int = 4000) -> str:
    """Describe audio at an address."""
    return (
        f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN {connection}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
    )


OURS = audio("IP4 192.0.2.9")


def refused(error: pytest.ExceptionInfo[NotAcceptableHere]) -> bool:
    """Whether it says 488 and why."""
    return (error.value.status, error.value.warn_code) == (488, WarnCode.INCOMPATIBLE_ADDRESSES)


def test_an_answer() -> None:
    with pytest.raises(
        NotAcceptableHere, match="has an IP6 address, the media relay an IP4 address"
    ) as error:
        ims_answer_media(audio("IP6 2001:db8::5"), ["audio"], OURS)
    assert refused(error)


def test_a_later_offer() -> None:
    with pytest.raises(NotAcceptableHere, match="IP6") as error:
        read_core_reoffer(sdp_from_text(audio("IP6 2001:db8::5")), sdp_from_text(OURS), {"audio": 0}, ())
    assert refused(error)


@pytest.mark.parametrize("hold", ["IP6 ::", "IP4 0.0.0.0"])
@pytest.mark.parametrize("ours", [OURS, audio("IP6 2001:db8::9")])
def test_zeros_are_hold_in_either_family(hold: str, ours: str) -> None:
    (medium,) = ims_answer_media(audio(hold), ["audio"], ours).values()
    assert not medium.direction.receives
    found = read_core_reoffer(sdp_from_text(audio(hold)), sdp_from_text(ours), {"audio": 0}, ())
    assert not found.going_on["audio"].direction.receives


@pytest.mark.parametrize("connection", ["IP4 192.0.2.5", "IP6 2001:db8::5"])
def test_the_same_family_is_taken(connection: str) -> None:
    assert ims_answer_media(audio(connection), ["audio"], audio(connection))
