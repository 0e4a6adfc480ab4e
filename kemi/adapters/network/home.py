"""The home network of a gateway without an IMS core: Kamailio's registrar, on a socket of its own in this Kamailio.

Our own proxy part speaks with it as it would with a core, by SIP, and nobody else does: a sender of UDP has the proxy
part's address and port only if it is the proxy part.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from kemi.adapters.guard import guarded
from kemi.adapters.kamailio import contacts, ksr, transactions
from kemi.adapters.log import log_event
from kemi.adapters.network.people import People
from kemi.adapters.network.routing import RouteReader
from kemi.core.errors import SipReject
from kemi.core.home import reaching
from kemi.core.home.identities import address_of_record
from kemi.core.home.registering import admitted, check_room, comes_late
from kemi.core.messages import Request
from kemi.core.registration import Registration
from kemi.core.standalone import FINAL_RESPONSE_S
from kemi.settings import Settings
from kemi.state.flows import FlowStore

FAILURE_HOME: Final = "ksr_failure_home"
FIRST_RESPONSE_S: Final = 10.0
"""Our own proxy part answers at once, unless it waits for a media node."""
LONGER_S: Final = 5.0
"""The proxy part that sent the INVITE ends it first, or a trunk does."""


class HomePart:
    """The home part as one worker sees it."""

    def __init__(self, settings: Settings, flows: FlowStore, people: People, routes: RouteReader) -> None:
        home, sip = settings.home, settings.sip
        self._port = home.port if home is not None else 0
        self._host = f"{home.address}:{home.port}" if home is not None else ""
        self._proxy = f"{sip.address}:{sip.port}"
        self._realm = settings.realm
        self._answer_s = settings.timers.ims_answer_s + LONGER_S
        self._flows = flows
        self._people = people
        self._routes = routes

    def is_meant(self) -> bool:
        """Whether the current message came to the home part."""
        return self._port != 0 and ksr.received_port() == self._port

    def restored(self, registration: Registration) -> None:
        """A registration of before a restart: whose it is, is known at once, and where the page is, when it is back."""
        if self._port:
            self._people.learn(registration.impi, registration.grant.impus)

    # ------------------------------------------------------------ requests

    def takes(self, method: str) -> bool:
        """Do everything about the current request if it came to the home part; False where it did not.

        Raise SipReject for what is refused.
        """
        if not self.is_meant():
            return False
        self._take(method)
        return True

    def _take(self, method: str) -> None:
        if ksr.source() != self._proxy:
            raise SipReject("only this gateway's own proxy part speaks here")
        if method == "ACK":
            transactions.transaction_state()  # to a refusal, which tm repeats until then; one to a 2xx goes past us
            return
        if method == "CANCEL":
            if transactions.transaction_state() <= 0:
                raise SipReject("no such INVITE", status=481, reason_phrase="Call/Transaction Does Not Exist")
            transactions.relay()
            return
        request = ksr.request()
        if method == "REGISTER":
            self._register(request)
        elif transactions.transaction_state() != 0:  # 0: sent once more, tm has repeated what was answered
            self._reach(request)

    def _register(self, request: Request) -> None:
        pending = self._flows.awaited(request.call_id, request.cseq)
        allowed = admitted(request, pending)
        kept = contacts.kept_of(allowed.address_of_record)
        binding = None if pending is None else self._flows.binding(pending.key)
        if comes_late(request, pending, binding, kept, time.time()):
            transactions.reply_statelessly(200, "OK", (), "")
            return
        check_room(request, kept)
        if not contacts.save(allowed.address_of_record, allowed.lines):
            log_event(logging.WARNING, "contacts_not_saved", call_id=request.call_id, impi=allowed.impi)
            return  # answered with the reason
        self._people.learn(allowed.impi, allowed.identities)

    def _reach(self, request: Request) -> None:
        """Send a request to all pages of the user it names."""
        reaching.check_request(request, self._host)
        called, impi = self._called(request.request_uri)
        if not contacts.look_up(address_of_record(impi)):
            raise reaching.not_here()
        ksr.remove_headers(("P-Called-Party-ID",))
        ksr.append_headers([f"P-Called-Party-ID: <{called}>"])
        transactions.on_failure(FAILURE_HOME)
        if request.method == "INVITE":
            sent = transactions.relay_within(FIRST_RESPONSE_S, self._answer_s)
        else:
            sent = transactions.relay_within(FINAL_RESPONSE_S)
        if not sent:
            raise reaching.not_here()

    def _called(self, uri: str) -> tuple[str, str]:
        """Return which identity is called, and whose it is."""
        found = self._people.find(uri, self._routes.plan(self._realm))
        if found is None:
            raise reaching.unknown()
        return found

    # ------------------------------------------------------------ responses

    def takes_reply(self, status: int) -> bool:
        """The same for a response of the proxy part to a branch of ours.

        One of a page that is gone must not count as the user's.
        """
        if not self.is_meant():
            return False
        if status == reaching.FLOW_FAILED:
            ksr.change_status(reaching.PAGE_IS_GONE, "Flow Failed")
        return True

    @guarded
    def failed(self, _message: object) -> None:
        """tm's failure callback ``ksr_failure_home``: no page has taken the request."""
        instead = reaching.outcome(transactions.transaction_status())
        if instead is not None and not transactions.is_cancelled():
            transactions.reply_in_transaction(*instead, (), "")
