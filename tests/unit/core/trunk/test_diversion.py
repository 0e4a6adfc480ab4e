"""What a trunk is told of a redirected call (RFC 5806, RFC 7044), what it tells, and what stays private."""

from __future__ import annotations

import pytest

from kemi.core.identity import ANONYMOUS
from kemi.core.messages import Reply, Side
from kemi.core.trunk.diversion import Diversion, diversions_of, history_from_diversion, lines_for_trunk
from kemi.core.trunk.trunk import DiversionForm, NumberForm, Trunk

BOB = "tel:+4930111"
TARGET = "sip:+4930222@acme.example;user=phone"


def redirection(*headers: tuple[str, str]) -> Reply:
    """A 302 of the core."""

    def read(name: str) -> list[str]:
        return [value for known, value in headers if known == name]

    return Reply(Side.IMS, "INVITE", "c", "f", "t", 1, status=302, headers=read)


def trunk(form: DiversionForm, numbers: NumberForm = NumberForm.PLUS) -> Trunk:
    """A trunk that is told in one form."""
    return Trunk("acme", ["sip:acme.example"], country="DE", numbers=numbers, diversion=form)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([("Contact", f"<{TARGET}>")], [Diversion(BOB, "deflection", False)], id="nothing said"),
        pytest.param(
            [("Contact", "<sip:+4930222@x;cause=486>")], [Diversion(BOB, "user-busy", False)], id="busy"
        ),
        pytest.param(
            [("Contact", f"<{TARGET}>"), ("Privacy", "history")],
            [Diversion(BOB, "deflection", True)],
            id="private",
        ),
        pytest.param(
            [
                ("Contact", "<sip:+4930222@x;cause=408>"),
                ("History-Info", "<tel:+49301>;index=1, <sip:+49302@x;cause=302?Privacy=history>;index=1.1"),
            ],
            [
                Diversion("tel:+49301", "unconditional", False),
                Diversion("sip:+49302@x", "no-answer", True),
            ],
            id="History-Info",
        ),
        pytest.param(
            [
                ("Contact", f"<{TARGET}>"),
                ("Diversion", "<tel:+49302>;reason=no-answer;privacy=full, <tel:+49301>;reason=strange"),
            ],
            [Diversion("tel:+49301", "unknown", False), Diversion("tel:+49302", "no-answer", True)],
            id="Diversion",
        ),
    ],
)
def test_whom_a_redirected_call_was_for(headers: list[tuple[str, str]], expected: list[Diversion]) -> None:
    assert diversions_of(redirection(*headers), BOB) == expected


def test_a_call_that_is_redirected_twice_keeps_the_first() -> None:
    first = Diversion("tel:+49301", "user-busy", False)
    found = diversions_of(redirection(("Contact", f"<{TARGET}>")), BOB, [first])
    assert found == [first, Diversion(BOB, "deflection", False)]


TWICE = [Diversion("tel:+49301111", "user-busy", True), Diversion("sip:+4930111@ims", "no-answer", False)]


@pytest.mark.parametrize(
    ("form", "numbers", "line"),
    [
        (
            DiversionForm.DIVERSION,
            NumberForm.NATIONAL,
            "Diversion: <sip:030111@acme.example;user=phone>;reason=no-answer;privacy=off;counter=1, "
            "<sip:anonymous@anonymous.invalid>;reason=user-busy;privacy=full;counter=1",
        ),
        (
            DiversionForm.HISTORY_INFO,
            NumberForm.PLUS,
            "History-Info: <sip:anonymous@anonymous.invalid?Privacy=history>;index=1, "
            "<sip:+4930111@acme.example;user=phone;cause=486>;index=1.1, "
            f"<{TARGET};cause=408>;index=1.1.1",
        ),
    ],
)
def test_a_trunk_is_told_in_its_form_and_of_nobody_who_is_private(
    form: DiversionForm, numbers: NumberForm, line: str
) -> None:
    assert lines_for_trunk(TWICE, trunk(form, numbers), TARGET) == (line,)


@pytest.mark.parametrize(
    ("diversions", "form"),
    [(TWICE, DiversionForm.NONE), ([], DiversionForm.DIVERSION), ([], DiversionForm.HISTORY_INFO)],
)
def test_nothing_is_said_unwanted(diversions: list[Diversion], form: DiversionForm) -> None:
    assert lines_for_trunk(diversions, trunk(form), TARGET) == ()


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ()),
        (["not a uri"], ()),
        (
            ["<sip:+2@x>;reason=unconditional;privacy=full, <sip:+1@x>;reason=user-busy"],
            (
                "History-Info: <sip:+1@x>;index=1, <sip:+2@x;cause=486?Privacy=history>;index=1.1, "
                "<sip:a@h;cause=302>;index=1.1.1",
            ),
        ),
        (["<sip:+1@x>"], ("History-Info: <sip:+1@x>;index=1, <sip:a@h;cause=404>;index=1.1",)),
        (
            ["<tel:*21>;reason=user-busy;privacy=full, <tel:+1>"],
            (
                f"History-Info: <tel:+1>;index=1, <{ANONYMOUS};cause=404?Privacy=history>;index=1.1, "
                "<sip:a@h;cause=486>;index=1.1.1",
            ),
        ),
    ],
)
def test_diversion_becomes_history(values: list[str], line: tuple[str, ...]) -> None:
    assert history_from_diversion(values, "sip:a@h") == line
