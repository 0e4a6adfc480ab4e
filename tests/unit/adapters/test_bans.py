"""Bans of a gateway and those of the site: shipped, learned, lifted by others, and lost with a Redis."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from kemi.adapters.doors.bans import BANS, SYNC_S, BanKeeper
from kemi.core.bans import Ban, BanSettings, Offence
from kemi.settings import settings_from_text
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.test_shared_state import World
from tests.unit.site import SETTINGS_TEXT

ADDRESS = "192.0.2.7"


class Site:
    """The gateway, its Redis, and the time."""

    def __init__(self) -> None:
        self.world = World()
        self.keeper = BanKeeper(settings_from_text(SETTINGS_TEXT), self.world.flows, lambda *_: None)
        self.now = 1_000.0

    def ban(self, for_s: float = 600.0) -> None:
        """The gateway bans somebody."""
        BANS.store.put(ADDRESS, Ban(self.now + for_s, "login", "a", self.now))

    def tick(self, after_s: float = SYNC_S) -> None:
        """Let the time pass, and housekeeping look."""
        self.now += after_s
        self.keeper.tick(self.now, self.world.shared)

    @property
    def here(self) -> set[str]:
        """Who is banned here."""
        return set(BANS.store.all())

    @property
    def there(self) -> set[str]:
        """Who is banned as Redis has it."""
        return set(self.world.redis.bans)


@pytest.fixture
def site(kamailio: FakeKamailio) -> Site:
    """Somebody is banned, and Redis knows."""
    assert kamailio.calls == []
    found = Site()
    found.ban()
    found.tick()
    assert found.there == {ADDRESS}
    return found


def test_who_is_lifted_elsewhere_is_lifted_here(site: Site) -> None:
    site.world.redis.bans.clear()
    site.tick()
    assert site.here == set()


def test_a_redis_that_comes_back_empty_lifts_nobody(site: Site) -> None:
    site.world.redis.down = True
    site.tick()
    site.world.redis.down = False
    site.world.redis.bans.clear()
    site.tick()
    site.tick(0.1)
    assert site.here == site.there == {ADDRESS}
    site.world.redis.bans.clear()
    site.tick()
    assert site.here == set()


def test_a_full_redis_still_says_who_is_lifted_and_is_not_asked_all_the_time(site: Site) -> None:
    site.world.redis.full = True
    BANS.store.put("192.0.2.99", Ban(site.now + 600, "login", "a", site.now))
    site.world.redis.bans.clear()
    site.tick()
    asked = len(site.world.redis.calls)
    for _ in range(10):
        site.tick(0.1)
    assert len(site.world.redis.calls) == asked
    assert (site.here, site.there) == ({"192.0.2.99"}, set())
    site.world.redis.full = False
    site.tick()
    assert site.here == site.there == {"192.0.2.99"}


def test_it_does_not_matter_who_notices_that_redis_is_back(site: Site) -> None:
    site.world.redis.down = True
    site.world.shared.poll(site.now)
    site.world.redis.down = False
    site.world.redis.bans.clear()
    site.world.shared.poll(site.now + 1.5)
    site.tick()
    site.tick(0.1)
    assert site.here == site.there == {ADDRESS}


def test_a_clock_that_is_set_back_stops_nothing(site: Site) -> None:
    site.world.redis.down = True
    site.tick()
    site.world.redis.down = False
    site.tick(-3_600.0)
    site.tick(-3_600.0)
    site.world.redis.bans.clear()
    site.tick()
    assert site.here == set()


def test_neither_a_new_ban_nor_a_tick_without_news_walks_through_all(
    site: Site, kamailio: FakeKamailio, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.tick(0.1)
    walk = Mock(wraps=BANS.store.all)
    monkeypatch.setattr(BANS.store, "all", walk)
    monkeypatch.setattr(BANS, "_settings", BanSettings(points=1))
    for _ in range(10):
        BANS.offended("192.0.2.8", Offence.LOGIN, "")
    assert BANS.ban_of("192.0.2.8") is not None
    walk.assert_not_called()
    for _ in range(10):
        site.tick(0.1)
    assert walk.call_count <= 2
    assert site.there == {ADDRESS, "192.0.2.8"}


def test_there_are_only_so_many(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kemi.adapters.doors.bans.MOST_BANS", 2)
    monkeypatch.setattr(BANS, "_settings", BanSettings(points=1))
    for number in (8, 9):
        for _ in range(10):
            BANS.offended(f"192.0.2.{number}", Offence.LOGIN, "")
        site.tick(0.1)
    assert site.here == {ADDRESS, "192.0.2.8"}


def test_a_ban_that_redis_cannot_take_now_is_shipped_later(site: Site) -> None:
    site.world.redis.down = True
    BANS.store.put("192.0.2.8", Ban(site.now + 600.0, "login", "a", site.now))
    site.tick(0.1)
    site.world.redis.down = False
    site.tick()
    assert site.there == {ADDRESS, "192.0.2.8"}


def test_others_are_heard_however_many_are_banned_here_while_redis_is_full(site: Site) -> None:
    site.world.redis.full = True
    site.world.redis.bans.clear()
    for number in range(50):
        BANS.store.put(f"198.51.100.{number}", Ban(site.now + 600.0, "login", "a", site.now))
        site.tick(0.1)
    assert ADDRESS not in site.here
