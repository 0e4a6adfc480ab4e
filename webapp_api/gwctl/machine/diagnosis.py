"""What one check of the doctor found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from webapp_api.gwctl.machine.host import Host


class Level(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as it should, or it cannot be looked at."""
    ERROR = "error"
    """Calls fail, or will."""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    check: str
    """ports, certificates, codecs, clock, redis, core, versions, limits, disk, kernel or logs."""
    subject: str
    """What: ``SIP over UDP 192.0.2.1:5060``."""
    level: Level
    reason: str
    suggestion: str = ""

    def to_text(self) -> str:
        """Write it on a line, the suggestion on one of its own."""
        hint = f"\n           {self.suggestion}" if self.suggestion else ""
        return f"{self.level.value.upper():<8} {self.check}: {self.subject}: {self.reason}{hint}"


Check: TypeAlias = "Callable[[Host], AsyncIterator[Diagnosis]]"
"""Looks at one kind of thing."""


class Doctor:
    """Writes the diagnoses of one check."""

    def __init__(self, check: str) -> None:
        self._check = check

    def ok(self, subject: str, reason: str) -> Diagnosis:
        """It is as it should be."""
        return Diagnosis(check=self._check, subject=subject, level=Level.OK, reason=reason)

    def warning(self, subject: str, reason: str, suggestion: str = "") -> Diagnosis:
        """It works."""
        return Diagnosis(
            check=self._check, subject=subject, level=Level.WARNING, reason=reason, suggestion=suggestion
        )

    def error(self, subject: str, reason: str, suggestion: str = "") -> Diagnosis:
        """It does not."""
        return Diagnosis(
            check=self._check, subject=subject, level=Level.ERROR, reason=reason, suggestion=suggestion
        )
