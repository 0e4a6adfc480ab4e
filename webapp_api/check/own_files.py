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


def _settings_of(name: str, text: str) -> tuple[Any, list[str]]:
    """Let the program read its file; returns its settings, None for what it refuses, and its complaints."""
    read = READERS[name]
    try:
        return read(text), []
    except web.SettingsError as error:
        return None, list(error.faults)
    except (gateway.SettingsError, agent.SettingsError) as error:
        return None, [str(error)]


PROGRAMS: Final[Mapping[str, type[Any]]] = {
    "gateway.toml": gateway.Settings,
    "webapp_api.toml": web.Settings,
    "media_agent.toml": agent.Settings,
}
READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "gateway.toml": gateway.settings_from_text,
    "webapp_api.toml": web.settings_from_text,
    "media_agent.toml": agent.settings_from_text,
}


def read_own_file(name: str, text: str) -> OwnFile:
    """Read a file and find what is wrong with it by itself."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        line = int(place[1]) if place else len(text.splitlines())
        reason = f"not TOML: {_TOML_PLACE.sub('', str(error)).strip()}"
        return OwnFile(name, {}, Places(""), None, [Finding(name, line, "", reason)])
    settings, complaints = _settings_of(name, text)
    file = OwnFile(name, document, Places(text), settings)
    unknown = list(unknown_keys(document, PROGRAMS[name]))
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
