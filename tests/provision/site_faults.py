"""Variables of the pre-flight that stop the play: texts for lists, and machines that do not find each other."""

from typing import Any, Final

from tests.provision.remarks import KAMAILIO, SECRET

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
    "relays-of-one-gateway": (
        {
            "the_role": "media_agent",
            "media_agent_control_secret": SECRET,
            "media_agent_exclusive_nodes": True,
        },
        "media_agent_exclusive_nodes is true and the group signalling has gateway-without-relay, ",
    ),
    "text-for-tags": (
        {**KAMAILIO, "gateway_contact_tags": "audio"},
        "would be refused: Expected `array`, got `str` - at `$.registration.contact_tags`",
    ),
    "origin-with-a-path": (
        {**KAMAILIO, "gateway_origins": ["https://gateway.example.com/"]},
        "would be refused: origins: https://gateway.example.com/ must be scheme://host or scheme://host:port, without",
    ),
    "realm-that-is-a-uri": (
        {**KAMAILIO, "gateway_realm": "sip:ims.example.com"},
        "would be refused: realm: 'sip:ims.example.com' is no domain",
    ),
    "issuer-with-a-slip": (
        {
            **KAMAILIO,
            "gateway_token_issuers": [{"issuer": "a", "authz_server": "https://a", "audiences": "x"}],
        },
        "gateway_token_issuers.audiences. Supported parameters include: algorithms, audience, ",
    ),
    "release-from-here": (
        {
            "the_role": "common",
            "the_tasks": "preflight_release",
            "common_release_archive": "../webrtc-ims-gateway-0.tar.gz",
        },
        "common_release_archive is ../webrtc-ims-gateway-0.tar.gz: name its whole path",
    ),
    "all-of-its-own": (
        {**KAMAILIO, "gateway_redis_url": "redis://:secret@127.0.0.1:6379/0"},
        "all-of-its-own, sentinels-of-its-own, and gateway_redis_url and gateway_rtpengine_nodes lead each of them to "
        "its own machine",
    ),
    "sentinels-of-its-own": (
        {**KAMAILIO, "gateway_redis_url": "redis+sentinel://:secret@127.0.0.1:26379/gateway"},
        "all-of-its-own, sentinels-of-its-own, and gateway_rtpengine_nodes leads each of them to its own machine",
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
    "signalling": {
        "hosts": {
            "gateway-without-relay": {},
            "two-without-core": {},
            "all-of-its-own": {},
            "sentinels-of-its-own": {},
        }
    },
    "media": {
        "hosts": {
            name: {"rtpengine_ims_address": "127.0.0.1"}
            for name in ("good-gateway", "all-of-its-own", "sentinels-of-its-own")
        }
    },
    "web": {"hosts": {"web-that-no-front-reaches": {}, "web-that-believes-no-front": {}}},
    "redis": {"hosts": {"empty-master": {}, "filled-replica": {}, "renumbered": {}}},
}
"""Of the inventory."""
