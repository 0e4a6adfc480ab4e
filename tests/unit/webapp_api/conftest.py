"""Settings and applications for the tests of the web service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from webapp_api import create_app
from webapp_api.settings import Settings

MANIFEST = {
    "sdk.js": "assets/sdk-A1.js",
    "softphone.js": "assets/softphone-B2.js",
    "softphone.css": "assets/style-C3.css",
    "console.js": "assets/console-D4.js",
    "console.css": "assets/console-style-E5.css",
}


@pytest.fixture
def settings() -> Settings:
    """Settings of a public gateway."""
    return Settings(
        public_origin="https://gateway.example.com",
        domain="ims.example.com",
        stun_servers=("gateway.example.com:5060", "[2001:db8::1]:3478"),
    )


@pytest.fixture
def static_directory(tmp_path: Path) -> Path:
    """Static files as a build leaves them."""
    assets = tmp_path / "dist" / "assets"
    assets.mkdir(parents=True)
    for file in MANIFEST.values():
        (tmp_path / "dist" / file).write_text("/* built */")
    (tmp_path / "dist" / "sdk.js").write_text('export * from "./assets/sdk-A1.js";')
    (tmp_path / "dist" / "manifest.json").write_text(json.dumps(MANIFEST))
    (tmp_path / "favicon.svg").write_text("<svg/>")
    return tmp_path


@pytest.fixture
def client(settings: Settings, static_directory: Path) -> FlaskClient:
    """A client of an application whose page is built."""
    return create_app(settings, static_directory).test_client()
