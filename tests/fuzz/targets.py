"""All targets by name."""

from __future__ import annotations

from tests.fakes.installed_ksr import installed_ksr

installed_ksr()  # the adapters' readers are imported below

from tests.fuzz import data_targets, header_targets, message_targets  # noqa: E402
from tests.fuzz.target import Target  # noqa: E402

TARGETS = {
    one.name: one for one in (*header_targets.TARGETS, *message_targets.TARGETS, *data_targets.TARGETS)
}


def target(name: str) -> Target:
    """Return a target; raise KeyError for a name that is none."""
    return TARGETS[name]
