"""Session timers (RFC 4028), which end at the gateway on each side: what is offered, agreed and answered.

Towards the core we are an ordinary user agent: we ask for a session that expires, and refresh it if the other side
wants us to.  A page refreshes its own session with us or has none.  What is done when time is up is in refresh.py.
"""

from __future__ import annotations

from typing import Final

from kemi.core.call import actions as act
from kemi.core.call.events import Due, Event, OwnRequestAnswered, UpdateAnswered, WicReply
from kemi.core.call.lifetime.session_record import SessionTimer
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.decimals import number_or
from kemi.core.errors import SipReject
from kemi.core.messages import Message, Reply, Request, Side, parameter

TIMER: Final = "timer"
REFRESHES: Final = ("INVITE", "UPDATE")
"""Methods whose 2xx refreshes a session (RFC 4028 §3)."""
_EARLY_END_S: Final = 32
"""How long before the end of a session its other side hangs up, if that is less than a third of it (RFC 4028 §10)."""


# ---------------------------------------------------------------- towards the core


def offer_to_core(record: CallRecord, settings: CallSettings) -> tuple[str, ...]:
    """Return the lines of an initial INVITE; the answer decides who refreshes (RFC 4028 §7.1)."""
    if not settings.session_expires_s:
        return ()
    min_se_s = max(record.min_se_s, settings.min_se_s)
    return (f"Session-Expires: {max(settings.session_expires_s, min_se_s)}", f"Min-SE: {min_se_s}")


def learn_too_short(record: CallRecord, reply: Reply, settings: CallSettings) -> None:
    """Keep what a 422 to our INVITE wants, where that is more than the INVITE said: as much would get 422 again."""
    wanted = min_se_of(reply)
    if wanted > max(settings.session_expires_s, record.min_se_s, settings.min_se_s):
        record.wanted_se_s = wanted


def request_to_core(record: CallRecord, settings: CallSettings) -> tuple[str, ...]:
    """Return the lines of an UPDATE or re-INVITE to the core: any of them is a refresh (RFC 4028 §7.4)."""
    session = record.ims_session
    if session is None:
        return ()
    refresher = "uac" if session.we_refresh else "uas"
    min_se_s = max(record.min_se_s, settings.min_se_s)
    return (f"Session-Expires: {session.interval_s};refresher={refresher}", f"Min-SE: {min_se_s}")


def answered_by_core(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """Take what a 2xx of the core to our INVITE or UPDATE says: without Session-Expires nothing expires (§7.2).

    Less than the Min-SE that we have said, as 0, would be an end at once, or one refresh after another: that counts.
    """
    record.own_refresh.failures = 0
    asked = _asked(reply)
    if asked is None:
        record.ims_session = None
        return []
    interval_s, refresher = asked
    interval_s = max(interval_s, settings.min_se_s)
    record.ims_session = SessionTimer(interval_s, we_refresh=refresher != "uas")
    return [clock(record)]


def min_se_of(message: Message) -> int:
    """Return the shortest session that a request or a 422 asks for, 0 when it says nothing readable."""
    value = "".join(message.headers("Min-SE")[:1]).partition(";")[0].strip()
    return number_or(0, value)


# ---------------------------------------------------------------- from the core


def asked_by_core(record: CallRecord, request: Request, settings: CallSettings) -> None:
    """Agree on a session with the sender of an INVITE or UPDATE; raise SipReject (422) when it is too short.

    A caller with the extension is asked to refresh: it knows best when it is gone (RFC 4028 §9, table 2).  The sender
    of a refresh that says nothing keeps its part.
    """
    supported = TIMER in request.tokens("Supported") | request.tokens("Require")
    asked = _asked(request)
    if asked is None:
        if not supported or not settings.session_expires_s:
            record.ims_session = None
            return
        asked = max(settings.session_expires_s, min_se_of(request)), ""  # RFC 4028 §9: not below its Min-SE
    interval_s, refresher = asked
    if interval_s < settings.min_se_s:
        if supported:
            raise _too_short(settings)
        interval_s = settings.min_se_s  # a proxy's wish, whose 422 its caller would not understand
    if not refresher and supported and record.ims_session is not None:
        refresher = "uas" if record.ims_session.we_refresh else "uac"
    record.ims_session = SessionTimer(interval_s, we_refresh=not supported or refresher == "uas")
    record.own_refresh.failures = 0


def answer_to_core(record: CallRecord) -> tuple[str, ...]:
    """Return the lines of a 2xx to the core's INVITE or UPDATE (RFC 4028 §9)."""
    session = record.ims_session
    if session is None:
        return ()
    if session.we_refresh:
        return (f"Session-Expires: {session.interval_s};refresher=uas",)
    return (f"Session-Expires: {session.interval_s};refresher=uac", f"Require: {TIMER}")


def refreshed_by_core(
    record: CallRecord, request: Request, settings: CallSettings
) -> tuple[tuple[str, ...], list[act.Action]]:
    """Take an UPDATE or re-INVITE of the core as the refresh it is: lines for its 2xx, and the clock that is set.

    Raises SipReject (422) when it asks for too short a session.
    """
    if record.dialog is not Dialog.CONFIRMED:
        return (), []  # nothing runs before the 2xx to the INVITE, which says what was agreed
    asked_by_core(record, request, settings)
    return answer_to_core(record), core_clock(record)


# ---------------------------------------------------------------- with the page


def asked_by_page(record: CallRecord, request: Request, settings: CallSettings) -> None:
    """Agree on a session with a page that wants one and refreshes it; raise SipReject (422) when it is too short.

    One that wants to be refreshed gets none: we know from its connection whether it is there.
    """
    record.wic_session = None
    asked = _asked(request)
    if asked is None or TIMER not in request.tokens("Supported") | request.tokens("Require"):
        return
    interval_s, refresher = asked
    if refresher == "uas":
        return
    if interval_s < settings.min_se_s:
        raise _too_short(settings)
    record.wic_session = SessionTimer(interval_s, we_refresh=False)


def answer_to_page(record: CallRecord) -> tuple[str, ...]:
    """Return the lines of a 2xx to a page's INVITE or UPDATE."""
    session = record.wic_session
    if session is None:
        return ()
    return (f"Session-Expires: {session.interval_s};refresher=uac", f"Require: {TIMER}")


def refreshed_by_page(
    record: CallRecord, request: Request, settings: CallSettings
) -> tuple[tuple[str, ...], list[act.Action]]:
    """Take an UPDATE or re-INVITE of the page as the refresh it is: lines for its 2xx, and the clock that is set."""
    asked_by_page(record, request, settings)
    return answer_to_page(record), page_clock(record)


def answered_by_page(record: CallRecord, event: Event, settings: CallSettings) -> list[act.Action]:
    """Take a 2xx of the page to an UPDATE or re-INVITE of the core or of ours, which refreshes its session (RFC 4028
    §7.2): JsSIP begins to count anew with each.

    Nothing was asked there, so whoever answers with Session-Expires refreshes itself (§9); without it nothing expires.
    A session that was not agreed on before does not begin so.
    """
    value = _said_by_page(event)
    session = record.wic_session
    if value is None or session is None:
        return []
    asked = _interval(value)
    if asked is None or asked[1] == "uac":
        record.wic_session = None
        return []
    session.interval_s = max(asked[0], settings.min_se_s)
    return page_clock(record)


def _said_by_page(event: Event) -> str | None:
    """Return Session-Expires of a page's 2xx to a refresh, "" without it; None: the event is something else."""
    if isinstance(event, UpdateAnswered):
        return event.session_expires if 200 <= event.status < 300 else None
    reply = event.reply if isinstance(event, WicReply | OwnRequestAnswered) else None
    if reply is None or reply.side is not Side.WIC or reply.method not in REFRESHES:
        return None
    if not 200 <= reply.status < 300:
        return None
    return "".join(reply.headers("Session-Expires")[:1])


def page_clock(record: CallRecord) -> list[act.Action]:
    """Wait for the page's next refresh."""
    if record.wic_session is None or record.dialog is not Dialog.CONFIRMED:
        return []
    return [act.Schedule(record.key, Due.PAGE_SESSION_EXPIRED, _until_the_end(record.wic_session.interval_s))]


# ---------------------------------------------------------------- common


def clocks(record: CallRecord) -> list[act.Action]:
    """Begin to wait on both sides: the call is answered."""
    return [*core_clock(record), *page_clock(record)]


def core_clock(record: CallRecord) -> list[act.Action]:
    """Wait for the core's next refresh, or for ours."""
    if record.ims_session is None or record.dialog is not Dialog.CONFIRMED:
        return []
    return [clock(record)]


def clock(record: CallRecord) -> act.Schedule:
    """Wait for our next refresh, or for the other side's."""
    session = record.ims_session
    if session is None:
        raise ValueError("no session that expires")
    if session.we_refresh:
        return act.Schedule(record.key, Due.SESSION_REFRESH, session.interval_s / 2)
    return act.Schedule(record.key, Due.SESSION_EXPIRED, _until_the_end(session.interval_s))


def time_for_retries_s(session: SessionTimer) -> float:
    """Return how long a refused refresh may be repeated before the session has to be ended."""
    return _until_the_end(session.interval_s) - session.interval_s / 2


def _until_the_end(interval_s: int) -> float:
    return interval_s - min(float(_EARLY_END_S), interval_s / 3)


def _asked(message: Message) -> tuple[int, str] | None:
    """Return interval in seconds and refresher ("uac", "uas" or "") of Session-Expires; None without it."""
    return _interval("".join(message.headers("Session-Expires")[:1]))


def _interval(value: str) -> tuple[int, str] | None:
    seconds = number_or(None, value.partition(";")[0].strip())
    if seconds is None:
        return None
    return seconds, (parameter(value, "refresher") or "").lower()


def _too_short(settings: CallSettings) -> SipReject:
    return SipReject(
        "the session would expire too soon",
        status=422,
        reason_phrase="Session Interval Too Small",
        lines=(f"Min-SE: {settings.min_se_s}",),
    )
