"""The table of steps, and calls played at random: whatever comes in whatever order, nothing is corrupted."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.flow import INCOMING_STEPS, LATE, STEPS, handle
from kemi.core.call.states import Dialog, Media
from kemi.core.errors import LocalProtocolError, MediaUnavailable
from kemi.core.messages import Side
from kemi.state.calls import record_from_text, record_to_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import SETTINGS, Call, invite, record_at


def test_every_event_has_its_step() -> None:
    kinds = [kind for kind in vars(ev).values() if isinstance(kind, type) and issubclass(kind, ev.Event)]
    assert set(STEPS) | set(INCOMING_STEPS) | LATE == set(kinds) - {ev.Event}


def test_an_event_without_a_step_is_our_own_bug() -> None:
    @dataclass(frozen=True, slots=True)
    class Surprise(ev.Event):
        pass

    with pytest.raises(LocalProtocolError, match="Surprise"):
        handle(record_at("offered"), Surprise(), SETTINGS)


ERROR = MediaUnavailable("relay gone")
Move = Callable[[Call], ev.Event]


def _answer(call: Call, port: int = 40000, refuse: tuple[str, ...] = ()) -> str:
    return sdp.core_answer(*[medium.kind for medium in call.record.media], port=port, refuse=refuse)


MOVES: dict[str, Move] = {
    "PRACK of ours": lambda call: call.prack(1),
    "PRACK of ours again": lambda call: call.prack(2, cseq=5, rack="2 2 INVITE"),
    "PRACK of the core's first": lambda call: call.prack(2, cseq=4),
    "UPDATE 200": lambda call: ev.UpdateAnswered(200, sdp.page_answer(call.record.update_offer)),
    "UPDATE 491": lambda call: ev.UpdateAnswered(491, jitter=0.3),
    "UPDATE 488": lambda call: ev.UpdateAnswered(488),
    "UPDATE 408": lambda call: ev.UpdateAnswered(408),
    "guard": lambda call: ev.InviteGuardExpired(),
    "CANCEL": lambda call: ev.CancelReceived(),
    "flow closed": lambda call: ev.FlowClosed(),
    "registration ended": lambda call: ev.RegistrationEnded("expired"),
    "forbidden": lambda call: ev.CallForbidden("enough"),
    "forbidden, page away": lambda call: ev.CallForbidden("enough", flow_alive=False),
    "180 core1": lambda call: call.ims_reply(180, "core1", rseq=1),
    "183 core2": lambda call: call.ims_reply(183, "core2", body=_answer(call, port=42000, refuse=("video",))),
    "183 core2 revoked": lambda call: call.ims_reply(183, "core2", early_media="inactive"),
    "199 core1": lambda call: call.ims_reply(199, "core1"),
    "media lost": lambda call: ev.MediaLost("silence"),
    "183 rubbish": lambda call: call.ims_reply(183, "core3", body="rubbish"),
    "200 core1": lambda call: call.ims_reply(200, "core1", body=_answer(call)),
    "200 core2": lambda call: call.ims_reply(200, "core2", body=_answer(call, refuse=("video",))),
    "200 empty": lambda call: call.ims_reply(200, "core1"),
    "486": lambda call: call.ims_reply(486, "core1"),
    "failed 486": lambda call: ev.ImsFailed(486),
    "failed locally": lambda call: ev.ImsFailed(408, local=True),
    "failed 407": lambda call: ev.ImsFailed(407),
    "credentials": lambda call: ev.CredentialsSent(replace(invite(), cseq=call.record.invite_cseq + 1)),
    "ACK": lambda call: call.wic_request("ACK", cseq=1),
    "page BYE": lambda call: call.wic_request("BYE"),
    "page INFO": lambda call: call.wic_request("INFO", cseq=11),
    "page INFO elsewhere": lambda call: call.wic_request("INFO", cseq=12, connection_id="8"),
    "page UPDATE": lambda call: call.wic_request("UPDATE", body="v=0"),
    "core BYE": lambda call: call.ims_request("BYE", cseq=3),
    "core BYE, page away": lambda call: call.ims_request("BYE", cseq=3, alive=False),
    "core INFO": lambda call: call.ims_request("INFO", cseq=1),
    "core2 INFO": lambda call: call.ims_request("INFO", tag="core2", cseq=900),
    "page answers INFO": lambda call: call.wic_reply(200, method="INFO", cseq=2),
    "core answers BYE": lambda call: call.ims_reply(200, method="BYE", cseq=9),
}
MEANWHILE = [
    "CANCEL",
    "flow closed",
    "page BYE",
    "core BYE",
    "core BYE, page away",
    "failed 486",
    "200 core2",
]
"""What other processes may be told while one waits for the relay."""
TIMER = "timer"
BEFORE_FORWARDING = {
    "180 core1",
    "183 core2",
    "183 core2 revoked",
    "199 core1",
    "183 rubbish",
    "200 core1",
    "200 core2",
    "200 empty",
    "486",
}
"""The core says nothing before it was asked."""


class World:
    """Plays a call as the dispatcher does, and watches what must always hold."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        body = data.draw(st.sampled_from(["audio-sendonly", "av-sendonly", "audio-sendrecv"]))
        self.call = Call.offered(sdp.chromium(body))
        self.done: list[act.Action] = []
        self.taken: list[ev.Due] = []
        """Wake-ups not delivered yet; one that was replaced may still come, it was taken a moment before."""
        self.gone = False
        self.waiting = False
        self.connected_late = 0
        """How often the relay connected a call that had ended meanwhile; each time it is released again."""
        if data.draw(st.booleans(), label="relay has ports"):
            self._follow(self.call.reserved())
        else:
            self.step(ev.MediaFailed(ERROR))

    def step(self, event: ev.Event) -> None:
        """Give the call an event, as CallStore and Dispatcher do: an error leaves the record as it was."""
        before = copy.deepcopy(self.call.record)
        actions = self.call.on(event)
        self._check_record(before.dialog)
        self._follow(actions)

    def _check_record(self, before: Dialog) -> None:
        record = self.call.record
        assert record_from_text(record_to_text(record)) == record
        assert before is not Dialog.TERMINATED or record.dialog is Dialog.TERMINATED
        if record.ended:
            assert record.media_state is Media.RELEASED

    def _follow(self, actions: list[act.Action]) -> None:
        for action in actions:
            self._check_action(action)
            self.done.append(action)
            following = self._outcome(action)
            if following is not None and not self.gone:
                self.step(following)

    def _check_action(self, action: act.Action) -> None:
        if isinstance(action, act.ReleaseMedia | act.ForwardInvite):
            again = sum(isinstance(earlier, act.CreateTransaction) for earlier in self.done)
            allowed = self.connected_late if isinstance(action, act.ReleaseMedia) else again
            assert sum(type(earlier) is type(action) for earlier in self.done) <= allowed, "done twice"
        if isinstance(action, act.ConnectMedia | act.ForwardInvite):
            assert not any(isinstance(earlier, act.ReleaseMedia) for earlier in self.done), "after the end"
        number = _cseq_to_page(action)
        if number is not None:
            earlier = [n for n in map(_cseq_to_page, self.done) if n is not None]
            assert all(number > n for n in earlier), "CSeq does not rise"

    def _outcome(self, action: act.Action) -> ev.Event | None:
        match action:
            case act.ForgetCall():
                self.gone = True
                return None
            case act.Schedule(due=due):
                self.taken.append(due)
            case act.CreateTransaction():
                return ev.TransactionCreated(33, 44)
            case act.ResumeInvite():
                return ev.InviteResumed()
            case act.AcceptReverse():
                return ev.ReverseAccepted() if self.data.draw(st.booleans()) else ev.MediaFailed(ERROR)
            case act.ConnectMedia(reply=reply):
                meanwhile = self.data.draw(st.none() | st.sampled_from(MEANWHILE), label="meanwhile")
                if meanwhile is not None and not self.waiting:
                    self.waiting = True
                    self.step(MOVES[meanwhile](self.call))
                    self.waiting = False
                works = self.data.draw(st.booleans(), label="relay takes the answer")
                self.connected_late += works and self.call.record.ended
                return ev.MediaConnected(reply) if works else ev.MediaFailed(ERROR, reply)
            case act.ForwardInvite():
                sent = self.data.draw(st.booleans(), label="the core can be reached")
                return None if sent else ev.ImsFailed(503, local=True)
        return None


def _cseq_to_page(action: act.Action) -> int | None:
    if isinstance(action, act.SendRequest) and action.to is Side.WIC:
        (line,) = [line for line in action.headers if line.startswith("CSeq: ")]
        return int(line.split()[1])
    if isinstance(action, act.ForwardRequest) and action.to is Side.WIC:
        return action.edits.cseq
    return None


@settings(max_examples=2 * settings().max_examples, deadline=None)
@given(data=st.data())
def test_no_order_of_events_corrupts_a_call(data: st.DataObject) -> None:
    world = World(data)
    for _ in range(data.draw(st.integers(0, 14), label="events")):
        if world.gone:
            break
        name = data.draw(st.sampled_from([*sorted(MOVES), TIMER]), label="event")
        if name == TIMER:
            if world.taken:
                world.step(ev.TimerFired(world.taken.pop(), flow_alive=data.draw(st.booleans())))
        elif name not in BEFORE_FORWARDING or world.call.record.forwarded:
            world.step(MOVES[name](world.call))
    if world.gone and not any(isinstance(action, act.ReleaseMedia) for action in world.done):
        assert not any(isinstance(action, act.SuspendInvite) for action in world.done), "ports are lost"
