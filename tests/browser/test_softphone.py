"""What people do with the softphone beside a plain call, in Chromium and in Firefox, with the real gateway, relay and
IMS core behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from kemi.state.web.client import connect
from kemi.state.web.routes import RoutesStore
from tests.browser.matrix.conftest import PHONES, address_of_host
from tests.browser.softphone import SoftphoneBrowser
from tests.browser.softphone_firefox import NO_PERMISSION as FIREFOX_NO_PERMISSION
from tests.browser.softphone_firefox import FirefoxSoftphone, FirefoxWebUser
from tests.browser.web_user import WebUser
from tests.lab.lab import Lab
from tests.lab.options import PHONE, VIDEOPHONE, LabOptions, Part
from tests.lab.proof import wait_clean, wait_released, wait_until_heard
from tests.lab.services.conference import ADMITTED_HZ, PIN_PROMPT_HZ, PINS, PROMPT_HZ
from tests.lab.services.pstn import PREFIX as PSTN_PREFIX
from tests.lab.services.pstn import TONE_HZ as PSTN_HZ
from tests.lab.subscribers import REALM
from tests.lab.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.lab]

TONE_HZ: Final = 1000.0
BOB_HZ: Final = 700.0
CAROL_HZ: Final = 820.0
FRAMES: Final = 10
REASON: Final = "no premium numbers"
PREMIUM: Final = "+19005550100"
TWO_CAMERAS: Final = ("--use-fake-device-for-media-stream=device-count=2",)
# Devices there are, but nobody allows the page to use them.
NO_PERMISSION: Final = ("--use-fake-device-for-media-stream",)
CLIPBOARD: Final[dict[str, bool | int | str]] = {"dom.events.testing.asyncClipboard": True}


@dataclass(frozen=True)
class Pages:
    """Opens softphones of one kind of browser."""

    origin: str
    is_firefox: bool

    def open(self, *, voice_hz: float = TONE_HZ, beside: SoftphoneBrowser | None = None) -> SoftphoneBrowser:
        """`voice_hz`: all that this page will ever say. `beside`: another page that stays open longer."""
        playwright = None if beside is None else beside.playwright
        if self.is_firefox:
            return FirefoxSoftphone(
                self.origin, voice_hz=voice_hz, preferences=CLIPBOARD, playwright=playwright
            )
        return SoftphoneBrowser(self.origin, camera=True, arguments=TWO_CAMERAS, playwright=playwright)

    def open_for_account(self, beside: SoftphoneBrowser) -> WebUser:
        """A page for somebody with a web account."""
        kind = FirefoxWebUser if self.is_firefox else WebUser
        return kind(self.origin, playwright=beside.playwright)

    def open_without_permission(self, beside: SoftphoneBrowser) -> SoftphoneBrowser:
        """A page that may not use the microphone."""
        if self.is_firefox:
            return FirefoxSoftphone(
                self.origin, preferences=FIREFOX_NO_PERMISSION, playwright=beside.playwright
            )
        return SoftphoneBrowser(self.origin, arguments=NO_PERMISSION, playwright=beside.playwright)


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """The whole world, where one prefix may not be called."""
    # Firefox uses no candidate on the loopback interface, and has no H.264.
    variables = {"rtpengine": {"rtpengine_wic_address": address_of_host()}}
    with Lab(LabOptions(phones=PHONES, role_variables=variables)) as lab:
        table = RoutingDocument(
            routes=[
                Route("people", f"sip:*@{REALM}", Target.CORE),
                Route("all", "*", Target.CORE),
                Route("premium", PREMIUM, Target.REFUSE, status=403, reason=REASON),
            ]
        )
        version = str(RoutesStore(connect(lab.info.redis_url)).put(table))
        wait_until(lambda: lab.gateway_rpc.htable("routing").get("current") == version, "the table", 30)
        for phone in (PHONE, VIDEOPHONE):
            lab.phone(phone.name).listen()
        yield lab
        wait_clean(lab)


@pytest.fixture(scope="module", params=["Chromium", "Firefox"])
def pages(request: pytest.FixtureRequest, world: Lab) -> Pages:
    """One kind of browser after the other."""
    return Pages(world.info.web.origin, is_firefox=request.param == "Firefox")


@pytest.fixture(scope="module")
def signed_in(world: Lab, pages: Pages) -> Iterator[SoftphoneBrowser]:
    """Alice's page, registered."""
    alice = world.info.users["alice"]
    with pages.open() as browser:
        if not pages.is_firefox:
            permissions = ["microphone", "camera", "clipboard-read", "clipboard-write"]
            browser.page.context.grant_permissions(permissions)
        browser.sign_in(alice.name, alice.password)
        yield browser


@pytest.fixture
def browser(world: Lab, signed_in: SoftphoneBrowser) -> Iterator[SoftphoneBrowser]:
    """The page for one test; after it there is no call anywhere."""
    signed_in.evaluate("() => { window.softphone.streams = undefined; }")
    yield signed_in
    signed_in.evaluate("() => Promise.all(window.softphone.phone.calls.map((call) => call.hangup()))")
    for phone in (PHONE, VIDEOPHONE):
        world.phone(phone.name).hangup_all()
    wait_released(world)


def number(ending: str) -> str:
    """A number of the PSTN, of full length; what it does depends on its end."""
    return f"{PSTN_PREFIX}010{ending}"


def banner(browser: SoftphoneBrowser, *words: str, timeout_s: float = 8.0) -> str:
    """Wait until the page's message has these words; the message."""
    for word in words:
        browser.page.wait_for_selector(f".banner:has-text({json.dumps(word)})", timeout=timeout_s * 1000)
    return browser.page.inner_text(".banner p")


def heard_in_pstn(world: Lab) -> list[float]:
    """The tones that the one answered call of the PSTN hears."""
    (call,) = [call for call in world.pstn.ask("calls") if call["state"] == "answered"]
    tones: list[float] = call["tones_hz"]
    return tones


def title(browser: SoftphoneBrowser) -> str:
    """Who is on the card."""
    return browser.page.inner_text("#call-title")


def state_text(browser: SoftphoneBrowser, text: str) -> None:
    """Wait until the card says so."""
    browser.page.wait_for_selector(f"#call-state:text-is({json.dumps(text)})", timeout=8000)


def track(browser: SoftphoneBrowser, kind: str) -> dict[str, Any]:
    """What is sent of a kind: the device's label, and whether it is muted."""
    found: dict[str, Any] = browser.page.evaluate(
        """(kind) => {
            const [track] = window.softphone.call.localStream.getTracks().filter((one) => one.kind === kind);
            return {id: track.id, label: track.label, enabled: track.enabled, state: track.readyState};
        }""",
        kind,
    )
    return found


def choose(browser: SoftphoneBrowser, what: str, label: str) -> None:
    """Choose a device in the page's list, as soon as it is there."""
    browser.page.wait_for_selector(f"#{what} option:text-is({json.dumps(label)})", state="attached")
    browser.page.select_option(f"#{what}", label=label)


class TestSecondCall:
    """Two calls, one of which waits."""

    def test_one_is_held_while_the_other_talks_and_both_are_remembered(
        self, world: Lab, browser: SoftphoneBrowser
    ) -> None:
        page, phone = browser.page, world.info.phones[PHONE.name]
        other = number("0100")
        browser.dial(phone.impu, tone_hz=TONE_HZ)
        browser.wait_established()
        browser.wait_tone(phone.tone_hz)
        page.click("#add-call")
        page.fill("#target", other)
        page.press("#target", "Enter")
        browser.wait(lambda: title(browser) == other, "the second call on the card", 15)
        browser.wait_established()
        browser.wait_tone(PSTN_HZ)
        assert page.inner_text("#held-calls span") == f"On hold: {phone.impu}"

        page.get_by_role("button", name=f"Switch to {phone.impu}").click()
        state_text(browser, "Connected")
        browser.wait(lambda: title(browser) == phone.impu, "the first call on the card", 15)
        browser.wait_tone(phone.tone_hz)
        wait_until(lambda: heard_in_pstn(world) == [], "silence on hold", 15)
        page.click("#hangup")
        browser.wait(lambda: title(browser) == other, "the second call again", 15)
        page.get_by_role("button", name="Resume").click()
        browser.wait_tone(PSTN_HZ)
        # The phone's recording stops for good with the first hold; the PSTN says what it hears now.
        wait_until(lambda: any(abs(hz - TONE_HZ) <= 15 for hz in heard_in_pstn(world)), "the page's tone", 15)
        browser.hang_up()

        page.click("#history summary")
        rows = page.locator("#history-list li strong").all_inner_texts()
        assert rows[:2] == [other, phone.impu]
        page.get_by_role("button", name=f"Call {other}").first.click()
        assert page.input_value("#target") == other
        page.click("#history summary")


class TestHistory:
    """With a session at the web service, calls of all devices."""

    def test_what_another_browser_forgot_the_web_service_knows(
        self, world: Lab, browser: SoftphoneBrowser, pages: Pages
    ) -> None:
        name = "web2" if pages.is_firefox else "web1"
        wait_until(lambda: world.info.web.origin in world.gateway_rpc.htable("jwks"), "keys", 10)
        called = number("0100")
        with pages.open_for_account(browser) as user:
            user.log_in(name, world.info.web.accounts[name])
            user.wait_registered()
            user.dial(called, tone_hz=TONE_HZ)
            user.wait_established()
            user.wait_tone(PSTN_HZ)
            user.hang_up()
            for forget in (False, True):
                if forget:
                    user.evaluate("() => localStorage.clear()")
                user.page.reload()
                user.wait_registered()
                with user.page.expect_response("**/api/calls?*") as served:
                    user.page.click("#history summary")
                assert [call["direction"] for call in served.value.json()["calls"]] == ["out"]
                name_shown = user.page.locator("#history-list li strong")
                name_shown.wait_for()
                assert [text.partition("@")[0] for text in name_shown.all_inner_texts()] == [called]
                assert "To:" in user.page.inner_text("#history-list small")


class TestTransfer:
    """The other side is a page, too, and its person is asked."""

    def test_blind_to_a_phone_then_attended_to_a_third_page(
        self, world: Lab, browser: SoftphoneBrowser, pages: Pages
    ) -> None:
        phone = world.info.phones[PHONE.name]
        # Whose page was closed is left alone while the core forgets it.
        names = ("web3", "web4") if pages.is_firefox else ("bob", "web1")
        bob, carol = (world.info.users[name] for name in names)
        with (
            pages.open(voice_hz=BOB_HZ, beside=browser) as bobs,
            # In Firefox's turn a mixed company.
            SoftphoneBrowser(pages.origin, playwright=browser.playwright) as carols,
        ):
            for page, user, hz in ((bobs, bob, BOB_HZ), (carols, carol, CAROL_HZ)):
                page.sign_in(user.name, user.password)
                page.speak(hz)
            browser.dial(bob.impu, tone_hz=TONE_HZ)
            bobs.answer()
            browser.wait_tone(BOB_HZ)
            browser.page.click("#transfer")
            browser.page.fill("#transfer-target", phone.impu)
            browser.page.press("#transfer-target", "Enter")
            bobs.page.click("#accept-transfer")
            banner(browser, "The call is transferred.")
            bobs.wait_established()
            bobs.wait_tone(phone.tone_hz)
            wait_until_heard(world, PHONE.name, BOB_HZ)
            bobs.hang_up()

            browser.dial(bob.impu, tone_hz=TONE_HZ)
            bobs.answer()
            browser.wait_tone(BOB_HZ)
            browser.page.click("#add-call")
            browser.dial(carol.impu, tone_hz=TONE_HZ)
            carols.answer()
            browser.wait_established()
            browser.wait_tone(CAROL_HZ)
            browser.page.click("#transfer")
            browser.page.get_by_role("button", name=f"Connect with {bob.impu}").click()
            carols.page.click("#accept-transfer")
            banner(browser, "They are connected with each other.")
            carols.wait_tone(BOB_HZ)
            bobs.wait_tone(CAROL_HZ)
            browser.wait(
                lambda: browser.evaluate("() => window.softphone.phone.calls.length") == 0, "left", 15
            )
            assert browser.page.is_visible("#dial-card")
            carols.hang_up()
            bobs.wait(lambda: bobs.state == "ended", "the end at bob's", 15)
            # A page that is closed before it has answered leaves its record until a timer ends it.
            wait_released(world)


class TestKeyboard:
    """No mouse needed."""

    def test_digits_typed_in_a_call_are_tones(self, world: Lab, browser: SoftphoneBrowser) -> None:
        (pin,) = (pin for pin, room in PINS.items() if room == "board")
        browser.dial(world.info.conference.door_uri, tone_hz=TONE_HZ)
        browser.wait_established()
        browser.wait_tone(PIN_PROMPT_HZ)
        assert browser.evaluate("() => document.activeElement.id") == "call-title"
        for key in f"{pin}#":
            browser.page.keyboard.press(key)
            browser.page.wait_for_timeout(120)
        browser.wait(lambda: abs(browser.heard_hz() - PIN_PROMPT_HZ) > 15, "an end of the prompt", 15)
        browser.wait(
            lambda: any(abs(browser.heard_hz() - hz) <= 15 for hz in (ADMITTED_HZ, PROMPT_HZ)), "the room", 15
        )
        browser.hang_up()
        assert browser.ladder().count("-> INFO") == len(pin) + 1


class TestDevicesAndQuality:
    """Fake microphones and cameras, with real media behind them: Chromium has two of each, Firefox one."""

    def test_devices_change_in_the_call_and_the_line_says_how_it_sounds(
        self, world: Lab, browser: SoftphoneBrowser, pages: Pages
    ) -> None:
        first, second, cameras = (
            ("Default Audio Device", "Default Audio Device", ("Default Video Device",))
            if pages.is_firefox
            # Of Chromium's second camera nothing reaches its encoder; the first one, opened anew, is seen again.
            else ("Fake Audio Input 1", "Fake Audio Input 2", ("fake_device_1", "fake_device_0"))
        )
        page, phone = browser.page, world.info.phones[VIDEOPHONE.name]
        device = world.phone(VIDEOPHONE.name)
        page.click("#devices summary")
        if not pages.is_firefox:  # which names no device before it was used
            choose(browser, "microphone", first)
        page.fill("#target", phone.impu)
        page.click("#video-call")
        browser.wait_established()
        assert track(browser, "audio")["label"] == first
        browser.wait_tone(phone.tone_hz)
        wait_until(lambda: device.frames_shown() >= FRAMES, "pictures at the phone", 15)

        page.click("#mute-audio")
        before = track(browser, "audio")["id"]
        choose(browser, "microphone", second)
        browser.wait(lambda: track(browser, "audio")["id"] != before, "the other one", 15)
        now = track(browser, "audio")
        assert (now["label"], now["enabled"], now["state"]) == (second, False, "live")
        page.click("#mute-audio")
        for camera in cameras:
            choose(browser, "camera", camera)
            browser.wait(lambda name=camera: track(browser, "video")["label"] == name, camera, 15)  # type: ignore[misc]
        shown = device.frames_shown()
        wait_until(lambda: device.frames_shown() >= shown + FRAMES, "pictures of the other camera", 15)
        unplugged = track(browser, "audio")["id"]
        browser.evaluate(
            "() => window.softphone.call.localStream.getAudioTracks()[0].dispatchEvent(new Event('ended'))"
        )
        browser.wait(lambda: track(browser, "audio")["id"] != unplugged, "another microphone", 15)
        page.wait_for_selector("text=Your microphone is gone; another one is used now.")
        assert browser.evaluate(
            "() => document.getElementById('local-video').srcObject === window.softphone.call.localStream"
        ), "the card shows what is sent now, and how loud it is"
        if not pages.is_firefox:  # which plays to real loudspeakers only
            choose(browser, "loudspeaker", "Fake Audio Output 1")
            chosen = page.input_value("#loudspeaker")
            browser.wait(
                lambda: browser.evaluate("() => document.getElementById('remote-video').sinkId") == chosen,
                "the loudspeaker",
                15,
            )
        sent = sum(line["packets"] for line in browser.stats()["outbound"] if line["kind"] == "audio")
        browser.wait(
            lambda: (
                sum(one["packets"] for one in browser.stats()["outbound"] if one["kind"] == "audio")
                > sent + 20
            ),
            "sound of the other microphone",
            15,
        )

        page.wait_for_selector('#quality[data-rating="good"]', timeout=8000)
        assert "Opus" in page.inner_text("#quality-details")
        page.keyboard.press("7")
        page.click("#copy-diagnostics")
        banner(browser, "Copied.")
        text = browser.evaluate("() => navigator.clipboard.readText()")
        report = json.loads(text)
        assert report["callId"] == browser.diagnostics()["callId"]
        assert report["quality"][-1]["rating"] == "good"
        for secret in (phone.impu, world.info.users["alice"].password, "Signal="):
            assert secret not in text
        browser.hang_up()
        for what in ("microphone", "camera", "loudspeaker"):
            page.select_option(f"#{what}", "")
        page.click("#devices summary")


class TestTrouble:
    """What happened, and what to do about it."""

    @pytest.mark.parametrize(
        ("called", "words"),
        [
            ("0486", "The other side is busy."),
            ("0603", "The other side declined the call."),
            ("0404", "This number or name does not exist."),
            ("112", "This page cannot make emergency calls."),
            (PREMIUM, f"This call is not allowed: {REASON}."),
        ],
    )
    def test_a_refused_call_is_told_by_its_cause(
        self, world: Lab, browser: SoftphoneBrowser, called: str, words: str
    ) -> None:
        browser.dial(number(called) if len(called) == 4 else called)
        told = banner(browser, words)
        assert told.removeprefix(words).strip(), "what to do about it"
        assert browser.page.is_visible("#dial-card")

    def test_who_does_not_allow_the_microphone_is_told_where_to(
        self, world: Lab, browser: SoftphoneBrowser, pages: Pages
    ) -> None:
        dave = world.info.users["dave"]
        with pages.open_without_permission(browser) as other:
            other.sign_in(dave.name, dave.password)
            other.page.fill("#target", world.info.phones[PHONE.name].impu)
            other.page.click("#dial button[value=audio]")
            banner(other, "does not let this page use the microphone", "in the address bar")

    def test_a_lost_network_is_told_and_the_call_goes_on(self, world: Lab, browser: SoftphoneBrowser) -> None:
        page, phone = browser.page, world.info.phones[PHONE.name]
        browser.dial(phone.impu, tone_hz=TONE_HZ)
        browser.wait_established()
        browser.wait_tone(phone.tone_hz)
        page.context.set_offline(True)
        page.wait_for_selector("#connection-text:has-text('This device has no network')")
        page.context.set_offline(False)
        world.kill("haproxy")
        page.wait_for_selector("#connection-text:has-text('The connection to the gateway is lost.')")
        assert "Your call goes on." in page.inner_text("#connection-text")
        browser.wait_tone(phone.tone_hz)
        world.start_again("haproxy", Part.HAPROXY)
        page.wait_for_selector("#connection-notice", state="hidden", timeout=15000)
        browser.wait_registered()
        browser.wait_tone(phone.tone_hz)
        browser.hang_up()
