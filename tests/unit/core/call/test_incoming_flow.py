"""Calls towards pages played at random: whatever comes in whatever order, nothing is corrupted and nothing stays."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.from_page.setup import reserved_too_late
from kemi.core.call.states import Dialog, Media
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Side
from kemi.state.calls import record_from_text, record_to_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming, invite, offer
from tests.unit.core.call.test_flow import _cseq_to_page

ERROR = MediaUnavailable("relay gone")
Move = Callable[[Incoming], ev.Event]
RELIABLE = {"Require": ["100rel"], "RSeq": ["3"]}
OURS = {"RAck": ["1 5 INVITE"]}
MISSING = "a=curr:qos local none\r\na=des:qos mandatory local sendrecv\r\n"
THERE = MISSING.replace("none", "sendrecv")


def _of_core(offered: str, preconditions: str = "") -> str:
    """The core's offer, with preconditions on its last line; "" for none."""
    return offer(video="video" in offered) + preconditions if offered else ""


def _resources(call: Incoming, preconditions: str) -> ev.Event:
    offered = "+".join(medium.kind for medium in call.record.media)
    return call.ims_request("UPDATE", cseq=9, body=_of_core(offered, preconditions))


MOVES: dict[str, Move] = {
    "100": lambda call: call.wic_reply(100, tag=""),
    "180": lambda call: call.wic_reply(180),
    "180 without tag": lambda call: call.wic_reply(180, tag=""),
    "180 reliable": lambda call: call.wic_reply(180, headers=RELIABLE),
    "183 answer": lambda call: call.wic_reply(183, body=call.page_answer()),
    "183 rubbish": lambda call: call.wic_reply(183, body="rubbish"),
    "200 answer": lambda call: call.wic_reply(200, body=call.page_answer()),
    "200 audio only": lambda call: call.wic_reply(200, body=call.page_answer(refuse=("1",))),
    "200 empty": lambda call: call.wic_reply(200),
    "200 rubbish": lambda call: call.wic_reply(200, body="rubbish"),
    "486": lambda call: call.wic_reply(486),
    "failed 486": lambda call: ev.WicFailed(486),
    "failed 487": lambda call: ev.WicFailed(487),
    "failed locally": lambda call: ev.WicFailed(408, local=True),
    "flow closed": lambda call: ev.FlowClosed(),
    "core ACK": lambda call: call.ims_request("ACK", cseq=5),
    "core ACK with answer": lambda call: call.ims_request("ACK", cseq=5, body=sdp.core_answer()),
    "core BYE": lambda call: call.ims_request("BYE", cseq=7),
    "core BYE, page away": lambda call: call.ims_request("BYE", cseq=7, alive=False),
    "core PRACK of ours": lambda call: call.ims_request("PRACK", cseq=6, headers=OURS),
    "core has resources": lambda call: _resources(call, THERE),
    "core has none yet": lambda call: _resources(call, MISSING),
    "core UPDATE rubbish": lambda call: call.ims_request("UPDATE", cseq=9, body="rubbish"),
    "core CANCEL": lambda call: ev.CancelReceived(),
    "guard": lambda call: ev.InviteGuardExpired(),
    "core PRACK": lambda call: call.ims_request("PRACK", cseq=6),
    "182": lambda call: call.wic_reply(182),
    "media lost": lambda call: ev.MediaLost("silence"),
    "core INFO": lambda call: call.ims_request("INFO", cseq=8),
    "core UPDATE": lambda call: call.ims_request("UPDATE", cseq=9, body=offer()),
    "page answers BYE": lambda call: call.wic_reply(200, method="BYE", cseq=7),
    "page answers INFO": lambda call: call.wic_reply(200, method="INFO", cseq=8),
    "page BYE": lambda call: call.wic_request("BYE", cseq=4),
    "page INFO": lambda call: call.wic_request("INFO", cseq=2),
    "page INFO elsewhere": lambda call: call.wic_request("INFO", cseq=3, connection_id="8"),
    "page ACK": lambda call: call.wic_request("ACK", cseq=5),
    "core answers BYE": lambda call: call.ims_reply(200, method="BYE", cseq=4),
}
OF_THE_PAGE = {name for name in MOVES if name[0].isdigit()}
"""A page says nothing before it was called."""
MEANWHILE = ["180", "200 answer", "failed 486", "failed locally", "flow closed", "core BYE", "486"]
"""What other processes may be told while one waits for the relay."""
BEFORE_THE_PAGE = ["flow closed", "core BYE", "core CANCEL", "core INFO"]
"""The same before the page was called."""
TIMER = "timer"


class World:
    """Plays a call as the dispatcher does, and watches what must always hold."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        required = data.draw(
            st.sampled_from(["", "100rel", "precondition", "100rel, precondition"]), label="required"
        )
        described = data.draw(st.sampled_from(["audio", "audio and video", ""]), label="the core offers")
        states = data.draw(st.sampled_from(["", MISSING, THERE]), label="preconditions")
        request = invite(_of_core(described, states), {"Require": [required] if required else []})
        self.call = Incoming(request)
        self.request = request
        first = list(self.call.actions)
        self.call.on(ev.TransactionCreated(1, 2))
        self.done: list[act.Action] = []
        self.taken: list[ev.Due] = []
        self.gone = False
        self.waiting = False
        self.sent = False
        self.connected_late = 0
        self.ports = False
        """Whether the relay ever had ports for it."""
        ahead: list[act.Action] = [action for action in first if isinstance(action, act.AnswerAhead)]
        if ahead:
            self._follow(ahead)
        elif data.draw(st.booleans(), label="relay has ports"):
            self.ports = True
            self._follow(self.call.reserved())
        else:
            self.step(ev.MediaFailed(ERROR))

    def step(self, event: ev.Event) -> None:
        """Give the call an event, as CallStore and Dispatcher do."""
        before = copy.deepcopy(self.call.record)
        actions = self.call.on(event)
        record = self.call.record
        assert record_from_text(record_to_text(record)) == record
        assert before.dialog is not Dialog.TERMINATED or record.dialog is Dialog.TERMINATED
        if record.ended:
            assert record.media_state is Media.RELEASED
        self._follow(actions)

    def _follow(self, actions: list[act.Action]) -> None:
        for action in actions:
            self._check(action)
            self.done.append(action)
            following = self._outcome(action)
            if following is not None and not self.gone:
                self.step(following)
            elif isinstance(following, ev.AnsweredAhead):  # as Dispatcher does
                late = reserved_too_late(self.call.record.key, replace(following, node="192.0.2.9:2223"))
                assert [one.status for one in late if isinstance(one, act.SendReply)] == [487]
                self.done += late

    def _check(self, action: act.Action) -> None:
        released = sum(map(_releases_all, self.done))
        if _releases_all(action):
            assert released <= self.connected_late, "released twice"
        if isinstance(action, act.ForwardInvite):
            assert not any(isinstance(earlier, act.ForwardInvite) for earlier in self.done), "called twice"
        if isinstance(action, act.ConnectIncoming | act.AnswerAhead):
            assert not released, "after the end"
        key = self.call.record.key
        if not isinstance(action, act.CancelForwardedInvite):  # a message, named by its Call-ID
            assert getattr(action, "call_id", key) == key, "another record"
        if isinstance(action, act.ForwardReply) and action.edits.to_tag is not None:
            assert action.edits.to_tag == self.call.record.gateway_tag
        number = _cseq_to_page(action)
        if number is not None and not _is_ack(action):
            earlier = [n for a in self.done if not _is_ack(a) and (n := _cseq_to_page(a)) is not None]
            assert all(number > n for n in earlier), "CSeq does not rise"

    def _outcome(self, action: act.Action) -> ev.Event | None:
        match action:
            case act.ForgetCall():
                self.gone = True
            case act.Schedule(due=due):
                self.taken.append(due)
            case act.ForwardInvite():
                self.sent = self.data.draw(st.booleans(), label="the page can be reached")
                return None if self.sent else ev.WicFailed(430, local=True)
            case act.AnswerForPage(status=status):
                own = self.call.wic_reply(status).reply
                own.side = Side.IMS
                return ev.ImsReply(own)
            case act.RefuseUnheard(status=status):
                alone = self.data.draw(st.booleans(), label="the only call with this Call-ID")
                return ev.WicFailed(status) if alone else None
            case act.ResumeInvite():
                return ev.InviteResumed(self.request)
            case act.ConnectIncoming() | act.ReofferFromIms() | act.AnswerAhead():
                return self._relay(action)
        return None

    def _relay(self, action: act.ConnectIncoming | act.ReofferFromIms | act.AnswerAhead) -> ev.Event:
        possible = BEFORE_THE_PAGE if isinstance(action, act.AnswerAhead) else MEANWHILE
        meanwhile = self.data.draw(st.none() | st.sampled_from(possible), label="meanwhile")
        if meanwhile is not None and not self.waiting:
            self.waiting = True
            self.step(MOVES[meanwhile](self.call))
            self.waiting = False
        works = self.data.draw(st.booleans(), label="relay takes it")
        late = works or not isinstance(action, act.ConnectIncoming)
        self.connected_late += late and self.call.record.ended
        if isinstance(action, act.ConnectIncoming):
            return self.call.connected(action) if works else ev.MediaFailed(ERROR, action.reply)
        if not works:
            return ev.MediaFailed(ERROR, bearer=action.bearer)
        if isinstance(action, act.ReofferFromIms):
            answers = {medium.kind: sdp.relay_offer(medium.kind) for medium in action.media}
            return ev.ImsReoffered(answers, action.bearer)
        self.ports = True
        return self.call.answered_ahead(action)


def _releases_all(action: act.Action) -> bool:
    """Whether it gives back what the call has, and not a refused video alone."""
    return isinstance(action, act.ReleaseMedia) and "audio" in action.kinds


def _is_ack(action: act.Action) -> bool:
    """An ACK has the number of its INVITE."""
    if isinstance(action, act.SendRequest):
        return action.method == "ACK"
    return isinstance(action, act.ForwardRequest) and action.edits.cseq == 5


@settings(max_examples=2 * settings().max_examples, deadline=None)
@given(data=st.data())
def test_no_order_of_events_corrupts_a_call_towards_a_page(data: st.DataObject) -> None:
    world = World(data)
    for _ in range(data.draw(st.integers(0, 14), label="events")):
        if world.gone:
            break
        name = data.draw(st.sampled_from([*sorted(MOVES), TIMER]), label="event")
        if name == TIMER:
            if world.taken:
                world.step(ev.TimerFired(world.taken.pop(), flow_alive=data.draw(st.booleans())))
        elif name not in OF_THE_PAGE or world.sent:
            world.step(MOVES[name](world.call))
    if world.gone and world.ports:
        assert any(isinstance(action, act.ReleaseMedia) for action in world.done), "ports are lost"
