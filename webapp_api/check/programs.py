"""What HAProxy and Kamailio say of their own files, and redis.conf, which has no such command."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from webapp_api.check.finding import Finding, Level
from webapp_api.check.variables import advice

_TIMEOUT_S: Final = 20
_HAPROXY: Final = re.compile(r"\[(ALERT|WARNING)\].*?\[(?P<file>[^\]:]+):(?P<line>\d+)\] *:? *(?P<reason>.*)")
_HAPROXY_OTHER: Final = re.compile(r"\[ALERT\][^:]*: (?P<reason>(?!.*Fatal errors).*)")
_KAMAILIO: Final = re.compile(
    r"(?:parse error|error|warning) in config file (?P<file>\S+?), (?:from )?line (?P<line>\d+).*?: (?P<reason>.*)"
)
_KAMAILIO_OTHER: Final = re.compile(r"(?:CRITICAL|ERROR): (?P<reason>.*)")


def haproxy_findings(path: Path) -> Iterator[Finding]:
    """Let HAProxy check its file; nothing where it is not installed."""
    try:
        said = _said("haproxy", "-c", "-f", str(path))
    except subprocess.TimeoutExpired:
        yield _too_slow(path, "HAProxy")
        return
    places = [match for line in said.splitlines() if (match := _HAPROXY.search(line))]
    for match in places:
        level = Level.ERROR if match[1] == "ALERT" else Level.WARNING
        yield Finding(path.name, int(match["line"]), "", match["reason"].strip(), level=level)
    if not any(match[1] == "ALERT" for match in places):
        for line in said.splitlines():
            if other := _HAPROXY_OTHER.search(line):
                yield Finding(path.name, 0, "", other["reason"].strip())


def kamailio_findings(path: Path) -> Iterator[Finding]:
    """Let Kamailio check its files; nothing where it is not installed."""
    try:
        said = _said("kamailio", "-c", "-f", str(path))
    except subprocess.TimeoutExpired:
        yield _too_slow(path, "Kamailio")
        return
    if not said or "config file ok" in said:
        return
    places = [match for line in said.splitlines() if (match := _KAMAILIO.search(line))]
    seen = set()
    for match in places:
        name = Path(match["file"]).name
        if (name, match["line"]) not in seen:
            seen.add((name, match["line"]))
            yield Finding(name, int(match["line"]), "", match["reason"].strip())
    if not places:
        told = [other["reason"] for line in said.splitlines() if (other := _KAMAILIO_OTHER.search(line))]
        yield Finding(path.name, 0, "", (told or ["Kamailio refuses it"])[0].strip())


def _said(*command: str) -> str:
    program = shutil.which(command[0]) or shutil.which(command[0], path="/usr/sbin:/sbin")
    if program is None:
        return ""
    done = subprocess.run(  # noqa: S603 - a program of the system, and a path of the operator's
        [program, *command[1:]],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_TIMEOUT_S,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _too_slow(path: Path, program: str) -> Finding:
    reason = f"{program} has not checked it within {_TIMEOUT_S} s: does it wait for names of hosts?"
    return Finding(path.name, 0, "", reason)


def redis_findings(text: str) -> Iterator[Finding]:
    """Find what would lose state, or show it to others."""
    name = "redis.conf"
    options: dict[str, tuple[str, int]] = {}
    for number, written in enumerate(text.splitlines(), 1):
        key, _, value = written.strip().partition(" ")
        if key and not key.startswith("#"):
            options[key.lower()] = (value.strip(), number)
    policy, line = options.get("maxmemory-policy", ("noeviction", 0))
    if policy != "noeviction":
        reason = f"{policy} drops calls and registrations when memory is short"
        yield Finding(name, line, "maxmemory-policy", reason, "write: maxmemory-policy noeviction")
    bind, line = options.get("bind", ("", 0))
    far = [address for address in bind.split() if address.strip("-") not in ("127.0.0.1", "::1")]
    if (far or not bind) and "requirepass" not in options:
        reason = f"{' '.join(far) or 'every address'} without a password: anybody there reads and ends calls"
        yield Finding(
            name, line, "bind", reason, advice(name, ("requirepass",)) or "set a password (requirepass)"
        )
    if options.get("protected-mode", ("yes", 0))[0] != "yes":
        yield Finding(name, options["protected-mode"][1], "protected-mode", "must be yes")
    port, line = options.get("port", ("6379", 0))
    if not port.isdecimal() or not 0 < int(port) <= 65_535:
        yield Finding(name, line, "port", f"{port!r} is no port", "in the inventory: redis_port")
