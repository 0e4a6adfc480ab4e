"""What the tests of this folder play on: a gateway that is its own home network, accounts in Redis, scripted pages.

Must not know single calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from kemi.state.web.accounts import Account, AccountStore
from kemi.state.web.client import connect
from tests.integration.calls.stage import Stage, gateway_options, until
from tests.integration.registration.registering import KEYS_S
from tests.integration.trust.issuers import ISSUER, publish_in_redis, register
from tests.lab.kamailio import RpcError
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.subscribers import BY_NAME, REALM
from tests.lab.waiting import wait_until
from tests.peers.aiortc_wic import AiortcWic
from tests.peers.wic import ScriptedWic, WicIdentity

KNOWN_S: Final = 12.0
"""Until the workers know who has an account, or has none any more."""
SOON_S: Final = 15.0
PEOPLE: Final = ("alice", "bob", "dave")
"""Who has an account; dave never opens a page.  carol comes with a token of somebody else's."""


def home_options(**variables: Any) -> LabOptions:
    """Return a lab of gateway, relay and Redis, without any core."""
    own = {
        "gateway_standalone": True,
        "gateway_flow_recovery_s": 1,
        "gateway_registration_schemes": ["bearer"],
        "gateway_token_issuers": [{"issuer": ISSUER.url, "authz_server": "https://issuer.test/authorize"}],
    }
    parts = frozenset({Part.GATEWAY, Part.RTPENGINE, Part.REDIS})
    return replace(gateway_options(**{**own, **variables}), parts=parts)


def add_account(lab: Lab, name: str, *more: str) -> None:
    """Give somebody an account, as the web API writes it; ``more``: further public identities."""
    someone = BY_NAME[name]
    AccountStore(connect(lab.info.redis_url)).put(
        Account(name=name, password_hash="", impi=someone.impi, impus=[*someone.impus, *more])
    )


def remove_account(lab: Lab, name: str) -> None:
    """Take it away."""
    accounts = AccountStore(connect(lab.info.redis_url))
    assert accounts.replace(name, accounts.get(name), None)


@contextmanager
def home_lab_of(more: Mapping[str, Sequence[str]] = MappingProxyType({}), **variables: Any) -> Iterator[Lab]:
    """Run such a lab, with accounts and keys known to the workers; ``more``: further identities of somebody."""
    with Lab(home_options(**variables)) as lab:
        publish_in_redis(lab, ISSUER.url, ISSUER.key)
        for name in PEOPLE:
            add_account(lab, name, *more.get(name, ()))
        wait_until(lambda: ISSUER.url in lab.gateway_rpc.htable("jwks"), "keys at the gateway", KEYS_S)
        wait_until(lambda: BY_NAME["dave"].impu in lab.gateway_rpc.htable("person"), "accounts", KEYS_S)
        yield lab


class HomeStage(Stage):
    """One test's world; its core is never asked."""

    async def close(self) -> None:
        """Let the pages that are left sign off, as a page does that is closed; then check and close."""
        try:
            for page in self.pages:
                if not page.lost.is_set():
                    await page.unregister()
        finally:
            await super().close()

    async def user(
        self, name: str, *, real: bool = False, instance: str = "", expires_s: int = 600, **claims: Any
    ) -> Any:
        """Open a page of somebody and register it; with real media if told."""
        kind = AiortcWic if real else ScriptedWic
        aor = f"sip:{name}@{REALM}"
        page = kind(self.handshake, WicIdentity(aor, instance=instance) if instance else WicIdentity(aor))
        await self.join(page, registered=False)
        response = await register(page, self.token(name, **claims), expires_s=expires_s)
        assert response.status == 200, response.start_line
        return page

    @staticmethod
    def token(name: str, **claims: Any) -> str:
        """Return an access token of somebody, with all the identities the lab knows of them."""
        return ISSUER.token(name, REALM, **{"impus": list(BY_NAME[name].impus), **claims})

    def contacts(self, name: str) -> list[str]:
        """Return where the registrar has somebody's pages."""
        try:
            found = self.lab.gateway_rpc("ul.lookup", "location", BY_NAME[name].impi)
        except RpcError as error:
            assert "AOR not found" in str(error) or "AOR has no contacts" in str(error), error
            return []
        return [contact["Contact"]["Address"] for contact in found["Contacts"]]

    async def has_contacts(self, name: str, count: int) -> None:
        """Wait until somebody has so many pages at the registrar."""
        await until(
            lambda: len(self.contacts(name)) == count,
            lambda: f"{self.contacts(name)} instead of {count}",
            SOON_S,
        )
