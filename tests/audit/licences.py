"""Writes docs/licences.md: under which licences the things stand that we ship, run beside, or test with.

    make docs

A test fails when the page is stale, or when something is shipped whose licence is not in ``SHIPPABLE``.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.audit.advisories import NPM_FOLDERS, ROOT

PAGE: Final = ROOT / "docs" / "licences.md"
SHIPPABLE: Final = frozenset(
    {"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "PSF-2.0", "MPL-2.0", "MIT-0", "0BSD"}
)
"""What may be part of, or be installed with, a work under MIT that Kamailio (GPL-2.0-or-later) loads."""
BUNDLED: Final = ("sip.js",)
"""npm packages whose code is in the SDK's and the softphone's files; all others build or test them."""
_OF_PYJWT: Final = "cryptography"
"""PyJWT loads it to check signatures, without saying that it needs it."""
_SPELLINGS: Final[Mapping[str, str]] = {
    "mit license": "MIT",
    "bsd license": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "apache software license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "python software foundation license": "PSF-2.0",
    "psfl": "PSF-2.0",
    "isc license (iscl)": "ISC",
    "isc license": "ISC",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "mpl 2.0": "MPL-2.0",
    "gnu general public license v3 or later (gplv3+)": "GPL-3.0-or-later",
}
_PROGRAMS: Final = (
    ("Kamailio", "GPL-2.0-or-later", "loads our Python code (`kemi/`) and the packages marked with K below"),
    ("rtpengine", "GPL-3.0-or-later", "a process of its own; loads our `srtp_profiles.so`"),
    ("HAProxy", "GPL-2.0-or-later", "a process of its own"),
    (
        "Redis",
        "BSD-3-Clause (7.0, Debian 12); AGPL-3.0-only among others (8.0, Debian 13)",
        "a process of its own",
    ),
)
_HEAD: Final = """\
# Licences

Written by `make docs` (`tests/audit/licences.py`) out of what the packages say of themselves. This project stands under
the [MIT licence](../LICENSE).

* What is shipped or installed with it stands under licences that may be combined with ours; a test fails for any but
  {shippable}.
* Kamailio (GPL-2.0-or-later) loads our code into its process. MIT code may be used so. Packages under Apache-2.0 in the
  same process (K) go with version 3 of the GPL: who hands out the combination does so under GPL-3.0.
* What only builds or tests the project is no part of it, whatever its licence.
"""


@dataclass(frozen=True, slots=True)
class Package:
    """One package and what it says of its licence, an SPDX expression where we could tell."""

    name: str
    licence: str


def python_packages(requirements: Iterable[str]) -> list[Package]:
    """Return what requirements bring, and what these need in turn."""
    names = dict.fromkeys(_closure(requirements))
    return [Package(name, licence_of(metadata.metadata(name))) for name in sorted(names)]


def _closure(requirements: Iterable[str]) -> Iterator[str]:
    waiting, seen = [Requirement(text) for text in requirements], set[tuple[str, frozenset[str]]]()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if (name, frozenset(one.extras)) in seen:
            continue
        seen.add((name, frozenset(one.extras)))
        yield name
        for text in metadata.requires(name) or ():
            inner = Requirement(text)
            extras = ("", *one.extras)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(inner)


def licence_of(told: Any) -> str:
    """Return the licence of a package's metadata."""
    if expression := told.get("License-Expression"):
        return str(expression)
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in told.get_all("Classifier") or ()
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    field = str(told.get("License") or "").strip()
    if field not in ("", "UNKNOWN") and len(field) < 60 and "\n" not in field:
        return _spelled(field)
    return " AND ".join(sorted({_spelled(one) for one in classifiers})) or "not told"


def _spelled(text: str) -> str:
    return _SPELLINGS.get(text.lower().strip(), text)


def npm_packages(folder: str) -> list[Package]:
    """Return the packages of a lock file."""
    document = json.loads((ROOT / folder / "package-lock.json").read_text(encoding="utf-8"))
    return [
        Package(path.rpartition("node_modules/")[2], str(entry.get("license", "not told")))
        for path, entry in document["packages"].items()
        if path
    ]


def may_be_shipped(licence: str) -> bool:
    """Whether an SPDX expression leaves us a licence we can ship under."""
    choices = re.split(r"\s+OR\s+", licence.strip("()"), flags=re.IGNORECASE)
    return any(
        all(part.strip("() ") in SHIPPABLE for part in re.split(r"\s+AND\s+", choice)) for choice in choices
    )


def _project() -> Mapping[str, Any]:
    project: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    return project


def shipped_python() -> list[Package]:
    """Return what is installed with the product."""
    return python_packages(_project()["dependencies"])


def shipped_npm() -> list[Package]:
    """Return what is part of the SDK's and the pages' files."""
    return [package for package in npm_packages(NPM_FOLDERS[0]) if package.name in BUNDLED]


def in_kamailio() -> set[str]:
    """Return the packages that Kamailio's process loads: what `kemi/` and `rtpengine/` import, and what that needs."""
    imported = {
        found
        for folder in ("kemi", "rtpengine")
        for file in (ROOT / folder).rglob("*.py")
        if "agent" not in file.parts and not file.name.startswith("cli")  # programs of their own
        for found in re.findall(r"^(?:from|import) (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    distributions = metadata.packages_distributions()
    names = {canonicalize_name(name) for module in imported for name in distributions.get(module, ())}
    wanted = {canonicalize_name(Requirement(text).name) for text in _project()["dependencies"]}
    return set(_closure(sorted(names & wanted | {_OF_PYJWT})))


def page() -> str:
    """Return the page."""
    shipped, kamailio = shipped_python(), in_kamailio()
    dev = [one for one in python_packages(_project()["optional-dependencies"]["dev"]) if one not in shipped]
    tools = {one for folder in NPM_FOLDERS for one in npm_packages(folder) if one.name not in BUNDLED}
    parts = [_HEAD.format(shippable=", ".join(sorted(SHIPPABLE)))]
    parts.append(_table("Shipped or installed with it: Python", ("package", "licence", ""), [
        (one.name, one.licence, "K" if one.name in kamailio else "") for one in shipped
    ]))  # fmt: skip
    parts.append(_table("Part of the SDK and the pages: npm", ("package", "licence"), [
        (one.name, one.licence) for one in shipped_npm()
    ]))  # fmt: skip
    parts.append(
        _table("Programs it runs with, of the distribution", ("program", "licence", "how"), _PROGRAMS)
    )
    parts.append(_table("For building and testing only: Python", ("licence", "packages"), _by_licence(dev)))
    parts.append(_table("For building and testing only: npm", ("licence", "packages"), _by_licence(tools)))
    return "\n".join(parts)


def _by_licence(packages: Iterable[Package]) -> list[tuple[str, str]]:
    found: dict[str, list[str]] = {}
    for one in sorted(packages, key=lambda package: package.name):
        found.setdefault(one.licence, []).append(one.name)
    return [(licence, ", ".join(names)) for licence, names in sorted(found.items())]


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"## {title}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def main() -> None:
    """Write the page, or to the file that is named."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
