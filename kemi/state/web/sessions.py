"""Web sessions: who has logged in, until when.

A session is found by the SHA-256 of its cookie, so that a look into Redis does not give a cookie away.  The record
never changes its key; its end is the key's time to live, which each use moves, but never beyond the whole lifetime.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec
import redis

from kemi.state import keys
from kemi.state.web.client import digest

if TYPE_CHECKING:
    from redis import Redis

_PORTION: Final = 500
# KEYS: session, sessions of the account, its name by SID.  ARGV: json, idle ms, digest, end, now, lifetime ms
# The set outlives its longest session, which may have begun under a longer lifetime than this one.
_BEGIN: Final = """
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[6]) then redis.call('PEXPIRE', KEYS[2], ARGV[6]) end
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[6])
return 1
"""
# KEYS: session, where it is while it ends.  Returns its json, also of one whose end failed midway.
_HIDE: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end
return redis.call('GET', KEYS[2])
"""
Told = Callable[["Session"], object]
"""Tells everybody of a session's end.  Where it fails, the session has ended, and another try can tell it."""


class LoginMethod(enum.StrEnum):
    """How somebody logged in."""

    PASSWORD = "password"  # noqa: S105 the name of a method
    GUEST = "guest"
    OIDC = "oidc"


class ProviderTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that an OpenID Connect provider gave for a session."""

    access_token: str
    refresh_token: str
    expires_at: float


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One login."""

    sid: str
    """Names the session in claims, commands and events; no secret."""
    method: LoginMethod
    name: str
    impi: str
    impus: list[str]
    expires_at: float
    """End of the whole lifetime, whatever the use."""
    provider_tokens: ProviderTokens | None = None
    user_class: str = ""
    """Whose rows of the routing table count for the session's calls."""
    began_at: float = 0.0
    """0: not known, of a release of before."""

    @property
    def person(self) -> str:
        """Who has logged in, as listeners are counted."""
        return f"{self.method}:{self.name}"

    @property
    def owner(self) -> str:
        """Whose it is: the person's on all devices; of guests, who pass names on, each session is one."""
        return f"guest:{self.sid}" if self.method is LoginMethod.GUEST else self.person


class _Named(msgspec.Struct):
    sid: str


class SessionStore:
    """All sessions that have not ended."""

    def __init__(self, redis: Redis, idle_s: float) -> None:
        """``idle_s``: a session that nobody uses for so long has ended."""
        self._redis = redis
        self._idle_s = idle_s
        self._begin = redis.register_script(_BEGIN)
        self._hide = redis.register_script(_HIDE)

    def begin(self, secret: str, session: Session, now: float) -> None:
        """Keep a new session under its cookie's secret."""
        name = digest(secret)
        lifetime_s = session.expires_at - now
        self._begin(
            keys=[
                keys.web_session(name),
                _all_of(session.method, session.name),
                keys.web_session_of(session.sid),
            ],
            args=[
                msgspec.json.encode(session).decode(),
                _ms(min(self._idle_s, lifetime_s)),
                *(name, session.expires_at, now),
                _ms(lifetime_s),
            ],
        )

    def use(self, secret: str, now: float) -> Session | None:
        """Return the session of a cookie and note that it is in use; None when there is none.

        While Redis takes no writes, its end stays where it is.
        """
        key = keys.web_session(digest(secret))
        try:
            text = self._redis.getex(key, px=_ms(self._idle_s))
        except redis.ResponseError:
            text = self._redis.get(key)
        if text is None:
            return None
        session = msgspec.json.decode(text, type=Session)
        left_s = session.expires_at - now
        if left_s < self._idle_s:  # it ends sooner, however much it is used
            with suppress(redis.ResponseError):
                self._redis.pexpire(key, _ms(left_s))
        return session if left_s > 0 else None

    def is_there(self, secret: str) -> bool:
        """Whether the session of a cookie has not ended; that somebody asks is no use of it."""
        return bool(self._redis.exists(keys.web_session(digest(secret))))

    def change(self, secret: str, session: Session) -> bool:
        """Replace what is known of a session; False when it has ended meanwhile."""
        key = keys.web_session(digest(secret))
        return bool(self._redis.set(key, msgspec.json.encode(session), xx=True, keepttl=True))

    def end(self, secret: str, told: Told) -> Session | None:
        """End the session of a cookie; None when there is none."""
        return self.end_digest(digest(secret), told)

    def end_digest(self, name: str, told: Told) -> Session | None:
        """End the session whose cookie has this digest; None when there is none."""
        # No token may be given after it is told, and it must be found again by who has to try again.
        ending = keys.web_session_ending(name)
        text = self._hide(keys=[keys.web_session(name), ending])
        if text is None:
            return None
        session = msgspec.json.decode(text, type=Session)
        told(session)
        self._redis.zrem(_all_of(session.method, session.name), name)
        self._redis.delete(ending)
        return session

    def end_all(self, method: LoginMethod, name: str, told: Told) -> list[Session]:
        """End every session of somebody."""
        return self.end_those(method, name, lambda _: True, told)

    def end_those(
        self, method: LoginMethod, name: str, ends: Callable[[Session], bool], told: Told
    ) -> list[Session]:
        """End those sessions of somebody of which ``ends`` says so."""
        ended = []
        for key in map(str, self._redis.zrange(_all_of(method, name), 0, -1)):
            for text in self._redis.mget(keys.web_session(key), keys.web_session_ending(key)):
                session = msgspec.json.decode(text, type=Session) if text else None
                if session is not None and ends(session) and self.end_digest(key, told):
                    ended.append(session)
        return ended

    def end_sid(self, sid: str, told: Told) -> Session | None:
        """End the session of this public name; None when there is none."""
        # What says which one it is, stays when the session ends: who asks for one that is over is told so at once.
        name = self._redis.get(keys.web_session_of(sid))
        return self._end_older(sid, told) if name is None else self.end_digest(str(name), told)

    def _end_older(self, sid: str, told: Told) -> Session | None:
        """End a session that a release of before has begun, which kept no names: all have to be looked at."""
        for portion in _portions(self._redis.scan_iter(match=keys.web_session("*"), count=_PORTION)):
            for key, text in zip(portion, self._redis.mget(portion), strict=True):
                if text and msgspec.json.decode(text, type=_Named).sid == sid:
                    return self.end_digest(key.removeprefix(keys.web_session("")), told)
        return None


def _all_of(method: LoginMethod, name: str) -> str:
    return keys.web_sessions_of(method, digest(name))


def _portions(names: Iterator[str]) -> Iterator[list[str]]:
    while portion := list(islice(names, _PORTION)):
        yield portion


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
