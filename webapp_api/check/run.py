"""All files of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from webapp_api.check.across import Node, findings_across, remarks
from webapp_api.check.finding import Finding, Level
from webapp_api.check.own_files import PROGRAMS, OwnFile, read_own_file
from webapp_api.check.programs import haproxy_findings, kamailio_findings, redis_findings
from webapp_api.check.relay_file import NAME as RELAY
from webapp_api.check.relay_file import read_relay_file

FILES: Final = (*PROGRAMS, RELAY, "haproxy.cfg", "redis.conf", "site.cfg")


class NothingToCheck(ValueError):
    """The folder has none of our files."""


def check_folder(folder: Path, *, programs: bool = True) -> tuple[list[str], list[Finding]]:
    """Return which files were there, and what was found; ``programs``: ask HAProxy and Kamailio, too.

    Raise NothingToCheck, or OSError for a file that cannot be read.
    """
    files = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
    if not files:
        raise NothingToCheck(f"{folder} has none of {', '.join(FILES)}")
    texts = {name: content.decode(errors="replace") for name, content in files.items()}
    found = [*_foreign_bytes(files), *_findings(folder, texts, programs)]
    return list(texts), sorted(found, key=lambda one: (one.file, one.line))


def _foreign_bytes(files: dict[str, bytes]) -> Iterator[Finding]:
    for name, content in files.items():
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            # Our programs and rtpengine refuse such a file; to the others it is a byte as any other.
            level = Level.ERROR if name in (*PROGRAMS, RELAY) else Level.WARNING
            yield Finding(name, line, "", f"byte 0x{content[error.start]:02x} is not UTF-8", level=level)


def _findings(folder: Path, texts: dict[str, str], programs: bool) -> Iterator[Finding]:
    own: dict[str, OwnFile] = {}
    for name in PROGRAMS.keys() & texts.keys():
        file = read_own_file(name, texts[name])
        yield from file.findings
        if file.settings is not None:
            own[name] = file
    relay = None
    if RELAY in texts:
        relay, found = read_relay_file(texts[RELAY])
        yield from found
    if "redis.conf" in texts:
        yield from redis_findings(texts["redis.conf"])
    if programs and "haproxy.cfg" in texts:
        yield from haproxy_findings(folder / "haproxy.cfg")
    if programs and "site.cfg" in texts:
        yield from kamailio_findings(folder / "site.cfg")
    node = Node(
        own.get("gateway.toml"),
        own.get("webapp_api.toml"),
        own.get("media_agent.toml"),
        relay,
        texts.get("haproxy.cfg"),
        texts.get("redis.conf"),
    )
    yield from findings_across(node)
    yield from remarks(node)
