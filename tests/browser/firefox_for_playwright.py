"""Lets playwright drive Debian's Firefox ESR: started in Firefox's place, stands between the two and speaks BiDi.

playwright's own driver for WebDriver BiDi sends commands that the ESR does not know yet, and then gives up. Those are
answered here; everything else passes. Knows WebDriver BiDi. Must not know any page.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from playwright.sync_api import Browser, Playwright
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

FIREFOX: Final = "/usr/bin/firefox-esr"
CHANNEL: Final = "moz-firefox"
"""playwright's name for a Firefox that it did not build."""
UNKNOWN: Final = frozenset({"emulation.setMediaFeaturesOverride"})
"""Commands of playwright 1.65 that Firefox ESR 153 lacks."""


@contextmanager
def launch_options(preferences: Mapping[str, bool | int | str]) -> Iterator[dict[str, Any]]:
    """Yield what playwright's `firefox.launch` has to know to start a headless Firefox with these preferences."""
    with TemporaryDirectory(prefix="firefox-") as folder:
        starter = Path(folder) / "firefox"
        starter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" "$@"\n')
        starter.chmod(0o755)
        yield {
            "channel": CHANNEL,
            "executable_path": starter,
            "headless": True,
            "firefox_user_prefs": {**preferences},
            "env": {"HOME": folder, "PATH": "/usr/bin:/bin"},
        }


@contextmanager
def launched(playwright: Playwright, preferences: Mapping[str, bool | int | str]) -> Iterator[Browser]:
    """Start it, and end it."""
    with launch_options(preferences) as options:
        browser = playwright.firefox.launch(**options)
        try:
            yield browser
        finally:
            browser.close()


def _relay(playwright_side: ServerConnection, firefox_url: str) -> None:
    """Pass everything on but what Firefox does not know."""
    assert playwright_side.request is not None
    with connect(firefox_url + playwright_side.request.path, max_size=None, compression=None) as firefox_side:
        threading.Thread(target=_answers, args=(firefox_side, playwright_side), daemon=True).start()
        for text in playwright_side:
            command = json.loads(text)
            if command["method"] in UNKNOWN:
                playwright_side.send(json.dumps({"type": "success", "id": command["id"], "result": {}}))
            else:
                firefox_side.send(text)


def _answers(firefox_side: ClientConnection, playwright_side: ServerConnection) -> None:
    try:
        for text in firefox_side:
            playwright_side.send(text)
    except ConnectionClosed:
        pass  # playwright has gone first
    playwright_side.close()


def main() -> int:
    """Run Firefox with the same arguments until it ends; returns its exit code."""
    firefox = subprocess.Popen(
        [FIREFOX, *sys.argv[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    signal.signal(signal.SIGTERM, lambda *_: firefox.terminate())
    assert firefox.stdout is not None
    for line in firefox.stdout:
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
            break
        sys.stderr.write(line)
    else:
        return firefox.wait()
    threading.Thread(target=firefox.stdout.read, daemon=True).start()
    server = serve(lambda side: _relay(side, found[1]), "127.0.0.1", 0, max_size=None, compression=None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stderr.write(f"WebDriver BiDi listening on ws://127.0.0.1:{server.socket.getsockname()[1]}\n")
    sys.stderr.flush()
    return firefox.wait()


if __name__ == "__main__":
    raise SystemExit(main())
