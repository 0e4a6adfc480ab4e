"""The conference service by itself: its door, its rooms, its pictures; without the gateway."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.integration.lab.test_calls import hears, idle
from tests.lab.baresip import Phone
from tests.lab.lab import Lab
from tests.lab.options import PHONE, LabOptions, Part, PhoneOptions
from tests.lab.services.admission import Door, Verdict
from tests.lab.services.conference import PIN_PROMPT_HZ, PINS, PROMPT_HZ, TURNED_AWAY, WRONG_PIN_HZ
from tests.lab.services.pstn import TONE_HZ
from tests.lab.subscribers import REALM
from tests.lab.waiting import wait_until

DOOR = f"sip:conference-pin@{REALM}"
PIN, LONG_PIN = (f"{pin}#" for pin, room in PINS.items() if room == "weekly")
(OTHER_PIN,) = (f"{pin}#" for pin, room in PINS.items() if room == "board")
FRAMES = 15
SEEN = ("phone", "videophone", "web8")


@pytest.fixture
def phone(ims_side: Lab) -> Iterator[Phone]:
    yield from idle(ims_side.phone(PHONE.name))


@pytest.fixture
def caller(ims_side: Lab) -> Iterator[str]:
    """The Call-ID of somebody in the PSTN who has called the conference's number."""
    yield from calling(ims_side)


def calling(lab: Lab) -> Iterator[str]:
    call_id = lab.pstn.ask("dial_conference", caller="+15550199")
    wait_until(lambda: leg(lab, call_id, "pstn")["state"] == "answered", "an answer", 15)
    yield call_id
    if leg(lab, call_id, "pstn")["state"] == "answered":
        lab.pstn.ask("hangup", call_id=call_id)


@pytest.fixture
def other_caller(ims_side: Lab) -> Iterator[str]:
    yield from calling(ims_side)


def leg(lab: Lab, call_id: str, service: str = "conference") -> dict[str, Any]:
    calls: list[dict[str, Any]] = getattr(lab, service).ask("calls")
    return next(call for call in calls if call["call_id"] == call_id)


def pstn_hears(lab: Lab, call_id: str, *tones_hz: float) -> Callable[[], bool]:
    """Return whether somebody in the PSTN hears these tones and no others."""

    def right() -> bool:
        heard = leg(lab, call_id, "pstn")["tones_hz"]
        return len(heard) == len(tones_hz) and all(
            abs(a - b) < 15 for a, b in zip(heard, tones_hz, strict=True)
        )

    return right


def test_a_pin_leads_into_its_room(phone: Phone, caller: str, other_caller: str, ims_side: Lab) -> None:
    wait_until(pstn_hears(ims_side, caller, PIN_PROMPT_HZ), "the request for a PIN", 15)
    ims_side.pstn.ask("send_digits", call_id=caller, digits=LONG_PIN)
    ims_side.pstn.ask("send_digits", call_id=other_caller, digits=OTHER_PIN)
    phone.dial(DOOR)
    phone.wait_for("CALL_ESTABLISHED")
    phone.send_digits(PIN)
    wait_until(hears(phone, TONE_HZ), "the caller from the PSTN", 12)
    wait_until(pstn_hears(ims_side, caller, PHONE.tone_hz), "the phone", 15)
    assert pstn_hears(ims_side, other_caller, PROMPT_HZ)(), "who is alone in another room"
    in_rooms = [call for call in ims_side.conference.ask("calls") if call["state"] == "answered"]
    assert sorted(call["room"] for call in in_rooms) == ["board", "weekly", "weekly"]
    assert {call["digits"] for call in in_rooms} == {""}, "a PIN is not kept"


def test_after_three_wrong_pins_the_caller_is_turned_away(caller: str, ims_side: Lab) -> None:
    ims_side.pstn.ask("send_digits", call_id=caller, digits="123#")
    wait_until(pstn_hears(ims_side, caller, WRONG_PIN_HZ), "the tone for a wrong PIN", 15)
    wait_until(pstn_hears(ims_side, caller, PIN_PROMPT_HZ), "the request for another", 15)
    ims_side.pstn.ask("send_digits", call_id=caller, digits="1#2#")
    wait_until(lambda: leg(ims_side, caller, "pstn")["state"] == "ended by far end", "the end", 15)
    assert leg(ims_side, caller, "pstn")["end_reasons"] == [TURNED_AWAY]


def test_a_door_lets_nobody_in_by_a_longer_pin() -> None:
    door = Door({"12": "room"})
    assert [door.key(key) for key in "123#"] == [Verdict.TYPING] * 3 + [Verdict.WRONG]
    assert [door.key(key) for key in "12" * 8 + "3"][-1] is Verdict.WRONG, "nobody types for ever"
    assert [door.key(key) for key in "12#"][-1] is Verdict.ADMITTED


def test_the_newest_picture_is_shown_to_the_others() -> None:
    phones = tuple(PhoneOptions(name, video_codec="H264") for name in SEEN)
    parts = frozenset({Part.IMS, Part.CONFERENCE, Part.PHONES})
    with Lab(LabOptions(parts=parts, phones=phones)) as lab:
        lines = [lab.phone(name) for name in SEEN]
        for line in lines:
            line.listen()
            line.dial(lab.info.conference.uri)
            line.wait_for("CALL_ESTABLISHED")
        for line in lines:
            wait_until(partial(has_shown, line, FRAMES), f"{FRAMES} decoded pictures", 15)
        lines[2].hangup()
        before = lines[0].frames_shown()
        wait_until(partial(has_shown, lines[0], before + FRAMES), "pictures of who is left", 15)


def has_shown(phone: Phone, frames: int) -> bool:
    return phone.frames_shown() >= frames
