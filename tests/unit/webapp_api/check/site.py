"""The configuration files of a node that is right, as the roles render them."""

from __future__ import annotations

from typing import Final

from tests.lab.roles import render_role

SECRET: Final = "0123456789abcdef0123456789abcdef"
REALM: Final = "ims.example"
ORIGIN: Final = "https://gw.example"


def good_files() -> dict[str, str]:
    """Return them by name."""
    gateway = {
        "gateway_realm": REALM,
        "gateway_origins": [ORIGIN],
        "gateway_flow_secret": SECRET,
        "gateway_control_secret": SECRET,
        "kamailio_sip_address": "192.0.2.1",
        "gateway_core_networks": ["192.0.2.0/24"],
        "gateway_peers": ["192.0.2.9"],
        "gateway_registration_schemes": ["digest", "bearer"],
        "gateway_token_issuers": [{"issuer": ORIGIN, "authz_server": f"{ORIGIN}/"}],
        "gateway_media_profiles": [{"name": "pstn", "audio_codecs": ["PCMA"], "domains": ["pstn.example"]}],
        "gateway_trunks": [{"name": "carrier-a", "uris": ["sip:192.0.2.7:5060"], "profile": "pstn"}],
    }
    web = {
        "webapp_api_public_origin": ORIGIN,
        "webapp_api_domain": REALM,
        "webapp_api_stun_servers": ["192.0.2.1:5060"],
        "webapp_api_key_secret": SECRET,
        "webapp_api_listen_port": 8000,
    }
    agent = {"media_agent_control_secret": SECRET, "media_agent_dtmf_port": 2225}
    relay = {"rtpengine_wic_address": "192.0.2.1", "rtpengine_ims_address": "192.0.2.2"}
    return {
        "gateway.toml": render_role("kamailio", "gateway.toml.j2", gateway),
        "webapp_api.toml": render_role("webapp_api", "webapp_api.toml.j2", web),
        "media_agent.toml": render_role("media_agent", "media_agent.toml.j2", agent),
        "rtpengine.conf": render_role(
            "rtpengine", "rtpengine.conf.j2", {**relay, "rtpengine_dtmf_log_dest": "127.0.0.1:2225"}
        ),
        "haproxy.cfg": render_role(
            "haproxy", "haproxy.cfg.j2", {"haproxy_certificate": "/dev/null", "haproxy_web_port": 8000}
        ),
        "redis.conf": render_role("redis", "redis.conf.j2", {}),
    }
