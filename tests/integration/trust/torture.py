"""The torture messages of RFC 4475 and RFC 5118, as a page or the core would send them to this gateway.

Every message tests what the section of its RFC says, in words of our own: names, addresses and dialogs are those of
this lab, so that what is well-formed has somewhere to go.  Words between @ are filled in for each way it is sent.
Lines end in CR LF on the wire; ``raw`` bytes of a body are written as latin-1.

What is expected is what the four senders see: a page that is registered, one that is not, and the core over UDP and
TCP.  A number is the status that comes back; PASSED is what the far end says (486 to an INVITE, 200 to the rest); 0
is no answer at all, which harms nobody; CLOSED ends the connection the message came over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PASSED: Final = -1
NONE: Final = 0
CLOSED: Final = -2
ODD_USER: Final = (
    "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
)
PRIVATE: Final = "smuggled"
"""A word in header fields that no page may say, and no page may hear."""


@dataclass(frozen=True)
class Torture:
    """One message and what becomes of it."""

    name: str
    section: str
    text: str
    registered: int
    """To a registered page's message."""
    unregistered: int
    udp: int
    """To the core's message over UDP; the same over TCP unless ``tcp`` says otherwise."""
    tcp: int | None = None
    why: str = ""
    """Where the answer needs an explanation."""


UNREADABLE: Final = "Kamailio cannot parse it, and ends the connection it came over; no script is asked"
UNANSWERABLE: Final = "we refuse it, and Kamailio cannot make a response of it: a page's connection ends"

ANSWERED: Final = "OPTIONS of the core is answered, whatever it asks for"
HELD: Final = "a page is held to the grammar, the core is not"

HEAD: Final = """\
Via: @VIA@
Max-Forwards: 70
From: <@FROM@>;tag=tort
To: <@TO@>
Call-ID: @ID@
"""
OFFERED: Final = """\
Contact: <@CONTACT@>
@EXTRA@
Content-Type: application/sdp
Content-Length: @LENGTH@

@OFFER@"""
EMPTY: Final = """\
@EXTRA@
Content-Length: 0

"""


def invite(uri: str = "@TARGET@", head: str = HEAD, rest: str = OFFERED) -> str:
    """Return an INVITE."""
    return f"INVITE {uri} SIP/2.0\n{head}CSeq: 1 INVITE\n{rest}"


def options(uri: str = "@TARGET@", head: str = HEAD, rest: str = EMPTY) -> str:
    """Return an OPTIONS, which the gateway answers itself."""
    return f"OPTIONS {uri} SIP/2.0\n{head}CSeq: 1 OPTIONS\n{rest}"


def register(contact: str, head: str = HEAD, rest: str = EMPTY, uri: str = "sip:@REALM@") -> str:
    """Return a REGISTER of this Contact."""
    return f"REGISTER {uri} SIP/2.0\n{head}CSeq: 1 REGISTER\nContact: {contact}\nExpires: 60\n{rest}"
