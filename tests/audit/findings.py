"""What an audit found, and which of it is accepted: pure."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

ACCEPTED: Final = Path(__file__).with_name("accepted.toml")
LONGEST: Final = timedelta(days=366)
"""Nothing is accepted for longer without being looked at again."""


class AuditUnavailable(Exception):
    """A check that could not be made: its service does not answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that should not be there."""

    what: str
    """Names it in the list of accepted ones."""
    where: str
    """A package with its version, or a file with its line."""
    says: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What somebody has looked at, and why it may stay."""

    what: str
    """May end in ``*``."""
    reason: str
    until: date

    def covers(self, finding: Finding) -> bool:
        """Whether it is about this one."""
        return fnmatch.fnmatchcase(finding.what, self.what)


def accepted_from_text(text: str, today: date) -> list[Accepted]:
    """Read the list; raise ValueError for an entry without reason or end, or with an end too far away."""
    found = []
    for entry in tomllib.loads(text).get("accepted", []):
        if set(entry) != {"what", "reason", "until"} or not str(entry["reason"]).strip():
            raise ValueError(f"accepted.toml: {entry}: needs what, reason and until, and nothing else")
        if type(entry["until"]) is not date or entry["until"] > today + LONGEST:
            raise ValueError(f"accepted.toml: {entry['what']}: until: a day, at most a year from now")
        found.append(Accepted(str(entry["what"]), str(entry["reason"]), entry["until"]))
    return found


def complaints(
    findings: Sequence[Finding], accepted: Iterable[Accepted], today: date, *, complete: bool
) -> list[str]:
    """Return what is to be told of findings, a line each; empty: all is well.

    An entry that covers nothing is out of date; one about an advisory only where the services were all asked:
    ``complete``.
    """
    lines, covered = [], set[Finding]()
    for entry in accepted:
        about = [finding for finding in findings if entry.covers(finding)]
        if about and entry.until < today:
            lines.append(f"{entry.what}: was accepted until {entry.until}: {entry.reason}")
        elif not about and (complete or _is_of_the_tree(entry)):
            lines.append(
                f"{entry.what}: accepted, but nothing like it is found: take it out of accepted.toml"
            )
        covered.update(about)
    lines += [f"{one.what}: {one.where}: {one.says}" for one in findings if one not in covered]
    return lines


def _is_of_the_tree(entry: Accepted) -> bool:
    """Whether it names a file, which is always looked at."""
    return " " in entry.what
