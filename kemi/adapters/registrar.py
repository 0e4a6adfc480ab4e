"""REGISTER through us: out to the core with our Path, back with what the core granted."""

from __future__ import annotations

import logging
import time

from kemi.adapters import ksr
from kemi.adapters.executor import Executor
from kemi.adapters.log import log_event
from kemi.core.call.actions import ForwardRequest
from kemi.core.errors import SipReject
from kemi.core.headers import explanation
from kemi.core.messages import Reply, Request, Side
from kemi.core.registration import (
    RegistrationSettings,
    pending_from_request,
    register_edits,
    registration_from_reply,
)
from kemi.settings import Settings
from kemi.state.flows import FlowStore

FAILURE_REGISTER = "ksr_failure_register"


class Registrar:
    """The registration part of a worker process."""

    def __init__(self, settings: Settings, flows: FlowStore, executor: Executor) -> None:
        self._flows = flows
        self._executor = executor
        self._settings = RegistrationSettings(
            realm=settings.realm,
            visited_network=settings.visited_network,
            icscf_uri=settings.icscf_uri,
            flow_secret=settings.flow_secret,
            ims_host=f"{settings.sip.address}:{settings.sip.port}",
        )

    def forward(self, request: Request) -> None:
        """Send a page's REGISTER to the core."""
        flow = self._flows.flow(request.connection_id)
        if flow is None:
            raise SipReject("this connection is closing", status=480, reason_phrase="Temporarily Unavailable")
        pending = pending_from_request(request)
        edits = register_edits(request, flow, self._settings)
        self._flows.expect(request.call_id, request.cseq, pending)
        ksr.on_failure(FAILURE_REGISTER)
        self._executor.perform(request.call_id, ForwardRequest(Side.IMS, edits))

    def unanswered(self, request: Request) -> None:
        """Tell the page that the core is silent; its registration of before, if any, stands until it runs out."""
        self._flows.expected(request.call_id, request.cseq)
        log_event(logging.ERROR, "core_silent", call_id=request.call_id, method=request.method)
        lines = explanation("the IMS core does not answer", self._settings.realm)
        ksr.reply_in_transaction(504, "Server Time-out", lines, "")

    def answered(self, reply: Reply) -> None:
        """Learn from the core's final response; it goes on to the page without what is only for the network."""
        ksr.remove_headers(("P-Charging-Vector", "P-Charging-Function-Addresses"))
        pending = self._flows.expected(reply.call_id, reply.cseq)
        if pending is None:
            return
        if 200 <= reply.status < 300:
            registration = registration_from_reply(pending, reply, time.time())
            self._flows.register(pending.connection_id, registration)
            event = "registered" if registration else "deregistered"
            log_event(logging.INFO, event, call_id=reply.call_id, identity=pending.address_of_record)
        elif reply.status not in (401, 407):
            log_event(
                logging.INFO,
                "registration_refused",
                call_id=reply.call_id,
                identity=pending.address_of_record,
                status=reply.status,
            )
