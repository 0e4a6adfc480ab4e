"""schemathesis, its quick form: no server error, no status and no content type that is not described."""

from __future__ import annotations

from pathlib import Path

import redis

from tests.contract.web.fuzz import fuzz, is_logged_in, log_in, offering

SEED = 7
EXAMPLES = 6


def test_nothing_random_breaks_the_interface(redis_url: str, store: redis.Redis, tmp_path: Path) -> None:
    """As a user, then as an operator, who may remove the user; the long form is `python -m tests.contract.web.fuzz`."""
    with offering(redis_url, store, tmp_path) as server:
        for role in ("user", "operator"):
            cookie, folder = log_in(server, store, role), tmp_path / role
            folder.mkdir()
            done = fuzz(server, cookie, folder, examples=EXAMPLES, seed=SEED, phases="fuzzing")
            assert done.returncode == 0, done.stdout + done.stderr
            assert is_logged_in(server, cookie), role
