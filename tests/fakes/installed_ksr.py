"""The one fake of KSR of a process, whichever tests need it first: what is imported of the adapters stands on it."""

from __future__ import annotations

import sys

from tests.fakes.ksr import FakeKsr


def installed_ksr() -> FakeKsr:
    """Return it; to be called before anything imports kemi.adapters.kamailio.ksr."""
    found = sys.modules.setdefault("KSR", FakeKsr())
    assert isinstance(found, FakeKsr)
    return found
