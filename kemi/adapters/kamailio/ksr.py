"""Messages as Kamailio has them: typed, safe access.

With transactions.py, htable.py, connections.py, contacts.py and figures.py the only modules that import KSR.

``KSR.pv.get`` of app_python3 5.6 decodes strictly as UTF-8: text from the network is read so that any bytes come
through.  Functions take positional ``str`` and ``int`` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import KSR

from kemi.adapters.kamailio.facts import FACTS
from kemi.adapters.monitoring.trace_notes import NOTES
from kemi.core.bodies import CARRIERS, SDP, Body, describe
from kemi.core.decimals import number_or
from kemi.core.errors import RemoteProtocolError
from kemi.core.header_fields import Fields, fields_from_head
from kemi.core.header_names import COMPACT_FORMS_OF_EXTENSIONS
from kemi.core.messages import Message, Reply, Request, Side, with_tag

_pv = KSR.pv.get
_REPLACEMENT = "\ufffd"
_OF_REQUEST = ("$ci", "$ft", "$tt", "$ct", "$ru", "$fu", "$tu")
_OF_REPLY = ("$ci", "$ft", "$tt", "$ct", "$rr")
_OF_BODY = ("Content-Disposition", "Content-Encoding")
WS_PROTOCOLS = frozenset({"ws", "wss"})


# ---------------------------------------------------------------- reading


def text(variable: str) -> str:
    """Return a pseudo-variable as text, "" when it is unset; bytes that are not UTF-8 are replaced.

    Raises RemoteProtocolError for one that is not UTF-8 and longer than Kamailio hands over.
    """
    try:
        value = _pv(variable)
    except UnicodeDecodeError:
        return _bytes(variable).decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    return "" if value is None else str(value)


def _bytes(variable: str) -> bytes:
    """Return a pseudo-variable that is no UTF-8."""
    inner = variable[1:] if not variable.startswith("$(") else variable[2:-1]
    digits = KSR.pv.get(f"$({inner}{{s.encode.hexa}})")
    if not isinstance(digits, str):  # Kamailio has room for the digits of 32,767 bytes (pv_trans.c)
        raise RemoteProtocolError("there is more of what is no UTF-8 than can be read")
    return bytes.fromhex(digits)


def _texts(variables: tuple[str, ...]) -> list[str]:
    """Return several pseudo-variables that hold text; together, for each is asked of every message."""
    try:
        values = [_pv(variable) for variable in variables]
    except UnicodeDecodeError:
        return [text(variable) for variable in variables]
    return ["" if value is None else str(value) for value in values]


def number(variable: str) -> int:
    """Return a pseudo-variable as a number, 0 when it is unset or no number."""
    try:
        value = _pv(variable)
    except UnicodeDecodeError:  # a CSeq may begin with a number and go on with any bytes
        return number_or(0, text(variable))
    if isinstance(value, int):
        return value
    return number_or(0, value) if isinstance(value, str) else 0


def headers(name: str) -> list[str]:
    """Return the values of all header fields ``name`` of the current message, unfolded, in order.

    Raises RemoteProtocolError for a message that could be read in two ways; none that Border admits is one.
    """
    return (FACTS.known.fields or _fields()).values(name)


def _fields() -> Fields:
    found = FACTS.known.fields = fields_from_head(head())
    return found


def branch() -> str:
    """Return the branch of the topmost Via as Kamailio reads it, "" without one."""
    return text("$sel(via[1].branch)")


def head() -> str:
    """Return start line and header fields of the current message as they came, without the empty line behind them."""
    found = FACTS.known.head
    if found is None:
        found = FACTS.known.head = text("$mb").partition("\r\n\r\n")[0]
    return found


def received() -> str | None:
    """Return a message as it came in, before Kamailio has parsed it; None where it cannot be read."""
    try:
        return text("$rcv(buf)")
    except RemoteProtocolError:
        return None


def whole() -> str:
    """Return the current message as it came; of one that is just leaving, as it leaves."""
    return text("$mb")


def body_length() -> int:
    """Return how many bytes follow the header fields, whatever Content-Length says."""
    found = FACTS.known.body_length
    if found is None:
        found = FACTS.known.body_length = number("$bs")
    return found


def received_port() -> int:
    """Return the port of ours that the current message came in on."""
    return number("$Rp")


def source_address() -> str:
    """Return the IP address of the current message's sender."""
    found = FACTS.known.source_address
    if found is None:
        found = FACTS.known.source_address = text("$si")
    return found


def side() -> Side:
    """Return where the current message comes from: pages speak WebSocket, the core never does."""
    found = FACTS.known.side
    if found is None:
        found = FACTS.known.side = Side.WIC if text("$pr") in WS_PROTOCOLS else Side.IMS
    return found


def method() -> str:
    """Return the method of the current request, or of the current reply's CSeq."""
    found = FACTS.known.method
    if found is None:
        found = FACTS.known.method = text("$rm")
    return found


def status() -> int:
    """Return the status of the current reply."""
    found = FACTS.known.status
    if found is None:
        found = FACTS.known.status = number("$rs")
    return found


def call_id() -> str:
    """Return the Call-ID of the current message."""
    return text("$ci")


def connection_id() -> str:
    """Return the id of the WebSocket connection, also in the events of a closed one."""
    return text("$ws_conid")


def source() -> str:
    """Return ``address:port`` of the current message's sender."""
    address = source_address()
    return f"[{address}]:{text('$sp')}" if ":" in address else f"{address}:{text('$sp')}"


def ends() -> tuple[str, str, int, str, int]:
    """Return protocol, our own address and port, and the sender's, of a message that was not parsed yet."""
    ours = text("$rcv(rcvip)"), number("$rcv(rcvport)")
    return text("$rcv(sproto)").lower(), *ours, text("$rcv(srcip)"), number("$rcv(srcport)")


def has_body() -> bool:
    """Whether the current message has a body.

    Kamailio's own answer is no without Content-Length, which a page may leave out (RFC 7118 §5).
    """
    found = FACTS.known.has_body
    if found is None:
        found = FACTS.known.has_body = body_length() > 0 and (
            KSR.textops.has_body() > 0 or (not headers("Content-Length") and text("$rb") != "")
        )
    return found


def body() -> Body:
    """Return the body of the current message as it came; of one whose bytes are no text it is asked again."""
    found = FACTS.known.body
    if found is None:
        found = FACTS.known.body = _body()
    return found


def _body() -> Body:
    try:
        content = str(KSR.pv.get("$rb") or "").encode()
    except UnicodeDecodeError:
        content = _bytes("$rb")
    disposition, encoding = headers("Content-Disposition"), headers("Content-Encoding")
    return Body(content, text("$cT"), "".join(disposition[:1]), ",".join(encoding))


def _fill(message: Message) -> None:
    if not has_body():
        return
    found = body()
    if message.method in CARRIERS and not found.is_plain:
        describe(message, found)
        return
    message.body = found.content.decode("utf-8", "replace")
    message.content_type = found.content_type


def request() -> Request:
    """Return the current request."""
    call_id_, from_tag, to_tag, contact, request_uri, from_uri, to_uri = _texts(_OF_REQUEST)
    found = Request(
        side=side(),
        method=method(),
        call_id=call_id_,
        from_tag=from_tag,
        to_tag=to_tag,
        cseq=number("$cs"),
        contact=contact,
        headers=headers,
        request_uri=request_uri or head().partition("\r\n")[0].partition(" ")[2].rpartition(" ")[0],
        from_uri=from_uri,
        to_uri=to_uri,
        source=source(),
    )
    if found.side is Side.WIC:
        found.connection_id = connection_id()
    _fill(found)
    return found


def reply() -> Reply:
    """Return the current reply."""
    call_id_, from_tag, to_tag, contact, reason_phrase = _texts(_OF_REPLY)
    found = Reply(
        side=side(),
        method=method(),
        call_id=call_id_,
        from_tag=from_tag,
        to_tag=to_tag,
        cseq=number("$cs"),
        contact=contact,
        headers=headers,
        status=status(),
        reason_phrase=reason_phrase,
    )
    _fill(found)
    return found


# ---------------------------------------------------------------- changing the current message


def set_request_uri(uri: str) -> None:
    """Set the Request-URI."""
    KSR.pv.sets("$ru", uri)


def set_next_hop(uri: str) -> None:
    """Set where the request is sent, whatever its Request-URI says."""
    KSR.pv.sets("$du", uri)
    NOTES.sent_to(uri)


def set_send_socket(socket: str) -> None:
    """Set the socket the request leaves by."""
    KSR.corex.set_send_socket(socket)


def set_tag(header: str, tag: str) -> None:
    """Replace the tag of From or To; "" takes it away.  Raises RemoteProtocolError for a tag that is no token."""
    value = text(f"$hdr({header})")
    retagged = with_tag(value, tag)
    if not value or _REPLACEMENT in value:  # bytes that are not UTF-8 must come through as they are
        KSR.textops.subst_hf(header, f"/;tag=[^;> ]+/{';tag=' + tag if tag else ''}/i", "a")
        return
    # Removed and written anew: a substitution would compile an expression for every message.
    replace_header(header, retagged)


def add_to_tag(tag: str) -> bool:
    """Put a To-tag into the request itself, at once, so that every local reply carries it."""
    set_tag("To", tag)
    return _apply()


def replace_header(name: str, value: str) -> None:
    """Write a header field anew."""
    KSR.hdr.remove(name)
    KSR.hdr.append(f"{name}: {value}\r\n")


def set_cseq(value: int) -> None:
    """Replace the number in CSeq."""
    KSR.hdr.remove("CSeq")
    KSR.hdr.append(f"CSeq: {value} {method()}\r\n")


def remove_headers(names: tuple[str, ...]) -> None:
    """Remove all header fields of these names; asks Kamailio only for those that are there."""
    for name in (FACTS.known.fields or _fields()).present(names):
        KSR.hdr.remove(name)
        compact = COMPACT_FORMS_OF_EXTENSIONS.get(name.lower())
        if compact is not None:
            KSR.hdr.remove(compact)


def append_headers(lines: Iterable[str]) -> None:
    """Add header lines after the others, in this order."""
    KSR.hdr.append(_block(lines))


def add_at_once(lines: Iterable[str]) -> None:
    """Add header lines as if they had come with the message."""
    if block := _block(lines):
        KSR.hdr.append(block)
        _apply()


def _block(lines: Iterable[str]) -> str:
    joined = "\r\n".join(lines)
    return joined and f"{joined}\r\n"


def apply_changes() -> None:
    """Make what was changed of the current request the request itself; only in its own route."""
    _apply()


def _apply() -> bool:
    FACTS.forget()
    return KSR.textopsx.msg_apply_changes() > 0


def insert_headers(lines: Iterable[str]) -> None:
    """Add header lines before the others, in this order."""
    KSR.hdr.insert(_block(lines))


def set_body(content: str, content_type: str = SDP) -> None:
    """Replace the body, by a session description unless told otherwise."""
    KSR.textops.set_body(content, content_type)
    remove_headers(_OF_BODY)


def remove_body() -> None:
    """Take the body away."""
    if has_body():
        KSR.textopsx.remove_body()
        remove_headers(("Content-Type", *_OF_BODY))


def exchange_in_body(old: str, new: str) -> None:
    """Replace a text that is once in the body; every other byte stays."""
    KSR.textops.replace_body_str(old, new, "f")


def hide_vias() -> str:
    """Let the current request go on with no Via but the one tm adds; return the message as it was.

    tm writes received and rport into the topmost Via, as a parameter of whatever stands there.  With a Via of the very
    address the request came from it has no reason to (received_test in Kamailio's msg_translator.c), and this Via can
    be removed like any other header field.  Responses to the request must have been asked for before: those made from
    the current message would carry the wrong Via, those of its transaction carry the right ones.

    It has a branch, or tm would look for the transaction of an ACK as RFC 2543 had it, and compare with the From of
    each request of ours that has the Call-ID and CSeq number of the ACK.  Where its responses were asked for, that is
    not parsed, and Kamailio 5.6.3 ended by SIGSEGV (t_lookup_request).
    """
    original = text("$mb")
    address = text("$si")
    KSR.hdr.remove("Via")
    host = f"[{address}]" if ":" in address else address
    KSR.hdr.insert(f"Via: SIP/2.0/UDP {host};branch=z9hG4bK-hidden\r\n")
    _apply()
    KSR.hdr.remove("Via")
    return original


def leave_vias_out() -> None:
    """The same for a request that was suspended, in whose place tm has a copy that cannot be changed at once.

    What tm writes into the topmost Via falls away with it (process_lumps in Kamailio's msg_translator.c passes over
    changes inside of what was removed); the Via of our own stays.  Responses are made of the transaction's own message.
    """
    KSR.hdr.remove("Via")


def restore(original: str) -> None:
    """Make the current request again what it was before ``hide_vias``."""
    KSR.textopsx.msg_set_buffer(original)
    FACTS.forget()


def add_vias(values: Iterable[str]) -> None:
    """Write further Via header fields behind the topmost one of a response, at once: responses that come after the
    end of their transaction are routed by what is written there."""
    KSR.hdr.append_after("".join(f"Via: {value}\r\n" for value in values), "Via")
    _apply()
    FACTS.is_led_back = True


def drop() -> None:
    """Drop the current reply, or a message that was just received."""
    KSR.set_drop()


def force_rport() -> None:
    """Answer to where the request came from; late retransmissions reach a WebSocket only so."""
    KSR.force_rport()


def change_status(status: int, reason_phrase: str) -> None:
    """Give the current reply another status, before tm sees it."""
    KSR.textopsx.change_reply_status(status, reason_phrase)
    FACTS.known.status = None


# ---------------------------------------------------------------- logs


def log_verbosity() -> int:
    """Return Kamailio's debug level of this moment: 2 writes info, 1 notices, 0 warnings."""
    return KSR.get_debug()


LOG_FUNCTIONS: dict[str, Callable[[str], None]] = {
    "debug": KSR.dbg,
    "info": KSR.info,
    "notice": KSR.notice,
    "warning": KSR.warn,
    "error": KSR.err,
}
"""Level -> Kamailio's own log function."""
