"""A real Kamailio with the project's own configuration; the probe may take the gateway's place in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.kamailio.running import PROBE, Kamailio, running


@pytest.fixture
def kamailio(run_dir: Path) -> Iterator[Kamailio]:
    """The gateway."""
    with running(run_dir) as found:
        yield found


@pytest.fixture
def probed_kamailio(run_dir: Path) -> Iterator[Kamailio]:
    """The same configuration with the probe in the gateway's place."""
    with running(run_dir, PROBE) as found:
        yield found
