"""Relays of the pre-flight that stop the play."""

from typing import Any, Final

RELAY_FAULTS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "open-relay": (
        {"the_role": "rtpengine", "rtpengine_ng_address": "192.0.2.10"},
        "whoever reaches the control port controls all calls",
    ),
    "relay-by-name": (
        {"the_role": "rtpengine", "rtpengine_wic_advertised_address": "media.example.com"},
        "rtpengine_wic_advertised_address is media.example.com, and rtpengine_wic_address 127.0.0.1",
    ),
    "relay-of-two-versions": (
        {"the_role": "rtpengine", "rtpengine_wic_advertised_address": "2001:db8::6"},
        "with another version no page has sound",
    ),
    "deaf-relay": ({"the_role": "rtpengine"}, "no page would hear of the far end's keys"),
    "relay-that-hears-no-page": (
        {
            "the_role": "rtpengine",
            "rtpengine_dtmf_log_dest": "",
            "rtpengine_core_networks": ["198.51.100.0/24"],
        },
        "the packet filter would drop what pages send",
    ),
}
"""By machine, its variables and what the play has to say of them."""
