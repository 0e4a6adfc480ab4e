"""Verdicts on who may call, whom, and by which way: registrations, permissions, limits, routes and trunks."""

from __future__ import annotations

import re
from typing import Final

from kemi.core.explain.reading import PAGE, Reading
from kemi.core.explain.rules import Found, Rule, found
from kemi.core.explain.verdict import Gravity

_LIMITS: Final = re.compile(
    r"too many requests of this|you may make no more than|no more than \d+ calls at once|"
    r"you may have no more than \d+ calls"
)
_NO_ROUTE: Final = frozenset({"no route to this number", "nobody has this number here"})
_GONE: Final = frozenset({"the page has registered another Contact", "not a flow token"})
_TRUNK_ENDS: Final = ("no trunk answers", "the trunk takes no calls")
_TRUNKS_TRIED: Final = 2


def _no_route(call: Reading) -> Found | None:
    return found(call.quoted(call.told), call.detail) if call.detail in _NO_ROUTE else None


def _bad_number(call: Reading) -> Found | None:
    told = call.told
    if told is None or told.status not in (404, 484) or call.heard is not None or call.detail in _NO_ROUTE:
        return None
    return found(call.quoted(told), detail=call.detail or told.reason_phrase) if not call.sent else None


def _row_refuses(call: Reading) -> Found | None:
    """A row of the routing table says no, with whatever status and reason it has."""
    rejected = call.on_invite("request_rejected")
    if rejected is None or not (route := str(rejected.values.get("route") or "")):
        return None
    return found(call.shown(rejected), call.quoted(call.told), route=route)


def _denied(call: Reading) -> Found | None:
    denied = call.on_invite("call_denied")
    said = call.detail.startswith(("you may not call", "calls to ", "whom this calls"))
    if call.detail.startswith("calls to this number are not "):
        return None  # a row's own words, of a release that did not name the row
    if _LIMITS.search(call.detail) or not (said or denied):
        return None
    cost = str(denied.values.get("cost") or "") if denied is not None else ""
    return found(call.shown(denied), call.quoted(call.told), what=call.detail, cost=cost or "unknown")


def _limit(call: Reading) -> Found | None:
    if not _LIMITS.search(call.detail):
        return None
    wait = "".join(call.told.headers.get("retry-after", ())[:1]) if call.told is not None else ""
    return found(call.quoted(call.told), f"Retry-After: {wait}" if wait else "", what=call.detail)


def _emergency(call: Reading) -> Found | None:
    told = call.told
    return (
        found(call.quoted(told)) if told is not None and told.status == 380 and call.heard is None else None
    )


def _not_registered(call: Reading) -> Found | None:
    return (
        found(call.quoted(call.told))
        if call.detail.startswith("this connection has no registration")
        else None
    )


def _token(call: Reading) -> Found | None:
    told = call.told
    if told is None or told.side != PAGE or told.status not in (401, 407) or call.heard is not None:
        return None
    refused = call.on_invite("token_refused")
    why = refused.why if refused is not None and refused.why else "it is not good (any more)"
    return found(call.shown(refused), call.quoted(told), why=why)


def _registration_ended(call: Reading) -> Found | None:
    ended = call.decision("registration_ended")
    why = (
        call.detail.removeprefix("registration ")
        if call.detail.startswith("registration ")
        else call.trace.why
    )
    if ended is None and not call.detail.startswith("registration "):
        return None
    return found(
        call.shown(ended), call.quoted(call.told), why=(ended.why if ended is not None else "") or why
    )


def _forbidden(call: Reading) -> Found | None:
    ended = call.decision("call_forbidden")
    return found(call.shown(ended), why=ended.why or call.trace.why) if ended is not None else None


def _page_gone(call: Reading) -> Found | None:
    told = call.told
    if call.from_page or told is None or call.sent:
        return None
    gone = told.status == 430 or call.detail in _GONE
    return found(call.quoted(told)) if gone else None


def _failures(call: Reading) -> list[str]:
    return [call.shown(one) for one in call.decisions("trunk_failed", "core_failed")]


def _trunks_exhausted(call: Reading) -> Found | None:
    if call.detail not in _TRUNK_ENDS:
        return None
    return found(*_failures(call), *[call.quoted(one) for one in call.sent], call.quoted(call.told))


def _trunk_login(call: Reading) -> Found | None:
    if call.detail != "the trunk does not take our credentials":
        return None
    return found(call.quoted(call.heard), call.quoted(call.told))


def _trunk_full(call: Reading) -> Found | None:
    if call.detail != "no trunk has room for this call":
        return None
    return found(*[call.shown(one) for one in call.decisions("trunk_full")], call.quoted(call.told))


def _redirected(call: Reading) -> Found | None:
    if call.detail != "the trunk redirects, which is not followed":
        return None
    return found(call.quoted(call.heard), call.quoted(call.told))


def _failed_over(call: Reading) -> Found | None:
    failures = _failures(call)
    if not failures or not call.answered:
        return None
    last = call.decision("call_sent")
    return found(*failures, call.shown(last), tries=str(len(failures) + 1))


_CAUSE, _TROUBLE = Gravity.CAUSE, Gravity.TROUBLE

RULES: Final = (
    Rule(
        code="emergency-refused", gravity=_CAUSE, check=_emergency,
        says="An emergency number was called, which is not possible from here (380).",
        do="Caller: use another telephone, now. Operator: add a route for urn:service:sos if this site may take them.",
    ),
    Rule(
        code="page-not-registered", gravity=_CAUSE, check=_not_registered,
        says="The page called over a connection that has no registration.",
        do="The page's developer: REGISTER first, and again after each reconnect.",
    ),
    Rule(
        code="token-refused", gravity=_CAUSE, check=_token,
        says="The access token was refused: {why}.",
        do="The page's developer: fetch a new token before the old one expires; operator: clocks, issuer and audience.",
    ),
    Rule(
        code="registration-ended", gravity=_CAUSE, check=_registration_ended,
        says="The page's registration ended, and its call with it: {why}.",
        do="The page's developer: refresh in time; operator: was the user logged out or removed?",
    ),
    Rule(
        code="ended-by-operator", gravity=_CAUSE, check=_forbidden,
        says="This site ended the call: {why}.",
        do="Operator: it was asked for here, or the call took longer than its class may.",
    ),
    Rule(
        code="limit-reached", gravity=_CAUSE, check=_limit,
        says="A limit was reached: {what}.",
        do="Caller: wait; operator: raise the limit of the class or the site if this was no flood.",
    ),
    Rule(
        code="not-permitted", gravity=_CAUSE, check=_denied,
        says="The caller may not call this number (class of rates: {cost}): {what}.",
        do="Operator: permissions of the user's class in the routing table, or the site's policy.",
        unless=("route-refuses",),
    ),
    Rule(
        code="route-refuses", gravity=_CAUSE, check=_row_refuses,
        says="Row {route} of the routing table refuses calls to this number.",
        do="Operator: gwctl routes explain NUMBER says why this row wins.",
    ),
    Rule(
        code="no-route", gravity=_CAUSE, check=_no_route,
        says="The routing table has no row for this number.",
        do="Operator: add a row; gwctl routes explain NUMBER says how it is looked up.",
        unless=("route-refuses",),
    ),
    Rule(
        code="bad-number", gravity=_CAUSE, check=_bad_number,
        says="What was dialled is no number that can be called from here: {detail}.",
        do="Caller: dial it with country code; operator: the realm's dial plan.",
        unless=("route-refuses",),
    ),
    Rule(
        code="called-page-gone", gravity=_CAUSE, check=_page_gone,
        says="The page that was called is not connected any more.",
        do="Nobody: the core has an old registration, which the next one replaces.",
        unless=("page-connection-lost",),
    ),
    Rule(
        code="trunks-exhausted", gravity=_CAUSE, check=_trunks_exhausted,
        says="Every trunk that the table names for this number was tried or is down.",
        do="Trunk and operator: gwctl trunks says which next hops are down, and since when.",
    ),
    Rule(
        code="trunk-full", gravity=_CAUSE, check=_trunk_full,
        says="No trunk had room for another call.",
        do="Operator: raise the trunk's limits if its contract allows, or add a second trunk.",
    ),
    Rule(
        code="trunk-credentials", gravity=_CAUSE, check=_trunk_login,
        says="The trunk does not take our user and password.",
        do="Operator: user, password and realm of the trunk in the settings.",
    ),
    Rule(
        code="trunk-redirects", gravity=_CAUSE, check=_redirected,
        says="The trunk sent the call elsewhere (3xx), which is not followed: nobody has allowed the costs.",
        do="Operator: let the trunk not redirect, or route this number by another trunk.",
    ),
    Rule(
        code="failed-over", gravity=_TROUBLE, check=_failed_over,
        says="The call went through at try {tries}; what was tried before did not answer or had no room.",
        do="Operator: gwctl trunks, gwctl doctor: something is down, and each call waits for it.",
    ),
)  # fmt: skip
