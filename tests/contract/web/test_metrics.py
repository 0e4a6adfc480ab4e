"""What Prometheus reads of the web service: all of its processes together, and nobody else reads it."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.web.client import ORIGIN
from tests.contract.web.server import gunicorn
from webapp_api.settings import Settings, SettingsError

SECRET = "m" * 32


def total(text: str, name: str, **labels: str) -> float:
    """Return the sum of what has these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


@pytest.mark.parametrize(
    ("secret", "shown", "status"),
    [
        pytest.param("", f"Bearer {SECRET}", 404, id="not offered"),
        pytest.param(SECRET, "", 401, id="nothing shown"),
        pytest.param(SECRET, f"Bearer {SECRET}x", 401, id="another one"),
        pytest.param(SECRET, "Bearer \xff", 401, id="no ASCII"),
        pytest.param(SECRET, f"Bearer {SECRET}", 200, id="the right one"),
    ],
)
def test_who_may_read(make_app: Callable[..., Flask], secret: str, shown: str, status: int) -> None:
    app = make_app(metrics_secret=secret)
    answer = app.test_client().get("/metrics", base_url=ORIGIN, headers={"Authorization": shown})
    assert answer.status_code == status


def test_a_short_secret_is_refused(make_app: Callable[..., Flask]) -> None:
    with pytest.raises(SettingsError, match="metrics_secret"):
        make_app(metrics_secret="short")


def test_processes_add_up_and_labels_are_words_of_ours(
    settings: Settings, tmp_path: Path, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    with gunicorn(settings, tmp_path, metrics_secret=SECRET) as server:

        def ask(method: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
            line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
            line.request(method, path, headers=headers or {})
            answer = line.getresponse()
            text = answer.read().decode()
            line.close()
            return answer.status, text

        def processes() -> int:
            return len({file.name.rpartition("_")[2] for file in folder.glob("counter_*.db")})

        asked = 0
        with ThreadPoolExecutor(16) as pool:
            while asked < 1600 and processes() < 2:
                found = pool.map(lambda _: ask("GET", "/config.json")[0], range(40))
                assert set(found) == {200}
                asked += 40
        assert processes() == 2
        for number in range(5):
            assert ask("BREW", f"/no/such/page/{number}")[0] in (404, 405)
        status, text = ask("GET", "/metrics", {"Authorization": f"Bearer {SECRET}"})
        assert status == 200
        assert total(text, "webapp_requests_total", endpoint="config.get_config", status="200") == asked
        assert total(text, "webapp_request_seconds_count", endpoint="config.get_config") == asked
        assert total(text, "webapp_requests_total", endpoint="none", method="other") == 5
        assert "/no/such" not in text
        assert "BREW" not in text
