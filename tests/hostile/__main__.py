"""Command line: `python -m tests.hostile --mutants 20000 --seed 1`."""

from __future__ import annotations

import resource
import shutil
import time
from pathlib import Path

import click

from tests.hostile.run import SIDES, attack_lab, hostile_lab

OUTPUT = Path(__file__).parents[2] / "build" / "hostile"
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


@click.command()
@click.option("--mutants", default=2000, show_default=True)
@click.option("--seed", default=1, show_default=True, help="The same seed spoils messages in the same way.")
@click.option("--volley", default=40, show_default=True, help="Mutants at each step of a call.")
@click.option(
    "--rounds", default=1, show_default=True, help="Batches one after the other, each with its checks."
)
@click.option("--only", default="", help="Comma list of who sends: " + "; ".join(SIDES))
def main(mutants: int, seed: int, volley: int, rounds: int, only: str) -> None:
    """Send mutants of running calls from every side; exit status 1 when one did harm."""
    sides = tuple(side for side in SIDES if not only or side in only)
    failed = False
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    with hostile_lab() as lab:
        for number in range(rounds):
            began = time.monotonic()
            outcome = attack_lab(lab, seed + number, mutants // rounds, sides, volley)
            click.echo(
                f"seed {seed + number}: {outcome.mutants.total()} mutants in {outcome.calls} calls, {outcome.whole} of "
                f"them whole, {time.monotonic() - began:.0f} s; OPTIONS answered within {outcome.slowest_probe_s:.3f} s"
            )
            for side, count in sorted(outcome.mutants.items()):
                click.echo(f"  {side:22} {count:6} sent, {outcome.closed[side]} connections closed")
            for fault in outcome.faults:
                click.echo(f"  FAULT: {fault}")
            if outcome.faults:
                failed = True
                OUTPUT.mkdir(parents=True, exist_ok=True)
                for key, found in outcome.about.items():
                    (OUTPUT / f"{key}.txt").write_bytes(b"\r\n=====\r\n".join(found))
                for log in Path(lab.info.log_dir).glob("*.log"):
                    shutil.copy(log, OUTPUT / f"seed-{seed + number}-{log.name}")
            if outcome.gone:
                click.echo(f"  logs: {OUTPUT}; a core, if there is one: {CORE_PATTERN.read_text().strip()}")
                break
    if failed:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
