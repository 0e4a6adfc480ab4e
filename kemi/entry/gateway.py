"""What Kamailio loads.  Alone in its folder, because that folder comes first on sys.path; wiring only."""

from __future__ import annotations

from kemi.adapters import ksr, log
from kemi.adapters.gateway import Gateway
from kemi.settings import load_settings


def mod_init() -> Gateway:
    """Called once by Kamailio, before it forks."""
    log.install(ksr.LOG_FUNCTIONS)
    return Gateway(load_settings())
