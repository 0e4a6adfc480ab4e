"""One site for the whole folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.hostile.site import hostile_options
from tests.lab.lab import Lab


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    """The site under attack."""
    with Lab(hostile_options()) as running:
        yield running
