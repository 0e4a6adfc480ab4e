"""What the tests of this folder play on: pages with instances of their own, and a look into bindings and Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import redis

from tests.integration.calls.stage import ALICE, Stage, gateway_options, until
from tests.integration.trust.issuers import BEARER_VARIABLES, ISSUER, publish_in_redis, register, token_for
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.subscribers import REALM
from tests.lab.waiting import wait_until
from tests.peers.addresses import name_addr_from_text, sip_uri_from_text
from tests.peers.sip import CSeq, Headers, SipRequest, SipResponse, new_tag
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity

CORE_PORT: Final = own_port()
UNREGISTERED_S: Final = 3
GRACE_S: Final = 3
SOON_S: Final = 15.0
KEYS_S: Final = 30.0
"""Until the workers of a lab that has just started know of keys in Redis, however busy the machine is."""
NODE: Final = "gateway-under-test"
PARTS: Final = frozenset({Part.GATEWAY, Part.RTPENGINE, Part.REDIS})


def registration_options(**variables: Any) -> LabOptions:
    """Return a lab of gateway, relay and Redis whose core is the scripted one."""
    own = {
        "gateway_icscf_uris": [f"sip:{LOOPBACK}:{CORE_PORT}"],
        "gateway_unregistered_timeout_s": UNREGISTERED_S,
        "gateway_flow_recovery_s": GRACE_S,
        "gateway_node": NODE,
        **BEARER_VARIABLES,
    }
    return replace(gateway_options(**{**own, **variables}), parts=PARTS)


@contextmanager
def registration_lab_of(**variables: Any) -> Iterator[Lab]:
    """Run such a lab; our own issuer has published its keys as the web API does, and the workers have them."""
    with Lab(registration_options(**variables)) as lab:
        publish_in_redis(lab, ISSUER.url, ISSUER.key)
        wait_until(lambda: ISSUER.url in lab.gateway_rpc.htable("jwks"), "keys at the gateway", KEYS_S)
        yield lab


class RegistrationStage(Stage):
    """One test's world."""

    def __init__(self, lab: Lab, core_port: int = CORE_PORT) -> None:
        super().__init__(lab, core_port)

    def new_page(
        self, aor: str = ALICE, *, instance: str = "", source_port: int | None = None
    ) -> ScriptedWic:
        """Make a page that is not connected yet; with an instance of its own unless told otherwise."""
        handshake: Handshake = replace(self.handshake, source_port=source_port)
        identity = WicIdentity(aor, instance=instance) if instance else WicIdentity(aor)
        return ScriptedWic(handshake, identity)

    async def registered_page(self, aor: str = ALICE, **options: Any) -> ScriptedWic:
        """Connect and register a page."""
        return await self.join(self.new_page(aor, **options))

    async def page_with_token(self, session: str, user: str = "alice", **claims: Any) -> ScriptedWic:
        """Connect a page and register it with an access token of this web session."""
        page = await self.join(self.new_page(f"sip:{user}@{REALM}"), registered=False)
        response = await register(page, token_for(user, sid=session, **claims))
        assert response.status == 200, response.start_line
        return page

    # ------------------------------------------------------------ the gateway's inside

    def table(self, name: str) -> dict[str, Any]:
        """Return one of the gateway's tables."""
        return dict(self.lab.gateway_rpc.htable(name))

    def binding(self, page: ScriptedWic) -> dict[str, Any] | None:
        """Return a page's binding, or None."""
        text = self.table("registration").get(self.key(page))
        return None if text is None else dict(json.loads(text))

    @staticmethod
    def key(page: ScriptedWic) -> str:
        """Return the key of a page's binding."""
        return f"{page.identity.aor} {page.identity.instance} {page.identity.reg_id}"

    async def state_of(self, page: ScriptedWic, state: str | None) -> None:
        """Wait until a page's binding stands so; None: is gone."""

        def found() -> str | None:
            binding = self.binding(page)
            return None if binding is None else str(binding["state"])

        await until(lambda: found() == state, lambda: f"{found()} instead of {state}", SOON_S)

    def settle(self, page: ScriptedWic) -> None:
        """Make a binding old enough that an end its page may have caused itself is believed."""
        binding = self.binding(page)
        assert binding is not None
        binding["granted_at"] -= 10
        self.lab.gateway_rpc("htable.sets", "registration", self.key(page), json.dumps(binding))

    async def closed_with(self, page: ScriptedWic, code: int, within_s: float = SOON_S) -> None:
        """Wait until the gateway has closed a page's connection with this code."""
        await asyncio.wait_for(page.lost.wait(), within_s)
        assert page.socket.close_code == code

    async def soon(self, done: Callable[[], bool], what: str, within_s: float = SOON_S) -> None:
        """Wait until something is so."""
        await until(done, lambda: f"not so: {what}", within_s)

    # ------------------------------------------------------------ the core

    async def subscribed(self) -> None:
        """Wait until the gateway has subscribed and learnt the answer."""
        await self.soon(lambda: bool(self.core.subscriptions.by_call_id), "subscribed")
        known = {one.dialog.local_tag for one in self.core.subscriptions.by_call_id.values()}

        def learnt() -> bool:
            return known <= {json.loads(text)["remote_tag"] for text in self.table("subscription").values()}

        await self.soon(learnt, "the answer is known")

    def path_of(self, page: ScriptedWic) -> str:
        """Return the Path of a page's last REGISTER."""
        registers = [
            request
            for request in self.core.trace.requests("REGISTER")
            if page.contact_uri in (request.headers.get("Contact") or "")
        ]
        return registers[-1].headers.all("Path")[0]

    async def ask_along(
        self, path: str, page: ScriptedWic, method: str = "MESSAGE", timeout_s: float = 10.0
    ) -> SipResponse:
        """Send a request of the core along a Path and return the answer."""
        fields = [
            ("Via", self.core.new_via()),
            ("Max-Forwards", "70"),
            ("Route", path),
            ("From", f"<sip:core@{LOOPBACK}>;tag={new_tag()}"),
            ("To", f"<{page.identity.aor}>"),
            ("Call-ID", new_tag()),
            ("CSeq", str(CSeq(1, method))),
            ("Contact", f"<sip:core@{self.core.host_port}>"),
        ]
        request = SipRequest(method, page.contact_uri, headers=Headers(fields))
        hop = sip_uri_from_text(name_addr_from_text(path).uri)
        return await self.core.ask(request, (hop.host, hop.port or 5060), timeout_s=timeout_s)

    # ------------------------------------------------------------ Redis

    @property
    def redis(self) -> Any:
        """A connection to the lab's Redis."""
        client: Any = redis.Redis
        return client.from_url(self.lab.info.redis_url, decode_responses=True, protocol=2)

    def stored(self, page: ScriptedWic) -> dict[str, Any] | None:
        """Return a page's binding as Redis has it, or None."""
        text = self.redis.hget(f"gw:registrations:{NODE}", self.key(page))
        return None if text is None else dict(json.loads(text))

    def log_out(self, session: str) -> None:
        """Command the end of a web session."""
        command = {"type": "logout", "sid": session, "impi": "x", "at": 0}
        self.redis.xadd("gw:commands", {"json": json.dumps(command)})

    def count_log(self, words: str) -> int:
        """Return how many lines of the gateway's log have these words."""
        return self.gateway_log.read_text(errors="replace").count(words)
