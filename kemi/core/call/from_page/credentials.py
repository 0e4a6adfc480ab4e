"""Who we are to a trunk: its challenges, and our answers in the requests of a call (RFC 3261 §22, RFC 8760).

The password is in the site's settings alone; a record has the challenge, and a message our answer to it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call.events import ForwardChallenged, OwnRequestChallenged
from kemi.core.call.from_page.outbound import Asked, Outbound, SaidInInvite
from kemi.core.call.record import CallRecord, Offerer
from kemi.core.call.settings import CallSettings
from kemi.core.errors import RemoteProtocolError
from kemi.core.messages import Reply, Side
from kemi.core.trunk.digest import Credentials, authorization, challenge_from_values
from kemi.core.trunk.trunk import Trunk

CHALLENGES: Final = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}
_OURS: Final = ("Authorization:", "Proxy-Authorization:")


def asked_by(reply: Reply) -> Asked:
    """Read what a 401 or 407 asks; raise RemoteProtocolError for a challenge that nobody can answer."""
    values = reply.headers(CHALLENGES[reply.status])
    challenge_from_values(values)
    return Asked(list(values), reply.status == 407)


def is_stale(asked: Asked) -> bool:
    """Whether only the nonce was too old."""
    return challenge_from_values(asked.values).stale


def line(asked: Asked, trunk: Trunk, method: str, uri: str) -> str:
    """Return our answer in one more request; counts it."""
    asked.count += 1
    return _line(asked, trunk, method, uri)


def _line(asked: Asked, trunk: Trunk, method: str, uri: str) -> str:
    challenge = challenge_from_values(asked.values)
    # drawn by whoever drew the nonce: another one for each, and nobody has to remember it
    cnonce = hashlib.sha256(f"{challenge.nonce} {trunk.user} {trunk.password}".encode()).hexdigest()[:16]
    credentials = Credentials(trunk.user, trunk.password)
    value = authorization(challenge, credentials, method, uri, cnonce=cnonce, count=asked.count)
    return f"{'Proxy-' if asked.by_proxy else ''}Authorization: {value}"


def login(outbound: Outbound | None, settings: CallSettings) -> Trunk | None:
    """Return the call's trunk where we have a user there; None: its challenges are not answered.

    An answered call outlives a restart, and the site may have lost or renamed its trunk with it.
    """
    trunk = settings.trunks.get(outbound.trunk) if outbound is not None else None
    return trunk if trunk is not None and trunk.user else None


def lines(record: CallRecord, method: str, uri: str, cseq: int, settings: CallSettings) -> tuple[str, ...]:
    """Return our answer to what the call's trunk asked last, for one more request; () where it has not asked.

    An ACK, which nobody can challenge, has that of its INVITE (RFC 3261 §22.1).
    """
    outbound, trunk = record.trunk, login(record.trunk, settings)
    if outbound is None or outbound.asked is None or trunk is None or method == "CANCEL":
        return ()
    if method == "ACK":
        said = outbound.in_invite
        return (_line(said.asked, trunk, "INVITE", said.uri),) if said and said.cseq == cseq else ()
    given = line(outbound.asked, trunk, method, uri)
    _remember(outbound, outbound.asked, method, uri, cseq)
    return (given,)


def _remember(outbound: Outbound, asked: Asked, method: str, uri: str, cseq: int) -> None:
    if method == "INVITE":
        outbound.in_invite = SaidInInvite(cseq, uri, replace(asked))


def sent(record: CallRecord, actions: Sequence[act.Action], settings: CallSettings) -> list[act.Action]:
    """Let requests of a call to its trunk be sent again should it ask who sends them; those of ours say so at once."""
    outbound = record.trunk
    if outbound is None or login(outbound, settings) is None:
        return list(actions)
    dressed: list[act.Action] = []
    for one in actions:
        if isinstance(one, act.ForwardRequest) and one.to is Side.IMS:
            dressed.append(replace(one, trunk=outbound.trunk))
        elif isinstance(one, act.SendRequest) and _is_for_trunk(one):
            further = lines(record, one.method, one.request_uri, _cseq(one), settings)
            name = outbound.trunk if one.method != "ACK" else ""
            dressed.append(replace(one, trunk=name, headers=(*one.headers, *further)))
        else:
            dressed.append(one)
    return dressed


def _is_for_trunk(request: act.SendRequest) -> bool:
    """Whether this request of our own is for the call's trunk, and does not say who we are yet."""
    says = any(line.startswith(_OURS) for line in request.headers)
    return request.to is Side.IMS and not request.to_former and not request.trunk and not says


def _cseq(request: act.SendRequest) -> int:
    """Return the number of a request of our own."""
    values = (line.split() for line in request.headers if line.startswith("CSeq: "))
    return next((int(number) for _, number, _ in values), 0)


# ---------------------------------------------------------------- a request inside the dialog is challenged


def on_reply(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action] | None:
    """Take a challenge of a forwarded request, which is answered once tm has it; None: it is no such response."""
    outbound = record.trunk
    if outbound is None or reply.status not in CHALLENGES or login(outbound, settings) is None:
        return None
    if reply.cseq == outbound.answered_cseq:
        return None  # our answer was not good
    try:
        outbound.asked = asked_by(reply)
    except RemoteProtocolError:
        return None
    return [act.ForwardReply(act.MessageEdits())]


def on_forward_challenged(
    record: CallRecord, event: ForwardChallenged, settings: CallSettings
) -> list[act.Action]:
    """Send the page's request once more, with credentials and a number of its own (RFC 3261 §22.2)."""
    outbound, edits = record.trunk, event.forward.edits
    if outbound is None or outbound.asked is None:
        return []
    uri = edits.request_uri or ""
    cseq = outbound.answered_cseq = record.next_ims_cseq()
    record.to_core = {ours: page for ours, page in record.to_core.items() if page != event.cseq}
    record.to_core[str(cseq)] = event.cseq
    if event.method == "INVITE":
        record.last_invite = (event.cseq, cseq)
    insert = tuple(one for one in edits.insert if not one.startswith(_OURS))
    insert += lines(record, event.method, uri, cseq, settings)
    return [
        _note(outbound, event.method),
        replace(event.forward, edits=replace(edits, cseq=cseq, insert=insert), again=True),
    ]


def on_own_challenged(
    record: CallRecord, event: OwnRequestChallenged, settings: CallSettings
) -> list[act.Action]:
    """The same for a request of our own."""
    outbound, trunk = record.trunk, login(record.trunk, settings)
    if outbound is None or trunk is None:
        return []
    outbound.asked = asked_by(event.reply)
    cseq = outbound.answered_cseq = record.next_ims_cseq()
    if record.own_refresh.cseq == event.cseq:
        record.own_refresh.cseq = cseq
    if record.own_ims_offer == event.cseq:
        record.own_ims_offer = cseq
    opened = record.exchange
    if opened is not None and (opened.offerer, opened.cseq) == (Offerer.GATEWAY_TO_IMS, event.cseq):
        opened.cseq = cseq
    if record.recovery is not None and record.recovery.core_cseq == event.cseq:
        record.recovery.core_cseq = cseq
    again = once_more(event.request, cseq, outbound.asked, trunk)
    _remember(outbound, outbound.asked, again.method, again.request_uri, cseq)
    return [_note(outbound, again.method), again]


def once_more(request: act.SendRequest, cseq: int, asked: Asked, trunk: Trunk) -> act.SendRequest:
    """Return a request of ours as it answers a challenge; a second one ends it."""
    kept = (one for one in request.headers if not one.startswith((*_OURS, "CSeq:")))
    answer = line(asked, trunk, request.method, request.request_uri)
    return replace(request, headers=(*kept, f"CSeq: {cseq} {request.method}", answer), trunk="")


def _note(outbound: Outbound, method: str) -> act.Note:
    return act.Note("trunk_asked", logging.DEBUG, {"trunk": outbound.trunk, "method": method})
