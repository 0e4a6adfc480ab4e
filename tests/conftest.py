"""Fixtures of all tests: the lab and parts of it; the ends of its logs are shown with every failure."""

import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer

from tests import outcome, second_try, side_by_side
from tests.lab import log_secrets
from tests.lab.lab import Lab, running_labs
from tests.lab.options import LabOptions, Part
from tests.lab.processes import ProcessDied
from tests.lab.world import RtpengineInfo
from tests.side_by_side import SideBySide

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
"""How long an example takes says how busy the machine is, and nothing else; benches measure."""
settings.register_profile("quick", max_examples=25)
"""For `make unit`; everything else tries as many examples as hypothesis does by itself."""
settings.register_profile("thorough", max_examples=10_000)
"""For hours nobody waits: `pytest --hypothesis-profile=thorough --timeout=0 tests/unit/core/call`."""


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_logs() -> Iterator[None]:
    """Tokens, digest responses and passwords are in no log of any lab of this session (RFC 8898 §5)."""
    yield  # first set up, so torn down last: all labs have ended and their logs were searched
    if log_secrets.found:
        raise second_try.NoAccident("\n".join(log_secrets.found[:20]))


@pytest.fixture(autouse=True)
def labs_are_whole() -> Iterator[None]:
    """What a test kills and, failing, does not start again runs for the next one; what died by itself is a verdict."""
    yield  # first set up, so torn down last: labs that were this test's own have ended
    died = []
    for running in running_labs():
        try:
            running.mend()
        except ProcessDied as error:
            died.append(error)
    if died:
        raise second_try.NoAccident(str(died[0])) from died[0]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The whole world, started once."""
    with Lab() as whole:
        yield whole


@pytest.fixture(scope="session")
def rtpengine_daemon() -> Iterator[RtpengineInfo]:
    """A media relay of its own."""
    with Lab(LabOptions(parts=frozenset({Part.RTPENGINE}))) as relay:
        yield relay.info.rtpengine


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis of its own."""
    with Lab(LabOptions(parts=frozenset({Part.REDIS}))) as redis:
        yield redis.info.redis_url


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """An empty folder with a path short enough for Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Give tests on real daemons their second try."""
    second_try.register(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests as they are handed out when they run side by side."""
    if config.getoption("numprocesses", default=None) or hasattr(config, "workerinput"):
        items.sort(key=lambda item: side_by_side.rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SideBySide:
    """Hand tests out to the workers as this project's tests need it."""
    return SideBySide(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the ends of all running labs' logs to a failure."""
    report = yield
    outcome.note(report)
    if report.failed:
        for running in running_labs():
            for name, tail in running.log_tails().items():
                report.sections.append((f"lab log: {name}", tail))
    return report
