"""Around every callback: an int comes back, whatever happens, and a request never stays without an answer.

Kamailio logs an exception that escapes a callback and then does nothing: the peer gets no reply at all; and a callback
that returns None makes some later, unrelated call fail.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Final, ParamSpec

from kemi.adapters.doors.bans import BANS
from kemi.adapters.kamailio import connections, ksr, transactions
from kemi.adapters.kamailio.facts import FACTS
from kemi.adapters.log import log_event
from kemi.adapters.monitoring.measuring import METRICS, count_refused
from kemi.adapters.monitoring.trace_notes import NOTES
from kemi.core.errors import GatewayError
from kemi.core.headers import explanation_of
from kemi.core.messages import Side
from kemi.core.metrics import catalogue as series

P = ParamSpec("P")

UNANSWERABLE: Final = (1002, "a request that cannot be answered")
_SERVER_ERROR = (500, "Server Internal Error")


def guarded_request(step: Callable[P, None]) -> Callable[P, int]:
    """Guard a request callback: an error becomes the final response it carries, anything else a 500."""

    @functools.wraps(step)
    def callback(*args: P.args, **kwargs: P.kwargs) -> int:
        FACTS.enter()
        NOTES.enter()
        try:
            step(*args, **kwargs)
        except GatewayError as error:
            _log(error)
            lines = (*error.lines, *explanation_of(error, "gateway"))
            _answer(error.status, error.reason_phrase, lines, error.body, error.content_type)
        except Exception as error:
            _log(error)
            _answer(*_SERVER_ERROR, ())
        finally:
            FACTS.leave()
        _noted()
        return 1

    return callback


def guarded(step: Callable[P, None]) -> Callable[P, int]:
    """Guard a callback in which nobody waits for an answer."""

    @functools.wraps(step)
    def callback(*args: P.args, **kwargs: P.kwargs) -> int:
        FACTS.enter()
        NOTES.enter()
        try:
            step(*args, **kwargs)
        except Exception as error:
            _log(error)
        finally:
            FACTS.leave()
        _noted()
        return 1

    return callback


def guarded_note(step: Callable[P, None]) -> Callable[P, int]:
    """Guard a callback that notes a message and does nothing else: it comes for each one, mostly inside of others."""

    @functools.wraps(step)
    def callback(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            step(*args, **kwargs)
        except Exception as error:
            _log(error)
        return 1

    return callback


def _noted() -> None:
    try:
        NOTES.leave()
    except Exception as error:  # a trace is worth no call
        _log(error)


def _answer(
    status: int, reason_phrase: str, lines: tuple[str, ...], body: str = "", content_type: str = ""
) -> None:
    try:
        if ksr.method() == "ACK":
            return
        if transactions.has_transaction():
            transactions.reply_in_transaction(status, reason_phrase, lines, body, content_type)
        elif (
            not transactions.reply_statelessly(status, reason_phrase, lines, body, content_type)
            and ksr.side() is Side.WIC
        ):
            # Kamailio cannot even make a response of it: the page shall not wait for one.
            log_event(logging.INFO, "request_unanswerable", connection=ksr.connection_id())
            connections.close_connection(ksr.connection_id(), *UNANSWERABLE)
    except Exception as error:
        _log(error)


def _log(error: Exception) -> None:
    try:
        where = {"call_id": ksr.call_id(), "method": ksr.method()}
    except Exception:  # not even the message can be read
        where = {}
    _count(error, str(where.get("method", "")))
    if isinstance(error, GatewayError) and error.log_level < logging.ERROR:
        log_event(
            error.log_level,
            "request_rejected",
            **where,
            status=error.status,
            reason=error.reason_phrase,
            detail=error.detail,
            route=error.route,
            term=error.termination.value,
        )
        return
    detail = error.detail if isinstance(error, GatewayError) else f"{type(error).__name__}: {error}"
    log_event(logging.ERROR, "callback_failed", **where, detail=detail)
    logging.getLogger("gateway").exception("traceback follows")


def _count(error: Exception, method: str) -> None:
    try:
        if isinstance(error, GatewayError):
            count_refused(method, error.status, error.termination)
            BANS.refused(error)
        else:
            METRICS.count(series.ERRORS, "callback")
    except Exception:
        logging.getLogger("gateway").exception("not counted")
