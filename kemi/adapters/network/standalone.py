"""Requests outside calls, through us: MESSAGE, SUBSCRIBE, NOTIFY, PUBLISH, REFER."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from kemi.adapters.calls.dialog_ids import DialogIds
from kemi.adapters.calls.executor import Executor
from kemi.adapters.kamailio import ksr, transactions
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.network.entry_points import EntryPoints
from kemi.adapters.pages.flows import LiveFlows
from kemi.adapters.pages.registrar import Registrar
from kemi.core import page_dialogs, standalone
from kemi.core.call.actions import ForwardReply
from kemi.core.call.settings import CallSettings
from kemi.core.call.towards_page.incoming import called_registration
from kemi.core.edits import MessageEdits
from kemi.core.errors import SipReject
from kemi.core.flow_token import token_from_routes
from kemi.core.headers import ALLOW, vias_of_response
from kemi.core.messages import Message, Reply, Request, Side
from kemi.core.page_dialogs import DIALOG_FORMING, IN_DIALOG, PageDialog, dialog_keys
from kemi.core.registration import Flow
from kemi.core.registration.states import BindingState
from kemi.state.dialogs import DialogStore
from kemi.state.flows import FlowStore


class StandaloneRequests:
    """The part of a worker process that passes requests outside calls."""

    def __init__(
        self,
        settings: CallSettings,
        flows: FlowStore,
        live_flows: LiveFlows,
        dialogs: DialogStore,
        registrar: Registrar,
        executor: Executor,
        entry_points: EntryPoints,
        dialog_ids: DialogIds,
    ) -> None:
        self._settings = settings
        self._flows = flows
        self._live_flows = live_flows
        self._dialogs = dialogs
        self._registrar = registrar
        self._executor = executor
        self._entry_points = entry_points
        self._dialog_ids = dialog_ids
        self._asked = HtableTable("passing")

    # ------------------------------------------------------------ outside any dialog

    def from_page(self, request: Request) -> None:
        """Send a page's request to the core; raise SipReject for what does not pass."""
        if request.method == "OPTIONS":
            _answer_options()
            return
        standalone.check_method(request)
        now = time.time()
        registration = self._flows.registration(request.connection_id, now)
        if not self._registrar.check_token(request, registration):
            return
        dialog = None
        if registration is not None and request.method in DIALOG_FORMING:
            dialog = page_dialogs.begin_by_page(request, registration, secrets.token_hex(8), now)
        edits = standalone.outside_for_core(
            request, registration, dialog, self._settings, secrets.token_hex(16)
        )
        if dialog is not None and not self._begin(dialog_keys(request)[0], dialog, now):
            raise page_dialogs.too_many_dialogs(403, "Forbidden")
        self._relay_to_core(edits)

    def from_core(self, request: Request) -> None:
        """Send a request of the core to the page that its Path token names; raise SipReject for what does not pass."""
        token = token_from_routes(request.headers("Route"))
        if request.method == "OPTIONS":
            if token:
                self._live_flows.deliverable(token)
            _answer_options()
            return
        flow = self._live_flows.deliverable(token)
        standalone.check_method(request)
        now = time.time()
        registration = called_registration(request, self._flows.registration(flow.connection_id, now))
        self._dialog_ids.translate(request, lambda: registration.owner)
        if request.method in DIALOG_FORMING:
            dialog = page_dialogs.begin_by_core(request, registration, flow, secrets.token_hex(8), now)
            if not self._begin(dialog_keys(request, flow.connection_id)[2], dialog, now):
                raise page_dialogs.too_many_dialogs(480, "Temporarily Unavailable")
        self._relay_to_page(request, flow, request.request_uri)

    def _begin(self, key: str, dialog: PageDialog, now: float) -> bool:
        if self._dialogs.begin(key, dialog, page_dialogs.MOST_DIALOGS, now):
            return True
        for contact in self._flows.abandoned(dialog.owner):  # those who did not come back make room
            self._dialogs.end_of_page(dialog.owner, set(), contact, now)
        return self._dialogs.begin(key, dialog, page_dialogs.MOST_DIALOGS, now)

    # ------------------------------------------------------------ inside a dialog

    def inside(self, request: Request) -> bool:
        """Send a request inside a dialog on; False when the dialog is none of those remembered here."""
        if request.method not in IN_DIALOG:
            return False
        found = self._dialogs.find(dialog_keys(request, request.connection_id))
        if found is None:
            return False
        key, dialog = found
        if request.side is Side.WIC:
            self._inside_from_page(key, dialog, request)
        else:
            self._inside_from_core(key, dialog, request)
        return True

    def _inside_from_page(self, key: str, dialog: PageDialog, request: Request) -> None:
        now = time.time()
        registration = self._flows.registration(request.connection_id, now)
        if registration is None and dialog.owner:
            raise page_dialogs.not_registered_yet("this connection has no registration (yet)")
        if registration is None or registration.owner != dialog.owner:
            raise page_dialogs.no_dialog()
        if not self._registrar.check_token(request, registration):
            return
        edits = standalone.inside_for_core(
            request, registration, dialog, self._settings, secrets.token_hex(16)
        )
        learning = partial(
            page_dialogs.learn_from_page_request, request=request, registration=registration, now=now
        )
        self._dialogs.change(key, learning, now)
        self._relay_to_core(edits)

    def _inside_from_core(self, key: str, dialog: PageDialog, request: Request) -> None:
        now = time.time()
        flow = self._flow_of(dialog, now)
        self._dialog_ids.translate(request, lambda: dialog.owner)
        learning = partial(page_dialogs.learn_from_core_request, request=request, now=now)
        if self._dialogs.change(key, learning, now) is None:
            raise page_dialogs.no_dialog()
        self._relay_to_page(request, flow, dialog.page_contact)

    def _flow_of(self, dialog: PageDialog, now: float) -> Flow:
        """Return the connection of a dialog's page, also when it came back on another one."""
        flow = self._flows.flow(dialog.connection_id)
        registration = self._flows.registration(dialog.connection_id, now) if flow else None
        if registration is not None and registration.owner != dialog.owner:
            flow = None
        flow = flow or self._flows.successor(dialog.owner, dialog.contact_of_binding, now)
        if flow is not None:
            return flow
        detail = "the page's connection is gone"
        match self._flows.state_of(dialog.owner, dialog.contact_of_binding, now):
            case None:
                raise page_dialogs.no_dialog()
            case BindingState.ABANDONED:
                raise SipReject(detail, status=480, reason_phrase="Temporarily Unavailable")
            case _:
                raise page_dialogs.not_registered_yet(detail)

    def _relay_to_page(self, request: Request, flow: Flow, target: str) -> None:
        called = "".join(request.headers("P-Called-Party-ID")[:1])
        asked = "\n".join((called, *vias_of_response(request)))
        self._asked.set(_passing_key(request, flow.connection_id), asked)
        edits = standalone.for_page(request, flow, target, self._settings)
        self._executor.forward_to_page(edits, lambda: transactions.relay_within(standalone.FINAL_RESPONSE_S))

    def _relay_to_core(self, edits: MessageEdits) -> None:
        self._executor.prepare(edits, Side.IMS)
        if edits.next_hop is None:
            ksr.set_next_hop(self._entry_points.best())
        if not transactions.relay_within(standalone.FINAL_RESPONSE_S):
            self._executor.answer_not_sent()

    # ------------------------------------------------------------ responses

    def answered(self, reply: Reply, forbidden: Callable[[Reply, str], str]) -> None:
        """A response goes back to page or core; of a page only where it was asked, and about no dialog but its own.

        ``forbidden`` returns why who asked is not sent where the page on a connection wants, "" for no reason.
        """
        connection_id, asked = "", None
        if reply.side is Side.WIC:
            connection_id = ksr.connection_id()
            asked = self._asked.get(_passing_key(reply, connection_id))
            if asked is None:
                ksr.drop()  # nobody waits for it (any more)
                return
        keys = dialog_keys(reply, connection_id)
        found = self._dialogs.find(keys) if reply.method in IN_DIALOG else None
        now = time.time()
        registration = None if asked is None else self._flows.registration(connection_id, now)
        if found is not None and registration is not None and found[1].owner != registration.owner:
            found = None  # its To-tag is of somebody else's dialog
        if found is not None and reply.status >= 200:
            self._dialogs.change(
                found[0], lambda dialog: page_dialogs.learn_from_reply(dialog, reply, now), now
            )
            if found[0] == keys[2] and reply.status < 300:
                self._dialogs.rename(keys[2], keys[1], now)
        if asked is None:
            edits = standalone.reply_for_page(reply, self._settings)
        else:
            called, *vias = asked.split("\n")
            edits = standalone.reply_for_core(
                reply,
                registration,
                called,
                found[1] if found else None,
                self._settings,
                forbidden(reply, connection_id),
            )
            edits = replace(edits, vias=tuple(vias))
        self._executor.perform(reply.call_id, ForwardReply(edits))


def _passing_key(message: Message, connection_id: str) -> str:
    """Return the name of a request of the core on its way to the page of one connection: forks share the rest."""
    return f"{connection_id} {message.call_id} {message.cseq} {message.from_tag}"


def _answer_options() -> None:
    transactions.reply_statelessly(200, "OK", (ALLOW, "Accept: application/sdp"), "")
