"""What a page's offer costs until the core's offer stands, in pure Python: read, judge, rewrite for the relay, print.

    python -m tests.bench.descriptions [--rounds 9] [--offers 400]

The offers are Chromium's own, each with ICE credentials, fingerprint, ports and sources of its own, as calls have them;
the relay's answers are as rtpengine writes them.  CPU time, median of the rounds; also by step, so that the dearest is
seen, and for a browser whose list of codecs the worker has not seen before.  The alternatives of the same rounds only
read and write the offer, and judge nothing: aiortc's parser, and sdp-transform (of JsSIP and mediasoup) in Node.js.
"""

from __future__ import annotations

import gc
import json
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import click
from aiortc.sdp import SessionDescription as PeerDescription

from kemi.core.sdp import codecs, model
from kemi.core.sdp.interwork import ims_offer, relay, relay_offer
from kemi.core.sdp.judge import Judgement, choose_transport, client_capabilities, judge_offer
from kemi.core.sdp.model import Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from tests.unit.core.call import descriptions

BAR_US: Final = 150.0
CASES: Final = {"audio": "audio-sendonly", "audio and video": "av-sendonly"}
CAPABLE: Final = client_capabilities("PRACK, INVITE, ACK, BYE, CANCEL, UPDATE, INFO", "100rel", "", "")
_OF_A_CALL: Final = re.compile(
    r"(?<=^a=ice-ufrag:)\S+|(?<=^a=ice-pwd:)\S+|(?<=^a=fingerprint:sha-256 )\S+|(?<=^a=ssrc:)\d+|(?<=^m=audio )\d+"
    r"|(?<=^m=video )\d+|(?<=^o=- )\d+",
    re.MULTILINE,
)
_SDP_TRANSFORM: Final = Path(__file__).resolve().parents[1] / "browser/matrix/node_modules/sdp-transform"
_NODE_PROGRAM: Final = """
const { parse, write } = require(process.argv[1]);
const offers = JSON.parse(require("fs").readFileSync(0, "utf8"));
const turn = () => { for (const offer of offers) write(parse(offer)); };
for (let i = 0; i < 5; i++) turn();
const costs = [];
for (let i = 0; i < Number(process.argv[2]); i++) {
  const began = process.cpuUsage();
  turn();
  const used = process.cpuUsage(began);
  costs.push((used.user + used.system) / offers.length);
}
console.log(costs.sort((a, b) => a - b)[costs.length >> 1]);
"""


def offers_of(case: str, number: int) -> list[str]:
    """Return a browser's offers of so many calls."""
    rng = random.Random(1)

    def another(found: re.Match[str]) -> str:
        text = found.group()
        if ":" in text:
            return ":".join(f"{rng.randrange(256):02X}" for _ in text.split(":"))
        if text.isdecimal():
            return str(rng.randrange(10_000, 60_000))
        return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789+/", k=len(text)))

    return [_OF_A_CALL.sub(another, descriptions.chromium(case)) for _ in range(number)]


class Chain:
    """The steps of one offer, each with what the one before gave."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.offer = sdp_from_text(self.text)
        self.judgement = self.judge(self.offer)
        self.replies = {kind: descriptions.relay_offer(kind) for kind in self.judgement.kinds}

    def judge(self, offer: SessionDescription) -> Judgement:
        """Judge an offer and choose its transport."""
        judgement = judge_offer(offer, CAPABLE)
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

    def unknown_browser(self) -> str:
        """The same for codecs that nobody has had before."""
        for cached in (
            model._codecs,
            model._fmtp_parameters,
            model._name_and_clock_rate,
            codecs._relayed_video,
            codecs._relayed_audio,
            relay._video_lines,
        ):
            cached.cache_clear()
        return self.whole()

    def peer(self) -> str:
        """Read and write with aiortc."""
        return str(PeerDescription.parse(self.text))

    def steps(self) -> dict[str, Callable[[], object]]:
        """Return the chain and its parts by name."""
        return {
            "whole": self.whole,
            "read": lambda: sdp_from_text(self.text),
            "judge": lambda: self.judge(sdp_from_text(self.text)),
            "to the relay": lambda: self.to_relay(self.offer, self.judgement),
            "to the core": lambda: self.to_core(self.judgement),
            "unknown browser": self.unknown_browser,
            "aiortc": self.peer,
        }


def costs_us(chains: Sequence[Chain], rounds: int) -> dict[str, float]:
    """Return the median over the rounds of the CPU time of each step, in µs; the steps take turns."""
    steps = {name: [chain.steps()[name] for chain in chains] for name in chains[0].steps()}
    costs: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, work in steps.items():
            began = time.process_time()
            for step in work:
                step()
            if number:  # the first one is to warm up
                costs[name].append((time.process_time() - began) / len(work) * 1e6)
    return {name: median(found) for name, found in costs.items()}


def sdp_transform_us(offers: Sequence[str], rounds: int) -> float | None:
    """Return the same of sdp-transform in Node.js; None where it is not installed."""
    node = shutil.which("node")
    if node is None or not _SDP_TRANSFORM.exists():
        return None
    command = [node, "-e", _NODE_PROGRAM, str(_SDP_TRANSFORM), str(rounds)]
    done = subprocess.run(
        command, input=json.dumps(list(offers)), check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout)


@click.command()
@click.option("--rounds", default=9, show_default=True)
@click.option("--offers", default=400, show_default=True, help="In one round.")
def main(rounds: int, offers: int) -> None:
    """Measure and report."""
    missed = False
    for name, case in CASES.items():
        texts = offers_of(case, offers)
        chains = [Chain(text) for text in texts]
        gc.collect()
        gc.freeze()  # as the gateway's workers do
        costs = costs_us(chains, rounds)
        whole, unknown, peer = (costs.pop(step) for step in ("whole", "unknown browser", "aiortc"))
        other = sdp_transform_us(texts, rounds)
        parts = ", ".join(f"{step} {cost:.0f}" for step, cost in costs.items())
        missed = missed or whole > BAR_US
        click.echo(
            f"{'kept  ' if whole <= BAR_US else 'BROKEN'} {name}: {whole:.0f} µs of CPU an offer, bar {BAR_US:.0f} "
            f"({parts}; judge reads, too)"
        )
        click.echo(
            f"       {unknown:.0f} µs for a browser seen for the first time; to read and write alone takes aiortc "
            f"{peer:.0f} µs ({peer / whole:.1f} times as much), sdp-transform in Node.js "
            f"{'is not installed' if other is None else f'{other:.0f} µs ({other / whole:.1f} times)'}"
        )
    sys.exit(missed)


if __name__ == "__main__":
    main()
