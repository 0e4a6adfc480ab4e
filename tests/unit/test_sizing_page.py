"""The table of sites in docs/operators.md is what the constants and formulas above it say."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "operators.md").read_text(encoding="utf-8")
SITES = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| [\d,]+0,000 \|", line)]
BUSY, T, H, D = 0.6, 300, 2, 180


def constants(name: str) -> list[float]:
    """Return the numbers of a constant, those in brackets and after a comma left out."""
    [measured] = re.findall(rf"^\| `{name}` \| [^|]+ \| ([^|(,:]+)", PAGE, re.MULTILINE)
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", measured)]


def number(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


@pytest.mark.parametrize("site", SITES, ids=lambda site: site[0])
def test_a_site_needs_what_the_formulas_say(site: list[str]) -> None:
    n = int(site[1].replace(",", ""))
    c, r = n * H / 3600, n / T
    signalling = (
        c * constants("C_call")[0] + r * constants("C_register")[1] + n * constants("C_page")[0]
    ) / (1000 * BUSY)
    nodes = math.ceil(max(signalling / 4, n / 25_000)) + 1
    memory = (n * constants("M_page")[0] * 1.5 + c * D * constants("M_call")[0]) / 1e6
    memory += nodes * constants("M_node")[0]
    media = [
        (c * setup / 1000 + c * D * running / 100) / BUSY
        for setup, running in zip(constants("C_setup"), constants("C_media"), strict=True)
    ]
    assert site[2:] == [
        number(r), number(c), number(c * D), number(signalling), str(nodes),
        f"{number(memory)} GB", *(f"{number(cores)} ({math.ceil(cores / 8) + 1})" for cores in media),
        f"{number(c * D * 4 * 85 / 1e6)} Gbit/s", f"{c * constants('R_call')[-1]:,.0f}",
    ]  # fmt: skip


def test_all_sites_are_looked_at_and_every_constant_is_in_a_formula() -> None:
    assert len(SITES) == 4
    names = re.findall(r"^\| `(\w+)` \|", PAGE[: PAGE.index("### One machine")], re.MULTILINE)
    formulas = PAGE[PAGE.index("```\nc = ") :].partition("\n```\n")[0]
    assert {"C_call", "C_tls", "M_node"} <= set(names)
    assert [name for name in names if name not in formulas] == []
