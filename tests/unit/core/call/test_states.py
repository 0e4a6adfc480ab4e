"""The three tables: complete, reachable, and with an end nothing leaves."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.core.call.states import (
    DIALOG,
    MEDIA,
    OFFER_ANSWER,
    Dialog,
    DialogEvent,
    Media,
    MediaEvent,
    OfferAnswer,
    OfferAnswerEvent,
    advance,
)
from kemi.core.errors import LocalProtocolError

Machine = tuple[Mapping[Any, Mapping[Any, Any]], type[enum.StrEnum], type[enum.StrEnum], Any]
MACHINES = [
    pytest.param((DIALOG, Dialog, DialogEvent, Dialog.NONE), id="dialog"),
    pytest.param((OFFER_ANSWER, OfferAnswer, OfferAnswerEvent, OfferAnswer.IDLE), id="offer-answer"),
    pytest.param((MEDIA, Media, MediaEvent, Media.NONE), id="media"),
]


@pytest.mark.parametrize("machine", MACHINES)
def test_every_state_has_its_row_and_is_reachable(machine: Machine) -> None:
    table, states, _, start = machine
    assert set(table) == set(states)
    reached, todo = {start}, [start]
    while todo:
        for following in table[todo.pop()].values():
            if following not in reached:
                reached.add(following)
                todo.append(following)
    assert reached == set(states)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_pair_that_is_not_in_the_table_is_our_own_bug(machine: Machine) -> None:
    table, states, events, _ = machine
    missing = [(state, event) for state, event in product(states, events) if event not in table[state]]
    assert missing
    for state, event in missing:
        with pytest.raises(LocalProtocolError, match=f"{state.value}.*{event.value}"):
            advance(table, state, event)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_pair_that_is_in_the_table_leads_where_it_says(machine: Machine) -> None:
    table = machine[0]
    for state, row in table.items():
        for event, following in row.items():
            assert advance(table, state, event) is following


@pytest.mark.parametrize(
    ("table", "end"),
    [pytest.param(DIALOG, Dialog.TERMINATED, id="dialog"), pytest.param(MEDIA, Media.RELEASED, id="media")],
)
def test_nothing_leaves_the_end(table: Mapping[Any, Mapping[Any, Any]], end: Any) -> None:
    assert set(table[end].values()) <= {end}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_tables_cannot_be_changed_by_accident(machine: Machine) -> None:
    table, _, _, start = machine
    with pytest.raises(TypeError):
        table[start] = {}  # type: ignore[index]


@given(events=st.lists(st.sampled_from(list(DialogEvent)), max_size=12))
def test_once_terminated_always_terminated(events: list[DialogEvent]) -> None:
    state, ended = Dialog.NONE, False
    for event in events:
        try:
            state = advance(DIALOG, state, event)
        except LocalProtocolError:
            continue
        assert not ended, f"{event} left TERMINATED"
        ended = state is Dialog.TERMINATED


ALLOWED = [
    pytest.param(DIALOG, Dialog.CONFIRMED, DialogEvent.BYE, Dialog.TERMINATED, id="RFC 3261 §15: BYE"),
    pytest.param(
        DIALOG, Dialog.CONFIRMED, DialogEvent.FLOW_LOST, Dialog.TERMINATED, id="RFC 5626 §4.4: no new flow"
    ),
    pytest.param(DIALOG, Dialog.EARLY, DialogEvent.ANSWERED, Dialog.CONFIRMED, id="RFC 3261 §12: 2xx"),
    pytest.param(
        OFFER_ANSWER,
        OfferAnswer.OFFER_SENT,
        OfferAnswerEvent.OFFER_REFUSED,
        OfferAnswer.STABLE,
        id="RFC 3311 §5.2: a refused UPDATE changes nothing",
    ),
    pytest.param(
        OFFER_ANSWER,
        OfferAnswer.STABLE,
        OfferAnswerEvent.ANSWER_RECEIVED,
        OfferAnswer.STABLE,
        id="RFC 3261 §13.2.2.4: another fork answers",
    ),
]


@pytest.mark.parametrize(("table", "state", "event", "following"), ALLOWED)
def test_the_standards_rows_are_there(
    table: Mapping[Any, Mapping[Any, Any]], state: Any, event: Any, following: Any
) -> None:
    assert advance(table, state, event) is following


FORBIDDEN = [
    pytest.param(
        OFFER_ANSWER,
        OfferAnswer.ANSWER_SENT,
        OfferAnswerEvent.OFFER_SENT,
        id="RFC 3311 §5.1: UPDATE before PRACK",
    ),
    pytest.param(
        OFFER_ANSWER,
        OfferAnswer.OFFER_SENT,
        OfferAnswerEvent.OFFER_SENT,
        id="RFC 3264 §4: two offers at once",
    ),
    pytest.param(
        OFFER_ANSWER, OfferAnswer.OFFER_SENT, OfferAnswerEvent.OFFER_RECEIVED, id="RFC 3311 §5.2: glare"
    ),
    pytest.param(DIALOG, Dialog.CONFIRMED, DialogEvent.CANCELLED, id="RFC 3261 §9.1: CANCEL after the 2xx"),
    pytest.param(DIALOG, Dialog.NONE, DialogEvent.BYE, id="RFC 3261 §15: BYE without a dialog"),
    pytest.param(
        DIALOG,
        Dialog.EARLY,
        DialogEvent.BYE,
        id="RFC 3261 §15.1.2: an early BYE is the INVITE's 487, a cancel",
    ),
    pytest.param(
        DIALOG, Dialog.EARLY, DialogEvent.FLOW_LOST, id="an early call whose flow is lost is cancelled"
    ),
    pytest.param(MEDIA, Media.NONE, MediaEvent.CONNECTED, id="no media without ports"),
]


@pytest.mark.parametrize(("table", "state", "event"), FORBIDDEN)
def test_what_the_standards_forbid_has_no_row(
    table: Mapping[Any, Mapping[Any, Any]], state: Any, event: Any
) -> None:
    with pytest.raises(LocalProtocolError):
        advance(table, state, event)
