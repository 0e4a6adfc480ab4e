"""What of a message may be kept: all of it but secrets.

Masked are credentials, nonces and tokens, keys of media, digits and messages of people, where a caller is, and the
names of flows, which whoever knows them could use.  Fingerprints stay: they are public and tell much.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

MASK: Final = "***"

_SCHEMES: Final = frozenset({"digest", "bearer", "basic", "ntlm", "kerberos", "negotiate"})
_HARMLESS: Final = frozenset(
    {
        "username",
        "realm",
        "uri",
        "algorithm",
        "qop",
        "nc",
        "stale",
        "scope",
        "error",
        "integrity-protected",
        "authz_server",
    }
)
"""Parameters of credentials and challenges that are no secret (RFC 3261 §25, RFC 8898, TS 24.229 §7.2A.2)."""
_VALUE: Final = r"([^\n]*(?:\n[ \t][^\n]*)*)"
"""Of a header field, with its further lines."""
_PARAMETER: Final = re.compile(
    r"(?<![\w.!%*+`'~-])([\w.!%*+`'~-]+)\s*=\s*(\"(?:[^\"\\]|\\.)*(?:\"|$)|[^\s,\"]*)"
)
_PLACES: Final = re.compile(r"((?<![\w.+-])(?!cid:)[a-z][\w.+-]*:)[^>\r\n]+", re.IGNORECASE)
"""URIs of Geolocation that say where somebody is, or where that is told (RFC 6442 §4.1)."""
_INLINE: Final = re.compile("inline:", re.IGNORECASE)
_FLOW: Final = r"(?:[\w-]{38,}(?=[@;:])|([\w-]+\.)[0-9a-f]{16}(?=@))"
_FLOWS: Final = re.compile(rf"(sips?:){_FLOW}", re.IGNORECASE)
_HIDDEN: Final = (
    "access[-_]?token|token|(?:proxy-)?authorization|password|passwd|pwd|pin|secret|key|postd|"
    "ck|ik|nonce|response"
)
"""Parameters of URIs; postd is what is dialled once the far end has answered (RFC 2806 §2.2)."""
_PASSWORD: Final = re.compile(r"^(sips?:[^@:]*):[^@]*(?=@)", re.IGNORECASE)
_PARAMETERS: Final = re.compile(rf"[;?&](?:{_HIDDEN})(?:=|%3d)[^;@]*", re.IGNORECASE)
_SERVICE_CODE: Final = r"(?:[*#]|%2[aA3])+\d+"
_AFTER_CODE: Final = re.compile(rf"^((?:sips?|tel):{_SERVICE_CODE})(?:\*|%2a)[^;?@]*", re.IGNORECASE)
"""What follows a service code may be a PIN (TS 22.030 §6.5.2: *SC*SI#), dialled for USSD or for a service."""


class _Secret:
    """Something to be masked.  Most messages have none, so a search for texts that it cannot lack comes first; and one
    that does not care about case takes several times as long."""

    def __init__(self, pattern: str, becomes: str | Callable[[re.Match[str]], str], *hints: str) -> None:
        self._fast = re.compile(pattern, re.MULTILINE)
        self._any_case = re.compile(pattern, re.MULTILINE | re.IGNORECASE)
        self._becomes = becomes
        self.hints = hints

    def masked(self, text: str, lower: str) -> str:
        """Mask it in a text that has one of the hints."""
        for hint in self.hints:
            if text.count(hint) != lower.count(hint):
                return self._any_case.sub(self._becomes, text)
        return self._fast.sub(self._becomes, text)


def _credentials(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() not in _SCHEMES:
        scheme, rest = "", value.strip()
    kept = [
        f"{key}={text if key.lower() in _HARMLESS else MASK}"
        for key, text in _PARAMETER.findall(rest)
        if scheme.lower() in ("", "digest") or key.lower() in _HARMLESS
    ]
    end = "\r" if value.endswith("\r") else ""
    return f"{name} {f'{scheme} ' if scheme else ''}{', '.join(kept) or MASK}{end}"


def _location(found: re.Match[str]) -> str:
    rest = found[2]
    return f"{found[1]}{f';{MASK}' if rest.strip() else ''}{chr(13) if rest.endswith(chr(13)) else ''}"


def _place(found: re.Match[str]) -> str:
    return found[1] + _PLACES.sub(rf"\g<1>{MASK}", found[2])


def _user_part(found: re.Match[str]) -> str:
    scheme, flow, name, is_password = found.groups()
    if name is None:
        return f"{scheme}{flow or ''}{MASK}"
    # Looked at to its end only once: no host follows, and so there is no password, but there may be names of flows.
    return f"{scheme}{name}{MASK}@" if is_password else _FLOWS.sub(_flow, found[0])


def _flow(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2] or ''}{MASK}"


def _media_key(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    if not name.lower().startswith("a=crypto"):
        return name + MASK
    key = _INLINE.search(value)
    return f"{name}{value[: key.end()]}{MASK}" if key is not None else name + MASK


_SECRETS: Final = (
    _Secret(
        rf"^((?:(?:proxy-)?(?:authorization|authenticate|authentication-info)|www-authenticate)[ \t]*:){_VALUE}",
        _credentials,
        "authorization",
        "authenticat",
    ),
    _Secret(r"\b(bearer[ \t]+)[\w.~+/=-]+", rf"\g<1>{MASK}", "bearer"),
    _Secret(
        rf"^((?:p-access|cellular)-network-info[ \t]*:[ \t]*[^;,\s]*){_VALUE}", _location,
        "p-access-network-info", "cellular-network-info",
    ),
    _Secret(rf"^(geolocation[ \t]*:){_VALUE}", _place, "geolocation"),
    # Flow tokens (kemi/core/flow_token.py), our own name at a trunk (kemi/core/trunk/names.py), passwords.  With the
    # scheme before all alternatives it is searched for as a text, which is several times faster.
    _Secret(
        rf"(sips?:)(?:{_FLOW}|([^@:;>\s\"]+:)[^@>\s\"]+(@?))",
        _user_part,
        "sip:",
        "sips:",
    ),
    _Secret(
        rf"([;?&](?:{_HIDDEN})(?:=|%3d))[^;&?>\s\",]+",
        rf"\g<1>{MASK}",
        "token=", "authorization=", "password=", "passwd=", "pwd=", "pin=", "secret=", "key=", "postd=", "ck=", "ik=",
        "nonce=", "response=", "%3d",
    ),
    _Secret(
        rf"(:(?<=(?i:sip|ips|tel):){_SERVICE_CODE})(?:\*|%2[aA])[^;?@>\s\"]*",
        rf"\g<1>*{MASK}",
        ":*", ":#", ":%2a", ":%23",
    ),
)  # fmt: skip
_MEDIA_KEYS: Final = (
    # At the beginning of a line; said behind "a=", which is found much faster than lines are.
    _Secret(
        r"(a=(?<![^\n]a=)(?:crypto|ice-pwd|key-mgmt):)([^\r\n]*)", _media_key,
        "a=crypto:", "a=ice-pwd:", "a=key-mgmt:",
    ),
    _Secret(r"^(k=)([^\r\n]*)", _media_key, "\nk="),
)  # fmt: skip

_EVERYTHING: Final = (*_SECRETS, *_MEDIA_KEYS)
_END_OF_HEAD: Final = re.compile(r"\r?\n\r?\n")
_METHOD: Final = re.compile(r"(?im)^cseq[ \t]*:\s*\d+\s+(\w+)")
_TYPE: Final = re.compile(rf"(?im)^(?:content-type|c)[ \t]*:\s*([^\s;,]+){_VALUE}")
_PERSONAL: Final = frozenset({"INFO", "MESSAGE"})
_DIGITS: Final = (
    "application/kpml-response",
    "application/dtmf",
    "application/vnd.nortelnetworks.digits",
    "application/vnd.3gpp.ussd",
)
"""Keys that somebody pressed, in whatever message: KPML comes by NOTIFY (RFC 4730 §5), USSD by INVITE and BYE, too
(TS 24.390 §4.5), with what the network says to them."""
_PRESENCE: Final = "application/pidf"
"""Where somebody is (RFC 4119), in whatever message."""
_NO_TYPE: Final = "no type"
_OF_BODIES: Final = (*_DIGITS, _PRESENCE)
_OF_PARTS: Final = (*_OF_BODIES, "text/", "message/cpim", _NO_TYPE)
"""Beginnings of types of which nothing is kept; a part without a type is text (RFC 2046 §5.1)."""
_MULTIPART: Final = "multipart/"
_HINTS: Final = ("kpml", "dtmf", "digits", "ussd", "pidf", _MULTIPART)
_BOUNDARY: Final = re.compile(r"(?i)boundary\s*=\s*(?:\"([^\"\n]+)\"|([^\s;,\"]+))")
_MOST_NESTED: Final = 4
_PICTURES: Final = "application/media_control+xml"


def redact_sip(message: str) -> str:
    """Return a SIP message without its secrets; everything else stays as it is, Content-Length too."""
    head, body = _parts(message)
    if body:
        body = _personal(head, body) if _is_personal(head) else _impersonal(head, body)
    # A description has no header fields; behind a head that ends in an odd way somebody may read them nevertheless.
    if body.startswith("v=0") and head.endswith("\r\n\r\n"):
        return _masked(head, _SECRETS) + _masked(body, _MEDIA_KEYS)
    return _masked(head + body, _EVERYTHING if body else _SECRETS)


def redact_sdp(sdp: str) -> str:
    """Return a session description without keys and passwords of its media."""
    return _masked(sdp, _MEDIA_KEYS)


def address_of(uri: str) -> str:
    """Return a URI without its password and secret parameters: whoever calls it back has no use for a mask.

    One stands for what follows a service code: without it that would be another code.
    """
    return _AFTER_CODE.sub(rf"\1*{MASK}", _PARAMETERS.sub("", _PASSWORD.sub(r"\1", uri)))


def name_of(uri: str) -> str:
    """Return a URI as heads of traces have it: nothing of it is a secret, or may be one."""
    return redact_sip(address_of(uri))


def redact_values(values: dict[str, Any]) -> dict[str, Any]:
    """Return the dictionary of an ng command without the digits that it plays."""
    return {**values, "code": MASK} if "code" in values else values


def _masked(text: str, secrets: tuple[_Secret, ...]) -> str:
    lower = text.lower()
    for secret in secrets:
        for hint in secret.hints:
            if hint in lower:
                text = secret.masked(text, lower)
                break
    return text


def _parts(message: str) -> tuple[str, str]:
    """Split head and body; a head that ends in any other way than it should is looked for only where none does."""
    at = message.find("\r\n\r\n")
    end = at + 4 if at >= 0 else len(message)
    if "\n\n" in message or message.count("\n\r\n") > message.count("\r\n\r\n"):
        odd = _END_OF_HEAD.search(message, 0, end)
        end = odd.end() if odd else end
    return message[:end], message[end:]


def _is_personal(head: str) -> bool:
    """Whether a message carries what people typed: digits, or text for each other."""
    if head.partition(" ")[0].upper() in _PERSONAL:
        return True
    upper = head.upper()
    if "INFO" not in upper and "MESSAGE" not in upper:
        return False
    found = _METHOD.search(head)
    return found is not None and found[1].upper() in _PERSONAL


def _personal(head: str, body: str) -> str:
    kind = next(iter(_types(head)))
    return body if kind == _PICTURES else _not_kept(kind, body)


def _types(head: str) -> dict[str, str]:
    """Return the type of a body, in lower case, with its parameters; several where a head says several."""
    return {found[1].lower(): found[2] for found in _TYPE.finditer(head)} or {_NO_TYPE: ""}


def _not_kept(kind: str, body: str) -> str:
    return f"[{len(body)} characters of {kind}, not kept]\r\n"


def _impersonal(head: str, body: str) -> str:
    """Return the body of a message that may carry something personal beside what it is there for."""
    lower = head.lower()
    return _kept(head, body, _OF_BODIES, 0) if any(hint in lower for hint in _HINTS) else body


def _kept(head: str, body: str, personal: tuple[str, ...], nested: int) -> str:
    types = _types(head)
    if any(kind.startswith(personal) for kind in types):
        return _not_kept(next(iter(types)), body)
    whole = next((kind for kind in types if kind.startswith(_MULTIPART)), "")
    if not whole:
        return body
    found = _BOUNDARY.search(types[whole])
    if found is None or nested == _MOST_NESTED:
        return _not_kept(whole, body)
    mark = re.escape(found[1] or found[2])
    pieces = re.split(rf"((?:\A|\r?\n)--{mark}(?:--)?[ \t]*(?=\r?\n|\Z))", body)
    return "".join(piece if place % 2 else _part(piece, nested + 1) for place, piece in enumerate(pieces))


def _part(piece: str, nested: int) -> str:
    head, body = _parts(piece)
    if not body:  # nothing parts the two: any line may be what it carries
        head, body = "", piece
    return head + _kept(head or piece, body, _OF_PARTS, nested) if body.strip() else piece
