"""Redis behind Sentinels: a master that dies is replaced, and clients follow by themselves."""

from __future__ import annotations

import re
import string
import time
from pathlib import Path

import pytest
import yaml
from jinja2 import Template

from kemi.state.connection import SentinelAddress, sentinel_address_from_url
from kemi.state.redis_link import RedisLink, RedisUnavailable
from kemi.state.web.client import StateUnavailable, connect
from tests.lab.roles import REPOSITORY, ROLES, render_role
from tests.peers.redis_site import RedisSite

WITHIN_S = 5.0


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("redis://127.0.0.1:6379/0", None),
        ("unix:///run/redis.sock", None),
        (
            "redis+sentinel://a,b:1234,[::1]:5/gw",
            SentinelAddress((("a", 26379), ("b", 1234), ("::1", 5)), "gw"),
        ),
        (
            "rediss+sentinel://me:p%40ss@a:1/gw/3?sentinel_password=x",
            SentinelAddress((("a", 1),), "gw", 3, True, "me", "p@ss", "x"),
        ),
        (
            "redis+sentinel://:a+b%26c@a/gw?sentinel_password=a+b%26c",
            SentinelAddress((("a", 26379),), "gw", password="a+b&c", sentinel_password="a+b&c"),
        ),
    ],
)
def test_urls(url: str, wanted: SentinelAddress | None) -> None:
    assert sentinel_address_from_url(url) == wanted


def test_the_inventory_makes_a_url_that_gives_the_password_back() -> None:
    of_all = yaml.safe_load((REPOSITORY / "ansible/inventories/example/group_vars/all.yml").read_text())
    assertion = yaml.safe_load((ROLES / "redis/tasks/preflight.yml").read_text())[2]
    allowed = re.search(r"redis_password is match\('\^\[(\S+)\]", assertion["ansible.builtin.assert"]["that"])
    assert allowed is not None
    password = "".join(re.findall(f"[{allowed[1]}]", string.printable))
    assert len(password) == 26 + 26 + 10 + 4
    url = Template(of_all["gateway_redis_url"]).render(redis_password=password, redis_sentinels="a:1,b:2")
    address = sentinel_address_from_url(url)
    assert address is not None
    assert (address.password, address.sentinel_password) == (password, password)
    config = render_role("redis", "redis.conf.j2", {"redis_password": password})
    assert f"\nrequirepass {password}\n" in config


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://a", "must be a redis"),
        ("redis://:secret@127.0.0.1:70000/0", "port up to 65535"),
        ("redis://:secret/@127.0.0.1/0", "behind the password"),
        ("redis+sentinel://a", "names no master"),
        ("redis+sentinel:///gw", "host:port"),
        ("redis+sentinel://a:x/gw", "host:port"),
        ("redis+sentinel://a/gw/x", "number"),
        ("redis+sentinel://:secret@a/gw?b=1", "no option b"),
    ],
)
def test_bad_urls_are_named_without_their_secrets(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        sentinel_address_from_url(url)
    assert "secret" not in str(caught.value)


def test_a_dead_master_is_replaced(tmp_path: Path) -> None:
    with RedisSite(tmp_path, password="of-all") as site:
        web = connect(site.url)
        link = RedisLink(site.url, "gw1")
        web.set("kept", "1")
        link.stored()
        web.execute_command("WAIT", 1, 1000)  # type: ignore[no-untyped-call]
        killed = site.kill_master()
        waits = []
        while True:
            began = time.monotonic()
            try:
                link.stored()
                assert web.set("after", "2")
                break
            except (RedisUnavailable, StateUnavailable):
                waits.append(time.monotonic() - began)
                assert time.monotonic() - killed < WITHIN_S, "no new master"
                time.sleep(0.1)
        assert web.get("kept") == "1"
        assert waits, "the master was not missed"
        assert max(waits) < 2.5
