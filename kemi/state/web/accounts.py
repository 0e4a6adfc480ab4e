"""Accounts of people: a login name, a password hash, and the IMS identities that belong to them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from kemi.core.errors import SipReject
from kemi.core.home.identities import keys_of, wanted
from kemi.core.routing.numbers import DialPlan
from kemi.state import keys
from kemi.state.web.client import digest

if TYPE_CHECKING:
    from redis import Redis


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One person.  Whoever makes an account checks its values: they become claims and SIP header fields."""

    name: str
    password_hash: str
    """In the PHC format of argon2id."""
    impi: str
    """Private identity, ``user@domain``."""
    impus: list[str]
    """Public identities, sip or tel URIs, the default one first."""
    user_class: str = ""
    """Whose rows of the routing table count for this person's calls."""
    operator: bool = False
    """Whether this person may see and change how the gateway works (/api/operator/)."""
    disabled: bool = False
    """Whether nobody can log in with it; everything else of it stays."""

    @property
    def version(self) -> str:
        """Changes with everything that is kept of the account."""
        return digest(_text(self))[:32]


class AccountStore:
    """All accounts."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def get(self, name: str) -> Account | None:
        """Return an account by its login name."""
        text = self._redis.hget(keys.WEB_ACCOUNTS, name)
        return None if text is None else msgspec.json.decode(text, type=Account)

    def put(self, account: Account) -> None:
        """Add an account, or replace the one of the same name."""
        self._redis.hset(keys.WEB_ACCOUNTS, account.name, _text(account))

    def replace(self, name: str, before: Account | None, account: Account | None) -> bool:
        """Put an account in the place of the one that was read; None: of none, or none.

        False when another one is there meanwhile, and nothing is changed.
        """

        def step(pipe: Any) -> Any:
            text = pipe.hget(keys.WEB_ACCOUNTS, name)
            if (None if text is None else msgspec.json.decode(text, type=Account)) != before:
                return False
            pipe.multi()
            if account is None:
                pipe.hdel(keys.WEB_ACCOUNTS, name)
            else:
                pipe.hset(keys.WEB_ACCOUNTS, name, _text(account))
            return True

        return bool(self._redis.transaction(step, keys.WEB_ACCOUNTS, value_from_callable=True))

    def all(self) -> list[Account]:
        """Return every account, by name."""
        found = self._redis.hgetall(keys.WEB_ACCOUNTS)
        return sorted(
            (msgspec.json.decode(text, type=Account) for text in found.values()), key=lambda item: item.name
        )

    def named_by(self, uri: str, realm: str, plan: DialPlan) -> str:
        """Return whose identity a called URI is, by login name; "" for nobody's."""
        names = {key: account.name for account in self.all() for key in keys_of(account.impus, realm)}
        with suppress(SipReject):
            for key in wanted(uri, realm, plan):
                if key in names:
                    return names[key]
        return ""


def _text(account: Account) -> str:
    return msgspec.json.encode(account).decode()
