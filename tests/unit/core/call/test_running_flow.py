"""Running sessions played at random: both sides offer, answer, refuse, cross and fall silent, the relay refuses, a node
dies, the page loses its connection; nothing is corrupted, nothing is answered twice, and no offer stays open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.exchange import is_open
from kemi.core.call.media.session import medium_change
from kemi.core.call.states import Dialog
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Reply, Side
from kemi.core.sdp.text import sdp_from_text
from kemi.state.calls import record_from_text, record_to_text
from kemi.state.schedule import WAITS, Wait
from tests.peers.sdp import offer_again
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.ladder import Call

ERROR = MediaUnavailable("relay gone")
TWO_WAY = sdp.chromium("audio-sendrecv")
VIDEO = sdp.chromium("av-sendrecv")[sdp.chromium("av-sendrecv").index("m=video") :]
PAGE_OFFERS = {
    "the same": TWO_WAY,
    "hold": offer_again(TWO_WAY, {"0": "sendonly"}),
    "inactive": offer_again(TWO_WAY, {"0": "inactive"}),
    "ICE restart": offer_again(TWO_WAY, ice="fresh"),
    "camera": offer_again(TWO_WAY, added=[VIDEO]),
    "rubbish": "rubbish",
    "asks for ours": "",
}
CORE_OFFERS = {
    "the same": sdp.core_answer(),
    "hold": sdp.core_answer().replace("a=sendrecv", "a=sendonly"),
    "another address": sdp.core_answer(port=41000),
    "video": sdp.core_answer("audio", "video", port=41000),
    "rubbish": "rubbish",
    "asks for ours": "",
}
OFFERS = {Side.WIC: PAGE_OFFERS, Side.IMS: CORE_OFFERS}
NODE, OTHER = "192.0.2.9:2223", "192.0.2.10:2223"
NO_SUCH_CALL = 481


@dataclass(frozen=True)
class Asked:
    """A request of one side."""

    by: Side
    method: str
    cseq: int
    body: str = ""


@dataclass(frozen=True)
class PassedOn:
    """What became of it at the other side, which has not responded."""

    asked: Asked
    to: Side
    cseq: int
    body: str


@dataclass(frozen=True)
class Own:
    """A request of ours whose response is awaited."""

    to: Side
    method: str
    cseq: int
    body: str


class World:
    """Plays a call as the dispatcher does."""

    def __init__(self, call: Call | Incoming, data: st.DataObject) -> None:
        self.call = call
        self.data = data
        self.open: list[PassedOn] = []
        self.own: list[Own] = []
        self.unacknowledged: list[tuple[Asked, str]] = []
        """INVITEs that got a 2xx, and the description in it."""
        self.finals: Counter[Asked] = Counter()
        self.said: list[tuple[ev.Event, Asked | None]] = []
        """2xx to an INVITE and their ACKs, which come again where the other one is late."""
        self.repeating = False
        self.asked: list[Asked] = []
        self.timers: dict[Wait, ev.Due] = {}
        self.cseqs = dict.fromkeys(Side, 20)
        self.gone = False
        self.hurried = False
        """Only what ends what is open happens any more."""
        self.waiting = False
        self.last_cseq_to_page = 0
        self.relay = {medium.kind: as_told(medium_change(medium)) for medium in call.record.media}
        """What the relay does with each medium."""

    # ------------------------------------------------------------ what happens

    def move(self) -> None:
        """Let something happen."""
        moves = ["offer", "offer", "timer", "node lost", "connection lost", "BYE"]
        moves += ["respond"] * 3 if self.open else []
        moves += ["own"] * 3 if self.own else []
        moves += ["ACK"] * 3 if self.unacknowledged else []
        moves += ["again"] if self.said else []
        match self.data.draw(st.sampled_from(moves), label="move"):
            case "offer":
                by = self.data.draw(st.sampled_from(Side))
                method = self.data.draw(st.sampled_from(["INVITE", "UPDATE"]))
                body = OFFERS[by][self.data.draw(st.sampled_from(sorted(OFFERS[by])), label="offer")]
                self.ask(by, method, body)
            case "BYE":
                self.ask(self.data.draw(st.sampled_from(Side)), "BYE")
            case "respond":
                passed_on = self.data.draw(st.sampled_from(self.open))
                self.respond(passed_on, self.data.draw(st.sampled_from([200, 200, 408, 488, 491])))
            case "own":
                own = self.data.draw(st.sampled_from(self.own))
                self.answer_own(own, self.data.draw(st.sampled_from([200, 200, 408, 488, 491])))
            case "ACK":
                self.acknowledge(self.data.draw(st.sampled_from(self.unacknowledged)))
            case "again":
                self.repeating = True
                self._step(*self.data.draw(st.sampled_from(self.said)))
                self.repeating = False
            case "node lost":
                self._step(ev.NodeLost(self.call.record.node or NODE), None)
            case "connection lost":
                self._step(ev.FlowClosed(), None)
            case "timer" if self.timers:
                self.wake(self.data.draw(st.sampled_from(list(self.timers.values()))))

    def settle(self) -> None:
        """Let both sides and the relay do what they should, until nothing is left to be done."""
        self.hurried = True
        for _ in range(60):
            if self.gone or self.call.record.ended:
                return
            if self.unacknowledged:
                self.acknowledge(self.unacknowledged[0])
            elif self.open:
                self.respond(self.open[0], 200)
            elif self.own:
                self.answer_own(self.own[0], 200)
            elif waking := [
                due
                for due in (ev.Due.RECOVERY, ev.Due.TELL_RELAY, ev.Due.ICE_RESTART)
                if due in self.timers.values()
            ]:
                self.wake(waking[0])
            else:
                return
        raise AssertionError("it never comes to rest")

    def ask(self, by: Side, method: str, body: str = "") -> None:
        """One side sends a request."""
        self.cseqs[by] += 1
        asked = Asked(by, method, self.cseqs[by], body)
        self.asked.append(asked)
        self._step(self._request(asked), asked)

    def respond(self, passed_on: PassedOn, status: int) -> None:
        """The other side responds, or has not responded for as long as tm waits (408)."""
        self.open.remove(passed_on)
        asked = passed_on.asked
        if status == 408 and asked.method == "BYE":
            self._final(asked, status, "")  # tm says so by itself
            return
        if status == 408:
            self._step(ev.ChangeFailed(passed_on.to, asked.method), asked)
            if not self.finals[asked]:  # tm says so by itself
                self._final(asked, status, "")
            return
        body = self._answer(passed_on.to, passed_on.body) if status == 200 and asked.method != "BYE" else ""
        self._say(self._reply(passed_on.to, status, asked.method, passed_on.cseq, body), asked)

    def answer_own(self, own: Own, status: int) -> None:
        """A side responds to a request of ours."""
        self.own.remove(own)
        body = self._answer(own.to, own.body) if status == 200 and own.method != "INFO" else ""
        if own.to is Side.WIC and own.method == "UPDATE":
            self._step(ev.UpdateAnswered(status, body, jitter=0.3), None)
            return
        reply = self._reply(own.to, status, own.method, own.cseq, body).reply
        self._say(ev.OwnRequestAnswered(own.to, own.method, own.cseq, status, reply, jitter=0.3), None)

    def acknowledge(self, acknowledged: tuple[Asked, str]) -> None:
        """The side that sent the INVITE has our 2xx; it answers what stands in it, if it asked for an offer."""
        self.unacknowledged.remove(acknowledged)
        asked, described = acknowledged
        body = "" if asked.body else self._answer(asked.by, described)
        ack = Asked(asked.by, "ACK", asked.cseq, body)
        self._say(self._request(ack), ack)

    def wake(self, due: ev.Due) -> None:
        """A timer fires."""
        del self.timers[WAITS.get(due, Wait.STEP)]
        self._step(ev.TimerFired(due, flow_alive=True), None)

    def _say(self, event: ev.Event, asked: Asked | None) -> None:
        if self._comes_again(event):
            self.said.append((event, asked))
        self._step(event, asked)

    @staticmethod
    def _comes_again(event: ev.Event) -> bool:
        match event:
            case ev.WicReply(reply=Reply(method="INVITE", status=200)):
                return True
            case ev.ImsReply(reply=Reply(method="INVITE", status=200)):
                return True
            case ev.OwnRequestAnswered(method="INVITE", status=200):
                return True
        return isinstance(event, ev.WicRequest | ev.ImsRequest)

    # ------------------------------------------------------------ messages

    def _request(self, asked: Asked) -> ev.WicRequest | ev.ImsRequest:
        if asked.by is Side.WIC:
            return self.call.wic_request(asked.method, cseq=asked.cseq, body=asked.body)
        return self.call.ims_request(asked.method, cseq=asked.cseq, body=asked.body)

    def _reply(self, by: Side, status: int, method: str, cseq: int, body: str) -> ev.WicReply | ev.ImsReply:
        event: ev.WicReply | ev.ImsReply
        if by is Side.WIC:
            event = self.call.wic_reply(status, method=method, cseq=cseq)
        else:
            event = self.call.ims_reply(status, method=method, cseq=cseq)
        event.reply.body, event.reply.content_type = body, "application/sdp" if body else ""
        return event

    def _answer(self, by: Side, offer: str) -> str:
        """Answer an offer, or make one where there is none."""
        if by is Side.WIC:
            return sdp.page_answer(offer) if offer else offer_again(TWO_WAY)
        if not offer:
            return sdp.core_answer()
        lines = sdp_from_text(offer).media
        refused = tuple(line.kind for line in lines if line.port == 0)
        return sdp.core_answer(*(line.kind for line in lines), refuse=refused)

    # ------------------------------------------------------------ what is done about it

    def _step(self, event: ev.Event, asked: Asked | None, reply: Reply | None = None) -> None:
        """Handle an event: a message about ``asked``, or what ``reply`` to it led to."""
        if self.gone:
            return
        before = self.call.record.dialog
        actions = list(self.call.on(event))
        record = self.call.record
        assert record_from_text(record_to_text(record)) == record
        assert before is not Dialog.TERMINATED or record.dialog is Dialog.TERMINATED
        said = event.reply if isinstance(event, ev.WicReply | ev.ImsReply) else reply
        self._follow(actions, asked, said)

    def _follow(self, actions: Iterable[act.Action], asked: Asked | None, reply: Reply | None) -> None:
        for action in actions:
            match action:
                case act.ForgetCall():
                    self.gone = True
                case act.Schedule(due=due):
                    self.timers[WAITS.get(due, Wait.STEP)] = due
                case act.SendReply(status=status, body=body):
                    assert asked is not None, "a response to nothing"
                    self._final(asked, status, body)
                case act.ForwardReply(edits=edits):
                    assert asked is not None
                    assert reply is not None
                    self._final(asked, reply.status, reply.body if edits.body is None else edits.body)
                case act.ForwardRequest(to=to, edits=edits):
                    assert asked is not None
                    self._passes_on(asked, to, edits)
                case act.SendRequest():
                    self._sends(action)
                case act.AnswerForCore(status=status):
                    assert asked is not None
                    assert reply is not None
                    refusal = self._reply(Side.IMS, status, reply.method, reply.cseq, "")
                    self._step(refusal, asked)
            outcome = self._outcome(action)
            if outcome is not None:
                self._step(outcome, asked, reply)

    def _final(self, asked: Asked, status: int, body: str) -> None:
        if status < 200 or asked.method == "ACK" or (self.repeating and self.finals[asked]):
            return
        self.finals[asked] += 1
        assert self.finals[asked] == 1, f"answered twice: {asked}"
        if asked.method == "INVITE" and status < 300:
            self.unacknowledged.append((asked, body))

    def _passes_on(self, asked: Asked, to: Side, edits: act.MessageEdits) -> None:
        if asked.method == "ACK":
            return
        cseq = asked.cseq if edits.cseq is None else edits.cseq
        if to is Side.WIC:
            self._rises(cseq)
        self.open.append(PassedOn(asked, to, cseq, asked.body if edits.body is None else edits.body))

    def _sends(self, action: act.SendRequest) -> None:
        (line,) = [line for line in action.headers if line.startswith("CSeq: ")]
        cseq = int(line.split()[1])
        if action.method == "ACK":
            return
        if action.to is Side.WIC:
            self._rises(cseq)
        if action.report:
            self.own.append(Own(action.to, action.method, cseq, action.body))

    def _rises(self, cseq: int) -> None:
        assert cseq > self.last_cseq_to_page, "CSeq does not rise"
        self.last_cseq_to_page = cseq

    def _outcome(self, action: act.Action) -> ev.Event | None:
        """What the relay says, after a while."""
        if not isinstance(
            action,
            act.ReserveMedia
            | act.ReserveIncoming
            | act.AcceptReverse
            | act.ConnectMedia
            | act.ConnectIncoming
            | act.RenewMedia
            | act.ReofferFromIms
            | act.GateMedia
            | act.RestartIce
            | act.MoveMedia,
        ):
            return None
        if not self.hurried and not self.waiting and self.data.draw(st.booleans(), label="meanwhile"):
            self.waiting = True
            self.move()
            self.waiting = False
        bearer = action.context if isinstance(action, act.ReserveMedia) else action.bearer
        works = self.hurried or self.data.draw(st.booleans(), label=f"{type(action).__name__} works")
        if works or self.data.draw(st.booleans(), label="and yet it is carried out"):
            self._relay_does(action)
        if not works:
            return ev.MediaFailed(ERROR, getattr(action, "reply", None), bearer)
        match action:
            case act.ReserveMedia(media=media):
                reserved = {
                    m.kind: ev.Reserved(sdp.relay_offer(m.kind), sdp.relay_answer(m.kind)) for m in media
                }
                return ev.MediaReserved(reserved, bearer)
            case act.ReserveIncoming(media=offered, edits=edits):
                return ev.IncomingReserved(
                    {kind: sdp.relay_reverse_offer(kind) for kind in offered}, edits, bearer
                )
            case act.AcceptReverse():
                return ev.ReverseAccepted(bearer)
            case act.ConnectMedia(reply=reply):
                return ev.MediaConnected(reply, bearer)
            case act.ConnectIncoming(media=answers, reply=reply):
                taken = [kind for kind, answer in answers.items() if answer is not None]
                return ev.IncomingConnected({kind: sdp.relay_offer(kind) for kind in taken}, reply, bearer)
            case act.RenewMedia(media=changes):
                renewed = {
                    m.kind: ev.Renewed(sdp.relay_offer(m.kind), sdp.relay_answer(m.kind)) for m in changes
                }
                return ev.MediaRenewed(renewed, bearer)
            case act.ReofferFromIms(media=changes):
                return ev.ImsReoffered({m.kind: sdp.relay_offer(m.kind) for m in changes}, bearer)
            case act.GateMedia():
                return ev.MediaGated(bearer)
            case act.RestartIce(media=changes):
                return ev.IceRestarted({m.kind: sdp.relay_answer(m.kind, 31200) for m in changes}, bearer)
            case act.MoveMedia(media=changes, may_stay=may_stay):
                if may_stay and not self.hurried and self.data.draw(st.booleans(), label="its node is back"):
                    return ev.MediaStays(bearer)
                moved = {
                    m.kind: ev.MovedMedium(sdp.relay_offer(m.kind, 31000), sdp.relay_answer(m.kind, 31100))
                    for m in changes
                }
                return ev.MediaMoved(OTHER, moved, bearer)
        raise AssertionError(action)

    def _relay_does(self, action: act.Action) -> None:
        """Note what the relay does with each medium from now on."""
        match action:
            case act.RenewMedia(media=media) | act.ReofferFromIms(media=media) | act.RestartIce(media=media):
                self.relay |= {change.kind: as_told(change) for change in media}
            case act.GateMedia(media=gates):
                for gate in gates:
                    _, _, port = self.relay.get(gate.kind, (True, True, 0))
                    self.relay[gate.kind] = gate.wic_to_ims, gate.ims_to_wic, port
            case act.ConnectMedia(media=answers):
                for answer in answers:
                    if answer.ims_answer is not None:
                        to_ims, to_wic, _ = self.relay.get(answer.kind, (True, True, 0))
                        self.relay[answer.kind] = to_ims, to_wic, port_of(answer.ims_answer)
            case act.ReserveIncoming(media=offered):
                self.relay |= {kind: (True, True, port_of(line)) for kind, line in offered.items()}


def as_told(change: act.MediumChange) -> tuple[bool, bool, int]:
    """Return what the relay makes of a change: what passes from the page and to it, and the far end's port."""
    return change.wic_to_ims, change.ims_to_wic, port_of(change.ims_line)


def port_of(line: str) -> int:
    """Return the port of the one line of a description."""
    return sdp_from_text(line).media[0].port


@pytest.mark.parametrize("direction", ["from a page", "towards a page"])
@settings(max_examples=2 * settings().max_examples, deadline=None)
@given(data=st.data())
def test_no_order_of_offers_leaves_one_open(direction: str, data: st.DataObject) -> None:
    call = Call.confirmed(body=TWO_WAY) if direction == "from a page" else Incoming.confirmed()
    world = World(call, data)
    for _ in range(data.draw(st.integers(1, 12), label="events")):
        world.move()
        if world.gone:
            return
    world.settle()
    if world.gone or world.call.record.ended:
        return
    record = world.call.record
    assert record.recovery is None
    assert not record.ice_before
    assert not is_open(record), f"{record.exchange}, {record.wic_offer_answer}, {record.ims_offer_answer}"
    unanswered = [asked for asked in world.asked if not world.finals[asked]]
    assert not unanswered, "no final response"
    for medium in record.media:
        if medium.active:
            assert world.relay[medium.kind] == as_told(medium_change(medium)), "the relay does something else"
