"""Lines of the core whose address family the relay does not have."""

from __future__ import annotations

import pytest

from kemi.core.errors import NotAcceptableHere, WarnCode
from kemi.core.sdp.interwork.core_reoffer import read_core_reoffer
from kemi.core.sdp.interwork.ims import ims_answer_media
from kemi.core.sdp.interwork.incoming import core_offer_media
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


def lines_for_the_relay(body: str) -> set[str]:
    """What the relay is told of an answer, a later offer and a first one."""
    (answer,) = ims_answer_media(body, ["audio"], OURS).values()
    again = read_core_reoffer(sdp_from_text(body), sdp_from_text(OURS), {"audio": 0}, ())
    (first,) = core_offer_media(sdp_from_text(body), (), ("PCMA",))
    return {answer.sdp or "", again.going_on["audio"].sdp, first.sdp}


@pytest.mark.parametrize(
    "sloppy", ["IP4  192.0.2.5", "ip4 192.0.2.5", "IP4 192.0.2.5/127", "IP4\t192.0.2.5", "IP4 192.0.2.5 "]
)
def test_the_relay_is_told_an_address_as_it_reads_one(sloppy: str) -> None:
    for line in lines_for_the_relay(audio(sloppy)):
        assert "\r\nc=IN IP4 192.0.2.5\r\n" in line


@pytest.mark.parametrize(
    "strange",
    [
        "IP4 media.carrier.example",
        "IP4 2001:db8::5",
        "IP6 192.0.2.5",
        "IP4 224.2.1.1/127",
        "IP6 fe80::1%eth0",
        "X 1",
    ],
)
def test_a_name_or_what_else_is_no_address_is_refused_with_a_reason(strange: str) -> None:
    body = audio(strange)
    with pytest.raises(
        NotAcceptableHere, match=r"which is no address that the media relay sends to"
    ) as error:
        ims_answer_media(body, ["audio"])
    assert refused(error)
    with pytest.raises(NotAcceptableHere):
        read_core_reoffer(sdp_from_text(body), sdp_from_text(OURS), {"audio": 0}, ())
    with pytest.raises(NotAcceptableHere):
        core_offer_media(sdp_from_text(body), (), ("PCMA",))
