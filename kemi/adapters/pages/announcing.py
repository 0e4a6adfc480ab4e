"""What the web API is told of registrations: which began and which ended, in the stream of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kemi.core.registration.states import Cause

if TYPE_CHECKING:
    from kemi.adapters.monitoring.measuring import Measuring
    from kemi.adapters.notices import Notices
    from kemi.core.registration import Registration

Who = tuple[str, str, str]
"""Public and private identity, web session."""


class Announcing:
    """Notes of which bindings the web API knows, and writes the events that are missing."""

    def __init__(self, notices: Notices, measuring: Measuring) -> None:
        self._notices = notices
        self._measuring = measuring
        self._told: dict[str, Who] = {}

    def __len__(self) -> int:
        return len(self._told)

    def is_known(self, key: str, binding: Registration) -> None:
        """Of a binding that was there before this process: it was told of then."""
        self._told.setdefault(key, _who(binding))

    def moved(self, key: str) -> None:
        """Another gateway has told that the page is registered there."""
        self._told.pop(key, None)

    def ended(self, binding: Registration, cause: Cause, now: float) -> list[str]:
        """Return the events of a binding that is over: of one that nobody was told of, both its beginning and its end.

        A page may register and log out before this process has seen the one; who leased it its identity waits for the
        other.
        """
        who = _who(binding)
        if cause is Cause.MOVED or self._told.get(binding.key) == who:
            return []  # ``changed`` tells the end
        self._measuring.registered()
        return [self._event("registered", who, now), self._event("deregistered", who, now)]

    def changed(self, key: str, binding: Registration | None, now: float) -> list[str]:
        """Return the events of a binding that was written, or removed (None)."""
        before = self._told.get(key)
        who = None if binding is None else _who(binding)
        if before == who:
            return []
        events = []
        if before is not None:
            events.append(self._event("deregistered", self._told.pop(key), now))
        if who is not None:
            self._told[key] = who
            self._measuring.registered()
            events.append(self._event("registered", who, now))
        return events

    def _event(self, kind: str, who: Who, now: float) -> str:
        impu, impi, session = who
        return self._notices.text(kind, now, impu=impu, impi=impi, sid=session)


def _who(binding: Registration) -> Who:
    return binding.owner, binding.impi, binding.grant.session
