"""The HTTP interface: documents, header fields, errors."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from flask import request
from flask.testing import FlaskClient

from webapp_api import create_app
from webapp_api.settings import Settings
from webapp_api.version import VERSION, installed_version


class TestConfiguration:
    """GET /config.json."""

    def test_it_tells_all_a_page_needs(self, client: FlaskClient) -> None:
        response = client.get("/config.json")
        assert response.json == {
            "wssUrl": "wss://gateway.example.com/sip",
            "domain": "ims.example.com",
            "iceServers": [
                {"urls": "stun:gateway.example.com:5060"},
                {"urls": "stun:[2001:db8::1]:3478"},
            ],
            "iceGatheringTimeoutMs": 1000,
            "version": VERSION,
            "features": {"video": True},
            "login": {"password": False, "guest": False, "oidc": False},
        }

    def test_it_is_never_cached(self, client: FlaskClient) -> None:
        assert client.get("/config.json").headers["Cache-Control"] == "no-store"


class TestSoftphone:
    """GET /."""

    def test_the_page_loads_the_built_files(self, client: FlaskClient) -> None:
        response = client.get("/")
        assert response.status_code == 200
        assert 'src="/static/dist/assets/softphone-B2.js"' in response.text
        assert 'href="/static/dist/assets/style-C3.css"' in response.text
        assert 'data-config-url="/config.json"' in response.text
        assert response.headers["Cache-Control"] == "no-store"

    def test_the_console_loads_files_of_its_own(self, client: FlaskClient) -> None:
        response = client.get("/console")
        assert response.status_code == 200
        assert 'src="/static/dist/assets/console-D4.js"' in response.text
        assert 'href="/static/dist/assets/console-style-E5.css"' in response.text
        assert response.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("path", ["/", "/console"])
    def test_a_form_that_is_sent_without_the_script_puts_no_password_into_the_address(
        self, client: FlaskClient, path: str
    ) -> None:
        (start, form) = re.findall(r"(<form[^>]*>)(.*?)</form>", client.get(path).text, re.DOTALL)[0]
        assert 'type="password"' in form
        assert 'method="post"' in start
        assert client.post(path, data={"user": "alice", "password": "secret"}).status_code in {403, 405}

    def test_nobody_can_sign_in_before_the_script_is_there(self, client: FlaskClient) -> None:
        assert '<fieldset id="sign-in-buttons" disabled>' in client.get("/").text

    @pytest.mark.parametrize("path", ["/", "/console"])
    def test_the_page_needs_no_inline_script_or_style(self, client: FlaskClient, path: str) -> None:
        text = client.get(path).text
        assert "<style" not in text
        assert "style=" not in text
        assert text.count("<script") == 1

    @pytest.mark.parametrize(
        "manifest",
        [
            pytest.param(None, id="no build"),
            pytest.param("{", id="broken build"),
            pytest.param('{"sdk.js": "assets/sdk.js"}', id="half a build"),
            pytest.param("[]", id="another file"),
        ],
    )
    def test_without_built_files_it_says_how_to_build_them(
        self, settings: Settings, tmp_path: Path, manifest: str | None
    ) -> None:
        if manifest is not None:
            (tmp_path / "dist").mkdir()
            (tmp_path / "dist" / "manifest.json").write_text(manifest)
        client = create_app(settings, tmp_path).test_client()
        response = client.get("/")
        assert response.status_code == 503
        assert "npm --prefix webapp_api/sdk ci" in response.text
        assert "npm --prefix webapp_api/sdk run build" in response.text
        assert client.get("/healthz").json == {"status": "ok", "version": VERSION, "softphone": "not built"}

    def test_a_later_build_needs_no_restart(
        self, settings: Settings, static_directory: Path, tmp_path: Path
    ) -> None:
        manifest = static_directory / "dist" / "manifest.json"
        text = manifest.read_text()
        manifest.unlink()
        client = create_app(settings, static_directory).test_client()
        assert client.get("/").status_code == 503
        manifest.write_text(text)
        assert client.get("/").status_code == 200


def test_health_is_told(client: FlaskClient) -> None:
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json == {"status": "ok", "version": VERSION, "softphone": "built"}


@pytest.mark.parametrize(
    ("path", "cache_control"),
    [
        pytest.param(
            "/static/dist/assets/sdk-A1.js", "public, max-age=31536000, immutable", id="hashed name: for ever"
        ),
        pytest.param("/static/dist/sdk.js", "no-cache", id="stable name: ask again"),
        pytest.param("/static/favicon.svg", "no-cache", id="not built: ask again"),
        pytest.param("/static/dist/assets/none.js", "no-store", id="missing: never"),
    ],
)
def test_browsers_keep_a_file_as_long_as_its_name_allows(
    client: FlaskClient, path: str, cache_control: str
) -> None:
    assert client.get(path).headers["Cache-Control"] == cache_control


@pytest.mark.parametrize("path", ["/", "/config.json", "/healthz", "/static/favicon.svg", "/none"])
def test_every_response_carries_the_security_header_fields(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["connect-src"] == "'self' wss://gateway.example.com"
    assert policy["media-src"] == "'self' blob:"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["Permissions-Policy"].startswith("microphone=(self), camera=(self)")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


class TestProblems:
    """Errors are problem details (RFC 9457)."""

    def test_an_unknown_path(self, client: FlaskClient) -> None:
        response = client.get("/none")
        assert response.content_type == "application/problem+json"
        assert response.json is not None
        assert response.json["status"] == response.status_code == 404
        assert response.json["title"] == "Not Found"
        assert response.json["instance"] == "/none"

    def test_a_wrong_method_names_the_right_ones(self, client: FlaskClient) -> None:
        response = client.post("/config.json")
        assert (response.status_code, response.content_type) == (405, "application/problem+json")
        assert "GET" in response.headers["Allow"]

    def test_a_fault_of_ours_tells_nothing_of_the_inside(
        self, settings: Settings, static_directory: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = create_app(settings, static_directory)

        @app.get("/broken")
        def broken() -> str:
            raise RuntimeError("secret detail")

        response = app.test_client().get("/broken")
        assert (response.status_code, response.content_type) == (500, "application/problem+json")
        assert "secret detail" not in response.text
        assert "event=request_failed method=GET path='/broken'" in caplog.text
        assert "secret detail" in caplog.text


class TestProxy:
    """X-Forwarded-Proto counts from loopback only."""

    @pytest.mark.parametrize(
        ("peer", "header", "secure"),
        [
            pytest.param("127.0.0.1", "https", True, id="TLS front"),
            pytest.param("::1", "https", True, id="TLS front over IPv6"),
            pytest.param("127.0.0.1", "http", False, id="front without TLS"),
            pytest.param("127.0.0.1", "gopher", False, id="nonsense"),
            pytest.param("127.0.0.1", None, False, id="no header"),
            pytest.param("198.51.100.7", "https", False, id="somebody else"),
            pytest.param("", "https", False, id="no peer"),
        ],
    )
    def test_the_scheme(self, client: FlaskClient, peer: str, header: str | None, secure: bool) -> None:
        headers = {} if header is None else {"X-Forwarded-Proto": header}
        response = client.get("/healthz", headers=headers, environ_overrides={"REMOTE_ADDR": peer})
        assert ("Strict-Transport-Security" in response.headers) is secure

    @pytest.mark.parametrize(
        ("peer", "header", "client_address"),
        [
            pytest.param("127.0.0.1", "198.51.100.7", "198.51.100.7", id="TLS front"),
            pytest.param("127.0.0.1", "2001:DB8::1", "2001:db8::1", id="IPv6"),
            pytest.param(
                "127.0.0.1", "10.0.0.1, 198.51.100.7", "198.51.100.7", id="only the front's own word"
            ),
            pytest.param("127.0.0.1", "nonsense", "127.0.0.1", id="nonsense"),
            pytest.param("127.0.0.1", None, "127.0.0.1", id="no header"),
            pytest.param("203.0.113.9", "198.51.100.7", "203.0.113.9", id="somebody else's word"),
            pytest.param("192.0.2.130", "198.51.100.7", "198.51.100.7", id="trusted front elsewhere"),
            pytest.param("192.0.2.120", "198.51.100.7", "192.0.2.120", id="beside the trusted network"),
            pytest.param("::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7", id="TLS front, at ::"),
            pytest.param("::ffff:192.0.2.130", "::ffff:198.51.100.7", "198.51.100.7", id="both mapped"),
            pytest.param("::ffff:192.0.2.120", "198.51.100.7", "::ffff:192.0.2.120", id="another, at ::"),
        ],
    )
    def test_the_client(
        self, settings: Settings, static_directory: Path, peer: str, header: str | None, client_address: str
    ) -> None:
        app = create_app(
            replace(settings, trusted_proxies=("192.0.2.128/25", "2001:db8::/32")), static_directory
        )

        @app.get("/address")
        def address() -> str:
            return str(request.remote_addr)

        headers = {} if header is None else {"X-Forwarded-For": header}
        response = app.test_client().get("/address", headers=headers, environ_overrides={"REMOTE_ADDR": peer})
        assert response.text == client_address

    def test_a_scheme_that_the_http_server_believed_is_taken_back(self, client: FlaskClient) -> None:
        overrides = {"REMOTE_ADDR": "198.51.100.7", "wsgi.url_scheme": "https"}
        response = client.get("/healthz", environ_overrides=overrides)
        assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/session"),
        ("POST", "/api/session"),
        ("DELETE", "/api/session"),
        ("POST", "/api/leases"),
        ("POST", "/api/tokens"),
        ("GET", "/api/oidc/login"),
        ("GET", "/api/oidc/callback"),
        ("GET", "/.well-known/jwks.json"),
    ],
)
def test_without_web_login_nobody_can_try(client: FlaskClient, method: str, path: str) -> None:
    headers = {"Origin": "https://gateway.example.com", "X-CSRF-Protection": "1"}
    response = client.open(path, method=method, headers=headers, json={})
    assert (response.status_code, response.content_type) == (404, "application/problem+json")


def test_a_source_tree_that_is_not_installed_has_no_version() -> None:
    assert installed_version("no-such-distribution") == "unknown"
