"""Carries actions out, in order, in the context of the message Kamailio is working on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kemi.adapters import ksr
from kemi.adapters.entry_points import EntryPoints
from kemi.adapters.log import log_event
from kemi.adapters.media import MediaRelay
from kemi.core.call import actions as act
from kemi.core.call.events import Event, ImsFailed, MediaFailed, TransactionCreated, WicFailed
from kemi.core.entry_points import UNAVAILABLE, attempt_key
from kemi.core.errors import GatewayError, LocalProtocolError
from kemi.core.messages import Side
from kemi.settings import Settings
from kemi.state.calls import CallStore
from kemi.state.schedule import Schedule

FAILURE_SUSPENDED = "ksr_failure_suspended"
FAILURE_IMS = "ksr_failure_ims"
FAILURE_WIC = "ksr_failure_wic"
CONTINUE_INVITE = "ksr_continue_invite"

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
    ) -> None:
        """``is_connected``: whether a connection, by its id, is the one it was; its port may be another page's."""
        self._settings = settings
        self._is_connected = is_connected
        self._with_vias = ""
        self._calls = calls
        self._schedule = schedule
        self._relay = relay
        self._entry_points = entry_points
        self.reporting = False
        """Whether the request being sent right now wants its replies reported (read by tm's local-request event)."""
        self._handlers: dict[type[act.Action], Callable[[Any], Event | None]] = {
            act.CreateTransaction: self._create_transaction,
            act.SuspendInvite: self._suspend,
            act.RefuseUnheard: self._refuse_unheard,
            act.ResumeInvite: self._resume,
            act.SendReply: self._send_reply,
            act.ForwardInvite: self._forward_invite,
            act.ForwardRequest: self._forward_request,
            act.ForwardReply: self._forward_reply,
            act.DropReply: self._drop_reply,
            act.SendRequest: self._send_request,
            act.CancelForwardedInvite: self._cancel_forwarded,
            act.AnswerForPage: self._answer_for_page,
            act.ReserveMedia: self._reserve,
            act.AcceptReverse: self._accept_reverse,
            act.ConnectMedia: self._connect,
            act.ReserveIncoming: self._reserve_incoming,
            act.ConnectIncoming: self._connect_incoming,
            act.ReleaseMedia: self._release,
            act.Schedule: self._put_due,
            act.Unschedule: self._drop_due,
            act.ForgetCall: self._forget,
        }

    def perform(self, call_id: str, action: act.Action) -> Event | None:
        """Carry one action out; the event it leads to comes back, if any."""
        if isinstance(action, act.Note):
            log_event(action.level, action.event, call_id=call_id, **action.fields)
            return None
        if isinstance(action, act.SendRequest) and action.to is Side.WIC and not self._has_page(call_id):
            log_event(
                logging.WARNING,
                "request_not_sent",
                call_id=call_id,
                method=action.method,
                to="wic",
                why="gone",
            )
            return None
        return self._handlers[type(action)](action)

    def _has_page(self, call_id: str) -> bool:
        """Whether a call's page is still on the connection that a request of ours would go to."""
        record = self._calls.get(call_id)
        return record is None or self._is_connected(record.connection_id)

    # -- the INVITE's transaction

    def _create_transaction(self, action: act.CreateTransaction) -> Event:
        if not ksr.add_to_tag(action.to_tag):
            raise LocalProtocolError("the To-tag could not be written into the INVITE")
        transaction = ksr.new_transaction()
        if transaction is None:
            raise LocalProtocolError("no transaction for the INVITE")
        return TransactionCreated(*transaction)

    def _suspend(self, action: act.SuspendInvite) -> None:
        if not ksr.suspend(action.guard_s, FAILURE_SUSPENDED):
            raise LocalProtocolError("the INVITE could not be suspended")

    def _refuse_unheard(self, action: act.RefuseUnheard) -> Event | None:
        # Kamailio finds the INVITE by Call-ID and CSeq, which the legs of a fork and a page calling a page share:
        # there its own timer has to end it.
        if len(self._calls.of_call_id(action.sip_call_id)) != 1:
            return None
        if not ksr.reply_by_call_id(action.sip_call_id, action.cseq, action.status, action.reason_phrase):
            return None
        return WicFailed(action.status)

    def _resume(self, action: act.ResumeInvite) -> None:
        ksr.resume(
            action.transaction, CONTINUE_INVITE
        )  # fails only when a CANCEL was faster, which ends the call too

    def _send_reply(self, action: act.SendReply) -> None:
        if ksr.has_transaction() or (ksr.side() is Side.IMS and ksr.new_transaction() is not None):
            ksr.reply_in_transaction(action.status, action.reason_phrase, action.headers, action.body)
        else:
            ksr.reply_statelessly(action.status, action.reason_phrase, action.headers, action.body)

    def _forward_invite(self, action: act.ForwardInvite) -> Event | None:
        if action.to is Side.WIC:
            return self._forward_invite_to_page(action)
        key = ""
        if action.edits.next_hop is None:
            key = attempt_key("INVITE", ksr.call_id(), ksr.number("$cs"))
            action = _to(action, self._entry_points.begin(key, invite=action))
        if self._relay_invite(action) or (key and self._invite_next(key)):
            return None
        return ImsFailed(503, local=True)  # not even sent: no failure route will run

    def _forward_invite_to_page(self, action: act.ForwardInvite) -> Event | None:
        ksr.reply_in_transaction(*_TRYING, (), "")  # tm would make it of the message without its Vias
        self._with_vias = ksr.hide_vias()
        self.prepare(action.edits, action.to)
        if ksr.relay_invite(FAILURE_WIC, action.response_timeout_s, action.answer_timeout_s):
            return None
        self.show_vias()
        return WicFailed(487 if ksr.is_cancelled() else 430, local=True)

    def show_vias(self) -> None:
        """Give the INVITE that was just sent to a page its Vias back: what answers it from now on needs them."""
        ksr.restore(self._with_vias)

    def _relay_invite(self, action: act.ForwardInvite) -> bool:
        self.prepare(action.edits, action.to)
        return ksr.relay_invite(FAILURE_IMS, action.response_timeout_s, action.answer_timeout_s)

    def _invite_next(self, key: str) -> bool:
        """Send the current INVITE to the entry points that are left until one takes it."""
        while (attempt := self._entry_points.failed(key)) is not None and attempt.invite is not None:
            if self._relay_invite(_to(attempt.invite, attempt.uris[0])):
                return True
        return False

    def invite_tries_next(self) -> bool:
        """Inside the failure callback of an INVITE to the core: whether another entry point has it now."""
        silent = ksr.is_local_timeout() and not ksr.has_heard()
        if ksr.is_cancelled() or not (silent or ksr.transaction_status() == UNAVAILABLE):
            return False
        record = self._calls.get(ksr.call_id())
        if record is None or record.legs:  # over, or somebody rang already
            return False
        ksr.forget_replies()
        return self._invite_next(attempt_key("INVITE", ksr.call_id(), ksr.number("$cs")))

    # -- messages inside the dialog

    def _forward_request(self, action: act.ForwardRequest) -> None:
        is_ack = ksr.method() == "ACK"
        if action.to is Side.WIC and not is_ack:
            self.forward_to_page(action.edits, ksr.relay)
            return
        if action.to is Side.WIC:
            ksr.hide_vias()
        self.prepare(action.edits, action.to)
        if not ksr.relay() and not is_ack:
            self.answer_not_sent()

    def forward_to_page(self, edits: act.MessageEdits, relay: Callable[[], bool]) -> None:
        """Send the current request on without its Vias, which its responses get back by ``MessageEdits.vias``."""
        if ksr.new_transaction() is None:
            return  # sent once more
        original = ksr.hide_vias()
        self.prepare(edits, Side.WIC)
        if not relay():
            ksr.restore(original)
            ksr.reply_in_transaction(*_NOT_SENT, (), "")

    @staticmethod
    def answer_not_sent() -> None:
        """Tell the sender of the current request that it could not be forwarded."""
        ksr.reply_statelessly(*_NOT_SENT, (), "")

    def _forward_reply(self, action: act.ForwardReply) -> None:
        edits = action.edits
        if edits.vias:
            ksr.add_vias(edits.vias)
        if edits.from_tag is not None:
            ksr.set_tag("From", edits.from_tag)
        if edits.to_tag is not None:
            ksr.set_tag("To", edits.to_tag)
        if edits.cseq is not None:
            ksr.set_cseq(edits.cseq)
        self._edit_headers(edits)

    def _drop_reply(self, _action: act.DropReply) -> None:
        ksr.drop()

    def _send_request(self, action: act.SendRequest) -> None:
        if not action.next_hop:
            action = replace(action, next_hop=self._entry_points.begin(_key_of(action), request=action))
        sip = self._settings.sip
        socket = sip.wic_socket if action.to is Side.WIC else sip.ims_socket
        self.reporting = action.report
        try:
            sent = ksr.send_request(
                action.method, action.request_uri, action.next_hop, socket, action.headers, action.body
            )
        finally:
            self.reporting = False
        if not sent:
            log_event(logging.WARNING, "request_not_sent", method=action.method, to=action.to.value)

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

    def _answer_for_page(self, action: act.AnswerForPage) -> None:
        start_line = f"SIP/2.0 {action.status} {action.reason_phrase}"
        self._tell_ourselves(action.call_id, start_line, action.headers)

    def _tell_ourselves(self, call_id: str, start_line: str, lines: tuple[str, ...]) -> None:
        sip = self._settings.sip
        if not ksr.send_to_ourselves(f"sip:{sip.address}:{sip.port}", start_line, lines):
            log_event(logging.WARNING, "message_not_sent", call_id=call_id, message=start_line)

    def prepare(self, edits: act.MessageEdits, to: Side) -> None:
        """Change the current request, which somebody else will send."""
        if edits.request_uri is not None:
            ksr.set_request_uri(edits.request_uri)
        if edits.from_value is not None:
            ksr.replace_header("From", edits.from_value)
        if edits.from_tag is not None:
            ksr.set_tag("From", edits.from_tag)
        if edits.to_tag is not None:
            ksr.set_tag("To", edits.to_tag)
        if edits.cseq is not None:
            ksr.set_cseq(edits.cseq)
        self._edit_headers(edits)
        if edits.next_hop is not None:
            ksr.set_next_hop(edits.next_hop)
        sip = self._settings.sip
        ksr.set_send_socket(sip.wic_socket if to is Side.WIC else sip.ims_socket)

    @staticmethod
    def _edit_headers(edits: act.MessageEdits) -> None:
        if edits.remove:
            ksr.remove_headers(edits.remove)
        routes = [line for line in edits.insert if line.startswith("Route:")]
        if routes:
            ksr.insert_headers(routes)
        others = [line for line in edits.insert if not line.startswith("Route:")]
        if others:
            ksr.append_headers(others)
        if edits.body == "":
            ksr.remove_body()
        elif edits.body is not None:
            ksr.set_body(edits.body)

    # -- media

    def _reserve(self, action: act.ReserveMedia) -> Event:
        try:
            return self._relay.reserve(action)
        except GatewayError as error:
            return MediaFailed(error, action.reply)

    def _accept_reverse(self, action: act.AcceptReverse) -> Event:
        try:
            return self._relay.accept_reverse(action)
        except GatewayError as error:
            return MediaFailed(error)

    def _connect(self, action: act.ConnectMedia) -> Event:
        try:
            connected = self._relay.connect(action)
        except GatewayError as error:
            return MediaFailed(error, action.reply)
        if not self._calls.knows(action.call_id):  # ended and forgotten while the relay was at it
            kinds = tuple(medium.kind for medium in action.media)
            self._relay.release(act.ReleaseMedia(action.call_id, action.node, kinds))
        return connected

    def _reserve_incoming(self, action: act.ReserveIncoming) -> Event:
        try:
            return self._relay.reserve_incoming(action)
        except GatewayError as error:
            return MediaFailed(error)

    def _connect_incoming(self, action: act.ConnectIncoming) -> Event:
        try:
            connected = self._relay.connect_incoming(action)
        except GatewayError as error:
            return MediaFailed(error, action.reply)
        if self._calls.get(action.call_id) is None:  # ended and forgotten while the relay was at it
            self._relay.release(act.ReleaseMedia(action.call_id, action.node, tuple(action.media)))
            ksr.drop()
        return connected

    def _release(self, action: act.ReleaseMedia) -> None:
        self._relay.release(action)

    # -- time and memory

    def _put_due(self, action: act.Schedule) -> None:
        self._schedule.put(action.call_id, action.due, time.time() + action.delay_s)

    def _drop_due(self, action: act.Unschedule) -> None:
        self._schedule.drop(action.call_id)

    def _forget(self, action: act.ForgetCall) -> None:
        self._schedule.forget(action.call_id)
        self._calls.forget(action.call_id)


def _to(action: act.ForwardInvite, next_hop: str) -> act.ForwardInvite:
    return replace(action, edits=replace(action.edits, next_hop=next_hop))


def _key_of(action: act.SendRequest) -> str:
    fields = dict(line.split(": ", 1) for line in action.headers)
    return attempt_key(action.method, fields["Call-ID"], int(fields["CSeq"].partition(" ")[0]))
