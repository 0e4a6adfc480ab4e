"""schemathesis, its quick form: no server error, no status and no content type that is not described."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import redis

from tests.contract.web.fuzz import fuzz, log_in, settings_on
from tests.contract.web.server import gunicorn

SEED = 7
EXAMPLES = 6


def test_nothing_random_breaks_the_interface(redis_url: str, store: redis.Redis, tmp_path: Path) -> None:
    """As a user and as an operator, side by side; the long form is `python -m tests.contract.web.fuzz`."""
    with gunicorn(settings_on(redis_url), tmp_path) as server:
        cookies = {role: log_in(server, store, role) for role in ("user", "operator")}

        def run(role: str) -> str:
            folder = tmp_path / role
            folder.mkdir()
            done = fuzz(server, cookies[role], folder, examples=EXAMPLES, seed=SEED, phases="fuzzing")
            return "" if done.returncode == 0 else done.stdout + done.stderr

        with ThreadPoolExecutor(2) as threads:
            found = [text for text in threads.map(run, cookies) if text]
    assert not found, "\n".join(found)
