"""The lab's PSTN as a carrier: a trunk of a gateway that has no IMS core, and the routing table that leads there."""

from collections.abc import Mapping
from typing import Any, Final

from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from kemi.state.web.client import connect
from kemi.state.web.routes import RoutesStore
from tests.lab.ports import LOOPBACK
from tests.lab.services import pstn
from tests.lab.site import Site
from tests.lab.subscribers import REALM, WEB_USERS, Subscriber

TRUNK: Final = "pstn"
DOMAIN: Final = "pstn.test"
ADDRESS: Final = "127.0.0.5"
"""Not the gateway's own: a trunk is known by its address."""
DIDS: Final = f"{pstn.PREFIX}55501"
"""The carrier's numbers that are ours: +1555555010N is webN, and +15555550100 alice."""
NUMBER: Final = f"{pstn.PREFIX}5550200"
"""As long as a number of its country is."""


def variables(site: Site) -> Mapping[str, Any]:
    """Return what the role kamailio is told of a gateway without a core."""
    return {
        "gateway_standalone": True,
        "gateway_registration_schemes": ["bearer"],
        "gateway_media_profiles": [
            {"name": TRUNK, "domains": [], "audio_codecs": ["PCMA", "PCMU"], "core_leg": "trunk-rtp"}
        ],
        "gateway_trunks": [
            {
                "name": TRUNK,
                "uris": [f"sip:{ADDRESS}:{site.plan.pstn}"],
                "domain": DOMAIN,
                "profile": TRUNK,
                "options_s": 30,
            }
        ],
    }


def did_of(subscriber: Subscriber) -> str:
    """Return the telephone number of a web user at the carrier, "" without one."""
    names = ("alice", *(f"web{i}" for i in range(1, WEB_USERS + 1)))
    return f"{DIDS}{names.index(subscriber.name):02d}" if subscriber.name in names else ""


def load_table(site: Site) -> None:
    """Route the carrier's numbers to it, as `gwctl routes load` does."""
    RoutesStore(connect(f"redis://{LOOPBACK}:{site.plan.redis}/0")).put(
        RoutingDocument(
            routes=[
                Route("carrier", f"{pstn.PREFIX}*", Target.TRUNK, name=TRUNK, realm=REALM),
                Route("ours", f"{DIDS}*", Target.CORE, realm=f"trunk:{TRUNK}"),
            ],
            plans={REALM: DialPlan(country="US")},
            trunk_groups={TRUNK: [TRUNK]},
        )
    )
