"""The end of an answered call, played at random: whatever crosses with the BYE, its answer finds the way back."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Side
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.ladder import Call

ACTIVE = {"Event": ["refer"], "Subscription-State": ["active"]}
LAST = {"Event": ["refer"], "Subscription-State": ["terminated;reason=noresource"]}
REQUESTS = {
    "INFO": ("INFO", {}),
    "REFER": ("REFER", {}),
    "report": ("NOTIFY", ACTIVE),
    "last report": ("NOTIFY", LAST),
    "BYE": ("BYE", {}),
}


@dataclass(frozen=True)
class Asked:
    """A request that was passed on, and the CSeq number its response has."""

    to: Side
    method: str
    cseq: int


class World:
    """Both sides send, and respond in any order."""

    def __init__(self, call: Call | Incoming) -> None:
        self.call = call
        self.open: list[Asked] = []
        self.cseqs = dict.fromkeys(Side, 20)
        self.gone = False
        self.waits_for_a_timer = False

    def ask(self, by: Side, name: str) -> None:
        """One side sends a request; the dispatcher answers it itself where the record is gone."""
        if self.gone:
            return
        method, headers = REQUESTS[name]
        self.cseqs[by] += 1
        make = self.call.wic_request if by is Side.WIC else self.call.ims_request
        for action in self._follow(make(method, cseq=self.cseqs[by], headers=headers)):
            if isinstance(action, act.ForwardRequest):
                cseq = action.edits.cseq
                self.open.append(Asked(action.to, method, self.cseqs[by] if cseq is None else cseq))

    def respond(self, asked: Asked) -> None:
        """The side that was asked responds."""
        self.open.remove(asked)
        if self.gone:
            return
        status = 202 if asked.method == "REFER" else 200
        make = self.call.wic_reply if asked.to is Side.WIC else self.call.ims_reply
        done = self._follow(make(status, method=asked.method, cseq=asked.cseq))
        assert any(isinstance(action, act.ForwardReply) for action in done), f"lost: {asked}"

    def _follow(self, event: ev.Event) -> list[act.Action]:
        done = list(self.call.on(event))
        self.gone |= any(isinstance(action, act.ForgetCall) for action in done)
        self.waits_for_a_timer |= any(
            isinstance(action, act.Schedule) and action.due is ev.Due.FORGET for action in done
        )
        return done

    @property
    def byes(self) -> list[Asked]:
        """The BYEs that have no response yet."""
        return [asked for asked in self.open if asked.method == "BYE"]


@pytest.mark.parametrize("calls", [Call, Incoming], ids=["from a page", "towards a page"])
@settings(deadline=None)
@given(data=st.data())
def test_the_answer_to_a_bye_finds_its_record(
    calls: type[Call] | type[Incoming], data: st.DataObject
) -> None:
    world = World(calls.confirmed())
    for _ in range(data.draw(st.integers(1, 14), label="events")):
        responds = data.draw(st.booleans(), label="a response")
        if responds and world.open:
            responded = data.draw(st.sampled_from(world.open))
            final = responded in world.byes
            world.respond(responded)
            if final and not world.call.record.reports_due:
                assert world.gone, "the record waits for nothing"
        else:
            by = data.draw(st.sampled_from(Side))
            world.ask(by, data.draw(st.sampled_from(sorted(REQUESTS))))
        assert not (world.gone and world.byes), "forgotten before the BYE was answered"
    assert world.gone or world.waits_for_a_timer or not world.call.record.ended, "nothing ends it"
