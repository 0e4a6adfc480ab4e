"""``make bench STRICT=1``: an error is every bar that is not known to be kept."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from tests.bench import suite
from tests.bench.cpu import Machine
from tests.bench.rows import Row, row_to_json
from tests.bench.suite import Bench

MACHINE: Final = Machine(2, "a machine", 0.1, 1700.0, 40000.0)
WELL: Final = {"lines": "audio", "page_s": 1.0, "phone_s": 1.1}
SILENT: Final = {"lines": "audio", "page_s": None, "phone_s": 1.1}


@pytest.mark.parametrize(
    ("calls", "status", "said"),
    [
        pytest.param([WELL] * 50, 0, "", id="all heard again"),
        pytest.param([WELL] * 40 + [SILENT] * 10, 0, "missed: failures", id="ten silent for ever"),
        pytest.param([], 0, "not measured", id="no call"),
        pytest.param([WELL] * 50, 2, "node-loss: status 2", id="it ends with an error after its figures"),
        pytest.param(None, 0, "node-loss: no figures", id="it writes no file"),
    ],
)
def test_strict_is_content_with_nothing_but_kept_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[Any] | None, status: int, said: str
) -> None:
    def ran(bench: Bench, _short: bool) -> tuple[int, float]:
        if calls is not None:
            data = {"machine": asdict(MACHINE), "calls": calls}
            path = tmp_path / f"{bench.name}-20261127T010000Z.json"
            path.write_text(json.dumps(data))
            os.utime(path, (time.time(), time.time()))  # the file system's clock is behind by up to a tick
        return status, 0.1

    for name in ("ROOT", "LOGS", "OUTPUT"):
        monkeypatch.setattr(suite, name, tmp_path)
    monkeypatch.setattr(suite, "RESULT", tmp_path / "r.json")
    monkeypatch.setattr(suite, "run", ran)
    done = CliRunner().invoke(suite.main, ["--strict", "--only", "node-loss"])
    assert (done.exit_code, said in done.output) == (bool(said), True), done.output
    assert ("MISSED" in done.output) is bool(said)
    assert CliRunner().invoke(suite.main, ["--only", "node-loss"]).exit_code == 0


def test_strict_looks_at_each_bench_that_measures_a_figure() -> None:
    def handed(row: Row, date: str, *, short: bool = False) -> dict[str, Any]:
        return {"date": date, "rows": [row_to_json(row)], "ladders": [], "status": 0, "short": short}

    missed, well = Row.of("web.cpu", 5.0), Row.of("web.cpu", 3.0)
    benches = {"one": handed(missed, "2026-11-27T01:00"), "other": handed(well, "2026-11-27T02:00")}
    assert [line.partition(":")[0] for line in suite.not_kept(benches)] == ["one"]
    none = Row.of("web.cpu", None)
    assert suite.not_kept({"one": handed(none, "2026-11-27T01:00")})
    assert not suite.not_kept({"one": handed(none, "2026-11-27T01:00"), "other": benches["other"]})
    assert not suite.not_kept({"one": handed(none, "2026-11-27T01:00", short=True)})
