"""DTMF of a running call: the page's INFO becomes telephone-events or tones, the far end's events become INFO.

The relay can play digits once it is told to (``digits_armed``), with the first one: until then it passes audio as it is
where both sides speak one codec.

Where a far end says that it wants INFO (Recv-Info: infoDtmf, RFC 6086 §5.2), the page's passes untouched and nothing
is played; never both.  A page that says so gets the far end's digits as INFO and no telephone-events.

Which body a page gets: application/dtmf-relay, which holds the duration and is what every client reads; the package's
own application/session-info only where Accept names that one and not the other.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import exchange
from kemi.core.call.errands import run_errands
from kemi.core.call.events import Continuation, DigitReceived, DigitsPlayed, MediaFailed, PageSentEvents
from kemi.core.call.in_dialog.common import NO_DIALOG
from kemi.core.call.media.running import renewal
from kemi.core.call.media.session import passes, terms_of
from kemi.core.call.own_request import own_request_to_wic
from kemi.core.call.record import CallRecord, Medium
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog, Media
from kemi.core.dtmf import (
    PACKAGE,
    RELAY,
    SESSION_INFO,
    TYPES,
    KeyPresses,
    duration_of_event,
    key_press_to_body,
    key_presses_from_body,
    type_of,
)
from kemi.core.errors import RemoteProtocolError
from kemi.core.messages import Message, Reply, Request, Side
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text

_EVENTS: Final = "telephone-event"
_NO_SPEECH: Final = frozenset({_EVENTS, "cn"})
_OPUS_CLOCK_HZ: Final = 48000
ACCEPT: Final = f"Accept: {', '.join(TYPES)}"


def learn(record: CallRecord, message: Message) -> None:
    """Remember what one side says it wants as INFO; a message that says nothing changes nothing (RFC 6086 §5.2.1)."""
    values = message.headers("Recv-Info")
    if not values:
        return
    wanted = PACKAGE in {name.partition(";")[0].strip() for name in message.tokens("Recv-Info")}
    if message.side is Side.WIC:
        accepted = {type_of(name) for name in message.tokens("Accept")}
        kind = SESSION_INFO if SESSION_INFO in accepted and RELAY not in accepted else RELAY
        record.wic_takes_digits = kind if wanted else ""
        return
    leg = record.legs.get(message.to_tag if isinstance(message, Reply) else message.from_tag)
    if leg is not None:
        leg.takes_digits = wanted


def packages_for_page(message: Message) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names to remove from a message on its way to the page and lines to add, so that it may send digits as
    infoDtmf whatever the far end takes (RFC 6086 §5.2.2)."""
    values = message.headers("Recv-Info")
    if PACKAGE in message.tokens("Recv-Info"):
        return (), ()
    others = [name.strip() for value in values for name in value.split(",") if name.strip()]
    return ("Recv-Info",), (f"Recv-Info: {', '.join(['infoDtmf', *others])}",)


def withhold(record: CallRecord) -> list[act.Action]:
    """Keep telephone-events from a page that gets INFO, once."""
    if record.digits_withheld or not record.wic_takes_digits or _audio(record) is None:
        return []
    if record.media_state is not Media.CONNECTED or record.dialog is not Dialog.CONFIRMED:
        return []
    record.digits_withheld = True
    return [act.WithholdDigits(record.key, record.node)]


def is_ours(record: CallRecord, request: Request) -> bool:
    """Whether an INFO of the page holds digits that the far end does not want as INFO."""
    if request.method != "INFO":
        return False
    packages = [name.partition(";")[0].strip() for name in request.tokens("Info-Package")]
    digits = packages == [PACKAGE] if packages else _type_of(request) in TYPES[:2]
    leg = record.legs.get(record.current_tag)
    return digits and not (leg is not None and leg.takes_digits)


def on_info(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """Play what the page has pressed, then answer; the relay keeps the order."""
    if record.ended:
        return [NO_DIALOG]
    medium = _audio(record)
    if medium is None:
        return [_refusal(request, settings, "the call has no audio")]
    if _type_of(request) not in TYPES:
        why = headers.explanation("the package infoDtmf has another type", settings.realm)
        return [act.SendReply(415, "Unsupported Media Type", (ACCEPT, *why))]
    try:
        pressed = key_presses_from_body(_type_of(request), request.body)
    except RemoteProtocolError as error:
        return [act.SendReply(400, "Bad Request", headers.explanation_of(error, settings.realm))]
    if record.media_state is not Media.CONNECTED or not (medium.ims_answer and record.ims_description):
        return [_not_now("nobody there hears the page yet", settings)]
    if not _is_listened_to(record, medium):
        return [
            _not_now(
                "the call is on hold, or only an announcement is heard: digits would come later", settings
            )
        ]
    return _play(record, medium, pressed, settings)


def _play(
    record: CallRecord, medium: Medium, pressed: KeyPresses, settings: CallSettings
) -> list[act.Action]:
    """Have the relay play digits, and told before to be ready for them."""
    event_clock_hz, tone_ratio = _way_of(record, medium)
    spoilt = record.page_events and event_clock_hz is not None
    if spoilt and passes(medium):
        # rtpengine takes what it is to play for telephone-events of the page then, and loses it
        return [_not_now("the page has sent telephone-events itself", settings)]
    then = Continuation(_played, _not_played)
    play = act.PlayDigits(
        record.key, record.node, pressed.digits, pressed.duration_ms, event_clock_hz, tone_ratio, then
    )
    if terms_of(record).digits and not spoilt:
        return [play]
    if exchange.is_open(record):  # the relay may be between two descriptions
        goes_without = event_clock_hz is not None and not spoilt and not passes(medium)
        return [play if goes_without else _not_now("the session is being changed", settings)]
    not_ready = partial(_not_ready, record.digits_armed, record.page_events)
    record.digits_armed, record.page_events = True, False
    play = replace(play, settle=event_clock_hz is None)
    ready = replace(renewal(record, [medium]), new_encoder=spoilt)
    return run_errands(record, [ready], lambda *_: [play], not_ready, settings)


def on_page_sent(record: CallRecord, _event: PageSentEvents, settings: CallSettings) -> list[act.Action]:
    """What is played for the page from now on would be too short, or nothing, with most relays."""
    record.page_events = record.node not in settings.nodes_with_digits_after_events
    return []


def on_received(record: CallRecord, event: DigitReceived, settings: CallSettings) -> list[act.Action]:
    """Tell who listens, and a page that wants to hear of it, which key the far end has pressed."""
    medium = _audio(record)
    kind = record.wic_takes_digits
    if record.dialog is not Dialog.CONFIRMED or medium is None:
        return []
    clock_hz = _way_of(record, medium)[0] or 8000
    duration_ms = duration_of_event(event.duration_ms, clock_hz)
    told = act.TellDigit(record.call_id, record.owner, event.digit, duration_ms)
    if not kind:
        return [told]
    body = key_press_to_body(kind, event.digit, duration_ms)
    package = ("Info-Package: infoDtmf", "Content-Disposition: Info-Package", f"Content-Type: {kind}")
    cseq = record.next_gateway_cseq()
    return [own_request_to_wic(record, settings, "INFO", cseq, *package, body=body), told]


def _type_of(request: Request) -> str:
    """Return the type of the body, also of an empty one."""
    return type_of(request.content_type or "".join(request.headers("Content-Type")[:1]))


def _refusal(request: Request, settings: CallSettings, detail: str) -> act.SendReply:
    """Refuse digits that nothing can carry: the package is not taken in this call (RFC 6086 §4.2.2)."""
    why = headers.explanation(detail, settings.realm)
    if request.headers("Info-Package"):
        return act.SendReply(469, "Bad Info Package", ("Recv-Info:", *why))
    return act.SendReply(415, "Unsupported Media Type", why)


def _audio(record: CallRecord) -> Medium | None:
    medium = record.medium("audio")
    return medium if medium is not None and medium.active else None


def _is_listened_to(record: CallRecord, medium: Medium) -> bool:
    """Whether the relay's gate lets the page be heard: what is played behind a closed one is sent when it opens, into
    whatever menu is there then, or never."""
    early = dict(zip((one.kind for one in record.media), record.early_gates, strict=False))
    return (
        medium.ims_direction.receives
        and medium.wic_direction.sends
        and Direction(early.get(medium.kind, Direction.SENDRECV)).receives
    )


def _way_of(record: CallRecord, medium: Medium) -> tuple[int | None, int]:
    """Return the clock of telephone-events to the far end, None for tones; and by how much the page's clock is faster.

    rtpengine sends the first codec that was answered, and events only at the clock of that codec.
    """
    far = sdp_from_text(medium.ims_answer).media[0].codecs
    ours = sdp_from_text(record.ims_description).media[medium.ims_line].codecs
    answered, offered = sorted((far, ours), key=len)
    known = {(codec.name, codec.clock_rate) for codec in offered}
    agreed = [codec for codec in answered if (codec.name, codec.clock_rate) in known]
    spoken = next((codec for codec in agreed if codec.name not in _NO_SPEECH), None)
    if spoken is None:
        return None, 1
    if any(codec.name == _EVENTS and codec.clock_rate == spoken.clock_rate for codec in agreed):
        return spoken.clock_rate, 1
    own = sdp_from_text(medium.wic_offer).media[0].codecs if medium.wic_offer else ()
    clock_hz = next((codec.clock_rate for codec in own if codec.name not in _NO_SPEECH), _OPUS_CLOCK_HZ)
    return None, max(1, clock_hz // spoken.clock_rate)


def _played(_record: CallRecord, _event: DigitsPlayed, _settings: CallSettings) -> list[act.Action]:
    return [act.SendReply(200, "OK")]


def _not_now(detail: str, settings: CallSettings) -> act.SendReply:
    return act.SendReply(480, "Temporarily Unavailable", headers.explanation(detail, settings.realm))


def _not_played(_record: CallRecord, event: MediaFailed, settings: CallSettings) -> list[act.Action]:
    why = headers.explanation_of(event.error, settings.realm)
    return [act.SendReply(480, "Temporarily Unavailable", why)]


def _not_ready(
    was_armed: bool, had_events: bool, record: CallRecord, event: MediaFailed, settings: CallSettings
) -> list[act.Action]:
    """The relay is as it was before, and the next digit asks it again; it may be another one by now."""
    record.digits_armed = record.digits_armed and was_armed
    record.page_events = record.page_events or had_events
    return _not_played(record, event, settings)
