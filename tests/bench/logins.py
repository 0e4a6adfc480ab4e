"""What a web login costs: `python -m tests.bench.logins`.

The real HTTP server with the settings of production and one process, a real Redis, pages on kept connections as the TLS
front has them. CPU time of the server is what counts, because that is what the bar is about. Passwords are compared
without argon2, whose cost is said beside it.  `--profile` says where the time goes, in this process.
"""

from __future__ import annotations

import cProfile
import http.client
import json
import pstats
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import click
import msgspec
import redis

from kemi.state.web.accounts import Account, AccountStore
from kemi.state.web.sessions import LoginMethod, Session, SessionStore
from tests.bench.cpu import calibrate, tree_cpu_s
from tests.bench.rows import Row, hand_over
from tests.contract.web.client import ORIGIN, OWN_FIELDS, PASSWORD
from tests.contract.web.server import Server, gunicorn
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.waiting import wait_until
from webapp_api import create_app
from webapp_api.passwords import password_fits, password_hash
from webapp_api.settings import Settings

CONFIG: Final = "tests.bench.logins_config"
BAR_PER_S: Final = 300.0
PAGES: Final = 8
TOKENS_EACH: Final = 50
"""Of one session, which may have 60 in a minute."""


@dataclass
class Cost:
    """Of one kind of request."""

    requests: int
    cpu_us: float
    """Of the server's processes, for each."""
    redis_us: float
    wall_s: float

    def to_text(self, name: str) -> str:
        """One line."""
        return (
            f"{name:5} {self.cpu_us:6.0f} µs CPU each ({1e6 / self.cpu_us:.0f}/s and core),"
            f" Redis {self.redis_us:.0f} µs; {self.requests / self.wall_s:.0f}/s here"
        )


class Page:
    """A kept connection and a cookie."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self.cookie = ""

    def post(self, path: str, body: dict[str, str] | None = None) -> int:
        """Send a request; keep a new cookie."""
        headers = {**OWN_FIELDS, "X-Forwarded-Proto": "https"}
        if self.cookie:
            headers["Cookie"] = f"__Host-session={self.cookie}"
        data = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request("POST", path, data, headers)
        response = self._connection.getresponse()
        response.read()
        given = response.headers.get("Set-Cookie", "")
        if given.startswith("__Host-session="):
            self.cookie = given.partition("=")[2].partition(";")[0]
        return response.status


def settings_on(redis_url: str) -> Settings:
    """Those of production, as far as they have defaults."""
    return Settings(
        public_origin=ORIGIN, domain="ims.example.com", redis_url=redis_url, key_secret="0123456789abcdef" * 2
    )


def secret_of(number: int) -> str:
    """Return the cookie of a session."""
    return f"{number:043}"


def populate(store: redis.Redis, sessions: int) -> None:
    """Make accounts, and sessions as a login makes them, each of another person."""
    hashed = password_hash(PASSWORD)
    accounts, kept, now = AccountStore(store), SessionStore(store, 3600), time.time()
    for number in range(PAGES):
        impi = f"user{number}@ims.example.com"
        accounts.put(Account(name=f"user{number}", password_hash=hashed, impi=impi, impus=[f"sip:{impi}"]))
    session = Session(
        sid="", method=LoginMethod.PASSWORD, name="user0", impi="user0@ims.example.com",
        impus=["sip:user0@ims.example.com", "tel:+15550100"], expires_at=now + 3600,
    )  # fmt: skip
    for number in range(sessions):
        own = msgspec.structs.replace(session, sid=f"sid{number}", name=f"user{number}")
        kept.begin(secret_of(number), own, now)


def measure(
    server: Server, redis_pid: int, each: int, work: Callable[[Page, int, int], int], good: int
) -> Cost:
    """Let all pages send so many requests; each must be answered with ``good``."""
    pages, wrong = [Page(server.port) for _ in range(PAGES)], []

    def run(number: int, count: int) -> None:
        for turn in range(count):
            status = work(pages[number], number, turn)
            if status != good:
                wrong.append(status)

    def all_run(count: int) -> None:
        threads = [threading.Thread(target=run, args=(number, count)) for number in range(PAGES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    all_run(2)
    cpu, of_redis, began = tree_cpu_s([server.process.pid]), tree_cpu_s([redis_pid]), time.perf_counter()
    all_run(each)
    wall_s = time.perf_counter() - began
    requests = each * PAGES
    cpu, of_redis = tree_cpu_s([server.process.pid]) - cpu, tree_cpu_s([redis_pid]) - of_redis
    assert not wrong, f"{len(wrong)} of {requests} were refused: {set(wrong)}"
    return Cost(requests, cpu / requests * 1e6, of_redis / requests * 1e6, wall_s)


def hash_us() -> float:
    """Return the CPU time of one password's check."""
    hashed, costs = password_hash(PASSWORD), []
    for _ in range(20):
        began = time.process_time()
        password_fits(hashed, PASSWORD)
        costs.append((time.process_time() - began) * 1e6)
    return median(costs)


def profile(redis_url: str, requests: int) -> None:
    """Print where the time of a token goes."""
    client = create_app(settings_on(redis_url)).test_client()
    client.set_cookie("__Host-session", secret_of(0), domain="gateway.example.com")
    with cProfile.Profile(time.process_time) as found:
        for _ in range(requests):
            assert client.post("/api/tokens", base_url=ORIGIN, headers=OWN_FIELDS).status_code == 200
    pstats.Stats(found).sort_stats("cumulative").print_stats(45)


@click.command()
@click.option("--each", default=400, show_default=True, help="Tokens that each of eight pages asks for.")
@click.option("--profile", "profiled", is_flag=True, help="Say where the time of a token goes instead.")
@click.option("--strict", is_flag=True, help="Fail when the bar is broken.")
def main(each: int, profiled: bool, strict: bool) -> None:
    """Print what tokens and logins cost."""
    machine = calibrate()
    click.echo(machine.to_text())
    with Lab(LabOptions(parts=frozenset({Part.REDIS}))) as lab:
        store = redis.Redis.from_url(lab.info.redis_url, decode_responses=True)
        redis_pid = int(store.info()["process_id"])
        populate(store, PAGES * (each // TOKENS_EACH + 1))
        settings = settings_on(lab.info.redis_url)
        folder = Path(tempfile.mkdtemp(prefix="logins-"))
        with gunicorn(settings, folder, config=CONFIG, workers=1) as server:

            def token(page: Page, number: int, turn: int) -> int:
                page.cookie = secret_of(number + PAGES * (turn // TOKENS_EACH))
                return page.post("/api/tokens")

            def login(page: Page, number: int, _: int) -> int:
                page.cookie = ""
                return page.post("/api/session", {"name": f"user{number}", "password": PASSWORD})

            if profiled:
                profile(lab.info.redis_url, TOKENS_EACH)
                return
            first = Page(server.port)
            first.cookie = secret_of(PAGES * (each // TOKENS_EACH))
            wait_until(lambda: first.post("/api/tokens") == 200, "a signing key", 10)
            tokens = measure(server, redis_pid, each, token, 200)
            logins = measure(server, redis_pid, each, login, 201)
    click.echo(tokens.to_text("token"))
    click.echo(logins.to_text("login"))
    whole_us = tokens.cpu_us + logins.cpu_us
    click.echo(f"login and token: {whole_us:.0f} µs, {1e6 / whole_us:.0f}/s and core, bar {BAR_PER_S:.0f}/s")
    click.echo(f"beside it: argon2 {hash_us():.0f} µs")
    note = f"token {tokens.cpu_us:.0f} µs, login {logins.cpu_us:.0f} µs of CPU"
    hand_over("logins", [Row.of("login.rate", 1e6 / whole_us, note=note)], machine=machine)
    if strict and 1e6 / whole_us < BAR_PER_S:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
