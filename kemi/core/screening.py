"""What every message of a page must pass before anything else looks at it.

A page can write any bytes into a WebSocket message.  Whatever one parser could read differently from another one is
refused here, so that nothing hides from us that the core would see.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from kemi.core.decimals import number_or
from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.extensions import NEVER_REFUSED, check_proxy_require
from kemi.core.messages import Request
from kemi.core.services import names_service

_LINES = re.compile(r".*(?:\r\n(?:[\w.!%*+`'~-]+[ \t]*:|[ \t]).*)*", re.ASCII)
"""A start line, and header fields: the first line of one, or the folded rest of one (RFC 3261 §7.3.1).  Here and below
``.`` is three times as fast as what leaves CR out, and does not matter where each CR is before an LF."""
_LENGTH_LINE = re.compile(r"\n(?:content-length|l)[ \t]*:([^\r\n]*)", re.IGNORECASE)
_LENGTH = re.compile(r"\d{0,9}", re.ASCII)
"""Nothing: the number is in the next line, folded."""
_CREDENTIALS = ("authorization", "bearer")
"""What a message that holds credentials has in it, in lower case."""
_JWT_BEGINS = "eyJ"
"""What every JSON Web Token begins with; random identifiers have it in them now and then."""
_START_LINE = re.compile(r"[\w.!%*+`'~-]+ \S+ SIP/2\.0|SIP/2\.0 \d{3} .*", re.ASCII)
_HTTP_REQUEST = re.compile(r"[A-Z]+ \S+ HTTP/1\.[01]")
_PARAMETERS = r"""(?:\s*;\s*[\w.!%*+`'~-]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"<>=]+))?)*\s*"""
_HOST = r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?"
_HOP = rf"SIP\s*/\s*2\.0\s*/\s*(?:WSS|WS|TLS|TCP|UDP|SCTP)\s+{_HOST}{_PARAMETERS}"
_VIA = re.compile(rf"{_HOP}(?:,\s*{_HOP})*", re.ASCII)
_ADDRESS = re.compile(
    rf"""(?:"(?:[^"\\]|\\.)*"\s*|[^"<>;,]*)<[\w.-]+:[^<>\s"]+>{_PARAMETERS}|[\w.-]+:[^<>\s";,]+{_PARAMETERS}"""
)
_PLAIN_VIA = re.compile(r"SIP/2\.0/(\w+) [\w.:\[\]-]+(?:;[\w.!%*+`'~-]+(?:=[\w.!%*+`'~:\[\]-]+)?)*", re.ASCII)
_CSEQ = re.compile(r"\d{1,10}\s+[\w.!%*+`'~-]+", re.ASCII)
_PARSED_AT_ONCE: Final = {
    "via": _VIA,
    "v": _VIA,
    "to": _ADDRESS,
    "t": _ADDRESS,
    "from": _ADDRESS,
    "f": _ADDRESS,
    "cseq": _CSEQ,
    "content-length": re.compile(r"\d{1,9}", re.ASCII),
    "l": re.compile(r"\d{1,9}", re.ASCII),
}
"""Header fields that Kamailio takes apart as soon as it sees them."""
_PARSED_FIELD = re.compile(rf"\n({'|'.join(_PARSED_AT_ONCE)})[ \t]*:(.*)", re.IGNORECASE | re.ASCII)
_PLAIN_FIELDS = re.compile(r"(?:\r\n[A-Za-z][A-Za-z0-9-]*[ \t]*:.*)*", re.ASCII)
"""Header fields with names as Kamailio takes them; other tokens of RFC 3261 it does not."""
_FOLD = re.compile(r"\r\n[ \t]+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE | re.ASCII)
_SIP_URI = re.compile(
    r"sip:(?:[^@]*@)?(?:[\w.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:;[^?]*)?", re.IGNORECASE | re.ASCII
)
_NEVER_OF_PAGES: Final = frozenset({"sec-agree", "multiple-refer"})
"""TS 24.229 §5.2.2.1; and what the call policy would refuse (403) because it cannot read it (RFC 5368)."""
MAX_CSEQ: Final = (1 << 31) - 1
_REQUEST_URI_SCHEMES: Final = ("sip:", "tel:", "urn:")


def has_branch(branch: str) -> bool:
    """Whether a request has the branch that RFC 3261 §8.1.1.7 asks for, so that tm may look for its transaction.

    Without one Kamailio 5.6.3 looks for it as RFC 2543 had it, and so compares with what is not there of a request of
    our own that has the same Call-ID and CSeq number: one message of a page ended the gateway by SIGSEGV.
    """
    return branch.startswith("z9hG4bK")


def check_branch(branch: str) -> None:
    """Raise RemoteProtocolError unless a request has such a branch."""
    if not has_branch(branch):
        raise RemoteProtocolError(
            "The topmost Via has no branch that begins with z9hG4bK (RFC 3261 §8.1.1.7)"
        )


@lru_cache(maxsize=4)
def check_head(head: str) -> None:
    """Check start line and header fields, without the empty line at their end; raise RemoteProtocolError (400).

    One message is checked twice: before Kamailio reads it, and when it is routed.
    """
    if "\0" in head or not head.count("\r\n") == head.count("\n") == head.count("\r"):
        raise RemoteProtocolError("lines end with CR and LF, and there is no NUL in a header field")
    if not _LINES.fullmatch(head):
        raise RemoteProtocolError("a line of the message is no header field")
    lengths = [length.strip() for length in _LENGTH_LINE.findall(head)]
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
        # Asked for it, Kamailio would say that there is none.
        raise RemoteProtocolError("Content-Length is one number")


def check_response(method: str, vias: list[str]) -> None:
    """Take a page's response only with the one Via of ours (RFC 3261 §16.7); with another it would name its own way.

    Ours has no comma.  To Kamailio one begins another Via wherever it is: it knows no angle brackets, and no quotation
    mark that is escaped.  No page is sent a REGISTER: one that answers it would grant itself what the core alone grants
    (TS 24.229 §5.2.2).
    """
    if len(vias) != 1 or "," in vias[0]:
        raise RemoteProtocolError("a page's response has one Via, which is ours")
    if method == "REGISTER":
        raise RemoteProtocolError("no page is asked to register anybody")


def leads_to_page(vias: list[str]) -> bool:
    """Whether the second Via of a response names a WebSocket: where none is open, Kamailio sends nothing.

    Both are without quotation marks and comments, in which Kamailio does not take a comma for the end of one.
    """
    hops = [hop.strip() for value in vias for hop in value.split(",")][:2]
    transports = [plain.group(1) for plain in map(_PLAIN_VIA.fullmatch, hops) if plain is not None]
    return len(transports) == 2 and transports[1] in ("WS", "WSS")


def is_http_response(message: str) -> bool:
    """Whether Kamailio would take a message for a response over HTTP, and so for one of SIP; nobody was asked anything.

    It overlooks empty lines before a message.
    """
    return message.lstrip("\r\n")[:5].upper() == "HTTP/"


def may_be_logged(message: str) -> bool:
    """Whether Kamailio may be given this message: it holds no credentials, or it can be read without trouble.

    What Kamailio cannot parse it writes into its log, whole.  To drop a message ends its connection.
    """
    lower = message.lower()
    if _JWT_BEGINS not in message and not any(word in lower for word in _CREDENTIALS):
        return True
    head = message.partition("\r\n\r\n")[0]
    try:
        check_head(head)
    except RemoteProtocolError:
        return False
    head = _FOLD.sub(" ", head) if "\r\n " in head or "\r\n\t" in head else head
    start_line, end, fields = head.partition("\r\n")
    if not _PLAIN_FIELDS.fullmatch(end + fields):
        return False
    if _HTTP_REQUEST.fullmatch(start_line):  # a handshake, whose cookies may be JSON Web Tokens too
        return True
    if not _START_LINE.fullmatch(start_line):
        return False
    for name, value in _PARSED_FIELD.findall(end + fields):
        pattern = _PARSED_AT_ONCE[name.lower()]
        if not pattern.fullmatch(value.strip()):
            return False
        if pattern is _CSEQ and not _same_method(start_line, value):
            return False
    return True


def _same_method(start_line: str, cseq: str) -> bool:
    return start_line.startswith("SIP/2.0 ") or start_line.partition(" ")[0] == cseq.rsplit(maxsplit=1)[-1]


def check_one_message(body_length: int, content_lengths: list[str], *, has_content_type: bool) -> None:
    """Check that a WebSocket message holds one SIP message and no more (RFC 7118 §5); raise RemoteProtocolError.

    What follows Content-Length would be passed on and read as another request.  Without Content-Length the body goes
    to the end of the WebSocket message, and then it must say what it is.
    """
    if len(content_lengths) > 1:
        raise RemoteProtocolError("more than one Content-Length")
    if content_lengths:
        text = content_lengths[0]
        if number_or(None, text) != body_length:
            raise RemoteProtocolError(
                "Content-Length is not the length of the body: one message in each frame"
            )
    elif body_length and not has_content_type:
        raise RemoteProtocolError("a body without Content-Type")


def check_whole(body_length: int, content_lengths: list[str]) -> None:
    """Check that nothing of a message of the core was cut off (RFC 3261 §18.3); raise RemoteProtocolError."""
    if not all(_LENGTH.fullmatch(length) for length in content_lengths):
        raise RemoteProtocolError("Content-Length is one number")
    if content_lengths and number_or(0, content_lengths[0]) > body_length:
        raise RemoteProtocolError("the message is shorter than its Content-Length says")


def check_form(request: Request) -> None:
    """Check what we and the core read of a page's request, as RFC 3261 writes it; raise RemoteProtocolError (400)."""
    scheme = _SCHEME.match(request.request_uri)
    if not scheme or (scheme.group().lower() == "sip:" and not _SIP_URI.fullmatch(request.request_uri)):
        raise RemoteProtocolError("the Request-URI is no URI without header fields (RFC 3261 §19.1.1)")
    if request.cseq > MAX_CSEQ:
        raise RemoteProtocolError("the number of CSeq is too large (RFC 3261 §8.1.1.5)")
    for value in request.headers("CSeq"):
        if not _CSEQ.fullmatch(value) or not _same_method(request.method, value):
            raise RemoteProtocolError("CSeq is no number with this method (RFC 3261 §8.1.1.5)")
    for name in ("From", "To"):
        if not all(_ADDRESS.fullmatch(value) for value in request.headers(name)):
            raise RemoteProtocolError(f"{name} is no address (RFC 3261 §25.1)")
    for name in ("Content-Type", "Content-Disposition"):
        if len(request.headers(name)) > 1:  # we read the first, others the last one
            raise RemoteProtocolError(f"{name} is there twice (RFC 3261 §7.3.1)")
    if "<" not in request.contact and "?" in request.contact:
        raise RemoteProtocolError("a Contact with a question mark stands in angle brackets (RFC 3261 §20.10)")


def screen(request: Request) -> None:
    """Refuse a page's request that is malformed or asks for what we do not do; raise SipReject (400, 416, 420)."""
    check_form(request)
    if request.method in NEVER_REFUSED:
        return
    check_proxy_require(request, *(request.tokens("Require") & _NEVER_OF_PAGES))
    uri = request.request_uri.lower()
    if not uri.startswith(_REQUEST_URI_SCHEMES) or (uri.startswith("urn:") and not names_service(uri)):
        raise SipReject(
            "only sip:, tel: and urn:service: are called from here",
            status=416,
            reason_phrase="Unsupported URI Scheme",
        )
