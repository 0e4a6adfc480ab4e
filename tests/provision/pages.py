"""Pages that do something while a playbook runs, as programs of their own in one of the site's networks.

    python -m tests.provision.pages wander NAME ORIGIN URL...  # stays registered, at one of these gateways
    python -m tests.provision.pages talk RUN_DIR ORIGIN URL    # a call to the phone, until standard input ends
    python -m tests.provision.pages meet ORIGIN URL            # two accounts, of standard input, call each other

``wander`` says the URL of each gateway that takes it, and goes to the next one when it loses one; ``talk`` says
"talking", and at the end what it heard; ``meet`` takes [[NAME, PASSWORD, PUBLIC IDENTITY], ...].
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import click
import requests
from websockets.exceptions import WebSocketException

from tests.lab.subscribers import BY_NAME
from tests.lab.world import INFO_FILE, World, info_from_file
from tests.peers.aiortc_wic import TONE_HZ, AiortcWic
from tests.peers.digest import Credentials
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.provision.world import PHONE

LOOK_S: Final = 0.2
TRIES: Final = 10


@click.group()
def main() -> None:
    """Pages that are somewhere."""


@main.command()
@click.argument("name")
@click.argument("origin")
@click.argument("urls", nargs=-1, required=True)
def wander(name: str, origin: str, urls: tuple[str, ...]) -> None:
    """Stay registered, at one gateway or another."""
    asyncio.run(_wander(name, origin, urls))


async def _wander(name: str, origin: str, urls: Sequence[str]) -> None:
    page = ScriptedWic(_handshake(urls[0], origin), _identity(name))
    told = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    places = list(urls)
    while not told.done():
        try:
            page.handshake = _handshake(places[0], origin)
            await page.connect()
            taken = (await page.register()).status == 200
        except (OSError, TimeoutError, WebSocketException, AssertionError):
            taken = False
        if taken:
            click.echo(places[0])
            lost = asyncio.create_task(page.lost.wait())
            await asyncio.wait({told, lost}, return_when=asyncio.FIRST_COMPLETED)
            lost.cancel()
        else:
            await asyncio.sleep(LOOK_S)
        places.append(places.pop(0))
    await page.close()


@main.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.argument("origin")
@click.argument("url")
def talk(run_dir: Path, origin: str, url: str) -> None:
    """Call the phone, and stay in the call."""
    world = World()
    world.info = info_from_file(run_dir / INFO_FILE)
    asyncio.run(_talk(world.info.phones[PHONE.name].impu, _handshake(url, origin)))


async def _talk(target: str, handshake: Handshake) -> None:
    async with AiortcWic(handshake, _identity("bob")) as page:
        registered = await page.register()
        call, media = await page.dial(target)
        await call.wait_answer()
        await media.until_connected()
        await media.until_heard(PHONE.tone_hz, mid="r0")
        click.echo("talking")
        await asyncio.to_thread(sys.stdin.read)
        heard = await media.until_heard(PHONE.tone_hz, mid="r0")
        ended = await call.bye()
    click.echo(json.dumps({"registered": registered.status, "heard_hz": heard.hz, "ended": ended.status}))


@main.command()
@click.argument("origin")
@click.argument("url")
def meet(origin: str, url: str) -> None:
    """Log two accounts in, and let the first one call the other by its name."""
    accounts: list[tuple[str, str, str]] = json.loads(sys.stdin.read())
    click.echo(json.dumps(asyncio.run(_meet(origin, url, accounts))))


async def _meet(origin: str, url: str, accounts: Sequence[tuple[str, str, str]]) -> dict[str, object]:
    async with AsyncExitStack() as stack:
        pages = []
        for name, password, impu in accounts:
            token = await asyncio.to_thread(access_token, origin, name, password)
            page = AiortcWic(_handshake(url, origin), WicIdentity(impu))
            pages.append(await stack.enter_async_context(page))
            await _registered(page, token)
        caller, callee = pages
        call, media = await caller.dial(callee.identity.aor)
        incoming = await callee.wait_incoming()
        await incoming.ring()
        await incoming.answer()
        await call.wait_answer()
        await media.until_connected()
        at_caller = await media.until_heard(TONE_HZ, mid="r0")
        at_callee = await callee.media[-1].until_heard(TONE_HZ, mid="0")
        ended = await call.bye()
    return {"caller_heard_hz": at_caller.hz, "callee_heard_hz": at_callee.hz, "ended": ended.status}


async def _registered(page: ScriptedWic, token: str) -> None:
    """Register with a token, as soon as the gateway has the key that it is signed with."""
    for _ in range(TRIES):
        registered = await page.register(headers=[("Authorization", f"Bearer {token}")])
        if registered.status == 200:
            return
        await asyncio.sleep(1)
    raise AssertionError(f"{registered.status} {registered.reason_phrase}")


def access_token(origin: str, name: str, password: str) -> str:
    """Log in at the web service, and take a token as a page does."""
    with requests.Session() as browser:
        browser.trust_env = False
        browser.verify = False
        browser.headers.update({"Origin": origin, "X-CSRF-Protection": "1"})
        answer = browser.post(f"{origin}/api/session", json={"name": name, "password": password}, timeout=10)
        answer.raise_for_status()
        answer = browser.post(f"{origin}/api/tokens", json={}, timeout=10)
        answer.raise_for_status()
        return str(answer.json()["access_token"])


def _handshake(url: str, origin: str) -> Handshake:
    return Handshake(url, origin=origin, forwarded_for=None)


def _identity(name: str) -> WicIdentity:
    user = BY_NAME[name]
    return WicIdentity(user.impu, credentials=Credentials(user.impi, user.password))


if __name__ == "__main__":
    main()
