"""Ways in which a running Redis refuses what is written to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from tests.lab.waiting import wait_until


@contextmanager
def full(store: Any) -> Iterator[None]:
    """Until then nothing new is taken."""
    store.config_set("maxmemory", 1)
    try:
        yield
    finally:
        store.config_set("maxmemory", 0)


@contextmanager
def replica(store: Any) -> Iterator[None]:
    """Until then it is a replica of nobody's."""
    store.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        yield
    finally:
        store.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def cannot_save(store: Any) -> Iterator[None]:
    """Until then a folder is where its file should be (which stops root, too)."""
    file = Path(store.config_get("dir")["dir"]) / store.config_get("dbfilename")["dbfilename"]
    file.mkdir()
    store.config_set("save", "3600 1")
    try:
        store.bgsave()
        # The status is that of the save before as long as one goes on, which would make its file after this.
        wait_until(lambda: not store.info("persistence")["rdb_bgsave_in_progress"], "the save is over", 10)
        assert store.info("persistence")["rdb_last_bgsave_status"] == "err"
        yield
    finally:
        store.config_set("save", "")
        file.rmdir()


WAYS: Final[dict[str, Callable[[Any], AbstractContextManager[None]]]] = {
    "full": full,
    "a replica": replica,
    "cannot save": cannot_save,
}
