"""rtpengine.agent.ledger: what is left over and what is lost, and what is none of our business."""

from __future__ import annotations

from rtpengine.agent.ledger import LOST_AFTER_S, SETTLED_AFTER_S, Call, Findings, Ledger

NODE = "192.0.2.1:2223"
OTHER = "192.0.2.2:2223"
NOW = 1000.0
GRACE_S = 10.0
NOTHING = Findings((), (), look_again=False)


def call(key: str, *kinds: str, node: str = NODE, confirmed: bool = True, since: float = NOW - 60) -> Call:
    return Call(key, node, kinds or ("audio",), confirmed, since)


class Site:
    """A ledger, and what is said to it."""

    def __init__(self, *, exclusive: bool = False) -> None:
        self.ledger = Ledger(NODE, GRACE_S, exclusive=exclusive)

    def look(
        self,
        listed: list[str],
        *calls: Call,
        after_s: float = 0.0,
        unreleased: tuple[str, ...] = (),
        complete: bool = True,
    ) -> Findings:
        return self.ledger.compare(listed, calls, unreleased, NOW + after_s, complete=complete)


class TestLeftOver:
    def test_a_call_the_gateway_had_and_forgot_is_left_over_after_a_while(self) -> None:
        site = Site()
        assert site.look(["a", "a-v"], call("a", "audio", "video")) == NOTHING
        assert site.look(["a", "a-v"], after_s=1).left_over == ()
        assert site.look(["a", "a-v"], after_s=1 + GRACE_S).left_over == ("a", "a-v")

    def test_one_that_is_deleted_meanwhile_is_not(self) -> None:
        site = Site()
        site.look(["a"], call("a"))
        site.look(["a"], after_s=1)
        assert site.look([], after_s=20) == NOTHING
        assert site.look(["a"], after_s=30).left_over == ()  # the same name again: the time begins anew

    def test_one_that_was_given_to_another_gateway_is_ours_no_more(self) -> None:
        site = Site()
        site.look(["a"], call("a"))
        assert site.look(["a"], after_s=1) == NOTHING
        site.ledger.forget(["a"])
        for after_s in (20, 40):
            assert site.look(["a"], after_s=after_s) == NOTHING

    def test_nor_is_one_that_a_gateway_had_which_was_started_anew(self) -> None:
        site = Site()
        site.look(["a", "b"], call("a"), call("b"))
        site.ledger.forget_all()
        for after_s in (1, 20):
            assert site.look(["a", "b"], call("a"), after_s=after_s) == NOTHING
        site.look(["a", "b"], after_s=21)
        assert site.look(["a", "b"], after_s=40).left_over == ("a",)

    def test_calls_of_another_gateway_are_none_of_ours(self) -> None:
        site = Site()
        for after_s in (0, 20, 40):
            assert site.look(["theirs"], after_s=after_s) == NOTHING

    def test_unless_the_node_is_ours_alone(self) -> None:
        site = Site(exclusive=True)
        site.look(["of a former life"])
        assert site.look(["of a former life"], after_s=GRACE_S).left_over == ("of a former life",)

    def test_what_could_not_be_released_is_left_over_though_it_was_never_seen(self) -> None:
        site = Site()
        site.look(["short", "theirs"], unreleased=("short", "gone"))
        found = site.look(["short", "theirs"], after_s=GRACE_S, unreleased=("short", "gone"))
        assert found.left_over == ("short",)

    def test_a_call_that_moved_to_another_node_is_left_over_here(self) -> None:
        site = Site()
        site.look(["a"], call("a"))
        site.look(["a"], call("a", node=OTHER), after_s=1)
        assert site.look(["a"], call("a", node=OTHER), after_s=20).left_over == ("a",)

    def test_a_call_that_is_set_up_is_known_from_its_first_moment(self) -> None:
        site = Site(exclusive=True)
        begun = call("a", confirmed=False, since=NOW)
        for after_s in (0, 20, 40):
            assert site.look(["a"], begun, after_s=after_s) == NOTHING


class TestLost:
    def test_a_running_call_the_node_does_not_know_is_lost_at_the_second_look(self) -> None:
        site = Site()
        assert site.look([], call("a")) == Findings((), (), look_again=True)
        assert site.look([], call("a"), after_s=LOST_AFTER_S) == Findings((), ("a",), look_again=False)

    def test_one_medium_is_enough(self) -> None:
        site = Site()
        for after_s in (0, 20):
            assert site.look(["a"], call("a", "audio", "video"), after_s=after_s) == NOTHING

    def test_not_on_another_node_nor_before_it_is_answered_nor_just_after(self) -> None:
        site = Site()
        calls = (
            call("a", node=OTHER),
            call("b", confirmed=False),
            call("c", since=NOW + 20 - SETTLED_AFTER_S + 1),
        )
        for after_s in (0, 20):
            assert site.look([], *calls, after_s=after_s) == NOTHING

    def test_a_list_that_was_cut_short_proves_nothing(self) -> None:
        site = Site()
        for after_s in (0, 20):
            assert site.look([], call("a"), after_s=after_s, complete=False) == NOTHING
