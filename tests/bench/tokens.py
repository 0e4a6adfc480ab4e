"""What checking an access token costs: `python -m tests.bench.tokens`.

One check is all a worker does for a REGISTER with a token it has not seen: signature, claims, grant.  CPU time, because
that is what the bar is about.
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median
from typing import Final

import click

from kemi.adapters.pages.tokens import KeySets, TokenVerifier
from kemi.core.registration.token import TokenIssuer, grant_from_token
from tests.bench.cpu import calibrate
from tests.bench.rows import Row, hand_over
from tests.fakes.table import MemoryTable
from tests.peers.access_token import ALGORITHMS, Issuer, SigningKey, key_set

BAR_US: Final = 300.0


def check_us(algorithm: str, checks: int, rounds: int) -> float:
    """Return the median over the rounds of the CPU time of one check, in µs."""
    issuer = replace(Issuer(), key=SigningKey(algorithm, algorithm))
    keys = MemoryTable()
    keys.set(issuer.url, key_set(issuer.key))
    verifier = TokenVerifier(
        [TokenIssuer(issuer.url, issuer.audience, "https://issuer.test/authorize")], KeySets(keys)
    )
    now = time.time()
    verifier.verified(issuer.token("warm-up"))
    costs = []
    for _ in range(rounds):
        tokens = [issuer.token(f"user{number}") for number in range(checks)]
        began = time.process_time()
        for token in tokens:
            grant_from_token(verifier.verified(token), origin="https://page.test", now=now)
        costs.append((time.process_time() - began) / checks * 1e6)
    return median(costs)


@click.command()
@click.option("--checks", default=300, show_default=True, help="Tokens in one round, each another one.")
@click.option("--rounds", default=7, show_default=True)
@click.option("--strict", is_flag=True, help="Fail when the bar is broken.")
def main(checks: int, rounds: int, strict: bool) -> None:
    """Print µs of CPU for each check."""
    machine = calibrate()
    costs = {algorithm: check_us(algorithm, checks, rounds) for algorithm in ALGORITHMS}
    for algorithm, cost in costs.items():
        click.echo(f"{algorithm:6} {cost:6.0f} µs for each check, bar {BAR_US:.0f} µs")
    note = ", ".join(f"{algorithm} {cost:.0f}" for algorithm, cost in costs.items())
    hand_over("tokens", [Row.of("token.check", max(costs.values()), note=note)], machine=machine)
    if strict and max(costs.values()) > BAR_US:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
