"""Kamailio's callbacks: sort what arrives, hand it to the decisions.

Every ``ksr_*`` name Kamailio is configured with exists here (see kamailio/params); a missing one would fail a later,
unrelated call.
"""

from __future__ import annotations

import random
import secrets
import time
from functools import partial

from kemi.adapters.calls.adoption import Adoption
from kemi.adapters.calls.dialog_ids import DialogIds
from kemi.adapters.calls.dispatcher import Dispatcher
from kemi.adapters.calls.early_cancels import EarlyCancels
from kemi.adapters.calls.executor import Executor
from kemi.adapters.calls.history import CallHistory
from kemi.adapters.calls.new_calls import NewCalls
from kemi.adapters.calls.own_requests import OwnRequestCallbacks, OwnRequests
from kemi.adapters.calls.progress import CallProgress
from kemi.adapters.calls.unanswered import UnansweredCallbacks
from kemi.adapters.control.calls import call_routes
from kemi.adapters.control.counters import counter_routes
from kemi.adapters.control.dtmf import dtmf_routes
from kemi.adapters.control.endpoint import Control
from kemi.adapters.control.lost import lost_routes
from kemi.adapters.control.metrics import metrics_routes
from kemi.adapters.control.node_views import views
from kemi.adapters.control.nodes import node_routes
from kemi.adapters.doors.border import Border
from kemi.adapters.doors.doors import Doors
from kemi.adapters.doors.forbidding import Forbidding
from kemi.adapters.doors.hiding import DueRefusals, HiddenUsers, HidingCallbacks
from kemi.adapters.front_callbacks import FrontCallbacks
from kemi.adapters.guard import guarded, guarded_request
from kemi.adapters.housekeeping import Housekeeping
from kemi.adapters.kamailio import connections, ksr, transactions
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.monitoring.measuring import Measuring
from kemi.adapters.monitoring.trace_figures import TraceFigures
from kemi.adapters.monitoring.traces import trace_keeper
from kemi.adapters.network.entry_points import EntryPoints
from kemi.adapters.network.home import HomePart
from kemi.adapters.network.own_users import routes_of
from kemi.adapters.network.people import people_keeper, people_of
from kemi.adapters.network.routing import route_keeper
from kemi.adapters.network.standalone import StandaloneRequests
from kemi.adapters.pages.calling import Pages
from kemi.adapters.pages.elsewhere import Elsewhere
from kemi.adapters.pages.flows import LiveFlows
from kemi.adapters.pages.leaving import Leaving, leaving_routes
from kemi.adapters.pages.outage import Outage
from kemi.adapters.pages.passing_on import PassingOn, PassingOnCallbacks
from kemi.adapters.pages.registrar import Registrar
from kemi.adapters.pages.renewing import Renewing
from kemi.adapters.pages.subscriptions import Notifications, SubscriptionKeeper
from kemi.adapters.pages.websocket import WebSocketFront
from kemi.adapters.relay.media import MediaRelay
from kemi.adapters.relay.media_watch import MediaWatch
from kemi.adapters.shared_state import SharedState
from kemi.adapters.site import call_settings, registration_settings
from kemi.adapters.trunks.parts import TrunkParts
from kemi.core import standalone
from kemi.core.call.events import (
    CancelReceived,
    ImsReply,
    ImsRequest,
    InviteGuardExpired,
    InviteResumed,
    WicFailed,
    WicReply,
    WicRequest,
)
from kemi.core.call.record_key import record_key
from kemi.core.causes import answered_elsewhere
from kemi.core.errors import SipReject
from kemi.core.extensions import check_proxy_require
from kemi.core.messages import Request, Side
from kemi.core.registration import Flow, Registration
from kemi.core.screening import screen
from kemi.core.trunk import causes
from kemi.settings import Settings
from kemi.state.calls import CallStore
from kemi.state.dialogs import DialogStore
from kemi.state.flows import FlowStore
from kemi.state.nodes import NodeStore
from kemi.state.redis_link import RedisLink
from kemi.state.schedule import Schedule
from kemi.state.subscriptions import SubscriptionStore
from kemi.state.waiting import WaitingStore

RESTORE_DEADLINE_S = 2.0
"""How long the start may wait for Redis."""


class Gateway(OwnRequestCallbacks, UnansweredCallbacks, FrontCallbacks, PassingOnCallbacks, HidingCallbacks):
    """One worker process of the eP-CSCF."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._flows = FlowStore(HtableTable)
        self._live_flows = LiveFlows(settings.flow_secret, self._flows, connections.connection_stands)
        waiting = WaitingStore(HtableTable)
        self._passing_on = PassingOn(settings, self._flows, self._live_flows, waiting)
        self._early_cancels = EarlyCancels(settings.sip, HtableTable("early_cancel"))
        changed_calls = HtableTable("changed_call")
        self._calls = CallStore(HtableTable("call"), HtableTable("call_of"), changed_calls)
        leaving = Leaving(HtableTable("leaving"), self._flows, self._calls, waiting, settings.timers)
        self._pages = Pages(self._flows, self._calls)
        self._schedule = Schedule(HtableTable)
        nodes = NodeStore(HtableTable)
        self._relay = MediaRelay(settings.media, nodes)
        entry_points = EntryPoints(settings, HtableTable)
        renew = Renewing(self._flows, self._calls).renew
        self._executor = Executor(
            settings, self._calls, self._schedule, self._relay, entry_points, self._flows.is_open, renew
        )
        self._call_settings = call_settings(settings)
        routes = routes_of(settings)
        self._trunks = TrunkParts(settings, self._calls, routes, self._executor, entry_points, waiting)
        is_of_trunk = self._trunks.calls.knows_sender
        self._border = Border(settings, is_of_trunk)
        self._dispatcher = Dispatcher(self._call_settings, self._calls, self._executor)
        for_registration = registration_settings(settings)
        self._doors = Doors(settings, self._flows, self._calls, routes, self._border.is_of_core, is_of_trunk)
        self._front = WebSocketFront(
            settings, self._flows, leaving.is_leaving, self._doors.overload.refuses_connections
        )
        admission = self._doors.admission
        self._hidden = HiddenUsers(settings, for_registration, self._flows)
        dialogs = DialogStore(HtableTable)
        subscriptions = SubscriptionStore(HtableTable)
        self._registrar = Registrar(
            *(settings, for_registration, self._flows, dialogs, subscriptions, self._executor),
            *(admission, entry_points, self._hidden),
        )
        self._dialog_ids = DialogIds(self._calls, self._call_settings)
        self._standalone = StandaloneRequests(
            self._call_settings,
            self._flows,
            self._live_flows,
            dialogs,
            self._registrar,
            self._executor,
            entry_points,
            self._dialog_ids,
        )
        self._notifications = Notifications(self._flows, subscriptions)
        self._own_requests = OwnRequests(
            self._executor, self._dispatcher, self._notifications, self._registrar, self._trunks.answers
        )
        self._home = HomePart(settings, self._flows, people_of(settings), routes)
        self.ksr_failure_home = self._home.failed
        self._new_calls = NewCalls(
            self._call_settings,
            self._flows,
            self._live_flows,
            self._registrar,
            self._dialog_ids,
            self._calls,
            self._relay,
            self._dispatcher,
            self._executor,
            self._doors,
        )
        forbidding = Forbidding(self._calls, self._dispatcher, self._doors.notices, self._pages.page_of)
        self._control = Control(
            settings.control,
            {
                **call_routes(self._calls, self._relay, forbidding, waiting.has_now),
                **lost_routes(self._calls, self._dispatcher, self._pages.page_of),
                **node_routes(nodes, settings.media),
                **dtmf_routes(self._dispatcher),
                **counter_routes(self._doors.counters),
                **leaving_routes(leaving),
                **metrics_routes(self._doors.counters),
                **self._trunks.control_routes(),
            },
        )
        link = RedisLink(settings.redis_url, settings.node_name, calls_kept_s=settings.calls_kept_s)
        snapshots = self._trunks.snapshots(self._calls, changed_calls, self._schedule)
        self._shared = SharedState(
            link,
            self._flows,
            subscriptions,
            issuers=tuple(issuer.issuer for issuer in settings.tokens.issuers),
            key_sets=HtableTable("jwks"),
            revoked=HtableTable("revoked"),
            restored=self._restored,
            notices=HtableTable("notice"),
            nodes=nodes,
            view=partial(views, nodes, settings.media),
            counters=self._doors.counters,
            snapshots=snapshots,
        )
        measuring = Measuring(
            settings.node_name,
            partial(views, nodes, settings.media),
            self._trunks.store.views,
            lambda: len(self._calls.keys()),
        )
        self._housekeeping = Housekeeping(
            settings,
            for_registration,
            flows=self._flows,
            calls=self._calls,
            dialogs=dialogs,
            schedule=self._schedule,
            dispatcher=self._dispatcher,
            executor=self._executor,
            keeper=SubscriptionKeeper(for_registration, subscriptions, self._executor),
            shared=self._shared,
            watch=MediaWatch(
                self._calls,
                self._relay,
                {node.name for node in settings.media.nodes},
                settings.timers.media_timeout_s,
            ),
            history=CallHistory(HtableTable("statistics"), HtableTable("finished"), settings.node_name),
            progress=CallProgress(HtableTable("progress"), self._doors.notices, measuring.reached),
            notices=self._doors.notices,
            forbidding=forbidding,
            page_of=self._pages.page_of,
            routes=route_keeper(settings, HtableTable("routing")),
            people=people_keeper(settings, self._flows),
            figures=TraceFigures(
                self._calls, self._relay, self._doors.notices, settings.trace.quality_events_s
            ),
            traces=trace_keeper(settings, self._pages, self._flows),
            trunks=self._trunks.keeper(self._doors.notices, lambda: secrets.token_hex(12)),
            measuring=measuring,
            adoption=Adoption(link),
            elsewhere=Elsewhere(settings, link, self._flows, self._calls, snapshots, waiting),
            leaving=leaving,
            outage=Outage(for_registration, self._flows, self._shared, self._executor),
            refusals=DueRefusals(),
            new_token=lambda: secrets.token_hex(12),
        )

    def restore(self) -> None:
        """Take over the registrations of before a restart: before the fork, so that no message comes earlier."""
        now = time.time()
        link = RedisLink(self._settings.redis_url, self._settings.node_name, RESTORE_DEADLINE_S)
        self._shared.restore(now, now + self._settings.timers.flow_recovery_s, link)
        link.disconnect()

    def _restored(self, registration: Registration) -> None:
        self._registrar.token_use.restore(registration)
        self._home.restored(registration)

    def child_init(self, _rank: int) -> int:
        """Called once in every process; sockets are opened on first use, after the fork."""
        random.seed()  # or all workers would draw the same numbers after the fork
        return 0

    # ------------------------------------------------------------ requests

    @guarded_request
    def ksr_request_route(self, _message: object) -> None:
        """Every SIP request."""
        method = ksr.method()
        if self._doors.refuses(method) or not self._border.admits(method):
            return
        if not transactions.max_forwards_ok():
            raise SipReject("Max-Forwards used up", status=483, reason_phrase="Too Many Hops")
        if self._home.takes(method) or self._trunks.calls.takes(method):
            return
        if ksr.side() is Side.WIC:
            ksr.force_rport()
        if method == "CANCEL":
            self._cancel()
            return
        if method == "ACK" and transactions.transaction_state() == 0 and not ksr.has_body():
            return  # to a final response of our own: tm has taken it, and it answers no offer
        request, flow = ksr.request(), None
        if request.side is Side.IMS:
            check_proxy_require(request)
        else:
            screen(request)
            owner = partial(self._pages.owner, request.connection_id)
            request = self._dialog_ids.with_far_end(request, owner)
            flow = self._doors.admit(request)
            self._new_calls.check_others(request)
            self._dialog_ids.translate(request, owner)
        if request.side is Side.IMS and self._notifications.is_ours(request):
            self._notifications.notified(request)
        elif request.to_tag:
            self._inside_dialog(request)
        elif request.side is Side.WIC:
            self._from_wic(request, flow)
        else:
            self._from_ims(request)

    def _from_wic(self, request: Request, flow: Flow | None) -> None:
        if request.method == "INVITE":
            if transactions.transaction_state() != 0:  # 0: sent once more, tm has repeated what we answered
                self._new_calls.from_page(request)
        elif request.method == "REGISTER":
            self._registrar.forward(request, flow)
        elif request.method != "ACK":
            self._standalone.from_page(request)

    def _from_ims(self, request: Request) -> None:
        if request.method == "ACK" or (request.method == "INVITE" and transactions.transaction_state() == 0):
            return  # 0: sent once more, tm has repeated what we answered
        branch = ksr.branch()
        if not self._passing_on.takes(request):
            (self._new_calls if request.method == "INVITE" else self._standalone).from_core(request)
        if request.method == "INVITE":
            self._early_cancels.carry_out(branch)

    def _inside_dialog(self, request: Request) -> None:
        if request.side is Side.IMS and request.method != "ACK" and transactions.transaction_state() == 0:
            return  # sent once more, tm has repeated what was answered
        if self._standalone.inside(request):
            return
        key = record_key(request.call_id, request.to_tag)
        if request.side is Side.WIC:
            event: WicRequest | ImsRequest = WicRequest(
                request, partial(self._pages.registration, request.connection_id)
            )
        else:
            self._dialog_ids.translate(request, partial(self._pages.owner_of_call, key))
            event = ImsRequest(request, *self._pages.page_of(key))
        if not self._dispatcher.dispatch(key, event):
            self._passing_on.inside(key, request)

    def _cancel(self) -> None:
        if not (self._early_cancels.is_for_something() and _may_cancel()):
            raise SipReject("no such INVITE", status=481, reason_phrase="Call/Transaction Does Not Exist")
        if self._passing_on.cancels():
            return
        key = record_key(ksr.call_id(), transactions.tag_of_cancelled())
        elsewhere = answered_elsewhere(ksr.headers("Reason"))
        record = self._calls.get(key)
        if record is not None and record.trunk is not None:
            ksr.add_at_once(causes.for_trunk(ksr.headers("Reason")))
        transactions.relay()  # a suspended INVITE gets its 487 here, a forwarded one when the other side has answered
        self._dispatcher.dispatch(key, CancelReceived(elsewhere))

    # ------------------------------------------------------------ inside the INVITE's transaction

    @guarded_request
    def ksr_continue_invite(self, _message: object, *_: object) -> None:
        """The suspended INVITE goes on."""
        if not transactions.is_cancelled():
            request = ksr.request()
            self._dispatcher.dispatch(record_key(request.call_id, request.to_tag), InviteResumed(request))

    @guarded_request
    def ksr_failure_suspended(self, _message: object) -> None:
        """The suspended INVITE ran into tm's own timer, or was cancelled."""
        if not transactions.is_cancelled():
            self._dispatcher.dispatch(record_key(ksr.call_id(), ksr.text("$tt")), InviteGuardExpired())

    @guarded
    def ksr_failure_ims(self, _message: object) -> None:
        """The forwarded INVITE ended without a 2xx."""
        if self._executor.invite_tries_next():
            return
        event = self._executor.ims_failure()
        self._dispatcher.dispatch(ksr.call_id(), event)

    @guarded
    def ksr_failure_trunk_call(self, _message: object) -> None:
        """A trunk's INVITE got no 2xx."""
        self._trunks.calls.failed()

    @guarded
    def ksr_failure_wic(self, _message: object) -> None:
        """The INVITE to a page ended without a 2xx."""
        status, local = transactions.transaction_status(), transactions.is_local_timeout()
        event = WicFailed(487 if local and transactions.is_cancelled() else status, local)
        self._dispatcher.dispatch(record_key(ksr.call_id(), ksr.text("$tt")), event)

    @guarded
    def ksr_failure_register(self, _message: object) -> None:
        """A forwarded REGISTER got no 2xx."""
        self._registrar.failed(transactions.transaction_status(), silent=transactions.is_local_timeout())

    # ------------------------------------------------------------ replies

    @guarded
    def ksr_reply_route(self, _message: object) -> None:
        """Every SIP reply, before tm sees it and outside its locks; also those that come after the transaction."""
        if self._doors.drops_reply() or not self._border.admits_reply():
            return
        status = ksr.status()
        if self._home.takes_reply(status):
            return
        if status == 100 and ksr.side() is Side.IMS:
            return
        method = ksr.method()
        if self._trunks.calls.takes_reply(method, status) or self._passing_on.takes_reply(status):
            return
        if method == "REGISTER" and not self._border.is_of_home_network():
            ksr.drop()  # a trunk registers nobody
        elif method == "REGISTER" and status >= 200:
            self._registrar.answered(ksr.reply())
        if method in ("REGISTER", "CANCEL"):
            return
        reply = ksr.reply()
        key = record_key(reply.call_id, reply.from_tag)
        try:
            if reply.side is Side.WIC:
                self._pages.check_answerer(key, reply.from_tag, ksr.connection_id())
                event: WicReply | ImsReply = WicReply(
                    reply, self._new_calls.forbidden(reply, ksr.connection_id())
                )
            else:
                event = ImsReply(reply)
            known = self._dispatcher.dispatch(key, event)
        except Exception:
            ksr.drop()
            raise
        if not known and method in standalone.FROM_PAGES and not self._notifications.is_answer(reply):
            self._standalone.answered(reply, self._new_calls.forbidden_outside)
        if not known and method == "INVITE" and 100 < status < 300:
            ksr.drop()  # the call is over here; untranslated it would open a dialog the page knows nothing of

    # ------------------------------------------------------------ housekeeping

    @guarded
    def ksr_rtimer_housekeeping(self, _message: object, _event: str) -> None:
        """Ten times a second, in a process of its own."""
        self._housekeeping.tick(time.time())


def _may_cancel() -> bool:
    """Whether the current CANCEL, of which tm knows the INVITE, is of whoever sent that: a page has one connection, and
    who knows a branch may be anybody."""
    return ksr.side() is Side.IMS or transactions.cancels_own_invite()
