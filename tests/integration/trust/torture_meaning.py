"""Torture for what comes after the parser: RFC 4475 §3.2 to §3.4, RFC 5118, and some of our own."""

from __future__ import annotations

from typing import Final

from tests.integration.trust.torture import (
    ANSWERED,
    CLOSED,
    EMPTY,
    HEAD,
    NONE,
    OFFERED,
    PASSED,
    UNANSWERABLE,
    UNREADABLE,
    Torture,
    invite,
    options,
    register,
)
from tests.integration.trust.torture_syntax import VALID_SYNTAX

TRANSACTION: Final = (
    Torture(
        "badbranch", "RFC 4475 §3.2.1",
        options(head=HEAD.replace("@VIA@", "@VIANOBRANCH@;branch=z9hG4bK")),
        200, 200, 200,
    ),
)  # fmt: skip

APPLICATION: Final = (
    Torture(
        "insuf", "RFC 4475 §3.3.1",
        "INVITE @TARGET@ SIP/2.0\nVia: @VIA@\nCSeq: 193942 INVITE\n" + OFFERED,
        CLOSED, CLOSED, NONE, CLOSED,
        why=UNREADABLE,
    ),
    Torture(
        "unkscm", "RFC 4475 §3.3.2", options("nobodyKnowsThisScheme:totallyopaquecontent"),
        416, 416, 200,
        why=ANSWERED,
    ),
    Torture(
        "novelsc", "RFC 4475 §3.3.3", options("soap.beep://192.0.2.103:3002"),
        416, 416, 200,
        why=ANSWERED,
    ),
    Torture(
        "unksm2", "RFC 4475 §3.3.4",
        register(
            "<name:John_Smith>",
            HEAD.replace("<@TO@>", "<isbn:2983792873>").replace(
                "<@FROM@>", "<http://www.example.com>"
            ),
        ),
        403, 403, 405,
    ),
    Torture(
        "bext01", "RFC 4475 §3.3.5",
        options(rest="Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis\n"
                      "Require: nothingSupportsThis, nothingSupportsThisEither\n" + EMPTY),
        420, 420, 420,
    ),
    Torture(
        "invut", "RFC 4475 §3.3.6",
        invite(rest=OFFERED.replace("application/sdp", "application/unknownformat").replace("@OFFER@", "<audio/>")),
        415, 403, 415,
    ),
    Torture(
        "regaut01", "RFC 4475 §3.3.7",
        register(
            "<@CONTACT@>",
            HEAD.replace("@TO@", "@FROM@") + "Authorization: NoOneKnowsThisScheme opaque-data=here\n",
        ),
        PASSED, PASSED, 405,
        why="what we do not know is taken away: the core is asked without it",
    ),
    Torture(
        "multi01", "RFC 4475 §3.3.8",
        invite(
            head=HEAD + "From: <sip:other@example.net>;tag=second\nTo: <sip:t2@example.com>\nCall-ID: second.@ID@\n"
            "Max-Forwards: 5\nCSeq: 59 INVITE\nVia: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bK29129\n",
        ),
        CLOSED, CLOSED, NONE, CLOSED,
        why=UNREADABLE,
    ),
    Torture(
        "mcl01", "RFC 4475 §3.3.9",
        options(rest="Content-Length: 13\n@EXTRA@\nContent-Type: text/plain\nContent-Length: 5\n\nThere's no way\n"),
        CLOSED, CLOSED, NONE,
        why=UNANSWERABLE,
    ),
    Torture(
        "bcast", "RFC 4475 §3.3.10",
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\n"
        "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\n"
        + HEAD.partition("\n")[2]
        + "CSeq: 14 INVITE\n" + OFFERED,
        NONE, NONE, NONE,
    ),
    Torture("zeromf", "RFC 4475 §3.3.11", options(head=HEAD.replace("70", "0")), 483, 483, 483,
            why="it goes no further (RFC 3261 §16.3 step 3)"),
    Torture(
        "cparam01", "RFC 4475 §3.3.12",
        register("sip:+19725552222@gw1.example.net;unknownparam", HEAD.replace("@TO@", "@FROM@")),
        PASSED, PASSED, 405,
    ),
    Torture(
        "cparam02", "RFC 4475 §3.3.13",
        register("<sip:+19725552222@gw1.example.net;unknownparam>", HEAD.replace("@TO@", "@FROM@")),
        PASSED, PASSED, 405,
    ),
    Torture(
        "regescrt", "RFC 4475 §3.3.14",
        register("<sip:user@example.com?Route=%3Csip:sip.example.com%3E>", HEAD.replace("@TO@", "@FROM@")),
        PASSED, PASSED, 405,
    ),
    Torture("sdp01", "RFC 4475 §3.3.15", invite(rest="Accept: text/nobodyKnowsThis\n" + OFFERED), PASSED, 403, PASSED),
)  # fmt: skip

OLD: Final = (
    Torture(
        "inv2543", "RFC 4475 §3.4.1",
        "INVITE @TARGET@ SIP/2.0\nVia: @VIANOBRANCH@\nFrom: <@FROM@>\nTo: <@TO@>\nCall-ID: @ID@\nCSeq: 1 INVITE\n"
        + OFFERED,
        400, 400, 400,  # Kamailio's matching without a branch is not safe (kemi/core/screening.py, check_branch)
    ),
)  # fmt: skip

IPV6_OFFER: Final = (
    "v=0\no=assistant 971731711378798081 0 IN IP6 2001:db8::20\ns=Live video feed\nc=IN IP6 2001:db8::1\nt=0 0\n"
    "m=audio 6000 RTP/AVP 2\na=rtpmap:2 G726-32/8000\n"
)

IPV6: Final = (
    Torture(
        "ipv6-good", "RFC 5118 §4.1",
        register("<sip:user@[2001:db8::1]>", HEAD.replace("@TO@", "@FROM@"), uri="sip:[2001:db8::10]"),
        403, 403, 405,
        why="another registrar than ours",
    ),
    Torture(
        "ipv6-bad", "RFC 5118 §4.2",
        register("<sip:user@2001:db8::1>", HEAD.replace("@TO@", "@FROM@"), uri="sip:2001:db8::10"),
        400, 400, 405,
    ),
    Torture(
        "port-ambiguous", "RFC 5118 §4.3",
        register("<sip:user@[2001:db8::1]>", HEAD.replace("@TO@", "@FROM@"), uri="sip:[2001:db8::10:5070]"),
        403, 403, 405,
        why="another registrar than ours",
    ),
    Torture(
        "port-unambiguous", "RFC 5118 §4.4",
        register("<sip:user@[2001:db8::1]>", HEAD.replace("@TO@", "@FROM@"), uri="sip:[2001:db8::10]:5070"),
        403, 403, 405,
        why="another registrar than ours",
    ),
    Torture(
        "via-received-param-with-delim", "RFC 5118 §4.5",
        options(head=HEAD.replace("@VIA@", "@VIA@;received=[2001:db8::9:255]")),
        200, 200, 200,
    ),
    Torture(
        "via-received-param-no-delim", "RFC 5118 §4.5",
        options(head=HEAD.replace("@VIA@", "@VIA@;received=2001:db8::9:255")),
        200, 200, 200,
    ),
    Torture("ipv6-in-sdp", "RFC 5118 §4.6", invite(rest=OFFERED.replace("@OFFER@", IPV6_OFFER)), 488, 403, 488),
    Torture(
        "mult-ip-in-header", "RFC 5118 §4.7",
        invite(
            head="Via: @VIA@\nVia: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111\n"
            "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144;received=192.0.2.254\n"
            + HEAD.partition("\n")[2]
        ),
        PASSED, 403, PASSED,
    ),
    Torture(
        "mult-ip-in-sdp", "RFC 5118 §4.8",
        invite(
            rest=OFFERED.replace(
                "@OFFER@",
                IPV6_OFFER.replace("c=IN IP6 2001:db8::1\n", "")
                .replace("m=audio 6000", "m=audio 22334")
                .replace("a=rtpmap", "c=IN IP4 192.0.2.1\na=rtpmap")
                + "m=video 6024 RTP/AVP 107\nc=IN IP6 2001:db8::1\na=rtpmap:107 H263-1998/90000\n",
            )
        ),
        488, 403, 488,
    ),
    Torture(
        "ipv4-mapped-ipv6", "RFC 5118 §4.9",
        invite(
            head=HEAD,
            rest=OFFERED.replace("<@CONTACT@>", "<sip:user@[::ffff:192.0.2.10]:19823>").replace(
                "@OFFER@", IPV6_OFFER.replace("2001:db8::1", "::ffff:192.0.2.2")
            ),
        ),
        488, 403, 488,
    ),
    Torture(
        "ipv6-bug-abnf-3-colons", "RFC 5118 §4.10",
        options("sip:user@[2001:db8:::192.0.2.1]"),
        200, 200, 200,
        why="OPTIONS is answered by us, who have no use for the address",
    ),
    Torture(
        "ipv6-correct-abnf-2-colons", "RFC 5118 §4.10",
        options("sip:user@[2001:db8::192.0.2.1]"),
        200, 200, 200,
    ),
)  # fmt: skip

OUR_OWN: Final = (
    Torture(
        "wsinv-unfolded", "RFC 3261 §7.3.1",
        VALID_SYNTAX[0].text.replace("cseq: 0009\n  INVITE", "cseq: 0009 INVITE"),
        PASSED, 403, PASSED,
    ),
    Torture(
        "two-max-forwards", "RFC 3261 §7.3.1",
        options(head=HEAD.replace("Max-Forwards: 70\n", "Max-Forwards: 70\nMax-Forwards: 10\n")),
        CLOSED, CLOSED, NONE, CLOSED, UNREADABLE,
    ),
)  # fmt: skip
