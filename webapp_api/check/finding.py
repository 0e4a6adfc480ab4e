"""What was found, in one form for all files."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """A program will not start, or calls will fail."""
    WARNING = "warning"
    """It works, but hardly as somebody wants it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake."""

    file: str
    """Its name, without the folder."""
    line: int
    """0: the whole file."""
    key: str
    """As ``timers.prack_s``; "": no key."""
    reason: str
    suggestion: str = ""
    level: Level = Level.ERROR

    def to_text(self) -> str:
        """Write it as compilers do, the suggestion on a line of its own."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        what = f"{self.key}: {self.reason}" if self.key else self.reason
        hint = f"\n    {self.suggestion}" if self.suggestion else ""
        return f"{place}: {self.level}: {what}{hint}"
