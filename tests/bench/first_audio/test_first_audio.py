"""The arithmetic of the measurement, and one call of each gateway."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests.bench.first_audio.__main__ import cells_of
from tests.bench.first_audio.cases import CASES, CASES_BY_NAME
from tests.bench.first_audio.measure import CallTimes
from tests.bench.first_audio.phone import opus_tone
from tests.bench.first_audio.report import JUDGED_CLIENT, Cell, bars, table
from tests.bench.first_audio.sound import PacketDecoder, is_audible
from tests.peers.tone import samples_to_g711, sine


def cell(*page_ms: float | None, case: str = "update", client: str = JUDGED_CLIENT) -> Cell:
    """Return a cell of a network with 50 ms each way; None is a call that failed."""
    calls = [None if ms is None else CallTimes(0.0, 0.0, ms / 1000, 0.2, 0.01) for ms in page_ms]
    return Cell(CASES_BY_NAME[case], "50 ms", 0.05, client, calls)


class TestReport:
    @pytest.mark.parametrize(
        ("page_ms", "kept"),
        [
            pytest.param([90.0], [True, True, True], id="at the bar, the network's delay taken off"),
            pytest.param([91.0], [False, True, True], id="above"),
            pytest.param([60.0, None], [True, True, False], id="a call that failed"),
            pytest.param([], [False, False, True], id="no call at all"),
        ],
    )
    def test_the_bar(self, page_ms: list[float | None], kept: list[bool]) -> None:
        assert [bar.kept for bar in bars([cell(*page_ms, case="update-opus")])] == kept

    def test_a_phone_without_opus_has_no_bar_of_its_own(self) -> None:
        assert [bar.promise.partition(": ")[2][:4] for bar in bars([cell(60.0)])] == ["page", "no c"]

    @pytest.mark.parametrize(
        ("case", "client"),
        [
            pytest.param("classic", JUDGED_CLIENT, id="the classic order"),
            pytest.param("update", "chromium", id="a browser"),
        ],
    )
    def test_what_the_bar_is_not_meant_for_is_not_judged(self, case: str, client: str) -> None:
        assert bars([cell(500.0, case=case, client=client)]) == []

    def test_the_table_counts_what_failed(self) -> None:
        line = table([cell(60.0, 80.0, None)]).splitlines()[1].split()
        assert line[-7:] == ["2", "1", "0/0", "0/0", "60/80", "200/200", "10/10"]


class TestSound:
    def test_a_tone_is_heard_and_silence_is_not(self) -> None:
        decoder = PacketDecoder()
        tone = samples_to_g711(sine(440, rate_hz=8000, start=0, count=160), "PCMA")
        silence = samples_to_g711(np.zeros(160, np.int16), "PCMA")
        assert is_audible(decoder.samples(8, tone))
        assert not is_audible(decoder.samples(8, silence))

    def test_the_first_payload_of_the_phone_is_a_tone_already(self) -> None:
        assert is_audible(PacketDecoder().samples(96, opus_tone(440)[0]))


@pytest.mark.lab
def test_a_call_through_each_gateway_is_heard_at_both_ends() -> None:
    cases = [case for case in CASES if case.name in ("update", "100rel-opus", "late", "classic")]
    cells = asyncio.run(cells_of(cases, 0, 1, "aiortc"))
    assert [found.case for found in cells] == cases
    for found in cells:
        (call,) = found.complete
        assert call.played_s is not None
        assert call.packet_s is not None
        assert call.page_s is not None
        assert 0 < call.packet_s <= call.page_s <= call.played_s
