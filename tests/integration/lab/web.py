"""A browser's requests to the web service, without a browser."""

from __future__ import annotations

from typing import Any, Final

import requests

from tests.lab.lab import Lab

COOKIE: Final = "__Host-session"


class Browser:
    """Somebody with cookies, over TLS."""

    def __init__(self, lab: Lab) -> None:
        self.origin = lab.info.web.origin
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = lab.info.web.certificate
        self.http.headers.update({"Origin": self.origin, "X-CSRF-Protection": "1"})

    def log_in(self, name: str, password: str, **headers: str) -> requests.Response:
        """Log in with an account."""
        body = {"name": name, "password": password}
        return self.http.post(f"{self.origin}/api/session", json=body, headers=headers, timeout=5)

    def token(self) -> str:
        """Ask for an access token."""
        response = self.http.post(f"{self.origin}/api/tokens", timeout=5)
        response.raise_for_status()
        return str(response.json()["access_token"])

    def lease(self) -> requests.Response:
        """Ask for an identity of the pool."""
        return self.http.post(f"{self.origin}/api/leases", timeout=5)

    def log_out(self) -> None:
        """End the session."""
        response = self.http.delete(f"{self.origin}/api/session", timeout=5)
        assert response.status_code == 204, response.text

    @property
    def session(self) -> dict[str, Any]:
        """What the web service says about the session."""
        return dict(self.http.get(f"{self.origin}/api/session", timeout=5).json())

    @property
    def cookie(self) -> str:
        """The session's cookie."""
        return str(self.http.cookies[COOKIE])
