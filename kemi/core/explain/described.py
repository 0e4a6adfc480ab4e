"""Verdicts on session descriptions: codecs, lines, directions and digits."""

from __future__ import annotations

from typing import Final

from kemi.core.dtmf import TYPES, type_of
from kemi.core.explain.reading import CORE, PAGE, Reading, Sip
from kemi.core.explain.rules import Found, Rule, found
from kemi.core.explain.verdict import Gravity
from kemi.core.sdp.model import Direction, MediaDescription

_NOT_ACCEPTABLE: Final = frozenset({488, 606})
_NO_CODEC: Final = ("none of the codecs", "names no codec")
_NAMES: Final = {PAGE: "the page", CORE: "the far end"}
_OF_ONE_SIDE: Final = {"own_offer_misunderstood": _NAMES[PAGE], "late_answer_refused": _NAMES[CORE]}
"""Decisions on an answer that cannot be used -> whose it is, whoever called."""
_AUXILIARY: Final = frozenset({"telephone-event", "cn", "red", "rtx", "ulpfec", "flexfec-03"})


def codecs_of(line: MediaDescription | None) -> list[str]:
    """Return the names of a line's codecs, without auxiliary ones."""
    if line is None:
        return []
    named = (codec.encoding.partition("/")[0] for codec in line.codecs)
    return list(dict.fromkeys(name for name in named if name and name.lower() not in _AUXILIARY))


def _offered(message: Sip | None, kind: str = "audio") -> str:
    names = codecs_of(message.line(kind)) if message is not None else []
    return f"{kind} offered: {', '.join(names)}" if names else ""


def direction_of(message: Sip, kind: str = "audio") -> Direction | None:
    """Return who sends by a description, all its lines of a kind together; None: it has none."""
    sdp = message.sdp
    lines = [] if sdp is None else [line for line in sdp.media if line.kind == kind and not line.rejected]
    if not lines:
        return None
    return Direction.of(
        sends=any(line.direction.sends for line in lines),
        receives=any(line.direction.receives for line in lines),
    )


def _no_codec(call: Reading) -> Found | None:
    if any(words in call.detail for words in _NO_CODEC):
        return found(
            call.quoted(call.told), _offered(call.invite), call.detail, who="the gateway and the caller"
        )
    heard = call.heard
    if heard is None or heard.status not in _NOT_ACCEPTABLE:
        return None
    sent = Reading.last(call.sent)
    return found(call.quoted(heard), _offered(sent), _offered(sent, "video"), who=_NAMES[call.callee])


def _description_refused(call: Reading) -> Found | None:
    told = call.told
    if told is None or told.status not in (415, 488) or call.heard is not None or _no_codec(call) is not None:
        return None
    if call.detail.startswith("our UPDATE") or _answer_unusable(call) is not None:
        return None
    return found(call.quoted(told), who=_NAMES[call.caller], detail=call.detail or told.reason_phrase)


def _answer_unusable(call: Reading) -> Found | None:
    decision = call.decision("core_answer_unusable", *_OF_ONE_SIDE)
    told = call.told
    said = any(one.has_sdp for one in call.messages(call.callee, "INVITE", incoming=True))
    bad = told is not None and call.heard is None and bool(told.warning)
    bad = bad and told is not None and (told.status == 502 or (told.status == 488 and said))
    if decision is None and not bad:
        return None
    if decision is not None and not (call.failed or decision.why == call.trace.why):
        return None  # inside a call it comes to nothing, and the call goes on
    detail = decision.why if decision is not None else call.detail
    who = _NAMES[call.callee] if decision is None else _OF_ONE_SIDE.get(decision.name, _NAMES[call.callee])
    return found(call.shown(decision), call.quoted(told), who=who, detail=detail or "it cannot be read")


def _video_dropped(call: Reading) -> Found | None:
    """The caller offered video and the callee was offered none."""
    offered = call.invite.line("video") if call.invite is not None else None
    if offered is None or offered.rejected or not call.sent:
        return None
    passed = [one.line("video") for one in call.sent if one.has_sdp]
    if not passed or any(line is not None and not line.rejected for line in passed):
        return None
    return found(
        _offered(call.invite, "video"), f"{call.quoted(call.sent[-1])} without video", who=_NAMES[call.caller]
    )


def _video_refused(call: Reading) -> Found | None:
    """The callee, though offered video, refused it."""
    if not call.sent or not call.answered:
        return None
    offered = [line for one in call.sent if (line := one.line("video")) is not None and not line.rejected]
    answers = [
        one
        for one in call.messages(call.callee, "INVITE", incoming=True, status=range(180, 300))
        if one.has_sdp
    ]
    line = answers[-1].line("video") if answers else None
    if not offered or line is None or not line.rejected:
        return None
    return found(
        _offered(call.sent[-1], "video"),
        f"{call.quoted(answers[-1])} with video port 0",
        who=_NAMES[call.callee],
    )


def _lines_left_out(call: Reading) -> Found | None:
    """Lines of the page's offer that are neither its audio nor its video."""
    invite = call.invite
    sdp = invite.sdp if invite is not None and call.from_page else None
    if sdp is None or not call.sent:
        return None
    answer = next((one.sdp for one in call.messages(PAGE, "INVITE", incoming=False) if one.has_sdp), None)
    if answer is None:
        return None
    left = [
        f"line {number}: {offered.kind} {offered.proto}, answered with port 0"
        for number, (offered, answered) in enumerate(zip(sdp.media, answer.media, strict=False), 1)
        if answered.rejected
        and not offered.rejected
        and not (offered.kind == "video" and _video_dropped(call))
    ]
    return found(*left, number=str(len(left))) if left else None


def _digits_in_band(call: Reading) -> Found | None:
    """Digits were pressed, and the far end has no telephone-event."""
    line = call.last_line(CORE, "audio", incoming=True)
    pressed = [one for one in call.relays if one.name == "play DTMF"]
    asked = [one for one in call.requests(PAGE, "INFO", incoming=True) if _is_digit(one)]
    if line is None or not (pressed or asked):
        return None
    if any(codec.encoding.lower().startswith("telephone-event") for codec in line.codecs):
        return None
    shown = [call.shown(one) for one in pressed[:3]] or [call.quoted(one) for one in asked[:3]]
    return found(*shown, f"far end's last audio line: {', '.join(codecs_of(line))}, no telephone-event")


def _is_digit(info: Sip) -> bool:
    """Whether an INFO has a digit; others ask for a picture, or bring ICE candidates."""
    return any(type_of(kind) in TYPES for kind in info.headers.get("content-type", ()))


def _transcoded(call: Reading) -> Found | None:
    wic, ims = call.leg("audio", "wic"), call.leg("audio", "ims")
    one, other = (str((leg or {}).get("codec") or "") for leg in (wic, ims))
    if not one or not other or one.partition("/")[0].lower() == other.partition("/")[0].lower():
        return None
    return found(
        f"codec of the page {one}, of the far end {other}",
        one=one.partition("/")[0],
        other=other.partition("/")[0],
    )


def _inactive_from_the_start(call: Reading) -> Found | None:
    """The answer says that nobody sends, and nothing changed that."""
    if not call.answered or not call.from_page:
        return None
    said = [one for one in call.messages(CORE, incoming=True) if one.has_sdp and one.status < 300]
    directions = [direction_of(one) for one in said]
    if not directions or any(one is not Direction.INACTIVE for one in directions):
        return None
    return found(*[f"{call.quoted(one)}: audio inactive" for one in said])


def _held(call: Reading) -> Found | None:
    if not call.answered:
        return None
    for side in (PAGE, CORE):
        offers = [
            one
            for one in call.messages(side, incoming=True)
            if one.status == 0 and one.method in ("INVITE", "UPDATE") and one.has_sdp
            and one.entry.at > call.trace.answered_at
        ]  # fmt: skip
        direction = direction_of(offers[-1]) if offers else None
        if direction is not None and not (direction.sends and direction.receives):
            return found(f"{call.quoted(offers[-1])}: audio {direction}", who=_NAMES[side])
    return None


def _one_way(call: Reading) -> Found | None:
    """The page takes part in one direction only, and never asked for more."""
    if not call.answered or _held(call) is not None:
        return None
    for side in (PAGE, CORE):
        said = [one for one in call.messages(side, incoming=True) if one.has_sdp and one.status < 300]
        direction = direction_of(said[-1]) if said else None
        if direction in (Direction.SENDONLY, Direction.RECVONLY):
            what = "sends and does not listen" if direction.sends else "listens and does not send"
            return found(f"{call.quoted(said[-1])}: audio {direction}", who=_NAMES[side], what=what)
    return None


_CAUSE, _TROUBLE, _NOTE = Gravity.CAUSE, Gravity.TROUBLE, Gravity.NOTE

RULES: Final = (
    Rule(
        code="no-common-codec", gravity=_CAUSE, check=_no_codec,
        says="No codec, or no other way to speak, that both have: {who} took nothing of what was offered (488).",
        do="Operator: more codecs in the media profile of this domain or trunk; its Warning may say what is missing.",
    ),
    Rule(
        code="description-refused", gravity=_CAUSE, check=_description_refused,
        says="The session description of {who} cannot be used: {detail}.",
        do="The developer of that side; what the gateway refuses is in docs/flow.md.",
    ),
    Rule(
        code="answer-unusable", gravity=_CAUSE, check=_answer_unusable,
        says="The answer of {who} to the session description cannot be used: {detail}.",
        do="The developer of that side: it answered other lines or formats than it was offered.",
    ),
    Rule(
        code="inactive-from-the-start", gravity=_CAUSE, check=_inactive_from_the_start, needs_all=True,
        says="The far end took the call without sound: its audio is inactive from the beginning.",
        do="Core: whoever answered (an announcement, a conference, a phone on hold) has to offer sound later.",
    ),
    Rule(
        code="digits-without-telephone-event", gravity=_TROUBLE, check=_digits_in_band, needs_all=True,
        says="The far end takes no telephone-event: the page's digits went out as tones, or were lost.",
        do="Core or trunk: offer telephone-event; tones that a codec compresses may not be understood.",
    ),
    Rule(
        code="video-dropped", gravity=_TROUBLE, check=_video_dropped,
        says="The video of {who} was left out: none of its codecs is one that the other side could have.",
        do="The developer of that side: offer H.264 (constrained baseline) or VP8.",
    ),
    Rule(
        code="video-declined", gravity=_NOTE, check=_video_refused,
        says="The call has no video: {who} declined it.",
        do="Nobody: it may have no camera, or none of the offered codecs.",
    ),
    Rule(
        code="lines-left-out", gravity=_NOTE, check=_lines_left_out,
        says="Lines of the page's offer are of no use here and were refused: {number}.",
        do="The page's developer: data channels and further lines do not cross a telephone network.",
    ),
    Rule(
        code="held", gravity=_NOTE, check=_held, needs_all=True,
        says="The call was on hold at the end: {who} had put it there.",
        do="Nobody; there is no sound on hold.",
    ),
    Rule(
        code="one-way-session", gravity=_NOTE, check=_one_way, needs_all=True,
        says="By its session description {who} {what}.",
        do="Nobody, if that is wanted.",
    ),
    Rule(
        code="transcoded", gravity=_NOTE, check=_transcoded,
        says="The relay transcodes: {one} of the page, {other} of the far end.",
        do="Nobody; a codec that both have would cost no CPU and sound better.",
    ),
)  # fmt: skip
