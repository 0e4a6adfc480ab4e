"""A web page joins a teleconference by PIN: through the PSTN gateway, and with pictures straight through the IMS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from kemi.state.web.client import connect
from kemi.state.web.routes import RoutesStore
from tests.browser.softphone import SoftphoneBrowser
from tests.lab.lab import Lab
from tests.lab.options import PHONE, VIDEOPHONE
from tests.lab.proof import wait_released
from tests.lab.services.conference import NUMBER, PIN_PROMPT_HZ, PINS, PROMPT_HZ, TURNED_AWAY, WRONG_PIN_HZ
from tests.lab.services.pstn import TONE_HZ as PSTN_HZ
from tests.lab.subscribers import REALM
from tests.lab.tone import tones_heard
from tests.lab.waiting import wait_until
from tests.peers.sip import SipRequest
from tests.peers.trace import Direction

pytestmark = [pytest.mark.browser, pytest.mark.lab]

PAGE_HZ = 1000
SHORT_CODE = "600"
ROOM = "weekly"
PIN, LONG_PIN = sorted((f"{pin}#" for pin, room in PINS.items() if room == ROOM), key=len)
"""Phones log what they press; that nobody else does, is looked for with the long one."""
FRAMES = 10


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """The whole world, and a table that knows the conference by a short code."""
    with Lab() as lab:
        table = RoutingDocument(
            routes=[
                Route("people", f"sip:*@{REALM}", Target.CORE),
                Route("conference", SHORT_CODE, Target.CONFERENCE, name=ROOM),
            ],
            plans={REALM: DialPlan(country="US", short_codes={SHORT_CODE: ""})},
            conferences={ROOM: f"sip:{NUMBER}@{REALM};user=phone"},
        )
        version = str(RoutesStore(connect(lab.info.redis_url)).put(table))
        wait_until(lambda: lab.gateway_rpc.htable("routing").get("current") == version, "the table", 15)
        for phone in (PHONE, VIDEOPHONE):
            lab.phone(phone.name).listen()
        yield lab


@pytest.fixture(scope="module")
def registered(world: Lab) -> Iterator[SoftphoneBrowser]:
    """Somebody's page, registered."""
    with SoftphoneBrowser(world.info.web.origin, camera=True) as browser:
        user = world.info.users["alice"]
        browser.sign_in(user.name, user.password)
        yield browser


@pytest.fixture
def page(world: Lab, registered: SoftphoneBrowser) -> Iterator[SoftphoneBrowser]:
    """The page for one test; after it there is no call anywhere."""
    yield registered
    if registered.state not in ("", "ended"):
        registered.hang_up()
    for phone in (PHONE, VIDEOPHONE):
        world.phone(phone.name).hangup_all()


@pytest.fixture
def pstn_caller(world: Lab) -> Iterator[str]:
    """The Call-ID of somebody in the PSTN who has dialled in and gives the PIN."""
    call_id: str = world.pstn.ask("dial_conference", caller="+15550199")
    wait_until(lambda: leg(world, "pstn", call_id)["state"] == "answered", "an answer", 15)
    world.pstn.ask("send_digits", call_id=call_id, digits=PIN)
    yield call_id
    if leg(world, "pstn", call_id)["state"] == "answered":
        world.pstn.ask("hangup", call_id=call_id)


def leg(world: Lab, service: str, call_id: str) -> dict[str, Any]:
    calls: list[dict[str, Any]] = getattr(world, service).ask("calls")
    return next(call for call in calls if call["call_id"] == call_id)


def dial_in(world: Lab, name: str) -> None:
    """Have an MMTel phone call the service straight through the IMS and give the PIN."""
    phone = world.phone(name)
    phone.dial(world.info.conference.door_uri)
    phone.wait_for("CALL_ESTABLISHED")
    phone.send_digits(PIN)


def are(heard: list[float], *tones_hz: float) -> bool:
    return len(heard) == len(tones_hz) and all(
        abs(one - other) <= 15 for one, other in zip(heard, tones_hz, strict=True)
    )


def phone_hears(world: Lab, name: str, *tones_hz: float) -> Callable[[], bool]:
    return lambda: are(tones_heard(world.phone(name).recordings()[-1]), *tones_hz)


def pstn_hears(world: Lab, call_id: str, *tones_hz: float) -> Callable[[], bool]:
    return lambda: are(leg(world, "pstn", call_id)["tones_hz"], *tones_hz)


def press(page: SoftphoneBrowser, keys: str) -> None:
    """Send DTMF; returns when the last digit has been played."""
    page.evaluate(f"() => window.softphone.call.sendDtmf('{keys}')")


def test_a_page_joins_through_the_pstn_and_everybody_hears_everybody_else(
    world: Lab, page: SoftphoneBrowser, pstn_caller: str
) -> None:
    dial_in(world, PHONE.name)
    page.dial(SHORT_CODE, tone_hz=PAGE_HZ)
    page.wait_established()
    page.wait_tones(PIN_PROMPT_HZ)
    press(page, LONG_PIN)
    page.wait_tones(PHONE.tone_hz, PSTN_HZ)
    wait_until(phone_hears(world, PHONE.name, PSTN_HZ, PAGE_HZ), "all others at the phone", 15)
    wait_until(pstn_hears(world, pstn_caller, PHONE.tone_hz, PAGE_HZ), "all others in the PSTN", 15)
    in_pstn = [call for call in world.pstn.ask("calls") if call["state"] == "answered"]
    assert [call["codec"] for call in in_pstn] == ["PCMA"] * 3, "one call of its own, two of the page's"
    world.pstn.ask("hangup", call_id=pstn_caller)
    page.wait_tones(PHONE.tone_hz)
    world.phone(PHONE.name).hangup()
    page.wait_tones(PROMPT_HZ)
    ladder = page.ladder()
    page.hang_up()
    assert ladder.count("-> INFO") == len(LONG_PIN)
    wait_until(lambda: not running(world), "the end of the page's calls in PSTN and conference", 15)
    wait_released(world)


def running(world: Lab) -> list[dict[str, Any]]:
    calls = [*world.pstn.ask("calls"), *world.conference.ask("calls")]
    return [call for call in calls if call["state"] in ("ringing", "answered")]


def test_with_pictures_where_the_path_has_them(world: Lab, page: SoftphoneBrowser, pstn_caller: str) -> None:
    dial_in(world, VIDEOPHONE.name)
    page.dial(world.info.conference.door_uri, tone_hz=PAGE_HZ, video=True)
    page.wait_established()
    press(page, PIN)
    device = world.phone(VIDEOPHONE.name)
    page.wait_tones(VIDEOPHONE.tone_hz, PSTN_HZ)
    page.wait(lambda: page.remote_video().frames_decoded >= FRAMES, "the phone's pictures", 15)
    wait_until(lambda: device.frames_shown() >= FRAMES, "the page's pictures", 15)
    wait_until(phone_hears(world, VIDEOPHONE.name, PSTN_HZ, PAGE_HZ), "all others at the phone", 15)
    wait_until(pstn_hears(world, pstn_caller, VIDEOPHONE.tone_hz, PAGE_HZ), "all others in the PSTN", 15)
    assert (page.remote_video().width, page.remote_video().height) == (352, 288)
    page.hang_up()
    device.hangup()
    wait_released(world)


def test_who_has_no_pin_is_turned_away_with_a_reason(world: Lab, page: SoftphoneBrowser) -> None:
    page.dial(SHORT_CODE, tone_hz=PAGE_HZ)
    page.wait_established()
    press(page, "1#")
    page.wait_tones(WRONG_PIN_HZ)
    page.wait_tones(PIN_PROMPT_HZ)
    call_id = page.diagnostics()["callId"]
    press(page, "2#3#")
    page.wait(lambda: page.state == "ended", "the end of the call", 15)
    received = [
        entry.message for entry in page.call_entries(call_id) if entry.direction is Direction.RECEIVED
    ]
    bye = next(one for one in received if isinstance(one, SipRequest) and one.method == "BYE")
    assert TURNED_AWAY in bye.headers.all("Reason")
    wait_released(world)
