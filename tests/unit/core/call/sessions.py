"""Calls with session timers (RFC 4028)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Reply, Side
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import CALL_ID, WIC_TAG, Call, header_reader, invite

PAGE = {"Allow": ["INVITE, ACK, CANCEL, BYE, UPDATE"], "Supported": ["timer, outbound"]}
Fields = Mapping[str, Iterable[str]]


def waits(actions: Iterable[act.Action]) -> dict[str, float]:
    """Return what is waited for, and how long."""
    return {action.due.value: action.delay_s for action in actions if isinstance(action, act.Schedule)}


def lines(edits: act.MessageEdits, name: str) -> list[str]:
    """Return the values of the lines of that name that are added."""
    return [line.partition(": ")[2] for line in edits.insert if line.startswith(f"{name}: ")]


def answered(fields: Fields, *, page: Fields = PAGE, kinds: tuple[str, ...] = ("audio",)) -> Call:
    """The core answers with these header fields."""
    call = Call(invite(sdp.chromium("av-sendrecv" if "video" in kinds else "audio-sendrecv"), page))
    call.on(ev.TransactionCreated(1, 2))
    call.reserved()
    reply = call.ims_reply(200, body=sdp.core_answer(*kinds)).reply
    shown = header_reader({"Record-Route": [], **fields})
    reply = replace(reply, headers=shown)
    call.on(ev.ImsReply(reply))
    clocks = list(call.actions)
    call.on(ev.MediaConnected(reply))
    call.actions.extend(clocks)
    return call


def own_answer(call: Call, status: int, fields: Fields | None = None) -> ev.OwnRequestAnswered:
    """The core's response to our newest refresh."""
    request = call.actions.only(act.SendRequest)
    cseq = call.record.own_refresh.cseq
    reply = Reply(Side.IMS, request.method, CALL_ID, WIC_TAG, "core1", cseq, status=status)
    reply.headers = header_reader(fields or {})
    return ev.OwnRequestAnswered(Side.IMS, request.method, cseq, status, reply, None, 0.5)
