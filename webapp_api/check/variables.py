"""Which variable of an Ansible role a key of a rendered file comes from: that is what an operator changes."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from kemi.core.unknown_keys import KeyPath

_ROLES: Final = Path(__file__).parents[2] / "ansible" / "roles"
TEMPLATES: Final = {
    "gateway.toml": "kamailio/templates/gateway.toml.j2",
    "webapp_api.toml": "webapp_api/templates/webapp_api.toml.j2",
    "media_agent.toml": "media_agent/templates/media_agent.toml.j2",
    "rtpengine.conf": "rtpengine/templates/rtpengine.conf.j2",
    "haproxy.cfg": "haproxy/templates/haproxy.cfg.j2",
    "redis.conf": "redis/templates/redis.conf.j2",
}
_LINE: Final = re.compile(r"([\w-]+) = ")
_VARIABLE: Final = re.compile(
    r"\{\{-? *'?\[?'? *\(?((?:gateway|kamailio|webapp_api|media_agent|rtpengine|redis)_\w+)"
)
_LOOP: Final = re.compile(r"\{%-? *for [\w, ]+ in (\w+)")
_PAIRS: Final = re.compile(r"\(\"(\w+)\", (\w+)\)")
_HEADER: Final = re.compile(r"(\[\[?)([\w.]+)\]\]?$")


@cache
def variables_of(file: str) -> dict[KeyPath, str]:
    """Return the variables by key; places in lists are left out."""
    template = _ROLES / TEMPLATES.get(file, "none")
    if not template.is_file():
        return {}
    found: dict[KeyPath, str] = {}
    table: KeyPath = ()
    loop = ""
    empty = False  # nothing of the table has been seen but its header
    for line in template.read_text(encoding="utf-8").splitlines():
        if header := _HEADER.match(line):
            table, empty = () if file == "rtpengine.conf" else tuple(header[2].split(".")), header[1] == "["
            if loop and not empty:
                found[table] = loop
            continue
        for key, variable in _PAIRS.findall(line):
            found[(*table, key)] = variable
        if opened := _LOOP.search(line):
            loop = opened[1] if opened[1].count("_") else loop
            if empty and table:
                found[table] = loop
        empty = empty and line.startswith("{%")
        key, variables = _LINE.match(line), _VARIABLE.search(line)
        if key and variables:
            found[(*table, key[1])] = variables[1]
        elif key and key[1].isidentifier() and line.rstrip().endswith("["):
            found[(*table, key[1])] = ""
        elif loop and line.startswith((" ", "\t")):
            for path, variable in list(found.items()):
                if not variable:
                    found[path] = loop
    return {path: variable for path, variable in found.items() if variable}


def advice(file: str, path: KeyPath) -> str:
    """Say which variable to change; "": not known."""
    names = tuple(part for part in path if isinstance(part, str))
    known = variables_of(file)
    for end in range(len(names), 0, -1):
        if variable := known.get(names[:end]):
            return f"in the inventory: {variable}"
    return ""
