"""The layout is kept, and the checker would notice if it were not."""

from __future__ import annotations

import pytest

from tests.unit.architecture import MAX_LINES, OURS, PRODUCT, REPOSITORY, python_files, violations


@pytest.mark.parametrize("package", OURS)
def test_every_file_keeps_the_rules(package: str) -> None:
    found: list[str] = []
    for path in python_files():
        if path.startswith(f"{package}/"):
            found += violations(path, (REPOSITORY / path).read_text(encoding="utf-8"))
    assert found == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        pytest.param("kemi/core/x.py", "import KSR", id="KSR in core"),
        pytest.param("kemi/adapters/gateway.py", "import KSR", id="KSR in another adapter"),
        pytest.param("kemi/adapters/log.py", "from KSR import pv", id="a part of KSR"),
        pytest.param("kemi/adapters/log.py", "__import__('KSR')", id="KSR by a back door"),
        pytest.param(
            "kemi/adapters/x.py", "import importlib\nimportlib.import_module('KSR')", id="another back door"
        ),
        pytest.param("rtpengine/pool.py", "import socket", id="socket outside the transport"),
        pytest.param("kemi/adapters/x.py", "def f():\n    import socket", id="socket inside a function"),
        pytest.param("webapp_api/x.py", "import redis", id="redis in the web API"),
        pytest.param("kemi/adapters/x.py", "from redis import Redis", id="redis in an adapter"),
        pytest.param("kemi/state/x.py", "import flask", id="flask in the state"),
        pytest.param("kemi/adapters/x.py", "import os\nos.environ['A']", id="environment"),
        pytest.param("kemi/adapters/x.py", "from os import environ", id="environment imported"),
        pytest.param("rtpengine/x.py", "import os as o\no.getenv('A')", id="environment under an alias"),
        pytest.param("kemi/core/x.py", "import msgspec", id="core beyond the standard library"),
        pytest.param("kemi/core/x.py", "from kemi.state import calls", id="core uses state"),
        pytest.param("kemi/core/call/x.py", "from ...state import calls", id="core uses state, relatively"),
        pytest.param("kemi/core/x.py", "import kemi.settings", id="core uses settings"),
        pytest.param("kemi/core/x.py", "import rtpengine.ng", id="core uses rtpengine"),
        pytest.param("kemi/core/x.py", "import time", id="core reads the clock"),
        pytest.param(
            "kemi/core/x.py", "from datetime import datetime\ndatetime.now()", id="the clock otherwise"
        ),
        pytest.param("kemi/core/x.py", "import random", id="core draws numbers"),
        pytest.param("kemi/core/x.py", "from secrets import token_hex", id="core draws tokens"),
        pytest.param("kemi/core/x.py", "open('f')", id="core opens a file"),
        pytest.param("rtpengine/ng/x.py", "import secrets", id="codec draws cookies"),
        pytest.param("kemi/state/x.py", "import kemi.adapters.kamailio.ksr", id="state uses adapters"),
        pytest.param("kemi/entry/x.py", "import kemi.core.errors", id="entry decides"),
        pytest.param("rtpengine/x.py", "import kemi.core.errors", id="rtpengine uses ours"),
        pytest.param("rtpengine/ng/x.py", "import msgspec", id="codec beyond the standard library"),
        pytest.param("webapp_api/x.py", "from kemi.adapters import log", id="web API uses adapters"),
        pytest.param("kemi/adapters/x.py", "import webapp_api", id="adapters use the web API"),
        pytest.param("kemi/adapters/x.py", "import tests.fakes", id="product uses tests"),
        pytest.param("kemi/core/x.py", "x = 1\n" * (MAX_LINES + 1), id="too long"),
        pytest.param("tests/x.py", "x = 1\n" * (MAX_LINES + 1), id="a test too long"),
        pytest.param("kemi/core/x/__init__.py", "x = 1", id="package without docstring"),
    ],
)
def test_a_planted_violation_is_found(path: str, source: str) -> None:
    assert list(violations(path, source))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        pytest.param(
            "kemi/adapters/kamailio/ksr.py", "import KSR\nKSR.pv.get('$ci')", id="KSR where it belongs"
        ),
        pytest.param("rtpengine/transport/udp.py", "import socket", id="socket where it belongs"),
        pytest.param("kemi/state/x.py", "import redis\nimport msgspec", id="redis where it belongs"),
        pytest.param("kemi/settings.py", "import os\nos.environ.get('A')", id="environment where it belongs"),
        pytest.param(
            "kemi/core/call/x.py", "from kemi.core.errors import SipReject\nimport re", id="core uses core"
        ),
        pytest.param("kemi/core/x.py", "from .errors import SipReject", id="core uses core, relatively"),
        pytest.param("kemi/adapters/x.py", "import time\nfrom rtpengine.pool import NodePool", id="adapters"),
        pytest.param(
            "webapp_api/x.py", "from kemi.core.errors import Termination", id="web API uses core types"
        ),
        pytest.param("tests/x.py", "import KSR, socket, redis", id="tests may do anything"),
        pytest.param(
            "kemi/core/x.py",
            "def f(socket, time): return socket, time.time()",
            id="look alike",
        ),
    ],
)
def test_what_is_allowed_is_not_reported(path: str, source: str) -> None:
    assert list(violations(path, source)) == []


def test_the_checker_sees_the_whole_repository() -> None:
    seen = set(python_files())
    assert {"kemi/adapters/kamailio/ksr.py", "rtpengine/transport/udp.py", "webapp_api/__init__.py"} <= seen
    assert {path.partition("/")[0] for path in seen} == set(OURS)


def test_the_entry_folder_holds_nothing_but_the_entry() -> None:
    """It comes first on sys.path inside Kamailio: another file there would shadow the standard library."""
    names = {file.name for file in (REPOSITORY / "kemi" / "entry").iterdir()} - {"__pycache__"}
    assert names == {"gateway.py"}


def test_every_package_has_an_init() -> None:
    """Namespace packages have no docstring; the entry is no package at all."""
    folders = {path.rpartition("/")[0] for path in python_files() if path.startswith(PRODUCT)}
    folders -= {"kemi/entry", "kemi/typings"}
    missing = {folder for folder in folders if not (REPOSITORY / folder / "__init__.py").exists()}
    assert missing == set()
