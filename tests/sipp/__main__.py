"""Command line: `python -m tests.sipp --list`, `python -m tests.sipp trunk-down`."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from tests.lab.lab import is_running
from tests.lab.world import world_from_file
from tests.sipp.existing import fixed_plan, gateway_at, operator_settings, playable, why_not
from tests.sipp.places import Plan, table_of
from tests.sipp.report import Report, ScenarioFailed
from tests.sipp.scenario import Folder, folders
from tests.sipp.site import (
    USER,
    gateway_of,
    load,
    missing_trunks,
    new_run_dir,
    own_gateway,
    own_plan,
    play,
)
from tests.sipp.stage import Gateway, explain

_HOST_AND_PORT = re.compile(r"\S+:\d{1,5}")
TESTERS_OWN = ("gateway", "wss", "address", "aor", "impi", "password")


@click.command()
@click.argument("names", nargs=-1)
@click.option("--list", "listed", is_flag=True, help="Name the scenarios and what each expects.")
@click.option("--keep", is_flag=True, help="Keep SIPp's logs, also of scenarios that went well.")
@click.option(
    "--lab",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="lab.json of a lab that runs (make run SIPP=1); its routing table is replaced.",
)
@click.option(
    "--gateway", metavar="HOST:PORT", help="SIP address of a gateway of yours, as its trunks see it."
)
@click.option("--wss", metavar="URL", help="Where its pages connect.")
@click.option("--address", metavar="IP", help="This machine's address, as that gateway sees it.")
@click.option(
    "--aor", metavar="URI", help="The user whose page calls and is called, as sip:alice@example.com."
)
@click.option("--impi", metavar="NAME", help="Private identity of the user.")
@click.option("--password", metavar="TEXT", help="SIP password of the user.")
@click.option("--table", "as_table", is_flag=True, help="Print the table of README.md.")
@click.option("--settings", is_flag=True, help="Print the trunks and the routing table such a gateway needs.")
def main(
    names: Sequence[str],
    listed: bool,
    keep: bool,
    lab: Path | None,
    as_table: bool,
    settings: bool,
    **own: Any,
) -> None:
    """Play scenarios, all unless named, with SIPp as the carrier; exit status 0 only if all went as expected.

    Without --lab and --gateway a gateway of this working copy is started for them.
    """
    if as_table:
        click.echo(table(), nl=False)
        return
    known = {folder.name: folder for folder in folders()}
    if unknown := set(names) - known.keys():
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; known: {', '.join(known)}")
    chosen = [known[name] for name in names or known]
    if listed:
        width = max(map(len, known))
        for folder in chosen:
            click.echo(f"{folder.name:<{width}}  {folder.scenario.expects}")
        return
    check_options(lab, own, settings=settings)
    if lab or own["gateway"] or settings:
        chosen = those_that_can(chosen, is_lab=lab is not None, must=bool(names))
    if settings:
        click.echo(operator_settings(fixed_plan(own["address"]), chosen, own["aor"]))
        return
    failed = []
    for group in groups(chosen):
        with gateway_for(group, lab, own) as (gateway, plan):
            failed += [folder.name for folder in group if not played(gateway, folder, plan, keep=keep)]
    if failed:
        click.echo(f"\nfailed: {', '.join(failed)}")
    sys.exit(1 if failed else 0)


def check_options(lab: Path | None, own: dict[str, Any], *, settings: bool) -> None:
    """Refuse options that do not go together, that lack another one, or with which nothing can be played."""
    if own["address"] and not _is_ipv4(own["address"]):
        raise click.UsageError(
            f"--address {own['address']} is no IPv4 address, as SIPp's descriptions have it"
        )
    if settings:
        if not (own["address"] and own["aor"]):
            raise click.UsageError("--settings needs --address and --aor")
    elif own["gateway"]:
        if lab is not None:
            raise click.UsageError("--lab and --gateway are two gateways: name one")
        if missing := [f"--{name}" for name in TESTERS_OWN if not own[name]]:
            raise click.UsageError(f"--gateway needs {', '.join(missing)}, too")
        if not _HOST_AND_PORT.fullmatch(own["gateway"]):
            raise click.UsageError(f"--gateway {own['gateway']} is not HOST:PORT")
    elif alone := [f"--{name}" for name in TESTERS_OWN if own[name]]:
        raise click.UsageError(f"{', '.join(alone)} without --gateway")


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def those_that_can(chosen: Sequence[Folder], *, is_lab: bool, must: bool) -> list[Folder]:
    """Return which scenarios a gateway that runs already can be played with; ``must``: each of them was asked for."""
    found = []
    for folder in chosen:
        reason = why_not(folder, is_lab=is_lab)
        if not reason:
            found.append(folder)
        elif must:
            raise click.UsageError(f"{folder.name}: {reason}")
        else:
            click.echo(f"left out  {folder.name}: {reason}", err=True)
    return found


def table() -> str:
    """Return all scenarios as README.md has them."""
    rows = "".join(
        f"| [{one.name}]({one.path.name}/README.md) | {one.scenario.expects} | {where(one)} |\n"
        for one in folders()
    )
    return f"| scenario | expected | other gateways |\n|---|---|---|\n{rows}"


def where(folder: Folder) -> str:
    """Say which gateways that run already a scenario can be played with."""
    if why_not(folder, is_lab=True):
        return "no"
    return "`--lab`" if why_not(folder, is_lab=False) else "`--lab`, `--gateway`"


def groups(chosen: Sequence[Folder]) -> list[list[Folder]]:
    """Return which scenarios share a gateway."""
    shared = [folder for folder in chosen if folder.scenario.shares_gateway]
    others = [[folder] for folder in chosen if not folder.scenario.shares_gateway]
    return [group for group in (shared, *others) if group]


@contextmanager
def gateway_for(
    group: Sequence[Folder], lab: Path | None, own: dict[str, Any]
) -> Iterator[tuple[Gateway, Plan]]:
    """Start a gateway, or find the one that is there."""
    if lab is not None:
        world = world_from_file(lab)
        plan = fixed_plan()
        document = table_of(plan, playable(folders()), USER.impu)
        run_dir = Path(world.info.run_dir)
        if not (run_dir.is_dir() and is_running(run_dir)):
            raise click.ClickException(f"the lab of {lab} does not run")
        if missing_trunks(world, document):
            raise click.ClickException("this lab has no trunks for SIPp: start it by `make run SIPP=1`")
        load(world, document)
        yield gateway_of(world), plan
    elif own["gateway"]:
        host, _, port = own["gateway"].rpartition(":")
        yield (
            gateway_at(host, int(port), own["wss"], own["aor"], own["impi"], own["password"]),
            fixed_plan(own["address"]),
        )
    else:
        plan = own_plan()
        with own_gateway(group, plan) as gateway:
            yield gateway, plan


def played(gateway: Gateway, folder: Folder, plan: Plan, *, keep: bool) -> bool:
    """Play one scenario and say what happened; return whether it went as expected."""
    click.echo(f"\n{folder.name}: {folder.scenario.expects}")
    run_dir = new_run_dir()
    good = False
    try:
        asyncio.run(play(gateway, folder, plan, Report(click.echo), run_dir))
        good = True
    except ScenarioFailed:
        pass  # it has been said
    except Exception as error:
        click.echo(f"FAILED    {explain(error)}")
    if good and not keep:
        shutil.rmtree(run_dir, ignore_errors=True)
    else:
        click.echo(f"          SIPp's logs: {run_dir}")
    return good


if __name__ == "__main__":
    main()
