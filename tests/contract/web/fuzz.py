"""schemathesis against the running application: every operation of its own description, as nobody, user and operator.

The long form, on a Redis of its own: `python -m tests.contract.web.fuzz --examples 200` (`--seed`, `--phases`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import redis
import requests

from kemi.state.web.accounts import Account, AccountStore
from kemi.state.web.nodes import NodesView
from tests.contract.web.client import ORIGIN, OWN_FIELDS, PASSWORD
from tests.contract.web.server import Server, gunicorn
from tests.contract.web.test_gwctl_views import write_gateway
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from webapp_api.passwords import password_hash
from webapp_api.settings import Settings

CHECKS: Final = ",".join(
    (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "unsupported_method",
    )
)
ROLES: Final = ("nobody", "user", "operator")
NOT_TRIED: Final = ("deleteSession", "postLeases")
"""They end the session, and would leave nobody to try the rest."""
POOL: Final = [
    {"impi": f"guest{n}@ims.example.com", "impus": [f"sip:guest{n}@ims.example.com"]} for n in range(9)
]

NODE: Final = "192.0.2.1:2223"


def settings_on(redis_url: str) -> Settings:
    """Accounts and nothing else."""
    return Settings(
        public_origin=ORIGIN, domain="ims.example.com", redis_url=redis_url, key_secret="0123456789abcdef" * 2
    )


@contextmanager
def offering(redis_url: str, store: redis.Redis, folder: Path) -> Iterator[Server]:
    """A server with everything but a provider of OpenID Connect; a drained relay node of a gateway that is silent."""
    write_gateway(store, "gw1", time.time() - 60, node=NODE)
    NodesView(store).drain(NODE, True)
    with gunicorn(settings_on(redis_url), folder, guest_login=True, identity_pool=POOL) as server:
        yield server


def is_logged_in(server: Server, cookie: str) -> bool:
    """Whether a session has outlived what was tried with it: without one all answers were 401."""
    url, headers = f"http://127.0.0.1:{server.port}/api/session", {"Cookie": f"__Host-session={cookie}"}
    return requests.get(url, headers=headers, timeout=5).json()["authenticated"] is True


def log_in(server: Server, store: redis.Redis, role: str) -> str:
    """Return the cookie of somebody with this role."""
    account = Account(
        name=role,
        password_hash=password_hash(PASSWORD),
        impi="alice@ims.example.com",
        impus=["sip:alice@ims.example.com"],
        operator=role == "operator",
    )
    AccountStore(store).put(account)
    url = f"http://127.0.0.1:{server.port}/api/session"
    answer = requests.post(url, json={"name": role, "password": PASSWORD}, headers=OWN_FIELDS, timeout=5)
    assert answer.status_code == 201, answer.text
    return answer.cookies["__Host-session"]


def fuzz(
    server: Server, cookie: str, folder: Path, *, examples: int, seed: int, phases: str
) -> subprocess.CompletedProcess[str]:
    """Try every operation; the output says what was wrong, and how to send it again."""
    headers = OWN_FIELDS | ({"Cookie": f"__Host-session={cookie}"} if cookie else {})
    url = f"http://127.0.0.1:{server.port}"
    return subprocess.run(
        [
            *(
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                f"{url}/api/openapi.json",
                "--url",
                url,
            ),
            *(option for name, value in headers.items() for option in ("--header", f"{name}: {value}")),
            *("--checks", CHECKS, "--phases", phases, "--max-examples", str(examples), "--seed", str(seed)),
            *(
                "--generation-database",
                "none",
                "--no-color",
                "--continue-on-failure",
                "--request-timeout",
                "10",
            ),
            *("--warnings", "off", "--suppress-health-check", "all", "--workers", "2"),
            *("--generation-with-security-parameters", "false"),
            *(option for name in NOT_TRIED if cookie for option in ("--exclude-operation-id", name)),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@click.command()
@click.option("--examples", default=200, show_default=True, help="Of each operation.")
@click.option("--seed", default=1, show_default=True)
@click.option("--phases", default="examples,coverage,fuzzing", show_default=True)
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, default=ROLES)
def main(examples: int, seed: int, phases: str, roles: tuple[str, ...]) -> None:
    """Print what schemathesis found; fail when it found something."""
    failed = False
    with Lab(LabOptions(parts=frozenset({Part.REDIS}))) as lab:
        store = redis.Redis.from_url(lab.info.redis_url, decode_responses=True)
        for role in roles:
            folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
            with offering(lab.info.redis_url, store, folder) as server:
                cookie = log_in(server, store, role) if role != "nobody" else ""
                done = fuzz(server, cookie, folder, examples=examples, seed=seed, phases=phases)
                click.echo(f"=== {role}\n{done.stdout}{done.stderr}")
                failed = failed or done.returncode != 0 or bool(cookie and not is_logged_in(server, cookie))
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
