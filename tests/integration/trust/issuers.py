"""Two issuers of access tokens, how the gateway is told of them, and how their keys reach it."""

from __future__ import annotations

from typing import Any, Final

import redis

from kemi.state.keys import jwks
from tests.lab.lab import Lab
from tests.lab.subscribers import REALM
from tests.lab.world import World
from tests.peers.access_token import Issuer, SigningKey, key_set
from tests.peers.sip import SipResponse
from tests.peers.wic import ScriptedWic

ISSUER: Final = Issuer()
OPERATOR: Final = Issuer(
    url="https://idp.operator.test/realms/web",
    audience="webrtc-gateway",
    key=SigningKey("RS256", "operator-1"),
    typ="JWT",
    impi_claim="ims_private_id",
    impus_claim="ims_public_ids",
)
AUTHZ_SERVER: Final = "https://issuer.test/authorize"

BEARER_VARIABLES: Final[dict[str, Any]] = {
    "gateway_registration_schemes": ["digest", "bearer"],
    "gateway_token_issuers": [
        {"issuer": ISSUER.url, "authz_server": AUTHZ_SERVER},
        {
            "issuer": OPERATOR.url,
            "authz_server": "https://idp.operator.test/authorize",
            "audience": OPERATOR.audience,
            "algorithms": ["RS256"],
            "types": ["jwt"],
            "impi_claim": OPERATOR.impi_claim,
            "impus_claim": OPERATOR.impus_claim,
        },
    ],
}


def publish_in_redis(lab: Lab | World, issuer: str, *keys: SigningKey) -> None:
    """Put an issuer's keys where the web API puts them; the gateway's housekeeping brings them to the workers."""
    client: Any = redis.Redis.from_url(lab.info.redis_url)
    client.set(jwks(issuer), key_set(*keys))
    client.close()


def publish(lab: Lab | World, issuer: str, *keys: SigningKey) -> None:
    """Put an issuer's keys where the gateway's workers read them, in a lab without Redis."""
    lab.gateway_rpc("htable.sets", "jwks", issuer, key_set(*keys))


def bearer(token: str) -> list[tuple[str, str]]:
    """Return the header field a page sends its token in."""
    return [("Authorization", f"Bearer {token}")]


async def register(page: ScriptedWic, token: str, *, expires_s: int = 600) -> SipResponse:
    """Register with a token."""
    return await page.register(headers=bearer(token), expires_s=expires_s)


def token_for(user: str = "alice", **changes: Any) -> str:
    """Return a good token of our own issuer, but for the changes to its claims."""
    return ISSUER.token(user, REALM, **changes)
