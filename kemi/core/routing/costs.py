"""What a number costs, roughly: the class of its rate as the caller's country sees it.

National rates are what the library knows of a country's numbering plan; numbers of no country are those of ITU-T E.164.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

SATELLITE_CODES: Final = ("+870", "+881", "+882", "+883")
"""Satellite telephones, and international networks, which are as dear."""
PREMIUM_CODE: Final = "+979"
"""International premium rate service."""
_FREE_CODE: Final = "+800"
_SHARED_COST_CODE: Final = "+808"
_SHORTEST: Final = 6
_PADDING: Final = "1234"


class CostClass(StrEnum):
    """Kinds of rates."""

    INTERNAL = "internal"
    """No number of the telephone network: an extension, a short code, an address."""
    FREE = "free"
    NATIONAL = "national"
    MOBILE = "mobile"
    SHARED_COST = "shared-cost"
    PREMIUM = "premium"
    """Also personal numbers; in whichever country."""
    INTERNATIONAL = "international"
    """Of another country, at whatever rate; of any country where the realm's dial plan names none."""
    SATELLITE = "satellite"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a number leads."""

    cost: CostClass
    country: str = ""
    """ISO 3166 code; "" for none, or none that is known."""


_CHEAPEST_FIRST: Final = (
    CostClass.INTERNAL,
    CostClass.FREE,
    CostClass.NATIONAL,
    CostClass.MOBILE,
    CostClass.SHARED_COST,
    CostClass.INTERNATIONAL,
    CostClass.PREMIUM,
    CostClass.SATELLITE,
)
_PREMIUM: Final = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.PERSONAL_NUMBER})
_OF_TYPE: Final = {
    PhoneNumberType.TOLL_FREE: CostClass.FREE,
    PhoneNumberType.SHARED_COST: CostClass.SHARED_COST,
    PhoneNumberType.MOBILE: CostClass.MOBILE,
    PhoneNumberType.PAGER: CostClass.MOBILE,
}
"""Of one's own country; all other types have the national rate."""


@lru_cache(maxsize=128)
def _read(number: str) -> tuple[phonenumbers.PhoneNumber, str]:
    """Return a number and its E.164 form.  Kept for a moment: a call asks for its number several times."""
    parsed = phonenumbers.parse(number, None)
    canonical = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    for _ in number:  # the library takes away one prefix at a time
        if canonical == number:
            break
        number, parsed = canonical, phonenumbers.parse(canonical, None)
        canonical = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    return parsed, canonical


def parsed_number(number: str) -> phonenumbers.PhoneNumber:
    """Read a number that begins with +; raise NumberParseException.  Not to be changed.

    Trunk prefixes and carrier codes after the country's code, as in +49(0)30 and +49(00)30, are not part of it.
    """
    return _read(number)[0]


def canonical_number(number: str) -> str:
    """Return a number that begins with + as networks between countries have it (E.164); one of no country as it is."""
    try:
        return _read(number)[1]
    except phonenumbers.NumberParseException:
        return number


def destination_of(number: str, country: str) -> Destination:
    """Return where a number as numbers.py writes it leads, called from a country (ISO 3166; "": not known)."""
    if not number.startswith("+"):
        return Destination(CostClass.INTERNAL)
    if number.startswith(SATELLITE_CODES):
        return Destination(CostClass.SATELLITE)
    for code, cost in (
        (PREMIUM_CODE, CostClass.PREMIUM),
        (_FREE_CODE, CostClass.FREE),
        (_SHARED_COST_CODE, CostClass.SHARED_COST),
    ):
        if number.startswith(code):
            return Destination(cost)
    try:
        parsed = parsed_number(number)
    except phonenumbers.NumberParseException:
        return Destination(CostClass.INTERNATIONAL)
    region = phonenumbers.region_code_for_number(parsed) or ""
    kind = _kind(number, parsed)
    is_own = bool(country) and parsed.country_code == phonenumbers.country_code_for_region(country)
    if not region:  # not assigned, as far as the library knows
        region = country if is_own else phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    if kind in _PREMIUM:
        return Destination(CostClass.PREMIUM, region)
    if region != country:
        return Destination(CostClass.INTERNATIONAL, region)
    return Destination(_OF_TYPE.get(kind, CostClass.NATIONAL), region)


def _kind(number: str, parsed: phonenumbers.PhoneNumber) -> int:
    """Return the library's type of a number; of one too long or too short, that of the number it begins with or begins.

    Networks ring as soon as the digits are enough: +4990012345678 is the premium number +499001234567.
    """
    kind: int = phonenumbers.number_type(parsed)
    if kind != PhoneNumberType.UNKNOWN:
        return kind
    kinds = [phonenumbers.number_type(other) for other in _neighbours(number)]
    known = [one for one in kinds if one != PhoneNumberType.UNKNOWN]
    return next((one for one in known if one in _PREMIUM), known[0] if known else kind)


def _neighbours(number: str) -> Iterator[phonenumbers.PhoneNumber]:
    texts = [number[:end] for end in range(len(number) - 1, _SHORTEST, -1)]
    for text in (*texts, *(number + _PADDING[:length] for length in range(1, len(_PADDING) + 1))):
        with suppress(phonenumbers.NumberParseException):
            yield phonenumbers.parse(text, None)


def dearest(costs: Iterable[CostClass]) -> CostClass:
    """Return the dearest of these kinds of rates, which are one at least."""
    return max(costs, key=_CHEAPEST_FIRST.index)


def is_country(code: str) -> bool:
    """Whether this is a country that has numbers."""
    return code in phonenumbers.SUPPORTED_REGIONS
