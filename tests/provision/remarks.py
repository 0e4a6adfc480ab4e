"""Machines of the pre-flight of which something is said that stops no play."""

from typing import Any, Final

SECRET: Final = "0123456789abcdef0123456789abcdef"
KAMAILIO: Final = {
    "the_role": "kamailio",
    "gateway_flow_secret": SECRET,
    "gateway_control_secret": SECRET,
    "kamailio_core_check": False,
    "common_redis_check": False,
}
TOLD: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "trunk-that-is-not-heard": (
        {
            "the_role": "rtpengine",
            "rtpengine_dtmf_log_dest": "",
            "rtpengine_ims_address": "192.0.2.10",
            "rtpengine_core_networks": ["198.51.100.0/24"],
            "gateway_trunks": [
                {"name": "inside", "uris": ["sip:198.51.100.7"]},
                {"name": "carrier-a", "uris": ["sip:203.0.113.10:5060"], "networks": ["203.0.113.0/24"]},
                {"name": "carrier-b", "uris": ["sip:203.0.113.99"]},
            ],
        },
        "does not have: carrier-a (203.0.113.0/24), carrier-b (203.0.113.99).",
    ),
    "relay-that-nobody-is-told-of": (
        {
            "the_role": "rtpengine",
            "rtpengine_dtmf_log_dest": "",
            "gateway_rtpengine_nodes": [{"address": "192.0.2.99", "port": "2223", "version": "10.5"}],
        },
        "No signalling node is told of 127.0.0.1:2223, where relay-that-nobody-is-told-of listens: "
        "gateway_rtpengine_nodes has 192.0.2.99:2223.",
    ),
    "relay-behind-nat": (
        {
            "the_role": "rtpengine",
            "the_address": "10.0.0.6",
            "rtpengine_dtmf_log_dest": "",
            "rtpengine_wic_address": "10.0.0.6",
        },
        "rtpengine_wic_address is 10.0.0.6, a private address, and rtpengine_wic_advertised_address is empty",
    ),
    "relay-that-the-core-does-not-reach": (
        {
            "the_role": "rtpengine",
            "the_address": "10.0.0.6",
            "kamailio_sip_address": "203.0.113.1",
            "rtpengine_dtmf_log_dest": "",
            "rtpengine_wic_address": "10.0.0.6",
            "rtpengine_wic_advertised_address": "203.0.113.6",
            "rtpengine_ims_address": "10.0.0.6",
        },
        "rtpengine_ims_address is 10.0.0.6, a private address, and kamailio_sip_address 203.0.113.1 is public",
    ),
    "trunk-behind-nat": (
        {
            **KAMAILIO,
            "the_address": "10.0.0.5",
            "kamailio_sip_address": "10.0.0.5",
            "gateway_core_networks": ["10.0.0.0/8"],
            "gateway_icscf_uris": ["sip:10.0.0.7:4060"],
            "gateway_trunks": [
                {
                    "name": "inside",
                    "uris": ["sip:172.16.9.9", "sip:carrier.example"],
                    "networks": ["172.16.9.0/24"],
                },
                {"name": "carrier-a", "uris": ["sip:203.0.113.10:5060;transport=tcp"]},
            ],
        },
        "a private address, and core or trunks have public ones: 203.0.113.10. ",
    ),
    "variables-that-no-role-knows": (
        {
            "the_role": "common",
            "gateway_denied_number": ["0900"],
            "gateway_digits_by_info": True,
            "gateway_public_name": "gateway.example.com",
            "site_own": True,
        },
        "No role knows gateway_denied_number (perhaps gateway_denied_numbers), gateway_digits_by_info of ",
    ),
}
"""What is said, and stops nothing."""
