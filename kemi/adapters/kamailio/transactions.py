"""tm as the adapters use it: transactions of the current message, and requests of our own.

Messages themselves are read and changed in ksr.py.
"""

from __future__ import annotations

import KSR

from kemi.adapters.kamailio import ksr
from kemi.adapters.kamailio.facts import FACTS
from kemi.adapters.monitoring.trace_notes import NOTES

LONGEST_S = 32.0
"""How long a request is sent again at most (64*T1, RFC 3261 §17.1.2.2).

A BYE to either side: who never hears of it goes on paying for the call.  All that a call wants of the far end: that it
is silent for so long means that the dialog is gone (§12.2.1.2).
"""

_LONGEST_CALL_ID = 1000
"""Bytes that ``tmx.t_reply_callid`` has room for, with name and line end."""


def max_forwards_ok() -> bool:
    """Count Max-Forwards down; False when it is used up."""
    return KSR.maxfwd.process_maxfwd(70) > 0


def new_transaction() -> tuple[int, int] | None:
    """Create the server transaction of the current request and return its name.

    None when that fails, or when there is one of this branch already, which another worker has begun meanwhile.  That
    is the current one from then on for tm, and whatever is answered would be the answer to the other message: this one
    is answered no more, tm has repeated what that was told.
    """
    created = KSR.tm.t_newtran()
    FACTS.known.is_repeated = created == 0
    if created <= 0:
        return None
    return int(KSR.pv.get("$T(id_index)") or 0), int(KSR.pv.get("$T(id_label)") or 0)


def current() -> tuple[int, int] | None:
    """Return the name of the transaction of the current message; None when it has none."""
    index, label = KSR.pv.get("$T(id_index)"), KSR.pv.get("$T(id_label)")
    return None if index is None or label is None else (int(index), int(label))


def transaction_state() -> int:
    """Return > 0 when the current request belongs to a transaction, 0 when it is an absorbed ACK, < 0 otherwise."""
    return KSR.tm.t_check_trans()


def has_transaction() -> bool:
    """Whether the current message already has a transaction of ours."""
    return KSR.pv.get("$T(id_index)") is not None


def suspend(guard_s: float, failure_callback: str) -> bool:
    """Suspend the current transaction; after ``guard_s`` the failure callback runs."""
    KSR.tm.t_set_fr(0, int(guard_s * 1000))
    KSR.tm.t_on_failure(failure_callback)
    return KSR.tmx.t_suspend() >= 0


def resume(transaction: tuple[int, int], callback: str) -> bool:
    """Run ``callback`` inside a suspended transaction."""
    return KSR.tmx.t_continue(transaction[0], transaction[1], callback) >= 0


def on_failure(callback: str) -> None:
    """Ask to be called when the request that is forwarded next gets no 2xx."""
    KSR.tm.t_on_failure(callback)


def relay() -> bool:
    """Forward the current request statefully."""
    return KSR.tm.t_relay() > 0


def relay_within(response_timeout_s: float, answer_timeout_s: float = 0) -> bool:
    """Forward the current request statefully; without a response in this time the failure callback runs.

    ``answer_timeout_s``: an INVITE's time from a provisional response to the final one; 0: as Kamailio is set.
    """
    KSR.tm.t_set_fr(int(answer_timeout_s * 1000), int(response_timeout_s * 1000))
    return KSR.tm.t_relay() > 0


def relay_patiently() -> bool:
    """Forward the current request of a dialog statefully, and again for as long as anybody may."""
    return relay_within(LONGEST_S)


def forget_replies() -> None:
    """Inside a failure callback: what was answered so far shall not become the answer of what is tried next."""
    KSR.tm.t_drop_replies_all()


def has_heard() -> bool:
    """Inside a failure callback: whether the branch that failed had got any response before."""
    return KSR.tm.t_branch_replied() > 0


def relay_invite(failure_callback: str, response_timeout_s: float, answer_timeout_s: float) -> bool:
    """Forward the current INVITE; CANCEL and ACK of this branch are built without our To-tag."""
    KSR.tm.t_set_fr(int(answer_timeout_s * 1000), int(response_timeout_s * 1000))
    KSR.tm.t_on_failure(failure_callback)
    KSR.tm.t_use_uac_headers()
    return KSR.tm.t_relay() > 0


def keep(text: str) -> None:
    """Keep a text with the transaction of the current request, which is to be made or there already."""
    KSR.pv.sets("$avp(kept)", text)


def kept() -> str:
    """Inside a failure callback: return the text that was kept, "" without one."""
    return ksr.text("$avp(kept)")


def reply_in_transaction(
    status: int, reason_phrase: str, lines: tuple[str, ...], body: str, content_type: str = ""
) -> bool:
    """Answer within the transaction; ``content_type``: of a body that is no session description."""
    if FACTS.known.is_repeated:
        return True
    _prepare_reply(lines, body, content_type)
    return KSR.tm.t_reply(status, reason_phrase) > 0


def reply_by_call_id(call_id_: str, cseq: int, status: int, reason_phrase: str) -> bool:
    """Answer an INVITE under way from outside its transaction; its branches end without a failure callback.

    False when tm has none, or cannot look for it: 5.6.3 writes the Call-ID into 1,024 bytes of its stack, unchecked.
    """
    if len(call_id_.encode()) > _LONGEST_CALL_ID:
        return False
    return KSR.tmx.t_reply_callid(call_id_, str(cseq), status, reason_phrase) > 0


def reply_statelessly(
    status: int, reason_phrase: str, lines: tuple[str, ...], body: str, content_type: str = ""
) -> bool:
    """Answer without a transaction; False when Kamailio cannot read what of the request the answer repeats."""
    if FACTS.known.is_repeated:
        return True
    _prepare_reply(lines, body, content_type)
    return KSR.sl.send_reply(status, reason_phrase) > 0


def _prepare_reply(lines: tuple[str, ...], body: str, content_type: str = "") -> None:
    if lines:
        KSR.hdr.append_to_reply("".join(f"{line}\r\n" for line in lines))
    if body:
        KSR.textops.set_reply_body(body, content_type or "application/sdp")


def send_request(
    method_: str, uri: str, next_hop: str, socket: str, lines: tuple[str, ...], body: str
) -> bool:
    """Send a request of our own; From, To, Call-ID and CSeq are among the lines."""
    NOTES.sent_to(next_hop or uri)
    return (
        KSR.tm.t_uac_send(method_, uri, next_hop, socket, "".join(f"{line}\r\n" for line in lines), body) > 0
    )


def repeat_patiently() -> None:
    """Inside tm's event for a request of our own: let it be sent again for as long as anybody may."""
    KSR.tm.t_set_fr(0, int(LONGEST_S * 1000))


def on_local_request(reply_callback: str, failure_callback: str) -> None:
    """Inside tm's event for a request of our own: ask for its replies."""
    KSR.tm.t_on_reply(reply_callback)
    KSR.tm.t_on_failure(failure_callback)


def send_to_ourselves(own_uri: str, start_line: str, lines: tuple[str, ...], body: str = "") -> bool:
    """Send our own socket a message about an INVITE we forwarded: the sender's CANCEL, or the next hop's response.

    tm finds the transaction by the topmost Via.  No function of 5.6 does it from another process: tmx.t_cancel_callid
    compares Call-ID and CSeq number but no method, so it finds our UPDATE instead of an INVITE with the same number,
    and it never gives back its reference to what it found; tmx.t_reply_callid takes any fork of the Call-ID.
    """
    head = "".join(f"{line}\r\n" for line in lines)
    length = f"Content-Length: {len(body.encode())}"
    return send_text_to_ourselves(own_uri, f"{start_line}\r\n{head}{length}\r\n\r\n{body}")


def send_text_to_ourselves(own_uri: str, text: str) -> bool:
    """The same with a whole message."""
    NOTES.sent_to(own_uri)
    return KSR.corex.send_data(own_uri, text) > 0


def is_cancelled() -> bool:
    """Whether the current transaction was cancelled by its sender."""
    return KSR.tm.t_is_canceled() > 0


def tag_of_cancelled() -> str:
    """Return our tag in the INVITE that the current CANCEL is for, which itself has none."""
    return ksr.text("$T_inv($tt)")


def cancels_own_invite() -> bool:
    """Whether the current CANCEL comes from where its INVITE came from; of what else names a page's connection, a
    transaction keeps nothing."""
    return all(ksr.text(f"$T_inv({what})") == ksr.text(what) for what in ("$si", "$sp"))


def is_refused_by_page() -> bool:
    """Whether the response of which the current failure callback tells came over a WebSocket.

    tm knows a response by a branch that whoever sent the request can compute: a page that answers its own request, or
    helps another one, is no word of the core.
    """
    return ksr.text("$T_rpl($pr)") in ksr.WS_PROTOCOLS


def asks_for_registration() -> bool:
    """Whether the 504 of which the current failure callback tells wants its page to register (TS 24.229 §7.6): the core
    says who it is, and lets nobody outside say that."""
    said, by = (ksr.text(f"$T_rpl({what})") for what in ("$rb", "$hdr(P-Asserted-Identity)"))
    return "initial-registration" in said and bool(by)


def is_local_timeout() -> bool:
    """Whether nobody answered the current transaction's branch."""
    return KSR.tm.t_branch_timeout() > 0


def transaction_status() -> int:
    """Return the status the current transaction is about to end with."""
    return ksr.number("$T_reply_code")
