"""A routing table's way from the web API through Redis into the workers."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kemi.adapters.network import routing
from kemi.adapters.network.routing import RouteKeeper, RouteReader
from kemi.core.routing.lookup import Query, find
from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.permissions import Permission
from kemi.core.routing.table import Route, Target
from kemi.core.routing.way import NoRoute
from kemi.state import keys
from kemi.state.redis_link import RedisLink
from kemi.state.routing_document import RoutingDocument, document_from_json
from kemi.state.web.routes import RoutesStore
from tests.fakes.table import MemoryTable


def document(number: str, **more: Any) -> RoutingDocument:
    return RoutingDocument(routes=[Route("only", number, Target.CORE)], **more)


@dataclass
class Node:
    """A gateway node without Kamailio: its housekeeping and one worker."""

    store: RoutesStore
    keeper: RouteKeeper
    reader: RouteReader
    table: MemoryTable
    link: RedisLink

    def take(self, ticks: int = 200) -> None:
        """Let housekeeping do its work."""
        for _ in range(ticks):
            self.keeper.tick(self.link.exchange((), time.time()).routing_version, time.time())

    def finds(self, number: str) -> list[str]:
        """Return which rows a worker finds."""
        current = self.reader.current()
        return (
            []
            if current is None
            else [row.id for row in find(current[0], Query("r.example", "", number, 0.0), 0.0)]
        )


@pytest.fixture
def node(url: str, database: Any, tmp_path: Path) -> Node:
    """One whose site has the trunk called one."""
    return new_node(url, database, tmp_path)


def new_node(url: str, database: Any, folder: Path) -> Node:
    table, link = MemoryTable(), RedisLink(url, "node")
    keeper = RouteKeeper(link, folder, table, trunks={"one": ""})
    return Node(RoutesStore(database), keeper, RouteReader(str(folder), table), table, link)


def test_without_a_table_there_is_none(node: Node) -> None:
    node.take(2)
    assert node.reader.current() is None


def test_what_is_shown_without_a_table_is_none_when_it_is_loaded_again(
    node: Node, url: str, database: Any, tmp_path: Path
) -> None:
    shown = msgspec.json.encode(node.store.get()[1])
    number = ("call", "tel:+441632960123", "r.example", "")
    node.store.put(document("+49*"))
    node.take(3)
    with pytest.raises(NoRoute):
        node.reader.way(*number)
    node.store.put(document_from_json(shown))
    node.take(3)
    again = new_node(url, database, tmp_path)
    assert [one.reader.way(*number) for one in (node, again)] == [None, None]
    node.store.put(RoutingDocument(permissions={"*": Permission(calls=1)}))  # of which calls need to know
    node.take(3)
    with pytest.raises(NoRoute):
        node.reader.way(*number)


def test_a_new_table_replaces_the_old_one_while_it_is_used(node: Node, tmp_path: Path) -> None:
    for number in ("+49*", "+44*", "+1*"):
        node.store.put(document(number, plans={"r.example": DialPlan(country="DE")}))
        node.take(3)
        assert node.finds(number[:-1] + "123") == ["only"]
    assert node.finds("+49123") == []
    found = node.reader.current()
    assert found is not None
    assert found[1].plans["r.example"].country == "DE"
    assert len(list(tmp_path.iterdir())) == 2  # the one before may still be read


def test_a_large_table_is_taken_in_bites(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "BITE_S", 0.002)
    rows = [Route(f"r{number}", f"+{number}*", Target.CORE) for number in range(100, 5000)]
    node.store.put(document("+7*"))
    node.take(3)
    node.store.put(RoutingDocument(routes=rows))
    node.take(2)
    assert node.finds("+71") == ["only"]
    node.take()
    assert node.finds("+4711") == ["r4711"]


def test_a_table_that_this_site_cannot_use_is_refused_and_the_old_one_stays(node: Node) -> None:
    node.store.put(document("+49*", trunk_groups={"carrier": ["one"]}))
    node.take(3)
    version = node.store.put(document("+44*", trunk_groups={"carrier": ["one", "two"]}))
    node.take(3)
    assert node.finds("+49123") == ["only"]
    assert node.table.get("refused") == f"{version} this site has no trunk two"
    node.store.put(document("+1*"))
    node.take(3)
    assert (node.finds("+1234"), node.table.get("refused")) == (["only"], None)


def test_after_a_restart_the_file_counts_before_redis_is_asked(
    node: Node, url: str, database: Any, tmp_path: Path
) -> None:
    node.store.put(document("+49*"))
    node.take(3)
    again = new_node(url, database, tmp_path)
    again.keeper.tick(0, time.time())
    assert again.finds("+49123") == ["only"]
    again.take(2)
    assert again.finds("+49123") == ["only"]


def test_a_file_of_the_release_before_counts_until_it_is_built_again(
    node: Node, url: str, database: Any, tmp_path: Path
) -> None:
    spelled = Route("spelled", "sip:a#b@b.example", Target.CORE)
    version = node.store.put(RoutingDocument(routes=[spelled, Route("only", "+49*", Target.CORE)]))
    node.take(3)
    path = routing.route_path(tmp_path, version)
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE entry SET beginning = 'sip:a#b@b.example' WHERE beginning LIKE 'sip:%'")
        file.execute("INSERT OR IGNORE INTO length VALUES (17)")
        file.execute("PRAGMA user_version = 0")
        file.commit()
    again = new_node(url, database, tmp_path)
    early = replace(again, reader=RouteReader(str(tmp_path), again.table))
    # Both have a call before housekeeping looks, and one of them has no other until it is done.
    for worker in (again, early):
        assert (worker.finds("sip:a#b@b.example"), worker.finds("+49123")) == ([], ["only"])
    again.keeper._link = RedisLink("redis://127.0.0.1:1/0", "node")
    again.keeper.tick(version, time.time() - 60.0)
    assert (again.finds("sip:a#b@b.example"), again.finds("+49123")) == ([], ["only"])
    again.keeper._link = again.link
    again.take(3)
    for worker in (again, early):
        assert (worker.finds("sip:a#b@b.example"), worker.finds("+49123")) == (["spelled"], ["only"])
    built = path.stat().st_ino
    new_node(url, database, tmp_path).take(3)
    assert path.stat().st_ino == built


def test_while_redis_is_away_the_table_stays(node: Node) -> None:
    node.store.put(document("+49*"))
    node.take(3)
    gone = RouteKeeper(RedisLink("redis://127.0.0.1:1/0", "node"), Path(), node.table, trunks={})
    gone.tick(2, time.time())
    assert node.finds("+49123") == ["only"]


def test_a_clock_that_is_set_back_keeps_no_table_waiting(node: Node) -> None:
    version = node.store.put(document("+49*"))
    now, node.keeper._link = time.time(), RedisLink("redis://127.0.0.1:1/0", "node")
    node.keeper.tick(version, now)
    node.keeper._link = node.link
    for _ in range(200):
        node.keeper.tick(version, now - 3_600.0)
    assert node.finds("+49123") == ["only"]


def test_a_redis_that_lost_everything_gives_no_version_again(node: Node, database: Any) -> None:
    first = node.store.put(document("+49*"))
    node.take(3)
    database.flushall()
    assert node.store.put(document("+44*")) > first
    node.take(3)
    assert node.finds("+44123") == ["only"]


def test_a_redis_with_an_older_state_gives_no_version_again(node: Node, database: Any) -> None:
    node.store.put(document("+49*"))
    node.take(3)
    kept = {name: database.get(name) for name in (keys.ROUTING_COUNTER, keys.ROUTING_VERSION)}
    given = node.store.put(document("+44*"))
    node.take(3)
    database.mset(kept)  # as restore.yml does
    assert node.store.put(document("+1*")) > given
    node.take(3)
    assert node.finds("+1234") == ["only"]


def test_versions_rise_though_the_clock_is_set_back(node: Node, database: Any) -> None:
    ahead = 10**13
    database.set(keys.ROUTING_COUNTER, ahead)
    assert [node.store.put(document("+49*")) for _ in range(2)] == [ahead + 1, ahead + 2]
