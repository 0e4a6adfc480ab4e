"""A Redis that is full: who is logged in still gets tokens, and what ends something still ends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from kemi.state.web import attempts
from kemi.state.web.attempts import AttemptStore
from tests.contract.web.client import WebPage
from tests.contract.web.test_session import commands


@contextmanager
def full(store: redis.Redis) -> Iterator[None]:
    """Until then nothing new is taken."""
    store.config_set("maxmemory", 1)
    try:
        yield
    finally:
        store.config_set("maxmemory", 0)


def test_tokens_are_given(page: WebPage, store: redis.Redis) -> None:
    guest = WebPage(page.app)
    assert (page.log_in().status_code, guest.lease().status_code) == (201, 201)
    assert page.token().status_code == 200  # and there is a key to sign with
    with full(store):
        assert (page.token().status_code, guest.token().status_code) == (200, 200)
        assert page.ask("GET", "/api/calls").status_code == 200
        assert WebPage(page.app).log_in().status_code == 503, "a session is something new"
        assert [page.token().status_code for _ in range(60)].count(429) == 2, "and they are counted"


def test_a_user_ends_a_call(page: WebPage, store: redis.Redis) -> None:
    page.log_in()
    with full(store):
        assert page.ask("DELETE", "/api/calls?call_id=x").status_code == 204
    assert {one["type"] for one in commands(store)} == {"end_call"}


def test_an_operator_ends_something(page_of_operator: WebPage, store: redis.Redis) -> None:
    with full(store):
        ended = page_of_operator.ask("POST", "/api/operator/calls/end", json={"call_id": "x"})
        assert ended.status_code == 202
        for path, status in (("registrations/abc", 404), ("bans/192.0.2.7", 204), ("users/nobody", 204)):
            assert page_of_operator.ask("DELETE", f"/api/operator/{path}").status_code == status
    assert [one["type"] for one in commands(store)] == ["end_call"]


def test_one_of_before_flags_refuses_as_it_did(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_ALSO_WHEN_FULL", "# no Lua")
    tokens = AttemptStore(store, "token", limit=1, window_s=60, also_when_full=True)
    with full(store), pytest.raises(redis.OutOfMemoryError):
        tokens.add("alice")
