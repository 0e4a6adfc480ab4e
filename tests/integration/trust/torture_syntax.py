"""The parser's torture: RFC 4475 §3.1."""

from __future__ import annotations

from typing import Final

from tests.integration.trust.torture import (
    CLOSED,
    EMPTY,
    HEAD,
    HELD,
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

VALID_SYNTAX: Final = (
    Torture(
        "wsinv", "RFC 4475 §3.1.1.1",
        """\
INVITE @TARGET@;unknownparam SIP/2.0
TO :
 @TO@ ;  @TOTAG@newfangled = extra
from   : "J Rosenberg \\\\\\""       <@FROM@>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: @ID@
Content-Length   : @LENGTH@
cseq: 0009
  INVITE
Via  : @VIAPROTO@ @VIAHOST@ ;branch=@BRANCH@
@EXTRA@
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
v:  SIP  / 2.0  / TCP     192.0.2.12   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \\"\\"" <@CONTACT@> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

@OFFER@""",
        CLOSED, CLOSED, NONE, CLOSED,
        why="Kamailio reads no CSeq that is folded; wsinv-unfolded is the same without this fold",
    ),
    Torture(
        "intmeth", "RFC 4475 §3.1.1.2",
        """\
!interesting-Method0123456789_*+`.%indeed'~ @ODD@@example.com SIP/2.0
Via: @VIA@
To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <@ODD@@example.com>
From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%="\u0440\u0430";tag=_token~1'+`*%!-.
Call-ID: @ID@intmeth.word%ZK-!.*_+'@word`~)(><:\\/"][?}{
CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~
Max-Forwards: 255
extensionHeader-!.%*+_`'~: \ufeff\u5927\u505c\u96fb
"""
        + EMPTY,
        CLOSED, CLOSED, NONE,
        why="Kamailio takes no such name of a header field, and cannot make a response of it",
    ),
    Torture(
        "esc01", "RFC 4475 §3.1.1.3",
        invite("sip:sips%3Auser%40example.com@@HOST@", HEAD.replace("tag=tort", "tag=f%232e%22")),
        403, 403, 480,
        why="by the call policy: whom a user name with an @ in it calls cannot be told",
    ),
    Torture(
        "escnull", "RFC 4475 §3.1.1.4",
        register(
            "<sip:%00@host5.example.com>\nContact: <sip:%00%00@host5.example.com>",
            HEAD.replace("@TO@", "sip:null-%00-null@@REALM@").replace("@FROM@", "sip:null-%00-null@@REALM@"),
        ),
        403, 403, 405,
        why="no identity has a NUL in it",
    ),
    Torture(
        "esc02", "RFC 4475 §3.1.1.5",
        "RE%47IST%45R sip:registrar.example.com SIP/2.0\n"
        + HEAD.replace("To: <@TO@>", 'To: "%Z%45" <@TO@>')
        + "CSeq: 29344 RE%47IST%45R\nContact: <sip:alias1@host1.example.com>\n"
        + EMPTY,
        405, 405, 405,
        why="an escape in a method is no escape: it is another method",
    ),
    Torture("lwsdisp", "RFC 4475 §3.1.1.6", options(head=HEAD.replace("From: <", "From: caller<")), 200, 200, 200),
    Torture(
        "longreq", "RFC 4475 §3.1.1.7",
        invite(
            rest="Unknown-" + "LongName" * 30 + ": unknown-" + "longvalue" * 30 + "; unknown-"
            + "longparam" * 30 + " = " + "longvalue" * 20 + "\n" + OFFERED,
            head=HEAD.replace(
                "<@TO@>",
                '"I have a user name of ' + "extreme" * 20 + ' proportion"<@TO@>;longparam=' + "x" * 400,
            )
            + "".join(
                f"v: SIP/2.0/TCP sip{number}.example.com;branch=z9hG4bK" + "branch" * 20 + "\n"
                for number in range(33, 25, -1)
            ),
        ),
        PASSED, 403, PASSED,
    ),
    Torture(
        "dblreq", "RFC 4475 §3.1.1.8",
        "REGISTER sip:@REALM@ SIP/2.0\nVia: @VIA@\nMax-Forwards: 70\nFrom: <@FROM@>;tag=dbl\nTo: <@FROM@>\n"
        "Call-ID: @ID@\nCSeq: 1 REGISTER\nContact: <@CONTACT@>\n@EXTRA@\nContent-Length: 0\n\n"
        "INVITE sip:joe@example.com SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.125;branch=z9hG4bKsecond\n"
        "To: <sip:joe@example.com>\nFrom: <sip:caller@example.net>;tag=141334\nMax-Forwards: 8\nCall-ID: @ID@second\n"
        "CSeq: 8 INVITE\nContact: <sip:caller@example.net>\nContent-Type: application/sdp\n"
        "Content-Length: 10\n\n0123456789",
        400, 400, 405,
        why="one message in each frame; in a datagram what follows is ignored, in a stream it is the next message",
    ),
    Torture(
        "semiuri", "RFC 4475 §3.1.1.9",
        options("sip:user;par=u%40example.net@@HOST@"),
        200, 200, 200,
    ),
    Torture(
        "transports", "RFC 4475 §3.1.1.10",
        options(
            head="Via: @VIA@\nVia: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf\n"
            "Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj\n"
            "Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en\n"
            "Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee\n"
            + HEAD.partition("\n")[2]
        ),
        200, 200, 200,
    ),
    Torture(
        "mpart01", "RFC 4475 §3.1.1.11",
        "MESSAGE @TARGET@ SIP/2.0\n" + HEAD + "CSeq: 127 MESSAGE\n@EXTRA@\n"
        "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655\nContent-Length: @LENGTH@\n\n"
        "--7a9cbec02ceef655\nContent-Type: text/plain\nContent-Transfer-Encoding: binary\n\nHello\n"
        "--7a9cbec02ceef655\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: binary\n\n"
        "\x30\x82\x01\x52\x06\x09\x2a\x86\x48\xf7\x0d\x01\x07\x02\xa0\x82\x00\x00\xff\xfe\n"
        "--7a9cbec02ceef655--\n",
        PASSED, 403, PASSED,
    ),
    Torture(
        "unreason", "RFC 4475 §3.1.1.12",
        "SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e\n" + HEAD + "CSeq: 35 INVITE\n" + OFFERED,
        NONE, NONE, NONE,
        why="an answer to nothing we asked",
    ),
    Torture(
        "noreason", "RFC 4475 §3.1.1.13",
        "SIP/2.0 100 \n" + HEAD + "CSeq: 35 INVITE\n" + EMPTY,
        NONE, NONE, NONE,
        why="an answer to nothing we asked",
    ),
)  # fmt: skip

INVALID_SYNTAX: Final = (
    Torture(
        "badinv01", "RFC 4475 §3.1.2.1",
        invite(
            head="Via: @VIA@;;,;,,\nMax-Forwards: 70\nTo: <@TO@>\nFrom: <@FROM@>;;,;tag=134161461246\nCall-ID: @ID@\n",
            rest=OFFERED.replace("Contact: <@CONTACT@>", 'Contact: "" <> ;,"Joe" <sip:joe@example.org>;;,,;;'),
        ),
        CLOSED, CLOSED, NONE, CLOSED,
        why=UNREADABLE,
    ),
    Torture(
        "clerr", "RFC 4475 §3.1.2.2",
        invite(rest=OFFERED.replace("@LENGTH@", "9999")),
        400, 400, 400, NONE,
        why="in a stream the rest of the message is waited for",
    ),
    Torture(
        "ncl", "RFC 4475 §3.1.2.3", invite(rest=OFFERED.replace("@LENGTH@", "-999")),
        CLOSED, CLOSED, NONE,
        why=UNANSWERABLE,
    ),
    Torture(
        "scalar02", "RFC 4475 §3.1.2.4",
        "REGISTER sip:@REALM@ SIP/2.0\nVia: @VIA@\nMax-Forwards: 300\nFrom: <@FROM@>;tag=s\nTo: <@FROM@>\n"
        "Call-ID: @ID@\nCSeq: 36893488147419103232 REGISTER\n"
        "Contact: <@CONTACT@>;expires=280297596632815\nExpires: 10000000000000000\n"
        + EMPTY,
        400, 400, 405,
    ),
    Torture(
        "scalarlg", "RFC 4475 §3.1.2.5",
        "SIP/2.0 503 Service Unavailable\n" + HEAD + "CSeq: 9292394834772304023312 OPTIONS\n"
        "Warning: 1812 overture \"In Progress\"\nRetry-After: 949302838503028349304023988\n" + EMPTY,
        NONE, NONE, NONE,
    ),
    Torture(
        "quotbal", "RFC 4475 §3.1.2.6",
        invite(head=HEAD.replace("To: <@TO@>", 'To: "Mr. J. User <@TO@>')),
        CLOSED, CLOSED, NONE, CLOSED,
        why=UNREADABLE,
    ),
    Torture(
        "ltgtruri", "RFC 4475 §3.1.2.7", invite("<@TARGET@>"),
        400, 400, 480,
    ),
    Torture(
        "lwsruri", "RFC 4475 §3.1.2.8", invite("@TARGET@; lr"),
        CLOSED, CLOSED, NONE, CLOSED,
        why=UNREADABLE,
    ),
    Torture(
        "lwsstart", "RFC 4475 §3.1.2.9", invite(" @TARGET@ "),
        CLOSED, CLOSED, NONE, CLOSED,
        why=UNREADABLE,
    ),
    Torture(
        "trws", "RFC 4475 §3.1.2.10",
        options("@TARGET@").replace("SIP/2.0\n", "SIP/2.0  \n", 1),
        200, 200, 200,
        why="blanks at the end of the line mean nothing",
    ),
    Torture(
        "escruri", "RFC 4475 §3.1.2.11",
        invite("sip:user@@HOST@?Route=%3Csip:example.com%3E"),
        400, 400, 480,
    ),
    Torture(
        "baddate", "RFC 4475 §3.1.2.12",
        invite(rest="Date: Fri, 01 Jan 2010 16:00:00 EST\n" + OFFERED),
        PASSED, 403, PASSED,
        why="nobody here reads Date",
    ),
    Torture(
        "regbadct", "RFC 4475 §3.1.2.13",
        register("sip:user@example.com?Route=%3Csip:sip.example.com%3E", HEAD.replace("@TO@", "@FROM@")),
        400, 400, 405,
    ),
    Torture(
        "badaspec", "RFC 4475 §3.1.2.14",
        options(
            head=HEAD.replace("To: <@TO@>", 'To: "Watson, Thomas" < @TO@ >').replace(
                "From: <", 'From: "Bell, Alexander" <'
            )
        ),
        400, 400, 200,
        why=HELD,
    ),
    Torture(
        "baddn", "RFC 4475 §3.1.2.15",
        options(head=HEAD.replace("From: <", "From: Bell, Alexander <")),
        400, 400, 200,
        why=HELD,
    ),
    Torture("badvers", "RFC 4475 §3.1.2.16", options().replace("SIP/2.0\n", "SIP/7.0\n", 1), NONE, NONE, NONE),
    Torture(
        "mismatch01", "RFC 4475 §3.1.2.17",
        options().replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE"),
        400, 400, 200,
        why=HELD,
    ),
    Torture(
        "mismatch02", "RFC 4475 §3.1.2.18",
        "NEWMETHOD @TARGET@ SIP/2.0\n" + HEAD + "CSeq: 1 INVITE\n" + OFFERED,
        400, 400, 405,
    ),
    Torture(
        "bigcode", "RFC 4475 §3.1.2.19",
        "SIP/2.0 4294967301 better not break the receiver\n" + HEAD + "CSeq: 1 INVITE\n" + EMPTY,
        CLOSED, CLOSED, NONE, CLOSED,
        why=UNREADABLE,
    ),
)  # fmt: skip
