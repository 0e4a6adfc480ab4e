"""The TOML files of our own programs: gateway.toml, webapp_api.toml, media_agent.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kemi import settings as gateway
from kemi.core.unknown_keys import KeyPath, path_to_text, unknown_keys
from rtpengine.agent import settings as agent
from webapp_api import settings as web
from webapp_api.check.blame import blamed
from webapp_api.check.finding import Finding
from webapp_api.check.places import Places
from webapp_api.check.variables import advice

_TOML_PLACE: Final = re.compile(r"\(at line (\d+), column \d+\)")


@dataclass(frozen=True)
class OwnFile:
    """One file, read."""

    name: str
    document: Mapping[str, Any]
    places: Places
    settings: Any
    """None: they cannot be used."""
    findings: list[Finding] = field(default_factory=list)

    def finding(self, path: KeyPath, reason: str, suggestion: str = "") -> Finding:
        """Say something of a key."""
        hint = suggestion or advice(self.name, path)
        return Finding(self.name, self.places.line(path), path_to_text(path), reason, hint)


def _complaints_of_gateway(text: str) -> tuple[Any, list[str]]:
    try:
        return gateway.settings_from_text(text), []
    except gateway.SettingsError as error:
        return None, [str(error)]


def _complaints_of_agent(text: str) -> tuple[Any, list[str]]:
    try:
        return agent.settings_from_text(text), []
    except agent.SettingsError as error:
        return None, [str(error)]


def _complaints_of_web(text: str) -> tuple[Any, list[str]]:
    try:
        return web.settings_from_text(text), []
    except web.SettingsError as error:
        return None, list(error.faults)


PROGRAMS: Final[Mapping[str, tuple[type[Any], Callable[[str], tuple[Any, list[str]]]]]] = {
    "gateway.toml": (gateway.Settings, _complaints_of_gateway),
    "webapp_api.toml": (web.Settings, _complaints_of_web),
    "media_agent.toml": (agent.Settings, _complaints_of_agent),
}


def read_own_file(name: str, text: str) -> OwnFile:
    """Read a file and find what is wrong with it by itself."""
    kind, complain = PROGRAMS[name]
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        line = int(place[1]) if place else len(text.splitlines())
        reason = f"not TOML: {_TOML_PLACE.sub('', str(error)).strip()}"
        return OwnFile(name, {}, Places(""), None, [Finding(name, line, "", reason)])
    settings, complaints = complain(text)
    file = OwnFile(name, document, Places(text), settings)
    unknown = list(unknown_keys(document, kind))
    for one in unknown:
        hint = f"perhaps {one.meant}" if one.meant else "take it out"
        file.findings.append(file.finding(one.path, "unknown key", hint))
    known_bad = {path_to_text(one.path) for one in unknown}
    file.findings.extend(_told(file, complaints, known_bad))
    return file


def _told(file: OwnFile, complaints: list[str], known_bad: set[str]) -> Iterator[Finding]:
    for complaint in complaints:
        path, reason = blamed(complaint, file.document)
        if path_to_text(path) not in known_bad:
            yield file.finding(path, reason)
