"""rtpengine.ng.protocol: cookies, retransmission, deadlines, and replies nobody waits for."""

import itertools
from typing import Any

import pytest

from rtpengine.ng.commands import Delete, MediaOptions, Offer, Ping, Query
from rtpengine.ng.errors import NgBadDatagram, NgErrorReply, NgTimeout, NgUnreachable
from rtpengine.ng.protocol import Dropped, NgClient, Request, RetransmissionSchedule
from rtpengine.ng.replies import Done, Pong, SdpReply

PONG = b"d6:result4:ponge"


@pytest.fixture
def client() -> NgClient:
    """A client with cookies c0, c1, ... and retransmissions after 0.1, 0.2, 0.4, 0.4 ... seconds."""
    numbers = itertools.count()
    return NgClient(
        lambda: f"c{next(numbers)}", schedule=RetransmissionSchedule(first_s=0.1, factor=2, longest_s=0.4)
    )


class TestSending:
    def test_a_datagram_is_cookie_space_and_dictionary(self, client: NgClient) -> None:
        assert client.send(Ping(), 0.0, deadline_s=1.0).datagram == b"c0 d7:command4:pinge"

    @pytest.mark.parametrize("cookie", ["", "a b"], ids=["empty", "with a space"])
    def test_an_unusable_cookie_is_refused(self, cookie: str) -> None:
        with pytest.raises(ValueError, match="cookie"):
            NgClient(lambda: cookie).send(Ping(), 0.0, deadline_s=1.0)

    def test_a_cookie_in_use_is_refused(self) -> None:
        client = NgClient(lambda: "same")
        client.send(Ping(), 0.0, deadline_s=1.0)
        with pytest.raises(ValueError, match="cookie"):
            client.send(Ping(), 0.0, deadline_s=1.0)

    def test_a_command_that_fits_no_datagram_is_refused_and_not_pending(self, client: NgClient) -> None:
        with pytest.raises(NgBadDatagram, match="too large"):
            client.send(Query("x" * 70_000), 0.0, deadline_s=1.0)
        assert (client.pending, client.next_deadline()) == ((), None)


class TestRetransmission:
    def test_the_same_datagram_is_due_again_at_growing_intervals(self, client: NgClient) -> None:
        request = client.send(Ping(), 10.0, deadline_s=5.0)
        due_at = []
        now = 10.0
        while (wake_at := client.next_deadline()) is not None and wake_at < request.deadline:
            now = wake_at
            assert client.due(now) == (request.datagram,)
            due_at.append(round(now - 10.0, 3))
        assert due_at[:5] == [0.1, 0.3, 0.7, 1.1, 1.5]
        assert client.counters.retransmitted == len(due_at)

    def test_nothing_is_due_before_its_time_or_twice(self, client: NgClient) -> None:
        client.send(Ping(), 0.0, deadline_s=1.0)
        assert client.due(0.099) == ()
        assert len(client.due(0.1)) == 1
        assert client.due(0.1) == ()

    def test_nothing_is_due_once_the_reply_is_there(self, client: NgClient) -> None:
        client.send(Ping(), 0.0, deadline_s=1.0)
        client.receive(b"c0 " + PONG, 0.05)
        assert (client.due(0.5), client.next_deadline()) == ((), None)


class TestReplies:
    def test_replies_find_their_requests_in_any_order(self, client: NgClient) -> None:
        first = client.send(Ping(), 0.0, deadline_s=1.0)
        second = client.send(Ping(), 0.0, deadline_s=1.0)
        outcomes = [client.receive(b"c1 " + PONG, 0.1), client.receive(b"c0 " + PONG, 0.2)]
        assert [outcome and outcome.request for outcome in outcomes] == [second, first]
        assert [outcome and (outcome.result, outcome.elapsed_s) for outcome in outcomes] == [
            (Pong(), 0.1),
            (Pong(), 0.2),
        ]

    def test_a_refusal_ends_its_request_with_the_error(self, client: NgClient) -> None:
        client.send(Ping(), 0.0, deadline_s=1.0)
        outcome = client.receive(b"c0 d6:result5:error12:error-reason3:whye", 0.1)
        assert outcome is not None
        assert isinstance(outcome.result, NgErrorReply)
        assert outcome.result.error_reason == "why"

    @pytest.mark.parametrize(
        ("payload", "sdp"),
        [
            pytest.param(b"d3:sdp5:v=0\r\n6:result2:oke", "v=0\r\n", id="as rtpengine writes it"),
            pytest.param(b"d6:result2:ok3:sdp5:v=0\r\ne", "v=0\r\n", id="sorted"),
            pytest.param(b"d3:sdp5:v=0\r\n7:warning1:x6:result2:oke", "v=0\r\n", id="more to say"),
            pytest.param(
                b"d3:sdp21:v=06:result2:oke.....6:result2:oke", "v=06:result2:oke.....", id="nested"
            ),
            pytest.param(b"d3:sdp4:v=0\r\n6:result2:oke", None, id="too short"),
            pytest.param(b"d3:sdp9:v=0\r\n6:result2:oke", None, id="too long"),
            pytest.param(b"d3:sdp1:\xff6:result2:oke", None, id="not UTF-8"),
            pytest.param(b"d6:result2:oke", None, id="missing"),
        ],
    )
    def test_sdp_is_read_in_whatever_order_it_comes(
        self, client: NgClient, payload: bytes, sdp: str | None
    ) -> None:
        client.send(Offer("call", "wic", "v=0\r\n", MediaOptions()), 0.0, deadline_s=1.0)
        outcome = client.receive(b"c0 " + payload, 0.1)
        assert outcome is not None
        if sdp is None:
            assert isinstance(outcome.result, NgBadDatagram)
        else:
            assert outcome.result == SdpReply(sdp)

    def test_what_the_daemon_says_besides_is_not_read(self, client: NgClient) -> None:
        """rtpengine 12 tells the statistics of a call that it ends."""
        client.send(Delete("call"), 0.0, deadline_s=1.0)
        outcome = client.receive(b"c0 d7:created?6:result2:oke", 0.1)
        assert outcome is not None
        assert outcome.result == Done()

    @pytest.mark.parametrize("payload", [b"", b"garbage", b"le", b"d6:result4:pong", b"de"], ids=repr)
    def test_an_unreadable_reply_ends_its_request(self, client: NgClient, payload: bytes) -> None:
        client.send(Ping(), 0.0, deadline_s=1.0)
        outcome = client.receive(b"c0 " + payload, 0.1)
        assert outcome is not None
        assert isinstance(outcome.result, NgBadDatagram)
        assert (client.pending, client.counters.failed) == ((), 1)

    @pytest.mark.parametrize(
        ("datagram", "why"),
        [
            pytest.param(b"c0 " + PONG, Dropped.DUPLICATE, id="answered before"),
            pytest.param(b"c1 " + PONG, Dropped.LATE, id="ran out of time"),
            pytest.param(b"other " + PONG, Dropped.UNKNOWN, id="not ours"),
            pytest.param(PONG, Dropped.MALFORMED, id="no cookie"),
            pytest.param(b" " + PONG, Dropped.MALFORMED, id="empty cookie"),
        ],
    )
    def test_a_reply_nobody_waits_for_is_dropped_and_counted(
        self, client: NgClient, datagram: bytes, why: Dropped
    ) -> None:
        client.send(Ping(), 0.0, deadline_s=1.0)
        client.send(Ping(), 0.0, deadline_s=0.5)
        client.receive(b"c0 " + PONG, 0.1)
        client.expire(0.5)
        assert client.receive(datagram, 0.6) is None
        assert {reason for reason, count in client.counters.dropped.items() if count} == {why}

    def test_finished_cookies_are_forgotten_in_the_end(self, client: NgClient) -> None:
        for number in range(300):
            client.send(Ping(), 0.0, deadline_s=1.0)
            client.receive(b"c%d " % number + PONG, 0.0)
        client.receive(b"c0 " + PONG, 0.1)
        client.receive(b"c299 " + PONG, 0.1)
        assert client.counters.dropped[Dropped.UNKNOWN] == client.counters.dropped[Dropped.DUPLICATE] == 1


class TestEndings:
    def test_a_request_ends_with_timeout_at_its_deadline_and_not_before(self, client: NgClient) -> None:
        request = client.send(Query("c"), 0.0, deadline_s=0.25)
        assert client.expire(0.249) == ()
        (outcome,) = client.expire(0.25)
        assert outcome.request is request
        assert isinstance(outcome.result, NgTimeout)
        assert (outcome.result.command, outcome.result.waited_s) == ("query", 0.25)

    def test_the_deadline_is_the_next_thing_to_do_when_it_comes_before_the_retransmission(
        self, client: NgClient
    ) -> None:
        client.send(Ping(), 0.0, deadline_s=0.05)
        assert client.next_deadline() == 0.05

    def test_a_useless_socket_ends_all_requests(self, client: NgClient) -> None:
        client.send(Ping(), 0.0, deadline_s=1.0)
        client.send(Ping(), 0.0, deadline_s=1.0)
        error = NgUnreachable("refused")
        assert [outcome.result for outcome in client.fail(error, 0.1)] == [error, error]
        assert client.pending == ()

    def test_an_abandoned_request_s_reply_counts_as_late(self, client: NgClient) -> None:
        request = client.send(Ping(), 0.0, deadline_s=1.0)
        client.abandon(request, 0.1)
        client.abandon(request, 0.2)
        assert client.receive(b"c0 " + PONG, 0.3) is None
        assert client.counters.dropped[Dropped.LATE] == 1


class TestWaking:
    def test_a_wake_up_is_never_late_whatever_was_answered_meanwhile(self, client: NgClient) -> None:
        client.send(Ping(), 0.0, deadline_s=1.0)
        client.send(Ping(), 0.05, deadline_s=1.0)
        client.receive(b"c0 " + PONG, 0.06)
        wake_at = client.next_deadline()
        assert wake_at is not None
        assert wake_at <= 0.15
        assert (client.expire(wake_at), client.due(wake_at)) == ((), ())
        assert client.next_deadline() == pytest.approx(0.15)

    def test_many_requests_in_flight_are_not_searched_through_for_each_reply(self) -> None:
        numbers = itertools.count()
        client = NgClient(lambda: f"c{next(numbers)}")
        requests = [client.send(Ping(), 0.0, deadline_s=1.0) for _ in range(1000)]
        looked_at = 0

        class Watched(dict[bytes, Request]):
            def values(self) -> Any:
                nonlocal looked_at
                looked_at += len(self)
                return super().values()

        client._pending = Watched(client._pending)
        for request in requests:
            client.receive(request.cookie + b" " + PONG, 0.01)
            client.next_deadline()
            assert (client.expire(0.01), client.due(0.01)) == ((), ())
        assert looked_at == 0
