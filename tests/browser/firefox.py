"""Debian's Firefox ESR, driven by WebDriver BiDi: playwright drives only builds of its own.

Knows the few commands that a test needs (https://w3c.github.io/webdriver-bidi/) and what makes Firefox fit for media on
loopback. Must not know any page.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from websockets.sync.client import ClientConnection, connect

FIREFOX: Final = "/usr/bin/firefox-esr"
START_S: Final = 30.0
COMMAND_S: Final = 20.0
POLL_S: Final = 0.05

PREFERENCES: Final[Mapping[str, bool | int | str]] = {
    # Media without devices and without a person: a tone and a test picture, nobody is asked, everything may play.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.autoplay.block-webaudio": False,
    # No name hides the page's addresses.  Loopback is none of them, whatever media.peerconnection.ice.loopback says.
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    # Nothing is fetched that nobody asked for.
    "app.update.enabled": False,
    "app.normandy.enabled": False,
    "browser.aboutConfig.showWarning": False,
    "browser.cache.disk.enable": False,
    "browser.newtabpage.enabled": False,
    "browser.safebrowsing.blockedURIs.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "captivedetect.canonicalURL": "",
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-provider.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.native_https_query": False,
    "network.prefetch-next": False,
    "network.proxy.type": 0,
    "network.trr.mode": 5,
    "remote.active-protocols": 1,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}

_CALL: Final = "async (argument) => JSON.stringify((await ({function})(JSON.parse(argument))) ?? null)"


class FirefoxError(Exception):
    """Firefox did not start, or refused a command."""


class FirefoxTab:
    """One page."""

    def __init__(self, browser: Firefox, context: str) -> None:
        self._browser = browser
        self._context = context

    @property
    def console(self) -> list[str]:
        """What the page wrote into its console, and its errors."""
        return self._browser.console.setdefault(self._context, [])

    def goto(self, url: str) -> None:
        """Load a page; returns when it has loaded."""
        self._browser.command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, function: str, argument: object = None) -> Any:
        """Call a function of the page with one argument, both ways as JSON; a promise is awaited.

        Raises FirefoxError with the page's words when it throws.
        """
        answer = self._browser.command(
            "script.callFunction",
            functionDeclaration=_CALL.replace("{function}", function),
            arguments=[{"type": "string", "value": json.dumps(argument)}],
            target={"context": self._context},
            awaitPromise=True,
        )
        if answer["type"] != "success":
            raise FirefoxError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def close(self) -> None:
        """Close the tab."""
        self._browser.command("browsingContext.close", context=self._context)


class Firefox:
    """One headless browser with a profile of its own."""

    def __init__(self, preferences: Mapping[str, bool | int | str] | None = None) -> None:
        self.console: dict[str, list[str]] = {}
        self._preferences = {**PREFERENCES, **(preferences or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._line: ClientConnection | None = None
        self._profile = Path()
        self._number = 0

    def __enter__(self) -> Self:
        self._profile = Path(tempfile.mkdtemp(prefix="firefox-"))
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    def new_tab(self) -> FirefoxTab:
        """Open a page in a container of its own: no cookie is shared."""
        container = self.command("browser.createUserContext")["userContext"]
        created = self.command("browsingContext.create", type="tab", userContext=container)
        return FirefoxTab(self, created["context"])

    def command(self, method: str, **params: object) -> dict[str, Any]:
        """Send one command and return its result; raise FirefoxError with Firefox's words."""
        assert self._line is not None, "not opened"
        self._number += 1
        self._line.send(json.dumps({"id": self._number, "method": method, "params": params}))
        deadline = time.monotonic() + COMMAND_S
        while True:
            message = json.loads(self._line.recv(timeout=max(0.0, deadline - time.monotonic())))
            if message.get("id") == self._number:
                break
            self._note(message)
        if message["type"] == "error":
            raise FirefoxError(f"{method}: {message['error']}: {message['message']}")
        result: dict[str, Any] = message["result"]
        return result

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "log.entryAdded":
            entry = message["params"]
            context = entry["source"].get("context", "")
            self.console.setdefault(context, []).append(f"{entry['level']}: {entry['text']}")

    def _start(self) -> None:
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in self._preferences.items()]
        (self._profile / "user.js").write_text("\n".join(lines) + "\n")
        log = self._profile / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    FIREFOX,
                    "--headless",
                    "--no-remote",
                    "--profile",
                    str(self._profile),
                    "--remote-debugging-port=0",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"HOME": str(self._profile), "PATH": "/usr/bin:/bin"},
            )
        address = f"{self._address(log)}/session"
        self._line = connect(address, max_size=None, compression=None, legacy=True)
        self.command("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
        self.command("session.subscribe", events=["log.entryAdded"])

    def _address(self, log: Path) -> str:
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while True:
            text = log.read_text(errors="replace")
            if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", text):
                return found[1]
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise FirefoxError(f"Firefox did not start: {text[-2000:]}")
            time.sleep(POLL_S)

    def _stop(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)
