"""What the HTTP server loads, from one settings file."""

from __future__ import annotations

import importlib
import socket
import sys
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Flask
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn

from webapp_api.worker import ProblemWorker


@pytest.fixture
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file that WEBAPP_SETTINGS names."""
    file = tmp_path / "webapp.toml"
    file.write_text(
        'public_origin = "https://gw.example.com"\ndomain = "ims.example.com"\n'
        'listen_address = "::1"\nlisten_port = 18082\nworkers = 3\nthreads = 5\n'
    )
    monkeypatch.setenv("WEBAPP_SETTINGS", str(file))
    return file


def fresh(name: str) -> ModuleType:
    """The module, run anew."""
    sys.modules.pop(name, None)
    return importlib.import_module(name)


@pytest.mark.usefixtures("settings_file")
def test_the_application_has_the_files_settings() -> None:
    app = fresh("webapp_api.wsgi").app
    assert isinstance(app, Flask)
    config = app.test_client().get("/config.json").json
    assert config is not None
    assert config["wssUrl"] == "wss://gw.example.com/sip"


@pytest.mark.usefixtures("settings_file")
def test_the_server_listens_and_scales_as_the_file_says() -> None:
    config = fresh("webapp_api.gunicorn_config")
    assert (config.bind, config.workers, config.threads) == ("[::1]:18082", 3, 5)
    assert config.worker_class == "webapp_api.worker.ProblemWorker"


def test_a_websocket_that_has_closed_its_connection_is_counted_once() -> None:
    """Else the limit of connections grows with each one."""
    worker: Any = ProblemWorker.__new__(ProblemWorker)
    worker.nr_conns = 1
    one, other = socket.socketpair()
    connection = TConn(Config(), one, "", "")
    one.close()
    done: Future[bool] = Future()
    done.set_result(False)
    worker.finish_request(connection, done)
    assert worker.nr_conns == 0
    other.close()
