"""Whom an address of our own realm names: a user has a private identity, and public ones that are names and numbers.

All public identities of a user are one implicit registration set (TS 23.228 §5.2.1a): whichever was registered, each of
them reaches all the user's pages.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

from kemi.core.errors import SipReject
from kemi.core.identity import canonical
from kemi.core.routing.numbers import DialPlan, dialled_from_uri

LONGEST_USER: Final = 64
_HOST: Final = re.compile(r"[a-z0-9.-]{1,128}")
_SEPARATORS: Final = str.maketrans("", "", "-.()")


def keys_of(identities: Iterable[str], realm: str) -> list[str]:
    """Return all that a user with these public identities (URIs) is found under: names, and ``tel:+E.164``.

    Identities of other domains are left out: nobody can reach them here.
    """
    found: dict[str, None] = {}
    for identity in identities:
        form = canonical(identity)
        if form is None:
            continue
        if form.startswith("tel:+"):
            found[form] = None
            continue
        user, _, host = form.partition(":")[2].rpartition("@")
        if host != realm.lower():
            continue
        found[f"sip:{user}@{host}"] = None
        if user.startswith("+") and user[1:].isdecimal():
            found[f"tel:{user}"] = None
    return list(found)


def wanted(uri: str, realm: str, plan: DialPlan) -> Iterator[str]:
    """Return what a called URI may mean, in the order to try: first as it is written, then the number it is read as.

    Raises SipReject (404) for another domain, and BadNumber (404, 484) as soon as a number is asked for that is none.
    """
    form = canonical(uri)
    scheme = uri.partition(":")[0].lower()
    if form is not None and scheme in ("sip", "sips"):
        user, _, host = form.partition(":")[2].rpartition("@")
        if host != realm.lower():
            raise SipReject(f"nobody of {host} is known here", status=404, reason_phrase="Not Found")
        yield f"sip:{user}@{host}"
        digits = user.partition(";")[0].translate(_SEPARATORS)
        if digits[:1] == "+" and digits[1:].isdecimal():
            yield f"tel:{digits}"
        elif not digits[:1].isdigit() and ";user=phone" not in uri.lower():
            return
    elif form is not None:
        yield form
    elif scheme not in ("sip", "sips", "tel"):
        raise SipReject("only sip: and tel: are reached here", status=404, reason_phrase="Not Found")
    number = dialled_from_uri(uri, plan).number
    if number.startswith("+"):
        yield f"tel:{number}"
    elif number.startswith("sip:"):
        yield number
    else:
        yield f"sip:{number}@{realm.lower()}"


def address_of_record(impi: str) -> str:
    """Return the one name under which all pages of a user are kept.

    Kamailio's registrar takes 64 characters before the @ and 128 after it, escapes included, and no escape of another
    character than ASCII's: who has a longer or another name has its digest.
    """
    user, _, host = impi.rpartition("@")
    name, host = quote(user, safe=""), host.lower()
    if not user.isascii() or len(name) > LONGEST_USER or not _HOST.fullmatch(host):
        name, host = hashlib.sha256(f"{user}@{host}".encode()).hexdigest(), "digest.invalid"
    return f"sip:{name}@{host}"
