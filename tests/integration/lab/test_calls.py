"""Calls inside the lab, without the gateway: proven by the tone each end hears."""

import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.lab.baresip import AUDIO_CODECS, VIDEO_CODECS, Phone
from tests.lab.lab import Lab
from tests.lab.options import PHONE, VIDEOPHONE, LabOptions, Part, PhoneOptions
from tests.lab.services.conference import confirmation_hz
from tests.lab.services.pstn import ANNOUNCEMENT_HZ, TONE_HZ
from tests.lab.subscribers import REALM
from tests.lab.tone import heard_hz
from tests.lab.waiting import wait_until

TOLERANCE_HZ = 15
FRAMES = 15


@pytest.fixture
def phone(ims_side: Lab) -> Iterator[Phone]:
    """The audio phone, idle, with its events and recordings from now on."""
    yield from idle(ims_side.phone(PHONE.name))


@pytest.fixture
def videophone(ims_side: Lab) -> Iterator[Phone]:
    yield from idle(ims_side.phone(VIDEOPHONE.name))


def idle(phone: Phone) -> Iterator[Phone]:
    """Give a phone to one test: nothing old on it before, no call on it afterwards."""
    phone.listen()
    phone.events.clear()
    phone.forget_recordings()
    yield phone
    phone.hangup_all()


def hears(phone: Phone, hz: float) -> Callable[[], bool]:
    def right() -> bool:
        recordings = phone.recordings()
        return bool(recordings) and abs(heard_hz(recordings[-1]) - hz) <= TOLERANCE_HZ

    return right


def last_call(lab: Lab, service: str) -> dict[str, Any]:
    calls: list[dict[str, Any]] = getattr(lab, service).ask("calls")
    return calls[-1]


def number(digits: str) -> str:
    return f"sip:{digits}@{REALM}"


@pytest.mark.parametrize("codec", [pytest.param(name, id=name) for name in AUDIO_CODECS])
def test_two_phones_hear_each_other_in_every_codec(codec: str) -> None:
    phones = (PhoneOptions("phone", (codec,), tone_hz=440), PhoneOptions("videophone", (codec,), tone_hz=520))
    with Lab(LabOptions(parts=frozenset({Part.IMS, Part.PHONES}), phones=phones)) as lab:
        caller, callee = lab.phone("phone"), lab.phone("videophone")
        caller.listen()
        caller.dial(lab.info.phones["videophone"].impu)
        caller.wait_for("CALL_ESTABLISHED")
        wait_until(hears(caller, 520), "the callee's tone", 15)
        wait_until(hears(callee, 440), "the caller's tone", 15)
        assert callee.audio_codec().upper() == codec.upper()


@pytest.mark.parametrize("codec", [pytest.param(name, id=name) for name in VIDEO_CODECS])
def test_two_videophones_see_each_other(codec: str) -> None:
    phones = (PhoneOptions("phone", video_codec=codec), PhoneOptions("videophone", video_codec=codec))
    with Lab(LabOptions(parts=frozenset({Part.IMS, Part.PHONES}), phones=phones)) as lab:
        caller, callee = lab.phone("phone"), lab.phone("videophone")
        caller.listen()
        caller.dial(lab.info.phones["videophone"].impu)
        caller.wait_for("CALL_ESTABLISHED")
        for phone in (caller, callee):
            wait_until(partial(has_shown, phone, FRAMES), f"{FRAMES} decoded pictures", 15)
            assert png_size(phone.snapshot("seen")) == (352, 288)


def has_shown(phone: Phone, frames: int) -> bool:
    return phone.frames_shown() >= frames


def png_size(png: bytes) -> tuple[int, int]:
    """Return width and height of the head chunk."""
    return struct.unpack_from("!II", png, 16)


def test_a_pstn_number_answers_with_its_tone_and_hears_the_phone(phone: Phone, ims_side: Lab) -> None:
    phone.dial(number("+15550200"))
    phone.wait_for("CALL_ESTABLISHED")
    wait_until(hears(phone, TONE_HZ), "the PSTN's tone", 15)
    wait_until(
        lambda: abs(last_call(ims_side, "pstn")["heard_hz"] - PHONE.tone_hz) <= TOLERANCE_HZ,
        "the phone's tone in the PSTN",
        15,
    )


def test_a_pstn_number_announces_before_it_answers(phone: Phone) -> None:
    phone.dial(number("+15550183"))
    phone.wait_for("CALL_PROGRESS")
    wait_until(hears(phone, ANNOUNCEMENT_HZ), "the announcement", 15)


@pytest.mark.parametrize(
    ("digits", "reason"),
    [
        pytest.param("+15550486", "486", id="busy"),
        pytest.param("+15550603", "603", id="decline"),
        pytest.param("+19990099", "404", id="unassigned-in-the-home-network"),
    ],
)
def test_a_number_refuses(phone: Phone, digits: str, reason: str) -> None:
    phone.dial(number(digits))
    assert reason in str(phone.wait_for("CALL_CLOSED")["param"])


def test_a_ringing_pstn_number_can_be_cancelled(phone: Phone, ims_side: Lab) -> None:
    phone.dial(number("+15550000"))
    phone.wait_for("CALL_RINGING")
    phone.hangup()
    wait_until(lambda: last_call(ims_side, "pstn")["state"] == "refused 487", "the end of the ringing", 15)


def test_the_pstn_calls_a_phone(phone: Phone, ims_side: Lab) -> None:
    call_id = ims_side.pstn.ask("dial", target=number("+19990011"), caller="+15550200")
    phone.wait_for("CALL_ESTABLISHED")
    wait_until(hears(phone, TONE_HZ), "the PSTN's tone", 15)
    assert ims_side.pstn.ask("hangup", call_id=call_id) == 200
    phone.wait_for("CALL_CLOSED")


def test_the_conference_confirms_a_digit_with_its_tone(phone: Phone, ims_side: Lab) -> None:
    phone.dial(ims_side.info.conference.uri)
    phone.wait_for("CALL_ESTABLISHED")
    wait_until(hears(phone, ims_side.info.conference.tone_hz), "the prompt", 15)
    phone.send_digits("3")
    wait_until(lambda: last_call(ims_side, "conference")["digits"] == "3", "the digit", 15)
    wait_until(lambda: _was_heard(phone, confirmation_hz("3")), "the confirmation", 15)


def _was_heard(phone: Phone, hz: float) -> bool:
    return abs(heard_hz(phone.recordings()[-1], last_s=0.3) - hz) <= TOLERANCE_HZ


def test_two_phones_in_one_room_hear_each_other(phone: Phone, videophone: Phone, ims_side: Lab) -> None:
    for line in (phone, videophone):
        line.dial(ims_side.info.conference.uri)
        line.wait_for("CALL_ESTABLISHED")
    wait_until(hears(phone, VIDEOPHONE.tone_hz), "the videophone's tone", 15)
    wait_until(hears(videophone, PHONE.tone_hz), "the phone's tone", 15)


def test_the_echo_service_sends_a_digit_back(phone: Phone) -> None:
    phone.dial(f"sip:ivr@{REALM}")
    phone.wait_for("CALL_ESTABLISHED")
    phone.send_digits("5")
    assert phone.wait_for("CALL_DTMF_START")["param"] == "5"
