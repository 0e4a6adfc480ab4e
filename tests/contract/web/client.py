"""A page of the gateway's origin, without a browser; each answer is checked against the interface's description."""

from __future__ import annotations

from typing import Any, Final

import jsonschema
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

ORIGIN: Final = "https://gateway.example.com"
NAME: Final = "alice"
PASSWORD: Final = "correct horse battery"
NODE_PATH: Final = "/api/operator/nodes/"
OWN_FIELDS: Final = {"Origin": ORIGIN, "X-CSRF-Protection": "1"}


class WebPage:
    """One browser: a cookie jar, and the header fields that a page's scripts send."""

    def __init__(self, app: Flask, address: str = "198.51.100.7") -> None:
        self.app = app
        self.address = address
        self.browser: FlaskClient = app.test_client()
        self.description: dict[str, Any] = app.test_client().get("/api/openapi.json").get_json()

    def ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> TestResponse:
        """Send a request as the SDK does, or with other header fields."""
        response = self.browser.open(
            path,
            method=method,
            base_url=ORIGIN,
            headers={**(OWN_FIELDS if headers is None else headers), "X-Forwarded-For": self.address},
            **options,
        )
        self._check(method, path.partition("?")[0], response)
        return response

    def log_in(self, name: str = NAME, password: str = PASSWORD) -> TestResponse:
        """Log in with a password."""
        return self.ask("POST", "/api/session", json={"name": name, "password": password})

    def lease(self) -> TestResponse:
        """Log in as a guest."""
        return self.ask("POST", "/api/leases")

    def token(self) -> TestResponse:
        """Ask for an access token."""
        return self.ask("POST", "/api/tokens")

    def session(self) -> dict[str, Any]:
        """Ask who is logged in."""
        document: dict[str, Any] = self.ask("GET", "/api/session").get_json()
        return document

    def log_out(self) -> TestResponse:
        """Log out."""
        return self.ask("DELETE", "/api/session")

    def cookie(self, name: str = "__Host-session") -> str | None:
        """Return a cookie's value."""
        found = self.browser.get_cookie(name, "gateway.example.com")
        return None if found is None else found.value

    def set_cookie(self, value: str, name: str = "__Host-session") -> None:
        """Plant a cookie."""
        self.browser.set_cookie(name, value, domain="gateway.example.com")

    def _template(self, method: str, path: str) -> str:
        """Return how the description spells a path; "" for what the application does not have."""
        try:
            rule, _ = self.app.url_map.bind("gateway.example.com").match(path, method, return_rule=True)
        except HTTPException:
            return ""
        return template_of(rule.rule)

    def _check(self, method: str, path: str, response: TestResponse) -> None:
        path = self._template(method, path)
        operation = self.description["paths"].get(path, {}).get(method.lower())
        if operation is None:
            return
        described = operation["responses"].get(str(response.status_code))
        assert described, f"{method} {path}: {response.status_code} is not described: {response.text}"
        assert response.headers["Cache-Control"] != "", "it says how long it may be kept"
        for content_type, content in described.get("content", {}).items():
            assert response.mimetype == content_type
            schema = {**content["schema"], "components": self.description["components"]}
            jsonschema.Draft202012Validator(schema).validate(response.get_json())
        for name in described.get("headers", {}):
            assert name in response.headers


def template_of(rule: str) -> str:
    """Return a route of the application as the description spells it."""
    return rule.replace("<path:", "<").replace("<", "{").replace(">", "}")
