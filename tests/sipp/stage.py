"""What one scenario is played on: the gateway, SIPp in its roles, pages, and the verdict at the end."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.calls.stage import until
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.ports import port_is_free
from tests.lab.proof import left_behind
from tests.lab.world import World
from tests.peers.aiortc_wic import AiortcWic
from tests.peers.call_plan import CallPlan
from tests.peers.dialog import Pairs
from tests.peers.sip import SipResponse
from tests.peers.trace import DEFAULT_WAIT_S
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import OutgoingCall, PageMedia, WicCall
from tests.sipp.places import Place, trunk_name
from tests.sipp.process import Sipp, SippFailed
from tests.sipp.report import Report
from tests.sipp.scenario import Folder

CLEAN_WITHIN_S: Final = 10.0
UNREGISTERED_WITHIN_S: Final = 1.0
FIRST_MEDIA_PORT: Final = 28_000
"""Above the ports that labs hand out."""


@dataclass(frozen=True)
class Gateway:
    """The gateway under test and the user whose page calls and is called."""

    host: str
    sip_port: int
    """Towards the core and trunks, UDP."""
    handshake: Handshake
    identity: WicIdentity
    world: World | None = field(default=None, repr=False)
    """The inside of a gateway of ours; None: a stranger's."""


class Stage:
    """One scenario's world."""

    def __init__(
        self,
        gateway: Gateway,
        folder: Folder,
        place: Place,
        report: Report,
        run_dir: Path,
        *,
        short: bool = False,
    ) -> None:
        """``short``: what takes a minute takes some seconds, for a test session."""
        self.short = short
        self.gateway = gateway
        self.place = place
        self.report = report
        self.run_dir = run_dir
        self._folder = folder
        self._running: list[Sipp] = []
        self._pages: list[ScriptedWic] = []

    def expects(self, text: str) -> AbstractContextManager[None]:
        """Say whether what the block waits for came."""
        return self.report.expects(text)

    @property
    def world(self) -> World:
        """The inside of a gateway of ours; scenarios that ask for it say so (`Scenario.inside`)."""
        assert self.gateway.world is not None
        return self.gateway.world

    def trunk(self, role: str = "carrier") -> str:
        """Return the name of one of the scenario's trunks in the gateway's settings."""
        return trunk_name(self._folder.name, role)

    def restart(self, process: str) -> None:
        """Kill a process of our own gateway and start it again."""
        lab = self.world
        assert isinstance(lab, Lab)
        lab.kill(process)
        lab.start_again(process, Part.GATEWAY)

    async def until(
        self, done: Callable[[], bool], complaint: Callable[[], str], timeout_s: float = DEFAULT_WAIT_S
    ) -> None:
        """Wait until something holds; raise AssertionError with the complaint if it does not."""
        await until(done, complaint, timeout_s)

    # ------------------------------------------------------------------ SIPp

    async def carrier(
        self,
        xml: str = "carrier.xml",
        role: str = "carrier",
        *,
        calls: int = 1,
        keys: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        trace: bool = True,
        timeout_s: float = 20.0,
    ) -> Sipp:
        """Let SIPp wait for calls as one of the scenario's trunks."""
        return await self._start(
            xml, role, calls=calls, keys=keys, arguments=arguments, trace=trace, timeout_s=timeout_s
        )

    async def caller(
        self,
        xml: str = "caller.xml",
        role: str = "carrier",
        *,
        to: str = "",
        keys: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> Sipp:
        """Let SIPp call the gateway as one of the trunks; ``to``: a number, the scenario's DID unless said."""
        return await self._start(
            xml,
            role,
            target=(self.gateway.host, self.gateway.sip_port),
            keys={"number": to or self.place.number("900"), **(keys or {})},
            arguments=arguments,
        )

    async def _start(
        self,
        xml: str,
        role: str,
        *,
        target: tuple[str, int] | None = None,
        calls: int = 1,
        keys: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        trace: bool = True,
        timeout_s: float = 20.0,
    ) -> Sipp:
        sipp = await Sipp.start(
            self._folder.path / xml,
            self.run_dir,
            name=f"{xml.removesuffix('.xml')}-{len(self._running)}",
            address=self.place.address,
            port=self.place.ports[role],
            target=target,
            calls=calls,
            keys=keys,
            arguments=(*arguments, *self._transport(role)),
            trace=trace,
            timeout_s=timeout_s,
        )
        self._running.append(sipp)
        return sipp

    def _transport(self, role: str) -> tuple[str, ...]:
        (trunk,) = [one for one in self._folder.scenario.trunks if one.role == role]
        return ("-t", "t1") if trunk.transport == "tcp" else ()

    async def heard_nothing(self, sipp: Sipp) -> None:
        """Expect that a SIPp that waits for calls was never called, and end it."""
        with self.expects(f"the carrier ({sipp.name}) has heard nothing"):
            assert not sipp.entries(), sipp.ladder()
        await sipp.stop()
        self._running.remove(sipp)

    def media_port(self) -> int:
        """Return an even port for SIPp's media; the next ones up to 3 are free, too."""
        return free_media_port(self.place.address)

    # ------------------------------------------------------------------ pages

    async def page(self) -> ScriptedWic:
        """Open and register a page whose media is text only."""
        return await self._join(ScriptedWic(self.gateway.handshake, self._identity()))

    async def page_with_media(self) -> AiortcWic:
        """Open and register a page that speaks and hears."""
        page = AiortcWic(self.gateway.handshake, self._identity())
        await self._join(page)
        return page

    def _identity(self) -> WicIdentity:
        """Each page is another device of the user (RFC 5626 §4.1)."""
        return replace(self.gateway.identity, instance=uuid.uuid4().urn)

    async def _join(self, page: ScriptedWic) -> ScriptedWic:
        self._pages.append(page)
        with self.expects(f"the page logs in as {page.identity.aor}"):
            await page.connect()
            response = await page.register()
            assert response.status == 200, response.start_line
        return page

    async def dial(
        self,
        page: ScriptedWic,
        number: str = "",
        *,
        offer: str = AUDIO_BOTH_WAYS,
        media: PageMedia | None = None,
        plan: CallPlan | None = None,
        headers: Pairs = (),
    ) -> OutgoingCall:
        """Let the page call a number of this scenario, its first one unless said, or any URI."""
        number = number or self.place.number()
        target = number if ":" in number else f"tel:{number}"
        self.report.note(f"the page calls {target}")
        return await page.invite(target, offer, media=media, plan=plan, headers=headers)

    async def refused(self, call: OutgoingCall, status: int, *, within_s: float = 5.0) -> SipResponse:
        """Expect that the page hears this final response."""
        with self.expects(f"the page hears {status}"):
            answer = await call.wait_status(range(200, 700), timeout_s=within_s)
            heard = f"{answer.start_line} {answer.headers.get('Warning') or ''} {answer.headers.get('Reason') or ''}"
            assert answer.status == status, heard
        return answer

    async def answered(self, call: OutgoingCall, *, within_s: float = 5.0) -> SipResponse:
        """Expect that the page's call is answered."""
        return await self.refused(call, 200, within_s=within_s)

    async def hang_up(self, call: WicCall) -> None:
        """Let the page end a call."""
        with self.expects("the page hangs up and is answered 200"):
            response = await call.bye()
            assert response.status == 200, response.start_line

    # ------------------------------------------------------------------ the end

    async def verdict(self) -> None:
        """Expect that every SIPp is content, that the pages saw nothing against an RFC, and that nothing is left."""
        for sipp in self._running:
            with self.expects(f"SIPp ({sipp.name}) is content: exit code 0"):
                await sipp.done()
        with self.expects("the page saw nothing that is against an RFC"):
            seen = [v for page in self._pages for call in page.calls.values() for v in call.violations]
            # What came after the last wait: nobody else asks for it.
            seen += [repr(page.trace.failure) for page in self._pages if page.trace.failure is not None]
            assert not seen, "; ".join(seen)
        world = self.gateway.world
        if world is None:
            self.report.note("what is left in the gateway is not looked at: it is not ours")
            return
        with self.expects("nothing is left of the calls in gateway and relay"):
            await until(lambda: not left(world), lambda: f"left: {left(world)}", CLEAN_WITHIN_S)

    async def close(self) -> None:
        """Take everybody down, whatever happened."""
        for sipp in self._running:
            await sipp.stop()
        for page in self._pages:
            if not page.lost.is_set():
                with suppress(
                    AssertionError, RuntimeError, OSError, ValueError
                ):  # it may never have come so far
                    await page.register(expires_s=0, timeout_s=UNREGISTERED_WITHIN_S)
            await page.close()


def left(world: World) -> dict[str, int]:
    """Return what calls have left behind; transactions outlive them by design."""
    return {what: n for what, n in left_behind(world).items() if n and what != "transactions"}


def free_media_port(address: str) -> int:
    """Return an even port below the ephemeral ones whose next three are free as well."""
    return next(
        port
        for port in range(FIRST_MEDIA_PORT, 32_700, 4)
        if all(port_is_free(port + n, address) for n in range(4))
    )


def explain(error: BaseException) -> str:
    """Return what went wrong for a person."""
    return (
        str(error) if isinstance(error, (AssertionError, SippFailed)) else f"{type(error).__name__}: {error}"
    )
