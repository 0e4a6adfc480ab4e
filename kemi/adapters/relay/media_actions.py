"""Carries media actions out: what the relay says, or does not, becomes the next event of the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from kemi.adapters.calls.history import CallNotes
from kemi.adapters.kamailio import ksr
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.monitoring.trace_notes import NOTES
from kemi.adapters.relay.media import MediaRelay
from kemi.core.call import actions as act
from kemi.core.call.events import Event, MediaFailed, MediaMoved
from kemi.core.errors import GatewayError
from kemi.state.calls import CallStore
from kemi.state.waiting import WaitingStore

A = TypeVar("A", act.RenewMedia, act.ReofferFromIms, act.RestartIce, act.GateMedia)


class MediaActions:
    """Does what the steps ask of the relay.  A call may end while it waits: what came of it then is given back."""

    def __init__(self, relay: MediaRelay, calls: CallStore, notes: CallNotes) -> None:
        self._relay = relay
        self._notes = notes
        self._calls = calls
        self._elsewhere = WaitingStore(HtableTable)
        self.handlers: dict[type[act.Action], Callable[[Any], Event | None]] = {
            act.ReserveMedia: self._reserve,
            act.AcceptReverse: self._accept_reverse,
            act.ConnectMedia: self._connect,
            act.ReserveIncoming: self._reserve_incoming,
            act.AnswerAhead: self._answer_ahead,
            act.ConnectIncoming: self._connect_incoming,
            act.RenewMedia: self._renew,
            act.ReofferFromIms: self._reoffer_from_ims,
            act.MoveMedia: self._move,
            act.RestartIce: self._restart_ice,
            act.GateMedia: self._gate,
            act.PlayDigits: self._play_digits,
            act.WithholdDigits: self._withhold_digits,
            act.RequestKeyFrames: self._request_key_frames,
            act.ReleaseMedia: self._release,
        }

    def _reserve(self, action: act.ReserveMedia) -> Event:
        NOTES.judged(action.context)
        try:
            return self._relay.reserve(action)
        except GatewayError as error:
            return MediaFailed(error, bearer=action.context)

    def _accept_reverse(self, action: act.AcceptReverse) -> Event:
        try:
            return self._relay.accept_reverse(action)
        except GatewayError as error:
            return MediaFailed(error, bearer=action.bearer)

    def _connect(self, action: act.ConnectMedia) -> Event:
        try:
            connected = self._relay.connect(action)
        except GatewayError as error:
            return MediaFailed(error, action.reply, action.bearer)
        if self._is_over(action.call_id):  # while the relay was at it
            kinds = tuple(medium.kind for medium in action.media)
            self._relay.release(act.ReleaseMedia(action.call_id, action.node, kinds))
        return connected

    def _reserve_incoming(self, action: act.ReserveIncoming) -> Event:
        try:
            return self._relay.reserve_incoming(action)
        except GatewayError as error:
            return MediaFailed(error, bearer=action.bearer)

    def _answer_ahead(self, action: act.AnswerAhead) -> Event:
        try:
            return self._relay.answer_ahead(action)
        except GatewayError as error:
            return MediaFailed(error, bearer=action.bearer)

    def _connect_incoming(self, action: act.ConnectIncoming) -> Event:
        try:
            connected = self._relay.connect_incoming(action)
        except GatewayError as error:
            return MediaFailed(error, action.reply, action.bearer)
        if self._is_over(action.call_id):  # while the relay was at it
            self._relay.release(act.ReleaseMedia(action.call_id, action.node, tuple(action.media)))
            ksr.drop()
        return connected

    def _renew(self, action: act.RenewMedia) -> Event:
        return self._changed(self._relay.renew, action)

    def _reoffer_from_ims(self, action: act.ReofferFromIms) -> Event:
        return self._changed(self._relay.reoffer_from_ims, action)

    def _restart_ice(self, action: act.RestartIce) -> Event:
        return self._changed(self._relay.restart_ice, action)

    def _move(self, action: act.MoveMedia) -> Event:
        try:
            event = self._relay.move(action)
        except GatewayError as error:
            return MediaFailed(error, bearer=action.bearer)
        if isinstance(event, MediaMoved) and self._is_over(action.call_id):
            kinds = tuple(event.moved)
            self._relay.release(act.ReleaseMedia(action.call_id, event.node, kinds))
        return event

    def _gate(self, action: act.GateMedia) -> Event:
        return self._changed(self._relay.gate, action)

    def _play_digits(self, action: act.PlayDigits) -> Event:
        try:
            return self._relay.play_digits(action)
        except GatewayError as error:
            return MediaFailed(error, bearer=action.bearer)

    def _withhold_digits(self, action: act.WithholdDigits) -> None:
        self._relay.withhold_digits(action)

    def _changed(self, change: Callable[[A], Event], action: A) -> Event:
        try:
            event = change(action)
        except GatewayError as error:
            return MediaFailed(error, bearer=action.bearer)
        if self._is_over(action.call_id):  # an offer for a call that just ended began a new one at the relay
            kinds = tuple(medium.kind for medium in action.media)
            self._relay.release(act.ReleaseMedia(action.call_id, action.node, kinds))
        return event

    def _is_over(self, call_id: str) -> bool:
        """Whether a call has ended and is forgotten; one that another gateway has now is at the relay as it was."""
        return not self._calls.knows(call_id) and not self._elsewhere.has_now(call_id)

    def _request_key_frames(self, action: act.RequestKeyFrames) -> None:
        self._relay.request_key_frames(action)

    def _release(self, action: act.ReleaseMedia) -> None:
        for kind, found in self._relay.release(action).items():
            self._notes.statistics(action.call_id, kind, found)
