"""Errors that know their own SIP answer.

Every error carries the status and reason phrase a peer gets, the class it is counted under and the level it is
logged at, so that no code ever switches over exception types.  Raise the most precise class near the cause; only the
guard around the KEMI callbacks, the web API's error handler and the command line catch them.

    GatewayError
    ├── SipReject              we decline: 403, 404, 480 ...
    │   └── NotAcceptableHere  488 with a Warning that a person understands
    ├── RemoteProtocolError    the peer broke SIP or SDP: 400
    │   └── SdpSyntaxError     the body is no session description
    ├── OverLimit              more than allowed, come back later: 503 with Retry-After
    ├── LocalProtocolError     we did: 500, logged with a traceback
    └── MediaUnavailable       rtpengine is late, full or refuses: 503
        └── MediaForgotten     rtpengine was started again: 503, or the call moves
"""

from __future__ import annotations

import enum
import logging
from typing import ClassVar


class Termination(enum.StrEnum):
    """Who ended it: the word shared by the log line, the metric label and the web API."""

    SUCCESS = "success"
    CLIENT_ERROR = "client_error"
    UPSTREAM_ERROR = "upstream_error"
    SERVER_ERROR = "server_error"


class WarnCode(enum.IntEnum):
    """What a Warning says to programs (RFC 3261 §20.43)."""

    INCOMPATIBLE_ADDRESSES = 301
    INCOMPATIBLE_TRANSPORT = 302
    MEDIA_TYPE_NOT_AVAILABLE = 304
    INCOMPATIBLE_FORMAT = 305
    MISCELLANEOUS = 399


class GatewayError(Exception):
    """Base class; never raised itself."""

    status: int = 500
    reason_phrase: str = "Server Internal Error"
    termination: ClassVar[Termination] = Termination.SERVER_ERROR
    log_level: ClassVar[int] = logging.ERROR
    warn_code: WarnCode = WarnCode.MISCELLANEOUS
    route: str = ""
    """Row of the routing table that refuses; "": none does."""

    def __init__(
        self,
        detail: str = "",
        *,
        status: int | None = None,
        reason_phrase: str | None = None,
        lines: tuple[str, ...] = (),
        warn_code: WarnCode | None = None,
    ) -> None:
        super().__init__(detail or reason_phrase or self.reason_phrase)
        self.lines = lines
        """Header lines the answer needs, as a challenge."""
        self.body = ""
        self.content_type = ""
        if warn_code is not None:
            self.warn_code = warn_code
        if status is not None:
            self.status = status
        if reason_phrase is not None:
            self.reason_phrase = reason_phrase

    @property
    def detail(self) -> str:
        """One sentence for the log and the Warning header field."""
        return str(self)


class SipReject(GatewayError):
    """A request we understand and decline."""

    status = 403
    reason_phrase = "Forbidden"
    termination = Termination.CLIENT_ERROR
    log_level = logging.INFO


class NotAcceptableHere(SipReject):
    """The session described cannot be set up (RFC 3261 §21.4.26); the detail goes into a Warning (§20.43)."""

    status = 488
    reason_phrase = "Not Acceptable Here"


class RemoteProtocolError(GatewayError):
    """The peer sent something SIP or SDP does not allow."""

    status = 400
    reason_phrase = "Bad Request"
    termination = Termination.CLIENT_ERROR
    log_level = logging.INFO


class SdpSyntaxError(RemoteProtocolError):
    """A body that is not a session description (RFC 8866); the detail names the line, counted from 1."""

    reason_phrase = "Bad Session Description"

    def __init__(self, detail: str, line_number: int | None = None) -> None:
        super().__init__(detail if line_number is None else f"line {line_number}: {detail}")
        self.line_number = line_number


class OverLimit(GatewayError):
    """More requests than are allowed (RFC 3261 §21.5.4): the lines say when to come back.

    503, because the same request is welcome later, which a 403 would deny (§21.4.4) and a 480 would say of the callee.
    Whoever raises it logs it: once in a while, not for each request of a flood.
    """

    status = 503
    reason_phrase = "Too Many Requests"
    termination = Termination.CLIENT_ERROR
    log_level = logging.DEBUG
    shared: bool = False
    """Whether many share the limit, so that it says nothing of whoever met it."""


class LocalProtocolError(GatewayError):
    """We are about to do something the protocol or our own state tables forbid: a bug."""


class MediaUnavailable(GatewayError):
    """The media relay did not answer in time, has no ports, or refused."""

    status = 503
    reason_phrase = "Media Relay Unavailable"


class MediaForgotten(MediaUnavailable):
    """The media relay was started again, and knows the call no more."""
