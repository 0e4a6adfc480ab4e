"""Command line: ``python -m tests.browser.random_changes --seed 7 --rounds 200``."""

from __future__ import annotations

import asyncio
import random

import click

from tests.browser.random_changes.play import ChangeError, call, change, hang_up, rounds, two_pages
from tests.lab.lab import Lab
from tests.lab.options import LabOptions

_A_CALL = 6
"""Rounds in one call."""


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--rounds", "count", default=100, show_default=True)
@click.option("--lines", default="11", show_default=True, help="1 or 0 of each page: one-way lines.")
def main(seed: int, count: int, lines: str) -> None:
    """Change calls between two pages at random; print what went wrong, and fail if anything did."""
    with Lab(LabOptions(phones=())) as lab:
        wrong = asyncio.run(_play(lab, seed, count, [line == "1" for line in lines]))
    click.echo(f"{count} rounds, {wrong} of them wrong")
    if wrong:
        raise click.exceptions.Exit(1)


async def _play(lab: Lab, seed: int, count: int, one_way: list[bool]) -> int:
    chance = random.Random(seed)
    users = [lab.info.users[name] for name in ("alice", "bob")]
    wrong = 0
    async with two_pages(lab.info.web.origin, users, one_way) as pages:
        for begun in range(0, count, _A_CALL):
            await call(pages, users[1].impu, video=chance.random() < 0.3)
            try:
                for steps in rounds(chance, min(_A_CALL, count - begun)):
                    await change(pages, steps)
            except ChangeError as error:
                wrong += 1
                click.echo(f"after {begun} rounds: {error}")
            await hang_up(pages, chance.randrange(2))
    return wrong


if __name__ == "__main__":
    main()
