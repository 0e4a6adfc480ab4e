"""`doctor`: what runs on this machine, looked at."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from webapp_api.gwctl.machine.diagnosis import Diagnosis, Level
from webapp_api.gwctl.machine.host import Host, NothingHere
from webapp_api.gwctl.machine.run import CHECKS, examine
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, ExitCode, command


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at."""

    errors: int
    warnings: int
    diagnoses: list[Diagnosis]


def add_doctor(group: click.Group) -> None:
    """Add the command."""

    @command(
        group,
        "doctor",
        Examined,
        "doctor",
        "doctor lab-run",
        "doctor --only certificates --only core",
        "doctor --quiet --json",
    )
    @click.argument("folder", type=click.Path(path_type=Path), required=False)
    @click.option(
        "--only", "names", multiple=True, type=click.Choice(list(CHECKS)), help="Only this; repeat for more."
    )
    @click.option("--quiet", is_flag=True, help="Only what is not as it should be.")
    @pass_place
    def doctor(place: Place, folder: Path | None, names: tuple[str, ...], quiet: bool) -> Answer:
        """Look at what runs on this machine; exit status 1 if there is an error.

        Which checks count is told by the configuration files in FOLDER (by default that of --config; of a lab:
        lab-run). Root sees more. Nothing is changed; the relay is asked for an offer that is deleted at once.

        ports: everybody listens and answers, through HAProxy, too. certificates: dates, names, key, chain, what is
        shown. codecs: what the relays can make. clock: kept right, the same as others'. redis: reachable, persistent,
        never dropping. core: names resolve, OPTIONS is answered, trunks are up. srtp: the relay's library is loaded.
        versions, limits (open files), disk, kernel (buffers, dropped datagrams), logs (nothing secret).
        """
        try:
            host = Host.read(folder or place.folder)
        except NothingHere as error:
            raise click.ClickException(str(error)) from error
        found = examine(host, names)
        errors = sum(one.level is Level.ERROR for one in found)
        warnings = sum(one.level is Level.WARNING for one in found)
        shown = [one for one in found if not quiet or one.level is not Level.OK]
        lines = [one.to_text() for one in shown]
        lines.append(f"{errors} errors, {warnings} warnings, {len(found) - errors - warnings} fine")
        document = Examined(errors=errors, warnings=warnings, diagnoses=shown)
        return Answer(document, lines, ExitCode.WRONG if errors else ExitCode.DONE)
