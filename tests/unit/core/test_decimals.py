"""Numbers that others write."""

from __future__ import annotations

import pytest

from kemi.core.decimals import MOST_DIGITS, is_number, number_or, retry_after_or


@pytest.mark.parametrize(
    ("text", "number"),
    [
        pytest.param("0", 0, id="zero"),
        pytest.param("007", 7, id="leading zeros"),
        pytest.param("9" * MOST_DIGITS, 10**MOST_DIGITS - 1, id="the longest"),
        pytest.param("9" * (MOST_DIGITS + 1), None, id="longer"),
        pytest.param("9" * 5000, None, id="longer than int() takes"),
        pytest.param("٣", None, id="a digit of another script"),
        pytest.param("²", None, id="what is a digit and no number"),
        pytest.param("-1", None, id="negative"),
        pytest.param("1.5", None, id="a fraction"),
        pytest.param(" 1", None, id="a blank"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_what_is_a_number(text: str, number: int | None) -> None:
    assert number_or(None, text) == number
    assert is_number(text) is (number is not None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 18000;duration=3600", 18000),
        ("120 (I'm in a meeting)", 120),
        ("soon", None),
        ("", None),
    ],
)
def test_when_to_come_back(text: str, seconds: int | None) -> None:
    assert retry_after_or(None, text) == seconds
