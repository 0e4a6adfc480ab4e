"""A scenario as a value: which trunks and numbers it needs, what is expected, and who plays it.

Each folder beside this file is one: `play.py` has SCENARIO and `play`, the XML files are SIPp's, README.md says what a
lab tester wants to know.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.sipp.stage import Stage

FOLDER: Final = Path(__file__).parent

Play = Callable[["Stage"], Awaitable[None]]


@dataclass(frozen=True)
class TrunkPlan:
    """A trunk that SIPp plays, or nobody."""

    role: str = "carrier"
    transport: str = "udp"
    """udp or tcp."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What an operator says of it besides its next hop (kemi/core/trunk/trunk.py)."""


@dataclass(frozen=True)
class Scenario:
    """What a scenario needs of the gateway."""

    expects: str
    """What shall happen, in one sentence for the list and the table."""
    trunks: tuple[TrunkPlan, ...] = (TrunkPlan(),)
    """Tried in this order when the scenario's numbers are called."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    """Of the role kamailio; a scenario that has some gets a gateway of its own."""
    calls_in: bool = False
    """Whether its trunks call numbers that lead to the user."""
    media_ports: int = 0
    """Of the relay, where a long form of it needs more than others."""
    inside: bool = False
    """Whether it looks at the inside of a gateway, so that it cannot be played with a stranger's."""
    restarts: bool = False
    """Whether it starts the gateway again, so that only one of its own will do."""

    @property
    def shares_gateway(self) -> bool:
        """Whether it can be played with the gateway of others."""
        return not self.variables


@dataclass(frozen=True)
class Folder:
    """One scenario with its name and its place."""

    name: str
    """With dashes, as on the command line."""
    path: Path
    scenario: Scenario
    play: Play


@cache
def folders() -> tuple[Folder, ...]:
    """Return all scenarios in the order of their names."""
    found = []
    for path in sorted(FOLDER.iterdir()):
        if (path / "play.py").is_file():
            module = importlib.import_module(f"tests.sipp.{path.name}.play")
            found.append(Folder(path.name.replace("_", "-"), path, module.SCENARIO, module.play))
    return tuple(found)
