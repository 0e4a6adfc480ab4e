"""Configuration of gunicorn, from the same settings file as the application.

Start: WEBAPP_SETTINGS=<file> gunicorn --config python:webapp_api.gunicorn_config webapp_api.wsgi:app
"""

import gc
from typing import Any

from webapp_api.cores import core_for, settle
from webapp_api.event_reader import EventReader
from webapp_api.gate import MOST_WAITING
from webapp_api.housekeeping import Housekeeping
from webapp_api.log_lines import log_settings
from webapp_api.metrics import process_ended
from webapp_api.services import EXTENSION, Services
from webapp_api.settings import settings_from_environment

_settings = settings_from_environment()
_host = f"[{_settings.listen_address}]" if ":" in _settings.listen_address else _settings.listen_address

_KEPT_ALIVE = 1000

bind = f"{_host}:{_settings.listen_port}"
worker_class = "webapp_api.worker.ProblemWorker"
# As HAProxy and nginx take them: a provider's code or a cursor in an address may be long.
limit_request_line = 8190
workers = _settings.workers
# A listener keeps its thread, and so does who waits; how many requests are worked on at a time, is up to gate.py.
threads = _settings.threads + (MOST_WAITING + _settings.event_listeners if _settings.web_login else 0)
worker_connections = threads + _KEPT_ALIVE
# Its default is a file in the home directory; nothing here uses it.
control_socket_disable = True
forwarded_allow_ips = "127.0.0.1,::1"
# Its default lets a front say SCRIPT_NAME and PATH_INFO; ours hands on what clients say.
forwarder_headers = ""
# One slow page must not hold a thread for ever; every answer here takes milliseconds.
timeout = 30
graceful_timeout = 10
logconfig_dict = log_settings()


def pre_fork(server: Any, worker: Any) -> None:
    """Leave what is there to the collector no more: it would write to each object, and all memory were there twice.

    Here, where all processes are known, a new one gets its core.
    """
    worker.core = core_for(other.core for other in server.WORKERS.values())
    gc.collect()
    gc.freeze()


def post_fork(_server: Any, worker: Any) -> None:
    """Stay on one core, before any thread starts."""
    settle(worker.core)


def post_worker_init(worker: Any) -> None:
    """Start what happens without requests: after the fork, so that no thread or connection crosses it."""
    services: Services | None = worker.wsgi.extensions[EXTENSION]
    if services is not None:
        worker.housekeeping = Housekeeping(services)
        worker.housekeeping.start()
        worker.event_reader = EventReader(services, lambda: worker.alive)
        worker.event_reader.start()


def child_exit(_server: Any, worker: Any) -> None:
    """Called in the first process when another one has ended, in whatever way."""
    process_ended(worker.pid)


def worker_exit(_server: Any, worker: Any) -> None:
    """Let another process lead."""
    if hasattr(worker, "event_reader"):
        worker.event_reader.stop()
    if hasattr(worker, "housekeeping"):
        worker.housekeeping.stop()
