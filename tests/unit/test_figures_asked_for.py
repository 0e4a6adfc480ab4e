"""Alert rules, their tests and dashboards ask for series, labels and buckets that our programs have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

import pytest
import yaml
from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from kemi.core.metrics.catalogue import CATALOGUE
from rtpengine.agent import metrics as of_agent
from tests.lab.roles import ROLES
from webapp_api import metrics as of_web

FILES: Final = ROLES / "monitoring" / "files"
OURS: Final = r"(?<!\")\b((?:gateway|webapp|media_agent)_\w+)"
OF_PROMETHEUS: Final = frozenset({"instance", "job"})


def queries() -> Iterator[str]:
    """Return what dashboards and alert rules ask for, and the series that tests of the rules are made of."""
    for dashboard in sorted((FILES / "dashboards").glob("*.json")):
        for panel in json.loads(dashboard.read_text())["panels"]:
            yield from (target["expr"] for target in panel.get("targets", ()))
    for group in yaml.safe_load((FILES / "gateway.rules.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for test in yaml.safe_load((FILES / "gateway.rules.test.yml").read_text())["tests"]:
        yield from (one["series"] for one in test["input_series"])


def declared() -> dict[str, tuple[set[str], set[str]]]:
    """Return the labels of every series of our programs, and the bounds of its buckets."""
    found: dict[str, tuple[set[str], set[str]]] = {}

    def add(name: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> None:
        if bounds:
            found[f"{name}_bucket"] = ({*labels, "le"}, {*map(repr, bounds), "+Inf"})
            found[f"{name}_count"] = found[f"{name}_sum"] = (set(labels), set())
        else:
            found[name] = (set(labels), set())

    for metric in CATALOGUE.values():
        add(metric.name, metric.labels, metric.buckets)
    for module in (of_agent, of_web):
        for one in vars(module).values():
            if isinstance(one, MetricWrapperBase):
                ending = "_total" if isinstance(one, Counter) else ""
                bounds = tuple(one._upper_bounds[:-1]) if isinstance(one, Histogram) else ()
                add(one._name + ending, tuple(one._labelnames), bounds)
    return found


def unknown(query: str) -> set[str]:
    """Return what a query asks for that no program of ours has; what others have, as HAProxy, is not judged."""
    known, wrong, has = declared(), set(), set(OF_PROMETHEUS)
    for name, selector in re.findall(OURS + r"(?:\{([^}]*)\})?", query):
        labels, bounds = known.get(name, (set(), set()))
        asked = dict(re.findall(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"', selector))
        wrong |= ({name} - known.keys()) | (asked.keys() - labels - OF_PROMETHEUS)
        wrong |= {asked[one] for one in asked.keys() & {"le"}} - bounds
        has |= labels
    lists = re.findall(r"\b(?:by|on|ignoring) ?\(([^)]*)\)", query) if re.search(OURS, query) else []
    return wrong | ({one for names in lists for one in names.split(", ")} - has)


def test_there_is_something_to_look_at() -> None:
    ours = [query for query in queries() if re.search(OURS, query)]
    assert len(ours) > 100
    assert any('le="' in query for query in ours)


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_programs_have_what_is_asked_for(query: str) -> None:
    assert unknown(query) == set()


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("gateway_relay_ups == 0", {"gateway_relay_ups"}),
        ("rate(gateway_relay_seconds[5m])", {"gateway_relay_seconds"}),
        ('rate(gateway_calls_total{outcome="failed",instance=~"a"}[5m])', {"outcome"}),
        ('sum by (status) (rate(webapp_requests_total{codes=~"5.."}[5m]))', {"codes"}),
        ("sum by (instance, nodes) (gateway_relay_up)", {"nodes"}),
        ("min by(relay) (media_agent_node_up)", {"relay"}),
        ('gateway_relay_seconds_bucket{node="r1",le="0.3"}', {"0.3"}),
        ('media_agent_ping_seconds_bucket{le="0.3"}', {"0.3"}),
    ],
)
def test_what_no_program_has_is_seen(query: str, wrong: set[str]) -> None:
    assert unknown(query) == wrong
