"""What a page's offer costs until the core's offer stands, in pure Python: read, judge, rewrite for the relay, print.

    python -m tests.bench.descriptions [--rounds 9] [--offers 400]

The offers are Chromium's own, the relay's answers as rtpengine writes them.  CPU time, median of the rounds; also by
step, so that the dearest is seen.  A native client would do none of this: there is no alternative to compare with.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Final

import click

from kemi.core.sdp.interwork import ims_offer, relay_offer
from kemi.core.sdp.judge import Judgement, ReversePolicy, choose_transport, client_capabilities, judge_offer
from kemi.core.sdp.model import Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from tests.unit.core.call import descriptions

BAR_US: Final = 150.0
CASES: Final = {"audio": "audio-sendonly", "audio and video": "av-sendonly"}
CAPABLE: Final = client_capabilities("PRACK, INVITE, ACK, BYE, CANCEL, UPDATE, INFO", "100rel", "", "")


class Chain:
    """The steps of one offer, each with what the one before gave."""

    def __init__(self, case: str) -> None:
        self.text = descriptions.chromium(case)
        self.offer = sdp_from_text(self.text)
        self.judgement = self.judge(self.offer)
        self.replies = {kind: descriptions.relay_offer(kind) for kind in self.judgement.kinds}

    def judge(self, offer: SessionDescription) -> Judgement:
        """Judge an offer and choose its transport."""
        judgement = judge_offer(offer, CAPABLE, ReversePolicy())
        choose_transport(offer, judgement)
        return judgement

    def to_relay(self, offer: SessionDescription, judgement: Judgement) -> list[str]:
        """Write what the relay is offered."""
        return [relay_offer(offer, plan) for plan in judgement.media]

    def to_core(self, judgement: Judgement) -> str:
        """Write what the core is offered."""
        return sdp_to_text(ims_offer(judgement, self.replies, Origin(1, 1)))

    def whole(self) -> str:
        """Go all the way."""
        offer = sdp_from_text(self.text)
        judgement = self.judge(offer)
        self.to_relay(offer, judgement)
        return self.to_core(judgement)

    def steps(self) -> dict[str, Callable[[], object]]:
        """Return the chain and its parts by name."""
        return {
            "whole": self.whole,
            "read": lambda: sdp_from_text(self.text),
            "judge": lambda: self.judge(sdp_from_text(self.text)),
            "to the relay": lambda: self.to_relay(self.offer, self.judgement),
            "to the core": lambda: self.to_core(self.judgement),
        }


def cost_us(step: Callable[[], object], rounds: int, offers: int) -> float:
    """Return the median over the rounds of the CPU time of one step, in µs."""
    step()
    costs = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(offers):
            step()
        costs.append((time.process_time() - began) / offers * 1e6)
    return median(costs)


@click.command()
@click.option("--rounds", default=9, show_default=True)
@click.option("--offers", default=400, show_default=True, help="In one round.")
def main(rounds: int, offers: int) -> None:
    """Measure and report."""
    gc.collect()
    gc.freeze()  # as the gateway's workers do
    missed = False
    for name, case in CASES.items():
        costs = {step: cost_us(work, rounds, offers) for step, work in Chain(case).steps().items()}
        parts = ", ".join(f"{step} {cost:.0f}" for step, cost in costs.items() if step != "whole")
        kept = costs["whole"] <= BAR_US
        missed = missed or not kept
        click.echo(
            f"{'kept  ' if kept else 'BROKEN'} {name}: {costs['whole']:.0f} µs of CPU an offer, "
            f"bar {BAR_US:.0f} ({parts}; judge reads, too)"
        )
    sys.exit(missed)


if __name__ == "__main__":
    main()
