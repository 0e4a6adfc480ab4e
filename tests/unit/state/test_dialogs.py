"""Dialogs outside calls: how long, how many of whom, and what the end of a registration leaves of them."""

from __future__ import annotations

from collections import defaultdict

import pytest

from kemi.core.errors import SipReject
from kemi.core.page_dialogs import LINGER_S, PageDialog
from kemi.state.dialogs import DialogStore
from tests.fakes.table import MemoryTable

NOW = 1000.0
ALICE, BOB = "sip:alice@ims.example", "sip:bob@ims.example"
MOST = 3


class Store(DialogStore):
    """A store whose tables are seen."""

    def __init__(self) -> None:
        self.tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
        super().__init__(lambda name: self.tables[name])

    def begins(self, key: str, **fields: object) -> bool:
        return self.begin(key, dialog(**fields), MOST, NOW)

    @property
    def lasting(self) -> dict[str, int]:
        """Key -> for how long Kamailio is told to keep it."""
        table = self.tables["dialog"]
        return {key: table.seconds[key] for key in table.entries}

    def indexed(self) -> dict[str, str]:
        return self.tables["dialog_of"].entries


def dialog(**fields: object) -> PageDialog:
    given = {
        "owner": ALICE, "page_contact": "sip:a@x", "connection_id": "7", "contact_user": "user", "by_page": True,
        "expires_at": NOW + 600, **fields,
    }  # fmt: skip
    return PageDialog(**given)  # type: ignore[arg-type]


@pytest.fixture
def store() -> Store:
    return Store()


class TestNames:
    """A dialog gets its last name when its page has answered."""

    def test_another_one(self, store: Store) -> None:
        store.begins("fork", by_page=False)
        store.rename("fork", "core", NOW)
        assert store.lasting == {"core": 600}
        found = store.find(("fork", "core"))
        assert found is not None
        assert found[0] == "core"
        assert all("fork" not in names for names in store.indexed().values())
        store.end_of_page(ALICE, {"7"}, "", NOW)
        assert store.lasting == {"core": LINGER_S}

    def test_of_one_that_is_gone(self, store: Store) -> None:
        store.rename("fork", "core", NOW)
        assert store.lasting == {}
        assert store.indexed() == {}


class TestOwners:
    """Who was sent a SUBSCRIBE or REFER knows its Call-ID and tag."""

    def test_nobody_takes_the_name_of_anothers(self, store: Store) -> None:
        store.begins("a")
        with pytest.raises(SipReject) as caught:
            store.begins("a", owner=BOB, connection_id="66")
        assert caught.value.status == 482
        found = store.find(("a",))
        assert found is not None
        assert found[1] == dialog()
        assert list(store.indexed()) == [f"by {ALICE}"]

    def test_what_is_nobodys_any_more_is_in_nobodys_way(self, store: Store) -> None:
        store.begins("a")
        store.end_of_page(ALICE, {"7"}, "", NOW)
        assert store.begins("a", owner=BOB)
        assert store.lasting == {"a": 600}


class TestTime:
    """Kamailio forgets each of them by itself, so that nobody looks through all."""

    def test_is_the_dialogs_own(self, store: Store) -> None:
        store.begins("a", expires_at=NOW + 40.2)
        assert store.lasting == {"a": 41}

    def test_follows_what_it_learns(self, store: Store) -> None:
        store.begins("a")

        def shorter(found: PageDialog) -> None:
            found.expires_at = NOW - 5

        assert store.change("a", shorter, NOW) is not None
        assert store.lasting == {"a": 1}  # Kamailio takes 0 for the table's own time

    def test_what_is_refused_goes_at_once(self, store: Store) -> None:
        store.begins("a")
        store.change("a", lambda _: False, NOW)
        assert store.find(("x", "a")) is None
        assert store.indexed() == {}
        assert store.change("a", lambda _: None, NOW) is None


class TestHowMany:
    def test_one_owner_has_so_many(self, store: Store) -> None:
        assert [store.begins(key) for key in "abcd"] == [True, True, True, False]
        assert store.find(("d", "d")) is None
        assert store.begins("d", owner=BOB)

    def test_who_asks_once_more_has_one(self, store: Store) -> None:
        assert all(store.begins(key) for key in "aaabbbccc")

    def test_others_who_watch_take_nobodys_place(self, store: Store) -> None:
        assert [store.begins(key, by_page=False) for key in "abcd"] == [True, True, True, False]
        assert store.begins("e")

    def test_those_whose_time_is_over_count_no_more(self, store: Store) -> None:
        for key in "abc":
            store.begins(key)
        for key in "ab":
            del store.tables["dialog"].entries[key]
        assert [store.begins(key) for key in "def"] == [True, True, False]


class TestEndOfTheRegistration:
    def test_its_dialogs_go(self, store: Store) -> None:
        store.begins("on the connection", page_contact="sip:other@x")
        store.begins("with the contact", connection_id="8")
        store.begins("watched", by_page=False)
        store.end_of_page(ALICE, {"7"}, "sip:a@x", NOW)
        assert store.lasting == dict.fromkeys(store.lasting, int(LINGER_S))
        assert len(store.lasting) == 3
        assert store.indexed() == {}
        found = store.find(("watched", ""))
        assert found is not None
        assert found[1].owner == ""

    def test_what_its_page_named_inside_does_not_count(self, store: Store) -> None:
        gruu = "sip:alice@ims.example;gr=urn:uuid:1"
        store.begins(
            "its own", connection_id="8", page_contact=gruu, registered_contact="sip:a@x;transport=ws"
        )
        store.begins("another's", connection_id="9", page_contact=gruu, registered_contact="sip:b@x")
        store.end_of_page(ALICE, {"7"}, "sip:a@x", NOW)
        assert store.lasting == {"its own": LINGER_S, "another's": 600}

    def test_others_stay(self, store: Store) -> None:
        store.begins("another page", connection_id="8", page_contact="sip:b@x")
        store.begins("another owner", owner=BOB)
        store.end_of_page(ALICE, {"7"}, "sip:a@x", NOW)
        assert store.lasting == {"another page": 600, "another owner": 600}

    def test_the_index_forgets_what_is_gone(self, store: Store) -> None:
        store.begins("a")
        store.tables["dialog"].entries.clear()
        store.end_of_page(ALICE, set(), "", NOW)
        assert store.indexed() == {}
