"""What Kamailio loads.  Alone in its folder, because that folder comes first on sys.path; wiring only."""

from __future__ import annotations

import gc

from kemi.adapters import log
from kemi.adapters.gateway import Gateway
from kemi.adapters.kamailio import ksr
from kemi.settings import load_settings


def mod_init() -> Gateway:
    """Called once by Kamailio, before it forks."""
    log.install(ksr.LOG_FUNCTIONS, ksr.log_verbosity)
    gateway = Gateway(load_settings())
    gateway.restore()
    # What is loaded now lives as long as the process: the collector need not look at it again in every worker,
    # and its pages stay shared after the fork.
    gc.collect()
    gc.freeze()
    return gateway
