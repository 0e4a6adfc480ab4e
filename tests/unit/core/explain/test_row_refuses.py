"""A row of the routing table that refuses is told from all else that is refused with the same status and words."""

from __future__ import annotations

import pytest

from kemi.core.explain.judge import explain
from kemi.core.routing.table import REFUSALS
from tests.unit.core.explain.cases import refused_by_row


@pytest.mark.parametrize(
    "why", ["calls to this number are not allowed here", "calls to this number are not taken"]
)
def test_one_that_an_older_release_did_not_name_is_no_matter_of_the_callers_permissions(why: str) -> None:
    trace = refused_by_row(403, "Forbidden", why)
    for entry in trace.entries:
        entry.values.pop("route", None)
    assert "not-permitted" not in [verdict.code for verdict in explain(trace)]


@pytest.mark.parametrize(
    ("why", "to_page"),
    [
        ("calls to this number are not allowed here", False),
        ("calls to this number are not taken", True),
        ("you may not call premium numbers", False),
        ("no route to this number", False),
        ("out of service", True),
    ],
)
@pytest.mark.parametrize(("status", "phrase"), REFUSALS.items())
def test_it_is_the_only_cause_whatever_it_says(status: int, phrase: str, why: str, to_page: bool) -> None:
    (verdict,) = explain(refused_by_row(status, phrase, why, to_page=to_page))
    assert verdict.code == "route-refuses"
    assert "Row barred " in verdict.says
