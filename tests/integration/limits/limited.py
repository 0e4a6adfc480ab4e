"""What the tests of this folder play on: a gateway with small limits, and users who share nothing with each other."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any, Final

from tests.integration.registration.registering import RegistrationStage, registration_options
from tests.lab.lab import Lab
from tests.lab.options import LabOptions
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.subscribers import REALM
from tests.peers.digest import Credentials
from tests.peers.sip import CSeq, Headers, SipRequest, SipResponse, new_tag
from tests.peers.trace import DEFAULT_WAIT_S
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import OutgoingCall

CORE_PORT: Final = own_port()
BURST_S: Final = 2
CONNECTION: Final = {"register": 2, "invite": 1, "in_call": 5, "other": 2}
IDENTITY: Final = {"register": 0, "invite": 1, "in_call": 0, "other": 0}
ADDRESS: Final = {"register": 3, "invite": 0, "in_call": 0, "other": 0}
CALLS: Final = 3
FAILED_IDENTITY: Final = 3
FAILED_ADDRESS: Final = 5
LOCK_S: Final = 6
LONGEST_CALL_S: Final = 10


def limited_options(**variables: Any) -> LabOptions:
    """Return a lab of gateway, relay and Redis whose limits are soon met."""
    own = {
        "gateway_icscf_uris": [f"sip:{LOOPBACK}:{CORE_PORT}"],
        "gateway_unregistered_timeout_s": 30,
        "gateway_ims_answer_timeout_s": 20,
        "gateway_limits_burst_s": BURST_S,
        "gateway_limits_connection": CONNECTION,
        "gateway_limits_identity": IDENTITY,
        "gateway_limits_address": ADDRESS,
        "gateway_calls_per_identity": CALLS,
        "gateway_failed_logins_per_identity": FAILED_IDENTITY,
        "gateway_failed_logins_per_address": FAILED_ADDRESS,
        "gateway_failed_logins_window_s": 600,
        "gateway_login_lock_s": LOCK_S,
        "gateway_hide_users": False,  # refusals of the core are seen as they are
        "gateway_denied_numbers": ["+1900", "0900"],
        "gateway_longest_call_s": LONGEST_CALL_S,
        "gateway_overload_control": False,
    }
    return registration_options(**{**own, **variables})


_numbers = itertools.count(1)


class LimitedStage(RegistrationStage):
    """One test's world: what earlier tests have used up is not missing here."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, CORE_PORT)
        self.user = f"user{next(_numbers)}"
        self.address = self.new_address()
        self.core.registrar = replace(self.core.registrar, associated_uris=(self.aor,))

    @property
    def aor(self) -> str:
        """This test's user."""
        return f"sip:{self.user}@{REALM}"

    @staticmethod
    def new_address() -> str:
        """Return a client address nobody has used yet."""
        return f"203.0.113.{next(_numbers)}"

    async def own_page(
        self,
        *,
        address: str = "",
        aor: str = "",
        password: str = "",
        registered: bool = True,
    ) -> ScriptedWic:
        """Connect a page of this test's user, or of somebody else, from this test's address or another."""
        handshake = replace(self.handshake, forwarded_for=address or self.address)
        user = aor or self.aor
        credentials = Credentials(user.removeprefix("sip:"), password) if password else None
        page = ScriptedWic(handshake, WicIdentity(user, credentials=credentials))
        return await self.join(page, registered=registered)

    def with_password(self, aor: str = "", password: str = "right") -> None:
        """Let the core ask for a password."""
        user = (aor or self.aor).removeprefix("sip:")
        self.core.registrar = replace(
            self.core.registrar,
            credentials=Credentials(user, password),
            associated_uris=(aor or self.aor,),
        )

    def with_nobodys_password(self, aor: str) -> None:
        """Let the core register this user without a password."""
        self.core.registrar = replace(self.core.registrar, credentials=None, associated_uris=(aor,))

    # ------------------------------------------------------------ floods

    async def flood(self, page: ScriptedWic, requests: list[SipRequest]) -> list[int]:
        """Send requests without waiting and return the final statuses in the order of the requests."""
        for request in requests:
            await page.send(request)
        return [(await self.answer_to(page, request)).status for request in requests]

    @staticmethod
    async def answer_to(page: ScriptedWic, request: SipRequest) -> SipResponse:
        """Return the final response to a request."""
        return await page.trace.wait_response(
            range(200, 700),
            request.method,
            call_id=request.call_id,
            cseq=request.cseq.number,
            timeout_s=DEFAULT_WAIT_S,
        )

    def registers(self, page: ScriptedWic, count: int) -> list[SipRequest]:
        """Return REGISTERs of a page."""
        return [page._register_request(600, []) for _ in range(count)]

    @staticmethod
    def outside(page: ScriptedWic, method: str, count: int) -> list[SipRequest]:
        """Return requests outside any call."""
        return [
            SipRequest(
                method,
                f"sip:{REALM}",
                headers=Headers(
                    [
                        ("Via", page.new_via()),
                        ("Max-Forwards", "70"),
                        ("From", f"<{page.identity.aor}>;tag={new_tag()}"),
                        ("To", f"<sip:{REALM}>"),
                        ("Call-ID", new_tag()),
                        ("CSeq", str(CSeq(1, method))),
                        ("Contact", page.contact),
                    ]
                ),
            )
            for _ in range(count)
        ]

    # ------------------------------------------------------------ what the gateway tells

    def events(self, kind: str, **fields: str) -> list[dict[str, Any]]:
        """Return the events of this kind with these fields."""
        found = [json.loads(entry["json"]) for _, entry in self.redis.xrange("gw:events")]
        return [
            event
            for event in found
            if event["type"] == kind and all(event.get(key) == value for key, value in fields.items())
        ]

    async def told(self, kind: str, **fields: str) -> dict[str, Any]:
        """Wait for an event and return it."""
        await self.soon(lambda: bool(self.events(kind, **fields)), f"{kind} {fields}")
        return self.events(kind, **fields)[0]

    def count_lines(self, *words: str) -> int:
        """Return how many lines of the gateway's log have all these words."""
        lines = self.gateway_log.read_text(errors="replace").splitlines()
        return sum(all(word in line for word in words) for line in lines)

    def command(self, **fields: str) -> None:
        """Put a command on the stream."""
        self.redis.xadd("gw:commands", {"json": json.dumps({"at": 0, **fields})})


async def final_status(call: OutgoingCall) -> SipResponse:
    """Return the final response to a page's INVITE."""
    return await call.trace.wait_response(range(200, 700), "INVITE", call_id=call.call_id)
