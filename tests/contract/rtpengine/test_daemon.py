"""Every command against a real rtpengine, and what happens when it is slow, dead or back again."""

import asyncio
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from rtpengine.ng.bencode import encode
from rtpengine.ng.commands import (
    Answer,
    BlockMedia,
    Delete,
    List,
    Offer,
    Ping,
    PlayDtmf,
    Query,
    SubscribeAnswer,
    SubscribeRequest,
    UnblockMedia,
    Unsubscribe,
    command_to_ng,
)
from rtpengine.ng.errors import NgErrorReply, NgTimeout, NgUnknownCall, NgUnreachable
from rtpengine.ng.protocol import Dropped, RetransmissionSchedule
from rtpengine.ng.replies import Done, Pong
from rtpengine.pool import NodeAddress
from rtpengine.profiles import audio_profile
from rtpengine.transport.aio import AioClient
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.conftest import OWN_PORTS
from tests.contract.rtpengine.daemon import IMS_ADDRESS, Daemon, free_port, media_ports
from tests.contract.rtpengine.sdp import answer_to, browser_offer, section
from tests.lab.relay_program import daemon_version
from tests.lab.roles import role_defaults
from tests.lab.waiting import wait_until

PROFILE = audio_profile(daemon_version=daemon_version())
OFFER = browser_offer("chromium-156-av-sendonly.sdp", "audio", "opus", "telephone-event")
PCMA = ("PCMA/8000", "telephone-event/8000")


class TestCommands:
    def test_ping_is_answered(self, client: UdpClient) -> None:
        assert client.request(Ping()) == Pong()

    def test_a_call_goes_through_all_commands(self, client: UdpClient) -> None:
        offer = client.request(Offer("call", "wic", OFFER, PROFILE.offer()))
        answer_sdp = answer_to(offer.sdp, *PCMA, host=IMS_ADDRESS)
        answer = client.request(Answer("call", "wic", "ims", answer_sdp, PROFILE.answer()))
        assert (section(offer.sdp).protocol, section(answer.sdp).protocol) == ("RTP/AVP", "UDP/TLS/RTP/SAVPF")

        assert client.request(BlockMedia("call")) == client.request(UnblockMedia("call")) == Done()
        assert (
            client.request(BlockMedia("call", "wic")) == client.request(UnblockMedia("call", "wic")) == Done()
        )

        request = SubscribeRequest("call", "ims", "wic-in", PROFILE.subscribe_request())
        reverse = client.request(request)
        assert (reverse.to_tag, set(reverse.from_tags)) == ("wic-in", {"ims"})
        reverse_sdp = reverse.sdp.replace("a=sendonly", "a=recvonly").replace("actpass", "active")
        reverse_answer = SubscribeAnswer("call", "wic-in", reverse_sdp, PROFILE.subscribe_answer())
        assert client.request(reverse_answer) == Done()
        assert client.request(Unsubscribe("call", "wic-in")) == Done()

        with pytest.raises(NgErrorReply, match="No SSRC context"):  # before the first RTP packet
            client.request(PlayDtmf("call", "wic", "5"))
        assert client.request(List()).call_ids == ("call",)
        statistics = client.request(Query("call"))
        assert set(statistics.tags) == {"wic", "ims", "wic-in"}
        assert statistics.tags["ims"].medias[0].streams[0].local_address == IMS_ADDRESS
        client.request(Delete("call"))
        assert client.request(List()).call_ids == ()

    @pytest.mark.parametrize(
        "command",
        [Query("none"), BlockMedia("none"), UnblockMedia("none"), Unsubscribe("none", "wic")],
        ids=str,
    )
    def test_a_command_on_an_unknown_call_says_so(self, client: UdpClient, command: Query) -> None:
        with pytest.raises(NgUnknownCall):
            client.request(command)

    def test_several_at_once_are_all_answered_before_the_first_error_is_raised(
        self, client: UdpClient
    ) -> None:
        assert client.request_all((Ping(), Delete("none"))) == [Pong(), Done()]
        answered = client.counters.answered
        with pytest.raises(NgUnknownCall):
            client.request_all((Query("none"), Ping(), Ping()))
        assert client.counters.answered == answered + 2

    def test_deleting_an_unknown_call_is_a_success(self, client: UdpClient) -> None:
        assert client.request(Delete("none")) == Done()

    def test_broken_sdp_is_refused_with_a_reason(self, client: UdpClient) -> None:
        with pytest.raises(NgErrorReply, match="SDP"):
            client.request(Offer("call", "wic", "v=0\r\nm=nonsense\r\n", PROFILE.offer()))


class TestWhatTheRoleLoads:
    def test_the_allocator_is_there(self, daemon: Daemon) -> None:
        """A library that is not found is left out with a line on standard error, and nothing else."""
        allocator = role_defaults("rtpengine")["rtpengine_allocator"]
        assert f"/{allocator}" in Path(f"/proc/{daemon.pid}/maps").read_text()


class TestCookies:
    def test_a_retransmitted_command_is_carried_out_once_and_answered_identically(
        self, daemon: Daemon
    ) -> None:
        command = Offer("retransmitted", "wic", OFFER, PROFILE.offer())
        datagram = b"same-cookie " + encode(command_to_ng(command))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
            raw.settimeout(3.0)
            raw.connect((daemon.address.host, daemon.address.port))
            replies = []
            for _ in range(3):
                raw.send(datagram)
                replies.append(raw.recv(65_536))
        assert replies[0].startswith(b"same-cookie d")
        assert len(set(replies)) == 1

    def test_the_client_s_own_retransmissions_leave_only_duplicates_behind(self, daemon: Daemon) -> None:
        eager = RetransmissionSchedule(first_s=0.000_1, factor=1.0)
        client = UdpClient(daemon.address, schedule=eager, deadline_s=3.0)
        offers = {client.request(Offer("eager", "wic", OFFER, PROFILE.offer())).sdp for _ in range(20)}
        client.request(Delete("eager"))
        client.close()
        dropped = client.counters.dropped
        assert client.counters.retransmitted > 0
        assert (dropped[Dropped.UNKNOWN], dropped[Dropped.MALFORMED], dropped[Dropped.LATE]) == (0, 0, 0)
        assert len({section(offer).port for offer in offers}) == 1


class TestTrouble:
    def test_a_daemon_that_hangs_costs_the_deadline_and_no_more(self, own_daemon: Daemon) -> None:
        client = UdpClient(own_daemon.address, deadline_s=30.0)
        client.request(Ping())
        own_daemon.pause()
        started = time.monotonic()
        with pytest.raises(NgTimeout):
            client.request(Ping(), deadline_s=0.5)
        assert 0.5 <= time.monotonic() - started < 5
        own_daemon.resume()
        assert client.request(Ping(), deadline_s=5.0) == Pong()
        client.close()

    def test_a_wait_ends_as_soon_as_the_daemon_is_known_to_be_down(self, own_daemon: Daemon) -> None:
        down_at = time.monotonic() + 0.3
        client = UdpClient(own_daemon.address, deadline_s=5.0, give_up=lambda: time.monotonic() >= down_at)
        assert client.request(Ping()) == Pong()
        own_daemon.pause()
        with pytest.raises(NgUnreachable, match="known to be down"):
            client.request(Ping())
        assert time.monotonic() - down_at < 3
        client.close()

    def test_what_nobody_waits_for_is_carried_out_when_the_daemon_wakes_up(self, own_daemon: Daemon) -> None:
        client = UdpClient(own_daemon.address, deadline_s=5.0)
        client.request(Offer("call", "wic", OFFER, PROFILE.offer()))
        own_daemon.pause()
        started = time.monotonic()
        client.send_only((Delete("call"),))
        assert time.monotonic() - started < 1
        own_daemon.resume()
        # The daemon may be at both commands at once.
        wait_until(lambda: client.request(List()).call_ids == (), "the end of the call", 2.0)
        client.close()

    def test_a_dead_daemon_is_noticed_at_once_and_a_new_one_is_used_at_once(self, own_daemon: Daemon) -> None:
        client = UdpClient(own_daemon.address, deadline_s=5.0)
        client.request(Ping())
        own_daemon.stop()
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(NgUnreachable):
                client.request(Ping())
        assert time.monotonic() - started < 1.0
        own_daemon.start()
        assert client.request(Ping()) == Pong()
        client.close()

    def test_a_daemon_that_dies_between_two_replies_is_out_of_reach(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dying:
            dying.bind(("127.0.0.1", 0))
            client = UdpClient(NodeAddress(*dying.getsockname()), deadline_s=5.0)

            def answer_the_first() -> None:
                datagram, client_address = dying.recvfrom(65_536)
                dying.sendto(datagram.partition(b" ")[0] + b" d6:result4:ponge", client_address)
                dying.recvfrom(65_536)
                dying.close()

            thread = threading.Thread(target=answer_the_first)
            thread.start()
            with pytest.raises(NgUnreachable):
                client.request_all((Ping(), Ping()))
            thread.join()
        client.close()

    def test_a_restarted_daemon_does_not_know_the_call(self, own_daemon: Daemon) -> None:
        client = UdpClient(own_daemon.address, deadline_s=5.0)
        client.request(Offer("call", "wic", OFFER, PROFILE.offer()))
        own_daemon.stop()
        own_daemon.start()
        with pytest.raises(NgUnknownCall):
            client.request(Query("call"))
        client.close()

    def test_parent_and_child_of_a_fork_get_their_own_replies(self, daemon: Daemon) -> None:
        client = UdpClient(daemon.address, deadline_s=3.0)
        client.request(Ping())
        child = os.fork()
        if child == 0:
            try:
                for _ in range(50):
                    client.request(Ping())
                os._exit(0)
            finally:
                os._exit(1)
        for _ in range(50):
            client.request(Ping())
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert (client.counters.sent, sum(client.counters.dropped.values())) == (51, 0)
        client.close()

    def test_a_closed_client_opens_again(self, client: UdpClient) -> None:
        client.request(Ping())
        client.close()
        assert client.request(Ping()) == Pong()


class TestAddresses:
    def test_a_daemon_on_ipv6_is_reached_by_both_clients(self, tmp_path: Path) -> None:
        with media_ports(OWN_PORTS) as ports, Daemon(tmp_path, ports, ng_host="::1") as running:
            blocking = UdpClient(running.address, deadline_s=3.0)
            assert blocking.request(Ping()) == Pong()
            blocking.close()

            async def ping() -> Pong:
                client = await AioClient.connect(running.address, deadline_s=3.0)
                try:
                    return await client.request(Ping())
                finally:
                    client.close()

            assert asyncio.run(ping()) == Pong()

    def test_host_names_are_not_resolved(self) -> None:
        with pytest.raises(ValueError, match="localhost"):
            UdpClient(NodeAddress("localhost", 2223))


class TestAsyncio:
    async def test_many_requests_are_in_flight_at_once(self, daemon: Daemon) -> None:
        client = await AioClient.connect(daemon.address, deadline_s=5.0)
        calls = [f"call-{number}" for number in range(40)]
        offers = await asyncio.gather(
            *(client.request(Offer(call, "wic", OFFER, PROFILE.offer())) for call in calls)
        )
        assert len({section(offer.sdp).port for offer in offers}) == len(calls)
        assert set((await client.request(List())).call_ids) == set(calls)
        await asyncio.gather(*(client.request(Delete(call)) for call in calls))
        client.close()

    async def test_a_hanging_daemon_times_out_every_request_by_its_own_deadline(
        self, own_daemon: Daemon
    ) -> None:
        client = await AioClient.connect(own_daemon.address, deadline_s=30.0)
        own_daemon.pause()
        started = time.monotonic()

        async def wait(deadline_s: float) -> float:
            with pytest.raises(NgTimeout):
                await client.request(Ping(), deadline_s=deadline_s)
            return time.monotonic() - started

        long, short = await asyncio.gather(wait(0.5), wait(0.2))
        assert 0.2 <= short < long
        assert 0.5 <= long < 5
        own_daemon.resume()
        assert await client.request(Ping(), deadline_s=5.0) == Pong()
        assert client.counters.retransmitted >= 3
        client.close()

    async def test_a_dead_daemon_is_noticed_at_once(self) -> None:
        address = NodeAddress("127.0.0.1", free_port("127.0.0.1"))
        client = await AioClient.connect(address, deadline_s=5.0)
        started = time.monotonic()
        with pytest.raises(NgUnreachable):
            await client.request(Ping())
        assert time.monotonic() - started < 1.0
        client.close()

    async def test_closing_ends_requests_in_flight(self, own_daemon: Daemon) -> None:
        client = await AioClient.connect(own_daemon.address, deadline_s=5.0)
        own_daemon.pause()
        request = asyncio.ensure_future(client.request(Ping()))
        await asyncio.sleep(0)
        client.close()
        with pytest.raises(NgUnreachable, match="closed"):
            await request
        with pytest.raises(NgUnreachable, match="closed"):
            await client.request(Ping())

    async def test_a_cancelled_request_leaves_nothing_behind(self, own_daemon: Daemon) -> None:
        client = await AioClient.connect(own_daemon.address, deadline_s=5.0)
        own_daemon.pause()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.request(Ping()), 0.05)
        own_daemon.resume()
        assert await client.request(Ping()) == Pong()
        assert client.counters.dropped[Dropped.LATE] in (1, 2)  # a busy machine lets it be sent once more
        client.close()
