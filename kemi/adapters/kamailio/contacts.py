"""Kamailio's registrar: the contacts that a home network of our own keeps."""

from __future__ import annotations

from collections.abc import Iterable

import KSR

from kemi.adapters.kamailio import ksr
from kemi.core.home.registering import Kept

_LOCATION = "location"
_PROFILE = "home"


def save(address_of_record: str, lines: Iterable[str]) -> bool:
    """Carry the current REGISTER out for an address of record and answer it, with these lines in the 200; False: it
    was answered with an error."""
    if text_of_lines := "".join(f"{line}\r\n" for line in lines):
        KSR.hdr.append_to_reply(text_of_lines)
    return KSR.registrar.save_uri(_LOCATION, 0, address_of_record) > 0


def kept_of(address_of_record: str) -> list[Kept]:
    """Return the contacts that are kept under an address of record."""
    if KSR.registrar.reg_fetch_contacts(_LOCATION, address_of_record, _PROFILE) <= 0:
        return []
    try:
        return [
            Kept(
                ksr.text(f"$(ulc({_PROFILE}=>addr)[{index}])"),
                ksr.text(f"$(ulc({_PROFILE}=>instance)[{index}])"),
                ksr.number(f"$(ulc({_PROFILE}=>regid)[{index}])"),
                ksr.text(f"$(ulc({_PROFILE}=>callid)[{index}])"),
                ksr.number(f"$(ulc({_PROFILE}=>cseq)[{index}])"),
            )
            for index in range(ksr.number(f"$(ulc({_PROFILE}=>count))"))
        ]
    finally:
        KSR.registrar.reg_free_contacts(_PROFILE)


def look_up(address_of_record: str) -> bool:
    """Let the current request go to all contacts of an address of record; False: there are none."""
    return KSR.registrar.lookup_uri(_LOCATION, address_of_record) > 0
