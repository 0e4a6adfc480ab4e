"""A gateway without a core, and copies of its configuration to plant faults in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from webapp_api.gwctl.machine.diagnosis import Diagnosis
from webapp_api.gwctl.machine.host import Host
from webapp_api.gwctl.machine.run import examine

NODE = frozenset({Part.REDIS, Part.RTPENGINE, Part.GATEWAY, Part.WEB_API, Part.HAPROXY, Part.MEDIA_AGENT})
FILES = (
    "gateway.toml",
    "webapp_api.toml",
    "media_agent.toml",
    "rtpengine.conf",
    "haproxy.cfg",
    "redis.conf",
    "site.cfg",
)

Change = tuple[str, str, str]
"""File, what is in it, what takes its place."""
Look = Callable[..., dict[str, Diagnosis]]


@pytest.fixture(scope="module")
def node() -> Iterator[Lab]:
    with Lab(LabOptions(parts=NODE)) as lab:
        yield lab


@pytest.fixture
def look(node: Lab, tmp_path: Path) -> Look:
    """Let the doctor look at the machine with these changes in its files: by subject."""

    def changed(checks: tuple[str, ...], *changes: Change) -> dict[str, Diagnosis]:
        for name in FILES:
            shutil.copy(Path(node.info.run_dir) / name, tmp_path / name)
        for name, old, new in changes:
            text = (tmp_path / name).read_text()
            assert old in text, (name, old)
            (tmp_path / name).write_text(text.replace(old, new))
        return {one.subject: one for one in examine(Host.read(tmp_path), checks)}

    return changed


def wrong(found: dict[str, Diagnosis]) -> dict[str, str]:
    """Return the reasons of all errors."""
    return {subject: one.reason for subject, one in found.items() if one.level == "error"}
