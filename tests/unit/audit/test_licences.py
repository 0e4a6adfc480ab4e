"""docs/licences.md is what the packages say, and nothing is shipped that may not be."""

from __future__ import annotations

import sys
from email.message import Message

import pytest

from tests.audit.licences import (
    PAGE,
    in_kamailio,
    licence_of,
    may_be_shipped,
    page,
    shipped_npm,
    shipped_python,
)


def test_the_page_is_up_to_date() -> None:
    """It is of Debian 12: a later Python needs some packages no more."""
    written = PAGE.read_text(encoding="utf-8")
    if sys.version_info >= (3, 12):
        assert set(page().splitlines()) <= set(written.splitlines())
    else:
        assert written == page(), "run: make docs"


def test_all_that_is_shipped_may_be() -> None:
    assert [one for one in (*shipped_python(), *shipped_npm()) if not may_be_shipped(one.licence)] == []


def test_what_is_shipped_is_all_there() -> None:
    names = {one.name for one in shipped_python()}
    assert {"flask", "werkzeug", "cffi", "msgspec"} <= names, "with what they need in turn"
    assert [one.name for one in shipped_npm()] == ["sip.js"]
    assert {"msgspec", "redis"} <= in_kamailio() <= names


@pytest.mark.parametrize(
    ("licence", "may"),
    [
        ("MIT", True),
        ("Apache-2.0 OR BSD-3-Clause", True),
        ("GPL-3.0-or-later OR MIT", True),
        ("(MIT AND PSF-2.0)", True),
        ("MIT AND GPL-3.0-only", False),
        ("AGPL-3.0-only", False),
        ("not told", False),
        ("", False),
    ],
)
def test_an_expression_leaves_a_licence_or_none(licence: str, may: bool) -> None:
    assert may_be_shipped(licence) is may


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT"), ("License", "whatever")], "MIT"),
        ([("License", "BSD License")], "BSD-3-Clause"),
        ([("Classifier", "License :: OSI Approved :: Apache Software License")], "Apache-2.0"),
        (
            [("License", "The text\nof a licence"), ("Classifier", "License :: OSI Approved :: MIT License")],
            "MIT",
        ),
        ([("Classifier", "License :: OSI Approved")], "not told"),
        ([], "not told"),
    ],
)
def test_a_package_says_it_in_one_of_three_ways(fields: list[tuple[str, str]], licence: str) -> None:
    told = Message()
    for name, value in fields:
        told[name] = value
    assert licence_of(told) == licence
