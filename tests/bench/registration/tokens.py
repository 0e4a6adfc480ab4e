"""Access tokens for the load client: an issuer of its own that the gateway under test is told to trust.

Knows the claims of an access token and where the gateway looks for keys. Must not know how pages send them.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

import jwt
import redis
from cryptography.hazmat.primitives.asymmetric import ec

from kemi.state.keys import jwks
from tests.bench.registration.measure import PROCESSES, Plan
from tests.bench.registration.page import user_of
from tests.bench.registration.pages import PagesOrder, Task
from tests.bench.registration.site import RegistrationSite
from tests.bench.registration.swarm import swarm
from tests.lab.roles import role_defaults

ISSUER: Final = "https://issuer.bench.example"
LIFETIME_S: Final = 600
TOKENS_OF_BUSY: Final = 50
TOKENS_OF_HELD: Final = 2
KEYS_WITHIN_S: Final = 15.0
ALGORITHM: Final = "ES256"


class Credentials(StrEnum):
    """How pages authenticate."""

    DIGEST = "digest"
    TOKEN = "token"


class NotTrustedError(RuntimeError):
    """The gateway does not take the issuer's tokens."""


class Issuer:
    """Signs access tokens (RFC 9068) with a key of its own."""

    def __init__(self, name: str, audience: str) -> None:
        self.name = name
        self._audience = audience
        self._kid = secrets.token_hex(8)
        self._key = ec.generate_private_key(ec.SECP256R1())

    def publish(self, redis_url: str) -> None:
        """Write the public key where the gateway looks for this issuer's."""
        public: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        key = {**public, "kid": self._kid, "use": "sig", "alg": ALGORITHM}
        with redis.Redis.from_url(redis_url) as store:
            store.set(jwks(self.name), json.dumps({"keys": [key]}))

    def token(self, user: str, realm: str, origin: str) -> str:
        """Return an access token for one user."""
        now = int(time.time())
        claims = {
            "iss": self.name,
            "aud": self._audience,
            "sub": user,
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME_S,
            "jti": secrets.token_hex(16),
            "scope": "sip",
            "impi": f"{user}@{realm}",
            "impus": [f"sip:{user}@{realm}"],
            "sid": secrets.token_hex(16),
            "origin": origin,
        }
        return jwt.encode(claims, self._key, ALGORITHM, {"kid": self._kid, "typ": "at+jwt"})


def available() -> tuple[Credentials, ...]:
    """Return the ways this gateway knows."""
    knows_tokens = "gateway_token_issuers" in role_defaults("kamailio")
    return (Credentials.DIGEST, Credentials.TOKEN) if knows_tokens else (Credentials.DIGEST,)


def variables(credentials: Credentials) -> Mapping[str, Any]:
    """Return the role variables of a gateway whose pages authenticate so."""
    if credentials is Credentials.DIGEST:
        return {}
    issuer = {"issuer": ISSUER, "authz_server": f"{ISSUER}/authorize"}
    return {"gateway_registration_schemes": ["bearer"], "gateway_token_issuers": [issuer]}


def order_with_credentials(site: RegistrationSite, credentials: Credentials, plan: Plan) -> PagesOrder:
    """Return the site's order with what its pages need to authenticate.

    Pages that register again and again get so many tokens that no cache of checked ones helps.
    """
    order = site.order
    if credentials is Credentials.DIGEST:
        return order
    issuer = Issuer(ISSUER, f"sip:{order.realm}")
    issuer.publish(site.redis_url)
    pages, busy = plan.held // PROCESSES, plan.rate_pages // PROCESSES

    def values(page: int, count: int) -> list[str]:
        return [f"Bearer {issuer.token(user_of(page), order.realm, order.origin)}" for _ in range(count)]

    _wait_for_trust(replace(order, first_page=plan.held, authorizations=[values(plan.held, 1)]))
    counts = (TOKENS_OF_BUSY if page % pages < busy else TOKENS_OF_HELD for page in range(plan.held))
    return replace(order, authorizations=[values(page, count) for page, count in enumerate(counts)])


def _wait_for_trust(probe: PagesOrder) -> None:
    """Wait until the gateway has fetched the issuer's key: a page of its own that may register says so."""
    with swarm(probe, 1, 1) as page:
        page.run(Task("open", 1))
        outcome = page.run(Task("back", seconds=KEYS_WITHIN_S))
    if not outcome.registered:
        raise NotTrustedError(f"no page could register with a token: {outcome.failures}")
