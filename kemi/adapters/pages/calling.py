"""Who is at the other end of a connection, and over which one a call's page is reached now."""

from __future__ import annotations

import time

from kemi.core.errors import SipReject
from kemi.core.registration import Flow, Registration
from kemi.state.calls import CallStore
from kemi.state.flows import FlowStore


class Pages:
    """The pages of calls as one worker sees them."""

    def __init__(self, flows: FlowStore, calls: CallStore) -> None:
        self._flows = flows
        self._calls = calls

    def registration(self, connection_id: str) -> Registration | None:
        """Return the live registration of a connection, or None."""
        return self._flows.registration(connection_id, time.time())

    def owner(self, connection_id: str) -> str:
        """Return who registered over a connection, or ""."""
        registration = self.registration(connection_id)
        return registration.owner if registration else ""

    def owner_of_call(self, key: str) -> str:
        """Return whose call it is, or ""."""
        record = self._calls.get(key)
        return record.owner if record is not None else ""

    def check_answerer(self, key: str, from_tag: str, connection_id: str) -> None:
        """Raise SipReject unless a response about this call, if there is one, comes from its page, and is to a request
        that came from us: to tm, which goes by the branch, it could answer its own request as the core."""
        record = self._calls.seen(key)
        if record is None:
            return
        if from_tag == record.wic_tag:
            raise SipReject("a response to its own request")
        if record.connection_id != connection_id and self.owner(connection_id) != record.owner:
            raise SipReject("a response of another page")

    def page_of(self, key: str) -> tuple[bool, Flow | None]:
        """Whether a call's page can be reached; and the connection it came back on, if the call knows an old one."""
        record = self._calls.get(key)
        if record is None:
            return False, None
        if self._flows.is_open(record.connection_id):
            return True, None
        successor = self._flows.successor(record.owner, record.contact_of_binding, time.time())
        return successor is not None, successor
