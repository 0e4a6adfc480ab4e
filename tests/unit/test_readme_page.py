"""What README.md says in short is what other pages say in full."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from tests.unit.architecture import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
FEATURES = (REPOSITORY / "docs" / "features.md").read_text(encoding="utf-8")
FLOW = (REPOSITORY / "docs" / "flow.md").read_text(encoding="utf-8")
SDK = (REPOSITORY / "webapp_api" / "sdk" / "README.md").read_text(encoding="utf-8")


class Feature(NamedTuple):
    """A row of either table: its group, name, state, and which kinds of test prove it, wholly or in part."""

    group: str
    name: str
    state: str
    proofs: tuple[str, ...]


def features(text: str, level: str) -> dict[str, Feature]:
    """Return the rows of all tables whose first column is ``feature``, by name; a name stands there once."""
    found: dict[str, Feature] = {}
    group, inside = "", False
    for line in text.splitlines():
        if line.startswith(f"{level} "):
            group = line.removeprefix(f"{level} ")
        inside = line.startswith("| feature") or (inside and line.startswith("|"))
        if inside and not line.startswith(("| feature", "|---")):
            cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
            name = re.sub(r"^\*\*(.+?)\*\*.*", r"\1", cells[0])
            assert name not in found, name
            state = re.match(r"works|partly|not yet", cells[1])
            assert state is not None, f"{name}: {cells[1]}"
            found[name] = Feature(group, name, state[0], tuple(map(_proof, cells[-3:])))
    return found


def _proof(cell: str) -> str:
    assert cell in {"", "✓"} or re.fullmatch(r"\(✓\)|✓ \(.+\)", cell), cell
    return "in part" if "(" in cell else cell


def limits(text: str) -> dict[str, str]:
    """Return what README.md says does not work, by feature."""
    rows = [
        line.split("|")[1:4]
        for line in text.splitlines()
        if re.match(r"\|[^|]+\| (works|partly|not yet) \|", line)
    ]
    return {name.strip(): limit.strip() for name, _, limit in rows}


SHORT = features(README, "###")
FULL = features(FEATURES, "##")


def test_both_tables_have_the_same_features_in_the_same_order() -> None:
    assert list(SHORT) == list(FULL)
    assert len(SHORT) > 60


@pytest.mark.parametrize("name", SHORT)
def test_a_feature_is_as_far_in_short_as_in_full(name: str) -> None:
    assert SHORT[name] == FULL[name]


def test_what_works_in_part_says_what_does_not() -> None:
    said = limits(README)
    assert said.keys() == SHORT.keys()
    assert [name for name, feature in SHORT.items() if feature.state != "works" and not said[name]] == []


def test_the_ladder_is_the_one_of_the_flow() -> None:
    ladder = README.partition("## The flow\n\n")[2].partition("\n\n")[0]
    assert ladder.count("\n") > 10
    assert f"## A page calls\n\n{ladder}\n" in FLOW


def test_the_example_is_one_of_the_sdk_which_is_run() -> None:
    example = README.partition("```ts\n")[2].partition("```")[0]
    assert f"<!-- example: call -->\n```ts\n{example}```" in SDK
    assert "phone.call(" in example
