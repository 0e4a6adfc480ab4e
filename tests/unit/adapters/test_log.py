"""One event for each line, whatever the values hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.adapters import log
from kemi.adapters.kamailio import ksr
from tests.fakes.ksr import FakeKamailio


@pytest.fixture
def installed(kamailio: FakeKamailio, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKamailio]:
    """Kamailio's log functions behind everything; afterwards it is as before."""
    monkeypatch.setattr(log, "_write_by_level", {})
    monkeypatch.setattr(log, "_threshold", logging.NOTSET)
    monkeypatch.setattr(log, "_verbosity", log._verbosity)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    log.install(ksr.LOG_FUNCTIONS, ksr.log_verbosity)
    kamailio.script("get_debug", 2)
    yield kamailio
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("plain", "k=plain", id="plain"),
        pytest.param(5, "k=5", id="number"),
        pytest.param("two words", 'k="two words"', id="space"),
        pytest.param('say "hi"', 'k="say \\"hi\\""', id="quotes"),
        pytest.param("a=b", 'k="a=b"', id="equals sign"),
        pytest.param("a\r\nevent=forged", 'k="a event=forged"', id="line ends"),
    ],
)
def test_values_are_quoted_where_needed(value: object, written: str) -> None:
    assert log.line_from_event("thing_happened", {"k": value}) == f"event=thing_happened {written}"


def test_kamailio_takes_no_nul() -> None:
    assert log.line_from_event("e", {"a": "b\0c"}) == "event=e a=b\\0c"


def test_empty_values_are_left_out() -> None:
    assert log.line_from_event("x", {"a": "", "b": 0}) == "event=x b=0"


@given(value=st.text())
def test_no_value_makes_a_second_line(value: str) -> None:
    line = log.line_from_event("x", {"k": value})
    assert "\n" not in line
    assert "\r" not in line


@pytest.mark.parametrize(
    ("level", "function"),
    [
        (logging.INFO, "info"),
        (logging.WARNING, "warn"),
        (logging.ERROR, "err"),
        (logging.CRITICAL, "err"),
    ],
)
def test_each_level_has_its_function(installed: FakeKamailio, level: int, function: str) -> None:
    log.log_event(level, "thing_happened", call_id="c")
    assert installed.log == [(function, "event=thing_happened call_id=c\n")]


def test_debug_is_not_written_unless_asked_for(installed: FakeKamailio) -> None:
    log.log_event(logging.DEBUG, "detail")
    assert installed.log == []
    log.install(ksr.LOG_FUNCTIONS, ksr.log_verbosity, logging.DEBUG)
    log.log_event(logging.DEBUG, "detail")
    assert installed.log == [("dbg", "event=detail\n")]


@pytest.mark.parametrize(
    ("level", "verbosity", "written"),
    [
        pytest.param(logging.INFO, 2, True, id="info at 2"),
        pytest.param(logging.INFO, 1, False, id="info at 1"),
        pytest.param(logging.WARNING, -3, True, id="a warning is Kamailio's own business"),
    ],
)
def test_a_line_kamailio_would_not_write_is_not_made(
    installed: FakeKamailio, level: int, verbosity: int, written: bool
) -> None:
    class Value:
        def __str__(self) -> str:
            assert written, "the line was made"
            return "x"

    installed.script("get_debug", verbosity)
    log.log_event(level, "thing_happened", k=Value())
    assert len(installed.log) == written


def test_the_verbosity_is_that_of_the_moment(installed: FakeKamailio) -> None:
    installed.script("get_debug", 1)
    log.log_event(logging.INFO, "first")
    installed.script("get_debug", 2)
    log.log_event(logging.INFO, "second")
    assert installed.log == [("info", "event=second\n")]


def test_events_do_not_pass_pythons_logging_once_installed(
    installed: FakeKamailio, caplog: pytest.LogCaptureFixture
) -> None:
    log.log_event(logging.WARNING, "thing_happened")
    assert caplog.records == []
    assert len(installed.log) == 1


def test_before_that_they_do(caplog: pytest.LogCaptureFixture) -> None:
    log.log_event(logging.WARNING, "thing_happened", k=1)
    assert [record.getMessage() for record in caplog.records] == ["event=thing_happened k=1"]


def test_a_traceback_is_written_line_by_line(installed: FakeKamailio) -> None:
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("gateway").exception("traceback follows")
    assert len(installed.log) > 2
    assert all(level == "err" and line.count("\n") == 1 for level, line in installed.log)


def test_what_libraries_log_goes_the_same_way(installed: FakeKamailio) -> None:
    logging.getLogger("some.library").warning("careful")
    assert installed.log == [("warn", "careful\n")]
