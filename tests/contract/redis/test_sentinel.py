"""Redis behind Sentinels: a master that dies is replaced, and clients follow by themselves."""

from __future__ import annotations

import re
import runpy
import string
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Template

from kemi.state.connection import SentinelAddress, sentinel_address_from_url
from kemi.state.redis_errors import RedisUnavailable
from kemi.state.redis_link import RedisLink
from kemi.state.web.client import StateUnavailable, connect
from tests.lab.ports import LOOPBACK
from tests.lab.roles import REPOSITORY, ROLES, render_role
from tests.peers.redis_site import NAME, START, RedisSite, silent_sentinels

WITHIN_S = 15.0


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
    of_all = yaml.safe_load((REPOSITORY / "ansible/inventories/example/group_vars/all/main.yml").read_text())
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


def test_a_demoted_master_is_noticed(tmp_path: Path) -> None:
    """Nothing is asked while it changes: no error says so."""
    with RedisSite(tmp_path) as site:
        link = RedisLink(site.url, "gw1")
        link.ship({}, {}, [], records={"call": "{}"})
        site.fail_over()
        while True:
            try:
                link.ship({}, {}, ["{}"])
                break
            except RedisUnavailable:  # a Sentinel still names the old one
                time.sleep(0.1)
        assert link.take_change().connected


def test_sentinels_that_do_not_answer_take_a_gateway_half_a_second_and_the_next_question_nothing() -> None:
    with ExitStack() as stack:
        link = RedisLink(silent_sentinels(stack), "gw1")
        for most_s in (0.5, 0.05):
            began = time.monotonic()
            with pytest.raises(RedisUnavailable):
                link.stored()
            assert time.monotonic() - began < most_s


def test_sentinels_that_do_not_answer_are_passed_over(tmp_path: Path) -> None:
    with RedisSite(tmp_path) as site, ExitStack() as stack:
        url = silent_sentinels(stack, site.sentinels[0])
        web, link = connect(url), RedisLink(url, "gw1")
        for work, most_s in ((link.stored, 0.5), (web.ping, 1.5), (web.ping, 0.1)):
            began = time.monotonic()
            assert work()
            assert time.monotonic() - began < most_s
            web.connection_pool.disconnect()


@pytest.mark.parametrize(
    ("way", "within_s"),
    # Of two Sentinels that are left each may vote for itself at first.
    [("killed", WITHIN_S), ("its machine is lost", WITHIN_S + 2)],
)
def test_a_dead_master_is_replaced(tmp_path: Path, way: str, within_s: float) -> None:
    with RedisSite(tmp_path, password="of-all") as site:
        web = connect(site.url)
        link = RedisLink(site.url, "gw1")
        web.set("kept", "1")
        link.stored()
        web.execute_command("WAIT", 1, 1000)  # type: ignore[no-untyped-call]
        killed = site.kill_master() if way == "killed" else site.lose_master()
        waits = []
        while True:
            began = time.monotonic()
            try:
                link.stored()
                assert web.set("after", "2")
                break
            except (RedisUnavailable, StateUnavailable):
                waits.append(time.monotonic() - began)
                assert time.monotonic() - killed < within_s, "no new master"
                time.sleep(0.1)
        assert web.get("kept") == "1"
        assert waits, "the master was not missed"
        assert max(waits) < 5


def _writes_within(site: RedisSite, since: float) -> None:
    """See to it that the master, whoever it is, takes a write soon enough."""
    web = connect(site.url)
    while True:
        try:
            assert web.set("after", "2")
        except StateUnavailable:
            assert time.monotonic() - since < WITHIN_S, "no master"
            time.sleep(0.1)
        else:
            return


def _after_a_fail_over(site: RedisSite) -> Any:
    """Let the second server take over, with a key; return a client of the master."""
    _writes_within(site, site.kill_master())
    web = connect(site.url)
    web.set("newer", "1")
    return web


def test_an_acting_master_is_master_again_after_its_restart(tmp_path: Path) -> None:
    with RedisSite(tmp_path, password="of-all", append_only=True) as site:
        web = _after_a_fail_over(site)
        began = time.monotonic()
        site.restart_replica(redis_replica_of=f"{LOOPBACK} {site.master}")
        _writes_within(site, began)
        assert web.get("newer") == "1"


def test_a_new_first_server_does_not_empty_those_that_are_set_up_to_follow_it(tmp_path: Path) -> None:
    with RedisSite(tmp_path, append_only=True) as site:
        web = _after_a_fail_over(site)
        site.restart_replica(redis_replica_of=f"{LOOPBACK} {site.new_server()}")
        _writes_within(site, time.monotonic())
        assert web.get("newer") == "1"


def test_a_first_server_that_was_away_follows_the_one_that_took_over(tmp_path: Path) -> None:
    start = runpy.run_path(str(START))["role"]
    with RedisSite(tmp_path, password="of-all") as site:
        config, kept = site.files_of_first()
        assert start(config, kept, NAME) == ["--replicaof", "no", "one"]
        assert start(config, "", NAME) == []
        _after_a_fail_over(site)
        # Its own Sentinel was away, too; the others tell.
        assert start(config, kept, NAME) == ["--replicaof", LOOPBACK, str(site.replica)]


@pytest.mark.parametrize(
    ("bound", "port", "own"),
    [
        ("192.0.2.1 127.0.0.1", 6379, True),
        ("-::1 -127.0.0.1", 6379, True),
        ("127.0.0.1", 6380, False),
        ("192.0.2.1", 6379, False),
        ("*", 6379, True),
    ],
)
def test_a_server_knows_itself(bound: str, port: int, own: bool) -> None:
    kept = f"sentinel monitor {NAME} 127.0.0.1 6379 2\nsentinel config-epoch {NAME} 7\n"
    config = f"bind {bound}\nport {port}\nrequirepass x\n"
    role = runpy.run_path(str(START))["role"](config, kept, NAME)
    assert role == ["--replicaof", *(("no", "one") if own else ("127.0.0.1", "6379"))]
