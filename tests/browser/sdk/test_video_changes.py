"""Video comes and goes in a running call, from both ends; which lines share a transport (RFC 9143 §7, RFC 3264 §8)."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.sdk.gateway import ScriptedGateway
from tests.browser.sdk.running_call import PEER_TONE_HZ, RunningCall, answered_call, one_way_call
from tests.browser.sdk.running_peer import (
    RunningPeer,
    credentials_of,
    directions_of,
    groups_of,
    section_of,
)

pytestmark = pytest.mark.browser

SHARED = [["0", "r0"]]


async def add_video(call: RunningCall) -> str:
    """Add the camera in the page; the mid of its line."""
    await call.start("addVideo")
    reinvite = await call.page_offer()
    mid = list(directions_of(reinvite.body))[-1]
    assert directions_of(reinvite.body) == {"0": "sendonly", "r0": "recvonly", mid: "sendonly"}
    # The new line stands alone, on a transport of its own that has candidates.
    assert groups_of(reinvite.body) == SHARED
    assert "a=candidate" in section_of(reinvite.body, mid)
    await call.accept(reinvite)
    assert await call.results(1) == ["done"]
    return mid


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
async def test_a_one_way_page_adds_video_holds_restarts_ice_and_removes_it(
    page: Page, gateway: ScriptedGateway, method: str
) -> None:
    async with one_way_call(page, gateway) as call:
        mid = await add_video(call)
        await call.page_is_seen()
        # The far end's pictures come on a second line of the same transport: now there are two groups.
        offer = call.update if method == "UPDATE" else call.reinvite
        answer = await offer(await call.peer.offer(reverse_of=("video",)))
        groups = [*SHARED, [mid, f"r{mid}"]]
        assert groups_of(answer.body) == groups
        assert directions_of(answer.body)[f"r{mid}"] == "recvonly"
        await call.page_sees()
        await call.page_is_heard()
        await call.page_hears()
        await expect(page.locator("#stage")).to_have_attribute("data-video", "true")

        await call.start("hold")
        reinvite = await call.page_offer()
        assert groups_of(reinvite.body) == groups
        assert directions_of(reinvite.body) == {
            "0": "sendonly",
            "r0": "inactive",
            mid: "sendonly",
            f"r{mid}": "inactive",
        }
        await call.accept(reinvite)
        await call.start("resume")
        await call.accept(await call.page_offer())
        await call.page_sees()

        before = credentials_of(reinvite.body)
        await gateway.drop_socket()
        await gateway.register_again()
        restart = await call.page_offer()
        assert groups_of(restart.body) == groups
        assert not set(credentials_of(restart.body).values()) & set(before.values())
        await call.accept(restart)
        assert call.peer.renewed == 2
        await call.page_is_heard()
        await call.page_hears()
        await call.page_sees()
        await call.page_is_seen()

        await call.start("removeVideo")
        reinvite = await call.page_offer()
        assert groups_of(reinvite.body) == groups
        assert directions_of(reinvite.body) == {
            "0": "sendonly",
            "r0": "recvonly",
            mid: "inactive",
            f"r{mid}": "inactive",
        }
        await call.accept(reinvite)
        assert (await call.results(4))[3:] == ["done"]
        assert await page.evaluate("() => window.softphone.call.localStream.getVideoTracks().length") == 0
        await call.page_is_heard()
        await call.page_hears()

        # Once more: the same line comes back, no third one.
        await call.start("addVideo")
        reinvite = await call.page_offer()
        assert directions_of(reinvite.body) == {
            "0": "sendonly",
            "r0": "recvonly",
            mid: "sendonly",
            f"r{mid}": "recvonly",
        }
        await call.accept(reinvite)
        await call.page_is_seen()
        await call.page_sees()
        await call.hang_up()


async def test_video_that_is_refused_leaves_the_call_as_it_was(page: Page, gateway: ScriptedGateway) -> None:
    async with one_way_call(page, gateway) as call:
        await call.start("addVideo")
        await call.refuse(await call.page_offer(), 488)
        assert await call.results(1) == [["sip", 488]]
        assert await call.directions() == {"0": "sendonly", "r0": "recvonly"} | {
            mid: None for mid in await call.directions() if mid not in ("0", "r0")
        }
        # The next offer has no trace of it.
        await call.start("hold")
        reinvite = await call.page_offer()
        assert directions_of(reinvite.body) == {"0": "sendonly", "r0": "inactive"}
        await call.accept(reinvite)
        await call.start("resume")
        await call.accept(await call.page_offer())
        await call.page_is_heard()
        await call.page_hears()
        await call.hang_up()


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
async def test_video_of_the_far_end_is_shown_and_the_camera_stays_off_until_the_person_says_so(
    page: Page, gateway: ScriptedGateway, method: str
) -> None:
    async with one_way_call(page, gateway) as call:
        offer = call.update if method == "UPDATE" else call.reinvite
        answer = await offer(await call.peer.offer(add=("video",)))
        assert directions_of(answer.body) == {
            "0": "sendonly",
            "r0": "recvonly",
            "v-out": "recvonly",
            "v-in": "inactive",
        }
        assert groups_of(answer.body) == [*SHARED, ["v-in", "v-out"]]
        await call.page_sees()
        assert (await call.seen())["videoOffered"] == 1

        # The line that is there is taken, no other.
        await call.start("addVideo")
        reinvite = await call.page_offer()
        assert directions_of(reinvite.body)["v-in"] == "sendonly"
        assert len(directions_of(reinvite.body)) == 4
        await call.accept(reinvite)
        await call.page_is_seen()

        # The far end switches its video off for good: port 0, the lines stay.
        off = (await call.peer.offer()).replace("a=group:BUNDLE v-in v-out\r\n", "")
        for mid in ("v-out", "v-in"):
            section = section_of(off, mid)
            off = off.replace(section, "m=video 0 " + section.split(" ", 2)[2])
        await call.dialog.send_request("UPDATE", sdp=off)
        refused = await gateway.receive_response(200, "UPDATE")
        lines = [line for line in refused.body.splitlines() if line.startswith("m=")]
        assert [line.split(" ")[:2] for line in lines[2:]] == [["m=video", "0"]] * 2
        await expect(page.locator("#stage")).to_have_attribute("data-video", "false")
        assert await page.evaluate("() => window.softphone.call.remoteStream.getVideoTracks().length") == 0
        await call.page_is_heard()
        await call.page_hears()
        await call.hang_up()


async def test_a_two_way_call_gets_and_loses_video_on_one_line(page: Page, gateway: ScriptedGateway) -> None:
    peer = RunningPeer(PEER_TONE_HZ)
    async with answered_call(page, gateway, peer, await peer.offer(two_way=("audio",))) as call:
        answer = await call.reinvite(await peer.offer(two_way=("video",)))
        assert directions_of(answer.body) == {"a-both": "sendrecv", "v-both": "recvonly"}
        assert groups_of(answer.body) == []
        await call.page_sees()
        assert (await call.seen())["videoOffered"] == 1
        await call.start("addVideo")
        reinvite = await call.page_offer()
        assert directions_of(reinvite.body) == {"a-both": "sendrecv", "v-both": "sendrecv"}
        await call.accept(reinvite)
        await call.page_is_seen()
        await call.start("removeVideo")
        reinvite = await call.page_offer()
        assert directions_of(reinvite.body) == {"a-both": "sendrecv", "v-both": "inactive"}
        await call.accept(reinvite)
        await call.page_hears()
        await call.hang_up()
