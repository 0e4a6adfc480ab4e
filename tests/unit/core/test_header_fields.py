"""Header fields taken apart once, and the heads that are not."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from kemi.core.errors import RemoteProtocolError
from kemi.core.header_fields import MOST_LINES, fields_from_head

START = "INVITE sip:bob@ims.example SIP/2.0"


def values(name: str, *lines: str, end: str = "\r\n") -> list[str]:
    return fields_from_head(end.join((START, *lines))).values(name)


class TestValues:
    """What a head holds."""

    @pytest.mark.parametrize(
        ("name", "lines", "expected"),
        [
            pytest.param(
                "Route", ["Route: <sip:a>", "Via: x", "Route:<sip:b> "], ["<sip:a>", "<sip:b>"], id="order"
            ),
            pytest.param("route", ["ROUTE \t: a"], ["a"], id="case and space"),
            pytest.param("Via", ["v: a", "Via: b"], ["a", "b"], id="compact"),
            pytest.param("v", ["Via: b"], ["b"], id="asked by the compact name"),
            pytest.param("Content-Length", ["l: 5"], ["5"], id="length"),
            pytest.param(
                "Referred-By", ["b: compact", "Referred-By: long"], ["long", "compact"], id="extension"
            ),
            pytest.param("Subject", ["Subject: a", "  b", "\tc", "To: x"], ["a b c"], id="folded"),
            pytest.param("Subject", ["Subject: a \t", " b"], ["a b"], id="space before a fold"),
            pytest.param("Subject", ["Subject:", " a"], ["a"], id="folded at once"),
            pytest.param("Subject", ["Subject:"], [""], id="empty"),
            pytest.param("Subject", ["To: x"], [], id="absent"),
            pytest.param("X#Y", ["X#Y: a"], ["a"], id="a name of HTTP"),
            pytest.param("X", ["Session-Expires: 90"], ["90"], id="what Kamailio takes for it"),
        ],
    )
    def test_are_those_of_all_fields_of_the_name(
        self, name: str, lines: list[str], expected: list[str]
    ) -> None:
        assert values(name, *lines) == expected

    def test_may_be_changed_by_who_asks(self) -> None:
        fields = fields_from_head(f"{START}\r\nVia: a")
        fields.values("Via").append("b")
        assert fields.values("Via") == ["a"]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["Via: a\nTo: b"], id="LF alone"),
        pytest.param(["Via: a\rTo: b"], id="CR alone"),
        pytest.param(["Via: a\0"], id="NUL"),
        pytest.param(['To: "\\\0" <sip:a@b>'], id="NUL behind a backslash"),
        pytest.param(["Via: a", "no field"], id="a line without a colon"),
        pytest.param(["Via: a", ": b"], id="a line without a name"),
        pytest.param(["Via: a", "To\x85: b"], id="a name that is no token"),
        pytest.param(["l: 0"] * (MOST_LINES + 1), id="too many"),
    ],
)
def test_a_head_that_two_could_read_differently_is_refused(lines: list[str]) -> None:
    with pytest.raises(RemoteProtocolError):
        values("Via", *lines)


def test_no_head_is_not_one_without_header_fields() -> None:
    with pytest.raises(RemoteProtocolError):
        fields_from_head("")


def test_names_that_begin_so() -> None:
    fields = fields_from_head("\r\n".join((START, "P-Charge-Info: a", "p-x : b", "X-A: c", "To: P-d")))
    assert set(fields.present(("P-*", "To"))) == {"p-charge-info", "p-x", "To"}
    assert set(fields.present(("P-Charge-Info", "P-*", "Via"))) == {"P-Charge-Info", "p-x"}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("A: b" + " " * 30_000 + "c\r\n d", id="spaces"),
        pytest.param("A: b" + "\r\n " * 10_000, id="folds"),
        pytest.param("a" * 30_000, id="a long name"),
        pytest.param("A: x\r\n" * 6_000 + "bad", id="many"),
    ],
)
def test_nobody_keeps_a_worker_busy(line: str) -> None:
    began = time.process_time()
    with suppress(RemoteProtocolError):
        fields_from_head(f"{START}\r\n{line}")
    assert time.process_time() - began < 1.0  # what looks at each character for each other takes several


class TestPresent:
    """What there is to remove."""

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            pytest.param("p-asserted-identity: x", {"P-Asserted-Identity"}, id="case"),
            pytest.param("r: x", {"Refer-To"}, id="compact"),
            pytest.param("b: x", {"Referred-By"}, id="compact of an extension"),
            pytest.param("Subject: Refer-To: x", set(), id="in a value"),
        ],
    )
    def test_are_the_names_as_they_were_asked_for(self, line: str, expected: set[str]) -> None:
        names = ("P-Asserted-Identity", "Refer-To", "Referred-By")
        assert set(fields_from_head(f"{START}\r\n{line}").present(names)) == expected
