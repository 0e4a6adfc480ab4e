"""Causes and responses: the tables of RFC 3398, row by row where they differ, and what is in no table."""

from __future__ import annotations

import pytest

from kemi.core.errors import RemoteProtocolError
from kemi.core.trunk.q850 import (
    CAUSE_OF_SIP,
    SIP_OF_CAUSE,
    cause_from_reasons,
    cause_of_response,
    reason_line,
    response_of_cause,
)


@pytest.mark.parametrize(
    ("cause", "status"), [(1, 404), (17, 486), (18, 408), (21, 403), (28, 484), (34, 503), (102, 504)]
)
def test_a_cause_becomes_a_response(cause: int, status: int) -> None:
    assert response_of_cause(cause) == status


@pytest.mark.parametrize(
    ("status", "cause"), [(404, 1), (486, 17), (600, 17), (480, 18), (408, 102), (484, 28), (503, 41)]
)
def test_a_response_becomes_a_cause(status: int, cause: int) -> None:
    assert cause_of_response(status) == cause


def test_the_tables_are_no_inverses() -> None:
    assert CAUSE_OF_SIP[SIP_OF_CAUSE[18]] == 102


@pytest.mark.parametrize("cause", range(1, 128))
def test_every_cause_has_a_response_that_ends_a_call(cause: int) -> None:
    assert 400 <= response_of_cause(cause) < 700


@pytest.mark.parametrize("status", range(300, 700))
def test_every_final_response_has_a_cause(status: int) -> None:
    assert 0 < cause_of_response(status) <= 127


@pytest.mark.parametrize("status", [0, 100, 183, 200, 700])
def test_others_have_none(status: int) -> None:
    with pytest.raises(RemoteProtocolError):
        cause_of_response(status)


def test_media_that_do_not_fit_are_told_by_their_warning() -> None:
    assert cause_of_response(488, ['304 gw "no codec"']) == 58
    assert cause_of_response(606, ['399 gw "busy"', '305 gw "x"']) == 58
    assert cause_of_response(488) == 31


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        (["Q.850;cause=17"], 17),
        (['q.850 ; text="a, b" ; cause = 17'], 17),
        (["SIP;cause=200, Q.850;cause=16"], 16),
        (["SIP;cause=200", 'Q.850;cause=16;text="Terminated"'], 16),
        (["Q.850;cause=999"], None),
        (["Q.850;cause=0"], None),
        (["SIP;cause=17"], None),
        (["Q.850;causes=17"], None),
        ([], None),
    ],
)
def test_a_reason_names_its_cause(values: list[str], cause: int | None) -> None:
    assert cause_from_reasons(values) == cause


def test_what_we_write_we_can_read() -> None:
    assert cause_from_reasons([reason_line(21, "rejected").removeprefix("Reason: ")]) == 21
