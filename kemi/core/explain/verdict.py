"""The shape of a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Gravity(StrEnum):
    """How much a verdict explains."""

    CAUSE = "cause"
    """This is why the call failed or has no sound."""
    TROUBLE = "trouble"
    """The call works worse for it."""
    NOTE = "note"
    """Worth knowing, harmless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One finding in plain words."""

    code: str
    """Stable name in kebab-case, such as ``no-common-codec``; documented, and tests plant its fault."""
    gravity: Gravity
    says: str
    """What happened, one sentence."""
    because: tuple[str, ...] = ()
    """What in the trace shows it, a short line each."""
    do: str = ""
    """What to do about it, and who: page, operator, core or trunk."""
