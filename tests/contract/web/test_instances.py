"""Two instances of the web API behind a real HAProxy of the role's template, on one Redis; and the death of one."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from kemi.state import keys
from tests.bench.cpu import process_tree
from tests.contract.web.client import NAME, ORIGIN, OWN_FIELDS, PASSWORD
from tests.contract.web.server import Server, started
from tests.contract.web.test_tokens import checked
from tests.lab.certificate import make_certificate
from tests.lab.ports import LOOPBACK
from tests.lab.roles import render_role
from tests.lab.waiting import wait_until
from webapp_api.services import Services
from webapp_api.settings import Settings

ALICE = "sip:alice@ims.example.com"
DEATH_S = 5.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@dataclass
class Site:
    """What a browser sees."""

    origin: str
    certificate: Path
    admin: Path
    instances: list[Server]
    sockets: list[ClientConnection] = field(default_factory=list)

    def browser(self, cookie: str = "") -> requests.Session:
        """Somebody with cookies."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.certificate)
        session.headers.update(OWN_FIELDS)
        if cookie:
            session.headers["Cookie"] = f"__Host-session={cookie}"
        return session

    def listen(self, cookie: str, after: str = "") -> ClientConnection:
        """Listen to events; the first message says from where on."""
        trust = ssl.create_default_context(cafile=str(self.certificate))
        query = f"?after={after}" if after else ""
        opened = connect(
            f"{self.origin.replace('https', 'wss')}/api/events{query}",
            ssl=trust,
            origin=Origin(ORIGIN),
            additional_headers={"Cookie": f"__Host-session={cookie}"},
            proxy=None,
            open_timeout=DEATH_S,
            legacy=True,
        )
        self.sockets.append(opened)
        return opened

    def served(self) -> dict[str, int]:
        """How many requests each instance has had, as HAProxy counts them."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self.admin))
            admin.sendall(b"show stat\n")
            text = b"".join(iter(lambda: admin.recv(65_536), b"")).decode()
        head, *lines = text.lstrip("# ").strip().splitlines()
        rows = [dict(zip(head.split(","), line.split(","), strict=False)) for line in lines]
        return {
            row["svname"]: int(row["stot"])
            for row in rows
            if row["pxname"] == "web" and row["svname"].startswith("web_api")
        }


@pytest.fixture(scope="module")
def both(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two instances of one process each, for both tests: the last one ends an instance."""
    settings = Settings(
        public_origin=ORIGIN, domain="ims.example.com", redis_url=redis_url, key_secret="0123456789abcdef" * 2
    )
    run_dir, instances = tmp_path_factory.mktemp("site"), []
    for number in range(2):
        folder = run_dir / f"web{number}"
        folder.mkdir()
        instances.append(started(settings, folder, workers=1))
    https, admin = free_port(), run_dir / "admin.sock"
    (run_dir / "tls").mkdir()
    certificate = make_certificate(run_dir / "tls")
    config = run_dir / "haproxy.cfg"
    config.write_text(
        render_role(
            "haproxy",
            "haproxy.cfg.j2",
            {
                "haproxy_address": LOOPBACK,
                "haproxy_https_port": https,
                "haproxy_http_port": 0,
                "haproxy_certificate": str(certificate),
                "haproxy_web_port": instances[0].port,
                "haproxy_web_more": [f"{LOOPBACK}:{instances[1].port}"],
                "haproxy_client_requests_per_10s": 100_000,
                "haproxy_client_connections_per_10s": 100_000,
                "haproxy_max_connections": 500,
                "haproxy_user": "",
                "haproxy_admin_socket": str(admin),
                "haproxy_log_target": "stderr",
                "haproxy_metrics_port": 0,
            },
        )
    )
    for one in instances:
        one.wait_healthy()
    with (run_dir / "haproxy.log").open("w") as log:
        front = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", str(config)], stderr=log)
    found = Site(f"https://{LOOPBACK}:{https}", certificate, admin, instances)
    try:
        wait_until(admin.exists, "HAProxy", DEATH_S)
        yield found
    finally:
        for process in (front, *(one.process for one in instances)):
            process.terminate()
            process.wait(10)
    for one in instances:
        assert "Traceback" not in one.log.read_text(), one.log.read_text()


@pytest.fixture
def site(both: Site, services: Services) -> Iterator[Site]:
    """They, on an empty Redis where alice has an account."""
    yield both
    for opened in both.sockets:
        opened.close()


def log_in(site: Site) -> str:
    body = {"name": NAME, "password": PASSWORD}
    answer = site.browser().post(f"{site.origin}/api/session", json=body, timeout=5)
    assert answer.status_code == 201, answer.text
    return answer.cookies["__Host-session"]


def tell(store: redis.Redis, call_id: str) -> None:
    event = {
        "type": "call_started",
        "impu": ALICE,
        "call_id": call_id,
        "direction": "to_page",
        "at": time.time(),
    }
    store.xadd(keys.EVENTS, {"json": json.dumps(event)})


def heard(listener: ClientConnection) -> dict[str, Any]:
    """Return the next event; signs of life are passed over."""
    while True:
        event: dict[str, Any] = json.loads(listener.recv(DEATH_S))
        if event["type"] != "position":
            return event


def kill(instance: Server) -> None:
    """End an instance and its processes in the hardest way there is."""
    for pid in process_tree([instance.process.pid]):
        os.kill(pid, signal.SIGKILL)
    instance.process.wait(DEATH_S)


def test_both_serve_one_session(site: Site, store: redis.Redis) -> None:
    cookie = log_in(site)
    before = site.served()
    tokens = []
    for _ in range(6):
        with site.browser(cookie) as browser:  # a connection each, for which HAProxy chooses an instance
            assert browser.get(f"{site.origin}/api/session", timeout=5).json()["name"] == NAME
            tokens.append(browser.post(f"{site.origin}/api/tokens", timeout=5).json()["access_token"])
    after = site.served()
    assert all(after[name] > before[name] for name in before), (before, after)
    assert len({checked(token, store)["sid"] for token in tokens}) == 1
    with site.browser(cookie) as browser:
        assert browser.delete(f"{site.origin}/api/session", timeout=5).status_code == 204
    with site.browser(cookie) as browser:
        assert browser.get(f"{site.origin}/api/session", timeout=5).json() == {"authenticated": False}


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        pytest.param(f"GET /?{'x' * 9000} HTTP/1.1\r\n\r\n", 414, id="address"),
        pytest.param(f"GET / HTTP/1.1\r\nX: {'x' * 9000}\r\n\r\n", 431, id="field"),
        pytest.param("GET / HTTP/1.1\r\nBearer eyJsecret\r\n\r\n", 400, id="no field"),
        pytest.param("eyJsecret\r\n\r\n", 400, id="no request"),
    ],
)
def test_what_is_no_request_gets_a_problem_document_that_repeats_nothing(
    site: Site, request_text: str, status: int
) -> None:
    with socket.create_connection((LOOPBACK, site.instances[0].port), DEATH_S) as connection:
        connection.sendall(request_text.encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert "Content-Type: application/problem+json" in head
    assert json.loads(body)["status"] == status
    assert "eyJsecret" not in answer + site.instances[0].log.read_text()


def test_the_death_of_one_loses_nothing(site: Site, store: redis.Redis) -> None:
    cookie = log_in(site)
    listeners = [site.listen(cookie) for _ in range(2)]  # leastconn: one at each instance
    assert all(json.loads(one.recv(DEATH_S))["type"] == "position" for one in listeners)
    tell(store, "one")
    seqs = [heard(one)["seq"] for one in listeners]
    assert len(set(seqs)) == 1

    statuses: list[int] = []
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.02):
            with site.browser(cookie) as browser:
                statuses.append(browser.get(f"{site.origin}/api/session", timeout=5).status_code)

    reader = threading.Thread(target=read)
    reader.start()
    kill(site.instances[0])
    for number in range(5):
        tell(store, f"while-{number}")
    lost = []
    for one in listeners:
        try:
            while json.loads(one.recv(1.0)).get("call_id") != "while-4":
                pass
        except ConnectionClosed as error:
            lost.append(error)
    assert len(lost) == 1, "one of the two was at the instance that is gone"
    again = site.listen(cookie, seqs[0])
    first = json.loads(again.recv(DEATH_S))
    assert (first["type"], first["gap"]) == ("position", False)
    assert [heard(again)["call_id"] for _ in range(5)] == [f"while-{number}" for number in range(5)]
    with site.browser(cookie) as browser:
        token = browser.post(f"{site.origin}/api/tokens", timeout=5).json()["access_token"]
        assert checked(token, store)["impi"] == "alice@ims.example.com"
    wait_until(lambda: len(statuses) >= 20, "many answers", 30)
    over.set()
    reader.join()
    assert set(statuses) == {200}, "what only reads is asked again of the other instance"

    kill(site.instances[1])
    with site.browser(cookie) as browser:
        answer = browser.get(f"{site.origin}/api/session", timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert (answer.json()["status"], answer.headers["Retry-After"]) == (503, "10")
