"""`python -m webapp_api check`: the configuration of this node."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from webapp_api.check.finding import Level
from webapp_api.check.run import DEFAULT_FOLDER, NothingToCheck, check_folder


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=DEFAULT_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option(
    "--programs/--no-programs", default=True, show_default=True, help="Ask HAProxy and Kamailio, too."
)
def check(folder: Path, as_json: bool, programs: bool) -> None:
    """Look for mistakes in all configuration files of FOLDER; exit status 1 if there is an error.

    FOLDER is where the roles put them, or the lab (lab-run). Nothing needs to run.
    """
    try:
        files, findings = check_folder(folder, programs=programs)
    except (NothingToCheck, OSError) as error:
        raise click.ClickException(str(error)) from error
    errors = sum(one.level is Level.ERROR for one in findings)
    if as_json:
        document = {"files": files, "errors": errors, "findings": [asdict(one) for one in findings]}
        click.echo(json.dumps(document, indent=1))
    else:
        for one in findings:
            click.echo(one.to_text())
        click.echo(f"{', '.join(files)}: {errors} errors, {len(findings) - errors} warnings")
    if errors:
        raise click.exceptions.Exit(1)
