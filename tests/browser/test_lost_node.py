"""A media node is killed under a call of a real browser: sound and pictures come back by way of another node."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.browser.softphone import SoftphoneBrowser
from tests.integration.calls.two_nodes import Nodes, two_daemons
from tests.lab.lab import Lab
from tests.lab.options import PHONE, VIDEOPHONE, WHOLE_WORLD, LabOptions, Part
from tests.lab.proof import wait_until_heard

pytestmark = [pytest.mark.browser, pytest.mark.lab]

TONE_HZ = 1000.0
WITHIN_S = 15.0
FRAMES = 15
PACKETS = 60
"""A good second of sound."""
MOVED = ["<- UPDATE (SDP)", "-> 200 UPDATE (SDP)"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Nodes]]:
    """The whole world with two media nodes that may die."""
    with two_daemons(tmp_path_factory.mktemp("nodes")) as nodes:
        options = LabOptions(
            parts=WHOLE_WORLD - {Part.RTPENGINE},
            phones=(PHONE, VIDEOPHONE),
            role_variables={"kamailio": {"gateway_rtpengine_nodes": nodes.variables()}},
        )
        with Lab(options) as lab:
            yield lab, nodes


def packets(browser: SoftphoneBrowser) -> int:
    """Return how many packets of sound the browser has got."""
    return sum(line["packets"] for line in browser.inbound("audio"))


@pytest.mark.parametrize("callee", ["phone", "videophone"])
def test_the_sdk_follows_its_call_to_another_node(world: tuple[Lab, Nodes], callee: str) -> None:
    lab, nodes = world
    nodes.start_again()
    phone, alice = lab.info.phones[callee], lab.info.users["alice"]
    video = callee == "videophone"
    lab.phone(callee).listen()
    with SoftphoneBrowser(lab.info.web.origin, camera=video) as browser:
        browser.sign_in(alice.name, alice.password)
        browser.dial(phone.impu, tone_hz=TONE_HZ, video=video)
        browser.wait_established()
        browser.wait_tone(phone.tone_hz)
        wait_until_heard(lab, callee, TONE_HZ)
        if video:
            browser.wait(lambda: browser.remote_video().frames_decoded > FRAMES, "pictures", 10)
        (call,) = lab.control("GET", "/v1/calls")[1]["calls"]
        nodes.kill(call["node"])  # the media agent of the world notices
        lost_at = time.monotonic()
        other = nodes.other(call["node"])
        browser.wait(
            lambda: lab.control("GET", "/v1/calls")[1]["calls"][0]["node"] == other, "moved", WITHIN_S
        )
        browser.wait(lambda: browser.ladder()[-2:] == MOVED, "the page's answer", WITHIN_S)
        so_far = packets(browser)
        browser.wait(lambda: packets(browser) > so_far + PACKETS, "sound of the other node", WITHIN_S)
        browser.wait_tone(phone.tone_hz, WITHIN_S)
        heard_s = time.monotonic() - lost_at - PACKETS * 0.02
        wait_until_heard(lab, callee, TONE_HZ, anew=True)
        if video:
            shown = browser.remote_video().frames_decoded
            browser.wait(lambda: browser.remote_video().frames_decoded > shown + FRAMES, "pictures again", 10)
        assert heard_s <= WITHIN_S
        browser.hang_up()
    browser_calls = nodes.calls
    deadline = time.monotonic() + 5
    while browser_calls():
        assert time.monotonic() < deadline, browser_calls()
        time.sleep(0.1)
