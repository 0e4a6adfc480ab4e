"""IPv6 addresses of the core at a relay whose interface towards it has IPv4 alone.

rtpengine (10.5, media_socket.c get_logical_interface) opens an IPv4 port then without a word, and sends to the first
four octets of the IPv6 address: to a stranger, in clear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from kemi.core.errors import MediaUnavailable, NotAcceptableHere
from kemi.core.sdp.interwork.ims import check_family
from kemi.core.sdp.text import sdp_from_text
from rtpengine.ng.commands import Query
from rtpengine.ng.statistics import CallStatistics
from rtpengine.sessions import IMS_TAG, MediaSession, Sequence, ask

Run: TypeAlias = Callable[[Sequence[CallStatistics]], CallStatistics]
"""Lets a node carry out a sequence."""


def check_families(run: Run, session: MediaSession, ims_offer: str) -> None:
    """Ask the relay, after an offer of the core with IPv6, which family its own port has.

    Raises:
        NotAcceptableHere: another one. MediaUnavailable: the relay does not say.
    """
    if "c=IN IP6 " not in ims_offer:
        return
    line = sdp_from_text(ims_offer).media[0]
    if line.address_family != "IP6":
        return
    known = run(ask(Query(session.ng_call_id))).tags.get(IMS_TAG)
    own = (
        next((one.local_address for one in known.streams() if one.local_address), "")
        if known is not None
        else ""
    )
    check_family(line, "" if not own else "IP6" if ":" in own else "IP4")


def check_moved(run: Run, session: MediaSession, ims_line: str) -> None:
    """The same where a node is to take a running call: MediaUnavailable, for another one may have that family."""
    try:
        check_families(run, session, ims_line)
    except NotAcceptableHere as error:
        raise MediaUnavailable(error.detail) from error
