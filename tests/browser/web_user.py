"""A person who logs in on the web, in a real browser, and the gateway's view of the token that the page then sends."""

from __future__ import annotations

import json
from typing import Any

import jwt
import redis

from kemi.state import keys
from tests.browser.softphone import SoftphoneBrowser
from tests.lab.lab import Lab
from tests.lab.subscribers import REALM
from tests.peers.sip import SipRequest
from tests.peers.trace import Direction


class WebUser(SoftphoneBrowser):
    """A person who logs in on the web."""

    def log_in(self, name: str, password: str) -> None:
        """Log in with the way that the page proposes."""
        assert self.page.is_checked("#way-account"), "web login is the page's first choice"
        self.fill_in(name, password)

    def sent_token(self, timeout_s: float = 5.0) -> str:
        """Return the token of the first REGISTER."""
        self.wait(lambda: bool(self._registers()), "REGISTER", timeout_s)
        (authorization,) = self._registers()[0].headers.fields("Authorization")
        scheme, _, token = authorization.partition(" ")
        assert scheme == "Bearer"
        return token

    def banner(self, timeout_s: float = 5.0) -> str:
        """Return what the page complains about."""
        self.page.wait_for_selector(".banner", timeout=timeout_s * 1000)
        return self.page.inner_text(".banner")

    def session(self) -> Any:
        """Ask the web service who is logged in, as the page's scripts can."""
        return self.page.evaluate("async () => (await fetch('/api/session')).json()")

    def _registers(self) -> list[SipRequest]:
        return [
            entry.message
            for entry in self.entries
            if entry.direction is Direction.SENT
            and isinstance(entry.message, SipRequest)
            and entry.message.method == "REGISTER"
        ]


def checked(token: str, lab: Lab, store: redis.Redis) -> dict[str, Any]:
    """The claims, checked with the keys that the gateway reads."""
    origin = lab.info.web.origin
    key_set = json.loads(str(store.get(keys.jwks(origin))))
    kid = jwt.get_unverified_header(token)["kid"]
    (jwk,) = [key for key in key_set["keys"] if key["kid"] == kid]
    claims: dict[str, Any] = jwt.decode(
        token, jwt.PyJWK(jwk), algorithms=["ES256"], audience=f"sip:{REALM}", issuer=origin
    )
    return claims
