"""Scanners of the trade (sipvicious) and their like against a whole site with a real IMS core: what they learn, and how
soon they are shut out.

Its programs speak SIP over UDP alone: a bridge lets them speak with the WebSocket, from an address of their own.
"""

from __future__ import annotations

import asyncio
import re
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from kemi.core.bans import POINTS, Offence
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import until
from tests.integration.hostile import site
from tests.integration.hostile.site import Client, bans_here, was_banned
from tests.integration.limits.limited import LimitedStage
from tests.integration.trust.raw import options_text
from tests.lab.lab import Lab
from tests.lab.subscribers import REALM
from tests.peers.sip import SipResponse, new_branch
from tests.peers.websocket_bridge import WebSocketBridge
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

PAIRS: Final = 15
APART_S: Final = 0.004
WITHIN: Final = 10
"""Requests after which a scanner is to be shut out."""
HANDSHAKE: Final = (
    *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
    *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: sip"),
)
STRANGER: Final = "127.67.0.9"
NAMES_OF_PROGRAMS: Final = re.compile(rb"^(Server|User-Agent)\s*:|kamailio", re.IGNORECASE | re.MULTILINE)


async def sipvicious(folder: Path, name: str, *arguments: str, timeout_s: float = 15) -> str:
    """Run one of its programs to its end, or as long as allowed; return what it printed."""
    running = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name(f"sipvicious_{name}")),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={"HOME": str(folder), "TERM": "dumb", "PATH": "/usr/bin:/bin"},
    )
    try:
        out, _ = await asyncio.wait_for(running.communicate(), timeout_s)
    except TimeoutError:
        running.kill()
        out, _ = await running.communicate()
    return out.decode(errors="replace")


@asynccontextmanager
async def bridge_of(client: Client) -> AsyncIterator[WebSocketBridge]:
    """Let a program speak with the WebSocket from the address of a client."""
    async with WebSocketBridge(client.handshake(), client.host) as bridge:
        await until(lambda: bridge.connections == 1, lambda: "not let in", 15)
        yield bridge


async def status_or_end(page: ScriptedWic, answer: Coroutine[Any, Any, SipResponse]) -> int | None:
    """Wait for an answer, or for the end of the connection that a ban brings: then None."""
    answered, lost = asyncio.create_task(answer), asyncio.create_task(page.lost.wait())
    try:
        await asyncio.wait({answered, lost}, return_when=asyncio.FIRST_COMPLETED)
        return answered.result().status if answered.done() else None
    finally:
        answered.cancel()
        lost.cancel()


@pytest.mark.conformance("X-16")
class TestTheCoresSide:
    """Whoever is neither core nor trunk hears nothing there, not even that somebody is at home."""

    async def test_svmap(self, lab: Lab, tmp_path: Path) -> None:
        gateway = lab.info.gateway
        found = await sipvicious(
            tmp_path, "svmap", "-b", STRANGER, "-p", str(gateway.sip_port), "-t", "0.05", gateway.address
        )
        assert "found nothing" in found

    @pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "INVITE", "BYE", "CANCEL", "ACK", "NONSENSE"])
    def test_no_datagram_is_answered(self, lab: Lab, method: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.bind((STRANGER, 0))
            line.settimeout(0.15)
            text = options_text().replace("OPTIONS", method)
            text = text.replace(
                "SIP/2.0/WSS raw.invalid", f"SIP/2.0/UDP {STRANGER}:{line.getsockname()[1]};rport"
            )
            line.sendto(text.encode(), (lab.info.gateway.address, lab.info.gateway.sip_port))
            with pytest.raises(TimeoutError):
                line.recv(65535)
        figures = str(lab.control("GET", "/metrics")[1])
        assert re.search(r"^gateway_strangers_total [1-9]", figures, re.MULTILINE)

    def test_a_connection_ends_at_its_first_message(self, lab: Lab) -> None:
        gateway = lab.info.gateway
        place = (gateway.address, gateway.sip_port)
        with socket.create_connection(place, 3, source_address=(STRANGER, 0)) as line:
            line.sendall(options_text().replace("/WSS ", "/TCP ").encode())
            line.settimeout(3)
            assert line.recv(65535) == b""

    @pytest.mark.parametrize("port", ["ws_port", "control_port"])
    def test_sip_is_not_heard_on_other_ports(self, lab: Lab, port: str) -> None:
        place = (lab.info.gateway.address, int(getattr(lab.info.gateway, port)))
        with socket.create_connection(place, 3, source_address=(STRANGER, 0)) as line:
            line.sendall(options_text().replace("/WSS ", "/TCP ").encode())
            line.settimeout(3)
            answer = line.recv(65535)
            assert not answer or answer.startswith(b"SIP/2.0 403 ")
            assert not NAMES_OF_PROGRAMS.search(answer)


class TestSipvicious:
    """Through the public origin."""

    async def test_svwar_finds_no_user(self, lab: Lab, tmp_path: Path) -> None:
        client = Client(lab)
        users = [user.name for user in lab.info.users.values()][:12]
        names = tmp_path / "names"
        names.write_text("\n".join([f"nobody{n}" for n in range(3)] + users))
        async with bridge_of(client) as bridge:
            told = await sipvicious(
                *(tmp_path, "svwar", "--force", "-d", str(names), "--domain", REALM),
                *("-b", client.host, "-p", str(bridge.port), "-t", "0.02", "--maximumtime", "1", client.host),
            )
            found = set(re.findall(r"^\| (\S+) +\| reqauth ", told, re.MULTILINE))
            # It gives up by itself, or takes everybody for a user, until it is shut out: all are alike.
            assert "found nothing" in told or found >= {"nobody0", "nobody1", "nobody2"}, (
                told,
                bridge.answers,
            )
            assert bridge.passed <= WITHIN or was_banned(lab, client.host)
        assert {int(one.split(b" ", 2)[1]) for one in bridge.answers} <= {401, 403}

    async def test_svcrack_opens_nothing(self, lab: Lab, tmp_path: Path) -> None:
        client, victim = Client(lab), lab.info.users["alice"]
        words = tmp_path / "words"
        words.write_text("\n".join([*(f"guess{n}" for n in range(20)), victim.password]))
        async with bridge_of(client) as bridge:
            told = await sipvicious(
                *(tmp_path, "svcrack", "-u", "alice", "-d", str(words), "-b", client.host),
                *("-p", str(bridge.port), "-t", "0.02", "--maximumtime", "1", client.host),
                timeout_s=3,
            )
            assert victim.password not in told
            assert bridge.passed <= WITHIN or was_banned(lab, client.host)
        assert {int(one.split(b" ", 2)[1]) for one in bridge.answers} <= {401, 403}


@pytest.mark.conformance("X-10")
class TestBans:
    """Who is shut out, for how long, and who is not."""

    async def guesses(self, page: ScriptedWic, count: int) -> list[int]:
        """Register with a wrong password, again and again; return the final statuses."""
        return [(await page.register()).status for _ in range(count)]

    async def test_ten_requests_a_ban_and_its_end(self, lab: Lab) -> None:
        client = Client(lab)
        async with client.page("alice", "wrong") as page:
            sent = 0
            while not was_banned(lab, client.host):
                sent += 1
                assert sent <= POINTS[Offence.LOGIN] * site.POINTS
                status = await status_or_end(page, page.register())
                assert status == 401 or was_banned(lab, client.host)
            assert sent <= WITHIN
            await asyncio.wait_for(page.lost.wait(), 10)
        assert client.get("/sip", f"Origin: {client.origin}", *HANDSHAKE) == 403
        assert not client.is_let_in()  # from now on before TLS
        figures = str(lab.control("GET", "/metrics")[1])
        for name in ("gateway_bans_total", "gateway_banned_handshakes_total"):
            assert re.search(rf"^{name}.* [1-9]", figures, re.MULTILINE), name
        began = time.monotonic()
        while client.host in bans_here(lab):
            await asyncio.sleep(0.1)
        assert time.monotonic() - began <= site.BAN_S + 5
        await until(client.is_let_in, lambda: "the ban does not end", site.MARK_S + 15)
        async with client.page("alice") as page:
            assert (await page.register()).status == 200
            assert (await page.unregister()).status == 200

    @pytest.mark.parametrize("method", ["REGISTER", "INVITE", "MESSAGE", "SUBSCRIBE"])
    async def test_whoever_asks_for_user_after_user(self, lab: Lab, method: str) -> None:
        """Known and unknown ones alike, so that the ban says nothing of them."""
        client = Client(lab)
        names = [user.name for user in lab.info.users.values()][:5] + [f"nobody{n}" for n in range(20)]
        async with client.page("alice") as page:
            for sent, name in enumerate(names, start=1):  # noqa: B007  # is looked at below
                call_id = f"{method}-{name}-{client.host}"
                aor, at = f"<sip:{name}@{REALM}>", "" if method == "REGISTER" else f"{name}@"
                lines = [
                    f"{method} sip:{at}{REALM} SIP/2.0",
                    f"Via: SIP/2.0/WSS raw.invalid;branch={new_branch()}",
                ]
                lines += ["Max-Forwards: 70", f"From: {aor};tag=raw", f"To: {aor}", f"Call-ID: {call_id}"]
                lines += [
                    f"CSeq: 1 {method}",
                    f"Contact: {page.contact}",
                    "Event: presence",
                    "Content-Length: 0",
                ]
                await page.send_raw("\r\n".join([*lines, "", ""]))
                answer = page.trace.wait_response(range(200, 700), method, call_id=call_id)
                status = await status_or_end(page, answer)
                assert status in ([401, None] if method == "REGISTER" else [403, 503, None])
                if was_banned(lab, client.host):
                    break
            assert sent <= WITHIN
            await asyncio.wait_for(page.lost.wait(), 10)

    async def test_who_has_logged_in_there_stays(self, lab: Lab) -> None:
        client = Client(lab)
        async with client.page("alice") as page:
            assert (await page.register()).status == 200
            async with client.page("web1", "wrong") as other:
                statuses = await self.guesses(other, 2 * site.POINTS)
                assert set(statuses) == {401}
            assert client.host not in bans_here(lab)  # a company of which one mistypes
            assert (await page.register()).status == 200
            assert (await page.unregister()).status == 200

    async def test_another_sites_pages_ban_nobody(self, lab: Lab) -> None:
        """Any page on the web can make its visitors' browsers connect."""
        client = Client(lab)
        statuses = [
            client.get("/sip", "Origin: https://evil.example", *HANDSHAKE) for _ in range(3 * site.POINTS)
        ]
        assert set(statuses) == {403}
        async with client.page("alice") as page:
            assert (await page.register()).status == 200
            assert (await page.unregister()).status == 200

    async def test_a_flood_of_calls(self, lab: Lab) -> None:
        """Of somebody who has logged in: told to slow down, then shut out; the alarm says so."""
        client, bystander = Client(lab), Client(lab)
        async with client.page("web2") as page, bystander.page("web3") as other:
            assert (await page.register()).status == 200
            assert (await other.register()).status == 200
            for request in LimitedStage.outside(page, "MESSAGE", 600):
                await page.send(request)
            await until(lambda: was_banned(lab, client.host), lambda: "not banned", 15)
            assert f"address={client.host} why=flood" in site.log_of(lab, "gateway")
            await asyncio.wait_for(page.lost.wait(), 10)
            assert (await other.register()).status == 200
            assert (await other.unregister()).status == 200

    async def test_premium_numbers(self, lab: Lab) -> None:
        """Denied and counted; who dials on and on is shut out."""
        client = Client(lab)
        async with client.page("web4") as page:
            assert (await page.register()).status == 200
            calls = [await page.invite("sip:+97912345678@ims.test;user=phone", AUDIO) for _ in range(4)]
            statuses = [(await call.wait_status(range(300, 700))).status for call in calls]
            assert set(statuses) <= {403, 503}
            assert 403 in statuses
            assert (await page.unregister()).status == 200


class TestWhoTheUsersAre:
    """The same answer, whether the core knows a user or not."""

    async def test_by_their_registration(self, lab: Lab) -> None:
        shapes = []
        for name in ("alice", "nobody-at-all"):
            client = Client(lab)
            async with ScriptedWic(client.handshake(), WicIdentity(f"sip:{name}@{REALM}")) as page:
                shapes.append(shape(await page.register()))
        assert shapes[0][0] == 401
        assert shapes[0] == shapes[1]

    async def test_with_a_password(self, lab: Lab) -> None:
        shapes = []
        for name in ("alice", "nobody-at-all"):
            client = Client(lab)
            async with client.page(name, "wrong") as page:
                shapes.append(shape(await page.register()))
        assert shapes[0] == shapes[1]

    @pytest.mark.parametrize("password", ["", "wrong"])
    async def test_by_the_time_it_takes(self, lab: Lab, password: str) -> None:
        """The core refuses a stranger's name sooner: it fetches keys for a user of its own."""
        took: dict[str, list[float]] = {"alice": [], "nobody-at-all": []}
        for turn, name in enumerate([*took] * PAIRS):
            client = Client(lab)
            identity = WicIdentity(f"sip:{name}@{REALM}")
            async with (
                client.page(name, password) if password else ScriptedWic(client.handshake(), identity)
            ) as page:
                began = time.perf_counter()
                assert (await page.register()).status == 401
                if turn > 3:  # the first ones find out how long it takes
                    took[name].append(time.perf_counter() - began)
        known, unknown = (statistics.median(times) for times in took.values())
        assert 0.7 * known - APART_S <= unknown <= 1.5 * known + 2 * APART_S, (known, unknown, took)


def shape(response: SipResponse) -> tuple[object, ...]:
    """Return all of a response that is not new each time."""
    values = re.sub(r'"[^"]*"', '""', str(response.headers.fields("WWW-Authenticate")))
    lengths = [len(part) for part in str(response.headers.fields("WWW-Authenticate")).split('"')]
    names = tuple(name for name, _ in response.headers)
    return response.status, response.reason_phrase, response.body, names, values, tuple(lengths)
