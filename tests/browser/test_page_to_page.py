"""A page calls a page through the gateway and a real IMS core, both real browsers with the SDK."""

from __future__ import annotations

import pytest

from tests.browser.softphone import SoftphoneBrowser
from tests.lab.lab import Lab
from tests.lab.options import LabOptions
from tests.lab.proof import wait_clean

pytestmark = [pytest.mark.browser, pytest.mark.lab]

ALICE_TONE_HZ = 1000.0
BOB_TONE_HZ = 700.0


@pytest.mark.conformance("S-26")
def test_of_two_tabs_one_answers_and_the_other_is_told() -> None:
    with Lab(LabOptions(phones=())) as lab:
        origin = lab.info.web.origin
        alice, bob = (lab.info.users[name] for name in ("alice", "bob"))
        with (
            SoftphoneBrowser(origin) as caller,
            SoftphoneBrowser(origin, playwright=caller.playwright) as first,
            SoftphoneBrowser(origin, playwright=caller.playwright) as second,
        ):
            caller.sign_in(alice.name, alice.password)
            for tab in (first, second):
                tab.sign_in(bob.name, bob.password)
            first.speak(BOB_TONE_HZ)
            caller.dial(bob.impu, tone_hz=ALICE_TONE_HZ)
            second.page.wait_for_selector("#incoming .ringing")
            first.answer()
            first.wait_established()
            second.page.wait_for_selector("text=Answered on another device")
            first.wait_tone(ALICE_TONE_HZ)
            caller.wait_tone(BOB_TONE_HZ)
            first.hang_up()
            caller.wait(lambda: caller.state == "ended", "call ended at the caller", 15)
        wait_clean(lab)


def test_a_page_calls_a_page_and_both_hear_each_other() -> None:
    with Lab(LabOptions(phones=())) as lab:
        alice, bob = (lab.info.users[name] for name in ("alice", "bob"))
        with (
            SoftphoneBrowser(lab.info.web.origin) as caller,
            SoftphoneBrowser(lab.info.web.origin, playwright=caller.playwright) as callee,
        ):
            caller.sign_in(alice.name, alice.password)
            callee.sign_in(bob.name, bob.password)
            callee.speak(BOB_TONE_HZ)
            caller.dial(bob.impu, tone_hz=ALICE_TONE_HZ)
            callee.answer()
            caller.wait_established()
            callee.wait_established()
            callee.wait_tone(ALICE_TONE_HZ)
            caller.wait_tone(BOB_TONE_HZ)
            caller.hang_up()
            callee.wait(lambda: callee.state == "ended", "call ended at the callee", 15)
        wait_clean(lab)


def test_two_pages_see_each_other() -> None:
    with Lab(LabOptions(phones=())) as lab:
        origin = lab.info.web.origin
        alice, bob = (lab.info.users[name] for name in ("alice", "bob"))
        with (
            SoftphoneBrowser(origin, camera=True) as caller,
            SoftphoneBrowser(origin, camera=True, playwright=caller.playwright) as callee,
        ):
            caller.sign_in(alice.name, alice.password)
            callee.sign_in(bob.name, bob.password)
            callee.speak(BOB_TONE_HZ, video=True)
            caller.dial(bob.impu, tone_hz=ALICE_TONE_HZ, video=True)
            callee.answer(video=True)
            caller.wait_established()
            callee.wait_tone(ALICE_TONE_HZ)
            caller.wait_tone(BOB_TONE_HZ)
            caller.wait(lambda: caller.remote_video().frames_decoded > 20, "pictures of the callee", 10.0)
            callee.wait(lambda: callee.remote_video().frames_decoded > 20, "pictures of the caller", 10.0)
            caller.hang_up()
            # Closed before it has answered the BYE, its record would wait half a minute for that.
            callee.wait(lambda: callee.state == "ended", "the end at the callee", 15)
        wait_clean(lab)
