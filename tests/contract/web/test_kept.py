"""What is kept for a while, or so many of: Redis evicts nothing, and what nobody removes would fill it."""

from __future__ import annotations

import time

import pytest
import redis

from kemi.state import keys
from kemi.state.web import audit
from kemi.state.web.audit import AuditEntry, AuditLog
from kemi.state.web.client import digest
from kemi.state.web.oidc_logins import LIFETIME_S, OidcLogin, OidcLoginStore

NODE = 100
"""Entries of a stream that Redis drops together (``stream-node-max-entries``)."""


def test_a_login_that_never_came_back(store: redis.Redis) -> None:
    OidcLoginStore(store).begin("state", OidcLogin(browser="b", nonce="n", code_verifier="c"))
    assert 0 < store.ttl(keys.web_oidc_login(digest("state"))) <= LIFETIME_S


def test_the_latest_changes_of_operators(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LENGTH", NODE)
    log = AuditLog(store)
    for number in range(4 * NODE):
        log.add(
            AuditEntry(at=time.time(), operator="alice", address="", action="x", status=0, detail=str(number))
        )
    assert NODE <= store.xlen(keys.WEB_AUDIT) <= 2 * NODE
    (newest,), _ = log.list(limit=1)
    assert newest.detail == str(4 * NODE - 1)
