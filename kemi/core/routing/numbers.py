"""Numbers as they are dialled → numbers as they are routed: ``+E.164``, a short code, or an address.

What a national number means is the library's knowledge (phonenumbers, Google's libphonenumber); what is dialled inside
an organisation is the realm's dial plan.  Both ends write numbers in every way RFC 3966 allows; here there is one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, ValidationResult

from kemi.core.emergency import is_service
from kemi.core.errors import SipReject
from kemi.core.policy import dialled_beginning
from kemi.core.routing.costs import canonical_number, parsed_number
from kemi.core.trust import ROUTING_PARAMETERS

_SEPARATORS: Final = str.maketrans("", "", "-.() ")
_EMERGENCY_ANYWHERE: Final = frozenset({"112", "911"})
_FOR_ALL_SERVICES: Final = ("000", "112", "911", "999", "111")
"""Best first, of those a country has: fixed networks of Australia, the one with 000 and 112, know 000 alone."""
MOST_EMERGENCY_DIGITS: Final = 8
"""No country has a longer emergency number, and to ask the library costs more than to count."""
_VISUAL: Final = str.maketrans("", "", "-.()")
_GLOBAL: Final = re.compile(r"\+[0-9]{3,15}", re.ASCII)
_LOCAL: Final = re.compile(r"[0-9*#]{1,24}", re.ASCII)
_CONTEXT: Final = re.compile(r"\+[.()-]*[0-9][0-9.()-]{0,23}|[a-z0-9][a-z0-9.-]{0,252}", re.ASCII)
_USER: Final = re.compile(r"(?:[A-Za-z0-9_.!~*'()&=+$,;?/#-]|%(?![01][0-9A-Fa-f]|7[Ff])[0-9A-Fa-f]{2})+")
"""RFC 3261 §25.1, and # as many write it; escaped control characters are nobody's name."""
_HOST: Final = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_IN_CODE: Final = re.compile(r"(?<=[*#])\+?[0-9]{4,}", re.ASCII)
MAX_EXTENSION_DIGITS: Final = 15

_AFTER_NUMBER: Final = re.compile("[;@?:]")
_AFTER_HOST: Final = re.compile("[;?]")
_PLUS_DIGITS: Final = re.compile(r"\+[0-9]+", re.ASCII)
_DIALLED_SIGN = re.compile(r"[\d*#%]")
"""What a number cannot be without; or it is escaped."""


@dataclass(frozen=True, slots=True)
class DialPlan:
    """How the users of a realm dial."""

    country: str = ""
    """ISO 3166 code whose national rules count, as DE; none: only +E.164 and short codes are numbers."""
    area_code: str = ""
    """Put before a number that has no trunk prefix, as 30; none: such numbers are dialled with their area code."""
    trunk_prefix: str = ""
    """The national one, as 0; needed with area_code only."""
    outside: str = ""
    """Digits for a line, as 9 or 0: taken away; without them a number is an extension."""
    extension_digits: int = 0
    """Numbers of at most so many digits are extensions and stay as they are; 0: none."""
    short_codes: Mapping[str, str] = field(default_factory=dict)
    """Code → what it means: a number, or a sip: address; "": it stays as it is, for the routing table."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """What is called."""

    number: str
    """+E.164, a local number, or sip:NAME@DOMAIN."""
    parameters: tuple[str, ...] = ()
    """Portability and carrier parameters that may pass, as ``npdi`` and ``rn=+4930…``."""
    as_number: str = ""
    """What the digits of another domain's user would be here: barring counts for that as well."""
    unknown: ServiceCode | None = None
    """What those digits would be refused with here, unless the table has a row for such codes."""

    @property
    def is_global(self) -> bool:
        """Whether it is an E.164 number."""
        return self.number.startswith("+")


class BadNumber(SipReject):
    """The number cannot be called: 404, or 484 for one that lacks digits; the message says why."""

    status = 404
    reason_phrase = "Not Found"

    def __init__(self, why: str, *, incomplete: bool = False) -> None:
        if incomplete:
            super().__init__(why, status=484, reason_phrase="Address Incomplete")
        else:
            super().__init__(why)


class ServiceCode(BadNumber):
    """A code that the plan does not have, as ``*21*0301234#``: nobody, unless the table has a row for such codes."""

    def __init__(self, why: str, number: str = "") -> None:
        super().__init__(why)
        self.number = number


def dialled_from_uri(uri: str, plan: DialPlan, *, trusted: bool = False, realm: str = "") -> Dialled:
    """Read a Request-URI; raise BadNumber.

    Args:
        uri: as it came.
        plan: of whoever calls.
        trusted: portability parameters of the core pass, those of pages never (RFC 4694 §6).
        realm: whose plan that is: without user=phone, digits at another domain are a user there (RFC 3261 §19.1.1).
            Default: any domain's digits are a number of the plan.
    """
    scheme, _, rest = uri.strip().partition(":")
    scheme = scheme.lower()
    if scheme == "tel":
        return _from_tel(rest, plan, trusted)
    if scheme not in ("sip", "sips"):
        raise BadNumber("only sip: and tel: are called from here")
    user, at, host = rest.rpartition("@")
    host, *parameters = _AFTER_HOST.split(host)
    if not at or not host:
        raise BadNumber("a sip: address without a user")
    is_phone = "user=phone" in (one.strip().lower() for one in parameters)
    name = user.partition(":")[0]
    number = unquote(name)
    digits = number.partition(";")[0].translate(_SEPARATORS)
    is_number = is_phone or _GLOBAL.fullmatch(digits) or _LOCAL.fullmatch(digits)
    elsewhere = not is_phone and _is_elsewhere(host, realm)
    if is_number and not elsewhere:
        return _from_tel(number, plan, trusted)
    if not _USER.fullmatch(name) or not _HOST.fullmatch(host):
        raise BadNumber("this is no sip: address (RFC 3261 §19.1)")
    as_number, unknown = "", None
    if is_number:
        try:
            as_number = _from_tel(number, plan, trusted=False).number
        except ServiceCode as error:
            as_number, unknown = error.number, error
        except BadNumber:
            pass
    return Dialled(f"sip:{name}@{host.lower()}", as_number=as_number, unknown=unknown)


def _is_elsewhere(host: str, realm: str) -> bool:
    """Whether a host is another domain: neither the realm, nor below it, nor a machine's address."""
    if not realm or host == realm:
        return False
    domain = host.lower().partition(":")[0].rstrip(".")
    is_address = host.startswith("[") or domain.rpartition(".")[2].isdecimal()
    return not is_address and not f".{domain}".endswith(f".{realm.lower()}")


def may_be_emergency(uri: str) -> bool:
    """Whether a URI could be an emergency whatever the plan: it names a service, or somebody with a digit, * or #."""
    scheme, _, rest = uri.strip().partition(":")
    return scheme.lower() == "urn" or _DIALLED_SIGN.search(rest.partition("@")[0]) is not None


def is_emergency(uri: str, plan: DialPlan, numbers: Collection[str] = ()) -> bool:
    """Whether a URI is an emergency service (RFC 5031) or number, in whatever form.

    Emergency numbers are 112 and 911 anywhere, those of the country of the realm's plan, and ``numbers``; also with a
    country's code before them, as +49112, and after the plan's digits for a line.
    """
    scheme, _, rest = uri.strip().lower().partition(":")
    if scheme == "urn":
        return is_service(uri)
    number = unquote(_AFTER_NUMBER.split(rest, maxsplit=1)[0]).partition(";")[0].translate(_SEPARATORS)
    if number.startswith("+"):
        return _is_emergency_with_code(number, plan, numbers)
    if _is_emergency_number(number, plan.country, numbers):
        return True
    inside = number.removeprefix(plan.outside)
    return inside != number and _is_emergency_number(inside, plan.country, numbers)


def emergency_number(uri: str, plan: DialPlan, numbers: Collection[str] = ()) -> str:
    """Return what is dialled in a telephone network for an emergency: the number alone; for a service, the one that the
    plan's country has for all of them, 112 where it has none.

    ``numbers``: the site's own, which are whole as they are.
    """
    scheme, _, rest = uri.strip().lower().partition(":")
    if scheme == "urn":
        return _for_all_services(plan.country)
    number = unquote(_AFTER_NUMBER.split(rest, maxsplit=1)[0]).partition(";")[0].translate(_SEPARATORS)
    if number.startswith("+"):
        codes = (number[1 : 1 + length] for length in (1, 2, 3))
        known = (code for code in codes if int(code or 0) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
        return number[1:].removeprefix(next(known, ""))
    inside = number.removeprefix(plan.outside)
    return number if _is_emergency_number(number, plan.country, numbers) else inside


def _for_all_services(country: str) -> str:
    # where +1 has both, 112 is known to mobile networks, and not to every fixed one
    best = ("911",) if country and phonenumbers.country_code_for_region(country) == 1 else ()
    known = (number for number in (*best, *_FOR_ALL_SERVICES) if _is_emergency_number_of(country, number))
    return next(known, "112")


def emergency_uri(uri: str, plan: DialPlan, realm: str, numbers: Collection[str] = ()) -> str:
    """Return an emergency as the core gets it: as it was dialled, where that is a service, or the number alone in our
    realm; else the number in our realm, for no other host and no context may make another call of it.
    """
    digits, host = r"[+0-9*#().-]+", re.escape(realm)
    plain = rf"urn:.*|tel:{digits}(?:;phone-context={host})?|sip:{digits}@{host}(?:;user=phone)?"
    if re.fullmatch(plain, uri, re.IGNORECASE):
        return uri
    return f"sip:{emergency_number(uri, plan, numbers)}@{realm};user=phone"


def _is_emergency_with_code(number: str, plan: DialPlan, numbers: Collection[str]) -> bool:
    for length in (1, 2, 3):
        code, local = number[1 : 1 + length], number[1 + length :]
        if code.isdecimal() and int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            is_own = bool(plan.country) and int(code) == phonenumbers.country_code_for_region(plan.country)
            return _is_emergency_number(local, plan.country if is_own else "", numbers if is_own else ())
    return False


def _is_emergency_number(number: str, country: str, numbers: Collection[str]) -> bool:
    return number in _EMERGENCY_ANYWHERE or number in numbers or _is_emergency_number_of(country, number)


def _is_emergency_number_of(country: str, number: str) -> bool:
    if not country or len(number) > MOST_EMERGENCY_DIGITS or not number.isdecimal():
        return False
    return phonenumbers.is_emergency_number(number, country)


def _from_tel(text: str, plan: DialPlan, trusted: bool) -> Dialled:
    number, *parameters = unquote(text).lower().split(";")
    number = number.translate(_SEPARATORS)
    pairs = {name.strip(): value.strip() for name, _, value in (one.partition("=") for one in parameters)}
    if len(pairs) < len(parameters):
        raise BadNumber(
            "a parameter is there twice (RFC 3966 §3)"
        )  # whoever is next might read the other one
    kept = tuple(one.strip() for one in parameters if one.partition("=")[0].strip() in ROUTING_PARAMETERS)
    kept = kept if trusted else ()
    if number.startswith("+"):
        return Dialled(_global(number), kept)
    if not _LOCAL.fullmatch(number):
        raise BadNumber("this is no telephone number")
    context = pairs.get("phone-context", "")
    if "phone-context" in pairs and not _CONTEXT.fullmatch(context):
        raise BadNumber("phone-context is neither +DIGITS nor a domain (RFC 3966 §3)")
    if context.startswith("+"):
        return Dialled(_global(context.translate(_VISUAL) + number), kept)
    return Dialled(_local(number, plan), kept)


def _global(number: str) -> str:
    if not _PLUS_DIGITS.fullmatch(number):
        raise BadNumber("after + come digits")
    if len(number) > 16:
        raise BadNumber("longer than 15 digits (ITU-T E.164)")
    try:
        parsed = parsed_number(number)  # without a trunk prefix, or no rule for a prefix would be for it
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE and len(number) > 4:
            raise BadNumber("there is no such country code") from error
        raise BadNumber("digits are missing", incomplete=True) from error
    _check_length(parsed)
    return canonical_number(number)


def _local(number: str, plan: DialPlan) -> str:
    if number in plan.short_codes:
        meaning = plan.short_codes[number]
        return meaning or number
    if plan.extension_digits and len(number) <= plan.extension_digits:
        return number
    if not number.isdecimal():
        raise ServiceCode("there is no such service code", number)
    if plan.outside:
        if not number.startswith(plan.outside):
            raise BadNumber(f"numbers outside are dialled with {plan.outside} before them")
        number = number[len(plan.outside) :]
    if not plan.country:
        raise BadNumber("without a country only +E.164 and short codes are numbers here")
    if plan.area_code and plan.trunk_prefix and not number.startswith(plan.trunk_prefix):
        number = plan.trunk_prefix + plan.area_code + number
    try:
        parsed = phonenumbers.parse(number, plan.country)
    except phonenumbers.NumberParseException as error:
        raise BadNumber("digits are missing", incomplete=True) from error
    _check_length(parsed)
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def numbers_in_code(number: str, plan: DialPlan) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return the numbers that a service code calls, or has calls go to, as they are written and in each way they can be
    read: whether the plan's digits for a line belong before them is known to the far network alone.

    ``number``: the code, or a sip: address that has one for a name; of a code that the plan has itself there are none.
    """
    code = dialled_beginning(number[4:].rpartition("@")[0]) if number.startswith("sip:") else number
    is_extension = len(code) <= plan.extension_digits and _LOCAL.fullmatch(code)
    if is_extension or code in plan.short_codes:
        return
    for inside in _IN_CODE.findall(code):
        readings = []
        for reader in (plan, replace(plan, outside="")):
            with suppress(BadNumber):
                readings.append(dialled_from_uri(f"tel:{inside}", reader).number)
        yield inside, tuple(dict.fromkeys(readings))


def _check_length(parsed: PhoneNumber) -> None:
    """Refuse what is too short or too long for its country; whether it is assigned is the far network's knowledge."""
    result = phonenumbers.is_possible_number_with_reason(parsed)
    if result in (ValidationResult.TOO_SHORT, ValidationResult.IS_POSSIBLE_LOCAL_ONLY):
        raise BadNumber("digits are missing", incomplete=True)
    if result in (ValidationResult.TOO_LONG, ValidationResult.INVALID_LENGTH):
        raise BadNumber("no number of that country has so many digits")
    if len(f"{parsed.country_code}{phonenumbers.national_significant_number(parsed)}") > MOST_DIGITS:
        raise BadNumber("no number has more than 15 digits")


def is_sip_address(text: str) -> bool:
    """Whether this is sip:NAME@HOST or sips:NAME@HOST, with nothing behind it."""
    scheme, _, rest = text.partition(":")
    name, _, host = rest.rpartition("@")
    return scheme in ("sip", "sips") and bool(_USER.fullmatch(name)) and bool(_HOST.fullmatch(host))


MOST_DIGITS: Final = 15
"""Of an international number (ITU-T E.164 §6.1)."""
_PARAMETERS: Final = re.compile(r"(?:;[\w.!%*+~-]+(?:=[\w.!%*+~:\[\]-]+)?)*", re.ASCII)


def is_sip_uri(text: str) -> bool:
    """The same with parameters, as of a conference service: sip:NAME@HOST;user=phone."""
    address, semicolon, parameters = text.partition(";")
    return is_sip_address(address) and bool(_PARAMETERS.fullmatch(semicolon + parameters))


def check_plan(plan: DialPlan) -> None:
    """Raise ValueError for a plan that cannot be used."""
    if plan.country and plan.country not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"country {plan.country!r} is no ISO 3166 code of two capital letters")
    for name in ("area_code", "trunk_prefix", "outside"):
        value = getattr(plan, name)
        if value and not (value.isascii() and value.isdecimal()):
            raise ValueError(f"{name} is digits")
    if plan.area_code and not plan.trunk_prefix:
        raise ValueError(
            "area_code needs trunk_prefix: it tells numbers with an area code from those without"
        )
    if not 0 <= plan.extension_digits <= MAX_EXTENSION_DIGITS:
        raise ValueError(f"extension_digits is 0 to {MAX_EXTENSION_DIGITS}")
    for code, meaning in plan.short_codes.items():
        if not _LOCAL.fullmatch(code):
            raise ValueError(f"short code {code!r} is digits, * and #")
        if meaning and not _GLOBAL.fullmatch(meaning) and not is_sip_address(meaning):
            raise ValueError(f"short code {code!r} means a +E.164 number or a sip: address")
