"""Prometheus reads web services on machines without HAProxy: it asks them, and their packet filter lets it."""

from typing import Any

import pytest
import yaml

from tests.lab.roles import render_role

SECRET = "0123456789abcdef0123456789abcdef"
PROMETHEUS, FRONT = "192.0.2.50", "198.51.100.11"


def _jobs(**variables: Any) -> dict[str, Any]:
    text = render_role(
        "monitoring",
        "prometheus.yml.j2",
        {
            "monitoring_gateways": ["sig1"],
            "monitoring_webs": [],
            "monitoring_webs_alone": ["web1", "2001:db8::7"],
        }
        | variables,
    )
    return {job["job_name"]: job for job in yaml.safe_load(text)["scrape_configs"]}


def test_a_web_node_without_haproxy_is_asked_itself_and_shown_the_secret() -> None:
    job = _jobs(monitoring_web_secret=SECRET, monitoring_web_port=8001)["webapp_api_alone"]
    assert job["authorization"]["credentials_file"] == "/etc/prometheus/webapp_api.secret"
    assert [(one["targets"], one["labels"]) for one in job["static_configs"]] == [
        (["web1:8001"], {"instance": "web1", "job": "webapp_api"}),
        (["[2001:db8::7]:8001"], {"instance": "2001:db8::7", "job": "webapp_api"}),
    ]
    assert SECRET not in str(job)


def test_nobody_asks_without_a_secret() -> None:
    assert "webapp_api_alone" not in _jobs()


@pytest.mark.parametrize(
    ("fronts", "sources", "secret", "rules"),
    [
        ([FRONT], [PROMETHEUS], SECRET, [f"ip saddr {{ {FRONT}, {PROMETHEUS} }} tcp dport 8000 accept"]),
        ([FRONT], [PROMETHEUS], "", [f"ip saddr {{ {FRONT} }} tcp dport 8000 accept"]),
        ([], [PROMETHEUS], SECRET, [f"ip saddr {{ {PROMETHEUS} }} tcp dport 8000 accept"]),
        ([], [], SECRET, []),
    ],
    ids=["both", "no figures", "Prometheus alone", "nobody"],
)
def test_the_packet_filter_of_a_web_node_lets_prometheus_in(
    fronts: list[str], sources: list[str], secret: str, rules: list[str]
) -> None:
    text = render_role(
        "firewall",
        "gateway.nft.j2",
        {
            "firewall_signalling": False,
            "firewall_media": False,
            "firewall_redis": False,
            "firewall_web": True,
            "firewall_sip_networks": [],
            "firewall_trunk_hops": [],
            "firewall_gateway_networks": fronts,
        },
        webapp_api_listen_address="198.51.100.31",
        webapp_api_listen_port=8000,
        webapp_api_metrics_secret=secret,
        haproxy_metrics_sources=sources,
    )
    assert [line.strip() for line in text.splitlines() if "8000" in line] == rules
