"""`check`: the configuration of this node."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from webapp_api.check.finding import Finding, Level
from webapp_api.check.run import NothingToCheck, check_folder
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, command


class Checked(msgspec.Struct, frozen=True):
    """What was found in the files."""

    files: list[str]
    errors: int
    findings: list[Finding]


def add_check(group: click.Group) -> None:
    """Add the command."""

    @command(group, "check", Checked, "check", "check lab-run --no-programs", "check --json")
    @click.argument("folder", type=click.Path(path_type=Path), required=False)
    @click.option(
        "--programs/--no-programs", default=True, show_default=True, help="Ask HAProxy and Kamailio, too."
    )
    @pass_place
    def check(place: Place, folder: Path | None, programs: bool) -> Answer:
        """Look for mistakes in all configuration files of FOLDER; exit status 1 if there is an error.

        FOLDER is where the roles put them, or the lab (lab-run). Nothing needs to run.
        """
        try:
            files, findings = check_folder(folder or place.folder, programs=programs)
        except PermissionError as error:
            raise click.ClickException(f"{error.filename}: {error.strerror} (run it as root)") from error
        except (NothingToCheck, OSError) as error:
            raise click.ClickException(str(error)) from error
        errors = sum(one.level is Level.ERROR for one in findings)
        lines = [one.to_text() for one in findings]
        lines.append(f"{', '.join(files)}: {errors} errors, {len(findings) - errors} warnings")
        return Answer(Checked(files, errors, findings), lines, int(bool(errors)))
