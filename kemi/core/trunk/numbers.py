"""Numbers as a trunk wants them written, and whose number a caller shows there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberFormat

from kemi.core.identity import ANONYMOUS, canonical_of_address
from kemi.core.trunk.trunk import NumberForm, Trunk

_GLOBAL: Final = re.compile(r"\+[1-9][0-9]{3,14}", re.ASCII)
_NO_DIGIT: Final = re.compile(r"[^0-9]")


@dataclass(frozen=True, slots=True)
class Shown:
    """How a caller is shown to a trunk: values without tags, and lines."""

    from_value: str
    lines: tuple[str, ...]


def written(number: str, trunk: Trunk) -> str:
    """Return a number in the trunk's form; one that is not global stays as it is."""
    if not _GLOBAL.fullmatch(number) or trunk.numbers is NumberForm.PLUS:
        return number
    if trunk.numbers is NumberForm.DIGITS:
        return number[1:]
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return number
    if phonenumbers.country_code_for_region(trunk.country) == parsed.country_code:
        return _NO_DIGIT.sub("", phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL))
    abroad = phonenumbers.format_out_of_country_calling_number(parsed, trunk.country)
    if abroad.startswith("+"):  # several prefixes there, one for each carrier: 00 is that of ITU-T E.123
        return f"00{number[1:]}"
    return _NO_DIGIT.sub("", abroad)


def trunk_uri(number: str, trunk: Trunk, parameters: Iterable[str] = ()) -> str:
    """Return the URI of a number at a trunk (RFC 3261 §19.1.6); ``parameters``: npdi, rn and others (RFC 4694)."""
    user = ";".join((written(number, trunk), *parameters))
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
