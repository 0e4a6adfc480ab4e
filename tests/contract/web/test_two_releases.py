"""Web nodes of two releases behind a real HAProxy: what a page names is found, whichever instance has it."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from tests.contract.web.haproxy import haproxy
from tests.lab.ports import LOOPBACK, PortBlocks, PortMode

ASSETS = "/static/dist/assets"
asked: Counter[str] = Counter()


class Instance(SimpleHTTPRequestHandler):
    """The files of one release."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        asked[self.path] += 1
        with suppress(BrokenPipeError, ConnectionResetError):  # HAProxy reads no more of a 404 than it has to
            super().do_GET()


@pytest.fixture(scope="module", params=[2, 3])
def origin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Instances of which the last one has the new release."""
    folder, releases = tmp_path_factory.mktemp("front"), ["old"] * (request.param - 1) + ["new"]
    with ExitStack() as stack:
        places = []
        for number, release in enumerate(releases):
            files = folder / str(number)
            (files / ASSETS[1:]).mkdir(parents=True)
            (files / "healthz").touch()
            (files / "index.html").write_text(f"{ASSETS}/softphone-{release}.js")
            (files / ASSETS[1:] / "same.js").touch()
            (files / ASSETS[1:] / f"softphone-{release}.js").write_text(release)
            handler = functools.partial(Instance, directory=str(files))
            server = stack.enter_context(ThreadingHTTPServer((LOOPBACK, 0), handler))
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            places.append(f"{LOOPBACK}:{server.server_port}")
        https = stack.enter_context(PortBlocks(PortMode.FREE, rtp_ports=0)).port()
        variables = {
            "haproxy_https_port": https,
            "haproxy_http_port": 0,
            "haproxy_max_connections": 100,
            "haproxy_metrics_port": 0,
            "haproxy_client_requests_per_10s": 100_000,
            "haproxy_client_errors_per_10s": 100_000,
            "haproxy_web_port": int(places[0].rpartition(":")[2]),
            "haproxy_web_more": places[1:],
        }
        stack.enter_context(haproxy(folder, variables))
        yield f"https://{LOOPBACK}:{https}"


@pytest.fixture
def browser(origin: str) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = session.verify = False
        yield session


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_what_a_page_names_is_found(origin: str, browser: requests.Session) -> None:
    seen = set()
    for _ in range(20):
        script = browser.get(f"{origin}/", timeout=5).text
        answer = browser.get(origin + script, timeout=5)
        assert answer.status_code == 200
        assert script.endswith(f"-{answer.text}.js")
        seen.add(script)
    assert len(seen) == 2


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.parametrize(("path", "is_asset"), [(f"{ASSETS}/none.js", True), ("/none", False)])
def test_what_nobody_has_is_404(
    origin: str, browser: requests.Session, request: pytest.FixtureRequest, path: str, is_asset: bool
) -> None:
    instances = request.node.callspec.params["origin"]
    asked.clear()
    assert browser.get(origin + path, timeout=5).status_code == 404
    assert asked[path] == (2 * (instances - 1) if is_asset else 1)


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_what_is_there_is_asked_for_once(origin: str, browser: requests.Session) -> None:
    asked.clear()
    for _ in range(10):
        assert browser.get(f"{origin}{ASSETS}/same.js", timeout=5).status_code == 200
    assert asked[f"{ASSETS}/same.js"] == 10
