"""What a rule is: it looks at one call, and says its verdict or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kemi.core.explain.reading import Reading
from kemi.core.explain.verdict import Gravity


@dataclass(frozen=True, slots=True)
class Found:
    """A rule applies."""

    because: tuple[str, ...]
    """Evidence out of the trace, a short line each."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What stands in the braces of the rule's sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One possible verdict; docs/explain.md is made of these."""

    code: str
    gravity: Gravity
    says: str
    """What happened; names in braces are filled in."""
    do: str
    check: Callable[[Reading], Found | None]
    unless: tuple[str, ...] = ()
    """Codes that explain the same better: where one of them applies, this one is left out."""
    only_alone: bool = False
    """Left out where any other cause was found."""
    needs_all: bool = False
    """Left out where the trace is not whole: it goes by what came last, or did not come."""


def found(*because: str, **names: str) -> Found:
    """Return a finding."""
    return Found(tuple(line for line in because if line), names)
