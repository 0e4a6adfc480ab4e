"""What one side says alone, in the other one's words."""

from __future__ import annotations

import pytest

from kemi.core.trunk import causes


@pytest.mark.parametrize(
    ("status", "reasons", "warnings", "lines"),
    [
        (486, [], [], ("Reason: Q.850;cause=17",)),
        (404, [], [], ("Reason: Q.850;cause=1",)),
        (480, ["SIP;cause=480"], [], ("Reason: Q.850;cause=18",)),
        (480, ["Q.850;cause=19"], [], ()),
        (488, [], ['304 x "no"'], ("Reason: Q.850;cause=58",)),
        (200, [], [], ()),
    ],
)
def test_a_response_gets_the_cause_it_lacks(
    status: int, reasons: list[str], warnings: list[str], lines: tuple[str, ...]
) -> None:
    assert causes.of_response(status, reasons, warnings) == lines


@pytest.mark.parametrize(
    ("status", "reasons", "told"),
    [
        (486, ["Q.850;cause=1"], 486),  # both have been said
        (499, ["Q.850;cause=17"], 486),
        (599, ["Q.850;cause=34"], 503),
        (499, [], 499),
        (433, ["Q.850;cause=24"], 433),  # anonymity disallowed
        (607, ["Q.850;cause=21"], 607),  # unwanted
        (608, ["Q.850;cause=21"], 608),
        (438, ["Q.850;cause=31"], 438),
        (422, ["Q.850;cause=31"], 422),
        (555, ["Q.850;cause=31"], 555),
        (487, ["Q.850;cause=17"], 487),
    ],
)
def test_a_status_of_its_own_is_told_by_its_cause(status: int, reasons: list[str], told: int) -> None:
    assert causes.status_for_page(status, reasons) == told


@pytest.mark.parametrize(
    ("reasons", "lines"),
    [
        ([], ("Reason: Q.850;cause=16",)),
        (['SIP;cause=200;text="Call completed elsewhere"'], ("Reason: Q.850;cause=16",)),
        (['SIP;cause=503;text="the page is gone"'], ("Reason: Q.850;cause=41",)),
        (["SIP;cause=480", "Q.850;cause=20"], ()),
        pytest.param(["SIP;cause=800"], ("Reason: Q.850;cause=16",), id="a cause that is no status"),
        pytest.param(["SIP;cause=4800"], ("Reason: Q.850;cause=16",), id="one of four digits"),
    ],
)
def test_a_trunk_is_told_a_cause(reasons: list[str], lines: tuple[str, ...]) -> None:
    assert causes.for_trunk(reasons) == lines


@pytest.mark.parametrize(
    ("reasons", "lines"),
    [
        ([], ()),
        (["Q.850;cause=16"], ()),
        (["Q.850;cause=38"], ("Reason: SIP;cause=503",)),
        (["SIP;cause=486"], ("Reason: Q.850;cause=17",)),
        (["Q.850;cause=38, SIP;cause=503"], ()),
        pytest.param(["SIP;cause=800"], (), id="a cause that is no status"),
    ],
)
def test_a_page_is_told_a_status(reasons: list[str], lines: tuple[str, ...]) -> None:
    assert causes.for_page(reasons) == lines
