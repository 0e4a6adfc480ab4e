"""Carries actions out, in order, in the context of the message Kamailio is working on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from kemi.adapters.calls import editing
from kemi.adapters.calls.history import CallNotes
from kemi.adapters.calls.progress import ProgressNotes
from kemi.adapters.kamailio import ksr, transactions
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.log import log_event
from kemi.adapters.monitoring.measuring import count_refused
from kemi.adapters.network.entry_points import EntryPoints
from kemi.adapters.relay.media import MediaRelay
from kemi.adapters.relay.media_actions import MediaActions
from kemi.adapters.trunks.challenges import Challenges
from kemi.adapters.trunks.choice import Trunks
from kemi.adapters.trunks.room import running
from kemi.core.call import actions as act
from kemi.core.call.events import (
    ChangeFailed,
    Event,
    ImsFailed,
    OwnRequestAnswered,
    TransactionCreated,
    UpdateAnswered,
    WicFailed,
)
from kemi.core.call.from_page.core_invite import number_anew
from kemi.core.call.record import CallRecord
from kemi.core.entry_points import UNAVAILABLE, attempt_key, attempt_key_of
from kemi.core.errors import LocalProtocolError, RemoteProtocolError, SipReject, Termination
from kemi.core.messages import Side
from kemi.settings import Settings
from kemi.state.calls import CallStore
from kemi.state.schedule import Schedule
from kemi.state.trunks import Redirections, TrunkStore

FAILURE_SUSPENDED = "ksr_failure_suspended"
FAILURE_IMS = "ksr_failure_ims"
FAILURE_WIC = "ksr_failure_wic"
CONTINUE_INVITE = "ksr_continue_invite"
FAILURE_CHANGE: Final = {Side.WIC: "ksr_failure_change_to_page", Side.IMS: "ksr_failure_change"}
FAILURE_TO_PAGE: Final = "ksr_failure_to_page"

CANCELLED: Final = 487
_TRYING = (100, "Trying")
_NOT_SENT = (480, "Temporarily Unavailable")


class Executor:
    """Does what the steps ask for."""

    def __init__(
        self,
        settings: Settings,
        calls: CallStore,
        schedule: Schedule,
        relay: MediaRelay,
        entry_points: EntryPoints,
        is_connected: Callable[[str], bool],
        renew: Callable[[act.RenewRegistration], None],
    ) -> None:
        """``is_connected``: whether a connection, by its id, is the one it was; its port may be another page's.
        ``renew``: lets a page register again."""
        self._settings = settings
        self._is_connected = is_connected
        self._with_vias = ""
        self._calls = calls
        self._schedule = schedule
        self._relay = relay
        self._entry_points = entry_points
        self._trunks = Trunks(settings, HtableTable, running(calls, TrunkStore(HtableTable)))
        self.challenges = Challenges(settings, HtableTable)
        self._notes = CallNotes(HtableTable("statistics"), HtableTable("finished"))
        self._progress = ProgressNotes(HtableTable("progress"))
        self.reporting: Side | None = None
        """Where the request being sent right now goes if its replies are wanted (read by tm's local-request event)."""
        self.sending_to: Side | None = None
        """The same, whether they are wanted or not."""
        self._handlers: dict[type[act.Action], Callable[[Any], Event | None]] = {
            act.CreateTransaction: self._create_transaction,
            act.SuspendInvite: self._suspend,
            act.RefuseUnheard: self._refuse_unheard,
            act.ResumeInvite: self._resume,
            act.SendReply: self._send_reply,
            act.ForwardInvite: self._forward_invite,
            act.ChooseTrunk: self._choose_trunk,
            act.ForwardRequest: self._forward_request,
            act.ForwardReply: self._forward_reply,
            act.DropReply: self._drop_reply,
            act.SendRequest: self._send_request,
            act.CancelForwardedInvite: self._cancel_forwarded,
            act.AnswerForPage: self._answer_in_its_name,
            act.AnswerForCore: self._answer_in_its_name,
            act.RecordEnd: self._record_end,
            act.RecordProgress: self._record_progress,
            act.TellDigit: self._tell_digit,
            act.RememberRedirection: Redirections(HtableTable("redirected")).remember,
            **MediaActions(relay, calls, self._notes).handlers,
            act.RenewRegistration: renew,
            act.Schedule: self._put_due,
            act.Unschedule: self._drop_due,
            act.ForgetCall: self._forget,
        }

    def perform(self, call_id: str, action: act.Action) -> Event | None:
        """Carry one action out; the event it leads to comes back, if any."""
        self._performing = call_id
        if isinstance(action, act.Note):
            log_event(action.level, action.event, call_id=call_id, **action.fields)
            return None
        if isinstance(action, act.SendRequest) and action.to is Side.WIC:
            record = self._calls.seen(call_id)
            if record is not None and not self._is_connected(record.connection_id):
                return self._page_is_gone(action, record)
        return self._handlers[type(action)](action)

    @staticmethod
    def _page_is_gone(action: act.SendRequest, record: CallRecord) -> Event | None:
        """A request of ours has no connection to go to any more."""
        fields = {"method": action.method, "to": "wic", "why": "gone"}
        log_event(logging.WARNING, "request_not_sent", call_id=record.key, **fields)
        # A set-up ends by what is done about the lost connection; an offer in a running session has to be settled.
        return _unanswered(action) if action.report and (record.exchange or record.confirmed_tag) else None

    # -- the INVITE's transaction

    def _create_transaction(self, action: act.CreateTransaction) -> Event:
        if not ksr.add_to_tag(action.to_tag):
            raise LocalProtocolError("the To-tag could not be written into the INVITE")
        self._with_vias = ""  # they are of the INVITE before
        transaction = transactions.new_transaction()
        if transaction is None:
            raise RemoteProtocolError("no transaction can be made of this INVITE")
        return TransactionCreated(*transaction)

    def _suspend(self, action: act.SuspendInvite) -> None:
        if not transactions.suspend(action.guard_s, FAILURE_SUSPENDED):
            raise LocalProtocolError("the INVITE could not be suspended")
        if transactions.is_cancelled():  # before: tm has suspended nothing then, and leaves the answer to us
            raise SipReject("it was cancelled", status=487, reason_phrase="Request Terminated")

    def _refuse_unheard(self, action: act.RefuseUnheard) -> Event | None:
        # Kamailio finds the INVITE by Call-ID and CSeq, which the legs of a fork and a page calling a page share:
        # there its own timer has to end it.  A home part of our own has a transaction of it, too.
        if self._settings.home is not None or len(self._calls.of_call_id(action.sip_call_id)) != 1:
            return None
        if not transactions.reply_by_call_id(
            action.sip_call_id, action.cseq, action.status, action.reason_phrase
        ):
            return None
        return WicFailed(action.status)

    def _resume(self, action: act.ResumeInvite) -> None:
        # fails only when a CANCEL was faster, which ends the call too
        transactions.resume(action.transaction, CONTINUE_INVITE)

    def _send_reply(self, action: act.SendReply) -> None:
        if action.status >= 400 and action.status != CANCELLED:
            term = Termination.SERVER_ERROR if action.status >= 500 else Termination.CLIENT_ERROR
            count_refused(ksr.method(), action.status, term)
        if transactions.has_transaction() or (
            ksr.side() is Side.IMS and transactions.new_transaction() is not None
        ):
            transactions.reply_in_transaction(
                action.status, action.reason_phrase, action.headers, action.body
            )
        else:
            transactions.reply_statelessly(action.status, action.reason_phrase, action.headers, action.body)

    def _forward_invite(self, action: act.ForwardInvite) -> Event | None:
        if action.to is Side.WIC:
            return self._forward_invite_to_page(action)
        if action.again:
            transactions.forget_replies()
        key = ""
        if action.edits.next_hop is None:
            key = attempt_key("INVITE", ksr.call_id(), ksr.number("$cs"))
            action = _to(action, self._entry_points.begin(key, invite=action))
        at_once = not (action.resumed or action.again)
        if self._relay_invite(action, at_once=at_once) or (key and self._invite_next(key)):
            return None
        return ImsFailed(503, local=True)  # not even sent: no failure route will run

    def _choose_trunk(self, action: act.ChooseTrunk) -> Event:
        record = self._calls.get(action.call_id)
        at = record.outbound.trunk if record is not None and record.outbound is not None else ""
        return self._trunks.choose(action.call_id, at, action.trunks, unlimited=action.unlimited)

    def _forward_invite_to_page(self, action: act.ForwardInvite) -> Event | None:
        if action.resumed:
            self._with_vias = ""
            ksr.leave_vias_out()
        else:
            # tm would make it of the message without its Vias
            transactions.reply_in_transaction(*_TRYING, (), "")
            self._with_vias = ksr.hide_vias()
        self.prepare(action.edits, action.to)
        if transactions.relay_invite(FAILURE_WIC, action.response_timeout_s, action.answer_timeout_s):
            return None
        self.show_vias()
        return WicFailed(487 if transactions.is_cancelled() else 430, local=True)

    def show_vias(self) -> None:
        """Give the INVITE that was just sent to a page its Vias back: what answers it from now on needs them."""
        if self._with_vias:
            ksr.restore(self._with_vias)

    def _relay_invite(self, action: act.ForwardInvite, *, at_once: bool = False) -> bool:
        self.prepare(action.edits, action.to, at_once=at_once)
        return transactions.relay_invite(FAILURE_IMS, action.response_timeout_s, action.answer_timeout_s)

    def _invite_next(self, key: str) -> bool:
        """Send the current INVITE, as a new one, to the entry points that are left until one takes it."""
        while (attempt := self._entry_points.failed(key)) is not None and attempt.invite is not None:
            cseq = self._calls.change(ksr.call_id(), number_anew)
            if self._relay_invite(_to(attempt.invite, attempt.uris[0], cseq)):
                return True
        return False

    @staticmethod
    def ims_failure() -> ImsFailed:
        """Inside the failure callback of an INVITE to the core or a trunk: return what has happened."""
        silent = transactions.is_local_timeout()
        is_local = silent and not transactions.is_cancelled()
        heard = silent and transactions.has_heard()
        status = transactions.transaction_status()
        unknown = status == 504 and not silent and transactions.asks_for_registration()
        return ImsFailed(status, is_local, heard, timed_out=silent, unknown=unknown)

    def invite_tries_next(self) -> bool:
        """Inside the failure callback of an INVITE to the core: whether another entry point has it now."""
        silent = transactions.is_local_timeout() and not transactions.has_heard()
        if transactions.is_cancelled() or not (silent or transactions.transaction_status() == UNAVAILABLE):
            return False
        record = self._calls.get(ksr.call_id())
        if (
            record is None or record.legs or record.trunk
        ):  # over, or somebody rang already; or its step decides
            return False
        transactions.forget_replies()
        return self._invite_next(attempt_key("INVITE", ksr.call_id(), ksr.number("$cs")))

    # -- messages inside the dialog

    def _forward_request(self, action: act.ForwardRequest) -> Event | None:
        method = ksr.method()
        if action.to is Side.WIC and method != "ACK":
            return self._forward_request_to_page(action, method)
        if action.to is Side.WIC:
            ksr.hide_vias()
        if action.again:
            transactions.forget_replies()
        may_be_asked = bool(action.trunk) and method != "ACK"
        if may_be_asked and not action.again and transactions.new_transaction() is None:
            return None  # sent once more
        self.challenges.forwards(action)
        self.prepare(action.edits, action.to, at_once=may_be_asked and not action.again)
        if self._relay_of(action, method)() or method == "ACK":
            return None
        if may_be_asked:
            transactions.reply_in_transaction(*_NOT_SENT, (), "")
        else:
            self.answer_not_sent()
        return ChangeFailed(action.to, method, _NOT_SENT[0]) if action.change else None

    def _forward_request_to_page(self, action: act.ForwardRequest, method: str) -> Event | None:
        sent = self.forward_to_page(action.edits, self._relay_of(action, method), trying=method == "INVITE")
        return None if sent or not action.change else ChangeFailed(Side.WIC, method, _NOT_SENT[0])

    def _relay_of(self, action: act.ForwardRequest, method: str) -> Callable[[], bool]:
        to_core = action.to is Side.IMS
        if action.change and method == "INVITE":
            timers = self._settings.timers
            first_s = transactions.LONGEST_S if to_core else timers.update_s
            return partial(transactions.relay_invite, FAILURE_CHANGE[action.to], first_s, timers.ims_answer_s)
        if action.change:
            transactions.on_failure(FAILURE_CHANGE[action.to])
        elif not to_core and method not in ("ACK", "BYE"):  # no response to a BYE keeps a call
            transactions.on_failure(FAILURE_TO_PAGE)
        # A page has a connection, over which nothing is lost, and is found if it comes back over another one.
        return transactions.relay_patiently if to_core or method == "BYE" else transactions.relay

    def forward_to_page(
        self, edits: act.MessageEdits, relay: Callable[[], bool], *, trying: bool = False
    ) -> bool:
        """Send the current request on without its Vias, which its responses get back by ``MessageEdits.vias``.

        ``trying``: answer 100 first, which tm would make of the message without its Vias.
        """
        if transactions.new_transaction() is None:
            return True  # sent once more
        if trying:
            transactions.reply_in_transaction(*_TRYING, (), "")
        original = ksr.hide_vias()
        self.prepare(edits, Side.WIC)
        if relay():
            return True
        ksr.restore(original)
        transactions.reply_in_transaction(*_NOT_SENT, (), "")
        return False

    @staticmethod
    def answer_not_sent() -> None:
        """Tell the sender of the current request that it could not be forwarded."""
        transactions.reply_statelessly(*_NOT_SENT, (), "")

    def _forward_reply(self, action: act.ForwardReply) -> None:
        edits, of_core = action.edits, ksr.side() is Side.IMS
        if edits.vias:  # the core's: it goes there, though we may have sent it ourselves
            ksr.add_vias(edits.vias)
        editing.edit_ends(edits)
        self._edit_headers(edits, Side.WIC if of_core and not edits.vias else Side.IMS)

    def _drop_reply(self, _action: act.DropReply) -> None:
        ksr.drop()

    def _send_request(self, action: act.SendRequest) -> Event | None:
        if not action.next_hop:
            action = replace(
                action, next_hop=self._entry_points.begin(attempt_key_of(action), request=action)
            )
        sip = self._settings.sip
        socket = sip.wic_socket if action.to is Side.WIC else sip.socket_towards(action.next_hop)
        self.challenges.sends(action)
        self.reporting = action.to if action.report or action.trunk else None
        self.sending_to = action.to
        try:
            sent = transactions.send_request(
                action.method, action.request_uri, action.next_hop, socket, action.headers, action.body
            )
        finally:
            self.reporting = self.sending_to = None
        if sent:
            return None
        log_event(logging.WARNING, "request_not_sent", method=action.method, to=action.to.value)
        return _unanswered(action) if action.report else None

    def request_tries_next(self) -> bool:
        """An entry point did not answer a request of our own: send it to the next one, False when none is left."""
        key = attempt_key(ksr.method(), ksr.call_id(), ksr.number("$cs"))
        attempt = self._entry_points.failed(key)
        if attempt is None or attempt.request is None:
            return False
        self._send_request(replace(attempt.request, next_hop=attempt.uris[0]))
        return True

    def _cancel_forwarded(self, action: act.CancelForwardedInvite) -> None:
        self._tell_ourselves(action.call_id, f"CANCEL {action.request_uri} SIP/2.0", action.headers)

    def _answer_in_its_name(self, action: act.AnswerForPage | act.AnswerForCore) -> None:
        start_line = f"SIP/2.0 {action.status} {action.reason_phrase}"
        self._tell_ourselves(action.call_id, start_line, action.headers, action.body)

    def _tell_ourselves(self, call_id: str, start_line: str, lines: tuple[str, ...], body: str = "") -> None:
        sip = self._settings.sip
        if not transactions.send_to_ourselves(f"sip:{sip.address}:{sip.port}", start_line, lines, body):
            log_event(logging.WARNING, "message_not_sent", call_id=call_id, message=start_line)

    def prepare(self, edits: act.MessageEdits, to: Side, *, at_once: bool = False) -> None:
        """Change the current request, which somebody else will send.

        ``at_once``: in the request's own route, where it has a transaction and may be sent again later: tm would keep
        what is changed with its copy of the request, and whatever is tried next had each header field twice.
        """
        if edits.request_uri is not None:
            ksr.set_request_uri(edits.request_uri)
        editing.edit_ends(edits)
        self._edit_headers(edits, to)
        if at_once:
            ksr.apply_changes()
        if edits.next_hop is not None:
            ksr.set_next_hop(edits.next_hop)
        sip = self._settings.sip
        ksr.set_send_socket(sip.wic_socket if to is Side.WIC else sip.socket_towards(edits.next_hop or ""))

    def _edit_headers(self, edits: act.MessageEdits, to: Side) -> None:
        editing.edit_headers(edits, lambda: to is Side.IMS or self._takes_parts())

    def _takes_parts(self) -> bool:
        record = self._calls.get(self._performing)
        return record is not None and record.wic_takes_parts

    # -- time and memory

    def _put_due(self, action: act.Schedule) -> None:
        self._schedule.put(action.call_id, action.due, time.time() + action.delay_s)

    def _drop_due(self, action: act.Unschedule) -> None:
        self._schedule.drop(action.call_id)

    def _record_end(self, action: act.RecordEnd) -> None:
        self._trunks.leave(action.key, action.trunk)
        self._notes.ended(action, time.time())

    def _record_progress(self, action: act.RecordProgress) -> None:
        self._progress.progress(action, action.at)

    def _tell_digit(self, action: act.TellDigit) -> None:
        self._progress.digit(action, time.time())

    def _forget(self, action: act.ForgetCall) -> None:
        self._schedule.forget(action.call_id)
        self._calls.forget(action.call_id)


def _to(action: act.ForwardInvite, next_hop: str, cseq: int | None = None) -> act.ForwardInvite:
    edits = replace(action.edits, next_hop=next_hop)
    return replace(action, edits=edits if cseq is None else replace(edits, cseq=cseq))


def _cseq_of(action: act.SendRequest) -> int:
    line = next(line for line in action.headers if line.startswith("CSeq: "))
    return int(line.split()[1])


def _unanswered(action: act.SendRequest) -> Event:
    """What a request of a call leads to that could not even be sent."""
    if action.method == "UPDATE" and action.to is Side.WIC:
        return UpdateAnswered(408, cseq=_cseq_of(action))
    return OwnRequestAnswered(action.to, action.method, _cseq_of(action), 408)
