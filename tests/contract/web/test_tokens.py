"""Access tokens, and the keys that sign them: /api/tokens, /.well-known/jwks.json, gw:jwks:ISSUER."""

from __future__ import annotations

import base64
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Barrier
from typing import Any

import jwt
import pytest
import redis
from flask import Flask

from kemi.state import keys
from kemi.state.web.client import connect, digest
from kemi.state.web.locks import Lock
from kemi.state.web.signing_keys import KeySetStore, SigningKeyStore
from tests.contract.web.client import ORIGIN, WebPage
from tests.contract.web.conftest import IDENTITY
from webapp_api.keyring import CLOCK_SKEW_S, Keyring
from webapp_api.services import Services
from webapp_api.settings import Settings

DAY_S = 86_400


def published(store: redis.Redis, issuer: str = ORIGIN) -> dict[str, Any]:
    """The key set as a gateway reads it."""
    key_set: dict[str, Any] = json.loads(store.get(keys.jwks(issuer)) or "{}")
    return key_set


def checked(token: str, store: redis.Redis, issuer: str = ORIGIN) -> dict[str, Any]:
    """The claims of a token, checked as the gateway does, with nothing but what Redis has."""
    header = jwt.get_unverified_header(token)
    (jwk,) = [key for key in published(store, issuer)["keys"] if key["kid"] == header["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token,
        jwt.PyJWK(jwk),
        algorithms=["ES256", "EdDSA", "RS256"],
        audience="sip:ims.example.com",
        issuer=issuer,
    )
    return claims


def readable(text: str) -> str:
    """Return a text, and what in it is only encoded."""
    parts = re.findall(r"[A-Za-z0-9+/_-]{20,}", text)
    decoded = (base64.b64decode(part + "==", altchars=b"-_") for part in parts if len(part) % 4 != 1)
    return text + b" ".join(decoded).decode(errors="replace")


class TestToken:
    """POST /api/tokens."""

    @pytest.mark.conformance("R-08", "X-12")
    @pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
    def test_it_holds_what_the_gateway_wants(
        self, make_app: Callable[..., Flask], store: redis.Redis, algorithm: str
    ) -> None:
        page = WebPage(make_app(token_algorithm=algorithm))
        page.log_in()
        document = page.token().get_json()
        assert document["token_type"] == "Bearer"
        assert document["expires_in"] == 600
        assert (document["impi"], document["impus"]) == (IDENTITY.impi, list(IDENTITY.impus))
        header = jwt.get_unverified_header(document["access_token"])
        assert (header["alg"], header["typ"]) == (algorithm, "at+jwt")
        claims = checked(document["access_token"], store)
        assert abs(claims["iat"] - time.time()) < 5
        assert claims["nbf"] == claims["iat"]
        assert claims["exp"] == claims["iat"] + 600
        assert claims["scope"].split() == ["sip"]
        assert (claims["iss"], claims["aud"]) == (ORIGIN, "sip:ims.example.com")
        assert (claims["sub"], claims["origin"]) == ("alice", ORIGIN)
        assert (claims["impi"], claims["impus"]) == (IDENTITY.impi, list(IDENTITY.impus))
        assert claims["client_id"] == "web"

    def test_each_is_new_and_all_are_of_one_session(self, page: WebPage, store: redis.Redis) -> None:
        page.log_in()
        claims = [checked(page.token().get_json()["access_token"], store) for _ in range(3)]
        assert len({claim["jti"] for claim in claims}) == 3
        assert len({claim["sid"] for claim in claims}) == 1

    def test_the_session_secret_is_not_in_it(self, page: WebPage, store: redis.Redis) -> None:
        page.log_in()
        assert str(page.cookie()) not in json.dumps(checked(page.token().get_json()["access_token"], store))

    def test_issuer_and_audience_are_settings(
        self, make_app: Callable[..., Flask], store: redis.Redis
    ) -> None:
        page = WebPage(make_app(token_issuer="https://id.example.com", token_lifetime_s=60))
        page.log_in()
        claims = checked(page.token().get_json()["access_token"], store, "https://id.example.com")
        assert claims["exp"] - claims["iat"] == 60

    def test_without_a_session_there_is_none(self, page: WebPage) -> None:
        response = page.token()
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("Session")

    @pytest.mark.conformance("X-10")
    def test_a_page_that_asks_without_end_has_to_wait(self, page: WebPage) -> None:
        page.log_in()
        statuses = [page.token().status_code for _ in range(61)]
        assert statuses == [200] * 60 + [429]
        page.log_out()
        page.log_in()
        assert page.token().status_code == 429, "another login is the same person"

    @pytest.mark.conformance("X-10")
    def test_guests_do_not_wait_for_each_other(self, app: Flask, store: redis.Redis) -> None:
        one, other = WebPage(app), WebPage(app)
        for page in (one, other):
            page.lease()
        sid = str(store.get(keys.web_lease(one.session()["impi"])))
        store.set(keys.web_attempts("token", digest(f"guest:{sid}")), 60, ex=60)
        assert (one.token().status_code, other.token().status_code) == (429, 200)

    def test_one_key_is_made_however_many_ask_first(
        self, make_app: Callable[..., Flask], store: redis.Redis
    ) -> None:
        pages, start = [WebPage(make_app(), f"198.51.100.{number}") for number in range(8)], Barrier(8)
        for page in pages:
            page.log_in()

        def ask(page: WebPage) -> int:
            start.wait()
            return page.token().status_code

        with ThreadPoolExecutor(len(pages)) as threads:
            statuses = Counter(threads.map(ask, pages))
        assert statuses.keys() <= {200, 503}, "who asks while it is made, asks again"
        assert statuses[200]
        assert len(published(store)["keys"]) == len(store.hkeys(keys.WEB_SIGNING_KEYS)) == 1


class TestKeySet:
    """What the world sees of the keys."""

    @pytest.mark.conformance("X-12")
    @pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
    def test_only_public_parts_are_shown(
        self, make_app: Callable[..., Flask], store: redis.Redis, algorithm: str
    ) -> None:
        page = WebPage(make_app(token_algorithm=algorithm))
        page.log_in()
        page.token()
        document = page.ask("GET", "/.well-known/jwks.json").get_json()
        assert document == published(store)
        (key,) = document["keys"]
        assert not {"d", "p", "q", "dp", "dq", "qi", "k", "oth"} & key.keys()
        assert (key["use"], key["alg"]) == ("sig", algorithm)

    @pytest.mark.conformance("X-12")
    def test_private_keys_cannot_be_read_in_redis(self, page: WebPage, store: redis.Redis) -> None:
        page.log_in()
        page.token()
        (text,) = store.hvals(keys.WEB_SIGNING_KEYS)
        assert "PRIVATE" not in readable(str(text))
        assert '"d"' not in readable(str(text))


@dataclass
class Clock:
    """A clock that the test turns."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Rotation:
    """A keyring whose clock the test turns, and what a gateway would read."""

    settings: Settings
    store: redis.Redis
    clock: Clock = field(default_factory=Clock)

    def keyring(self, **changes: Any) -> Keyring:
        client = connect(self.settings.redis_url)
        settings = replace(self.settings, **changes)
        lock = Lock(client, "key-rotation", 10)
        return Keyring(settings, SigningKeyStore(client), KeySetStore(client), lock, self.clock)

    def published_kids(self) -> list[str]:
        return [key["kid"] for key in published(self.store)["keys"]]


def kid_of(token: str) -> str:
    """Which key has signed a token."""
    return str(jwt.get_unverified_header(token)["kid"])


@pytest.fixture
def rotation(store: redis.Redis, settings: Settings) -> Rotation:
    """Keys that live 30 days, wait 120 s before they sign, for tokens of 600 s."""
    return Rotation(settings, store)


@pytest.mark.conformance("X-12")
class TestRotation:
    """Keys change; tokens go on."""

    def test_a_new_key_is_known_before_it_signs(self, rotation: Rotation) -> None:
        keyring = rotation.keyring()
        keyring.maintain()
        first = kid_of(keyring.sign({}))
        second = keyring.rotate()
        assert second is not None
        assert rotation.published_kids() == [first, second.kid]
        rotation.clock.now += 119
        assert kid_of(keyring.sign({})) == first
        rotation.clock.now += 2
        assert kid_of(keyring.sign({})) == second.kid

    def test_the_old_key_stays_until_its_last_token_has_run_out(self, rotation: Rotation) -> None:
        keyring = rotation.keyring()
        keyring.maintain()
        first = kid_of(keyring.sign({}))
        keyring.rotate()
        rotation.clock.now += 120 + 600 + CLOCK_SKEW_S - 1
        keyring.maintain()
        assert first in rotation.published_kids()
        rotation.clock.now += 1
        keyring.maintain()
        assert len(rotation.published_kids()) == 1
        assert first not in rotation.published_kids()
        assert rotation.store.hkeys(keys.WEB_SIGNING_KEYS) == rotation.published_kids()

    def test_it_happens_by_itself_after_the_days_set(self, rotation: Rotation) -> None:
        keyring = rotation.keyring()
        keyring.maintain()
        rotation.clock.now += 30 * DAY_S - 1
        keyring.maintain()
        assert len(rotation.published_kids()) == 1
        rotation.clock.now += 1
        keyring.maintain()
        keyring.maintain()
        assert len(rotation.published_kids()) == 2

    def test_another_algorithm_takes_another_key(self, rotation: Rotation) -> None:
        rotation.keyring().maintain()
        keyring = rotation.keyring(token_algorithm="EdDSA")
        keyring.maintain()
        assert jwt.get_unverified_header(keyring.sign({}))["alg"] == "ES256"
        rotation.clock.now += 121
        assert jwt.get_unverified_header(keyring.sign({}))["alg"] == "EdDSA"

    def test_every_process_signs_with_the_same_key(self, rotation: Rotation) -> None:
        keyrings = [rotation.keyring() for _ in range(3)]
        for keyring in keyrings:
            keyring.maintain()
        keyrings[1].rotate()
        assert len({kid_of(keyring.sign({})) for keyring in keyrings}) == 1
        rotation.clock.now += 121
        assert len({kid_of(keyring.sign({})) for keyring in keyrings}) == 1

    def test_another_secret_makes_another_key_that_signs_at_once(self, rotation: Rotation) -> None:
        rotation.keyring().maintain()
        keyring = rotation.keyring(key_secret="another secret, as long as it needs to be")
        rotation.clock.now += 1
        token = keyring.sign({})
        assert kid_of(token) == rotation.published_kids()[-1]
        assert len(rotation.published_kids()) == 2, "tokens of the former key are still checked"

    def test_a_set_that_somebody_removed_is_published_again(
        self, services: Services, store: redis.Redis
    ) -> None:
        services.keyring.maintain()
        store.delete(keys.jwks(ORIGIN))
        services.keyring.maintain()
        assert len(published(store)["keys"]) == 1
