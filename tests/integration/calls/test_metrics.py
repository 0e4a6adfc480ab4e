"""What Prometheus reads of a gateway is what happened there."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kemi.core.metrics import catalogue as series
from kemi.core.metrics.catalogue import CATALOGUE
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import BOB, Stage, gateway_options, until
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.ports import LOOPBACK
from tests.peers.core_script import rejects, silent

pytestmark = pytest.mark.lab

GAUGES_S = 6.0


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """With Redis, one of whose states is measured."""
    options = gateway_options()
    with Lab(replace(options, parts=options.parts | {Part.REDIS})) as lab:
        yield lab


def node_of(stage: Stage) -> str:
    """Return the relay's name."""
    relay = stage.lab.info.rtpengine
    return f"{relay.ng_address}:{relay.ng_port}"


class Measured:
    """What one question found: (name, labels) -> value."""

    def __init__(self, stage: Stage) -> None:
        gateway = stage.lab.info.gateway
        line = http.client.HTTPConnection(LOOPBACK, gateway.control_port, timeout=5)
        line.request("GET", "/metrics", headers={"Authorization": f"Bearer {gateway.control_secret}"})
        answer = line.getresponse()
        assert (answer.status, answer.getheader("Content-Type")) == (
            200,
            "text/plain; version=0.0.4; charset=utf-8",
        )
        self.text = answer.read().decode()
        line.close()
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.families = set()
        for family in text_string_to_metric_families(self.text):
            self.families.add(family.name)
            for sample in family.samples:
                self.samples[sample.name, frozenset(sample.labels.items())] = sample.value

    def of(self, name: str, **labels: Any) -> float:
        """Return the sum of what has these labels."""
        wanted = {(key, str(value)) for key, value in labels.items()}
        return sum(value for (one, has), value in self.samples.items() if one == name and wanted <= has)


async def test_calls_and_what_they_took_are_counted(stage: Stage) -> None:
    before = Measured(stage)
    page = await stage.page()
    call = await stage.answered(page)
    await call.hang_up()
    stage.core.script = rejects(486)
    refused = await page.invite(BOB, AUDIO)
    await refused.wait_status(486)

    def counted() -> bool:
        now = Measured(stage)
        calls = [
            now.of(series.CALLS.name, result=result) - before.of(series.CALLS.name, result=result)
            for result in ("answered", "refused")
        ]
        return [*calls, now.of(series.REGISTERED.name) - before.of(series.REGISTERED.name)] == [1, 1, 1]

    await until(counted, lambda: Measured(stage).text, GAUGES_S)
    now = Measured(stage)

    def more(name: str, **labels: Any) -> float:
        return now.of(name, **labels) - before.of(name, **labels)

    assert more(series.CALLS_STARTED.name, direction="from_page") == 2
    assert more(series.CALLS.name, result="answered", by="page", cause="hung up", status=200) == 1
    assert more(series.CALLS.name, result="refused", by="core", cause="refused", status=486) == 1
    assert more(f"{series.SETUP.name}_count", stage="answered") == 1
    assert 0 < more(f"{series.SETUP.name}_sum", stage="answered") < 5
    assert more(f"{series.DURATION.name}_count") == 1
    assert more(f"{series.RELAY.name}_count", node=node_of(stage)) >= 2
    assert more(series.MEDIA.name, medium="audio") == 1
    assert more(series.SILENT.name, medium="audio", leg="wic") == 1  # scripted: no media
    assert now.of(series.SIP_REQUESTS.name) > before.of(series.SIP_REQUESTS.name) > 0


async def test_what_is_there_at_the_moment_and_what_was_refused(stage: Stage) -> None:
    page = await stage.page()
    before = Measured(stage)
    call = await stage.answered(page)
    refused = await page.invite(BOB, "v=0\r\n")
    await refused.wait_status(400)
    await until(
        lambda: Measured(stage).of(series.CALLS_RUNNING.name) == 1, lambda: Measured(stage).text, GAUGES_S
    )
    now = Measured(stage)
    assert now.of(series.BINDINGS.name) >= 1
    assert now.of(series.CONNECTIONS.name) >= 1
    assert now.of(series.RELAY_UP.name, node=node_of(stage)) == 1
    assert now.of(series.RELAY_TAKES.name, node=node_of(stage)) == 1
    assert now.of(series.REDIS_UP.name) == 1
    assert now.of(series.SHARED_MEMORY.name, state="used") > 1_000_000
    assert now.of(f"{series.TICK.name}_count") > before.of(f"{series.TICK.name}_count")
    assert now.of(series.REFUSED.name) == before.of(series.REFUSED.name) + 1
    assert now.of(series.INFO.name) == 1
    # Every family is one of the table, and nothing of the call or its parties is in any label.
    assert {name.removesuffix("_total") for name in CATALOGUE} >= now.families
    assert "sip:" not in now.text
    assert call.call_id not in now.text
    await call.hang_up()


async def test_a_core_that_is_dead_is_seen(stage: Stage) -> None:
    page = await stage.page()
    before = Measured(stage)
    stage.core.script = silent()
    refused = await page.invite(BOB, AUDIO)
    await refused.wait_status(504)

    def failed(now: Measured) -> float:
        return now.of(series.CALLS.name, result="failed", by="gateway", cause="no response", status=504)

    await until(lambda: failed(Measured(stage)) == failed(before) + 1, lambda: Measured(stage).text, GAUGES_S)
    labels = {"method": "INVITE", "status": 504}
    assert Measured(stage).of(series.REFUSED.name, **labels) == before.of(series.REFUSED.name, **labels) + 1
