"""Who a page is to the network, and whom it calls (TS 24.229 §5.2.6.3, §5.1.2A.1; RFC 3325 §9.2).

An identity that goes into a header field of ours is always the one the core or the access token named, never the text
the page wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from kemi.core.errors import SipReject
from kemi.core.messages import addresses_from_headers, uri_from_address
from kemi.core.trust import without_routing_parameters

ANONYMOUS: Final = "sip:anonymous@anonymous.invalid"
"""From of a caller who withholds an identity (RFC 3323 §4.1.1.3)."""

_SIP = re.compile(
    r"(sips?):([^@:]+)@(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d+)?((?:;[^?]*)?)(?:\?.*)?", re.IGNORECASE
)
_TEL = re.compile(r"tel:([+0-9a-f*#().-]+)((?:;.*)?)", re.IGNORECASE)
_SEPARATORS = str.maketrans("", "", "-.()")
_LOCAL_PHONE = re.compile(
    r"(sips?):((?:[0-9*#().-]|%23)+)@([^;?]+)((?:;[^?]*)?;user=phone(?:;[^?]*)?)", re.IGNORECASE
)
_ESCAPED_NUMBER = re.compile(r'(sips?:(?:[+0-9*#().-]|%23)+)(%3b[^@;?<>"\s]*)(?=@)', re.IGNORECASE)
_LOCAL_TEL = re.compile(r"tel:[0-9a-f*#().-]+((?:;.*)?)", re.IGNORECASE)
_KEPT_LENGTH: Final = 256
"""Longer ones are nobody's, and would only fill memory."""
_PHONE_CONTEXT = ";phone-context="
_CONTEXT = re.compile(r"\+[0-9]+|[a-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class Asserted:
    """The values of P-Asserted-Identity, and why it is not what the page asked for ("" when it is)."""

    identities: list[str]
    remark: str = ""


def canonical(uri: str) -> str | None:
    """Return a form in which two spellings of one public identity are equal (RFC 3261 §19.1.4, RFC 3966 §4).

    Escapes are resolved, the host is in lower case, URI parameters and visual separators are gone.  None: not the URI
    of a user, or one with characters that no identity has.
    """
    return _canonical(uri) if len(uri) <= _KEPT_LENGTH else _canonical.__wrapped__(uri)


@lru_cache(maxsize=1024)
def _canonical(uri: str) -> str | None:
    """One request asks for the same few identities a dozen times."""
    text = uri.strip()
    if match := _SIP.fullmatch(text):
        scheme, user, host, port, _ = match.groups()
        user = unquote(user)
        if not user.isprintable() or "@" in user:
            return None
        return f"{scheme.lower()}:{user}@{host.lower()}{port or ''}"
    if match := _TEL.fullmatch(text):
        number = match.group(1).translate(_SEPARATORS).lower()
        if number.startswith("+"):
            return f"tel:{number}" if number[1:].isdecimal() else None
        context = _phone_context(match.group(2))
        return f"tel:{number};phone-context={context}" if number and context else None
    return None


def one_spelling(uri: str) -> str:
    """Return the same text for all spellings of a public identity, and what is none as it is."""
    return canonical(uri) or uri


def canonical_of_address(address: str) -> str | None:
    """Return the same of the URI of a name-addr or addr-spec."""
    if len(address) <= _KEPT_LENGTH:
        return _canonical_of_address(address)
    return canonical(uri_from_address(address))


@lru_cache(maxsize=1024)
def _canonical_of_address(address: str) -> str | None:
    return canonical(uri_from_address(address))


def _phone_context(parameters: str) -> str:
    """Return whose local number it is, "" for what is no domain and no global number (RFC 3966 §5.1.5)."""
    context = parameters.lower().partition(_PHONE_CONTEXT)[2].partition(";")[0]
    if context.startswith("+"):
        context = context.translate(_SEPARATORS)
    return context if _CONTEXT.fullmatch(context) else ""


def known_as(uri: str, identities: Iterable[str]) -> str | None:
    """Return the member of ``identities`` (name-addrs or URIs) that ``uri`` is another spelling of, or None."""
    return _member(canonical(uri), identities)


def address_known_as(address: str, identities: Iterable[str]) -> str | None:
    """Return the same for the URI of a name-addr or addr-spec."""
    return _member(canonical_of_address(address), identities)


def _member(wanted: str | None, identities: Iterable[str]) -> str | None:
    if wanted is None:
        return None
    for one in identities:
        if canonical_of_address(one) == wanted:
            return one
    return None


def check_from(from_uri: str, identities: Sequence[str]) -> None:
    """Raise SipReject (403) unless From is an identity of this registration, or withheld."""
    if canonical(from_uri) != ANONYMOUS and known_as(from_uri, identities) is None:
        raise SipReject("From is not an identity that this page has registered")


def asserted_identity(
    preferred: Sequence[str], from_uri: str, identities: Sequence[str], *, from_counts: bool = False
) -> Asserted:
    """Decide on P-Asserted-Identity (TS 24.229 §5.2.6.3); raise SipReject (403) for a choice nobody can make.

    | P-Preferred-Identity of the page | asserted |
    |---|---|
    | none | the default identity; From's, if the site says so and it is registered |
    | one, registered | that one |
    | one, not registered or unreadable | the default identity |
    | a sip: and a tel:, both registered | both |
    | a sip: and a tel:, one of them registered | that one |
    | a sip: and a tel:, neither registered | the default identity |
    | two of one kind, or more | refused |
    | any, after the registration ended | refused (before it comes to this) |

    A tel: URI that is the same number as the one asserted sip: URI goes with it.

    Args:
        preferred: values of all P-Preferred-Identity header fields.
        from_uri: URI of From.
        identities: the registered identities as name-addrs, the default one first; not empty.
        from_counts: whether From can choose among them.
    """
    wanted = addresses_from_headers(list(preferred))
    if not wanted:
        chosen = known_as(from_uri, identities) if from_counts else None
        return Asserted(_with_alias([chosen or identities[0]], identities))
    kinds = [_kind(address) for address in wanted]
    if len(kinds) > 2 or (len(kinds) == 2 and set(kinds) != {"sip", "tel"}):
        raise SipReject("P-Preferred-Identity holds more than one sip: and one tel: URI")
    found = [one for address in wanted if (one := address_known_as(address, identities)) is not None]
    remark = "" if len(found) == len(wanted) else "the preferred identity is not registered"
    return Asserted(_with_alias(found or [identities[0]], identities), remark)


def answering_identity(preferred: Sequence[str], called: str, identities: Sequence[str]) -> Asserted:
    """Decide on P-Asserted-Identity of a page's response: what it prefers if that is its own, else who was called
    (TS 24.229 §5.2.6.4), else the default identity; ``called``: a name-addr or URI."""
    wanted = [*addresses_from_headers(list(preferred)), called]
    own = [one for address in wanted if (one := address_known_as(address, identities)) is not None]
    return asserted_identity(own[:1], "", identities)


def _kind(address: str) -> str:
    uri = canonical_of_address(address) or uri_from_address(address).lower()
    return "tel" if uri.startswith("tel:") else "sip"


def _with_alias(chosen: list[str], identities: Sequence[str]) -> list[str]:
    """Add the tel: URI of the number that a single sip: URI is made of (RFC 3261 §19.1.6)."""
    if len(chosen) == 1 and _kind(chosen[0]) == "sip":
        user = (canonical_of_address(chosen[0]) or "").partition(":")[2].partition("@")[0]
        alias = known_as(f"tel:{user}", identities) if user.startswith("+") else None
        if alias is not None:
            return [*chosen, alias]
    return chosen


def target_for_core(uri: str, realm: str) -> str:
    """Return a page's Request-URI as the core wants it: a local number says whose (TS 24.229 §5.1.2A.1.3, §7.2A.10).

    Local is a number without "+" in a tel: URI, or in a sip: URI of our realm with user=phone; one without user=phone
    may be a name.  Portability and carrier parameters are taken away (RFC 4694 §6).  Everything else passes unchanged:
    numbers are resolved in the core.
    """
    uri = number_for_core(without_routing_parameters(uri))
    if _PHONE_CONTEXT in uri.lower():
        return uri
    if match := _LOCAL_TEL.fullmatch(uri):
        number, separator, rest = uri.partition(";")
        return f"{number};phone-context={realm}{separator}{rest}"
    if (match := _LOCAL_PHONE.fullmatch(uri)) and match.group(3).lower() == realm.lower():
        scheme, user, host, parameters = match.groups()
        return f"{scheme}:{user};phone-context={realm}@{host}{parameters}"
    return uri


def number_for_core(text: str) -> str:
    """Return a page's URI, or an address with it, whose number has its parameters as such (RFC 3261 §19.1.6).

    SIP.js and JsSIP escape ``;`` and ``=`` in the user part of whatever they are given, and so name another user (RFC
    3261 §19.1.4).
    """
    if "%" not in text:
        return text
    return _ESCAPED_NUMBER.sub(lambda match: match.group(1) + _unescaped(match.group(2)), text, count=1)


def _unescaped(parameters: str) -> str:
    return re.sub("%3b|%3d", lambda match: unquote(match.group()), parameters, flags=re.IGNORECASE)
