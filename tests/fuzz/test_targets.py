"""Every kept input again, and random ones: only what is documented comes out, in a time that fits the size.

Long runs: `make fuzz SECONDS=600` (coverage-guided).
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.growth import slow
from tests.fuzz.target import CORPUS, Target
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.conformance("X-18")

EXAMPLES = 40
ALL = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@ALL
def test_kept_inputs(target: Target) -> None:
    assert target.corpus, "no corpus"
    for path in target.corpus:
        target.run(path.read_bytes())


@ALL
@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_random_inputs(target: Target, data: st.DataObject) -> None:
    """Pieces that mean something to the target, in any order, with any bytes between them."""
    pieces = st.one_of(st.sampled_from(target.dictionary), st.binary(max_size=6))
    target.run(b"".join(data.draw(st.lists(pieces, max_size=14))))


@ALL
def test_kept_inputs_cut_and_doubled(target: Target) -> None:
    for path in target.corpus:
        whole = path.read_bytes()
        for place in range(1, 8):
            at = len(whole) * place // 8
            target.run(whole[:at])
            target.run(whole[at:] + whole[:at])


@ALL
def test_time_grows_with_the_input(target: Target) -> None:
    assert list(slow(target, brief=True)) == []


def test_every_corpus_has_its_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


def test_what_is_read_twice_is_noticed() -> None:
    """A reader that begins again at each comma."""

    def square(data: bytes) -> None:
        for place in range(len(data) if data.startswith(b",,") else 0):
            max(data[place:])

    assert list(slow(Target("square", square), brief=True))
