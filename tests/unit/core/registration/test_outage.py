"""Registrations by token while nobody gets tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.registration import Registration
from kemi.core.registration.outage import (
    MARGIN_S,
    OUTAGE_S,
    is_asked_for,
    kept_by_core,
    pending_on_behalf,
    prolonged,
)
from kemi.core.registration.states import BindingState
from tests.unit.core.registration.bindings import TOKEN, binding

PAGE = binding(grant=replace(TOKEN, expires_at=600.0))
KEPT = replace(PAGE, core_expires_at=1200.0)


def until(found: Registration, now: float) -> float | None:
    changed = prolonged(replace(found), now)
    return None if changed is None else changed.expires_at


@pytest.mark.parametrize(
    ("now", "expires_at"),
    [
        pytest.param(600.0 - MARGIN_S - 1, None, id="there is time for a new token"),
        pytest.param(600.0 - MARGIN_S, 630.0, id="the token is about to end"),
        pytest.param(599.0, 659.0, id="it ends"),
        pytest.param(1190.0, 1200.0, id="no longer than the core has it"),
    ],
)
def test_it_goes_on_in_short_steps(now: float, expires_at: float | None) -> None:
    assert until(KEPT, now) == expires_at


def test_it_does_not_go_on_for_ever() -> None:
    latest = 600.0 + OUTAGE_S
    last = replace(KEPT, expires_at=latest - 20, core_expires_at=latest + 500)
    assert until(last, latest - 30) == latest
    assert until(replace(last, expires_at=latest), latest - 1) is None
    assert is_asked_for(replace(PAGE, core_expires_at=latest - 10), latest - 20)
    assert not is_asked_for(replace(PAGE, core_expires_at=latest), latest - 20)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(binding(), id="digest: the page needs nobody's help"),
        pytest.param(replace(KEPT, state=BindingState.AWAY), id="the page is not there"),
    ],
)
def test_whose_registration_ends_all_the_same(found: Registration) -> None:
    assert until(found, 599.0) is None
    assert not is_asked_for(found, 599.0)


def test_the_core_is_asked_before_its_own_time_is_over() -> None:
    assert [is_asked_for(PAGE, now) for now in (569.0, 570.0, 599.0)] == [False, True, True]
    assert not is_asked_for(KEPT, 599.0)


def test_what_the_core_grants_counts_for_the_binding() -> None:
    pending = pending_on_behalf(PAGE, 580.0)
    assert (pending.key, pending.grant, pending.at) == (PAGE.key, PAGE.grant, 580.0)
    assert kept_by_core(replace(PAGE), KEPT).core_expires_at == 1200.0
    assert kept_by_core(replace(KEPT), PAGE).core_expires_at == 1200.0
