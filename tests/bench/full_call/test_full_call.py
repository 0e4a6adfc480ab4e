"""Whole calls through the real gateway, the next one right after the BYE; and what the report makes of figures."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.bench.full_call.measure import Calls, Run, answering_phone, at_rate, open_pages, redials
from tests.bench.full_call.media import HOST, Heard, prepare
from tests.bench.full_call.report import Redials, bars, table
from tests.bench.full_call.sites import gateway
from tests.bench.media_load.streams import tone_of
from tests.bench.results import Percentiles

ZERO = Percentiles(0, 0, 0)


def run(cpu_ms: float, *, silent: int = 0, case: str = "update") -> Run:
    """Return a run of 100 calls."""
    parts = {"gateway": cpu_ms - 1, "rtpengine": 1.0}
    return Run(case, 30.0, 100, silent, {}, 0, 8.0, 29.0, parts, {"rtpengine": 0.3}, 2.0, 1.0, ZERO, ZERO)


class TestReport:
    @pytest.mark.parametrize(
        ("runs", "kept"),
        [
            pytest.param([run(4.0)], [True, True], id="at the bar"),
            pytest.param([run(4.1), run(4.2), run(3.0)], [False, True], id="the median is above"),
            pytest.param([run(3.0, silent=1)], [True, False], id="a silent call"),
            pytest.param([run(9.0, case="janus")], [], id="another's"),
        ],
    )
    def test_bars_of_ours(self, runs: list[Run], kept: list[bool]) -> None:
        assert [bar.kept for bar in bars(runs, [])] == kept

    def test_silent_redials_break_the_bar_of_ours_alone(self) -> None:
        found = [Redials(case, 4, Calls(heard=9, silent=1)) for case in ("two-way", "janus")]
        assert [(bar.value, bar.kept) for bar in bars([], found)] == [(1, False)]

    def test_parts_that_a_case_lacks_are_left_open(self) -> None:
        other = Run(
            "janus", 30.0, 9, 0, {}, 0, 8.0, 29.0, {"janus": 6.0}, {"janus": 0.1}, 2.0, 1.0, ZERO, ZERO
        )
        _, ours, theirs = (line.split() for line in table([run(3.0), other]).splitlines())
        assert ("-" in ours, theirs.count("-")) == (True, 2)


def test_a_call_is_heard_when_both_ends_have_the_others_own_tone() -> None:
    prepare()
    heard_at_both = []
    heard = Heard(0, lambda: heard_at_both.append(True))
    heard.at_page(tone_of("opus", Heard(1, lambda: None).phone_hz)[0])
    assert (heard.is_silent, heard.strange) == (True, 1)
    heard.at_page(tone_of("opus", heard.phone_hz)[0])
    assert not heard_at_both
    heard.at_phone(tone_of("opus", heard.page_hz)[0])
    assert (heard.is_silent, heard_at_both) == (False, [True])


def test_the_phone_refuses_an_offer_without_opus() -> None:
    invite = (
        "INVITE sip:call7@phone.invalid SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
        "From: <sip:p@page.invalid>;tag=1\r\nTo: <sip:call7@phone.invalid>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        "m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
    )

    async def answered() -> bytes:
        async with answering_phone() as phone:
            phone.expected["call7"] = Heard(7, lambda: None)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as core:
                core.setblocking(False)
                core.connect((HOST, phone.port))
                core.send(invite.encode())
                loop = asyncio.get_running_loop()
                return await asyncio.wait_for(loop.sock_recv(core, 65_535), 5)

    assert asyncio.run(answered()).startswith(b"SIP/2.0 488 Not Acceptable Here\r\n")


@pytest.mark.lab
def test_calls_that_follow_at_once_are_heard_and_counted() -> None:
    async def measured() -> None:
        async with answering_phone() as phone:
            with gateway(phone.port, ports=400) as system:  # other labs need theirs
                for case, make in system.pages.items():
                    async with open_pages(make, 3) as pages:
                        again = await redials(pages, phone, 6)
                        assert (again.heard, again.silent, again.failures, again.strange) == (6, 0, {}, 0)
                        idle = dict.fromkeys(system.parts, 0.0)
                        one = await at_rate(case, system, idle, pages, phone, 10, 0.3)
                        assert (one.calls, one.silent, one.failures) == (3, 0, {})
                        assert one.cpu_ms["rtpengine"] > 0
                        assert one.cpu_ms["gateway"] > 0

    asyncio.run(measured())
