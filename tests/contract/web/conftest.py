"""Fixtures: an empty Redis, settings of a gateway with web login, the application, pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from flask import Flask

from kemi.state.web.accounts import Account
from tests.contract.web.client import NAME, ORIGIN, PASSWORD, WebPage
from tests.contract.web.operator import Operator
from webapp_api import create_app
from webapp_api.identities import Identity
from webapp_api.passwords import password_hash
from webapp_api.services import EXTENSION, Services
from webapp_api.settings import Settings

DOMAIN = "ims.example.com"
IDENTITY = Identity(f"alice@{DOMAIN}", (f"sip:alice@{DOMAIN}", "tel:+15550100"))
POOL = tuple(Identity(f"guest{i}@{DOMAIN}", (f"sip:guest{i}@{DOMAIN}",)) for i in (1, 2))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder as contract test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.contract)


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the empty Redis."""
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """A gateway where people and guests log in."""
    return Settings(
        public_origin=ORIGIN,
        domain=DOMAIN,
        redis_url=redis_url,
        key_secret="0123456789abcdef0123456789abcdef",
        guest_login=True,
        identity_pool=POOL,
    )


@pytest.fixture
def make_app(store: redis.Redis, settings: Settings) -> Callable[..., Flask]:
    """Make an application, with other settings if need be; alice has an account."""
    hashed = password_hash(PASSWORD)

    def make(**changes: Any) -> Flask:
        app = create_app(replace(settings, **changes))
        services: Services = app.extensions[EXTENSION]
        account = Account(name=NAME, password_hash=hashed, impi=IDENTITY.impi, impus=list(IDENTITY.impus))
        services.accounts.put(account)
        return app

    return make


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The application."""
    return make_app()


@pytest.fixture
def services(app: Flask) -> Services:
    """Its parts."""
    found: Services = app.extensions[EXTENSION]
    return found


@pytest.fixture
def page(app: Flask) -> WebPage:
    """A page of alice's, not logged in."""
    return WebPage(app)


@pytest.fixture
def operator(settings: Settings, tmp_path: Path, store: redis.Redis) -> Operator:
    """The settings of the running service."""
    file = tmp_path / "webapp.toml"
    file.write_text(
        f"public_origin = {json.dumps(settings.public_origin)}\ndomain = {json.dumps(settings.domain)}\n"
        f"redis_url = {json.dumps(settings.redis_url)}\nkey_secret = {json.dumps(settings.key_secret)}\n"
    )
    return Operator(file)


@pytest.fixture
def page_of_operator(page: WebPage, services: Services) -> WebPage:
    """Alice as operator, logged in."""
    account = services.accounts.get(NAME)
    assert account is not None
    services.accounts.put(msgspec.structs.replace(account, operator=True))
    assert page.log_in().status_code == 201
    return page
