"""The second try of tests on real daemons: alone, after all others, when the machine is quiet.

Many tests share two cores, and the clocks of daemons and browsers run on while a test waits for its turn.  Such a
test that fails is no verdict yet: it is run once more, with nothing beside it, and that result counts.  Tests of pure
code get no second try, and neither does anything when so much fails that the machine cannot be the reason.

What a test that failed has left behind may be found at the end of another one, which had passed: that, too, is tried
again, with the test that failed.  What is found where nothing had failed is a verdict.

A lab that did not start is one failure, not that of every test that wanted it: the next test starts it anew.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from _pytest.terminal import TerminalReporter

REAL_DAEMONS: Final = (
    "tests/bench/",
    "tests/browser/",
    "tests/contract/",
    "tests/faults/",
    "tests/integration/",
    "tests/sipp/",
    "tests/hostile/",
)
"""The beginnings of the ids of tests whose daemons keep time."""

MOST: Final = 80
"""More failures than this are no accident: they stay failures."""

STARTS: Final = 3
"""How often one worker tries to set up what many tests share, after which all that need it have failed."""

REPORTS_TO: Final = "GATEWAY_TEST_REPORTS_TO"
"""The environment variable that names the file to which a second try writes its reports, a line of JSON each."""


class NoAccident(AssertionError):
    """What a second try would know nothing of, as a daemon that died or a secret in a log: it stays a failure."""


class SecondTry:
    """Holds failures back while tests run side by side, and runs those tests again when the workers are done."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._first: dict[str, list[pytest.TestReport]] = {}
        self._places: set[tuple[object, str]] = set()
        """Where something failed: worker and folder."""
        self._passed: set[str] = set()
        """Tests that have passed, and whose end found what another one may have left."""
        self._done = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Turn the failure of such a test into "rerun", which counts as nothing.

        What fails after a test that has passed is a verdict on everything before it, of which another run would know
        nothing: the end of a session looks for secrets in the logs of all its labs, that of a module for daemons that
        died.  Unless a test of the same folder has failed in the same process before: then it may be what that left.
        """
        if (
            not self._done
            and report.failed
            and report.nodeid.startswith(REAL_DAEMONS)
            and self._may_pass(report)
        ):
            self._first.setdefault(report.nodeid, []).append(report)
            self._places.add(_place(report))
            report.outcome = "rerun"  # type: ignore[assignment]  # a word of ours, known to pytest_report_teststatus
        yield

    def _may_pass(self, report: pytest.TestReport) -> bool:
        if getattr(report, "no_accident", False):
            return False
        if report.when != "teardown" or report.nodeid in self._first:
            return True
        if _place(report) not in self._places:
            return False
        self._passed.add(report.nodeid)
        return True

    @pytest.hookimpl
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Name the outcome of ours in progress and summary."""
        return ("rerun", "R", "RERUN") if report.outcome == "rerun" else None  # type: ignore[comparison-overlap]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Run what failed again, one test after the other, and report that."""
        result = yield
        self._done = True
        if len(self._first) > MOST:
            self._report([report for reports in self._first.values() for report in reports], failed=True)
        elif self._first:
            self._keep()
            self._report(_run(sorted(self._first), self._config))
        return result

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Say what was tried twice, and how it failed the first time."""
        for nodeid, reports in self._first.items():
            reason = reports[0].longreprtext.strip().splitlines()[-1:] or [""]
            terminalreporter.write_line(f"TRIED TWICE {nodeid}: {reason[0][:160]}")

    def _report(self, reports: list[pytest.TestReport], *, failed: bool = False) -> None:
        for report in reports:
            if failed:
                report.outcome = "failed"
            elif report.when == "call" and report.passed and report.nodeid in self._passed:
                continue  # counted already
            self._config.hook.pytest_runtest_logreport(report=report)

    def _keep(self) -> None:
        """Keep the first failures whole, for whoever looks for the reason: `.pytest_cache/d/first-tries`."""
        cache = getattr(self._config, "cache", None)  # there is none with -p no:cacheprovider
        if cache is None:
            return
        folder = cache.mkdir("first-tries")
        for number, (nodeid, reports) in enumerate(self._first.items()):
            texts = [
                part
                for report in reports
                for part in (report.longreprtext, *(f"--- {name}\n{text}" for name, text in report.sections))
            ]
            (folder / f"{number}.txt").write_text("\n".join([nodeid, *texts]))


def _is_no_accident(error: BaseException) -> bool:
    """Whether that is it, or among what several fixtures found."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(_is_no_accident, error.exceptions))
    return isinstance(error, NoAccident)


def _place(report: pytest.TestReport) -> tuple[object, str]:
    """Return where a test ran: xdist's worker, and the folder."""
    return getattr(report, "worker_id", None), report.nodeid.partition("::")[0].rpartition("/")[0]


def _run(nodeids: list[str], config: pytest.Config) -> list[pytest.TestReport]:
    """Run tests in a process of their own and return their reports; a test that did not come to its end has failed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reports"
        file.touch()
        subprocess.run(
            [sys.executable, "-m", "pytest", "--numprocesses=0", "-p", "no:cacheprovider", *nodeids],
            cwd=config.rootpath,
            env={**os.environ, REPORTS_TO: str(file)},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        lines = [json.loads(line) for line in file.read_text().splitlines()]
    reports = [config.hook.pytest_report_from_serializable(config=config, data=line) for line in lines]
    ended = {report.nodeid for report in reports if report.when == "teardown"}
    return reports + [_not_ended(nodeid) for nodeid in sorted(set(nodeids) - ended)]


def _not_ended(nodeid: str) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid, (nodeid, None, nodeid), {}, "failed", "the second try did not come to its end", "call"
    )


class SharedFixtures:
    """In each process that runs tests: sets up anew what many tests share and the last one did not get, and says what
    is no accident.

    pytest itself keeps the failure of a module's, package's or session's fixture and gives it to all that follow.
    """

    def __init__(self) -> None:
        self._failed: Counter[str] = Counter()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Forget a failure, unless it is the last that is allowed."""
        try:
            return (yield)
        except (Exception, pytest.fail.Exception):  # the second is what pytest-timeout raises
            name = f"{fixturedef.baseid}::{fixturedef.argname}"
            self._failed[name] += 1
            if fixturedef.scope != "function" and self._failed[name] < STARTS:
                fixturedef.finish(request)  # type: ignore[arg-type]  # pytest hands the hook a SubRequest
            raise

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Let the process that hands the tests out know of what it must not try again."""
        report = yield
        if call.excinfo is not None and _is_no_accident(call.excinfo.value):
            report.no_accident = True  # type: ignore[attr-defined]  # goes along with the report
        return report


class ReportsToFile:
    """In the process of a second try: writes every report to the file."""

    def __init__(self, config: pytest.Config, file: Path) -> None:
        self._config = config
        self._file = file

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the report as a line of JSON."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        with self._file.open("a") as out:
            out.write(json.dumps(data) + "\n")


def register(config: pytest.Config) -> None:
    """Take part in this process's run, if it is one that hands tests out, or a second try."""
    config.pluginmanager.register(SharedFixtures())
    if REPORTS_TO in os.environ:
        config.pluginmanager.register(ReportsToFile(config, Path(os.environ[REPORTS_TO])))
    elif config.getoption("numprocesses", default=None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SecondTry(config))
