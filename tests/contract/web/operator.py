"""The operator's commands, as somebody types them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from webapp_api.gwctl.main import main


@dataclass
class Done:
    """What a command has printed."""

    returncode: int
    stdout: str
    stderr: str


class Operator:
    """Somebody who types commands; they run in this process, which takes no second each."""

    def __init__(self, settings: Path) -> None:
        self.environment = {"WEBAPP_SETTINGS": str(settings)}

    def __call__(self, *arguments: str, typed: str = "") -> Done:
        done = CliRunner().invoke(main, arguments, input=typed, env=self.environment, prog_name="gwctl")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Done(int(done.exit_code), done.stdout, done.stderr)

    def document(self, *arguments: str, typed: str = "", returncode: int = 0) -> dict[str, Any]:
        """Return what a command writes with --json."""
        done = self(*arguments, "--json", typed=typed)
        assert done.returncode == returncode, done
        found: dict[str, Any] = json.loads(done.stdout)
        return found
