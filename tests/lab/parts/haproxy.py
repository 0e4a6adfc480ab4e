"""HAProxy, from its Ansible role: TLS with a self-signed certificate, limits out of the tests' way."""

import socket

from tests.lab.certificate import make_certificate
from tests.lab.ports import LOOPBACK
from tests.lab.site import Site

MAX_CONNECTIONS = 2000


def start(site: Site) -> None:
    config = site.render(
        "haproxy",
        "haproxy.cfg.j2",
        {
            "haproxy_address": LOOPBACK,
            "haproxy_https_port": site.plan.https,
            "haproxy_http_port": 0,
            "haproxy_certificate": str(make_certificate(site.folder("tls"))),
            "haproxy_sip_address": LOOPBACK,
            "haproxy_sip_port": site.plan.gateway_ws,
            "haproxy_web_address": LOOPBACK,
            "haproxy_web_port": site.plan.web_api,
            "haproxy_max_connections": MAX_CONNECTIONS,
            "haproxy_client_connections": MAX_CONNECTIONS,
            "haproxy_client_connections_per_10s": 100 * MAX_CONNECTIONS,
            "haproxy_new_connections_per_s": 0,
            "haproxy_client_requests_per_10s": 100 * MAX_CONNECTIONS,
            "haproxy_client_errors_per_10s": 100 * MAX_CONNECTIONS,
            "haproxy_hsts_max_age_s": 0,
            "haproxy_user": "",
            "haproxy_admin_socket": str(site.run_dir / "haproxy.sock"),
            "haproxy_log_target": "stderr",
            "haproxy_metrics_port": site.plan.metrics,
            "haproxy_metrics_gateway_port": site.plan.gateway_control,
            "haproxy_metrics_gateway_secret": site.control_secret,
            "haproxy_metrics_agent_port": site.plan.agent_metrics,
            "haproxy_metrics_web_secret": site.metrics_secret,
        },
    )
    site.processes.spawn("haproxy", ["/usr/sbin/haproxy", "-db", "-f", str(config)], cwd=site.run_dir)


def ready(site: Site) -> bool:
    chosen = site.options.role_variables.get("haproxy", {})
    address = chosen.get("haproxy_address", LOOPBACK), chosen.get("haproxy_https_port", site.plan.https)
    socket.create_connection(address, 1).close()
    return True
