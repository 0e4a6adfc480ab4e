"""How an answered call ends: who says goodbye to whom, and what is given back."""

from __future__ import annotations

import logging
from typing import Final

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call.events import Due
from kemi.core.call.from_page.setup import release_media
from kemi.core.call.own_request import own_request_to_ims, own_request_to_wic
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import DialogEvent
from kemi.core.messages import Reply, Side

PAGE_KNOWS_NONE: Final = "the page does not know the call any more"
SESSION_LOST: Final = "the far end has lost the session"
ENDED: Final = "call_ended"
FORGET_AFTER_S = 34.0
"""How long a hung-up call's record waits for the far end's answer to the BYE: a little over 64*T1."""


def hang_up(
    record: CallRecord, by: str, *goodbye: act.Action, event: DialogEvent = DialogEvent.BYE, why: str = ""
) -> list[act.Action]:
    """End an answered call.  The goodbye is sent before the relay is asked, which may be slow; the wake-up is set
    before the goodbye, whose answer takes it away again and may come at once.  ``why`` is for the log and the history,
    where ``by`` and what has just happened do not say it."""
    record.move_dialog(event)
    return [
        act.Schedule(record.key, Due.FORGET, FORGET_AFTER_S),
        *goodbye,
        act.Note(ENDED, logging.INFO, {"by": by} | ({"why": why} if why else {})),
        *release_media(record),
    ]


def goodbye_to_core(record: CallRecord, reason: str) -> list[act.Action]:
    """Return our BYE to the core, with a Reason line, after the ACK that the page has left out."""
    goodbyes: list[act.Action] = []
    if record.incoming is None and not record.acknowledged:
        goodbyes.append(own_request_to_ims(record, record.confirmed_tag, "ACK", record.ims_invite_cseq))
    bye = own_request_to_ims(record, record.confirmed_tag, "BYE", record.next_ims_cseq(), reason)
    return [*goodbyes, bye]


def answered_too_late(key: str, reply: Reply) -> list[act.Action]:
    """A call is over and forgotten while the relay was told what a response says: it goes no further.

    Untranslated, a 2xx would open a dialog that its receiver knows nothing of.  A page that waits for it has its
    request refused instead.
    """
    if reply.side is Side.WIC or reply.status < 200:
        return [act.DropReply()]
    over = (
        (487, "Request Terminated") if reply.method == "INVITE" else (481, "Call/Transaction Does Not Exist")
    )
    return [act.DropReply(), act.AnswerForCore(key, *over, headers.response_of_ims(reply, ""))]


def hang_up_both(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """End an answered call for want of media, towards both sides."""
    return hang_up_by_gateway(record, settings, 488, record.doomed, reach_page=True)


def hang_up_by_gateway(
    record: CallRecord, settings: CallSettings, cause: int, why: str, *, reach_page: bool
) -> list[act.Action]:
    """End an answered call ourselves, with a Reason line; the page hears of it if its connection stands."""
    reason = f'Reason: SIP;cause={cause};text="{headers.quotable(why)[:80]}"'
    goodbyes = goodbye_to_core(record, reason)
    if reach_page:
        goodbyes.append(own_request_to_wic(record, settings, "BYE", record.next_gateway_cseq(), reason))
    return [*hang_up(record, "gateway", *goodbyes, why=why), act.ForgetCall(record.key)]
