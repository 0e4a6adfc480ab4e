"""Whether Redis still has what was written to it."""

from __future__ import annotations

from kemi.state.continuity import MOST_UNSURE, NOTHING, Continuity


class Written:
    """A pipeline that keeps the last mark."""

    mark = ""

    def hset(self, _key: str, _node: str, mark: str) -> None:
        self.mark = mark


def test_a_mark_whose_writing_was_not_confirmed_is_known_all_the_same() -> None:
    continuity, redis = Continuity("gw"), Written()
    continuity.write(redis)
    continuity.written()
    continuity.write(redis)
    continuity.found(redis.mark)
    assert continuity.take() == NOTHING


def test_an_outage_is_remembered_by_so_many_marks_and_then_taken_for_a_loss() -> None:
    continuity, redis = Continuity("gw"), Written()
    continuity.write(redis)
    continuity.written()
    for _ in range(2 * MOST_UNSURE):
        continuity.write(redis)
    assert len(continuity._marks) == MOST_UNSURE
    continuity.found(redis.mark)
    assert continuity.take().lost
