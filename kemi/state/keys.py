"""Every name in Redis, in one place: the gateway nodes and the web API share nothing else.

| key | type | written by | read by |
|---|---|---|---|
| gw:jwks:ISSUER | text, a JWK set (RFC 7517) | web API | gateway: keys that sign access tokens |
| gw:commands | stream of one field, ``json`` | web API | every gateway node, from its last id on |
| gw:orders | channel (PUBLISH), JSON | web API: what ends something, when Redis takes no writes | every gateway node |
| gw:events | stream of one field, ``json`` | gateway | web API |
| gw:unkept-events | channel (PUBLISH), JSON | gateway | web API: who listens at that moment |
| gw:registrations:NODE | hash, binding -> JSON | gateway node NODE | the same node at its start; web API |
| gw:subscriptions:NODE | hash, Call-ID -> JSON | gateway node NODE | the same node at its start |
| gw:call-records:NODE | hash, call -> JSON (adapters/calls/snapshots.py), ``trunk CALL-ID`` -> JSON (TrunkCall of
kemi/state/trunks.py) | gateway node NODE | the same, or another gateway that takes its calls |
| gw:handed-over:NODE | hash, call -> JSON, as the line above | gateways | gateway node NODE, which has the page now |
| gw:relay-nodes | hash, gateway node -> JSON (GatewayNodes of kemi/state/web/nodes.py); of one that has been silent for
two days the others remove all that is kept by its name | gateway | web API; also to know which nodes there are |
| gw:running-calls:NAME | hash, gateway node -> JSON (kemi/state/running_calls.py); ends by itself | gateway | web API |
| gw:trunks | hash, gateway node -> JSON (GatewayTrunks of kemi/state/trunks.py) | gateway | web API, gateways |
| gw:drained | set of relay nodes, ``address:port``, that get no new calls | web API, gateway | every gateway node |
| gw:routing-version | text, a number | web API | every gateway node: which routing table counts |
| gw:routing-rows:VERSION | list, JSON, some hundred rows each | web API | every gateway node |
| gw:routing-rest:VERSION | text, JSON (kemi/state/routing_document.py, no rows) | web API | the same |
| gw:routing-counter | number, the time in ms or one more than before | web API | web API: the version given last |
| gw:marks | hash, gateway node -> a text that says nothing | gateway | the same: whether Redis has lost something |
| gw:position:NODE | text, id of the last command done | gateway node NODE | the same node at its start |
| gw:bans | hash, address or IPv6 /64 -> JSON (SharedBan of kemi/state/bans.py) | gateway, web API | all of them |
| gw:bans-trusted | text, JSON: networks that are never banned | gateway | web API |
| gw:calls | sorted set, id by end | gateway | web API: finished calls of all nodes |
| gw:calls-of:DIGEST | sorted set, id by end; ends by itself | gateway | web API: those of a public identity |
| gw:finished-call:ID | text, JSON (kemi/state/call_history.py); ends by itself | gateway | web API |
| gw:traces, gw:traces-failed | sorted set, key of a call by its begin | gateway | web API: traced calls |
| gw:traces-over, gw:traces-failed-over | the same of those that are over, by end | gateway | gateway: what falls out |
| gw:trace-head:KEY | text, JSON (TraceHead of kemi/state/traces.py); ends by itself | gateway | web API |
| gw:trace:KEY | list of compressed entries (kemi/state/traces.py); ends by itself | gateway | web API |

Commands: ``{"type": "logout", "sid": SID, "impi": IMPI, "at": SECONDS}`` ends every registration whose token came from
web session SID and was issued by then (a provider may name a later session alike);
``{"type": "end_call", "call_id": CALL-ID, "impu": IMPU, "by": "operator" | "user", "at": SECONDS}``
ends one call, or all calls of a public identity (one of the two is "" or left out; with both, the call if it is of that
identity); ``{"type": "end_registration", "key": BINDING, "at": SECONDS}`` ends one binding, which the page may make
again; ``{"type": "list_calls", "asked": NAME, ..., "at": SECONDS}`` with the members of CallQuestion
(kemi/state/call_questions.py) lets every node write which of its calls fit into gw:running-calls:NAME.

Events: ``{"type": "registered" | "deregistered", "impu": ..., "impi": ..., "sid": ..., "node": ..., "at": ...}``;
``{"type": "call_refused" | "call_forbidden", "impu": ..., "call_id": ..., "why": ..., "node": ..., "at": ...}`` for a
call that the site's policy or its caller's permission did not let begin, or go on; ``{"type": "emergency_call", "impu":
..., "call_id": ..., "method": ..., "action": "refuse" | "core" | "route", ...}``; ``{"type": "fraud_alarm", "impu": ...
(or none: the whole class), "user_class": ..., "what": "denied" or a kind of rates, "calls": so many in an hour, ...}``;
``{"type": "login_locked", "impu" or "address": ..., "node": ..., "at": ...}``;
``{"type": "address_banned", "address": ..., "why": an offence of kemi/core/bans.py, "until": SECONDS, "node": ...,
"at": ...}``; ``{"type": "call_started" |
"call_ringing" | "call_answered", "key": ..., "call_id": ..., "impu": ..., "peer": ..., "direction": "from_page" |
"to_page", "node": ..., "at": ...}``, each once for a call, which may skip some. ``{"type": "trunk_down" |
"trunk_up", "trunk": ..., "next_hop": ..., "why": ..., "node": ..., "at": ...}``; ``{"type": "trunk_registration",
"trunk": ..., "state": ..., "why": ..., ...}``. ``{"type": "call_quality", "key": ...,
"call_id": ..., "impu": ..., "peer": ..., "direction": ..., "began_at": ..., "quality": {"audio": {"wic": LEG or null,
"ims": LEG or null}}, ...}`` when the rating of a side changes, with LEG = ``{"rating": "good" | "fair" | "poor" |
"silent", ...}`` and the figures of RecentLeg (rtpengine/recent.py): what that side heard since it was looked at before.
``{"type": "call_ended", ...}`` has what is kept of a finished call
(kemi/state/call_history.py).

Unkept events: ``{"type": "dtmf", "impu": ..., "call_id": ..., "digit": ..., "duration_ms": ..., ...}``, a key that the
far end pressed. It may be part of a PIN, so no stream has it. ``{"type": "dial_requested" | "dial_taken", "owner": ...,
"dial": ID, "impu": ..., "at": ...}``, of the web API for itself: a person's pages are to place a call, or one does.

Keys below ``gw:web:`` belong to the web API alone (modules of kemi/state/web); DIGEST is SHA-256 in hexadecimal, so
that who reads the names does not hold a secret or a login name:

| key | type | what |
|---|---|---|
| gw:web:accounts | hash, login name -> JSON | accounts with their password hashes |
| gw:web:session:DIGEST | text, JSON; ends by itself | a web session, named by its cookie's digest |
| gw:web:session-ending:DIGEST | text, JSON; ends by itself | one that is over, until all who must know were told |
| gw:web:session-of:SID | text, DIGEST; ends by itself, after the session | which session has this public name |
| gw:web:sessions-of:METHOD:DIGEST | sorted set, digest by end | the sessions of somebody |
| gw:web:lease:IMPI | text, SID or ``-SID`` (settling); ends by itself | who holds an identity of the pool |
| gw:web:former-holder:IMPI | text, SID | who held an identity of the pool last |
| gw:web:leased-at | hash, IMPI -> seconds | since when the last holder of an identity of the pool has had it |
| gw:web:dial:ID | text, JSON; ends by itself | a call that a person has asked a page of theirs to place |
| gw:web:audit | stream of one field, ``json`` | what operators have changed (AuditEntry of kemi/state/web/audit.py) |
| gw:web:signing-keys | hash, kid -> JSON | keys that sign our tokens, private parts encrypted |
| gw:web:oidc-login:DIGEST | text, JSON; ends by itself | a login under way at an OpenID Connect provider |
| gw:web:attempts:WHAT:DIGEST | number; ends by itself | attempts in the running window |
| gw:web:lock:NAME | text; ends by itself | who does a job that one process does at a time |
| gw:web:listeners:WHOSE:DIGEST | sorted set, listener by its end; ends by itself | who listens to events |
| gw:web:events-read | text | id of the last entry of gw:events that was handled |
"""

from __future__ import annotations

import hashlib
from typing import Final

COMMANDS: Final = "gw:commands"
EVENTS: Final = "gw:events"
ORDERS: Final = "gw:orders"
MARKS: Final = "gw:marks"
RELAY_NODES: Final = "gw:relay-nodes"
TRUNKS: Final = "gw:trunks"
UNKEPT_EVENTS: Final = "gw:unkept-events"
ANSWER_KEPT_S: Final = 10
"""How long an answer of the gateways to a question is kept."""
BANS: Final = "gw:bans"
BANS_TRUSTED: Final = "gw:bans-trusted"
DRAINED: Final = "gw:drained"
STREAM_FIELD: Final = "json"
STREAM_LENGTH: Final = 10_000
"""Streams are cut to about this many entries (XADD MAXLEN ~)."""


def jwks(issuer: str) -> str:
    """Return the key of an issuer's public keys."""
    return f"gw:jwks:{issuer}"


def registrations(node: str) -> str:
    """Return the key of a node's registrations."""
    return f"gw:registrations:{node}"


def call_records(node: str) -> str:
    """Return the key of the answered calls of a gateway node."""
    return f"gw:call-records:{node}"


def handed_over(node: str) -> str:
    """Return the key of the answered calls that other gateways have given a node."""
    return f"gw:handed-over:{node}"


def subscriptions(node: str) -> str:
    """Return the key of a node's subscriptions to registration state."""
    return f"gw:subscriptions:{node}"


def position(node: str) -> str:
    """Return the key of the last command a node has carried out."""
    return f"gw:position:{node}"


def running_calls(asked: str) -> str:
    """Return the key of the answers to a question for running calls."""
    return f"gw:running-calls:{asked}"


ROUTING_VERSION: Final = "gw:routing-version"
ROUTING_COUNTER: Final = "gw:routing-counter"


def routing_rows(version: int) -> str:
    """Return the key of a routing table's rows."""
    return f"gw:routing-rows:{version}"


def routing_rest(version: int) -> str:
    """Return the key of a routing table without its rows."""
    return f"gw:routing-rest:{version}"


CALLS: Final = "gw:calls"


def calls_of(impu: str) -> str:
    """Return the key of the finished calls of a public identity, which is the name of a person."""
    return f"gw:calls-of:{hashlib.sha256(impu.encode()).hexdigest()}"


def finished_call(identifier: str) -> str:
    """Return the key of a finished call."""
    return f"gw:finished-call:{identifier}"


def traces(*, failed: bool) -> str:
    """Return the key of the traced calls."""
    return "gw:traces-failed" if failed else "gw:traces"


def ended_traces(*, failed: bool) -> str:
    """Return the key of those of them that are over."""
    return f"{traces(failed=failed)}-over"


def trace_head(key: str) -> str:
    """Return the key of what is known of a traced call."""
    return f"gw:trace-head:{key}"


def trace(key: str) -> str:
    """Return the key of a traced call's entries."""
    return f"gw:trace:{key}"


WEB: Final = "gw:web:"
WEB_ACCOUNTS: Final = f"{WEB}accounts"
WEB_SIGNING_KEYS: Final = f"{WEB}signing-keys"
WEB_LEASED_AT: Final = f"{WEB}leased-at"
WEB_AUDIT: Final = f"{WEB}audit"
WEB_EVENTS_READ: Final = f"{WEB}events-read"


def web_session(digest: str) -> str:
    """Return the key of a web session."""
    return f"{WEB}session:{digest}"


def web_session_ending(digest: str) -> str:
    """Return the key of a web session that nobody has any more, until everybody who must know has been told."""
    return f"{WEB}session-ending:{digest}"


def web_session_of(sid: str) -> str:
    """Return the key that says which session has a public name."""
    return f"{WEB}session-of:{sid}"


def web_sessions_of(method: str, digest: str) -> str:
    """Return the key of the sessions of somebody who logs in by one method."""
    return f"{WEB}sessions-of:{method}:{digest}"


def web_lease(impi: str) -> str:
    """Return the key of the lease of a pool's identity."""
    return f"{WEB}lease:{impi}"


def web_former_holder(impi: str) -> str:
    """Return the key of the last holder of a pool's identity."""
    return f"{WEB}former-holder:{impi}"


def web_oidc_login(digest: str) -> str:
    """Return the key of a login under way at an OpenID Connect provider."""
    return f"{WEB}oidc-login:{digest}"


def web_attempts(what: str, digest: str) -> str:
    """Return the key that counts attempts of one kind by one party."""
    return f"{WEB}attempts:{what}:{digest}"


def web_login_place(digest: str) -> str:
    """Return the key that says where a name has logged in last."""
    return f"{WEB}login-place:{digest}"


def web_dial(identifier: str) -> str:
    """Return the key of a call that somebody has asked for."""
    return f"{WEB}dial:{identifier}"


def web_lock(name: str) -> str:
    """Return the key of a lock."""
    return f"{WEB}lock:{name}"


def web_listeners(whose: str, digest: str) -> str:
    """Return the key of who listens to events for one party."""
    return f"{WEB}listeners:{whose}:{digest}"
