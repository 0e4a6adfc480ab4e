"""Mutants of real calls against the real gateway, a few of them; `python -m tests.hostile` sends more."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator

import pytest

from tests.hostile.mutations import MUTATIONS, World, borrowed_from, mutant, put_together, taken_apart
from tests.hostile.run import SIDES, attack_lab, hostile_lab, worker_ids
from tests.lab.lab import Lab

MESSAGE = (
    b"INVITE sip:bob@ims.test SIP/2.0\r\nVia: SIP/2.0/WSS h.invalid;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
    b"From: <sip:alice@ims.test>;tag=a\r\nTo: <sip:bob@ims.test>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n"
    b"Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
)
SEED = 7
MUTANTS = 96


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A gateway of its own: its log is searched."""
    with hostile_lab() as started:
        yield started


@pytest.mark.lab
@pytest.mark.conformance("X-15")
def test_mutants_of_running_calls_harm_nothing(lab: Lab) -> None:
    outcome = attack_lab(lab, SEED, MUTANTS, volley=24)
    assert outcome.faults == []
    assert outcome.mutants.total() >= MUTANTS
    assert set(outcome.mutants) == set(SIDES)
    assert outcome.whole, "no call came through at all"


@pytest.mark.lab
def test_a_gateway_that_dies_is_a_fault_which_says_of_what() -> None:
    with hostile_lab() as lab:
        worker = max(worker_ids(lab))
        os.kill(worker, signal.SIGKILL)
        outcome = attack_lab(lab, SEED, MUTANTS, ("other page",))
    assert outcome.faults == [outcome.gone]
    assert outcome.gone.startswith("gateway ended with status ")
    assert f"child process {worker} exited by a signal 9" in outcome.gone


def test_the_same_seed_makes_the_same_mutants() -> None:
    world = borrowed_from([MESSAGE])
    first, second = (
        [mutant(MESSAGE, world, rng) for _ in range(50)] for rng in (random.Random(3), random.Random(3))
    )
    assert first == second
    assert len({data for _, data in first}) > 40


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: str(one.__name__))
def test_each_mutation_does_something(mutation: object) -> None:
    """But for the one that sends a message as it is."""
    changed = 0
    for seed in range(20):
        rng = random.Random(seed)
        response = MESSAGE.replace(b"INVITE sip:bob@ims.test SIP/2.0", b"SIP/2.0 200 OK")
        for message in (MESSAGE, response):
            draft = taken_apart(message)
            draft.fresh = False
            mutation(draft, borrowed_from([MESSAGE, response.replace(b"c1", b"c2")]), rng)  # type: ignore[operator]
            changed += put_together(draft, rng) != message or draft.fresh
    assert bool(changed) is (getattr(mutation, "__name__", "") not in ("nothing", "other_branch_kept"))


def test_a_message_taken_apart_is_put_together_as_it_was() -> None:
    draft = taken_apart(MESSAGE)
    draft.fresh = False
    assert put_together(draft, random.Random(1)) == MESSAGE
    assert World().messages == ()
