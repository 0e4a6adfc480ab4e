"""What a provider of OpenID Connect says in vain."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import Mock

import pytest
import redis
from flask import Flask
from werkzeug.exceptions import BadGateway

from tests.contract.web.test_tokens import published
from webapp_api.login_settings import OidcSettings
from webapp_api.oidc.provider import Provider
from webapp_api.services import EXTENSION, Services

ISSUER = "http://127.0.0.1:1"
KEYS = {"keys": [{"kty": "EC", "kid": "1", "crv": "P-256", "x": "x", "y": "y"}]}


@pytest.fixture
def with_provider(make_app: Callable[..., Flask]) -> Flask:
    """A gateway whose people log in at a provider, which is away."""
    return make_app(oidc=OidcSettings(issuer=ISSUER, client_id="x"))


def test_an_answer_without_keys_replaces_none(
    with_provider: Flask, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    services: Services = with_provider.extensions[EXTENSION]
    assert services.provider_keys is not None
    monkeypatch.setattr(Provider, "key_set", Mock(return_value=KEYS))
    services.provider_keys.refresh()
    monkeypatch.setattr(Provider, "key_set", Mock(return_value={"error": "down"}))
    with pytest.raises(BadGateway):
        services.provider_keys.refresh()
    assert published(store, ISSUER) == KEYS
