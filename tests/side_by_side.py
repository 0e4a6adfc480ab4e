"""Which tests of one run share a worker when several run side by side (`pytest --numprocesses`).

A file is never torn apart, for its fixtures are whole labs.  Browsers with real media share one worker, and so do the
relay's tests with media in real time: two of a kind at once would take each other's processor time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "browsers": (
        "tests/browser/",
        "tests/bench/first_audio/",
        "tests/bench/first_frame/",
        "tests/bench/network_change/",
        "tests/bench/test_delay_line.py",
    ),
    "media": (
        "tests/bench/media_load/",
        "tests/contract/rtpengine/test_key_frames.py",
        "tests/contract/rtpengine/test_media.py",
        "tests/contract/rtpengine/test_moving.py",
        "tests/contract/rtpengine/test_running.py",
        "tests/contract/rtpengine/test_running_video.py",
    ),
}
"""What shares a worker, by name: the beginnings of its tests' ids."""

UNHURRIED: Final = (
    "tests/browser/test_console.py",
    "tests/browser/test_console_routes.py",
    "tests/browser/test_oidc_login.py",
    "tests/browser/test_web_login.py",
    "tests/browser/sdk/test_package.py",
    "tests/browser/sdk/test_readme.py",
    "tests/browser/sdk/test_typescript.py",
)
"""Files of a group that have little or no media, or none in real time: they go where there is room, for the browsers'
worker is the one that all wait for."""

ORDER: Final = (
    "tests/browser/",
    "tests/bench/mixed/",
    "tests/sipp/",
    "tests/faults/",
    "tests/integration/",
    "tests/contract/",
    "tests/bench/",
)
"""After the groups, the longest first; what is short fills the gaps at the end."""


def scope_of(nodeid: str) -> str:
    """Return what a test shares its worker with: the name of a group, else its file."""
    if nodeid.startswith(UNHURRIED):
        return nodeid.partition("::")[0]
    named = (name for name, beginnings in GROUPS.items() if nodeid.startswith(beginnings))
    return next(named, nodeid.partition("::")[0])


def rank(nodeid: str) -> int:
    """Return a test's place in the order in which work is handed out; the lowest first."""
    places = (*GROUPS, *ORDER)
    scope = scope_of(nodeid)
    return next((at for at, place in enumerate(places) if scope.startswith(place)), len(places))


class SideBySide(LoadScopeScheduling):
    """Hands out whole scopes, in the order of collection."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        config.option.loadscopereorder = (
            False  # xdist's own order begins with the most tests, which are the shortest
        )
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)
