"""The world around a provisioned gateway, in one of its networks: the lab's IMS core and phones, and pages.

    python -m tests.provision.world run RUN_DIR [--address ADDRESS]  # core and phones, until its standard input ends
    python -m tests.provision.world call RUN_DIR WSS_URL ORIGIN      # one call in each direction; says what was heard

Programs of their own, for a network is a process's. ``run`` says the entry point of the core when it is ready.
"""

import asyncio
import json
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from tests.lab.baresip import Phone
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part, PhoneOptions
from tests.lab.ports import LOOPBACK
from tests.lab.subscribers import BY_NAME
from tests.lab.tone import heard_hz
from tests.lab.waiting import wait_until
from tests.lab.world import INFO_FILE, World, info_from_file
from tests.peers.aiortc_wic import TONE_HZ, AiortcWic
from tests.peers.digest import Credentials
from tests.peers.websocket import Handshake
from tests.peers.wic import WicIdentity

CALLER: Final = "alice"
PHONE: Final = PhoneOptions("phone", ("PCMA",), tone_hz=440)
TOLERANCE_HZ: Final = 15.0
KEYS: Final = "159#"
"""What the phone presses; the page asks to be told by INFO."""
KEY_S: Final = 0.4
HEARD_WITHIN_S: Final = 10.0


@click.group()
def main() -> None:
    """Core, phones and pages in the machine's network."""


@main.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--address", default=LOOPBACK, help="Where core and phones are.")
def run(run_dir: Path, address: str) -> None:
    """Run the core and a phone until standard input ends."""
    parts = frozenset({Part.IMS, Part.PHONES})
    options = LabOptions(parts=parts, run_dir=run_dir, phones=(PHONE,), ims_address=address)
    with Lab(options) as lab:
        click.echo(lab.info.ims.icscf)
        sys.stdin.read()


@main.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.argument("wss_url")
@click.argument("origin")
def call(run_dir: Path, wss_url: str, origin: str) -> None:
    """Let a page and a phone call each other through the gateway."""
    world = World()
    world.info = info_from_file(run_dir / INFO_FILE)
    click.echo(json.dumps(asyncio.run(_call(world, Handshake(wss_url, origin=origin, forwarded_for=None)))))


async def _call(world: World, handshake: Handshake) -> dict[str, object]:
    user = BY_NAME[CALLER]
    identity = WicIdentity(user.impu, credentials=Credentials(user.impi, user.password))
    phone = world.phone(PHONE.name)
    phone.listen()
    async with AiortcWic(handshake, identity) as page:
        registered = await page.register()
        media = page.new_media()
        # aiortc knows no telephone-event, which browsers have
        offer = re.sub(r"(m=audio .*)", r"\1 126", (await media.offer()).replace("\r\n", "\n"))
        offer = f"{offer}a=rtpmap:126 telephone-event/8000\na=fmtp:126 0-15\n".replace("\n", "\r\n")
        outgoing = await page.invite(
            world.info.phones[PHONE.name].impu, offer, headers=(("Recv-Info", "infoDtmf"),), media=media
        )
        await outgoing.wait_answer()
        await media.until_connected()
        out_in_page = await media.until_heard(PHONE.tone_hz, mid="r0")
        out_at_phone = await asyncio.to_thread(_hears, phone)
        for key in KEYS:  # of several at once baresip lets only the last one go
            await asyncio.to_thread(phone.send_digits, key)
            await asyncio.sleep(KEY_S)
        keys = await _told(page, outgoing.call_id)
        ended = await outgoing.bye()

        phone.forget_recordings()
        await asyncio.to_thread(phone.dial, user.impu)
        incoming = await page.wait_incoming()
        await incoming.ring()
        await incoming.answer()
        media = page.media[-1]
        await media.until_connected()
        in_in_page = await media.until_heard(PHONE.tone_hz, mid="0")
        in_at_phone = await asyncio.to_thread(_hears, phone)
        await incoming.bye()
        await page.register(expires_s=0)
    return {
        "registered": registered.status,
        "ended": ended.status,
        "page_calls": {"page_heard_hz": out_in_page.hz, "phone_heard_hz": out_at_phone},
        "keys": keys,
        "phone_calls": {"page_heard_hz": in_in_page.hz, "phone_heard_hz": in_at_phone},
    }


async def _told(page: AiortcWic, call_id: str) -> str:
    """Return the keys that the page is told of, as many as were pressed unless they do not come."""
    keys = ""
    with suppress(TimeoutError):
        async with asyncio.timeout(HEARD_WITHIN_S):
            while len(keys) < len(KEYS):
                await asyncio.sleep(0.05)
                told = [one.body for one in page.trace.requests("INFO") if one.call_id == call_id]
                keys = "".join(re.findall(r"^Signal=(.)", "\n".join(told), re.MULTILINE))
    return keys


def _hears(phone: Phone) -> float:
    heard = [0.0]

    def right() -> bool:
        recordings = phone.recordings()
        heard[0] = heard_hz(recordings[-1]) if recordings else 0.0
        return abs(heard[0] - TONE_HZ) <= TOLERANCE_HZ

    wait_until(right, f"{TONE_HZ} Hz at the phone", HEARD_WITHIN_S)
    return heard[0]


if __name__ == "__main__":
    main()
