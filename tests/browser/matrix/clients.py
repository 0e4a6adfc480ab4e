"""The clients of the matrix with one interface: in a page, or aiortc in a thread.

Knows the little interface of the files in pages/ and the scripted page with real media. Must not know the lab.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from tests.browser.matrix.cells import Cell, Client, Shape
from tests.browser.matrix.engines import Tab, tone_of_page
from tests.lab.subscribers import REALM
from tests.lab.world import UserInfo, WebInfo
from tests.peers.aiortc_wic import AiortcMedia, AiortcWic, SendDirection
from tests.peers.digest import Credentials
from tests.peers.websocket import Handshake
from tests.peers.wic import WicIdentity
from tests.peers.wic_call import IncomingCall, OutgoingCall

T = TypeVar("T")

FOLDER: Final = Path(__file__).parent
ROOT: Final = FOLDER.parents[2]
MODULES: Final = (FOLDER / "node_modules", ROOT / "webapp_api" / "sdk" / "node_modules")
HOW_TO_INSTALL: Final = "make sdk clients"
POLL_S: Final = 0.05
SCRIPTS: Final = {
    Client.SDK: "sdk.js",
    Client.SIPJS: "sipjs.js",
    Client.SIPJS_100REL: "sipjs.js",
    Client.JSSIP: "jssip.js",
}
_BUNDLE: Final = """
const [entry, ...nodePaths] = process.argv.slice(1);
const { build } = require("esbuild");
build({ entryPoints: [entry], nodePaths, bundle: true, write: false, charset: "ascii" })
    .then(({ outputFiles }) => process.stdout.write(outputFiles[0].text));
"""


class MatrixClient(Protocol):
    """Somebody who calls and is called."""

    def register(self, web: WebInfo, user: UserInfo) -> None:
        """Register with digest."""

    def call(self, target: str) -> None:
        """Offer the cell's media."""

    def answer(self) -> None:
        """Take the call that rings."""

    def hangup(self) -> None:
        """End the call."""

    def state(self) -> str:
        """Return "idle", "calling", "ringing", "established" or "ended: …"."""

    def heard_hz(self) -> float:
        """Return the strongest frequency of the far side's voice, 0.0 for silence."""

    def frames(self) -> int:
        """Count decoded pictures of the far side."""

    def describe(self) -> str:
        """Say what it knows, for a failure."""

    def close(self) -> None:
        """Stop."""


def wait(client: MatrixClient, done: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Poll until done; fails at once when the call ends meanwhile."""
    deadline = time.monotonic() + timeout_s
    while not done():
        state = client.state()
        assert not state.startswith("ended"), f"{state}; wanted {what}; {client.describe()}"
        assert time.monotonic() < deadline, f"no {what} in {timeout_s} s; {state}; {client.describe()}"
        time.sleep(POLL_S)


@cache
def script_of(client: Client) -> str:
    """Return the page's script with its library, as the project's bundler makes it."""
    assert all(path.is_dir() for path in MODULES), f"clients are not installed; run: {HOW_TO_INSTALL}"
    found = subprocess.run(
        ["node", "-e", _BUNDLE, str(FOLDER / "pages" / SCRIPTS[client]), *map(str, MODULES)],
        check=True,
        cwd=MODULES[-1].parent,
        env={**os.environ, "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
    )
    return found.stdout.decode()


class PageClient:
    """A library in a page of the web origin."""

    def __init__(self, cell: Cell, tab: Tab) -> None:
        self._cell = cell
        self._tab = tab

    def register(self, web: WebInfo, user: UserInfo, **wishes: object) -> None:
        """Register; `wishes` are what only some of the scripts know."""
        # The page's own content security policy holds: the script is the debugger's.
        self._tab.goto(web.origin)
        self._tab.evaluate(f"() => {{ {script_of(self._cell.client)} }}")
        self._do(
            "register",
            {
                "server": web.wss_url,
                "user": user.name,
                "realm": REALM,
                "password": user.password,
                "toneHz": tone_of_page(self._cell.engine),
                "bundlePolicy": self._cell.bundle,
                "reliable": self._cell.client is Client.SIPJS_100REL,
                **wishes,
            },
        )

    def call(self, target: str) -> None:
        self._do("call", {"target": target, "video": self._cell.video, "shape": self._cell.shape})

    def answer(self) -> None:
        self._do("answer", {"video": self._cell.video})

    def hangup(self) -> None:
        self._do("hangup")

    def state(self) -> str:
        return str(self._do("state"))

    def heard_hz(self) -> float:
        return float(self._do("heardHz"))

    def frames(self) -> int:
        return int(self._do("frames"))

    def lines(self) -> list[str]:
        """Return kind, mid and directions (wanted/negotiated) of every line."""
        found: list[str] = self._do("lines")
        return found

    def describe(self) -> str:
        return f"lines: {self.lines()}; console: {self._tab.console[-5:]}"

    def close(self) -> None:
        try:
            self._tab.evaluate("() => window.client?.close()")  # there is none before it has registered
        finally:
            self._tab.close()

    def change(self, operation: str) -> None:
        """Change the running call and wait until that is answered."""
        self._do(operation)

    def tell(self, what: str) -> Any:
        """Ask for what only some of the scripts know."""
        return self._do(what)

    def _do(self, name: str, argument: object = None) -> Any:
        return self._tab.evaluate(f"(argument) => window.client.{name}(argument)", argument)


def directions(client: PageClient) -> list[str]:
    """Return what was negotiated for each line."""
    return [line.rpartition("/")[2] for line in client.lines()]


@dataclass
class _AiortcCall:
    dialog: OutgoingCall | IncomingCall
    media: AiortcMedia
    state: str


class AiortcClient:
    """aiortc with a loop of its own: playwright keeps one running in the test's thread."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._page: AiortcWic | None = None
        self._call: _AiortcCall | None = None
        self._waiting: Future[None] | None = None

    def register(self, web: WebInfo, user: UserInfo) -> None:
        handshake = Handshake(web.wss_url, origin=web.origin, forwarded_for=None)
        identity = WicIdentity(user.impu, credentials=Credentials(user.impi, user.password))
        self._page = AiortcWic(handshake, identity)
        self._run(self._page.connect())
        assert self._run(self._page.register()).status == 200
        self._waiting = asyncio.run_coroutine_threadsafe(self._take(self._page), self._loop)

    def call(self, target: str) -> None:
        direction: SendDirection = "sendonly" if self._cell.shape is Shape.ONE_WAY else "sendrecv"
        self._call = self._run(self._dial(target, direction, direction if self._cell.video else None))

    def answer(self) -> None:
        assert self._call is not None and isinstance(self._call.dialog, IncomingCall)
        self._run(self._call.dialog.answer())
        self._call.state = "established"

    def hangup(self) -> None:
        assert self._call is not None
        assert self._run(self._call.dialog.bye()).status == 200
        self._call.state = "ended: local bye"

    def state(self) -> str:
        return "idle" if self._call is None else self._call.state

    def heard_hz(self) -> float:
        assert self._call is not None
        peaks = [line.peak for line in self._call.media.audio.values()]
        return max((peak.hz for peak in peaks if peak is not None), default=0.0)

    def frames(self) -> int:
        assert self._call is not None
        return sum(line.frames for line in self._call.media.video.values())

    def describe(self) -> str:
        return "" if self._call is None else str(self._call.media.mids)

    def close(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        if self._page is not None:
            self._run(self._page.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def _registered(self) -> AiortcWic:
        assert self._page is not None, "not registered"
        return self._page

    async def _dial(self, target: str, audio: SendDirection, video: SendDirection | None) -> _AiortcCall:
        page = self._registered
        media = page.new_media()
        offer = await media.offer(audio=audio, video=video, video_codec="VP8")
        dialog = await page.invite(target, offer, media=media)
        await dialog.wait_answer()
        return _AiortcCall(dialog, media, "established")

    async def _take(self, page: AiortcWic) -> None:
        dialog = await page.wait_incoming(timeout_s=60)
        await dialog.ring()
        media = page.media[-1]
        self._call = _AiortcCall(dialog, media, "ringing")

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)
