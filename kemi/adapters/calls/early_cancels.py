"""A CANCEL of the core that overtakes its INVITE, which another worker has in hand already but has no transaction for.

Nobody sends it once more: it is answered 481, as one for nothing, and the INVITE would ring until nobody answers.  So
it is kept for a moment, and whoever has begun the INVITE sends it to our own socket, where tm finds what it is for.
Either the CANCEL's worker sees the transaction, or the INVITE's worker sees the CANCEL: each writes before it looks.
"""

from __future__ import annotations

import logging

from kemi.adapters.kamailio import ksr, transactions
from kemi.adapters.log import log_event
from kemi.core.messages import Side
from kemi.settings import SipSettings
from kemi.state.table import Table


class EarlyCancels:
    """The part of a worker process."""

    def __init__(self, sip: SipSettings, table: Table) -> None:
        """``table``: branch of an INVITE -> its CANCEL, as it came."""
        self._own_uri = f"sip:{sip.address}:{sip.port}"
        self._table = table

    def is_for_something(self) -> bool:
        """Whether tm knows what the current CANCEL is for; one of the core for nothing is kept."""
        if transactions.transaction_state() > 0:
            return True
        branch = ksr.branch()
        if ksr.side() is Side.WIC or not branch:  # a page's messages come one after the other
            return False
        self._table.set(branch, ksr.whole())
        if transactions.transaction_state() <= 0:
            return False
        self._table.remove(branch)
        return True

    def carry_out(self, branch: str) -> None:
        """The INVITE of this branch has a transaction now: send the CANCEL that was faster, if there is one."""
        cancel = self._table.get(branch)
        if cancel is None:
            return
        self._table.remove(branch)
        log_event(logging.INFO, "cancel_overtook", call_id=ksr.call_id())
        transactions.send_text_to_ourselves(self._own_uri, cancel)
