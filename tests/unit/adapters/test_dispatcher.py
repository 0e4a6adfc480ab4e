"""What a call has done at the relay while its record is locked, and what after."""

from __future__ import annotations

from types import SimpleNamespace

from kemi.adapters.calls.dispatcher import Dispatcher
from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.record import CallRecord
from kemi.core.messages import Side
from kemi.state.calls import CallStore
from tests.fakes.table import MemoryTable
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Call

WITH_VIDEO = sdp.core_answer("audio", "video", port=41000)


class Worker:
    """A dispatcher of this call, and what it has carried out: each with whether the record was locked."""

    def __init__(self, call: Call) -> None:
        self.table, self.done = MemoryTable(), list[tuple[str, bool]]()
        self._calls = CallStore(self.table, MemoryTable())
        self._key = call.record.key
        self._calls.create(call.record)
        self._dispatcher = Dispatcher(call.settings, self._calls, SimpleNamespace(perform=self._perform))  # type: ignore[arg-type]

    def _perform(self, key: str, action: act.Action) -> None:
        self.done.append((type(action).__name__, key in self.table.locked_keys))

    def dispatch(self, event: ev.Event) -> list[tuple[str, bool]]:
        self.done.clear()
        assert self._dispatcher.dispatch(self._key, event)
        return self.done

    @property
    def record(self) -> CallRecord:
        record = self._calls.get(self._key)
        assert record is not None
        return record


def test_refused_video_is_gone_at_the_relay_before_anybody_can_offer_some_anew() -> None:
    """The relay knows it by one name: a delete that comes behind the next offer takes that one's ports away."""
    call = Call.confirmed()
    reserve = call.on(call.ims_request("INVITE", body=WITH_VIDEO)).only(act.ReserveIncoming)
    offers = {"video": sdp.relay_answer("video", 30300)}
    asked = call.on(ev.IncomingReserved(offers, reserve.edits, reserve.bearer)).only(act.ForwardRequest)
    assert asked.to is Side.WIC
    worker = Worker(call)
    refused = call.wic_reply(488, method="INVITE", cseq=asked.edits.cseq or 0)
    assert worker.dispatch(refused) == [("ReleaseMedia", True), ("ForwardReply", False)]
    assert worker.record.exchange is None


def test_nobody_waits_for_what_an_ended_call_gives_back() -> None:
    worker = Worker(call := Call.confirmed())
    done = dict(worker.dispatch(call.wic_request("BYE")))
    assert not any(done.values())
    assert "ReleaseMedia" in done
