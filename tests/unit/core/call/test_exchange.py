"""One offer at a time: glare in both directions, what an answer changes and what a refusal leaves."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call import exchange
from kemi.core.call.record import CallRecord, Exchange, Offerer
from kemi.core.call.states import OfferAnswer
from kemi.core.errors import LocalProtocolError
from kemi.core.messages import Request, Side
from tests.unit.core.call.ladder import SETTINGS, Call, record_at

OF_SIDE = {Side.WIC: Offerer.WIC, Side.IMS: Offerer.IMS}


def request_of(call: Call, side: Side) -> Request:
    """Return a re-INVITE of one side."""
    event: ev.WicRequest | ev.ImsRequest = (
        call.wic_request("INVITE") if side is Side.WIC else call.ims_request("INVITE")
    )
    return event.request


def states(record: CallRecord) -> tuple[OfferAnswer, OfferAnswer]:
    """Return where offer/answer stands with the page and with the core."""
    return record.wic_offer_answer, record.ims_offer_answer


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("offerer", list(Offerer))
def test_while_an_offer_is_open_every_other_waits(side: Side, offerer: Offerer) -> None:
    call = Call.confirmed()
    request = request_of(call, side)
    assert exchange.refusal(call.record, request) is None
    exchange.begin(call.record, Exchange(offerer, "INVITE", 2, offer="v=0"))
    refusal = exchange.refusal(call.record, request)
    assert refusal is not None
    if offerer is OF_SIDE[side]:  # RFC 3261 §14.2, RFC 3311 §5.2
        assert refusal.status == 500
        (line,) = refusal.headers
        assert line.startswith("Retry-After: ")
        assert 0 <= int(line.removeprefix("Retry-After: ")) <= 10
    else:
        assert refusal.status == 491


@pytest.mark.parametrize("stage", ["answered_early", "updating", "forwarded"])
def test_the_set_up_is_an_open_offer_too(stage: str) -> None:
    call: Call = getattr(Call, stage)()
    assert exchange.is_open(call.record)
    refusal = exchange.refusal(call.record, request_of(call, Side.WIC))
    assert refusal is not None
    assert refusal.status == 491


def test_no_second_exchange_is_begun() -> None:
    record = record_at("confirmed")
    exchange.begin(record, Exchange(Offerer.WIC, "INVITE", 2, offer="v=0"))
    with pytest.raises(LocalProtocolError):
        exchange.begin(record, Exchange(Offerer.IMS, "INVITE", 2, offer="v=0"))


def test_an_answer_makes_what_was_prepared_true() -> None:
    record = record_at("confirmed")
    told, media = record.wic_description, list(record.media)
    opened = Exchange(Offerer.WIC, "INVITE", 2, offer="v=0", ims_description="new", media=media)
    exchange.begin(record, opened)
    assert states(record) == (OfferAnswer.OFFER_RECEIVED, OfferAnswer.OFFER_SENT)
    exchange.commit(record)
    assert record.exchange is None
    assert states(record) == (OfferAnswer.STABLE, OfferAnswer.STABLE)
    assert (record.wic_description, record.ims_description) == (told, "new")
    assert record.media is media


def test_a_refusal_leaves_the_call_as_it_was_and_gives_new_ports_back() -> None:
    record = record_at("confirmed")
    told = record.wic_description, record.ims_description, list(record.media)
    opened = Exchange(Offerer.IMS, "UPDATE", 2, offer="v=0", wic_description="new", reserved=["video"])
    exchange.begin(record, opened)
    assert states(record) == (OfferAnswer.OFFER_SENT, OfferAnswer.OFFER_RECEIVED)
    assert exchange.rollback(record) == [act.ReleaseMedia(record.key, record.node, ("video",))]
    assert (record.wic_description, record.ims_description, record.media) == told
    assert not exchange.is_open(record)


def test_no_version_is_used_twice() -> None:
    record = record_at("confirmed")
    first, second = exchange.next_wic_origin(record), exchange.next_wic_origin(record)
    assert second == first.next()
    ims = exchange.next_ims_origin(record, SETTINGS)
    assert (ims.session_id, ims.version, ims.address) == (1001, 2, "192.0.2.1")
