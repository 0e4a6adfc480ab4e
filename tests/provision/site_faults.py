"""Variables of the pre-flight that stop the play: texts for lists, and machines that do not find each other."""

from typing import Any, Final

from tests.provision.remarks import KAMAILIO

SITE_FAULTS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "text-for-networks": (
        {"the_role": "common", "gateway_core_networks": "192.0.2.0/24"},
        'gateway_core_networks is the text "192.0.2.0/24": name a list, gateway_core_networks: ["192.0.2.0/24"]',
    ),
    "anybody-is-the-core": (
        {**KAMAILIO, "kamailio_sip_address": "192.0.2.10"},
        "gateway_core_networks is empty: whoever reaches port 5060 of anybody-is-the-core would be believed",
    ),
    "anybody-is-the-core-by-stun": (
        {**KAMAILIO, "kamailio_stun_address": "192.0.2.10"},
        "gateway_core_networks is empty: whoever reaches port 5060 of anybody-is-the-core-by-stun",
    ),
    "text-for-ports": (
        {"the_role": "common", "firewall_open_tcp_ports": "8443"},
        'firewall_open_tcp_ports is the text "8443": name a list',
    ),
    "front-without-files": (
        {"the_role": "haproxy", "haproxy_max_connections": 10_000, "haproxy_max_files": 22_299},
        "haproxy_max_files is 22299, and haproxy_max_connections 10000: HAProxy would not start on "
        "front-without-files. It needs 2.2 times as many and 300, 22300",
    ),
    "front-with-just-enough-files": (
        {
            "the_role": "haproxy",
            "haproxy_max_connections": 10_000,
            "haproxy_max_files": 22_300,
            "haproxy_web_address": "192.0.2.20",
        },
        "",
    ),
    "front-without-web": (
        {"the_role": "haproxy"},
        "haproxy_web_address is 127.0.0.1, and front-without-web has no web service (group web)",
    ),
    "web-that-no-front-reaches": (
        {"the_role": "webapp_api", "webapp_api_trusted_proxies": ["192.0.2.10"]},
        "webapp_api_listen_address is 127.0.0.1, and webapp_api_trusted_proxies 192.0.2.10: nobody could log in",
    ),
    "web-that-believes-no-front": (
        {"the_role": "webapp_api", "webapp_api_listen_address": "192.0.2.10"},
        "webapp_api_trusted_proxies empty: nobody could log in",
    ),
    "gateway-without-relay": (
        KAMAILIO,
        "gateway_rtpengine_nodes has 127.0.0.1, and gateway-without-relay has no relay (group media): every call "
        "would get 503. Name those of good-gateway",
    ),
}
"""By machine, its variables and what the play has to say of them."""
GROUPS: Final[dict[str, Any]] = {
    "signalling": {"hosts": {"good-gateway": {}, "gateway-without-relay": {}, "two-without-core": {}}},
    "media": {"hosts": {"good-gateway": {"rtpengine_ims_address": "127.0.0.1"}}},
    "web": {"hosts": {"web-that-no-front-reaches": {}, "web-that-believes-no-front": {}}},
    "redis": {"hosts": {"empty-master": {}, "filled-replica": {}, "renumbered": {}}},
}
"""Of the inventory."""
