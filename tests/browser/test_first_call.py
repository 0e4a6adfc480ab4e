"""The main job on real input: a real browser reaches IMS phones through the gateway and a real IMS core."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.softphone import SoftphoneBrowser
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, PhoneOptions
from tests.lab.proof import TOLERANCE_HZ, is_answer_then_update, wait_clean, wait_released, wait_until_heard
from tests.lab.world import UserInfo
from tests.peers.sip import SipRequest
from tests.peers.trace import Direction

pytestmark = [pytest.mark.browser, pytest.mark.lab]

TONE_HZ = 1000.0
PHONES = (
    PhoneOptions("phone", tone_hz=440),
    PhoneOptions("web6", audio_codecs=("PCMA",), tone_hz=460),
    PhoneOptions("web7", audio_codecs=("AMR-WB",), tone_hz=480),
    PhoneOptions("web8", audio_codecs=("opus",), tone_hz=500),
    PhoneOptions("videophone", video_codec="VP8", tone_hz=520),
)


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """The whole world, with a phone for each codec."""
    with Lab(LabOptions(phones=PHONES)) as lab:
        for phone in PHONES:
            lab.phone(phone.name).listen()
        yield lab
        wait_clean(lab)


@pytest.fixture
def alice(world: Lab) -> UserInfo:
    """Who sits at the page."""
    return world.info.users["alice"]


def sign_in(browser: SoftphoneBrowser, user: UserInfo) -> None:
    """Register at the IMS core with digest, end to end."""
    browser.sign_in(user.name, user.password)


class TestAudio:
    """One line each way."""

    def test_a_page_calls_a_phone_by_answer_then_update(self, world: Lab, alice: UserInfo) -> None:
        phone = world.info.phones["phone"]
        with SoftphoneBrowser(world.info.web.origin) as browser:
            sign_in(browser, alice)
            browser.dial(phone.impu, tone_hz=TONE_HZ)
            browser.wait_established()
            browser.wait_tone(phone.tone_hz)
            wait_until_heard(world, "phone", TONE_HZ)
            inbound = browser.inbound("audio")
            lines = browser.diagnostics()["mediaLines"]
            browser.hang_up()
            ladder = browser.ladder()
        wait_released(world)
        # The phone answers at once: its 180 may be overtaken by the 200 on the way (RFC 3261 §16.7 step 5).
        assert [rung for rung in ladder if rung != "<- 180 INVITE"] == [
            "-> INVITE (SDP)",
            "<- 100 INVITE",
            "<- 183 INVITE (SDP)",
            "-> PRACK",
            "<- 200 PRACK",
            "<- UPDATE (SDP)",
            "-> 200 UPDATE (SDP)",
            "<- 200 INVITE",
            "-> ACK",
            "-> BYE",
            "<- 200 BYE",
        ]
        assert [line["mid"] for line in inbound] == ["r0"], "the phone is heard on the added line only"
        directions = {line["mid"]: line["currentDirection"] for line in lines}
        assert directions == {"0": "sendonly", "r0": "recvonly"}

    @pytest.mark.parametrize(
        ("name", "codec"),
        [("web6", "PCMA"), ("web7", "AMR-WB"), ("web8", "opus")],
        ids=["PCMA", "AMR-WB", "Opus"],
    )
    def test_whatever_codec_the_phone_speaks_both_hear_each_other(
        self, world: Lab, alice: UserInfo, name: str, codec: str
    ) -> None:
        phone = world.info.phones[name]
        with SoftphoneBrowser(world.info.web.origin) as browser:
            sign_in(browser, alice)
            browser.dial(phone.impu, tone_hz=TONE_HZ)
            browser.wait_established()
            browser.wait_tone(phone.tone_hz)
            wait_until_heard(world, name, TONE_HZ)
            assert world.phone(name).audio_codec().lower() == codec.lower()
            assert [line["codec"] for line in browser.inbound("audio")] == ["opus"]
            browser.hang_up()
        wait_released(world)

    def test_the_phone_can_hang_up(self, world: Lab, alice: UserInfo) -> None:
        with SoftphoneBrowser(world.info.web.origin) as browser:
            sign_in(browser, alice)
            browser.dial(world.info.phones["phone"].impu)
            browser.wait_established()
            world.phone("phone").hangup()
            browser.wait(lambda: browser.state == "ended", "call ended", 15)
            assert browser.evaluate("() => window.softphone.call.end.by") == "remote"
        wait_released(world)

    def test_digits_reach_a_conference_service_as_info(self, world: Lab, alice: UserInfo) -> None:
        """INFO is passed on as it is in this release; the IMS side sees it inside its own dialog."""
        with SoftphoneBrowser(world.info.web.origin) as browser:
            sign_in(browser, alice)
            browser.dial(world.info.conference.uri)
            browser.wait_established()
            browser.evaluate("() => window.softphone.call.sendDtmf('5')")
            browser.hang_up()
            assert "-> INFO" in browser.ladder()
        wait_released(world)

    def test_a_page_calls_an_ordinary_telephone(self, world: Lab, alice: UserInfo) -> None:
        with SoftphoneBrowser(world.info.web.origin) as browser:
            sign_in(browser, alice)
            browser.dial(world.info.pstn.uri.removeprefix("tel:"), tone_hz=TONE_HZ)
            browser.wait_established()
            browser.wait_tone(world.info.pstn.tone_hz)
            browser.hang_up()
        wait_released(world)

    def test_early_announcements_are_heard_before_the_answer(self, world: Lab, alice: UserInfo) -> None:
        """What the web media path standing early is good for: 950 Hz for a second, then the answer."""
        number = world.info.pstn.uri.removeprefix("tel:")[:-3] + "183"
        with SoftphoneBrowser(world.info.web.origin) as browser:
            sign_in(browser, alice)
            browser.dial(number, tone_hz=TONE_HZ)
            browser.wait(lambda: browser.state in ("connecting", "ringing"), "early dialog", 15)
            heard = browser.wait_tone(950.0, timeout_s=4)
            assert abs(heard - 950.0) <= TOLERANCE_HZ
            browser.wait_established()
            browser.hang_up()
        wait_released(world)


class TestVideo:
    """Two lines each way, on one two-way IMS stream per kind."""

    def test_both_sides_see_and_hear_each_other(self, world: Lab, alice: UserInfo) -> None:
        phone, device = world.info.phones["videophone"], world.phone("videophone")
        with SoftphoneBrowser(world.info.web.origin, camera=True) as browser:
            sign_in(browser, alice)
            browser.dial(phone.impu, tone_hz=TONE_HZ, video=True)
            browser.wait_established()
            browser.wait_tone(phone.tone_hz)
            wait_until_heard(world, "videophone", TONE_HZ)
            browser.wait(lambda: browser.remote_video().frames_decoded >= 10, "10 frames at the page", 15)
            browser.wait(lambda: device.frames_shown() >= 10, "10 frames at the phone", 15)
            assert [line["mid"] for line in browser.inbound("video")] == ["r1"]
            shown = browser.remote_video()
            picture = device.snapshot("first-call")
            browser.hang_up()
            ladder = browser.ladder()
        wait_released(world)
        assert (shown.width, shown.height) == (352, 288)
        assert len(picture) > 2000, "a picture of the browser's camera, not a blank one"
        assert is_answer_then_update(ladder)
        assert ladder.count("<- UPDATE (SDP)") == 2, "the second one tells the page that the phone took VP8"

    def test_a_phone_without_video_gets_the_call_all_the_same(self, world: Lab, alice: UserInfo) -> None:
        phone = world.info.phones["phone"]
        with SoftphoneBrowser(world.info.web.origin, camera=True) as browser:
            sign_in(browser, alice)
            browser.dial(phone.impu, tone_hz=TONE_HZ, video=True)
            browser.wait_established()
            browser.wait_tone(phone.tone_hz)
            wait_until_heard(world, "phone", TONE_HZ)
            entries = browser.call_entries(browser.diagnostics()["callId"])
            browser.hang_up()
        wait_released(world)
        updates = [
            entry.message.body
            for entry in entries
            if entry.direction is Direction.RECEIVED
            and isinstance(entry.message, SipRequest)
            and entry.message.method == "UPDATE"
        ]
        assert len(updates) == 2
        assert updates[1].count("m=video 0 ") == 2, "the page is told that nobody takes its video"


class TestAddress:
    """ICE-lite towards the browser; STUN by the gateway itself."""

    def test_a_page_learns_its_reflexive_address_from_the_gateway(self, world: Lab, alice: UserInfo) -> None:
        with SoftphoneBrowser(world.info.web.origin) as browser:
            sign_in(browser, alice)
            browser.dial(world.info.phones["phone"].impu)
            browser.wait_established()
            reflexive = browser.diagnostics()["reflexiveAddress"]
            servers = browser.evaluate(
                "() => window.softphone.phone.config.iceServers.flatMap((s) => s.urls)"
            )
            browser.hang_up()
        wait_released(world)
        assert servers == [f"stun:127.0.0.1:{world.info.gateway.sip_port}"]
        assert reflexive["address"] == "127.0.0.1"
        assert reflexive["port"] > 0

    def test_the_gateway_is_ice_lite(self, world: Lab, alice: UserInfo) -> None:
        with SoftphoneBrowser(world.info.web.origin) as browser:
            sign_in(browser, alice)
            browser.dial(world.info.phones["phone"].impu)
            browser.wait_established()
            entries = browser.call_entries(browser.diagnostics()["callId"])
            browser.hang_up()
        wait_released(world)
        answer = next(entry.message.body for entry in entries if entry.label == "<- 183 INVITE (SDP)")
        assert "a=ice-lite" in answer
        assert answer.count("a=candidate:") == 1


class TestRefusals:
    """What the person at the page is told."""

    def test_a_wrong_password_is_told(self, world: Lab, alice: UserInfo) -> None:
        with SoftphoneBrowser(world.info.web.origin) as browser:
            with pytest.raises(AssertionError, match="no registered"):
                browser.sign_in(alice.name, "wrong", timeout_s=4)
            assert "403" in browser.page.inner_text("#banners") or "password" in browser.page.inner_text(
                "#banners"
            )

    def test_a_busy_telephone_is_told_as_busy(self, world: Lab, alice: UserInfo) -> None:
        number = world.info.pstn.uri.removeprefix("tel:")[:-3] + "486"
        with SoftphoneBrowser(world.info.web.origin) as browser:
            sign_in(browser, alice)
            browser.dial(number)
            browser.wait(lambda: browser.state == "ended", "call ended", 15)
            assert browser.evaluate("() => window.softphone.call.end.error.status") == 486
        wait_released(world)
