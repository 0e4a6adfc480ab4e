"""Runs the provider (provider.js) and fills in its forms, as a browser does."""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urljoin

import requests

FOLDER: Final = Path(__file__).parent
NODE: Final = Path(__file__).parents[2] / ".venv" / "bin" / "node"
HOW_TO_INSTALL: Final = "make oidc"
CLIENT_ID: Final = "gateway"
CLIENT_SECRET: Final = "a client secret that needs % and + quoted"
_REDIRECTS: Final = 10


@dataclass(frozen=True)
class ProviderOptions:
    """How the provider is set up."""

    redirect_uri: str
    accounts: dict[str, dict[str, object]]
    """Login name -> claims."""
    audience: str = "sip:ims.example.com"
    access_token_ttl: int = 300


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class OidcProvider:
    """One running provider."""

    def __init__(self, options: ProviderOptions, port: int = 0) -> None:
        """`port`: one that a setting names already; 0 for any."""
        self._options = options
        self.port = port or free_port()
        self._process: subprocess.Popen[str] | None = None

    @property
    def issuer(self) -> str:
        """Its issuer URL."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        assert (FOLDER / "node_modules").exists(), f"the provider is not installed; run: {HOW_TO_INSTALL}"
        options = {
            "port": self.port,
            "redirectUri": self._options.redirect_uri,
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "accounts": self._options.accounts,
            "audience": self._options.audience,
            "accessTokenTtl": self._options.access_token_ttl,
        }
        self._process = subprocess.Popen(
            [str(NODE), "provider.js", json.dumps(options)],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._wait_for("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        # Ends with its standard input: the program started here is only a wrapper of the real one.
        self._process.communicate(timeout=5)

    def rotate_keys(self) -> None:
        """Let the provider sign with a key that nobody has seen, and drop the former one."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write("rotate\n")
        self._process.stdin.flush()
        self._wait_for("rotated")

    def _wait_for(self, word: str) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == word:
                return
        raise AssertionError(f"the provider ended before it was {word}")


class _Form(HTMLParser):
    """The first form of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = given.get("action") or ""
        elif tag == "input" and given.get("name"):
            self.fields[str(given["name"])] = given.get("value") or ""


class Person:
    """Somebody with a browser of his own: cookies at the provider."""

    def __init__(self) -> None:
        self._browser = requests.Session()
        self._browser.trust_env = False

    def log_in(self, url: str, login: str, redirect_uri: str) -> str:
        """Open the provider's page, fill in its forms until it sends us back; return where to."""
        response = self._browser.get(url, allow_redirects=False, timeout=5)
        for _ in range(_REDIRECTS):
            if response.is_redirect:
                target = urljoin(response.url, response.headers["Location"])
                if target.startswith(redirect_uri):
                    return target
                response = self._browser.get(target, allow_redirects=False, timeout=5)
                continue
            form = _Form(response.text)
            assert form.action, (
                f"neither a redirection nor a form: {response.status_code} {response.text[:500]}"
            )
            filled = {
                **form.fields,
                **({"login": login, "password": "any"} if "login" in form.fields else {}),
            }
            action = urljoin(response.url, form.action)
            response = self._browser.post(action, data=filled, allow_redirects=False, timeout=5)
        raise AssertionError("the provider goes round in circles")
