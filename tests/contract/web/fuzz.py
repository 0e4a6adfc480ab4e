"""schemathesis against the running application: every operation of its own description, as nobody, user and operator.

The long form, on a Redis of its own: `python -m tests.contract.web.fuzz --examples 200` (`--seed`, `--phases`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import click
import redis
import requests

from kemi.state.web.accounts import Account, AccountStore
from tests.contract.web.client import ORIGIN, OWN_FIELDS, PASSWORD
from tests.contract.web.server import Server, gunicorn
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
NOT_TRIED: Final = "deleteSession"
"""A logout would leave nobody to try the rest."""


def settings_on(redis_url: str) -> Settings:
    """Everything offered but a provider of OpenID Connect."""
    return Settings(
        public_origin=ORIGIN, domain="ims.example.com", redis_url=redis_url, key_secret="0123456789abcdef" * 2
    )


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
            *("--exclude-operation-id", NOT_TRIED),
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
            with gunicorn(settings_on(lab.info.redis_url), folder) as server:
                cookie = log_in(server, store, role) if role != "nobody" else ""
                done = fuzz(server, cookie, folder, examples=examples, seed=seed, phases=phases)
                click.echo(f"=== {role}\n{done.stdout}{done.stderr}")
                failed = failed or done.returncode != 0
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
