"""The gateway registers at a trunk (RFC 3261 §10.2, SIPconnect 2.0 §6): a table, and what each REGISTER says.

| state | event | next |
|---|---|---|
| idle, registered, waiting | due | asking |
| asking | granted | registered: asked again before it runs out |
| asking | challenged | asking, at once; waiting where the password was refused |
| asking | too_brief | asking, at once, for as long as the trunk wants (423) |
| asking | refused | waiting: a longer time, nothing will be otherwise soon |
| asking | unreachable | asking at the next next hop that may be asked, at once; waiting after the last one |
| any but gone | leave | leaving: REGISTER with Expires 0; gone where there is nothing to leave |
| leaving | challenged | leaving, at once |
| leaving | granted, refused, unreachable, too_brief | gone |
| gone | come_back | idle |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from kemi.core.decimals import number_or, retry_after_or
from kemi.core.errors import LocalProtocolError, RemoteProtocolError
from kemi.core.messages import addresses_from_headers, parameter, uri_from_address
from kemi.core.pace import is_early
from kemi.core.trunk.digest import Challenge, Credentials, authorization, challenge_from_values
from kemi.core.trunk.health import DEAD_ANSWERS
from kemi.core.trunk.trunk import Trunk

REFRESH_BEFORE_S: Final = 60.0
"""A registration is renewed so long before its end, or half-way where it is a short one."""
RETRY_S: Final = 5.0
"""After the first round in which no next hop answered; twice as long after each further one."""
REFUSED_RETRY_S: Final = 60.0
"""After a refusal: a wrong password tried often locks the account."""
MOST_RETRY_S: Final = 1800.0
"""RFC 5626 §4.5."""
_USER_SIGNS: Final = "-_.!~*'()&=+$,;?/"
"""Beside letters and digits, what the user part of a URI has unescaped (RFC 3261 §25.1)."""
_MOST_CHALLENGES: Final = 4
"""In a row, before somebody who calls every nonce stale is not believed any more."""


class State(StrEnum):
    """Where a registration is."""

    IDLE = "idle"
    ASKING = "asking"
    REGISTERED = "registered"
    WAITING = "waiting"
    LEAVING = "leaving"
    GONE = "gone"


class Event(StrEnum):
    """What happens to it."""

    DUE = "due"
    GRANTED = "granted"
    CHALLENGED = "challenged"
    TOO_BRIEF = "too_brief"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    LEAVE = "leave"
    COME_BACK = "come_back"


_BEFORE: Final = (State.IDLE, State.REGISTERED, State.WAITING)
_ENDS: Final = (Event.GRANTED, Event.REFUSED, Event.UNREACHABLE, Event.TOO_BRIEF)
TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = {
    **{(state, Event.DUE): State.ASKING for state in _BEFORE},
    (State.ASKING, Event.GRANTED): State.REGISTERED,
    (State.ASKING, Event.CHALLENGED): State.ASKING,
    (State.ASKING, Event.TOO_BRIEF): State.ASKING,
    (State.ASKING, Event.REFUSED): State.WAITING,
    (State.ASKING, Event.UNREACHABLE): State.WAITING,
    **{(state, Event.LEAVE): State.LEAVING for state in (*_BEFORE, State.ASKING)},
    (State.LEAVING, Event.CHALLENGED): State.LEAVING,
    **{(State.LEAVING, event): State.GONE for event in _ENDS},
    (State.GONE, Event.COME_BACK): State.IDLE,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A final response to a REGISTER or OPTIONS of ours; values of header fields as they came."""

    status: int
    """0: nobody answered."""
    challenges: list[str] = field(default_factory=list)
    contacts: list[str] = field(default_factory=list)
    expires: str = ""
    min_expires: str = ""
    retry_after: str = ""

    @property
    def retry_after_s(self) -> float:
        """Seconds that Retry-After names (RFC 3261 §20.33), 0.0 for none."""
        return float(retry_after_or(0, self.retry_after))


@dataclass(slots=True)
class Registration:
    """Our registration at one trunk.  Times are seconds since the epoch; 0.0: not (yet)."""

    call_id: str
    from_tag: str
    expires_s: int
    """How long we ask for."""
    state: State = State.IDLE
    since: float = 0.0
    """Of its state."""
    until: float = 0.0
    """Until when the trunk knows us."""
    due_at: float = 0.0
    wait_s: float = 0.0
    """How long that was when it was set."""
    cseq: int = 0
    hop: int = 0
    """Which next hop we are at."""
    tried: int = 0
    """Next hops that failed in this round, or were left alone."""
    not_before: dict[int, float] = field(default_factory=dict)
    """Next hop -> when it may be asked again, of those that have said (RFC 3261 §20.33)."""
    rounds: int = 0
    """In which nobody answered, in a row."""
    refusals: int = 0
    challenge: Challenge | None = None
    proxy: bool = False
    """It was a proxy's (407)."""
    nonce_count: int = 0
    answered: int = 0
    """Challenges answered since the last other response."""
    why: str = ""
    """What went wrong last; "" while all is well."""


@dataclass(frozen=True, slots=True)
class Register:
    """One REGISTER of ours."""

    uri: str
    next_hop: str
    cseq: int
    headers: tuple[str, ...]


def begin(trunk: Trunk, call_id: str, from_tag: str, now: float) -> Registration:
    """Return the registration of a trunk, which is due at once."""
    return Registration(call_id, from_tag, trunk.expires_s, since=now, due_at=now)


def _wait(registration: Registration, now: float, wait_s: float) -> None:
    registration.due_at, registration.wait_s = now + wait_s, wait_s


def move(registration: Registration, event: Event, now: float) -> None:
    """Go on to the next state; raise LocalProtocolError where the table has none."""
    following = TRANSITIONS.get((registration.state, event))
    if following is None:
        raise LocalProtocolError(f"a registration that is {registration.state} cannot take {event}")
    if following is not registration.state:
        registration.state, registration.since = following, now


def is_due(registration: Registration, now: float) -> bool:
    """Whether the next REGISTER has to be sent."""
    return registration.state in _BEFORE and not is_early(now, registration.due_at, registration.wait_s)


def due(registration: Registration, now: float) -> None:
    """Begin a round."""
    move(registration, Event.DUE, now)
    registration.tried = registration.answered = 0


def leave(registration: Registration, now: float) -> bool:
    """Begin to de-register; False when there is nothing to leave."""
    if registration.state in (State.LEAVING, State.GONE):
        return False
    known = registration.until > now or registration.state is State.ASKING
    move(registration, Event.LEAVE, now)
    registration.answered = 0
    if not known:
        move(registration, Event.GRANTED, now)
    return known


def come_back(registration: Registration, now: float) -> None:
    """Register again after leaving."""
    move(registration, Event.COME_BACK, now)
    _wait(registration, now, 0.0)


def next_register(registration: Registration, trunk: Trunk, contact: str, cnonce: str) -> Register:
    """Return the next REGISTER and count it; ``contact``: our URI there, ``cnonce``: drawn anew."""
    registration.cseq += 1
    uri, who = f"sip:{trunk.host}", f"<sip:{_user_part(trunk)}@{trunk.host}>"
    expires_s = 0 if registration.state is State.LEAVING else registration.expires_s
    lines = [
        f"From: {who};tag={registration.from_tag}",
        f"To: {who}",
        f"Call-ID: {registration.call_id}",
        f"CSeq: {registration.cseq} REGISTER",
        f"Contact: <{contact}>;expires={expires_s}",
        f"Expires: {expires_s}",
    ]
    if registration.challenge is not None:
        registration.nonce_count += 1
        credentials = Credentials(trunk.user, trunk.password)
        value = authorization(
            registration.challenge,
            credentials,
            "REGISTER",
            uri,
            cnonce=cnonce,
            count=registration.nonce_count,
        )
        lines.append(f"{'Proxy-Authorization' if registration.proxy else 'Authorization'}: {value}")
    return Register(uri, trunk.uris[registration.hop], registration.cseq, tuple(lines))


def _user_part(trunk: Trunk) -> str:
    """Return who we are in our address of record: many carriers' users of digest authentication have a domain, too."""
    return quote(trunk.user.partition("@")[0], safe=_USER_SIGNS)


def answered(
    registration: Registration, trunk: Trunk, answer: Answer, contact: str, now: float, jitter: float
) -> bool:
    """Learn from a final response; True when another REGISTER goes out at once.

    ``jitter``: 0 to 1, spreads what is tried again.
    """
    status = answer.status
    if status in (401, 407):
        return _challenged(registration, answer, now, jitter)
    registration.answered = 0
    if status == 0 or status in DEAD_ANSWERS or status >= 500:
        return _unreachable(registration, trunk, answer, now, jitter)
    if status == 423 and registration.state is State.ASKING:
        wanted = number_or(0, answer.min_expires.strip())
        if wanted > registration.expires_s:
            registration.expires_s = wanted
            move(registration, Event.TOO_BRIEF, now)
            return True
    granted_s = granted(answer, contact, registration.expires_s)
    if registration.state is State.LEAVING:
        registration.until = 0.0
        move(registration, Event.GRANTED, now)
    elif 200 <= status < 300 and granted_s > 0:
        move(registration, Event.GRANTED, now)
        registration.until = now + granted_s
        _wait(registration, now, max(granted_s - REFRESH_BEFORE_S, granted_s / 2))
        registration.rounds = registration.refusals = 0
        registration.why = ""
    else:
        _refused(registration, f"it answered {status}", now, jitter)
    return False


def granted(answer: Answer, contact: str, asked_s: int) -> int:
    """Return for how many seconds a 2xx knows our Contact: other gateways' may be there, too."""
    for value in addresses_from_headers(answer.contacts):
        if _same(uri_from_address(value), contact):
            seconds = parameter(value, "expires") or answer.expires.strip()
            return number_or(asked_s, seconds)
    if answer.contacts:
        return 0
    return number_or(asked_s, answer.expires.strip())


def _same(first: str, second: str) -> bool:
    return first.partition(";")[0].lower() == second.partition(";")[0].lower()


def _challenged(registration: Registration, answer: Answer, now: float, jitter: float) -> bool:
    try:
        challenge = challenge_from_values(answer.challenges)
    except RemoteProtocolError as error:
        _refused(registration, error.detail, now, jitter)
        return False
    wrong = registration.answered > 0 and not challenge.stale
    if wrong or registration.answered >= _MOST_CHALLENGES:
        _refused(registration, "it does not take user and password", now, jitter)
        return False
    registration.challenge, registration.proxy = challenge, answer.status == 407
    registration.nonce_count = 0
    registration.answered += 1
    move(registration, Event.CHALLENGED, now)
    return True


def _unreachable(registration: Registration, trunk: Trunk, answer: Answer, now: float, jitter: float) -> bool:
    registration.why = f"it answered {answer.status}" if answer.status else "no answer"
    if registration.state is State.LEAVING:
        move(registration, Event.UNREACHABLE, now)
        return False
    hops = len(trunk.uris)
    registration.not_before[registration.hop] = now + min(answer.retry_after_s, MOST_RETRY_S)
    registration.challenge = None
    while registration.tried < hops:
        registration.hop = (registration.hop + 1) % hops
        registration.tried += 1
        if registration.tried < hops and not _not_before(registration, registration.hop, now):
            return True
    wait_s = min(RETRY_S * 2**registration.rounds, MOST_RETRY_S) * (0.5 + jitter / 2)
    registration.rounds += 1
    in_order = [(registration.hop + further) % hops for further in range(hops)]
    asked_at = {hop: max(now + wait_s, _not_before(registration, hop, now)) for hop in in_order}
    registration.hop = min(in_order, key=asked_at.__getitem__)
    _wait(registration, now, min(asked_at[registration.hop] - now, MOST_RETRY_S))
    move(registration, Event.UNREACHABLE, now)
    return False


def _not_before(registration: Registration, hop: int, now: float) -> float:
    """Return until when a next hop wants to be left alone; 0.0: it does not, or has said so by another clock."""
    until = registration.not_before.get(hop, 0.0)
    return until if is_early(now, until, MOST_RETRY_S) else 0.0


def _refused(registration: Registration, why: str, now: float, jitter: float) -> None:
    registration.why = why
    registration.challenge = None
    registration.answered = 0
    if registration.state is State.ASKING:
        registration.until = 0.0
        wait_s = min(REFUSED_RETRY_S * 2**registration.refusals, MOST_RETRY_S) * (0.5 + jitter / 2)
        registration.refusals += 1
        _wait(registration, now, wait_s)
    move(registration, Event.REFUSED, now)


def is_registered(registration: Registration, now: float) -> bool:
    """Whether the trunk knows us, also while that is being renewed."""
    return registration.until > now


def is_missing(state: State, until: float, now: float) -> bool:
    """Whether a trunk does not know us that is to; where we leave, or have left, it is not."""
    return state not in (State.LEAVING, State.GONE) and until <= now
