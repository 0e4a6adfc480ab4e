"""Whom any page of the site may call: numbers by prefix, SIP addresses by domain.

This holds for every request of every page, with and without a routing table, and nothing in the table opens what is
denied here; what a class of users may call beside that is kemi/core/routing/permissions.py.

Every number is compared in one form, whatever way a page writes it: ``tel:+1-900-555``, ``TEL:+1(900)555``,
``sip:%2B1900555@realm;user=phone`` and ``tel:900555;phone-context=+1`` are all +1900555, and ``tel:+49(0)900555`` is
+49900555.  National numbers are compared as they are dialled; what they mean is the core's number plan.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from kemi.core.errors import SipReject
from kemi.core.messages import Request, addresses_from_headers, uri_from_address
from kemi.core.routing.costs import PREMIUM_CODE, SATELLITE_CODES, canonical_number
from kemi.core.services import names_service
from kemi.core.standalone import FROM_PAGES

_SEPARATORS: Final = str.maketrans("", "", "-.() \t")
_NUMBER = re.compile(r"\+?[0-9a-f*#]+", re.ASCII)
_DIALLED = re.compile(r"\+?(?:[0-9*#]|(?<=[*#])\+)+", re.ASCII)
"""A number in a sip: URI: one with letters is a name.  A number in a service code may have its own +."""
_DIALLED_BEFORE = re.compile(r"\+[0-9*#]+|(?:[0-9*#]|(?<=[*#])\+)+(?![0-9a-z*#])", re.ASCII)
"""What some switch might still dial of a name, as of ``0900,1``."""
_IN_SERVICE_CODE = re.compile(r"(?<=[*#])\+?[0-9]{4,}", re.ASCII)
"""A number that a service code calls, or has calls go to, as of ``*31#0900…`` and ``*21*0900…#``; no service code is
that long."""
_PLUS_DIGITS = re.compile(r"\+[0-9]+", re.ASCII)
_PREFIX = re.compile(r"\+?[0-9*#]+|\+", re.ASCII)
_DOMAIN = re.compile(r"\*|[a-z0-9.-]+|\[[0-9a-f:.]+\]")
_PASSED_ON: Final = FROM_PAGES | {"INVITE"}
"""What goes to its Request-URI outside a dialog; REGISTER goes to the realm, and OPTIONS ends here."""
ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What the site lets pages call, and for how long."""

    allowed_numbers: list[str] = field(default_factory=list)
    """Prefixes; empty: every number that is not denied."""
    denied_numbers: list[str] = field(default_factory=lambda: [*SATELLITE_CODES, PREMIUM_CODE])
    """Prefixes.  Satellite telephones, international networks and premium rate (ITU-T E.164 annex)."""
    domains: list[str] = field(default_factory=list)
    """SIP domains beside the home domain and those below it; "*": any."""
    longest_call_s: float = 14_400.0
    """0: no limit."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a URI names: a number, or somebody at a domain, or a number at a domain."""

    numbers: tuple[str, ...] = ()
    """What may be dialled by it: first what it means ("": nothing, for us), then what else a switch might read."""
    domain: str = ""


class UnreadableTarget(ValueError):
    """The URI could be read in several ways, or in none."""


def target_from_uri(uri: str) -> Target:
    """Return whom a Request-URI or a Refer-To names; raise UnreadableTarget."""
    scheme, _, rest = uri.strip().partition(":")
    scheme = scheme.lower()
    if names_service(uri):
        return Target()  # a service, as an emergency call (RFC 5031): chosen by the network, never by number
    if scheme == "tel":
        numbers = _numbers(unquote(rest), _NUMBER)
        if not numbers:
            raise UnreadableTarget("not a telephone number")
        return Target(numbers)
    if scheme not in ("sip", "sips") or rest.count("@") > 1:
        raise UnreadableTarget("not a sip: or tel: URI")
    user, at, host = rest.rpartition("@")
    domain = _domain(host)
    if "%40" in user and at:
        raise UnreadableTarget("an @ in a user name")
    name = unquote(user.partition(":")[0])
    numbers = _numbers(name, _DIALLED)
    if not numbers and (beginning := dialled_beginning(name)):
        numbers = ("", *_numbers(f"{beginning};{name.partition(';')[2]}", _DIALLED))
    return Target(numbers, domain)


def dialled_beginning(name: str) -> str:
    """Return what some switch might dial of a user's name, "" for nothing."""
    beginning = _DIALLED_BEFORE.match(unquote(name).lower().translate(_SEPARATORS))
    return beginning.group() if beginning else ""


def _numbers(text: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    number, *parameters = text.lower().split(";")
    number = number.translate(_SEPARATORS)
    if not pattern.fullmatch(number):
        return ()
    pairs = [one.partition("=") for one in parameters]
    contexts = [value for name, _, value in pairs if name.strip() == "phone-context"]
    if len(contexts) > 1:  # somebody might read the other one
        raise UnreadableTarget("phone-context is there twice (RFC 3966 §3)")
    context = contexts[0].translate(_SEPARATORS) if contexts else ""
    readings = [number]
    if context.startswith("+") and not number.startswith("+"):  # RFC 3966 §5.1.5: digits to put before it
        readings.insert(0, context + number)
    if _PLUS_DIGITS.fullmatch(readings[0]):
        readings.insert(0, canonical_number(readings[0]))
    for inside in _IN_SERVICE_CODE.findall(number):
        readings += [inside, canonical_number(inside)] if inside.startswith("+") else [inside]
    return tuple(dict.fromkeys(readings))


def _domain(host: str) -> str:
    name, *parameters = host.lower().partition("?")[0].split(";")
    if any(unquote(one.partition("=")[0]).strip() == "maddr" for one in parameters):
        raise UnreadableTarget("maddr sends it to another host than it names (RFC 3261 §19.1.1)")
    name = name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0].rstrip(".")
    if not _DOMAIN.fullmatch(name) or name == ANY:
        raise UnreadableTarget("not a domain")
    return name


class TargetRules:
    """The site's policy, ready to be asked."""

    def __init__(self, policy: CallPolicy, realm: str) -> None:
        self._numbers: dict[str, bool] = {}
        for prefix in policy.allowed_numbers:
            self._numbers[prefix.translate(_SEPARATORS)] = True
        for prefix in policy.denied_numbers:
            self._numbers[prefix.translate(_SEPARATORS)] = False
        self._longest = max(map(len, self._numbers), default=0)
        self._by_default = not policy.allowed_numbers
        self._realm = realm.lower()
        self._domains = frozenset(domain.lower() for domain in policy.domains)

    def check(self, request: Request) -> None:
        """Raise SipReject (403) when a page's request would call, or have called, whom it may not.

        That is a request outside a dialog by its Request-URI (a MESSAGE may cost as much as a call, and none may make
        the core speak with strangers) and a REFER by its Refer-To too (RFC 3515), but for one that has a conference
        hang up on somebody (kemi/core/call/in_dialog/transfers.py), which nobody asks this about.
        """
        if not request.to_tag and request.method in _PASSED_ON:
            self.check_uri(request.request_uri)
        if request.method == "REFER":
            targets = [uri_from_address(one) for one in addresses_from_headers(request.headers("Refer-To"))]
            if len(targets) != 1:
                raise SipReject("a REFER has one Refer-To", status=400, reason_phrase="Bad Request")
            self.check_uri(targets[0])

    def check_uri(self, uri: str) -> None:
        """Raise SipReject (403) when this is whom no page may call or have called."""
        try:
            target = target_from_uri(uri)
        except UnreadableTarget as error:
            raise SipReject(f"whom this calls cannot be told: {error}") from error
        self._check_numbers(target.numbers)
        if target.domain and not self._is_known(target.domain):
            raise SipReject("calls to this domain are not allowed here")

    def _check_numbers(self, numbers: Sequence[str]) -> None:
        for position, number in enumerate(numbers):
            prefix = self._rule(number)
            by_default = self._by_default or position > 0 or not number
            if not (self._numbers[prefix] if prefix is not None else by_default):
                which = f"numbers that begin with {prefix}" if prefix is not None else "this number"
                raise SipReject(f"calls to {which} are not allowed here")

    def check_meaning(self, number: str) -> None:
        """Raise SipReject (403) for a number, as its dial plan has it, that is denied however it was dialled."""
        prefix = self._rule(number) if number.startswith("+") else None
        if prefix is not None and not self._numbers[prefix]:
            raise SipReject(f"calls to numbers that begin with {prefix} are not allowed here")

    def _rule(self, number: str) -> str | None:
        """Return the longest prefix there is a rule for."""
        lengths = range(min(self._longest, len(number)), 0, -1)
        return next((number[:length] for length in lengths if number[:length] in self._numbers), None)

    def _is_known(self, domain: str) -> bool:
        if domain == self._realm or domain.endswith(f".{self._realm}"):
            return True  # also sip:mmtel@conf-factory.REALM (TS 23.003 §13.10)
        return domain in self._domains or ANY in self._domains


def check_prefix(prefix: str) -> None:
    """Raise ValueError for what can begin no number."""
    if not _PREFIX.fullmatch(prefix.translate(_SEPARATORS)):
        raise ValueError(f"{prefix!r} is no beginning of a number")


def check_domain(domain: str) -> None:
    """Raise ValueError for what is no domain."""
    if not _DOMAIN.fullmatch(domain.lower()):
        raise ValueError(f"{domain!r} is no domain")
