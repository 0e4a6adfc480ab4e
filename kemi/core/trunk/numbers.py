"""Numbers as a trunk wants them written, and whose number a caller shows there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberFormat

from kemi.core.identity import ANONYMOUS, canonical_of_address
from kemi.core.routing.costs import canonical_number
from kemi.core.trunk.trunk import NumberForm, Trunk

_GLOBAL: Final = re.compile(r"\+[1-9][0-9]{3,14}", re.ASCII)
_NO_DIGIT: Final = re.compile(r"[^0-9]")
_ONE_PREFIX: Final = re.compile(r"[0-9]+(?:~[0-9]+)?", re.ASCII)
"""~ is where a second dial tone was waited for, as in 8~10."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How a caller is shown to a trunk: values without tags, and lines."""

    from_value: str
    lines: tuple[str, ...]


def written(number: str, trunk: Trunk) -> str:
    """Return a number in the trunk's form; one that is not global stays as it is.

    In national form a number means at the trunk what it means here: where the digits of a number of the trunk's own
    country would be read as another one, as 0116834002 of +1 011 683 4002 in the USA, it is written as one abroad.
    """
    if not _GLOBAL.fullmatch(number) or trunk.numbers is NumberForm.PLUS:
        return number
    if trunk.numbers is NumberForm.DIGITS:
        return number[1:]
    number = canonical_number(number)
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return number
    if phonenumbers.country_code_for_region(trunk.country) == parsed.country_code:
        digits = _NO_DIGIT.sub("", phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL))
        if _read_in(trunk.country, digits) == number:
            return digits
    return f"{prefix_abroad(trunk.country)}{number[1:]}"


@lru_cache
def prefix_abroad(country: str) -> str:
    """Return the digits before the code of another country (country: ISO 3166), as 00, 011 or 810.

    Where there are several, one for each carrier, it is 00, that of ITU-T E.123.
    """
    metadata = PhoneMetadata.metadata_for_region(country)
    prefix = (metadata.preferred_international_prefix or metadata.international_prefix) if metadata else None
    return _NO_DIGIT.sub("", prefix) if prefix and _ONE_PREFIX.fullmatch(prefix) else "00"


def from_abroad(text: str, country: str) -> str:
    """Return the number of another country that ``written`` has made this text of, with +; "": of none."""
    abroad = prefix_abroad(country)
    return f"+{text[len(abroad) :]}" if text.startswith(abroad) else ""


def _read_in(country: str, digits: str) -> str:
    """Return the +E.164 number of what is dialled in a country; "": none."""
    if foreign := from_abroad(digits, country):
        return foreign
    try:
        return phonenumbers.format_number(phonenumbers.parse(digits, country), PhoneNumberFormat.E164)
    except phonenumbers.NumberParseException:
        return ""


def trunk_uri(number: str, trunk: Trunk, parameters: Iterable[str] = ()) -> str:
    """Return the URI of a number at a trunk (RFC 3261 §19.1.6); ``parameters``: npdi, rn and others (RFC 4694)."""
    # of what is dialled, # alone is in no user part (RFC 3261 §25.1)
    user = ";".join((written(number, trunk).replace("#", "%23"), *parameters))
    return f"sip:{user}@{trunk.host};user=phone"


def number_of(identity: str) -> str:
    """Return the +E.164 number of an identity, "" where it is none."""
    scheme, _, rest = (canonical_of_address(identity) or "").partition(":")
    number = rest.partition("@")[0].partition(";")[0]
    return number if scheme in ("tel", "sip", "sips") and _GLOBAL.fullmatch(number) else ""


def caller_number(asserted: Sequence[str], identities: Sequence[str]) -> str:
    """Return the number a caller shows: of the identity asserted for it, else its first one; "": it has none."""
    return next((number for one in (*asserted, *identities) if (number := number_of(one))), "")


def shown(number: str, trunk: Trunk, *, withheld: bool) -> Shown:
    """Return who calls, as a trunk is told (RFC 3323, RFC 3325; SIPconnect 2.0 §13).

    A caller without a number is shown as the trunk's own, if it has one; one that withholds its number is known to the
    trunk, which passes it on to nobody.
    """
    number = number or trunk.caller
    if not number:
        return Shown(f'"Anonymous" <{ANONYMOUS}>', ())
    uri = trunk_uri(number, trunk)
    asserted = f"P-Asserted-Identity: <{uri}>"
    if withheld:
        return Shown(f'"Anonymous" <{ANONYMOUS}>', (asserted, "Privacy: id"))
    return Shown(f"<{uri}>", (asserted,))
