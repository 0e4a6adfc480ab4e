"""Command line: `python -m tests.bench.registration`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tests.bench.cpu import calibrate
from tests.bench.registration.measure import PROCESSES, Plan, Round, one_round
from tests.bench.registration.report import bars, table
from tests.bench.registration.site import fronts_for, registration_site
from tests.bench.registration.swarm import swarm
from tests.bench.registration.tokens import Credentials, available, order_with_credentials, variables

OUTPUT = Path(__file__).parents[3] / "build" / "bench"
DEFAULTS = "role defaults"


@dataclass(frozen=True)
class Variant:
    """A named set of variables of the role kamailio, on top of its defaults."""

    name: str = DEFAULTS
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """What is compared: a gateway's variables and how its pages authenticate."""

    variant: Variant
    credentials: Credentials

    @property
    def name(self) -> str:
        """Heading of the report."""
        return f"{self.credentials.value}, {self.variant.name}"


def variant_from_text(text: str) -> Variant:
    """Parse `name=value,...` of role variables; whole numbers become numbers.

    Raises:
        click.BadParameter: a part without "=".
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(mark for _, mark, _ in pairs):
        raise click.BadParameter(f"{text!r} is not like kamailio_tcp_rd_buf_size=16384")
    return Variant(text, {name: int(value) if value.isdecimal() else value for name, _, value in pairs})


def measure(case: Case, plan: Plan) -> Round:
    """Start a gateway, measure it once, stop it."""
    role_variables = {**variables(case.credentials), **case.variant.variables}
    with registration_site(role_variables, plan.held) as site:
        order = order_with_credentials(site, case.credentials, plan)
        with swarm(order, plan.held, PROCESSES) as pages:
            return one_round(site, pages, plan)


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--held", default=5000, show_default=True, help="Registered pages on HAProxy.")
@click.option("--storm", default=2000, show_default=True, help="Pages that lose their socket and come back.")
@click.option("--rate-pages", default=200, show_default=True, help="Pages that register again and again.")
@click.option("--seconds", default=5.0, show_default=True, help="For how long they do.")
@click.option("--credentials", "kinds", multiple=True, type=click.Choice([c.value for c in Credentials]))
@click.option("--variant", "variants", multiple=True, help="Role variables to compare: NAME=VALUE,...")
@click.option("--strict", is_flag=True, help="Fail when a bar is broken.")
def main(
    rounds: int,
    held: int,
    storm: int,
    rate_pages: int,
    seconds: float,
    kinds: tuple[str, ...],
    variants: tuple[str, ...],
    strict: bool,
) -> None:
    """Measure registrations, print one table and write JSON to build/bench."""
    plan = Plan(rate_pages, seconds, held, storm)
    if held <= rate_pages or held < storm:
        raise click.UsageError("--held counts all pages: more than --rate-pages, and no fewer than --storm")
    compared = [variant_from_text(text) for text in variants] or [Variant()]
    chosen = [Credentials(kind) for kind in kinds] or list(available())
    try:
        fronts_for(held)
    except OSError as error:
        raise click.UsageError(str(error)) from error
    cases = [Case(variant, kind) for variant in compared for kind in chosen]
    machine = calibrate()
    found: dict[str, list[Round]] = {case.name: [] for case in cases}
    for number in range(rounds):
        # The order turns so that a slow drift of the machine hits all alike.
        for case in cases if number % 2 == 0 else cases[::-1]:
            result = measure(case, plan)
            found[case.name].append(result)
            click.echo(f"round {number + 1} {case.name}: {result}", err=True)
    click.echo(machine.to_text())
    click.echo(table(found))
    judged = bars(found)
    for bar in judged:
        click.echo(bar.to_text())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"registration-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    runs = {name: [asdict(run) for run in results] for name, results in found.items()}
    path.write_text(json.dumps({"machine": asdict(machine), "plan": asdict(plan), "runs": runs}, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
