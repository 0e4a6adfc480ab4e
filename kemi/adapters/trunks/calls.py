"""Calls that trunks begin: into the home network, and what passes inside them.

The gateway is a proxy here: the home network forks the call to the user's pages, and comes back to us with it as with
any other call towards a page.  Call-ID and tags are the same on both of its ways through us: what a message is tells
where it came from, and the Record-Route we left.
"""

from __future__ import annotations

import logging
import secrets
import time
import zlib
from typing import Final

from kemi.adapters.calls.executor import Executor
from kemi.adapters.kamailio import ksr, transactions
from kemi.adapters.log import log_event
from kemi.adapters.monitoring.measuring import METRICS, count_refused
from kemi.adapters.monitoring.trace_notes import NOTES
from kemi.adapters.network.entry_points import EntryPoints
from kemi.adapters.network.routing import RouteReader
from kemi.adapters.trunks.room import TrunkRoom
from kemi.core import headers
from kemi.core.call.actions import ForwardInvite
from kemi.core.call.history import CORE
from kemi.core.call.record_key import record_key
from kemi.core.edits import MessageEdits
from kemi.core.entry_points import UNAVAILABLE, attempt_key
from kemi.core.errors import GatewayError, RemoteProtocolError, SipReject, Termination
from kemi.core.extensions import check_proxy_require
from kemi.core.identity import ANONYMOUS
from kemi.core.messages import Request, Side, uri_from_address
from kemi.core.metrics import catalogue as series
from kemi.core.metrics import of_calls
from kemi.core.trunk import causes, incoming
from kemi.core.trunk.names import is_own_call_id, trunks_by_user
from kemi.core.trunk.q850 import cause_from_reasons, cause_of_response, reason_line
from kemi.core.trunk.registration import Answer
from kemi.core.trunk.sources import TrunkSources
from kemi.core.trunk.trunk import Trunk
from kemi.settings import Settings
from kemi.state.calls import CallStore
from kemi.state.trunks import HomeEnd, TrunkCall, TrunkStore
from kemi.state.waiting import WaitingStore

FAILURE: Final = "ksr_failure_trunk_call"
NETWORK_OUT_OF_ORDER: Final = 38
NO_CHANNEL: Final = 34
CANCELLED: Final = 487
_TARGET_REFRESH: Final = frozenset({"INVITE", "UPDATE"})
"""Their Contact is where the sender is from then on (RFC 3261 §12.2, RFC 3311 §5)."""
_GATEWAY_METHODS: Final = frozenset({"INVITE", "ACK", "CANCEL", "OPTIONS"})


class TrunkCalls:
    """The part of a worker process that passes calls of trunks."""

    def __init__(
        self,
        settings: Settings,
        sources: TrunkSources,
        store: TrunkStore,
        room: TrunkRoom,
        calls: CallStore,
        routes: RouteReader,
        executor: Executor,
        entry_points: EntryPoints,
        elsewhere: WaitingStore,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._store = store
        self._room = room
        self._calls = calls
        self._routes = routes
        self._executor = executor
        self._entry_points = entry_points
        self._elsewhere = elsewhere
        self._by_name = {trunk.name: trunk for trunk in settings.trunks}
        self._by_user = trunks_by_user(settings.trunks, settings.flow_secret)
        self._users = {trunk.name: user for user, trunk in self._by_user.items()}
        sip = settings.sip
        self._hosts = [
            f"{sip.address}:{sip.port}",
            *([f"{sip.address}:{sip.tls_port}"] if sip.tls_port else []),
        ]

    # ------------------------------------------------------------ requests

    def takes(self, method: str) -> bool:
        """Do everything about the current request that is a trunk's business; False where it is none.

        Requests inside a page's call to a trunk are not: that call has a record.
        """
        if not self._by_name or ksr.side() is Side.WIC or method == "CANCEL":
            return False
        ours, routes = incoming.routes_left(ksr.headers("Route"), self._hosts)
        if ours:
            self._pass_on(method, routes)
            return True
        trunk = self._sender()
        if trunk is None or method == "ACK":
            return False
        if to_tag := ksr.text("$tt"):
            self._check_dialog(trunk, to_tag)
            return False
        if method == "INVITE":
            if transactions.transaction_state() != 0:  # 0: sent once more, tm has repeated what was answered
                try:
                    self._begin(trunk, ksr.request())
                except Exception as error:
                    _count(trunk.name, error.status if isinstance(error, GatewayError) else 500)
                    raise
            return True
        if method not in _GATEWAY_METHODS:
            raise SipReject(
                "a trunk calls, and nothing else",
                status=405,
                reason_phrase="Method Not Allowed",
                lines=("Allow: INVITE, ACK, CANCEL, BYE, OPTIONS",),
            )
        return False

    def knows_sender(self) -> bool:
        """Whether a trunk has sent the current message, request or response."""
        if not self._by_name:
            return False
        if self._sender() is not None:
            return True
        call = self._store.call(ksr.call_id())
        return call is not None and call.source == ksr.source_address()

    def _sender(self) -> Trunk | None:
        """Return whose message this is: the source tells, and the Contact that is called where the source does not, or
        several trunks of a carrier have it in common, as several accounts there."""
        found = self._source()
        called = self._by_user.get(incoming.user_of(ksr.text("$ru"))) if self._by_user else None
        if called is None or (found is not None and ksr.text("$tt")):
            return found
        if found is None or self._sources.are_neighbours(found.name, called.name):
            return called
        return found

    def _source(self) -> Trunk | None:
        return self._sources.trunk_of(ksr.source_address(), ksr.number("$sp"), ksr.text("$pr"))

    def _is_of(self, call: TrunkCall) -> bool:
        """Whether the trunk of a call has sent the current message."""
        sender = self._source()
        if sender is None:
            return ksr.source_address() == call.source
        return self._sources.are_neighbours(sender.name, call.trunk)

    def _is_of_home(self, call: TrunkCall) -> bool:
        """Whether no trunk has sent the current message of a trunk's call."""
        source = ksr.source_address()
        return self._source() is None and (source != call.source or self._sources.is_shared(source))

    def _check_dialog(self, trunk: Trunk, to_tag: str) -> None:
        """Raise SipReject unless the current request is inside a page's call that this trunk has, here or, handed over,
        at another gateway."""
        key = record_key(ksr.call_id(), to_tag)
        record = self._calls.get(key)
        if record is None:
            name = self._elsewhere.trunk_of(key)
        else:
            name = record.trunk.trunk if record.trunk is not None else ""
        if not name or not self._sources.are_neighbours(name, trunk.name):
            raise SipReject("no such call", status=481, reason_phrase="Call/Transaction Does Not Exist")

    def _begin(self, trunk: Trunk, request: Request) -> None:
        check_proxy_require(request)
        if not request.from_tag or not request.contact:
            raise RemoteProtocolError("an INVITE needs a tag in From and a Contact (RFC 3261 §8.1.1)")
        caller = incoming.caller_of(request, trunk)
        told = ANONYMOUS if caller.withheld else request.from_uri
        NOTES.passes(request.call_id, trunk.name, told, request.request_uri, request.from_tag)
        way = self._way(trunk, request)
        shown = incoming.from_value(request, caller, trunk)
        call = TrunkCall(
            trunk=trunk.name,
            from_tag=request.from_tag,
            from_value="".join(request.headers("From")),
            shown_from=shown,
            source=ksr.source_address(),
            since=round(time.time(), 3),
            ends={},
        )
        if self._calls.of_call_id(request.call_id) or not self._store.begin(request.call_id, call):
            raise SipReject("this call is here already", status=482, reason_phrase="Loop Detected")
        NOTES.passes(request.call_id, trunk.name, told, way.request_uri, request.from_tag)
        try:
            self._admit(trunk, request.call_id)
            if transactions.new_transaction() is None:
                raise RemoteProtocolError("no transaction can be made of this INVITE")
            sip = self._settings.sip
            edits = incoming.invite_edits(
                request,
                trunk,
                caller,
                way.request_uri,
                head=ksr.head(),
                record_route=self._record_route(),
                charging=f'icid-value="{secrets.token_hex(16)}";icid-generated-at={sip.address}',
            )
            log_event(
                logging.INFO, "call_of_trunk", call_id=request.call_id, trunk=trunk.name, route=way.route
            )
            timers = self._settings.timers
            invite = ForwardInvite(edits, timers.ims_response_s, timers.ims_answer_s)
            key = attempt_key("INVITE", request.call_id, request.cseq)
            uri = self._entry_points.begin(key, invite=invite)
            if not self._relay(invite, uri, at_once=True) and not self._relay_next(key):
                self._over(request.call_id, trunk.name)  # not even sent: no failure route will run
                _count(trunk.name, UNAVAILABLE)
                self._refuse_unavailable()
        except Exception:
            self._over(request.call_id, trunk.name)
            raise

    def _way(self, trunk: Trunk, request: Request) -> incoming.WayIn:
        current = self._routes.current()
        if current is None:
            raise SipReject("nobody has this number here", status=404, reason_phrase="Not Found")
        table, document = current
        return incoming.way_in(
            table,
            document.plans,
            document.conferences,
            trunk,
            incoming.called_text(request, self._users.get(trunk.name, "")),
            home=self._settings.realm,
            now=time.time(),
            spin=zlib.crc32(request.call_id.encode()) / (1 << 32),
        )

    def _admit(self, trunk: Trunk, call_id: str) -> None:
        if self._room.admit(trunk, call_id):
            return
        # No Retry-After: nobody knows when a call ends, and who is told a time may leave this node alone for all calls.
        raise SipReject(
            "this trunk has as many calls as it may have",
            status=UNAVAILABLE,
            reason_phrase="Service Unavailable",
            lines=(reason_line(NO_CHANNEL),),
        )

    def _record_route(self) -> list[str]:
        """Return our Record-Route, for the home network first; one for the trunk where its transport is another."""
        sip, protocol = self._settings.sip, ksr.text("$pr")
        towards_core = f"<sip:{incoming.ROUTE_USER}@{sip.address}:{sip.port};lr>"
        if protocol == "udp":
            return [towards_core]
        port = sip.tls_port if protocol == "tls" else sip.port
        return [towards_core, f"<sip:{incoming.ROUTE_USER}@{sip.address}:{port};transport={protocol};lr>"]

    def _relay(self, invite: ForwardInvite, uri: str, *, at_once: bool = False) -> bool:
        """Send the current INVITE on; ``at_once``: in its own route, see ``Executor.prepare``."""
        self._change(invite.edits)
        if at_once:
            ksr.apply_changes()
        ksr.set_next_hop(uri)
        ksr.set_send_socket(self._settings.sip.socket_towards(uri))
        return transactions.relay_invite(FAILURE, invite.response_timeout_s, invite.answer_timeout_s)

    @staticmethod
    def _change(edits: MessageEdits) -> None:
        if edits.request_uri is not None:
            ksr.set_request_uri(edits.request_uri)
        if edits.from_value is not None:
            ksr.replace_header("From", edits.from_value)
        ksr.remove_headers(edits.remove)
        first = [line for line in edits.insert if line.startswith(("Record-Route:", "Route:"))]
        others = [line for line in edits.insert if line not in first]
        if first:
            ksr.insert_headers(first)
        if others:
            ksr.append_headers(others)

    def _relay_next(self, key: str) -> bool:
        while (attempt := self._entry_points.failed(key)) is not None and attempt.invite is not None:
            if self._relay(attempt.invite, attempt.uris[0]):
                return True
        return False

    def failed(self) -> None:
        """In tm's failure callback: a trunk's INVITE got no 2xx."""
        status = transactions.transaction_status()
        silent = transactions.is_local_timeout() and not transactions.has_heard()
        nobody = silent or status == UNAVAILABLE
        cancelled = transactions.is_cancelled()
        call = self._store.call(ksr.call_id())
        has_rung = call is not None and bool(call.ends)  # elsewhere, the same telephones would ring once more
        if nobody and not cancelled and not has_rung:
            transactions.forget_replies()
            if self._relay_next(attempt_key("INVITE", ksr.call_id(), ksr.number("$cs"))):
                return
        if call is not None:
            self._over(ksr.call_id(), call.trunk)
            _count(call.trunk, CANCELLED if cancelled else UNAVAILABLE if nobody else status)
        if nobody and not cancelled:
            self._refuse_unavailable()

    def _over(self, call_id: str, trunk: str) -> None:
        self._store.forget(call_id)
        self._room.leave(trunk, call_id)

    @staticmethod
    def _refuse_unavailable() -> None:
        count_refused("INVITE", UNAVAILABLE, Termination.SERVER_ERROR)
        lines = (*headers.explanation("the home network does not answer", "gateway"),)
        transactions.reply_in_transaction(
            UNAVAILABLE, "Service Unavailable", (*lines, reason_line(NETWORK_OUT_OF_ORDER)), ""
        )

    # ------------------------------------------------------------ inside a call

    def _pass_on(self, method: str, routes: list[str]) -> None:
        """A request inside a trunk's call: from the trunk to the home network, or back."""
        call_id, from_tag, to_tag = ksr.call_id(), ksr.text("$ft"), ksr.text("$tt")
        call = self._store.call(call_id)
        by_trunk = call is not None and from_tag == call.from_tag
        said = HomeEnd(ksr.text("$ru"), routes)
        end = self._home_end(call, to_tag, said) if call is not None and by_trunk else said
        if call is None or not to_tag or end is None:
            if method == "ACK":
                return
            raise SipReject("no such call", status=481, reason_phrase="Call/Transaction Does Not Exist")
        if not (self._is_of(call) if by_trunk else self._is_of_home(call)):
            raise SipReject("not the trunk of this call" if by_trunk else "not a node of the core")
        if method != "ACK" and transactions.transaction_state() == 0:
            return  # sent once more, tm has repeated what was answered
        insert = [f"Route: {route}" for route in end.routes]
        if by_trunk:
            edits = MessageEdits(
                request_uri=end.target,
                from_value=call.shown_from,
                remove=(*incoming.names_not_believed(ksr.head()), "Route"),
                insert=tuple(insert),
            )
        else:
            if method in _TARGET_REFRESH and (contact := ksr.text("$ct")):
                self._store.learn(call_id, from_tag, uri_from_address(contact))
            if method == "BYE":
                insert += causes.for_trunk(ksr.headers("Reason"))
            withheld = incoming.names_withheld(ksr.headers, ksr.head())
            edits = MessageEdits(remove=(*withheld, "Route"), insert=tuple(insert))
        self._change(edits)
        target = uri_from_address(end.routes[0]) if end.routes else end.target
        if end.routes:
            ksr.set_next_hop(target)
        ksr.set_send_socket(self._settings.sip.socket_towards(target))
        if method == "BYE" and self._store.end(call_id, to_tag if by_trunk else from_tag, time.time()):
            _count(call.trunk)
        if not transactions.relay_patiently() and method != "ACK":
            raise SipReject("it could not be sent on", status=480, reason_phrase="Temporarily Unavailable")

    @staticmethod
    def _home_end(call: TrunkCall, to_tag: str, said: HomeEnd) -> HomeEnd | None:
        """Return where a trunk's request goes, which is not for it to say; ``said``: what it says.  None: nowhere."""
        if call.ends is not None:
            return call.ends.get(to_tag)
        return said if to_tag in call.running else None  # the release before has begun the call

    # ------------------------------------------------------------ responses

    def takes_reply(self, method: str, status: int) -> bool:
        """Do everything about the current response that is a trunk's business; False where it is none."""
        if not self._by_name or ksr.side() is Side.WIC:
            return False
        call_id = ksr.call_id()
        if method in ("OPTIONS", "REGISTER") and is_own_call_id(self._settings.flow_secret, call_id):
            return True
        call = self._store.call(call_id)
        if call is None:
            return False
        to_trunk = ksr.text("$ft") == call.from_tag
        if not to_trunk:
            if not self._is_of(call) or self._is_of_home(call):
                return False  # one from a trunk at an address of ours, too, is told by its port from one of our own
            ksr.remove_headers(incoming.NOT_BELIEVED)
        elif not self._is_of_home(call):
            ksr.drop()  # no trunk answers what a trunk asks of the home network
            return True
        elif status > 100:
            self._learn(call_id, method, status)
            ksr.replace_header("From", call.from_value)
            ksr.remove_headers(incoming.names_withheld(ksr.headers, ksr.head()))
            if status >= 400 and cause_from_reasons(ksr.headers("Reason")) is None:
                ksr.append_headers([reason_line(cause_of_response(status, ksr.headers("Warning")))])
        if method == "BYE" and status >= 200 and call.ended_at:
            self._over(call_id, call.trunk)
        return True

    def _learn(self, call_id: str, method: str, status: int) -> None:
        """Keep where whoever responds to a trunk is."""
        tag, contact = ksr.text("$tt"), ksr.text("$ct")
        if status >= 300 or method not in _TARGET_REFRESH:
            return
        if tag and contact:
            routes = incoming.home_routes(ksr.headers("Record-Route"), self._hosts)
            self._store.learn(call_id, tag, uri_from_address(contact), routes if method == "INVITE" else None)
        if method == "INVITE" and status >= 200:
            self._store.answer(call_id, tag)


def _count(trunk: str, status: int = 0) -> None:
    """Count a call of a trunk that is over; ``status``: what it was refused with, 0: it had been answered."""
    result = of_calls.result(answered=not status, by=CORE, status=status, why="")
    METRICS.count(series.TRUNK_ENDED, trunk, "from_trunk", result)


class TrunkAnswers:
    """Leaves the responses to housekeeping's requests where it finds them."""

    def __init__(self, secret: str, store: TrunkStore) -> None:
        self._secret = secret
        self._store = store

    def is_ours(self, call_id: str) -> bool:
        """Whether a request of ours to a trunk has this Call-ID."""
        return is_own_call_id(self._secret, call_id)

    def answered(self, status: int) -> None:
        """The current message is the final response, or the request that got none (0)."""
        answer = Answer(status) if not status else _answer(status)
        self._store.answered(ksr.call_id(), ksr.number("$cs"), answer)


def _answer(status: int) -> Answer:
    return Answer(
        status,
        ksr.headers("WWW-Authenticate" if status == 401 else "Proxy-Authenticate")
        if status in (401, 407)
        else [],
        ksr.headers("Contact"),
        "".join(ksr.headers("Expires")[:1]),
        "".join(ksr.headers("Min-Expires")[:1]),
        "".join(ksr.headers("Retry-After")[:1]),
    )
