"""Which core a process of the HTTP server runs on."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from webapp_api import cores
from webapp_api.cores import ALLOWED, anywhere, core_for, settle

T = TypeVar("T")


def in_a_thread(work: Callable[[], T]) -> T:
    """A thread has cores of its own; that of the tests keeps its."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()


def own() -> set[int]:
    """Cores of this thread."""
    return os.sched_getaffinity(0)


@pytest.mark.parametrize(
    ("taken", "allowed", "core"),
    [
        pytest.param([], {0, 1, 2, 3}, 3, id="the last one first"),
        pytest.param([3], {0, 1, 2, 3}, 2, id="one that nobody has"),
        pytest.param([3, 1], {0, 1, 2, 3}, 2, id="the place of one that died"),
        pytest.param([1, 0], {0, 1}, 1, id="all are taken"),
        pytest.param([1, 0, 1], {0, 1}, 0, id="the one with fewest"),
        pytest.param([7], {4}, 4, id="there is but one"),
    ],
)
def test_a_new_process_gets_the_core_with_fewest(taken: list[int], allowed: set[int], core: int) -> None:
    assert core_for(taken, allowed) == core


def test_who_has_settled_stays_with_all_threads_and_may_compute_anywhere() -> None:
    core = core_for([])

    def seen() -> list[set[int]]:
        assert settle(core)
        before = [own(), in_a_thread(own)]
        with anywhere():
            meanwhile = own()
        return [*before, meanwhile, own()]

    assert in_a_thread(seen) == [{core}, {core}, set(ALLOWED), {core}]
    assert own() == ALLOWED


def test_a_hash_that_fails_leaves_the_thread_where_it_was() -> None:
    core = core_for([])

    def seen() -> set[int]:
        settle(core)
        with pytest.raises(KeyError), anywhere():
            raise KeyError
        return own()

    assert in_a_thread(seen) == {core}


def test_a_system_that_forbids_it_is_said_once_and_nothing_else_changes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(_pid: int, _cores: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", refused)
    monkeypatch.setattr(cores, "ALLOWED", frozenset({12345}))  # as if this thread had settled
    assert not settle(0)
    with anywhere():
        assert own() == ALLOWED
    assert [record.getMessage() for record in caplog.records] == ["event=core_refused core=0 errno=1"]
