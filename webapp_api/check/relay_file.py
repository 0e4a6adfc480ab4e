"""rtpengine.conf: what rtpengine takes without a word and our gateway cannot work with."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from webapp_api.check.finding import Finding, Level
from webapp_api.check.variables import advice, variables_of

NAME: Final = "rtpengine.conf"
_LINE: Final = re.compile(r"\s*([\w-]+)\s*=\s*(.*?)\s*")
_WANTED: Final = {"delete-delay": "0", "mos": "LQ"}
_NUMBERS: Final = ("table", "port-min", "port-max", "num-threads", "max-sessions", "timeout", "silent-timeout",
                   "offer-timeout", "final-timeout", "delete-delay", "log-level")  # fmt: skip


@dataclass(frozen=True)
class RelayFile:
    """The options of the section, and their lines."""

    options: Mapping[str, str]
    lines: Mapping[str, int]

    def address(self, option: str) -> tuple[str, int] | None:
        """Return host and port of an option; None where it has none that can be read."""
        return address_of(self.options.get(option, ""))

    def finding(self, option: str, reason: str, level: Level = Level.ERROR) -> Finding:
        """Say something of an option."""
        return Finding(NAME, self.lines.get(option, 0), option, reason, advice(NAME, (option,)), level)


def address_of(text: str) -> tuple[str, int] | None:
    """Read ``192.0.2.1:2223`` or ``[2001:db8::1]:2223``."""
    host, _, port = text.rpartition(":")
    try:
        return str(ipaddress.ip_address(host.strip("[]"))), int(port)
    except ValueError:
        return None


def read_relay_file(text: str) -> tuple[RelayFile, list[Finding]]:
    """Read the file and find what is wrong with it."""
    options: dict[str, str] = {}
    lines: dict[str, int] = {}
    findings: list[Finding] = []
    sections = 0
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.partition("#")[0].strip()
        if bare.startswith("["):
            sections += bare == "[rtpengine]"
        elif bare:
            match = _LINE.fullmatch(bare)
            if match is None:
                findings.append(Finding(NAME, number, "", "neither a section nor OPTION = VALUE"))
            elif match[1] in options:
                findings.append(Finding(NAME, number, match[1], "is there twice"))
            else:
                options[match[1]], lines[match[1]] = match[2], number
    file = RelayFile(options, lines)
    if not sections:
        findings.append(Finding(NAME, 1, "", "has no section [rtpengine]: nothing of it counts"))
    findings.extend(_problems(file))
    return file, findings


def _problems(file: RelayFile) -> Iterator[Finding]:
    known = [path[0] for path in variables_of(NAME) if isinstance(path[0], str)]
    for option in file.options:
        near = difflib.get_close_matches(option, [*known, *_WANTED], 1, 0.8)
        if option not in known and option not in _WANTED and near:
            yield Finding(NAME, file.lines[option], option, "unknown option", f"perhaps {near[0]}")
    for option in _NUMBERS:
        if option in file.options and not re.fullmatch(r"-?\d+", file.options[option]):
            yield file.finding(option, f"{file.options[option]!r} is no number")
    yield from _problems_of_ports(file)
    yield from _problems_of_interfaces(file)
    if file.address("listen-ng") is None:
        yield file.finding("listen-ng", "is no address and port: the gateway cannot ask for media")
    if "dtmf-log-dest" in file.options and file.address("dtmf-log-dest") is None:
        yield file.finding("dtmf-log-dest", "is no address and port")
    for option, value in _WANTED.items():
        if file.options.get(option) != value:
            yield Finding(
                NAME, file.lines.get(option, 0), option, f"must be {value}", f"write: {option} = {value}"
            )


def _problems_of_ports(file: RelayFile) -> Iterator[Finding]:
    try:
        first, last = int(file.options["port-min"]), int(file.options["port-max"])
    except KeyError as error:
        yield file.finding(str(error.args[0]), "missing: rtpengine would take ports of others")
        return
    except ValueError:
        return  # said above
    if not 1024 <= first < last <= 65_535:
        yield file.finding("port-min", f"{first} to {last} are no range of ports from 1024 on")
    elif last - first < 100:
        yield file.finding(
            "port-max", f"{last - first + 1} ports are enough for a few calls only", Level.WARNING
        )


def _problems_of_interfaces(file: RelayFile) -> Iterator[Finding]:
    names = {}
    for part in file.options.get("interface", "").split(";"):
        name, _, address = part.strip().partition("/")
        names[name] = address
    for name in ("wic", "ims"):
        if name not in names:
            yield file.finding("interface", f"has no {name}/ADDRESS, which the gateway asks for by this name")
            continue
        for address in names[name].split("!"):
            try:
                if ipaddress.ip_address(address).is_unspecified:
                    yield file.finding(
                        "interface", f"{address} is every address: a page needs one to send to"
                    )
            except ValueError:
                yield file.finding("interface", f"{name}: {address!r} is no IP address")
        local, _, told = names[name].partition("!")
        if told and (":" in local) != (":" in told):
            yield file.finding(
                "interface", f"{name}: {told} is told instead of {local}, of another IP version: no sound"
            )
