"""DTMF in INFO: what clients write, and what must not be taken for a digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.core import dtmf
from kemi.core.dtmf import DIGITS, PLAIN, RELAY, SESSION_INFO, KeyPresses, key_presses_from_body
from kemi.core.errors import RemoteProtocolError

digits = st.sampled_from(DIGITS)
durations = st.integers(dtmf.LEAST_MS, dtmf.MOST_MS)


@pytest.mark.parametrize(
    ("content_type", "body", "pressed"),
    [
        pytest.param(RELAY, "Signal=5\r\nDuration=2000", KeyPresses("5", 2000), id="SIP.js"),
        pytest.param(RELAY, "Signal=5\r\nDuration=100", KeyPresses("5", 100), id="JsSIP"),
        pytest.param(RELAY, "Signal= 5\r\nDuration= 160 \r\n", KeyPresses("5", 160), id="Cisco"),
        pytest.param(RELAY, "signal=*\nduration=250\n", KeyPresses("*", 250), id="lower case, LF"),
        pytest.param(RELAY, "SIGNAL : d\r\nDURATION : 90ms\r\n", KeyPresses("D", 90), id="colons"),
        pytest.param(
            RELAY, "Duration=100\r\n\r\nSignal=11\r\nX-Y=1", KeyPresses("#", 100), id="event number"
        ),
        pytest.param(RELAY, "Signal=15\rDuration=100", KeyPresses("D", 100), id="CR"),
        pytest.param(RELAY + "; charset=utf-8", "Signal=1", KeyPresses("1"), id="no duration"),
        pytest.param("Application/DTMF-Relay", "7", KeyPresses("7"), id="digit alone as relay"),
        pytest.param(RELAY, "Signal=1\r\nDuration=3", KeyPresses("1", dtmf.LEAST_MS), id="too short"),
        pytest.param(RELAY, "Signal=1\r\nDuration=99999", KeyPresses("1", dtmf.MOST_MS), id="too long"),
        pytest.param(PLAIN, "a", KeyPresses("A"), id="plain"),
        pytest.param(PLAIN, " 10\r\n", KeyPresses("*"), id="plain event number"),
        pytest.param(PLAIN, "Signal=2\r\nDuration=80", KeyPresses("2", 80), id="relay as plain"),
        pytest.param(SESSION_INFO, "SubsequentDigit: 12-3*d\r\n", KeyPresses("123*D"), id="TS 24.229"),
        pytest.param("application/x-session-info", "subsequentdigit=9", KeyPresses("9"), id="x-"),
    ],
)
def test_what_clients_write(content_type: str, body: str, pressed: KeyPresses) -> None:
    assert key_presses_from_body(content_type, body) == pressed


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param(RELAY, "", id="empty"),
        pytest.param(RELAY, "Signal=", id="no signal"),
        pytest.param(RELAY, "Signal=16\r\nDuration=100", id="flash"),
        pytest.param(RELAY, "Signal=!", id="flash sign"),
        pytest.param(RELAY, "Signal=123", id="several"),
        pytest.param(RELAY, "Signal=E", id="letter"),
        pytest.param(RELAY, "Signal=٣", id="digit of another script"),
        pytest.param(RELAY, "Signal=1\r\nSignal=2", id="twice"),
        pytest.param(RELAY, "Signal=1\r\nDuration=-5", id="negative"),
        pytest.param(RELAY, "Signal=1\r\nDuration=long", id="no number"),
        pytest.param(RELAY, "Signal=1\r\nnonsense", id="no value"),
        pytest.param(PLAIN, "20", id="no event"),
        pytest.param(PLAIN, "x", id="no digit"),
        pytest.param(SESSION_INFO, "Signal=1", id="wrong field"),
        pytest.param(SESSION_INFO, "SubsequentDigit: 1;2", id="no digits"),
        pytest.param(SESSION_INFO, "SubsequentDigit: " + "1" * 33, id="too many"),
    ],
)
def test_what_is_refused(content_type: str, body: str) -> None:
    with pytest.raises(RemoteProtocolError):
        key_presses_from_body(content_type, body)


@given(digits, durations)
def test_what_we_write_we_read(digit: str, duration_ms: int) -> None:
    body = dtmf.key_press_to_body(RELAY, digit, duration_ms)
    assert key_presses_from_body(RELAY, body) == KeyPresses(digit, duration_ms)
    body = dtmf.key_press_to_body(SESSION_INFO, digit, duration_ms)
    assert key_presses_from_body(SESSION_INFO, body).digits == digit


@given(
    digits, durations, st.sampled_from(["\r\n", "\n", "\r"]), st.sampled_from(["", " ", "\t"]), st.booleans()
)
def test_spelling_does_not_matter(digit: str, ms: int, end: str, space: str, lower: bool) -> None:
    body = f"Signal{space}={space}{digit}{end}{end}Duration{space}={space}{ms}{end}"
    body = body.lower() if lower else body
    assert key_presses_from_body(RELAY, body) == KeyPresses(digit, ms)


@given(st.sampled_from(dtmf.TYPES), st.text(max_size=80))
def test_anything_else_is_digits_or_refused(content_type: str, body: str) -> None:
    try:
        pressed = key_presses_from_body(content_type, body)
    except RemoteProtocolError:
        return
    assert set(pressed.digits) <= set(DIGITS)
    assert dtmf.LEAST_MS <= pressed.duration_ms <= dtmf.MOST_MS


def test_no_digit_shows_in_a_representation() -> None:
    assert "7" not in repr(KeyPresses("7", 100))


@given(st.integers(40, 5000), st.sampled_from([8000, 16000, 48000]))
def test_durations_of_rtpengine_are_put_right(duration_ms: int, clock_hz: int) -> None:
    reported_ms = duration_ms * clock_hz // 1000 * (1_000_000 // clock_hz) // 1000
    assert abs(dtmf.duration_of_event(reported_ms, clock_hz) - duration_ms) <= 2
