"""What a measured fault is judged by, and that the page shows what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.soak.measure import Sample
from tests.bench.soak.report import drifts
from tests.faults.faults import FAULTS
from tests.faults.load import Attempt, End
from tests.faults.report import KEPT, PAGE, page, rows_of, table
from tests.faults.rows import Promise, Row, judge, recovered_after
from tests.faults.short_table import GROUPS, with_table

REPOSITORY = Path(__file__).parents[2]


def attempts(*ends: End) -> list[Attempt]:
    """Return one attempt each second."""
    return [Attempt(float(at), 0.1, end) for at, end in enumerate(ends)]


class TestRecovery:
    def test_nothing_failed(self) -> None:
        assert recovered_after(attempts(End.DONE, End.DONE), 0.5) == 0.0

    def test_the_first_success_after_the_last_failure(self) -> None:
        seen = attempts(End.DONE, End.TOLD, End.DONE, End.SILENT, End.DONE, End.DONE)
        assert recovered_after(seen, 0.5) == 3.5

    def test_before_it_was_lifted(self) -> None:
        assert recovered_after(attempts(End.TOLD, End.DONE), 3.0) == 0.0

    def test_never(self) -> None:
        assert recovered_after(attempts(End.DONE, End.TOLD), 0.0) is None


GOOD = {"running": {"kept": 50}, "new": {"done": 99, "told": 1}, "recovery_s": 1.0, "silence_s": 0.1}


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, 0),
        ({"running": {"kept": 49, "hung": 1}}, 2),
        ({"running": {"kept": 49, "told": 1}}, 1),
        ({"new": {"done": 99, "silent": 1}}, 1),
        ({"new": {"done": 99, "broken": 1}}, 1),
        ({"recovery_s": None}, 1),
        ({"recovery_s": 2.1}, 1),
        ({"silence_s": 0.6}, 1),
        ({"left": {"relay calls": 1}}, 1),
    ],
)
def test_what_breaks_a_promise(change: dict[str, object], broken: int) -> None:
    row = Row("a fault", "a promise", **{**GOOD, **change})  # type: ignore[arg-type]
    judge(row, Promise("a promise", recovery_s=2.0))
    assert len(row.broken) == broken, row.broken
    assert ("**no**" in table([row])) == bool(broken)


def test_what_an_end_of_a_call_saw_go_wrong_breaks_every_promise() -> None:
    row = Row("a fault", "a promise", **GOOD)  # type: ignore[arg-type]
    judge(row, Promise("a promise", recovery_s=2.0), seen=["ValueError: no start line"])
    assert row.broken == ["ValueError: no start line"]


def test_new_calls_that_must_not_fail() -> None:
    row = Row("a fault", "a promise", **GOOD)  # type: ignore[arg-type]
    judge(row, Promise("a promise", recovery_s=2.0, new_calls_told=False))
    assert row.broken == ["1 new calls failed"]


def test_the_page_shows_the_kept_run() -> None:
    """`python -m tests.faults.page` writes it."""
    kept = json.loads(KEPT.read_text())
    assert PAGE.read_text() == page(kept)
    assert rows_of(kept)


UNITS = {
    "kamailio/templates/kamailio-service.conf.j2": True,
    "media_agent/templates/webrtc-ims-media-agent.service.j2": True,
    "webapp_api/templates/webrtc-ims-web.service.j2": True,
    "rtpengine/templates/rtpengine-service.conf.j2": True,
    "haproxy/templates/haproxy-service.conf.j2": False,  # Debian's own unit has Restart=always
}


@pytest.mark.parametrize(("unit", "says_restart"), UNITS.items())
def test_units_start_again_after_a_second_however_often(unit: str, says_restart: bool) -> None:
    """The suite's supervisor does as they say."""
    lines = (REPOSITORY / "ansible" / "roles" / unit).read_text().splitlines()
    assert {"RestartSec=1", "StartLimitIntervalSec=0"} <= set(lines)
    assert ("Restart=always" in lines) == says_restart


def test_drift_is_growth_after_the_warm_up() -> None:
    sizes = [50, 80, 90, 95, 100, 100, 101, 101, 102, 102]
    samples = [Sample(float(at), {"a": size}, {"a": 1}, 7) for at, size in enumerate(sizes)]
    found = drifts(samples)
    assert found["a"] == pytest.approx(0.02)
    assert found["all processes"] == found["a"]
    assert found["shared memory"] == 0.0


def test_the_table_of_the_readme_is_that_of_the_runs() -> None:
    """`python -m tests.faults.page` writes it, too."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert with_table(readme, json.loads(KEPT.read_text())) == readme


def test_every_fault_is_in_one_group_of_it() -> None:
    assert sorted(name for group in GROUPS for name in group.names) == sorted(fault.name for fault in FAULTS)
