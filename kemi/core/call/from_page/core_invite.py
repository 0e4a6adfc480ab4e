"""The INVITE of a page's call on its way out: to the home network, or to a trunk."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call.from_page import credentials, early_media
from kemi.core.call.from_page.outbound import Outbound
from kemi.core.call.lifetime import session_timer
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import OfferAnswerEvent
from kemi.core.messages import uri_from_address
from kemi.core.trunk.diversion import lines_for_trunk
from kemi.core.trunk.numbers import shown, trunk_uri

_SAID_ANEW: Final = ("Contact", "Route", "Supported", "Require", "Allow", "Priority")
_MOST_LONGER_SESSIONS: Final = 3
"""Each proxy on the way may have a Min-SE of its own."""
_OF_EXTENSIONS: Final = ("Supported:", "Require:", "Allow:", "Priority:", "Resource-Priority:")
"""What of the caller's lines is not for an IMS core alone."""


def forward_invite(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Send the INVITE out; where it may go by trunks, the one that has room for it is found first."""
    record.move_ims(OfferAnswerEvent.OFFER_SENT)
    record.ims_description, record.ims_offer = record.ims_offer, ""
    record.correctable = record.needs_update and record.medium("video") is not None
    record.update_offer = ""
    if record.outbound is not None:
        return [choose_trunk(record, record.outbound)]
    return [invite(record, settings)]


def choose_trunk(record: CallRecord, outbound: Outbound) -> act.ChooseTrunk:
    """Find the next trunk; no limit of a trunk keeps an emergency call from it."""
    return act.ChooseTrunk(record.key, tuple(outbound.left), unlimited=outbound.is_emergency)


def is_worth_a_longer_session(record: CallRecord, settings: CallSettings) -> bool:
    """Whether an INVITE the core found too short in its session can be sent again."""
    asked_for_more = bool(record.wanted_se_s and settings.session_expires_s)
    tried = record.longer_sessions >= _MOST_LONGER_SESSIONS
    return asked_for_more and not (tried or record.legs or record.cancelled)


def try_longer_session(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """The core found our session too short: send the INVITE again with what it wants (RFC 4028 §7.3)."""
    record.min_se_s, record.wanted_se_s = record.wanted_se_s, 0
    record.longer_sessions += 1
    if record.outbound is not None:
        record.outbound.answered = (
            0  # the nonce was good, and may be so once only: its successor is answered, too
        )
    return again(record, settings)


def again(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Send the INVITE once more to where the call is now, as a new request (RFC 3261 §8.1.3.5)."""
    number_anew(record)
    return [replace(invite(record, settings), again=True)]


def number_anew(record: CallRecord) -> int:
    """Give the INVITE the number it is sent under next, which tells late responses to the former one; return it."""
    record.ims_invite_cseq = record.next_ims_cseq()
    record.last_invite = (record.invite_cseq, record.ims_invite_cseq)
    return record.ims_invite_cseq


def invite(record: CallRecord, settings: CallSettings) -> act.ForwardInvite:
    """Return how the INVITE goes to where the call is now."""
    trunk = record.trunk
    edits = _to_home(record, settings) if trunk is None else _to_trunk(record, trunk, settings)
    timers = settings.ims_response_s, settings.ims_answer_s
    return act.ForwardInvite(edits, *timers, resumed=record.reliable_answer)


def _to_home(record: CallRecord, settings: CallSettings) -> act.MessageEdits:
    return act.MessageEdits(
        request_uri=record.request_uri,
        next_hop=uri_from_address(record.service_route[0]) if record.service_route else None,
        from_value=record.caller_from or None,
        to_tag="",
        cseq=_cseq(record),
        remove=(*_SAID_ANEW, *boundary.not_passed(record)),
        insert=(
            *(f"Route: {route}" for route in record.service_route),
            boundary.contact_for_core(record, settings),
            early_media.SUPPORTED,
            *session_timer.offer_to_core(record, settings),
            *(f"P-Asserted-Identity: {identity}" for identity in record.asserted_identity),
            *record.caller_lines,
            *boundary.every_request(record, settings),
        ),
        body=record.ims_description,
    )


def _to_trunk(record: CallRecord, outbound: Outbound, settings: CallSettings) -> act.MessageEdits:
    trunk = settings.trunks[outbound.trunk]
    uri = trunk_uri(outbound.number, trunk, outbound.parameters if trunk.portability else ())
    caller = shown(outbound.caller, trunk, withheld=outbound.withheld)
    return act.MessageEdits(
        request_uri=uri,
        next_hop=outbound.hops[0],
        from_value=f"{outbound.from_value};tag={record.wic_tag}",
        to_value=outbound.to_value,
        cseq=_cseq(record),
        remove=(*_SAID_ANEW, *boundary.not_passed(record)),
        insert=(
            boundary.contact_for_core(record, settings),
            *session_timer.offer_to_core(record, settings),
            *caller.lines,
            *lines_for_trunk(outbound.diversions, trunk, outbound.to_value[1:-1]),
            *(line for line in record.caller_lines if line.startswith(_OF_EXTENSIONS)),
            *credentials.lines(record, "INVITE", uri, record.ims_invite_cseq, settings),
        ),
        body=record.ims_description,
    )


def _cseq(record: CallRecord) -> int | None:
    return record.ims_invite_cseq if record.ims_invite_cseq != record.invite_cseq else None
