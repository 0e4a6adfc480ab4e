"""The benchmark's own arithmetic and its load client, without any gateway."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import islice, pairwise, takewhile

import pytest

from kemi.settings import settings_from_text
from rtpengine.ng.statistics import RawStatistics
from rtpengine.quality import medium_quality
from tests.bench.callee import answer_to
from tests.bench.cpu import Machine, calibrate, tree_cpu_s
from tests.bench.frames import TEXT, Frame, FrameReader, frame_to_bytes
from tests.bench.generator import LoadOrder, begins_s, order_from_text, order_to_text
from tests.bench.load_call import LoadCall, all_headers, header
from tests.bench.relay import statistics
from tests.bench.report import bars, table
from tests.bench.results import CallTimes, Percentiles, RunResult, added_latencies_s, percentiles
from tests.bench.runner import CLOSED_LOOP, HALF_LOAD, Cell, Comparison, Mode, Plan
from tests.bench.stacks import Samples, add_leaves, add_stacks, dearest
from tests.bench.targets import EVERYTHING
from tests.lab.options import NO_LIMITS
from tests.lab.roles import render_role, role_defaults
from tests.peers.sdp import page_offer, sdp_from_text
from tests.peers.sip import SipRequest, SipResponse, message_from_text, message_to_text, response_to

SLOW = Mode("100/s", 100.0)
ZERO = Percentiles(0, 0, 0)


class TestTargets:
    """What stands in for a relay, and what is switched on."""

    def test_the_stand_in_says_of_a_call_what_a_relay_says(self) -> None:
        read = RawStatistics(statistics()).read()
        found = medium_quality("audio", read)
        assert found.wic is not None
        assert found.ims is not None
        assert (found.wic.codec, found.ims.codec, found.wic.packets) == ("opus/48000/2", "PCMA/8000", 50)

    def test_what_tests_switch_off_is_on(self) -> None:
        assert set(NO_LIMITS) <= set(EVERYTHING)
        assert EVERYTHING["gateway_overload_control"] is True
        settings = settings_from_text(
            render_role(
                "kamailio",
                "gateway.toml.j2",
                {"gateway_flow_secret": "x" * 32, "gateway_control_secret": "y" * 32, **EVERYTHING},
            )
        )
        assert settings.overload.enabled
        assert EVERYTHING["gateway_ban_points"] == role_defaults("kamailio")["gateway_ban_points"]


class TestStacks:
    """What samplers say, read."""

    def test_of_py_spy_functions_are_added_up(self) -> None:
        samples = Samples()
        stack = "callback (kemi/adapters/guard.py:78);run (rtpengine/sessions.py:310)"
        text = f"{stack};send (rtpengine/transport/address.py:8) 3\n{stack};run (rtpengine/sessions.py:312) 1\n 40\n"
        add_stacks(samples, text, ("adapters/",))
        assert samples.total == 4
        assert samples.exclusive == {"transport/address.send": 3, "rtpengine/sessions.run": 1}
        assert samples.inclusive["rtpengine/sessions.run"] == 4
        assert dearest(samples.inclusive, 1, ["adapters/guard."]) == [("rtpengine/sessions.run", 4)]

    def test_of_perf_libraries_are_added_up(self) -> None:
        samples = Samples()
        add_leaves(
            samples,
            "  812   7f1c0 _PyEval_EvalFrameDefault (/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0)\n"
            "  812   ffff8 finish_task_switch.isra.0 ([kernel.kallsyms])\n"
            "  813   55d20 parse_via (/usr/sbin/kamailio)\n"
            "  813   55d21 ht_get_table (/usr/lib/kamailio/modules/htable.so)\n\n",
        )
        assert samples.inclusive == {"libpython3.11": 1, "kernel": 1, "kamailio": 1, "htable": 1}
        assert samples.exclusive["kamailio parse_via"] == 1


class TestNumbers:
    @pytest.mark.parametrize(
        ("values_s", "expected"),
        [
            pytest.param([], ZERO, id="no calls"),
            pytest.param([0.004], Percentiles(4, 4, 4), id="one call"),
            pytest.param([n / 1000 for n in range(1, 101)], Percentiles(50, 95, 99), id="a hundred"),
        ],
    )
    def test_percentiles_are_nearest_rank_in_milliseconds(
        self, values_s: list[float], expected: Percentiles
    ) -> None:
        assert percentiles(values_s) == expected

    def test_added_latency_is_matched_by_call_id(self) -> None:
        calls = [CallTimes("a", 1.0), CallTimes("b", 2.0)]
        assert added_latencies_s(calls, {"b": 2.5, "c": 9.0}) == [0.5]

    def test_cpu_of_a_tree_includes_the_children(self) -> None:
        code = "import os; pid = os.fork(); sum(range(3_000_000)) if pid == 0 else None; print(1, flush=True)"
        with subprocess.Popen(
            [sys.executable, "-c", f"{code}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)] == [b"1\n", b"1\n"]
            alone = tree_cpu_s([os.getpid()]) - tree_cpu_s([process.pid])
            assert tree_cpu_s([process.pid]) > 0.02
            assert alone > 0
            process.communicate(b"\n")

    def test_a_process_that_ended_costs_nothing(self) -> None:
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        assert tree_cpu_s([process.pid]) == 0

    def test_the_calibration_measures_something(self) -> None:
        machine = calibrate()
        assert machine.cores > 0
        assert machine.sha256_mb_per_s > 0
        assert machine.python_loops_per_ms > 0


class TestFrames:
    @pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
    def test_every_length_form_survives_a_stream_of_single_bytes(self, size: int) -> None:
        client = frame_to_bytes(b"x" * size)
        masked = len(client) - size - 4
        head = bytearray(client[:masked])
        head[1] &= 0x7F  # as a server would send it
        server = bytes(head) + client[masked + 4 :]
        reader = FrameReader()
        found = [frame for n in range(len(server)) for frame in reader.feed(server[n : n + 1])]
        assert found == [Frame(TEXT, b"x" * size)]

    def test_two_frames_in_one_read_are_two(self) -> None:
        data = b"\x81\x01a\x81\x01b"
        assert [frame.payload for frame in FrameReader().feed(data)] == [b"a", b"b"]


class TestLoadCall:
    """The far end is played by `play`, with the message model as the judge of what was sent."""

    def play(self, answer: Callable[[SipRequest], list[str]]) -> tuple[list[str], list[str | None], LoadCall]:
        inbox: list[str] = []
        sent: list[str] = []
        ends: list[str | None] = []
        call = LoadCall("x.invalid", "alice0", inbox.append, lambda _, failure: ends.append(failure))
        call.start()
        while inbox:
            message = message_from_text(inbox.pop(0))
            if isinstance(message, SipResponse):
                sent.append(f"{message.status} {message.cseq.method}")
                continue
            sent.append(message.method)
            for reply in answer(message):
                call.received(reply, call.times.invite_at_s)
        return sent, ends, call

    def test_a_plain_call_runs_to_its_bye_along_the_route_set(self) -> None:
        def answer(request: SipRequest) -> list[str]:
            if request.method == "INVITE":
                headers = [("Record-Route", "<sip:b;lr>, <sip:a;lr>"), ("Contact", "<sip:callee@c>")]
                return [message_to_text(response_to(request, 200, to_tag="t", headers=headers))]
            assert request.headers.all("Route") == ["<sip:a;lr>", "<sip:b;lr>"]
            assert request.request_uri == "sip:callee@c"
            return [message_to_text(response_to(request, 200))] if request.method == "BYE" else []

        sent, ends, call = self.play(answer)
        assert sent == ["INVITE", "ACK", "BYE"]
        assert ends == [None]
        assert call.times.answered_at_s >= call.times.invite_at_s > 0

    def test_the_full_flow_answers_the_update(self) -> None:
        requests: list[SipRequest] = []

        def answer(request: SipRequest) -> list[str]:
            requests.append(request)
            contact = ("Contact", "<sip:gw@g>")
            if request.method == "INVITE":
                assert sdp_from_text(request.body).media[0].direction == "sendonly"
                fields = [("Require", "100rel"), ("RSeq", "7"), contact]
                return [message_to_text(response_to(request, 183, to_tag="g", headers=fields))]
            if request.method == "PRACK":
                assert request.headers.get("RAck") == "7 1 INVITE"
                update = request.headers.copy()
                update.replace("CSeq", "1 UPDATE")
                offer = page_offer(audio="recvonly")
                return [
                    message_to_text(response_to(request, 200)),
                    message_to_text(SipRequest("UPDATE", "sip:a@b", headers=update).set_body(offer)),
                    message_to_text(response_to(requests[0], 200, to_tag="g", headers=[contact])),
                ]
            return [message_to_text(response_to(request, 200))] if request.method == "BYE" else []

        sent, ends, call = self.play(answer)
        assert sent == ["INVITE", "PRACK", "200 UPDATE", "ACK", "BYE"]
        assert ends == [None]
        assert call.times.page_s > 0

    def test_a_refused_call_is_acknowledged_and_named(self) -> None:
        def answer(request: SipRequest) -> list[str]:
            refusal = message_to_text(response_to(request, 503, to_tag="t"))
            return [refusal] if request.method == "INVITE" else []

        sent, ends, _ = self.play(answer)
        assert (sent, ends) == (["INVITE", "ACK"], ["INVITE 503"])

    def test_header_fields_are_found_and_joined(self) -> None:
        text = "SIP/2.0 200 OK\r\nVia: a\r\nVia: b, c\r\nCSeq: 1 BYE\r\n\r\n"
        assert all_headers(text, "Via") == ["a", "b", "c"]
        assert header(text, "CSeq") == "1 BYE"
        assert header(text, "To") == ""

    def test_an_order_reads_back_as_written(self) -> None:
        order = LoadOrder(1, rate=5.0, register=True, headers={"Origin": "https://a"})
        assert order_from_text(order_to_text(order)) == order

    def test_load_clients_side_by_side_share_the_time_between_two_calls(self) -> None:
        orders = [LoadOrder(1, rate=50.0, phase=phase) for phase in (0.0, 0.5)]
        begun = (100.0031, 100.2517)  # neither knows when the other has begun
        calls = [list(islice(begins_s(*one), 100)) for one in zip(orders, begun, strict=True)]
        assert [0 <= all_of[0] - at < 0.02 for all_of, at in zip(calls, begun, strict=True)] == [True] * 2
        both = sorted([*calls[0], *calls[1]])[30:170]  # while both are at it
        assert [later - one for one, later in pairwise(both)] == pytest.approx([0.01] * 139)

    def test_calls_that_come_by_chance_are_as_many_and_come_as_they_like(self) -> None:
        order = LoadOrder(1, rate=50.0, by_chance=True)
        calls = list(takewhile(lambda at: at < 1100, begins_s(order, 100.0)))
        assert len(calls) == pytest.approx(50_000, rel=0.05)
        gaps = [later - one for one, later in pairwise(calls)]
        long = sum(gap > 2 / order.rate for gap in gaps) / len(gaps)
        assert long == pytest.approx(0.135, rel=0.1)  # e to the -2, of an exponential distribution


def comparison(**figures: tuple[float, float, float]) -> Comparison:
    """Build one round; figures are (calls/s, gateway CPU ms, added p95 ms) by target."""
    cells = []
    for name, (calls_per_s, cpu_ms, added_p95) in figures.items():
        for mode in (CLOSED_LOOP, SLOW):
            run = RunResult(
                100,
                {"timeout": 1},
                calls_per_s,
                ZERO,
                Percentiles(1, added_p95, 99),
                ZERO,
                cpu_ms,
                0.125,
                0.25,
                0.5,
            )
            cells.append(Cell(name, mode.name, (run,)))
    machine = Machine(2, "m", 0.0, 1.0, 1.0)
    return Comparison(machine, Plan(tuple(figures), (CLOSED_LOOP, SLOW), rounds=1), tuple(cells))


class TestReport:
    @pytest.mark.parametrize(
        ("figures", "kept"),
        [
            pytest.param(((1000, 0.5, 1), (950, 0.5, 1), (400, 1.5, 10)), [True] * 6, id="at the bars"),
            pytest.param(
                ((1000, 0.5, 1), (940, 0.5, 1), (399, 1.6, 11)), [False] * 6, id="just beyond the bars"
            ),
        ],
    )
    def test_every_bar_is_judged(
        self, figures: tuple[tuple[float, float, float], ...], kept: list[bool]
    ) -> None:
        judged = bars(comparison(**dict(zip(("native", "kemi", "full"), figures, strict=True))))
        assert [bar.kept for bar in judged] == kept

    @pytest.mark.parametrize(("added", "kept"), [(4.0, [True, False]), (4.1, [False, False])])
    def test_at_half_load_the_pages_own_part_is_taken_off(self, added: float, kept: list[bool]) -> None:
        run = RunResult(1, {}, 500, ZERO, Percentiles(added, 9, 99), Percentiles(1, 2, 3), 1.0, 0, 0, 0)
        cells = (Cell("signalling", HALF_LOAD.name, (run,)),)
        plan = Plan(("signalling",), (HALF_LOAD,), rounds=1)
        assert [bar.kept for bar in bars(Comparison(Machine(2, "m", 0.0, 1.0, 1.0), plan, cells))] == kept

    def test_what_was_not_measured_is_not_judged(self) -> None:
        assert bars(comparison(native=(1000, 1.0, 1))) == []

    def test_the_table_names_the_generator_and_counts_failures(self) -> None:
        lines = table(comparison(native=(1234, 1.0, 1))).splitlines()
        assert lines[0].startswith("machine: cores=2")
        assert "generator CPU ms" in lines[1]
        assert "1234.00" in lines[2]
        assert lines[2].split()[3] == "1"


@pytest.mark.parametrize(
    ("user", "offered", "answered"),
    [
        pytest.param("bob", page_offer(), b"opus/48000/2", id="as the page speaks"),
        pytest.param("pcma", page_offer(), b"PCMA/8000", id="who speaks PCMA alone"),
        pytest.param("bob", page_offer().replace("opus", "other"), b"PCMA/8000", id="no Opus offered"),
    ],
)
def test_the_callee_answers_what_the_page_speaks(user: str, offered: str, answered: bytes) -> None:
    answer = answer_to(f"INVITE sip:{user}@ims.example SIP/2.0\r\n\r\n{offered}".encode())
    codec, *events = [line for line in answer.split(b"\r\n") if line.startswith(b"a=rtpmap:")]
    assert codec.endswith(answered)
    # Without them the page's would have to become tones, and nothing would be passed on.
    assert [line.partition(b" ")[2] for line in events] == [b"telephone-event/48000"] * (b"opus" in answered)
