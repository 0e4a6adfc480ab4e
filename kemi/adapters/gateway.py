"""Kamailio's callbacks: sort what arrives, hand it to the decisions.

Every ``ksr_*`` name Kamailio is configured with exists here (see kamailio/params); a missing one would fail a later,
unrelated call.
"""

from __future__ import annotations

import logging
import random
import secrets
import time

from kemi.adapters import ksr
from kemi.adapters.dispatcher import Dispatcher
from kemi.adapters.executor import Executor
from kemi.adapters.guard import guarded, guarded_request
from kemi.adapters.log import log_event
from kemi.adapters.media import MediaRelay
from kemi.adapters.registrar import Registrar
from kemi.core.call.events import (
    CancelReceived,
    FlowClosed,
    ImsFailed,
    ImsReply,
    ImsRequest,
    InviteGuardExpired,
    InviteResumed,
    TimerFired,
    UpdateAnswered,
    WicFailed,
    WicReply,
    WicRequest,
)
from kemi.core.call.incoming import begin_incoming, delivery
from kemi.core.call.record import INCOMING_TAG, record_key
from kemi.core.call.settings import CallSettings
from kemi.core.call.setup import begin_call, release_media
from kemi.core.errors import SipReject
from kemi.core.flow_token import flow_from_token, token_from_routes
from kemi.core.headers import ALLOW
from kemi.core.messages import Request, Side
from kemi.core.registration import Flow
from kemi.settings import Settings
from kemi.state.calls import CallStore
from kemi.state.flows import FlowStore
from kemi.state.schedule import Schedule

REPLY_OWN_REQUEST = "ksr_onreply_own_request"
FAILURE_OWN_REQUEST = "ksr_failure_own_request"


class Gateway:
    """One worker process of the eP-CSCF."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._flows = FlowStore(
            ksr.HtableTable("flow"), ksr.HtableTable("registration"), ksr.HtableTable("registering")
        )
        self._closed = ksr.HtableTable("closed")
        self._calls = CallStore(ksr.HtableTable("call"))
        self._schedule = Schedule(ksr.HtableTable("due"))
        self._relay = MediaRelay(settings.media)
        self._executor = Executor(settings, self._calls, self._schedule, self._relay)
        self._call_settings = _call_settings(settings)
        self._dispatcher = Dispatcher(self._call_settings, self._calls, self._executor)
        self._registrar = Registrar(settings, self._flows, self._executor)

    def child_init(self, rank: int) -> int:
        """Called once in every process; sockets are opened on first use, after the fork."""
        del rank
        random.seed()  # or all workers would draw the same numbers after the fork
        return 0

    # ------------------------------------------------------------ requests

    @guarded_request
    def ksr_request_route(self, _message: object) -> None:
        """Every SIP request."""
        if not ksr.max_forwards_ok():
            raise SipReject("Max-Forwards used up", status=483, reason_phrase="Too Many Hops")
        ksr.force_rport()
        method = ksr.method()
        if method == "CANCEL":
            self._cancel()
            return
        if method == "ACK" and ksr.transaction_state() == 0:
            return  # to a final response ≥ 300 of ours: tm has taken it
        request = ksr.request()
        if request.to_tag:
            self._inside_dialog(request)
        elif request.side is Side.WIC:
            self._from_wic(request)
        else:
            self._from_ims(request)

    def _from_wic(self, request: Request) -> None:
        if request.method == "INVITE":
            self._begin(request)
        elif request.method == "REGISTER":
            self._registrar.forward(request)
        elif request.method == "OPTIONS":
            ksr.reply_statelessly(200, "OK", (ALLOW, "Accept: application/sdp"), "")
        elif request.method != "ACK":
            raise SipReject(
                f"{request.method} outside a call is not supported yet",
                status=405,
                reason_phrase="Method Not Allowed",
            )

    def _from_ims(self, request: Request) -> None:
        if request.method == "OPTIONS":
            ksr.reply_statelessly(200, "OK", (ALLOW, "Accept: application/sdp"), "")
        elif request.method == "INVITE":
            if ksr.transaction_state() != 0:  # 0: sent once more, tm has repeated what we answered
                self._begin_incoming(request)
        elif request.method != "ACK":
            raise SipReject(
                f"{request.method} towards pages is not supported yet",
                status=405,
                reason_phrase="Method Not Allowed",
            )

    def _begin(self, request: Request) -> None:
        registration = self._flows.registration(request.connection_id, time.time())
        record, actions = begin_call(
            request,
            registration,
            self._call_settings,
            gateway_tag=secrets.token_hex(8),
            session_id=secrets.randbits(53),
            node=self._relay.choose_node(request.call_id),
        )
        if not self._calls.create(record):
            raise SipReject("a call with this Call-ID is running", status=482, reason_phrase="Loop Detected")
        try:
            self._dispatcher.carry_out(record.key, actions)
        except Exception:
            self._abandon(record.key)
            raise
        if self._flows.flow(request.connection_id) is None:
            # The connection ended while its INVITE was worked on, and housekeeping found no call of it yet.
            self._dispatcher.dispatch(record.key, FlowClosed())

    def _begin_incoming(self, request: Request) -> None:
        token = token_from_routes(request.headers("Route"))
        connection_id, nonce = flow_from_token(self._settings.flow_secret, token)
        flow, registration = delivery(
            request,
            nonce,
            self._flows.flow(connection_id) if ksr.connection_stands(connection_id) else None,
            self._flows.registration(connection_id, time.time()),
        )
        gateway_tag = INCOMING_TAG + secrets.token_hex(8)
        record, actions = begin_incoming(
            request,
            flow,
            registration,
            self._call_settings,
            gateway_tag=gateway_tag,
            session_id=secrets.randbits(53),
            node=self._relay.choose_node(record_key(request.call_id, gateway_tag)),
        )
        self._calls.create(record)
        try:
            self._dispatcher.carry_out(record.key, actions)
        except Exception:
            self._abandon(record.key)
            raise
        if not ksr.connection_stands(connection_id):
            # It ended while its INVITE was worked on; housekeeping may have found no call of it yet.
            self._dispatcher.dispatch(record.key, WicFailed(430, local=True))

    def _abandon(self, call_id: str) -> None:
        """A set-up failed half-way in a way nobody foresaw: leave nothing behind."""
        record = self._calls.get(call_id)
        if record is not None:
            for action in release_media(record):
                self._executor.perform(call_id, action)
        self._schedule.drop(call_id)
        self._calls.forget(call_id)

    def _inside_dialog(self, request: Request) -> None:
        key = record_key(request.call_id, request.to_tag)
        if request.side is Side.WIC:
            registration = self._flows.registration(request.connection_id, time.time())
            event: WicRequest | ImsRequest = WicRequest(request, registration.owner if registration else "")
        else:
            event = ImsRequest(request, *self._page_of(key))
        if not self._dispatcher.dispatch(key, event) and request.method != "ACK":
            raise SipReject("no such call", status=481, reason_phrase="Call/Transaction Does Not Exist")

    def _page_of(self, key: str) -> tuple[bool, Flow | None]:
        """Whether a call's page can be reached; and the connection it came back on, if the call knows an old one."""
        record = self._calls.get(key)
        if record is None:
            return False, None
        if self._flows.flow(record.connection_id) is not None:
            return True, None
        successor = self._flows.successor(record.owner, record.wic_contact, time.time())
        return successor is not None, successor

    def _cancel(self) -> None:
        if ksr.transaction_state() <= 0:
            raise SipReject("no such INVITE", status=481, reason_phrase="Call/Transaction Does Not Exist")
        ksr.relay()  # a suspended INVITE gets its 487 here, a forwarded one when the core has answered
        if ksr.side() is Side.WIC:
            self._dispatcher.dispatch(ksr.call_id(), CancelReceived())

    # ------------------------------------------------------------ inside the INVITE's transaction

    @guarded_request
    def ksr_continue_invite(self, _message: object, *_: object) -> None:
        """The suspended INVITE goes on."""
        if not ksr.is_cancelled():
            self._dispatcher.dispatch(ksr.call_id(), InviteResumed())

    @guarded_request
    def ksr_failure_suspended(self, _message: object) -> None:
        """The suspended INVITE ran into tm's own timer, or was cancelled."""
        if not ksr.is_cancelled():
            self._dispatcher.dispatch(ksr.call_id(), InviteGuardExpired())

    @guarded
    def ksr_failure_ims(self, _message: object) -> None:
        """The forwarded INVITE ended without a 2xx."""
        event = ImsFailed(ksr.transaction_status(), ksr.is_local_timeout() and not ksr.is_cancelled())
        self._dispatcher.dispatch(ksr.call_id(), event)

    @guarded
    def ksr_failure_wic(self, _message: object) -> None:
        """The INVITE to a page ended without a 2xx."""
        status, local = ksr.transaction_status(), ksr.is_local_timeout()
        event = WicFailed(487 if local and ksr.is_cancelled() else status, local)
        self._dispatcher.dispatch(record_key(ksr.call_id(), ksr.text("$tt")), event)

    @guarded
    def ksr_failure_register(self, _message: object) -> None:
        """A forwarded REGISTER got no 2xx."""
        if ksr.is_local_timeout():
            self._registrar.unanswered(ksr.request())

    # ------------------------------------------------------------ requests of our own

    @guarded
    def ksr_tm_event(self, _message: object, _event: str) -> None:
        """tm builds a request of ours; ask for its replies when somebody wants them."""
        if self._executor.reporting:
            ksr.on_local_request(REPLY_OWN_REQUEST, FAILURE_OWN_REQUEST)

    @guarded
    def ksr_onreply_own_request(self, _message: object) -> None:
        """A response to our UPDATE."""
        reply = ksr.reply()
        if reply.status < 200 or reply.method != "UPDATE":
            return
        retry_after = "".join(reply.headers("Retry-After")).partition(";")[0].partition("(")[0].strip()
        event = UpdateAnswered(
            status=reply.status,
            body=reply.body,
            retry_after_s=float(retry_after) if retry_after.isdecimal() else None,
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )
        self._dispatcher.dispatch(reply.call_id, event)

    @guarded
    def ksr_failure_own_request(self, _message: object) -> None:
        """Our UPDATE was never answered."""
        if ksr.is_local_timeout():
            self._dispatcher.dispatch(ksr.call_id(), UpdateAnswered(status=408))

    # ------------------------------------------------------------ replies

    @guarded
    def ksr_reply_route(self, _message: object) -> None:
        """Every SIP reply, before tm sees it and outside its locks; also those that come after the transaction."""
        status = ksr.number("$rs")
        if status == 100 and ksr.side() is Side.IMS:
            return
        method = ksr.method()
        if method == "REGISTER":
            if status >= 200:
                self._registrar.answered(ksr.reply())
            return
        if method == "CANCEL":
            return
        reply = ksr.reply()
        event = WicReply(reply) if reply.side is Side.WIC else ImsReply(reply)
        try:
            known = self._dispatcher.dispatch(record_key(reply.call_id, reply.from_tag), event)
        except Exception:
            ksr.drop()
            raise
        if not known and method == "INVITE" and 100 < status < 300:
            ksr.drop()  # the call is over here; untranslated it would open a dialog the page knows nothing of

    # ------------------------------------------------------------ WebSocket

    @guarded
    def ksr_xhttp_event(self, _message: object, _event: str) -> None:
        """A WebSocket handshake, which only the TLS front may bring us."""
        refusal = self._handshake_refusal()
        if refusal is not None:
            status, reason_phrase, detail = refusal
            ksr.http_reply(status, reason_phrase, detail)
            log_event(logging.INFO, "handshake_refused", status=status, detail=detail, source=ksr.source())
            return
        flow = Flow(
            connection_id=ksr.connection_id(),
            nonce=secrets.token_hex(8),
            client_address=ksr.headers("X-Forwarded-For")[0],
            source=ksr.source(),
        )
        self._flows.open(flow)
        if not ksr.accept_handshake():
            self._flows.close(flow.connection_id)

    def _handshake_refusal(self) -> tuple[int, str, str] | None:
        if ksr.text("$si") != self._settings.sip.ws_address:
            return 403, "Forbidden", "connections come through the TLS front only"
        if ksr.text("$hu").partition("?")[0] != "/sip":
            return 404, "Not Found", "SIP over WebSocket is at /sip"
        forwarded = ksr.headers("X-Forwarded-For")
        if len(forwarded) != 1 or not forwarded[0] or "," in forwarded[0]:
            return 400, "Bad Request", "exactly one client address is expected from the TLS front"
        origin = ksr.headers("Origin")
        if len(origin) != 1 or origin[0] not in self._settings.origins:
            return 403, "Forbidden", "this web origin is not allowed"
        return None

    @guarded
    def ksr_websocket_event(self, _message: object, event: str) -> None:
        """The WebSocket was closed by a Close frame or for want of a pong."""
        if event == "websocket:closed":
            self._closed.set(ksr.connection_id(), "1")

    @guarded
    def ksr_tcp_event(self, _message: object, _event: str) -> None:
        """The connection is gone.  Runs in the TCP main process: only a note for housekeeping is allowed here."""
        self._closed.set(ksr.connection_id(), "1")

    # ------------------------------------------------------------ housekeeping

    @guarded
    def ksr_rtimer_housekeeping(self, _message: object, _event: str) -> None:
        """Ten times a second, in a process of its own."""
        closed = {connection_id for connection_id, _ in self._closed.items()}
        for connection_id in closed:
            self._closed.remove(connection_id)
            self._flows.close(connection_id)
        if closed:
            for call_id in self._calls.on_connections(closed):
                self._safely(call_id, FlowClosed())
        for call_id, due in self._schedule.take_due(time.time()):
            self._safely(call_id, TimerFired(due, *self._page_of(call_id)))

    def _safely(self, call_id: str, event: FlowClosed | TimerFired) -> None:
        """One call's trouble must not keep the others from their turn."""
        try:
            self._dispatcher.dispatch(call_id, event)
        except Exception as error:
            log_event(
                logging.ERROR,
                "housekeeping_failed",
                call_id=call_id,
                detail=f"{type(error).__name__}: {error}",
            )


def _call_settings(settings: Settings) -> CallSettings:
    return CallSettings(
        realm=settings.realm,
        ims_host=f"{settings.sip.address}:{settings.sip.port}",
        media_address=settings.sip.address,
        audio_codecs=tuple(settings.media.audio_codecs),
        video_codecs=tuple(settings.media.video_codecs),
        prack_s=settings.timers.prack_s,
        update_s=settings.timers.update_s,
        ims_response_s=settings.timers.ims_response_s,
        ims_answer_s=settings.timers.ims_answer_s,
        flow_recovery_s=settings.timers.flow_recovery_s,
    )
