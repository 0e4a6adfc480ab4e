"""What is counted, run under callgrind: `python -m tests.bench.instructions.counted`, which prints the names as JSON.

Each case runs some rounds, then twice as many.  ``getppid`` begins and ends a count (callgrind's ``--dump-before``):
nothing else here calls it.
"""

from __future__ import annotations

import gc
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from tests.bench.decisions.site import TOKEN, Worker
from tests.bench.descriptions import CASES, Chain
from tests.unit.core.call import descriptions

ROUNDS: Final = 16
"""A multiple of four: so many kinds of numbers are called in turn."""
WARM_UP: Final = 16


def cases(folder: Path) -> dict[str, Callable[[], object]]:
    """Return what is counted by name."""
    found: dict[str, Callable[[], object]] = {}
    for name, case in CASES.items():
        steps = Chain(descriptions.chromium(case)).steps()
        found |= {f"{name}: {step}": steps[step] for step in ("read", "judge", "to the relay", "to the core")}
    worker = Worker(folder, rows=200, users=8)
    for name in worker.invite(0).steps():
        invites = [
            worker.invite(number) for number in range(WARM_UP + 3 * ROUNDS)
        ]  # each calls another number
        for invite in invites:
            invite.steps()[TOKEN]()
        found[f"INVITE: {name}"] = in_turn([invite.steps()[name] for invite in invites])
    return found


def in_turn(steps: Iterable[Callable[[], object]]) -> Callable[[], object]:
    """Return what does the next one each time it is called."""
    left = iter(steps)

    def turn() -> object:
        return next(left)()

    return turn


def main() -> None:
    """Run every case."""
    with tempfile.TemporaryDirectory() as folder:
        found = cases(Path(folder))
        gc.collect()
        gc.disable()  # when it runs depends on all that ran before
        for case in found.values():
            for _ in range(WARM_UP):
                case()
            for rounds in (ROUNDS, 2 * ROUNDS):
                turns = range(rounds)
                os.getppid()
                for _ in turns:
                    case()
                os.getppid()
    print(json.dumps(list(found)))


if __name__ == "__main__":
    main()
