"""What holds for every offer, however strange: hypothesis bends real ones."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from kemi.core.errors import GatewayError, LocalProtocolError
from kemi.core.sdp.interwork import (
    check_reverse_answer,
    ims_answer_media,
    ims_offer,
    placeholder_answer,
    relay_offer,
    reverse_offer,
    wic_answer,
)
from kemi.core.sdp.judge import (
    ClientCapabilities,
    Role,
    WicTransport,
    choose_transport,
    judge_offer,
)
from kemi.core.sdp.model import LEGAL_ANSWERS, Direction
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from tests.unit.core.sdp.samples import (
    GOLDEN_NAMES,
    JSSIP,
    ORIGIN,
    OUR_SDK,
    RELAY_IMS_OFFERS,
    RELAY_SUBSCRIBE_REQUESTS,
    RELAY_WIC_ANSWERS,
    STOCK_SIP_JS,
    golden,
    goldens,
)

VALUES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=20)
LINES = st.builds("{}={}".format, st.sampled_from("abcikrz"), VALUES)
M_LINES = st.builds(
    "m={} {} {} {}".format,
    st.sampled_from(["audio", "video", "application", "text"]),
    st.integers(0, 65535),
    st.sampled_from(["UDP/TLS/RTP/SAVPF", "RTP/AVP", "UDP/DTLS/SCTP"]),
    st.lists(st.integers(0, 127).map(str), min_size=1, max_size=5).map(" ".join),
)
CLIENTS = st.sampled_from([OUR_SDK, STOCK_SIP_JS, JSSIP])


@st.composite
def descriptions(draw: st.DrawFn) -> str:
    """Write any description the grammar allows."""
    newline = draw(st.sampled_from(["\r\n", "\n"]))
    lines = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", *draw(st.lists(LINES, max_size=5))]
    for m_line in draw(st.lists(M_LINES, max_size=4)):
        lines += [m_line, *draw(st.lists(LINES, max_size=5))]
    return newline.join(lines) + draw(st.sampled_from(["", newline]))


@st.composite
def offers(draw: st.DrawFn) -> str:
    """Put m-sections of real offers together, in any number, order and direction."""
    name = draw(
        st.sampled_from([name for name in GOLDEN_NAMES if "-sendonly" in name or "-sendrecv" in name])
    )
    head, *media = golden(name).split("\r\nm=")
    chosen = draw(st.lists(st.sampled_from(media), min_size=1, max_size=5))
    sections = []
    for number, section in enumerate(chosen):
        direction = draw(st.sampled_from([f"a={direction}" for direction in Direction]))
        lines = [f"a=mid:m{number}" if line.startswith("a=mid:") else line for line in section.split("\r\n")]
        lines = [direction if line in {f"a={known}" for known in Direction} else line for line in lines]
        if draw(st.integers(0, 9)) == 0:
            lines = [" ".join([words[0], "0", *words[2:]]) for words in [lines[0].split(" ")]] + lines[1:]
        sections.append("\r\n".join(lines).removesuffix("\r\n"))
    mids = " ".join(f"m{number}" for number in range(len(chosen)))
    group = draw(st.sampled_from([f"a=group:BUNDLE {mids}", "a=x-no-group"]))
    head = "\r\n".join(group if line.startswith("a=group") else line for line in head.split("\r\n"))
    return "\r\nm=".join([head, *sections]) + "\r\n"


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Take a real description and spoil some of its lines."""
    lines = golden(draw(st.sampled_from(GOLDEN_NAMES))).splitlines()
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(lines) - 1))
        lines[place : place + 1] = draw(
            st.sampled_from(
                [[], [lines[place]] * 2, [lines[place][: len(lines[place]) // 2]], ["a="], ["m=audio 0 x 0"]]
            )
        )
        lines = lines or ["v=0"]
    return "\r\n".join(lines) + "\r\n"


@given(descriptions())
@example("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\na= ")
@example("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\na=\t")
def test_reading_and_writing_changes_nothing(text: str) -> None:
    """But for blanks at the end of attributes and of the whole, there tabs, too."""
    without_blanks = re.sub(r"(?m)^(a=[^\r\n]*?) +(?=\r?$)", r"\1", text.rstrip(" \t"))
    assert sdp_to_text(sdp_from_text(text)) == without_blanks


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_as_a_peers_mistake(text: str) -> None:
    try:
        sdp_from_text(text)
    except GatewayError as error:
        assert error.status == 400


@given(offers(), CLIENTS)
def test_an_answer_fits_its_offer(text: str, client: ClientCapabilities) -> None:
    """RFC 3264 §6: same lines, same order; §6.1: a legal direction; one line per kind towards IMS."""
    offer = sdp_from_text(text)
    try:
        judgement = judge_offer(offer, client)
    except GatewayError as error:
        assert error.status in (400, 488)
        return
    kinds = judgement.kinds
    transport, _ = choose_transport(offer, judgement)
    answer = wic_answer(offer, judgement, goldens(RELAY_WIC_ANSWERS, kinds), transport, ORIGIN)
    assert sdp_from_text(sdp_to_text(answer)).media == answer.media
    assert [(line.kind, line.mid) for line in answer.media] == [(line.kind, line.mid) for line in offer.media]
    assert len(kinds) == len(set(kinds))
    for plan, offered, answered in zip(judgement.lines, offer.media, answer.media, strict=True):
        assert answered.proto == offered.proto
        assert answered.rejected == (plan.role is Role.REJECTED)
        assert not offered.rejected or answered.rejected
        assert answered.rejected or answered.direction in LEGAL_ANSWERS[offered.direction]
    if transport is WicTransport.SPLIT:
        assert answer.bundle_groups == ()

    ims = ims_offer(judgement, goldens(RELAY_IMS_OFFERS, kinds), ORIGIN)
    assert [line.kind for line in ims.media] == list(kinds)
    for medium, line in zip(judgement.media, ims.media, strict=True):
        assert line.direction is medium.ims_direction
        relayed = sdp_from_text(relay_offer(offer, medium)).media
        assert [one.kind for one in relayed] == [medium.kind]
        assert set(relayed[0].formats) <= set(offer.media[medium.line].formats)


@given(offers(), CLIENTS)
def test_a_second_offer_keeps_every_line_and_adds_what_is_wanted(
    text: str, client: ClientCapabilities
) -> None:
    """RFC 3264 §8: lines stay in place, also the refused ones."""
    offer = sdp_from_text(text)
    try:
        judgement = judge_offer(offer, client)
    except GatewayError:
        return
    transport, _ = choose_transport(offer, judgement)
    answer = wic_answer(offer, judgement, goldens(RELAY_WIC_ANSWERS, judgement.kinds), transport, ORIGIN)
    subscriptions = (
        goldens(RELAY_SUBSCRIBE_REQUESTS, judgement.kinds) if transport is WicTransport.SPLIT else {}
    )
    offer2 = reverse_offer(answer, judgement, subscriptions, ORIGIN.next())
    mids = [line.mid for line in offer2.media if line.mid is not None]
    assert len(mids) == len(set(mids))
    assert [(line.kind, line.mid, line.port) for line in offer2.media][: len(answer.media)] == [
        (line.kind, line.mid, line.port) for line in answer.media
    ]
    gained = [line.kind for line in offer2.media if not line.rejected and line.direction.sends]
    before = [line.kind for line in answer.media if not line.rejected and line.direction.sends]
    assert sorted(gained) == sorted([*before, *judgement.reverse_now])


@given(damaged(), CLIENTS)
def test_a_damaged_text_never_breaks_us(text: str, client: ClientCapabilities) -> None:
    try:
        offer = sdp_from_text(text)
        judgement = judge_offer(offer, client)
        for medium in judgement.media:
            sdp_from_text(relay_offer(offer, medium))
        transport, _ = choose_transport(offer, judgement)
        answer = wic_answer(offer, judgement, goldens(RELAY_WIC_ANSWERS, judgement.kinds), transport, ORIGIN)
        reverse_offer(answer, judgement, {}, ORIGIN, kinds=())
    except GatewayError as error:
        assert not isinstance(error, LocalProtocolError)


@given(damaged())
def test_a_damaged_answer_never_breaks_us(text: str) -> None:
    offer = sdp_from_text(golden("chromium-156-audio-sendonly"))
    judgement = judge_offer(offer, OUR_SDK)
    answer = wic_answer(offer, judgement, goldens(RELAY_WIC_ANSWERS, ("audio",)), WicTransport.SHARED, ORIGIN)
    offer2 = reverse_offer(answer, judgement, {}, ORIGIN.next())
    for read in (
        lambda: check_reverse_answer(offer2, text),
        lambda: ims_answer_media(text, ["audio"]),
        lambda: placeholder_answer(text),
    ):
        try:
            read()
        except GatewayError as error:
            assert not isinstance(error, LocalProtocolError)
