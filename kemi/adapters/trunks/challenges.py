"""Requests inside the dialog with a trunk that asks who sends them: remembered until they are answered.

How a page's request was forwarded is kept with its transaction; a request of our own, of which tm tells the response
alone, in a table.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kemi.adapters.kamailio import ksr, transactions
from kemi.core.call import actions as act
from kemi.core.call.events import ForwardChallenged, OwnRequestChallenged
from kemi.core.call.from_page.credentials import CHALLENGES, asked_by, once_more
from kemi.core.call.record_key import record_key
from kemi.core.entry_points import attempt_key
from kemi.core.errors import RemoteProtocolError
from kemi.core.messages import Reply
from kemi.settings import Settings
from kemi.state.records import RecordTable
from kemi.state.table import Table

FAILURE_ASKED = "ksr_failure_asked"


class Challenges:
    """Requests that may be challenged."""

    def __init__(self, settings: Settings, table: Callable[[str], Table]) -> None:
        self._trunks = {trunk.name: trunk for trunk in settings.trunks}
        self._own = RecordTable(table("attempt"), act.SendRequest)

    @staticmethod
    def forwards(action: act.ForwardRequest) -> None:
        """A page's request is about to be forwarded; one that answers a challenge gets no second chance."""
        if action.trunk and ksr.method() != "ACK":
            transactions.keep("" if action.again else msgspec.json.encode(action).decode())
            if not action.change:
                transactions.on_failure(FAILURE_ASKED)

    @staticmethod
    def of_forwarded() -> tuple[str, ForwardChallenged] | None:
        """Inside a failure callback: return the name of the call and the event, where the trunk has asked."""
        text = transactions.kept()
        if not text or transactions.transaction_status() not in CHALLENGES or transactions.is_local_timeout():
            return None
        if transactions.is_cancelled():
            return None
        forward = msgspec.json.decode(text, type=act.ForwardRequest)
        event = ForwardChallenged(ksr.method(), ksr.number("$cs"), forward)
        return record_key(ksr.call_id(), ksr.text("$tt")), event

    def sends(self, action: act.SendRequest) -> None:
        """A request of our own is about to be sent."""
        if action.trunk:
            fields = dict(line.split(": ", 1) for line in action.headers)
            cseq = int(fields["CSeq"].split()[0])
            self._own.set(_key(action.method, fields["Call-ID"], cseq), action)

    def take(self, method: str, call_id: str, cseq: int) -> act.SendRequest | None:
        """Return the request of our own that has a final response, or will have none; once."""
        return self._own.take(_key(method, call_id, cseq))

    @staticmethod
    def of_own(request: act.SendRequest, reply: Reply) -> OwnRequestChallenged | None:
        """Return the event where a response to it asks something that we can answer."""
        if reply.status not in CHALLENGES:
            return None
        try:
            asked_by(reply)
        except RemoteProtocolError:
            return None
        return OwnRequestChallenged(request, reply.cseq, reply)

    def answering(self, challenged: OwnRequestChallenged) -> act.SendRequest:
        """Return the request once more, of a call that is over: nobody counts its numbers any more."""
        asked = asked_by(challenged.reply)
        trunk = self._trunks[challenged.request.trunk]
        return once_more(challenged.request, challenged.cseq + 1, asked, trunk)


def _key(method: str, call_id: str, cseq: int) -> str:
    return f"trunk {attempt_key(method, call_id, cseq)}"
