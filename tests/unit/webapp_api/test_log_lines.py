"""The log has a line for each thing that happened, and nobody else writes one."""

from __future__ import annotations

import logging
import sys

import pytest

from webapp_api.log_lines import OneLine, value


def formatted(message: str, *args: object, error: BaseException | None = None) -> str:
    """Return what the log shows."""
    found = (type(error), error, error.__traceback__) if error is not None else None
    return OneLine("%(levelname)s %(message)s").format(
        logging.LogRecord("x", logging.INFO, __file__, 1, message, args, found)
    )


def test_what_can_be_printed_stays() -> None:
    assert formatted("event=x name=%s", "Zoë 'z'") == "INFO event=x name=Zoë 'z'"


def test_no_argument_begins_a_line() -> None:
    assert formatted("path=%s", "/x\r\nevent=forged\x1b[2J\u2028y") == (
        r"INFO path=/x\r\nevent=forged\x1b[2J\u2028y"
    )


def test_nor_does_an_exception() -> None:
    try:
        raise ValueError("x\nINFO event=forged\x1b")
    except ValueError:
        lines = formatted("event=failed", error=sys.exc_info()[1]).split("\n")
    assert lines[:2] == ["INFO event=failed", "  Traceback (most recent call last):"]
    assert all(line.startswith("  ") for line in lines[1:])
    assert lines[-1] == r"  INFO event=forged\x1b"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", "-"),
        ("5e2272f69f8294a0@[2001:db8::1]", "5e2272f69f8294a0@[2001:db8::1]"),
        ("sip:a@b", "sip:a@b"),
        ("a b", "'a b'"),
        ("a=b", "'a=b'"),
        ("a'b", '"a\'b"'),
        ("-\nevent=x", r"'-\nevent=x'"),
        ("Zoë", r"'Zo\xeb'"),
    ],
)
def test_a_value_is_in_quotes_only_where_it_must_be(text: str, written: str) -> None:
    assert value(text) == written
