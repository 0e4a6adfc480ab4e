"""What every part needs to start: the options, the port plan, the folders and the processes."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.options import LabOptions, Part
from tests.lab.plan import Plan
from tests.lab.processes import Processes
from tests.lab.roles import render_role


@dataclass(frozen=True, slots=True)
class Site:
    """One lab's place in the world."""

    options: LabOptions
    plan: Plan
    run_dir: Path
    processes: Processes
    control_secret: str = field(default_factory=lambda: secrets.token_hex(32))
    metrics_secret: str = field(default_factory=lambda: secrets.token_hex(32))
    """Opens the gateway's control endpoint."""

    def write(self, name: str, text: str) -> Path:
        """Write a configuration file into the run directory."""
        path = self.run_dir / name
        path.write_text(text)
        return path

    def folder(self, name: str) -> Path:
        """Make a folder in the run directory."""
        path = self.run_dir / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def render(self, role: str, template: str, variables: Mapping[str, Any]) -> Path:
        """Render a role's template into the run directory, with the options' overrides on top."""
        overrides = {**variables, **self.options.role_variables.get(role, {})}
        return self.write(template.removesuffix(".j2"), render_role(role, template, overrides))


@dataclass(frozen=True, slots=True)
class Step:
    """One step of starting a lab; steps of one stage run side by side."""

    part: Part
    stage: int
    start: Callable[[Site], None]
    # Raises OSError or returns False until the part can be used.
    ready: Callable[[Site], bool]
