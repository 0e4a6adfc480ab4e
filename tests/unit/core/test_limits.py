"""Rates, calls at once and failed logins, as plain data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.core import limits
from kemi.core.limits import Kind, LimitSettings, Rates, Tally
from kemi.state.tallies import TallyStore
from tests.fakes.table import MemoryTable

NOW = 1_800_000_000.0
WINDOW_S, LOCK_S, MOST = 600.0, 300.0, 5


def admitted(tally: Tally, at: float, *, rate: float = 2, burst_s: float = 5) -> bool:
    return limits.take(tally, Kind.INVITE, rate, burst_s, at) == 0.0


class TestRates:
    """So many at once, so many a second afterwards."""

    @pytest.mark.parametrize(("rate", "at_once"), [(2, 10), (0.5, 2), (0.1, 1), (30, 150)])
    def test_what_the_rate_allows_in_the_burst_time_may_come_at_once(self, rate: float, at_once: int) -> None:
        tally = Tally()
        assert [admitted(tally, NOW, rate=rate) for _ in range(at_once)] == [True] * at_once
        assert not admitted(tally, NOW, rate=rate)

    def test_who_is_refused_is_told_when_it_would_pass(self) -> None:
        tally = Tally()
        while admitted(tally, NOW):
            pass
        wait_s = limits.take(tally, Kind.INVITE, 2, 5, NOW)
        assert wait_s == pytest.approx(0.5, abs=0.01)
        assert not admitted(tally, NOW + wait_s - 0.01)
        assert admitted(tally, NOW + wait_s + 0.01)

    def test_asking_on_does_not_make_the_wait_longer(self) -> None:
        tally = Tally()
        for _ in range(1000):
            admitted(tally, NOW)
        assert admitted(tally, NOW + 0.51)

    def test_kinds_do_not_share(self) -> None:
        tally = Tally()
        while admitted(tally, NOW):
            pass
        assert limits.take(tally, Kind.IN_CALL, 2, 5, NOW) == 0.0

    def test_zero_is_no_limit(self) -> None:
        tally = Tally()
        assert all(admitted(tally, NOW, rate=0) for _ in range(1000))
        assert tally == Tally()

    def test_a_clock_that_is_set_back_locks_nobody_out(self) -> None:
        tally = Tally()
        while admitted(tally, NOW):
            pass
        assert admitted(tally, NOW - 3600)

    @given(
        rate=st.floats(0.1, 200),
        burst_s=st.floats(0.1, 30),
        gaps=st.lists(st.floats(0, 2), max_size=200),
    )
    def test_in_no_stretch_of_time_more_than_the_burst_and_the_rate(
        self, rate: float, burst_s: float, gaps: list[float]
    ) -> None:
        tally, at, passed = Tally(), NOW, []
        for gap in gaps:
            at += gap
            if admitted(tally, at, rate=rate, burst_s=burst_s):
                passed.append(at)
        for begin in range(len(passed)):
            for end in range(begin, len(passed)):
                most = max(1.0, rate * burst_s) + rate * (passed[end] - passed[begin]) + 0.1 + rate * 0.001
                assert end - begin + 1 <= most

    @given(rate=st.floats(0.1, 100), burst_s=st.floats(1, 10), count=st.integers(1, 100))
    def test_who_keeps_to_the_rate_never_meets_it(self, rate: float, burst_s: float, count: int) -> None:
        tally = Tally()
        assert all(
            admitted(tally, NOW + number / rate, rate=rate, burst_s=burst_s) for number in range(count)
        )


class TestKinds:
    """What is counted as what."""

    @pytest.mark.parametrize(
        ("method", "in_dialog", "kind"),
        [
            ("REGISTER", False, Kind.REGISTER),
            ("INVITE", False, Kind.INVITE),
            ("INVITE", True, Kind.IN_CALL),
            ("INFO", True, Kind.IN_CALL),
            ("UPDATE", True, Kind.IN_CALL),
            ("OPTIONS", False, Kind.OTHER),
            ("NEWFANGLED", False, Kind.OTHER),
            ("ACK", True, None),
            ("BYE", True, None),
            ("BYE", False, None),
            ("CANCEL", False, None),
        ],
    )
    def test_of_a_request(self, method: str, in_dialog: bool, kind: Kind | None) -> None:
        assert limits.kind_of(method, in_dialog=in_dialog) is kind

    @pytest.mark.parametrize("kind", list(Kind))
    def test_every_kind_has_a_rate(self, kind: Kind) -> None:
        rates = Rates(1, 2, 3, 4)
        assert rates.of(kind) == list(Kind).index(kind) + 1
        for subject in (LimitSettings().connection, LimitSettings().identity):
            assert subject.of(kind) > 0


class TestCalls:
    """So many calls at once."""

    def test_the_next_one_is_refused(self) -> None:
        tally = Tally()
        passed = [limits.admit_call(tally, f"c{n}", 3, NOW + n, lambda _: True) for n in range(5)]
        assert passed == [True, True, True, False, False]

    def test_one_that_is_over_makes_room(self) -> None:
        tally = Tally()
        for number in range(3):
            limits.admit_call(tally, f"c{number}", 3, NOW, lambda _: True)
        assert limits.admit_call(tally, "d", 3, NOW + 5, lambda key: key != "c1")
        assert set(tally.calls) == {"c0", "c2", "d"}

    def test_one_that_has_no_record_yet_counts(self) -> None:
        tally = Tally()
        assert limits.admit_call(tally, "a", 1, NOW, lambda _: False)
        assert not limits.admit_call(tally, "b", 1, NOW + 0.5, lambda _: False)
        assert limits.admit_call(tally, "b", 1, NOW + 1.5, lambda _: False)

    def test_the_list_stays_short_although_many_are_allowed(self) -> None:
        tally, asked = Tally(), []

        def is_running(key: str) -> bool:
            asked.append(key)
            return False

        longest = 0
        for number in range(1000):
            assert limits.admit_call(tally, str(number), 500, NOW + 2 * number, is_running)
            longest = max(longest, len(tally.calls))
        assert longest <= 20
        assert len(asked) <= 1000

    def test_of_many_that_run_none_is_lost(self) -> None:
        tally = Tally()
        passed = [limits.admit_call(tally, str(n), 300, NOW + 2 * n, lambda _: True) for n in range(400)]
        assert passed == [True] * 300 + [False] * 100

    def test_a_long_list_that_is_full_is_looked_through_once_a_second(self) -> None:
        tally, asked = Tally(), []

        def is_running(key: str) -> bool:
            asked.append(key)
            return key != "7"

        for number in range(300):
            assert limits.admit_call(tally, str(number), 300, NOW + number, lambda _: True)
        passed = [
            limits.admit_call(tally, f"late {n}", 300, NOW + 400 + n / 10, is_running) for n in range(10)
        ]
        assert passed == [True] + [False] * 9
        assert len(asked) <= 300
        assert not limits.admit_call(tally, "later", 300, NOW + 402, is_running)
        assert limits.admit_call(tally, "set back", 300, NOW + 401.5 - 3600, lambda _: False)

    def test_an_invite_that_is_sent_again_is_no_other_call(self) -> None:
        tally = Tally()
        assert limits.admit_call(tally, "a", 1, NOW, lambda _: True)
        assert limits.admit_call(tally, "a", 1, NOW, lambda _: True)

    def test_zero_is_no_limit(self) -> None:
        assert all(limits.admit_call(Tally(), str(n), 0, NOW, lambda _: True) for n in range(100))


def fail(tally: Tally, at: float) -> bool:
    return limits.count_failure(tally, MOST, WINDOW_S, LOCK_S, at)


class TestLogins:
    """Guessing stops; who mistypes goes on."""

    @pytest.mark.parametrize(
        ("status", "challenges", "guessed", "failed"),
        [
            pytest.param(401, ['Digest realm="r", nonce="n"'], False, False, id="the first challenge"),
            pytest.param(401, ['Digest realm="r", nonce="n"'], True, True, id="a wrong password"),
            pytest.param(401, ['Digest nonce="n", stale=TRUE'], True, False, id="an old nonce"),
            pytest.param(401, ['Digest nonce="n",stale="true"'], True, False, id="an old nonce, quoted"),
            pytest.param(401, ['Digest nonce="n", stale=false'], True, True, id="not stale"),
            pytest.param(407, [], True, True, id="a proxy"),
            pytest.param(403, [], False, True, id="forbidden"),
            pytest.param(404, [], False, True, id="unknown"),
            pytest.param(200, [], True, False, id="welcome"),
            pytest.param(503, [], True, False, id="trouble"),
        ],
    )
    def test_what_counts_as_failed(
        self, status: int, challenges: list[str], guessed: bool, failed: bool
    ) -> None:
        assert limits.login_failed(status, challenges, guessed=guessed) is failed

    def test_the_last_failure_that_is_allowed_locks(self) -> None:
        tally = Tally()
        assert [fail(tally, NOW + n) for n in range(MOST)] == [False] * (MOST - 1) + [True]
        assert limits.locked_for_s(tally, LOCK_S, NOW + MOST) == pytest.approx(LOCK_S, abs=1.1)

    def test_the_lock_ends_by_itself_and_goes_on_guessing_gets_less(self) -> None:
        tally = Tally()
        for number in range(MOST):
            fail(tally, NOW + number)
        after = NOW + MOST + LOCK_S
        assert limits.locked_for_s(tally, LOCK_S, after) == 0.0
        assert [fail(tally, after) for _ in range(2)] == [False, True]

    def test_now_and_then_is_not_locked(self) -> None:
        tally = Tally()
        every_s = WINDOW_S / MOST
        assert not any(fail(tally, NOW + number * every_s) for number in range(100))

    def test_success_forgets(self) -> None:
        tally = Tally()
        for number in range(MOST - 1):
            fail(tally, NOW + number)
        limits.count_success(tally, "192.0.2.1")
        assert not fail(tally, NOW + 10)

    def test_what_a_success_would_not_change_is_known(self) -> None:
        tally = Tally()
        assert not limits.is_trusted(tally, "192.0.2.1")
        limits.count_success(tally, "192.0.2.1")
        assert limits.is_trusted(tally, "192.0.2.1")
        assert not limits.is_trusted(tally, "198.51.100.9")
        fail(tally, NOW)
        assert not limits.is_trusted(tally, "192.0.2.1")

    def test_who_logged_in_from_here_is_not_locked_out_by_others(self) -> None:
        tally = Tally()
        limits.count_success(tally, "192.0.2.1")
        for number in range(MOST):
            fail(tally, NOW + number)
        assert limits.locked_for_s(tally, LOCK_S, NOW + MOST, "198.51.100.9") > 0
        assert limits.locked_for_s(tally, LOCK_S, NOW + MOST, "192.0.2.1") == 0.0

    def test_zero_is_no_limit(self) -> None:
        tally = Tally()
        assert not any(limits.count_failure(tally, 0, WINDOW_S, LOCK_S, NOW) for _ in range(100))

    def test_a_clock_that_is_set_back_ends_a_lock(self) -> None:
        tally = Tally()
        for _ in range(MOST):
            fail(tally, NOW)
        assert limits.locked_for_s(tally, LOCK_S, NOW - 3600) == 0.0


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_site_is_one_address(address: str, key: str) -> None:
    assert limits.address_key(address) == key


def test_one_line_for_each_period() -> None:
    tally = Tally()
    told = [limits.is_news(tally, NOW + second) for second in range(25)]
    assert [second for second, news in enumerate(told) if news] == [0, 10, 20]


def test_a_tally_survives_the_table() -> None:
    store = TallyStore(MemoryTable())

    def step(tally: Tally) -> float:
        limits.admit_call(tally, "a", 5, NOW, lambda _: True)
        return limits.take(tally, Kind.INVITE, 0.5, 2, NOW)

    assert store.change("x", step) == 0.0
    assert store.change("x", step) > 0
    assert store.get("x").calls == {"a": NOW}
    assert store.get("y") == Tally()
